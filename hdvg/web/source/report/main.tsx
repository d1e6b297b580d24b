// The page of `hdvg report`.
import { render, type VNode } from "preact";
import "../shared/theme.css";
import "./report.css";
import { placeOf } from "../shared/axis";
import { Audits, Contents, Copies, Failures, Provenance, rows, Run } from "./content";
import type { End } from "./data";
import { FunnelSection, Head } from "./funnel";
import { Comparison, Gallery } from "./gallery";
import { boundOf, type Draft } from "./rules";
import { command, countsOf, data, drafts, heldRows, outcome, reads, readRows, standOf } from "./state";
import { Tally } from "./tally";
import { Bar, Thresholds } from "./thresholds";

const PLACES: [string, string][] = [
  ["compare", "Compared"], ["funnel", "Funnel"], ["thresholds", "Thresholds"], ["near", "Clips near the thresholds"], ["audits", "How right"], ["failures", "Failures"],
  ["contents", "What is in it"], ["copies", "Copies"], ["run", "Last run"], ["provenance", "Made with"],
];

function Page(): VNode {
  const places = PLACES.filter(([id]) => (id !== "compare" || data.compared) && (id !== "near" || data.shelves.length) && (id !== "audits" || rows("audits").length));
  return (
    <>
      <a class="skip" href="#funnel">Skip to the funnel</a>
      <Head />
      <nav class="screen-only" aria-label="Sections">
        {places.map(([id, title]) => <a key={id} href={`#${id}`}>{title}</a>)}
      </nav>
      <main>
        <Comparison />
        <FunnelSection />
        <Thresholds />
        <Gallery />
        <Audits />
        <Failures />
        <Contents />
        <Copies />
        <Run />
        <Provenance />
      </main>
      <Bar />
    </>
  );
}

/** For the console, and the tests: how many clips and seconds these rules keep; null where a bound divides a bin. */
async function count(rules: { column: string; low?: End; high?: End }[]): Promise<{ clips: number; seconds: number } | null> {
  const made: Draft[] = rules.map(({ column, low = null, high = null }, number) => ({
    name: `rule_${number}`, column, block: null, low, high, on: true, text: "",
  }));
  for (const one of made) {
    const axis = data.measures.find((measure) => measure.name === one.column)!;
    if (one.low && placeOf(axis, boundOf("low", one.low)) === null) return null;
    if (one.high && placeOf(axis, boundOf("high", one.high)) === null) return null;
  }
  await heldRows.load(counter.needs(made));
  return counter.judge(made)!.kept;
}

const counter = new Tally(heldRows);

const page = document.getElementById("page")!;
page.replaceChildren();
render(<Page />, page);
/** Whether every number has been read. */
const ready = (): boolean => reads.value === 2;
Object.assign(globalThis, { report: { count, countsOf, standOf, data, drafts, command, outcome, ready } });
addEventListener("DOMContentLoaded", () => void readRows());
