// Counts behind the charts: totals once, those of the selection after each change, and a cube while a handle is dragged.
import { computed, effect, signal } from "@preact/signals";
import { type Range, within } from "../shared/axis";
import { post, postFrame, Refusal } from "./api";
import type { Numbers } from "./frame";
import type { Selection } from "./protocol";
import { meta, usable } from "./session";
import { filtersOf, selection } from "./view";

type Counts = ReadonlyMap<string, Numbers>;
interface HistHeader {
  clips: number;
  hours: number;
}
interface CubeHeader {
  column: string;
  share: number;
}

/** By column, of the whole dataset. */
export const totals = signal<Counts>(new Map());
/** By column, of the clips that all but what bounds the column keeps. */
export const others = signal<Counts>(new Map());
/** Clips and hours of the selection; exact. */
export const kept = signal<{ clips: number; hours: number } | null>(null);
export const trouble = signal<string | null>(null);
/** Charts that can be seen. */
export const seen = signal<readonly string[]>([]);

/** What the overview counts: the clips that the draft keeps, of those that the filters look at. */
export const counted = computed<Selection>(() => ({ ...filtersOf(selection.value), rules: usable.value, verdict: "kept" }));

let othersOf = "";
let totalsOf = "";

function told(error: unknown): void {
  if (error instanceof Refusal && error.superseded) return;
  trouble.value = (error as Error).message;
}

/** Whatever the charts that can be seen still lack. */
async function fill(): Promise<void> {
  const columns = seen.value;
  if (!meta.value || columns.length === 0) return;
  const [snapshot, chosen] = [meta.value.snapshot, counted.value];
  const key = snapshot + JSON.stringify(chosen);
  if (totalsOf !== snapshot) totals.value = new Map();
  totalsOf = snapshot;
  const unknown = columns.filter((name) => !totals.value.has(name));
  const outdated = othersOf === key ? columns.filter((name) => !others.value.has(name)) : columns;
  if (unknown.length === 0 && outdated.length === 0) return;
  try {
    if (unknown.length > 0) {
      const all = await postFrame<HistHeader>("/api/hist", { selection: {}, columns: unknown, ask: "totals" });
      totals.value = new Map([...totals.value, ...all.arrays]);
    }
    if (outdated.length > 0) {
      const found = await postFrame<HistHeader>("/api/hist", { selection: chosen, columns: outdated, ask: "hist" });
      if (key !== meta.value.snapshot + JSON.stringify(counted.value)) return;
      others.value = new Map([...(othersOf === key ? others.value : []), ...found.arrays]);
      othersOf = key;
      kept.value = { clips: found.header.clips, hours: found.header.hours };
      if (cube.value && cube.value.key !== cubeKey(cube.value.column)) cube.value = null;
      drag.value = null;
    }
    trouble.value = null;
  } catch (error) {
    told(error);
  }
}

let planned: ReturnType<typeof setTimeout> | undefined;
effect(() => {
  void [seen.value, counted.value, meta.value];
  clearTimeout(planned);
  planned = setTimeout(fill, 30);
});

export interface Cube {
  key: string;
  column: string;
  share: number;
  arrays: ReadonlyMap<string, Numbers>;
  shapes: ReadonlyMap<string, number[]>;
}

export const cube = signal<Cube | null>(null);
/** A handle on its way: the column and where its handles stand. */
export const drag = signal<{ column: string; range: Range } | null>(null);

function cubeKey(column: string): string {
  const { rules: draft = {}, ...rest } = counted.value;
  return `${meta.value?.snapshot} ${column} ${JSON.stringify([draft, rest])}`;
}

let asked = "";
/** The pointer or the focus is near a chart: have its cube, an eighth of the clips first. */
export async function near(column: string): Promise<void> {
  const key = cubeKey(column);
  if (asked === key || drag.value) return;
  asked = key;
  const columns = seen.value.filter((name) => name !== column).slice(0, 12);
  for (const part of ["eighth", "all"]) {
    try {
      const found = await postFrame<CubeHeader>("/api/cube", { selection: counted.value, column, columns, part, ask: `cube-${part}` });
      if (asked !== key) return;
      cube.value = { key, column, share: found.header.share, arrays: found.arrays, shapes: found.shapes };
      if (found.header.share === 1) return;
    } catch (error) {
      if (asked === key) asked = "";
      return told(error);
    }
  }
}

/** What a drag keeps: exact clips from the chart's own counts, hours once the cube is there. */
export const preview = computed<{ clips: number; hours: number | null; about: boolean } | null>(() => {
  const [moved, known] = [drag.value, cube.value];
  const own = moved && others.value.get(moved.column);
  if (!moved || !own) return null;
  const { low, high } = moved.range;
  const open = low === 0 && high === own.length - 1;
  const hours = known?.column === moved.column ? known.arrays.get("hours")! : null;
  return {
    clips: within(own, moved.range) + (open ? own[0] : 0),
    hours: hours && (open ? hours[high] : hours[high] - hours[low]) / known!.share,
    about: known !== null && known.share < 1,
  };
});

/** While another chart's handle moves: this column's counts by coarse bin (index 0: no value); null at rest. */
export function previewOf(column: string): Float64Array | null {
  const [moved, known] = [drag.value, cube.value];
  if (!moved || known?.column !== moved.column || column === moved.column) return null;
  const table = known.arrays.get(column);
  const width = known.shapes.get(column)?.[1];
  if (!table || !width) return null;
  const { low, high } = moved.range;
  const open = low === 0 && high === (known.arrays.get("clips")?.length ?? 0) - 1;
  return Float64Array.from({ length: width }, (_, bin) => (table[high * width + bin] - (open ? 0 : table[low * width + bin])) / known.share);
}

/** The exact count of a selection. */
export async function countOf(chosen: Selection, channel: string): Promise<{ clips: number; hours: number; total: number; total_hours: number }> {
  return post("/api/count", { selection: chosen, ask: channel });
}
