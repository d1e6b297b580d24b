// Overview: what is kept, the funnel, what the draft would change, and a chart for every measure.
import { signal } from "@preact/signals";
import type { VNode } from "preact";
import { useMemo } from "preact/hooks";
import { count, length, share } from "../shared/format";
import { Funnel, type Step } from "../shared/funnel";
import { Chart, ruledColumns, spoken } from "./chart";
import { kept, preview, trouble } from "./counts";
import type { Column, WhatIf } from "./protocol";
import { RuleList } from "./rulelist";
import { isDraft, meta, rules } from "./session";
import { go } from "./view";
import { whatif, whatifTrouble } from "./whatif";

const wanted = signal("");

export function Overview(): VNode {
  const known = meta.value!;
  const columns = useMemo(() => ordered(known.columns), [known, rules.value]);
  const shown = columns.filter(({ name, about }) => !wanted.value || `${name} ${about}`.toLowerCase().includes(wanted.value.toLowerCase()));
  return (
    <div class="overview">
      <aside class="side">
        <Headline />
        <section class="panel" aria-label="Funnel">
          <h2>Funnel</h2>
          {whatif.value ? <Funnel steps={steps(whatif.value)} caption="What each rule takes away, in order" /> : <p class="dim">counting …</p>}
        </section>
        <RuleList />
        <WhatIfPanel />
      </aside>
      <section class="charts" aria-label="Measures">
        <div class="charts-head">
          <h2>Measures</h2>
          <span class="dim">drag a handle: the rule follows, all counts follow</span>
          <input type="search" placeholder="find a measure" aria-label="Find a measure" value={wanted.value} onInput={(event) => (wanted.value = event.currentTarget.value)} />
        </div>
        <div class="chart-grid">
          {shown.map((column) => (
            <Chart key={column.name} column={column} />
          ))}
        </div>
        {shown.length === 0 && <p class="dim">{columns.length ? `No measure has “${wanted.value}” in its name or description.` : "No clip is measured yet."}</p>}
      </section>
    </div>
  );
}

/** Measures with a rule first, then those with values; columns that hold nothing are left out. */
function ordered(columns: readonly Column[]): Column[] {
  const ruled = ruledColumns(columns);
  const isConstant = ({ edges, values, lossless }: Column): boolean => (values?.length ?? (lossless ? (edges?.length ?? 0) : 2)) < 2;
  const rank = (column: Column): number => (ruled.has(column.name) ? 0 : isConstant(column) ? 3 : column.kind === "number" || column.kind === "integer" ? 1 : 2);
  return columns
    .filter((column) => column.known > 0 && (column.edges?.length || column.values?.length))
    .sort((a, b) => rank(a) - rank(b));
}

function Headline(): VNode {
  const known = meta.value!;
  const now = preview.value ?? (known.clips === 0 ? { clips: 0, hours: 0 } : kept.value);
  const about = preview.value?.about ? "~" : "";
  return (
    <section class="headline panel" aria-label="Kept">
      <p class="big">
        <strong data-testid="kept">{now ? count(now.clips) : "…"}</strong>
        <span class="dim"> of {count(known.clips)} clips kept</span>
      </p>
      <p class="dim">
        {now && known.clips > 0 && `${share(now.clips, known.clips)} · `}{now?.hours != null ? about + length(now.hours * 3600) : "…"} of {length(known.hours * 3600)}
      </p>
      <p class="look">
        <button type="button" onClick={() => go({ page: "grid", verdict: "kept" })}>See the kept</button>{" "}
        <button type="button" onClick={() => go({ page: "grid", verdict: "dropped" })}>See the dropped</button>
      </p>
      <span class="visually-hidden" role="status">{spoken()}</span>
      {trouble.value && <p class="note">{trouble.value}</p>}
    </section>
  );
}

function steps(found: WhatIf): Step[] {
  let [clips, hours] = [found.all.clips, found.all.hours];
  const first: Step = { name: "all clips", clips: 0, seconds: 0, leftClips: clips, leftSeconds: hours * 3600 };
  const after = found.funnel.map((step): Step => {
    const taken = { clips: clips - step.clips, seconds: (hours - step.hours) * 3600 };
    [clips, hours] = [step.clips, step.hours];
    const broken = (
      <a href="#" onClick={(event) => (event.preventDefault(), go({ page: "grid", verdict: undefined, broken: [step.rule] }))} title="see the clips that break it">
        {step.rule}
      </a>
    );
    return { name: step.rule, ...taken, leftClips: clips, leftSeconds: hours * 3600, shown: broken };
  });
  return [first, ...after];
}

function WhatIfPanel(): VNode | null {
  const found = whatif.value;
  if (whatifTrouble.value) return <p class="note">{whatifTrouble.value}</p>;
  if (!found || !isDraft.value) return null;
  return (
    <section class="panel" aria-label="What if">
      <h2>What the draft changes</h2>
      <table>
        <tbody>
          <tr><th scope="row">kept before</th><td class="number">{count(found.before.clips)}</td><td class="number">{length(found.before.hours * 3600)}</td></tr>
          <tr><th scope="row">kept after</th><td class="number">{count(found.after.clips)}</td><td class="number">{length(found.after.hours * 3600)}</td></tr>
          <tr><th scope="row">newly kept</th><td class="number">+{count(found.newly_kept.clips)}</td><td class="number">{length(found.newly_kept.hours * 3600)}</td></tr>
          <tr><th scope="row">newly dropped</th><td class="number">−{count(found.newly_dropped.clips)}</td><td class="number">{length(found.newly_dropped.hours * 3600)}</td></tr>
        </tbody>
      </table>
      {found.to_measure.clips > 0 && <p class="dim">{count(found.to_measure.clips)} clips more still want a measure.</p>}
      {found.notes.map((note) => <p key={note} class="dim">{note}</p>)}
      {found.command && <h3>The same from the command line</h3>}
      {found.command && <pre class="command" tabIndex={0}>{found.command}</pre>}
    </section>
  );
}
