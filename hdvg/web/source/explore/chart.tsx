// One measure's chart on the overview: a histogram whose handles are thresholds of the draft, or the values of a text.
import type { VNode } from "preact";
import { useEffect, useRef } from "preact/hooks";
import { type Axis, type Bound, type Range, type Side, within } from "../shared/axis";
import { areSame, each } from "../shared/each";
import { count } from "../shared/format";
import { Histogram } from "../shared/histogram";
import { Text } from "../shared/text";
import { cube, drag, near, others, preview, previewOf, seen, totals } from "./counts";
import type { Numbers } from "./frame";
import type { Column } from "./protocol";
import { axisOf, bind, boundsOn, endsAt, number, rangeOf, rules } from "./session";
import { go, view } from "./view";

const EMPTY = new Uint32Array(0);
const onScreen = new Map<Element, string>();
const watcher = new IntersectionObserver((entries) => {
  const names = new Set(seen.value);
  for (const { target, isIntersecting } of entries) {
    const name = onScreen.get(target);
    if (name && isIntersecting) names.add(name);
    else if (name) names.delete(name);
  }
  seen.value = [...names];
});

export function Chart({ column }: { column: Column }): VNode {
  const place = useRef<HTMLElement>(null);
  useEffect(() => {
    const element = place.current!;
    onScreen.set(element, column.name);
    watcher.observe(element);
    return () => {
      watcher.unobserve(element);
      onScreen.delete(element);
      seen.value = seen.value.filter((name) => name !== column.name);
    };
  }, [column.name]);
  const axis = column.kind === "boolean" ? null : axisOf(column);
  return (
    <section class="chart panel" ref={place} data-column={column.name} title={column.about}>
      {axis ? <Measure column={column} axis={axis} /> : column.values || column.kind === "boolean" ? <Values column={column} /> : <Silent column={column} />}
    </section>
  );
}

const movedTo = each((column: Column) => (drag.value?.column === column.name ? drag.value.range : null));
const liveOf = each((column: Column) => previewOf(column.name));
const endsOn = each((column: Column, before: ReturnType<typeof boundsOn> | undefined) => {
  const now = boundsOn(column.name);
  const stays = before && areSame(before.low, now.low) && areSame(before.high, now.high) && before.names.low === now.names.low && before.names.high === now.names.high;
  return stays ? before : now;
});

function Measure({ column, axis }: { column: Column; axis: Axis }): VNode {
  const all = totals.value.get(column.name) ?? EMPTY;
  const own = others.value.get(column.name) ?? EMPTY;
  const ends = endsOn(column);
  const range = movedTo(column) ?? rangeOf(axis, ends);
  const live = liveOf(column);
  const names = [...new Set([ends.names.low, ends.names.high].filter(Boolean))].join(", ");
  return (
    <>
      <Histogram
        axis={axis}
        all={all}
        others={own}
        range={range}
        exact={ends}
        live={live && column.coarse ? { counts: live, starts: column.coarse } : null}
        summary={<Summary column={column} own={own} all={all} range={range} live={live} />}
        onNear={() => void near(column.name)}
        onMove={(to) => {
          drag.value = { column: column.name, range: to };
        }}
        onRelease={(to, side) => release(column, axis, to, side)}
        onTyped={(bound) => bind(column.name, bound.operator.startsWith(">") ? "low" : "high", bound)}
      />
      <p class="chart-foot dim">
        {names ? `rule ${names}` : "no rule"}
        {column.known === 0 && " · never measured"}
      </p>
    </>
  );
}

/** The new threshold goes into the draft; nothing is asked where the handle came back to its place. */
function release(column: Column, axis: Axis, to: Range, side: Side): void {
  const before = boundsOn(column.name);
  if (to[side] === rangeOf(axis, before)[side]) {
    drag.value = null;
    return;
  }
  const after: Bound | null = endsAt(axis, to, side, before)[side];
  drag.value = { column: column.name, range: to };
  bind(column.name, side, after);
}

type SummaryProps = { column: Column; own: Numbers; all: Numbers; range: Range; live: Float64Array | null };

function Summary({ own, all, range, live }: SummaryProps): VNode | null {
  if (own.length === 0) return <span class="dim">…</span>;
  const open = range.low === 0 && range.high === own.length - 1;
  const clips = live ? live.reduce((sum, part) => sum + part, 0) : within(own, range) + (open ? own[0] : 0);
  const about = live !== null && (cube.value?.share ?? 1) < 1;
  return (
    <span>
      <strong>{(about ? "~" : "") + count(clips)}</strong> kept{all[0] > 0 && ` · ${count(all[0])} without`}
    </span>
  );
}

function Values({ column }: { column: Column }): VNode {
  const all = totals.value.get(column.name) ?? EMPTY;
  const own = others.value.get(column.name) ?? EMPTY;
  const chosen = view.value.only?.find((entry) => entry.column === column.name)?.values ?? [];
  const most = Math.max(1, ...all);
  const named: (string | boolean)[] = column.values ?? (column.edges ?? []).map((edge) => number(edge) > 0);
  const rows = [...named.map((value, place) => ({ value: value as string | boolean | null, code: place + 1 })), { value: null, code: 0 }];
  const shown = rows.filter(({ code }) => all[code] > 0).slice(0, 40);
  const toggle = (value: string | boolean | null): void => {
    const values = chosen.includes(value) ? chosen.filter((entry) => entry !== value) : [...chosen, value];
    const rest = (view.value.only ?? []).filter((entry) => entry.column !== column.name);
    go({ only: values.length ? [...rest, { column: column.name, values }] : rest });
  };
  return (
    <div class="values">
      <h3 class="mono">{column.name}</h3>
      <ul>
        {shown.map(({ value, code }) => (
          <li key={code}>
            <button type="button" class="value" aria-pressed={chosen.includes(value)} onClick={() => toggle(value)}>
              <span class="name">{value === null ? <i>none or other</i> : typeof value === "boolean" ? (value ? "yes" : "no") : <Text value={value} />}</span>
              <span class="number">{count(own[code] ?? 0)}</span>
              <span class="bar" aria-hidden="true">
                <i class="whole" style={{ width: `${(100 * all[code]) / most}%` }} />
                <i class="part" style={{ width: `${(100 * (own[code] ?? 0)) / most}%` }} />
              </span>
            </button>
          </li>
        ))}
      </ul>
    </div>
  );
}

function Silent({ column }: { column: Column }): VNode {
  return (
    <>
      <h3 class="mono">{column.name}</h3>
      <p class="dim">No values to draw.</p>
    </>
  );
}

/** Names of columns that a rule of the draft bounds; their charts come first. */
export function ruledColumns(columns: readonly Column[]): Set<string> {
  const texts = Object.values(rules.value);
  return new Set(columns.filter(({ name }) => texts.some((text) => new RegExp(`\\b${name}\\b`).test(text))).map(({ name }) => name));
}

/** The line of a drag for people who hear the page: what is kept now. */
export function spoken(): string {
  return preview.value ? `${count(preview.value.clips)} clips kept` : "";
}

