// The grid: every clip of the selection in any order, as tiles that play when pointed at; marks by keys.
import { signal } from "@preact/signals";
import type { VNode } from "preact";
import { useEffect, useMemo, useRef } from "preact/hooks";
import { count } from "../shared/format";
import { canUndo, KEYS, marked, markTrouble, toggle, undo } from "./marking";
import { forgetWanted } from "./media";
import { RowSource } from "./rows";
import { type Scroll, useScroll } from "./scroll";
import { meta, usable } from "./session";
import { Sorting } from "./sorting";
import { Tile } from "./tile";
import { selection, view } from "./view";

const WIDTH = 216;
const NARROW = 158;
const GAP = 12;
const TEXT = 92;

/** Rows of the grid that was shown last: a clip's page goes on through them. */
export const list = signal<RowSource | null>(null);
/** Place of the tile that has, or had, the focus. */
const active = signal(0);

interface Layout {
  columns: number;
  width: number;
  height: number;
}

function layoutOf(width: number): Layout {
  const columns = Math.max(1, Math.floor((width - GAP) / ((width < 560 ? NARROW : WIDTH) + GAP)));
  const tile = (width - GAP) / columns - GAP;
  return { columns, width: tile, height: Math.round((tile * 9) / 16 + TEXT + GAP) };
}

export function Grid(): VNode {
  const source = useSource();
  const total = source.total.value;
  return (
    <div class="grid-page">
      <div class="grid-head">
        <p role="status">
          <strong data-testid="total">{total === null ? "…" : count(total)}</strong> clips
          {source.trouble.value && <span class="lost"> {source.trouble.value}</span>}
        </p>
        <Sorting />
        <GoTo total={total ?? 0} />
        <span class="dim keys">arrows move · Enter opens · k d f mark · u undoes</span>
        <button type="button" disabled={!canUndo()} onClick={() => void undo()}>Undo mark</button>
        <span role="status" class={markTrouble.value ? "lost" : "visually-hidden"}>{markTrouble.value ?? marked.value}</span>
      </div>
      <Tiles source={source} total={total ?? 0} />
      {total === 0 && <p class="empty">No clip is selected. Take a filter away above.</p>}
    </div>
  );
}

function useSource(): RowSource {
  const chosen = { ...selection.value, rules: usable.value };
  const sort = view.value.sort;
  const column = sort?.column;
  const question = { snapshot: meta.value!.snapshot, selection: chosen, sort, columns: column && !["caption", "title", "video_id"].includes(column) ? [column] : [] };
  const key = JSON.stringify(question);
  const source = useMemo(() => {
    const held = list.peek();
    return held && JSON.stringify(held.question) === key ? held : new RowSource(question);
  }, [key]);
  useEffect(() => {
    if (list.peek() !== source) active.value = 0;
    list.value = source;
  }, [source]);
  return source;
}

function GoTo({ total }: { total: number }): VNode | null {
  if (total < 200) return null;
  const jump = (event: Event): void => {
    const place = Number((event.currentTarget as HTMLInputElement).value) - 1;
    if (Number.isInteger(place)) active.value = Math.min(Math.max(place, 0), total - 1);
  };
  return <label>row <input size={8} inputMode="numeric" aria-label="go to row" onChange={jump} /></label>;
}

function Tiles({ source, total }: { source: RowSource; total: number }): VNode {
  const box = useRef<HTMLDivElement>(null);
  const scroll = useScroll(box, (width) => Math.ceil(total / layoutOf(width).columns) * layoutOf(width).height + GAP);
  const layout = layoutOf(scroll.width);
  const first = Math.max(0, Math.floor((scroll.offset - GAP) / layout.height) - 1);
  const end = Math.ceil((scroll.offset + scroll.height) / layout.height) + 1;
  const places = Array.from({ length: Math.max(0, Math.min(end * layout.columns, total) - first * layout.columns) }, (_, step) => first * layout.columns + step);
  useRows(source, first * layout.columns, end * layout.columns);
  useActive(box, scroll, layout);
  void source.arrived.value;
  return (
    <div class="tiles" ref={box} onFocusIn={focused} onKeyDown={(event) => pressed(event, source, { layout, total, page: Math.max(1, Math.floor(scroll.height / layout.height)) })}>
      <div style={{ height: `${scroll.shown}px` }}>
        <div class="layer" role="list" aria-label="clips" style={{ transform: `translateY(${scroll.place(first * layout.height) + GAP}px)`, gridTemplateColumns: `repeat(${layout.columns}, minmax(0, 1fr))`, gridAutoRows: `${layout.height - GAP}px` }}>
          {places.map((place) => {
            const row = source.at(place);
            return row ? (
              <Tile key={row.clip_id} row={row} column={source.question.columns[0]} active={place === active.value} total={total} />
            ) : (
              <div key={place} class="tile" role="listitem" aria-busy="true"><span class="strip coming" /></div>
            );
          })}
        </div>
      </div>
    </div>
  );
}

function useRows(source: RowSource, first: number, end: number): void {
  const total = source.total.value;
  useEffect(() => {
    const timer = setTimeout(() => source.want(first, end), 40);
    return () => clearTimeout(timer);
  }, [source, first, end, total]);
  useEffect(() => forgetWanted, [source]);
}

/** Bring the active tile into sight, and give it the focus where another tile had it. */
function useActive(box: { current: HTMLDivElement | null }, scroll: Scroll, layout: Layout): void {
  const place = active.value;
  useEffect(() => {
    const top = Math.floor(place / layout.columns) * layout.height;
    if (scroll.height > 0) scroll.reveal(top, top + layout.height + GAP);
  }, [place, layout.columns]);
  useEffect(() => {
    const held = document.activeElement;
    if (!held?.matches("[data-tile]") && held !== document.body) return;
    if (held === document.body && place === 0) return;
    box.current?.querySelector<HTMLElement>(`[data-n="${active.peek()}"] [data-tile]`)?.focus({ preventScroll: true });
  });
}

/** The tile that got the focus is the active one; keys may come faster than the focus follows, so they ask `active`. */
function focused(event: FocusEvent): void {
  const tile = (event.target as HTMLElement).closest<HTMLElement>("[data-n]");
  if (tile) active.value = Number(tile.dataset.n);
}

function pressed(event: KeyboardEvent, source: RowSource, at: { layout: Layout; total: number; page: number }): void {
  if (event.ctrlKey || event.metaKey || event.altKey) return;
  const { columns } = at.layout;
  const steps: Record<string, number> = {
    ArrowRight: 1, ArrowLeft: -1, ArrowDown: columns, ArrowUp: -columns, PageDown: columns * at.page, PageUp: -columns * at.page, Home: -at.total, End: at.total,
  };
  const row = source.at(active.value);
  if (event.key in steps) active.value = Math.min(Math.max(active.value + steps[event.key], 0), at.total - 1);
  else if (event.key in KEYS && row) void toggle(row, KEYS[event.key]);
  else if (event.key === "u") void undo();
  else return;
  event.preventDefault();
}
