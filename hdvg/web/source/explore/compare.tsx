// Two recipes beside each other: what both keep, what only one keeps, and those clips.
import { effect, signal } from "@preact/signals";
import type { VNode } from "preact";
import { count, length } from "../shared/format";
import { visible } from "../shared/text";
import { get, post, Refusal } from "./api";
import type { Row, Rules, Total } from "./protocol";
import { isDraft, meta, ownRules, usable } from "./session";
import { Tile } from "./tile";
import { filtersOf, go, selection, view } from "./view";

interface Compared {
  both: Total;
  neither: Total;
  only_a: Total;
  only_b: Total;
  rows_only_a: Row[];
  rows_only_b: Row[];
  changed: { rule: string; a: string | null; b: string | null }[];
}

const OWN = "the dataset's own";
const DRAFT = "the draft";
const recipes = signal<{ name: string; from?: string }[]>([]);
const found = signal<Compared | null>(null);
const trouble = signal<string | null>(null);

async function rulesOf(name: string): Promise<Rules> {
  if (name === OWN) return ownRules.value;
  if (name === DRAFT) return usable.value;
  return (await get<{ rules: Rules }>(`/api/recipes/${encodeURIComponent(name)}`)).rules;
}

const nameA = (): string => view.value.a ?? OWN;
const nameB = (): string => view.value.b ?? (isDraft.value ? DRAFT : OWN);

effect(() => {
  if (view.value.page !== "compare" || !meta.value) return;
  const [a, b, chosen] = [nameA(), nameB(), filtersOf(selection.value)];
  if (recipes.peek().length === 0) void get<{ name: string; from?: string }[]>("/api/recipes").then((all) => (recipes.value = all), told);
  Promise.all([rulesOf(a), rulesOf(b)])
    .then(([ofA, ofB]) => post<Compared>("/api/compare", { a: ofA, b: ofB, selection: chosen, ask: "compare" }))
    .then((all) => {
      found.value = all;
      trouble.value = null;
    }, told);
});

function told(error: unknown): void {
  if (!(error instanceof Refusal && error.superseded)) trouble.value = (error as Error).message;
}

export function Compare(): VNode {
  return (
    <section class="compare">
      <div class="line">
        <Choice label="A" name={nameA()} set={(a) => go({ a })} />
        <Choice label="B" name={nameB()} set={(b) => go({ b })} />
      </div>
      {trouble.value && <p class="note" role="alert">{trouble.value}</p>}
      {found.value && <Found all={found.value} />}
    </section>
  );
}

function Choice({ label, name, set }: { label: string; name: string; set: (name: string) => void }): VNode {
  const names = [OWN, ...(isDraft.value ? [DRAFT] : []), ...recipes.value.map((recipe) => recipe.name)];
  return (
    <label>
      {label}{" "}
      <select value={name} onChange={(event) => set(event.currentTarget.value)}>
        {[...new Set([...names, name])].map((one) => <option key={one} value={one}>{visible(one)}</option>)}
      </select>
    </label>
  );
}

function Found({ all }: { all: Compared }): VNode {
  const cells: [string, Total][] = [["kept by both", all.both], ["only by A", all.only_a], ["only by B", all.only_b], ["by neither", all.neither]];
  return (
    <>
      <dl class="figures">
        {cells.map(([name, total]) => (
          <div key={name} class="panel"><dt>{name}</dt><dd><strong>{count(total.clips)}</strong> <span class="dim">{length(total.hours * 3600)}</span></dd></div>
        ))}
      </dl>
      {all.changed.length > 0 && (
        <div class="panel scroll">
          <table>
            <thead><tr><th scope="col">rule</th><th scope="col">A</th><th scope="col">B</th></tr></thead>
            <tbody>
              {all.changed.map(({ rule, a, b }) => <tr key={rule}><th scope="row">{visible(rule)}</th><td class="mono">{a ? visible(a) : "—"}</td><td class="mono">{b ? visible(b) : "—"}</td></tr>)}
            </tbody>
          </table>
        </div>
      )}
      <Side title="Kept only by A" rows={all.rows_only_a} />
      <Side title="Kept only by B" rows={all.rows_only_b} />
    </>
  );
}

function Side({ title, rows }: { title: string; rows: Row[] }): VNode {
  return (
    <section aria-label={title}>
      <h2>{title}</h2>
      {rows.length === 0 ? <p class="dim">No clip.</p> : <div class="layer" role="list">{rows.map((row) => <Tile key={row.clip_id} row={row} active />)}</div>}
    </section>
  );
}
