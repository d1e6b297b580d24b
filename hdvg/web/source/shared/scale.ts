// Where on a chart's width values stand: equal steps for few values, else a linear or logarithmic scale.
import type { Axis } from "./axis";
import { value as number } from "./format";

const ORDINAL_MOST = 24;
const BARS = 64;
const SKEWED = 0.04;

export interface Scale {
  /** 0 to 1 for each place of a handle, n + 1 of them, ascending. */
  places: Float64Array;
  bars: number;
  logarithmic: boolean;
  /** 0 to 1 of a value. */
  at(value: number): number;
  ticks: { at: number; label: string }[];
}

/** The scale of an axis; `counts` by code show how the values lie. */
export function scaleOf(axis: Axis, counts: ArrayLike<number>): Scale {
  const many = axis.edges.length;
  if (axis.lossless && many <= ORDINAL_MOST) return ordinal(axis);
  const middle = medianOf(axis, counts);
  const span = axis.most - axis.least;
  const logarithmic = span > 0 && middle !== null && axis.least >= 0 && (middle - axis.least) / span < SKEWED;
  const unit = logarithmic ? Math.max(middle! / 20, span * 1e-6) : 1;
  const bend = (value: number): number => (logarithmic ? Math.asinh((value - axis.least) / unit) : value - axis.least);
  const top = bend(axis.most);
  const at = (value: number): number => {
    if (Number.isNaN(value) || value >= axis.most) return 1;
    return top > 0 ? Math.max(0, bend(Math.max(value, axis.least)) / top) : 0;
  };
  const places = Float64Array.from({ length: many + 1 }, (_, place) =>
    place === 0 ? 0 : place === many ? 1 : at(axis.edges[place]),
  );
  return { places, bars: BARS, logarithmic, at, ticks: ticksOf(axis, at, logarithmic) };
}

function ordinal(axis: Axis): Scale {
  const many = Math.max(axis.edges.length, 1);
  const places = Float64Array.from({ length: axis.edges.length + 1 }, (_, place) => place / many);
  const step = Math.ceil(many / 6);
  const ticks = Array.from(axis.edges, (edge, bin) => ({ at: (bin + 0.5) / many, label: number(edge) }));
  const at = (value: number): number => (Array.from(axis.edges).filter((edge) => edge < value).length + 0.5) / many;
  return { places, bars: many, logarithmic: false, at, ticks: ticks.filter((_, bin) => bin % step === 0) };
}

function medianOf(axis: Axis, counts: ArrayLike<number>): number | null {
  let all = 0;
  for (let code = 1; code < counts.length; code++) all += counts[code];
  let below = 0;
  for (let code = 1; code < counts.length; code++) {
    below += counts[code];
    const edge = axis.edges[code - 1];
    if (below * 2 >= all && all > 0) return Number.isFinite(edge) ? edge : Number.isNaN(edge) ? axis.most : axis.least;
  }
  return null;
}

function ticksOf(axis: Axis, at: (value: number) => number, logarithmic: boolean): Scale["ticks"] {
  const found: number[] = [axis.least];
  if (logarithmic) {
    for (let power = -6; power < 12; power++) found.push(10 ** power);
  } else {
    const raw = (axis.most - axis.least) / 4;
    const power = 10 ** Math.floor(Math.log10(raw || 1));
    const step = [1, 2, 5, 10].map((digit) => digit * power).find((size) => size >= raw) ?? raw;
    const from = Math.ceil(axis.least / step);
    for (let k = from; k * step <= axis.most && step > 0 && k < from + 12; k++) found.push(Number((k * step).toPrecision(12)));
  }
  found.push(axis.most);
  return spaced(found.filter((value) => value >= axis.least && value <= axis.most).map((value) => ({ at: at(value), label: number(value, 3) })));
}

/** Ticks far enough apart to read; the ends stay. */
function spaced(ticks: Scale["ticks"]): Scale["ticks"] {
  const last = ticks[ticks.length - 1];
  const kept: Scale["ticks"] = [];
  for (const tick of ticks) {
    const room = kept.length === 0 || tick.at - kept[kept.length - 1].at > 0.14;
    if (tick === last ? room || kept.length === 1 : room && (last.at - tick.at > 0.14 || kept.length === 0)) kept.push(tick);
  }
  return kept.length > 1 && kept[1].at - kept[0].at < 0.02 ? kept.slice(0, 1) : kept;
}

/** Heights of the bars from counts by code; a bin wider than a bar is spread over those it covers. */
export function barsOf(scale: Scale, counts: ArrayLike<number>, from = 0, to = counts.length - 1, places = scale.places): Float64Array {
  const heights = new Float64Array(scale.bars);
  for (let bin = from; bin < to; bin++) {
    const amount = counts[bin + 1];
    if (!amount) continue;
    const start = places[bin] * scale.bars;
    const end = places[bin + 1] * scale.bars;
    const first = Math.min(Math.floor(start), scale.bars - 1);
    const last = Math.min(Math.max(Math.ceil(end) - 1, first), scale.bars - 1);
    for (let bar = first; bar <= last; bar++) {
      const overlap = Math.min(end, bar + 1) - Math.max(start, bar);
      heights[bar] += last === first ? amount : (amount * Math.max(overlap, 0)) / (end - start);
    }
  }
  return heights;
}
