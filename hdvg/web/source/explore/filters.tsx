// The bar of filters: which clips the pages look at, each part a chip that can be taken away; SQL of a link asks first.
import { signal } from "@preact/signals";
import type { ComponentChildren, VNode } from "preact";
import { boundText } from "../shared/axis";
import { Text, visible } from "../shared/text";
import type { Bounds, Mark } from "./protocol";
import { meta, rules } from "./session";
import { approve, approved, go, isPlain, view, waiting } from "./view";

const VERDICTS = [
  [undefined, "All"],
  ["kept", "Kept"],
  ["dropped", "Dropped"],
] as const;
const MARKS: readonly (Mark | "none")[] = ["keep", "drop", "flag", "none"];
const adding = signal(false);

export function Filters({ verdicts = true }: { verdicts?: boolean }): VNode {
  return (
    <div class="filters" role="search" aria-label="Which clips">
      {verdicts && (
        <span class="choice" role="group" aria-label="verdict">
          {VERDICTS.map(([value, name]) => (
            <button key={name} type="button" aria-pressed={view.value.verdict === value} onClick={() => go({ verdict: value })}>
              {name}
            </button>
          ))}
        </span>
      )}
      <Search />
      <button type="button" aria-expanded={adding.value} onClick={() => (adding.value = !adding.value)}>Filter …</button>
      <Chips />
      {adding.value && <Adding verdicts={verdicts} />}
    </div>
  );
}

function Search(): VNode {
  const send = (text: string): void => go({ text: text.trim() || undefined, ...(view.value.page === "overview" ? { page: "grid" } : {}) });
  return (
    <input
      type="search"
      class="search"
      placeholder="words in caption, title, note"
      aria-label="Search captions, titles and notes"
      key={view.value.text}
      defaultValue={view.value.text ?? ""}
      onChange={(event) => send(event.currentTarget.value)}
    />
  );
}

function Chip({ children, name, remove }: { children: ComponentChildren; name: string; remove: () => void }): VNode {
  return (
    <span class="chip">
      {children}
      <button type="button" aria-label={`take away: ${name}`} onClick={remove}>×</button>
    </span>
  );
}

export function boundsText({ column, low, high, low_closed = true, high_closed = true }: Bounds): string {
  const ends = [
    low != null && boundText({ operator: low_closed ? ">=" : ">", value: low }),
    high != null && boundText({ operator: high_closed ? "<=" : "<", value: high }),
  ];
  return `${column} ${ends.filter(Boolean).join(" and ")}`;
}

function Chips(): VNode {
  const { text, broken = [], bounds = [], only = [], marks = [], sql, polygon, like } = view.value;
  const chips: VNode[] = [];
  const add = (name: string, remove: () => void, shown: ComponentChildren = name): void => {
    chips.push(<Chip key={name} name={name} remove={remove}>{shown}</Chip>);
  };
  if (text) add(`words “${visible(text)}”`, () => go({ text: undefined }));
  if (broken.length) add(`breaks ${broken.join(" or ")}`, () => go({ broken: undefined }));
  bounds.forEach((bound, place) => add(boundsText(bound), () => go({ bounds: bounds.filter((_, other) => other !== place) })));
  only.forEach((entry, place) =>
    add(`${entry.column}: ${entry.values.map((value) => (value === null ? "none" : visible(String(value)))).join(", ")}`, () => go({ only: only.filter((_, other) => other !== place) })),
  );
  if (marks.length) add(`marked ${marks.join(" or ")}`, () => go({ marks: undefined }));
  if (sql) add(`SQL ${visible(sql)}`, () => go({ sql: undefined }), <code><Text value={sql} /></code>);
  if (polygon) add("within the lasso", () => go({ polygon: undefined }));
  if (like) add(`like ${like.slice(0, 12)}`, () => go({ like: undefined }));
  if (view.value.rules) add("draft of the rules", () => go({ rules: undefined }));
  return <span class="chips">{chips}</span>;
}

function Adding({ verdicts }: { verdicts: boolean }): VNode {
  const { broken = [], marks = [] } = view.value;
  const names = Object.keys(rules.value);
  return (
    <div class="adding panel">
      <BoundForm />
      <SqlForm />
      {verdicts && (
        <fieldset>
          <legend>breaks one of these rules</legend>
          {names.map((name) => (
            <label key={name}>
              <input type="checkbox" checked={broken.includes(name)} onChange={() => go({ broken: toggled(broken, name) })} /> <code>{name}</code>
            </label>
          ))}
        </fieldset>
      )}
      <fieldset>
        <legend>marks</legend>
        {MARKS.map((mark) => (
          <label key={mark}>
            <input type="checkbox" checked={marks.includes(mark)} onChange={() => go({ marks: toggled(marks, mark) })} /> {mark}
          </label>
        ))}
      </fieldset>
    </div>
  );
}

function toggled<Entry>(list: readonly Entry[], entry: Entry): Entry[] {
  return list.includes(entry) ? list.filter((other) => other !== entry) : [...list, entry];
}

function BoundForm(): VNode {
  const add = (event: SubmitEvent): void => {
    event.preventDefault();
    const given = new FormData(event.currentTarget as HTMLFormElement);
    const end = (name: string): number | null => {
      const text = String(given.get(name)).trim();
      return text && Number.isFinite(Number(text)) ? Number(text) : null;
    };
    const bound: Bounds = { column: String(given.get("column")), low: end("low"), high: end("high") };
    if (bound.low === null && bound.high === null) return;
    go({ bounds: [...(view.value.bounds ?? []), bound] });
  };
  const columns = (meta.value?.columns ?? []).filter((column) => column.edges?.length && column.known > 0);
  return (
    <form class="line" onSubmit={add}>
      <select name="column" aria-label="measure">{columns.map(({ name }) => <option key={name}>{name}</option>)}</select>
      <label>≥ <input name="low" inputMode="decimal" size={8} aria-label="at least" /></label>
      <label>≤ <input name="high" inputMode="decimal" size={8} aria-label="at most" /></label>
      <button type="submit">Add bounds</button>
    </form>
  );
}

function SqlForm(): VNode {
  const use = (event: SubmitEvent): void => {
    event.preventDefault();
    const text = String(new FormData(event.currentTarget as HTMLFormElement).get("sql")).trim();
    if (text) approve(text);
    go({ sql: text || undefined });
  };
  return (
    <form class="line" onSubmit={use}>
      <input name="sql" class="mono wide" placeholder="a condition in SQL: width > height and caption like '%dog%'" aria-label="condition in SQL" key={view.value.sql} defaultValue={view.value.sql ?? ""} spellcheck={false} />
      <button type="submit">Use</button>
    </form>
  );
}

/** SQL that a link brought: shown, and run only if the person says so. */
export function Waiting(): VNode | null {
  if (waiting.value.length === 0) return null;
  const remove = (): void => {
    const { sql, rules: draft } = view.value;
    const kept = draft && Object.fromEntries(Object.entries(draft).filter(([, text]) => isPlain(text) || approved.value.has(text)));
    go({ sql: sql && approved.value.has(sql) ? sql : undefined, rules: kept });
  };
  return (
    <div class="note waiting" role="alert">
      <p>This link brings SQL. It has not been run. Read it, then use it or take it away.</p>
      {waiting.value.map((text) => <pre key={text}><Text value={text} /></pre>)}
      <button type="button" onClick={() => approve(...waiting.value)}>Use it</button> <button type="button" onClick={remove}>Take it away</button>
    </div>
  );
}
