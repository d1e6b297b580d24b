// What the page shows now: the draft of rules and what it keeps, counted anew with each move.
import { computed, signal } from "@preact/signals";
import type { Bound, Range, Side } from "../shared/axis";
import { boundAt } from "../shared/axis";
import { areSame, each } from "../shared/each";
import { type Data, type Measure, readData, readStrips } from "./data";
import { commandOf, draftOf, endOf, boundOf, rangeOf, withEnd } from "./rules";
import { Rows } from "./rows";
import { type Left, Tally } from "./tally";

export const data: Data = readData();
export const heldRows = new Rows(data);
const tally = new Tally(heldRows);

export const drafts = signal(draftOf(data.rules));
export const strips = signal<Record<string, string>>({});
/** Counts up whenever numbers have been read. */
export const reads = signal(0);

export const command = computed(() => commandOf(data.figures.dataset, data.rules, drafts.value));
export const outcome = computed(() => (reads.value, tally.judge(drafts.value)));

/** What the page holds stands for this many clips each. */
export const weight = data.held.rows ? data.held.clips / data.held.rows : 1;
export const isSample = data.held.rows < data.held.clips;

/** Reads what the rules need, then all other measures, once the file is parsed. */
export async function readRows(): Promise<void> {
  strips.value = readStrips();
  await heldRows.load(tally.needs(drafts.value));
  reads.value++;
  await heldRows.load(data.measures.filter((one) => one.held).map((one) => one.block));
  reads.value++;
}

export function move(measure: Measure, range: Range, side: Side): void {
  const bound = boundAt(measure, side, range[side]);
  const end = bound && { value: bound.value, closed: bound.operator.length === 2, share: null };
  drafts.value = withEnd(drafts.value, measure, side, end);
}

/** By code, the clips that all rules on other measures keep; null until it can be said. */
export const countsOf = each((measure: Measure) => outcome.value && tally.histogram(measure));

/** Where a measure's handles stand, and the bounds as the rules have them. */
export interface Stand {
  range: Range;
  exact: { low: Bound | null; high: Bound | null };
}

export const standOf = each((measure: Measure, before: Stand | undefined): Stand => {
  const end = (side: Side): Bound | null => {
    const found = endOf(measure, drafts.value, side);
    return found && boundOf(side, found);
  };
  const now = { range: rangeOf(measure, drafts.value), exact: { low: end("low"), high: end("high") } };
  const [{ low, high }, is] = [now.range, before];
  const stays = is && is.range.low === low && is.range.high === high && areSame(is.exact.low, now.exact.low) && areSame(is.exact.high, now.exact.high);
  return stays ? is : now;
});

export function toggle(name: string): void {
  const known = draftOf(data.rules).find((one) => one.name === name);
  drafts.value = drafts.value.map((one) => {
    if (one.name !== name) return one;
    return one.on ? { ...one, on: false } : one.block || one.low || one.high ? { ...one, on: true } : (known ?? one);
  });
}

export function reset(): void {
  drafts.value = draftOf(data.rules);
}

export interface Shown {
  clips: number;
  seconds: number;
  /** Half the width of the interval that holds the true count 95 times of 100; 0 where it is exact. */
  error: number;
}

/** What a count over the held clips says of the dataset. */
export function estimate(left: Left): Shown {
  if (!isSample) return { ...left, error: 0 };
  const part = left.clips / data.held.rows;
  const spread = Math.sqrt((part * (1 - part)) / data.held.rows) * Math.sqrt(1 - data.held.rows / data.held.clips);
  return { clips: Math.round(left.clips * weight), seconds: left.seconds * weight, error: 1.96 * spread * data.held.clips };
}

/** What the draft keeps: the dataset's own figures while nothing is changed, else as counted here; null until it is. */
export const kept = computed<Shown | null>(() => {
  const { totals } = data.figures;
  if (command.value === null) return { clips: totals.kept, seconds: totals.kept_hours * 3600, error: 0 };
  return outcome.value && estimate(outcome.value.kept);
});
