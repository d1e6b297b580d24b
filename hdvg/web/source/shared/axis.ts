// Bins of a measure whose edges are thresholds: where a handle may stand, and which bound that is (hdvg/filtering/edges.py).

/** Value v has code 0 where there is none, else k with `edges[k - 1] <= v < edges[k]`; NaN is greater than all others. */
export interface Axis {
  measure: string;
  /** Ascending; the first may be -Infinity and the last NaN. */
  edges: ArrayLike<number>;
  /** Each bin holds one value: its edge. */
  lossless: boolean;
  /** Ends of the finite values. */
  least: number;
  most: number;
}

export type Operator = ">=" | ">" | "<=" | "<";
export interface Bound {
  operator: Operator;
  value: number;
}
export type Side = "low" | "high";

/** Handles stand at places 0 to n: the low one keeps codes above its place, the high one codes up to its place. */
export interface Range {
  low: number;
  high: number;
}

const VIEW = new DataView(new ArrayBuffer(8));

/** The next larger double. */
export function above(value: number): number {
  if (Number.isNaN(value) || value === Infinity) return value;
  if (value === 0) return Number.MIN_VALUE;
  if (value === -Infinity) return -Number.MAX_VALUE;
  VIEW.setFloat64(0, value);
  VIEW.setBigInt64(0, VIEW.getBigInt64(0) + (value > 0 ? 1n : -1n));
  return VIEW.getFloat64(0);
}

export function whole(axis: Axis): Range {
  return { low: 0, high: axis.edges.length };
}

/** The bound that a handle at a place stands for; null at the end, where it bounds nothing. */
export function boundAt(axis: Axis, side: Side, place: number): Bound | null {
  const { edges, lossless } = axis;
  if (side === "low") {
    if (place <= 0) return null;
    if (place >= edges.length) return { operator: ">", value: lossless ? edges[edges.length - 1] : axis.most };
    const follows = !lossless && edges[place] === above(edges[place - 1]);
    return follows ? { operator: ">", value: edges[place - 1] } : { operator: ">=", value: edges[place] };
  }
  if (place >= edges.length) return null;
  if (place <= 0) return { operator: "<", value: lossless ? edges[0] : axis.least };
  if (lossless || edges[place] === above(edges[place - 1])) return { operator: "<=", value: edges[place - 1] };
  if (Number.isNaN(edges[place])) return { operator: "<=", value: axis.most };
  return { operator: "<", value: edges[place] };
}

/** The place of a bound; null where it would divide a bin, so that a count by bins would not be exact. */
export function placeOf(axis: Axis, bound: Bound): number | null {
  const { edges, lossless } = axis;
  const after = bound.operator === ">" || bound.operator === "<=";
  let edge = after ? above(bound.value) : bound.value;
  if (!lossless) edge = Math.min(Math.max(edge, axis.least), above(axis.most)); // beyond the finite values no edge is needed
  const place = firstAtLeast(edges, edge);
  return lossless || edges[place] === edge || place === edges.length ? place : null;
}

/** The first place whose edge is at least the value; NaN counts as above all. */
export function firstAtLeast(edges: ArrayLike<number>, value: number): number {
  let low = 0;
  let high = edges.length;
  while (low < high) {
    const middle = (low + high) >> 1;
    if (edges[middle] < value) low = middle + 1;
    else high = middle;
  }
  return low;
}

/** Sum of counts by code (index 0: no value) over the codes that a range keeps. */
export function within(counts: ArrayLike<number>, range: Range): number {
  let sum = 0;
  for (let code = range.low + 1; code <= range.high; code++) sum += counts[code];
  return sum;
}

const SIGNS: Record<Operator, string> = { ">=": "≥", ">": ">", "<=": "≤", "<": "<" };

/** `≥ 0.35`, every digit of the value. */
export function boundText(bound: Bound): string {
  return `${SIGNS[bound.operator]} ${bound.value}`;
}
