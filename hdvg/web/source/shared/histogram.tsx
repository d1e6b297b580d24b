// A histogram with two handles that go from edge to edge, so that every count shown is exact; by pointer, touch and keys.
import type { VNode } from "preact";
import { useLayoutEffect, useMemo, useRef, useState } from "preact/hooks";
import { type Axis, type Bound, type Range, type Side, boundAt, boundText, firstAtLeast, placeOf } from "./axis";
import { barsOf, type Scale, scaleOf } from "./scale";
import "./histogram.css";

export interface HistogramProps {
  axis: Axis;
  title?: string;
  /** Counts by code (index 0: no value) of all rows; they fix the scale. */
  all: ArrayLike<number>;
  /** Counts by code of the rows that every other rule keeps. */
  others: ArrayLike<number>;
  range: Range;
  /** In place of `others` within the range, by coarse bin (index 0: no value); bin g begins at edge `starts[g - 1]`. */
  live?: { counts: ArrayLike<number>; starts: readonly number[] } | null;
  /** Bounds in force as they were written: shown in place of the handles' own until those move. */
  exact?: { low: Bound | null; high: Bound | null };
  /** At the right of the title, as `1,234 kept`. */
  summary?: VNode | string;
  /** Which ends can be moved; none: a plain histogram. */
  sides?: readonly Side[];
  /** Before the first move: pointer down on a handle, its focus, or the pointer's coming over the chart. */
  onNear?: () => void;
  onMove?: (range: Range, side: Side) => void;
  /** After a drag, and after every key. */
  onRelease?: (range: Range, side: Side) => void;
  /** A bound was typed, to be taken as it is; without this, one that no edge has is refused. */
  onTyped?: (bound: Bound) => void;
}

const BOTH: readonly Side[] = ["low", "high"];

export function Histogram(props: HistogramProps): VNode {
  const { axis, all, others, range, sides = BOTH } = props;
  const scale = useMemo(() => scaleOf(axis, all), [axis, all]);
  const plot = useRef<HTMLDivElement>(null);
  const title = props.title ?? axis.measure;
  return (
    <div class="histogram" role="group" aria-label={title} onPointerEnter={props.onNear}>
      <header>
        <h3>{title}</h3>
        {scale.logarithmic && <span class="dim">log</span>}
        <span class="kept">{props.summary}</span>
      </header>
      <div class="plot" ref={plot}>
        <Bars scale={scale} all={all} others={others} range={range} live={props.live} />
        <div class="base" />
        {sides.includes("low") && <div class="out" style={{ left: 0, width: percent(scale.places[range.low]) }} />}
        {sides.includes("high") && <div class="out" style={{ right: 0, width: percent(1 - scale.places[range.high]) }} />}
        {sides.map((side) => (
          <Handle key={side} {...props} title={title} side={side} scale={scale} plot={plot} />
        ))}
      </div>
      {useMemo(() => <Ticks scale={scale} />, [scale])}
      {sides.length > 0 && <Fields {...props} sides={sides} title={title} />}
    </div>
  );
}

function percent(part: number): string {
  return `${(100 * part).toFixed(3)}%`;
}

type BarsProps = Pick<HistogramProps, "all" | "others" | "range" | "live"> & { scale: Scale };

function Bars({ scale, all, others, range, live }: BarsProps): VNode {
  const whole = useMemo(() => barsOf(scale, all), [scale, all]);
  const most = Math.max(...whole, 1e-9);
  const path = (heights: Float64Array): string => {
    let drawn = "";
    heights.forEach((height, bar) => {
      if (height > 0) drawn += `M${bar + 0.06} 100V${(100 - Math.max((98 * height) / most, 1)).toFixed(2)}h.88V100z`;
    });
    return drawn;
  };
  const paths = useMemo(() => path(whole), [whole]);
  const otherPaths = useMemo(() => path(barsOf(scale, others)), [scale, others, most]);
  const inside = live
    ? barsOf(scale, live.counts, 0, live.counts.length - 1, Float64Array.from([...live.starts.map((edge) => scale.places[edge]), 1]))
    : barsOf(scale, others, range.low, range.high);
  return (
    <svg viewBox={`0 0 ${scale.bars} 100`} preserveAspectRatio="none" aria-hidden="true">
      <path class="all" d={paths} />
      <path class="others" d={otherPaths} />
      <path class="in" d={path(inside)} />
    </svg>
  );
}

function Ticks({ scale }: { scale: Scale }): VNode {
  return (
    <div class="ticks" aria-hidden="true">
      {scale.ticks.map((tick) => (
        <span key={tick.at} style={{ left: percent(tick.at) }} data-end={tick.at < 0.02 ? "first" : tick.at > 0.98 ? "last" : undefined}>
          {tick.label}
        </span>
      ))}
    </div>
  );
}

type HandleProps = HistogramProps & { title: string; side: Side; scale: Scale; plot: { current: HTMLDivElement | null } };

function Handle({ axis, range, exact, side, scale, plot, title, onNear, onMove, onRelease }: HandleProps): VNode {
  const last = useRef(range);
  const many = axis.edges.length;
  const place = range[side];
  const [least, most] = side === "low" ? [0, range.high] : [range.low, many];
  const bound = shownBound(axis, side, range, exact);
  const move = (to: number): Range => {
    last.current = { ...range, [side]: Math.min(Math.max(to, least), most) };
    onMove?.(last.current, side);
    return last.current;
  };
  const pointed = (event: PointerEvent): void => {
    const box = plot.current!.getBoundingClientRect();
    move(nearest(scale.places, (event.clientX - box.left) / box.width));
  };
  const pressed = (event: KeyboardEvent): void => {
    const to = keyed(event.key, { place, least, most, page: Math.max(1, Math.round(many / 20)) });
    if (to === null) return;
    event.preventDefault();
    const moved = move(to);
    onRelease?.(moved, side);
  };
  return (
    <div
      class="handle"
      role="slider"
      tabIndex={0}
      aria-label={`${title}, ${side === "low" ? "lower" : "upper"} bound`}
      aria-valuemin={least}
      aria-valuemax={most}
      aria-valuenow={place}
      aria-valuetext={bound ? boundText(bound) : "no bound"}
      data-side={side}
      data-set={bound !== null || undefined}
      style={{ left: percent(scale.places[place]) }}
      onFocus={onNear}
      onKeyDown={pressed}
      onPointerDown={(event) => {
        if (event.button !== 0) return;
        event.currentTarget.setPointerCapture(event.pointerId);
        last.current = range;
        onNear?.();
      }}
      onPointerMove={(event) => event.currentTarget.hasPointerCapture(event.pointerId) && pointed(event)}
      onLostPointerCapture={() => onRelease?.(last.current, side)}
    />
  );
}

/** The bound in force while the handle stands where it puts it, else the handle's own. */
function shownBound(axis: Axis, side: Side, range: Range, exact: HistogramProps["exact"]): Bound | null {
  const held = exact?.[side];
  if (!held) return boundAt(axis, side, range[side]);
  const place = placeOf(axis, held) ?? Math.max(0, firstAtLeast(axis.edges, held.value) - 1);
  return place === range[side] ? held : boundAt(axis, side, range[side]);
}

/** The place that a slider's key asks for (APG slider); null for other keys. */
function keyed(key: string, at: { place: number; least: number; most: number; page: number }): number | null {
  const steps: Record<string, number> = {
    ArrowRight: 1, ArrowUp: 1, ArrowLeft: -1, ArrowDown: -1, PageUp: at.page, PageDown: -at.page,
  };
  if (key === "Home") return at.least;
  if (key === "End") return at.most;
  return key in steps ? at.place + steps[key] : null;
}

function nearest(places: Float64Array, part: number): number {
  let best = 0;
  for (let place = 1; place < places.length; place++) {
    if (Math.abs(places[place] - part) < Math.abs(places[best] - part)) best = place;
  }
  return best;
}

function Fields({ axis, range, exact, sides = BOTH, title, onMove, onRelease, onTyped }: HistogramProps & { title: string }): VNode {
  const [said, setSaid] = useState("");
  const commit = (side: Side, text: string): void => {
    setSaid("");
    const number = Number(text);
    if (text.trim() && Number.isNaN(number)) return setSaid(`“${text}” is no number`);
    const bound: Bound = { operator: side === "low" ? ">=" : "<=", value: number };
    if (text.trim() && onTyped) return onTyped(bound);
    const place = text.trim() ? placeOf(axis, bound) : side === "low" ? 0 : axis.edges.length;
    if (place === null) return setSaid(`${number} lies between two steps: ask hdvg filter`);
    const moved = side === "low" ? { low: place, high: Math.max(range.high, place) } : { low: Math.min(range.low, place), high: place };
    onMove?.(moved, side);
    onRelease?.(moved, side);
  };
  return (
    <div class="bounds">
      {sides.map((side) => {
        const bound = shownBound(axis, side, range, exact);
        const sign = bound ? boundText(bound).split(" ")[0] : side === "low" ? "≥" : "≤";
        return (
          <label key={side}>
            <span aria-hidden="true">{sign}</span>
            <span class="visually-hidden">{`${title}, ${side === "low" ? "lower" : "upper"} bound as a number`}</span>
            <Field text={bound ? String(bound.value) : ""} onText={(text) => commit(side, text)} />
          </label>
        );
      })}
      <span class="said" role="status">{said}</span>
    </div>
  );
}

/** What is typed stays until the bound is another. */
function Field({ text, onText }: { text: string; onText(text: string): void }): VNode {
  const input = useRef<HTMLInputElement>(null);
  useLayoutEffect(() => {
    input.current!.value = text;
  }, [text]);
  return <input ref={input} inputMode="decimal" defaultValue={text} placeholder="any" onChange={(event) => onText(event.currentTarget.value)} />;
}
