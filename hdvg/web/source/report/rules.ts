// The draft of a recipe's rules: what dragging changes in them, and the command that makes it so (hdvg/filtering/edit.py).
import { type Axis, type Bound, type Range, type Side, placeOf, whole } from "../shared/axis";
import type { End, Measure, RuleData } from "./data";

/** A rule as it would be; `text` is that of a rule that is no range, or was not touched. */
export interface Draft extends RuleData {
  on: boolean;
}

type Named = Pick<Measure, "name" | "boolean">;

export function draftOf(rules: readonly RuleData[]): Draft[] {
  return rules.map((rule) => ({ ...rule, on: true }));
}

/** The same with another end of a measure's range, or none; of several rules that bound it there the first has it. */
export function withEnd(drafts: readonly Draft[], measure: Named, side: Side, end: End | null): Draft[] {
  const column = measure.name;
  const bounding = drafts.filter((one) => one.on && one.column === column && one[side]);
  if (!bounding.length) return end ? [...drafts, added(drafts, measure, side, end)] : [...drafts];
  const changed = drafts.map((one) => {
    if (!bounding.includes(one)) return one;
    const draft = { ...one, [side]: one === bounding[0] ? end : null };
    return draft.low || draft.high ? { ...draft, text: rangeText(measure, draft) } : { ...draft, on: false };
  });
  return changed;
}

function added(drafts: readonly Draft[], measure: Named, side: Side, end: End): Draft {
  const column = measure.name;
  const taken = new Set(drafts.map((one) => one.name));
  let name = column;
  for (let number = 2; taken.has(name); number++) name = `${column}_${number}`;
  const draft = { name, column, block: null, low: null, high: null, on: true, text: "", [side]: end };
  return { ...draft, text: rangeText(measure, draft) };
}

/** A range as a rule's text: `2 <= duration_s < 20`; of a boolean `x` or `not x`, for rules bound no booleans. */
export function rangeText({ name: column, boolean }: Named, { low, high }: { low: End | null; high: End | null }): string {
  if (boolean) return [low && column, high && `not ${column}`].filter(Boolean).join(" and ");
  const sign = (mark: string, end: End): string => (end.closed ? `${mark}=` : mark);
  if (low && high) return `${written(low)} ${sign("<", low)} ${column} ${sign("<", high)} ${written(high)}`;
  const end = (low ?? high)!;
  return `${column} ${sign(low ? ">" : "<", end)} ${written(end)}`;
}

function written(end: End): string {
  return end.share === null ? String(end.value) : `quantile(${end.share})`;
}

/** What `--set` makes the one the other with. */
export function changes(before: readonly RuleData[], after: readonly Draft[]): string[] {
  const now = new Map(after.filter((one) => one.on).map((one) => [one.name, one.text]));
  const gone = before.filter((one) => !now.has(one.name)).map((one) => `keep.${one.name}=null`);
  const was = new Map(before.map((one) => [one.name, one.text]));
  return [...gone, ...[...now].filter(([name, text]) => was.get(name) !== text).map(([name, text]) => `keep.${name}=${text}`)];
}

/** The line to copy; null where nothing is changed. */
export function commandOf(dataset: string, before: readonly RuleData[], after: readonly Draft[]): string | null {
  const sets = changes(before, after);
  if (!sets.length) return null;
  const isNew = after.some((one) => one.on && !before.some((known) => known.name === one.name));
  return ["hdvg", "filter", quoted(dataset), ...sets.flatMap((set) => ["--set", quoted(set)]), ...(isNew ? ["--new-rule"] : [])].join(" ");
}

/** A word for a POSIX shell. */
export function quoted(word: string): string {
  return /^[\w@%+=:,./-]+$/.test(word) && !word.startsWith("-") ? word : `'${word.replaceAll("'", `'"'"'`)}'`;
}

export function boundOf(side: Side, end: End): Bound {
  return { operator: side === "low" ? (end.closed ? ">=" : ">") : end.closed ? "<=" : "<", value: end.value };
}

/** The tightest end on a side of a measure, of the rules that are on; the first of equal ones. */
export function endOf(axis: Axis, drafts: readonly Draft[], side: Side): End | null {
  let best: End | null = null;
  let tightest = 0;
  for (const one of drafts) {
    const end = one.on && one.column === axis.measure ? one[side] : null;
    const place = end && placeOf(axis, boundOf(side, end));
    if (end === null || place === null) continue;
    if (best === null || (side === "low" ? place > tightest : place < tightest)) [best, tightest] = [end, place];
  }
  return best;
}

/** Where the handles of a measure stand. */
export function rangeOf(axis: Axis, drafts: readonly Draft[]): Range {
  const range = whole(axis);
  for (const side of ["low", "high"] as const) {
    const end = endOf(axis, drafts, side);
    if (end) range[side] = placeOf(axis, boundOf(side, end)) ?? range[side];
  }
  return range;
}
