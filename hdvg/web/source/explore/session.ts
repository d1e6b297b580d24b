// The dataset's columns and rules as the server knows them, and the draft of the rules that the person is working on.
import { computed, signal } from "@preact/signals";
import { type Axis, type Bound, type Range, boundAt, firstAtLeast, placeOf, whole } from "../shared/axis";
import { get, post, Refusal, stale } from "./api";
import type { Column, Loose, Meta, Rules } from "./protocol";
import { approve, go, selection, view } from "./view";

export const meta = signal<Meta | null>(null);
/** While the server reads the dataset: what it does; or why it cannot. */
export const opening = signal<{ doing: string; share: number } | null>(null);
export const failed = signal<string | null>(null);

export function number(value: Loose | undefined): number {
  return value === null || value === undefined ? NaN : Number(value);
}

/** Ask for the dataset's description until the server has read it all. */
export async function loadMeta(): Promise<void> {
  for (;;) {
    try {
      const found = await get<Meta>("/api/meta");
      approve(...found.rules.map((rule) => rule.text));
      AXES.clear();
      meta.value = found;
      opening.value = null;
      failed.value = null;
      return;
    } catch (error) {
      if (!(error instanceof Refusal) || !error.body.building) {
        failed.value = (error as Error).message;
        return;
      }
      opening.value = { doing: String(error.body.doing ?? "reading the dataset"), share: Number(error.body.share ?? 0) };
      await new Promise((resolve) => setTimeout(resolve, 500));
    }
  }
}

/** Take over what has changed in the dataset. */
export async function refresh(): Promise<void> {
  await post("/api/refresh");
  await loadMeta();
  stale.value = false;
}

const AXES = new Map<string, Axis>();

export function columnOf(name: string): Column | undefined {
  return meta.value?.columns.find((column) => column.name === name);
}

/** The axis of a column that can be bounded; null for texts. */
export function axisOf(column: Column): Axis | null {
  if (!column.edges?.length) return null;
  const known = AXES.get(column.name);
  if (known) return known;
  const edges = Float64Array.from(column.edges, number);
  const finite = edges.filter(Number.isFinite);
  const least = Number.isNaN(number(column.least)) ? finite[0] : number(column.least);
  const most = Number.isNaN(number(column.most)) ? finite[finite.length - 1] : number(column.most);
  const axis: Axis = { measure: column.name, edges, lossless: column.lossless ?? false, least, most };
  AXES.set(column.name, axis);
  return axis;
}

export const ownRules = computed<Rules>(() => Object.fromEntries((meta.value?.rules ?? []).map((rule) => [rule.name, rule.text])));
/** The rules of the draft; the dataset's own until one is changed. */
export const rules = computed<Rules>(() => view.value.rules ?? ownRules.value);
/** Those of them that may be sent: SQL of a link waits until the person has approved it. */
export const usable = computed<Rules>(() => selection.value.rules ?? ownRules.value);
export const isDraft = computed(() => view.value.rules !== undefined);

export function setRules(next: Rules): void {
  const same = JSON.stringify(Object.entries(next)) === JSON.stringify(Object.entries(ownRules.value));
  go({ rules: same ? undefined : next });
}

export interface Ends {
  low: Bound | null;
  high: Bound | null;
}

const SIDE: Record<string, string> = { ">=": "<=", ">": "<", "<=": ">=", "<": ">" };

/** Bounds of a rule's text; quantiles by what the server resolved for the dataset's own rules. */
export function endsOf(text: string): { column: string; ends: Ends } | null {
  const one = text.match(/^\s*([a-z_]\w*)\s*(<=|>=|<|>)\s*(\S.*?)\s*$/);
  const two = text.match(/^\s*(\S+?)\s*(<=|<)\s*([a-z_]\w*)\s*(<=|<)\s*(\S+?)\s*$/);
  const sides: [string, string, string][] = [];
  if (two) sides.push([two[3], SIDE[two[2]], two[1]], [two[3], two[4], two[5]]);
  else if (one) sides.push([one[1], one[2], one[3]]);
  const ends: Ends = { low: null, high: null };
  for (const [, operator, written] of sides) {
    const side = operator.startsWith(">") ? "low" : "high";
    const value = written.startsWith("quantile") ? resolved(text, side) : Number(written);
    if (Number.isNaN(value)) return null;
    ends[side] = { operator: operator as Bound["operator"], value };
  }
  return sides.length ? { column: sides[0][0], ends } : null;
}

function resolved(text: string, side: "low" | "high"): number {
  const rule = meta.value?.rules.find((known) => known.text === text);
  return number(rule?.[side]?.value ?? null);
}

/** The strictest bounds that the draft's rules set on a column, and the names of the rules that do. */
export function boundsOn(column: string): Ends & { names: { low?: string; high?: string } } {
  const found: Ends & { names: { low?: string; high?: string } } = { low: null, high: null, names: {} };
  for (const [name, text] of Object.entries(rules.value)) {
    const read = endsOf(text);
    if (read?.column !== column) continue;
    for (const side of ["low", "high"] as const) {
      const bound = read.ends[side];
      if (!bound) continue;
      const held = found[side];
      const stricter = !held || (side === "low" ? bound.value > held.value : bound.value < held.value);
      if (stricter) found[side] = bound;
      if (stricter) found.names[side] = name;
    }
  }
  return found;
}

/** Where the handles stand for bounds; one that divides a bin has its handle at the edge below. */
export function rangeOf(axis: Axis, ends: Ends): Range {
  const range = whole(axis);
  for (const side of ["low", "high"] as const) {
    const bound = ends[side];
    if (bound) range[side] = placeOf(axis, bound) ?? Math.max(0, firstAtLeast(axis.edges, bound.value) - 1);
  }
  return range;
}

/** Bounds that handles stand for, where they moved; the others stay what they were. */
export function endsAt(axis: Axis, range: Range, side: "low" | "high", before: Ends): Ends {
  return { ...before, [side]: boundAt(axis, side, range[side]) };
}

/** Put new bounds of a column into the draft: into the rule that sets them now, else into a new one. */
export function bind(column: string, side: "low" | "high", bound: Bound | null): void {
  const { names } = boundsOn(column);
  const next = { ...rules.value };
  const name = names[side] ?? freeName(side === "low" ? `min_${column}` : `max_${column}`, next);
  const read = next[name] === undefined ? null : endsOf(next[name]);
  const ends: Ends = { ...(read?.ends ?? { low: null, high: null }), [side]: bound };
  const text = ruleText(column, ends);
  if (text === null) delete next[name];
  else next[name] = text;
  setRules(next);
}

function freeName(wanted: string, taken: Rules): string {
  let name = wanted;
  for (let number = 2; name in taken; number++) name = `${wanted}_${number}`;
  return name;
}

export function ruleText(column: string, { low, high }: Ends): string | null {
  if (low && high) return `${low.value} ${SIDE[low.operator]} ${column} ${high.operator} ${high.value}`;
  const bound = low ?? high;
  return bound ? `${column} ${bound.operator} ${bound.value}` : null;
}
