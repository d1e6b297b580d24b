// What the report's file holds: figures as JSON, the clips' numbers as blocks of text that are read when they are needed.
import type { Axis } from "../shared/axis";

export type Cell = string | number | boolean | null;
export type Row = Record<string, Cell>;

export interface End {
  value: number;
  closed: boolean;
  /** Of a quantile. */
  share: number | null;
}

export interface RuleData {
  name: string;
  text: string;
  /** The measure that it bounds; null: `block` says which clips pass. */
  column: string | null;
  block: string | null;
  low: End | null;
  high: End | null;
}

export interface Clip {
  clip_id: string;
  video_id: string;
  duration_s: number;
  start_s: number;
  width: number;
  height: number;
  keep: boolean;
  reasons: string[];
  caption: string | null;
  title: string | null;
  source: string;
}

export interface OnShelf {
  clip_id: string;
  value: number | string | null;
}

export interface Shelf {
  rule: string;
  text: string;
  measure: string | null;
  threshold: number | null;
  passing: OnShelf[];
  broken: OnShelf[];
}

export interface Side {
  clips: number;
  hours: number;
}

export interface Compared {
  a: string;
  b: string;
  by: string;
  sides: { name: string; about: string; clips: number; hours: number; rows: OnShelf[] }[];
  rules: { rule: string; a: string | null; b: string | null }[];
  clips: Record<string, Clip>;
}

export interface Figures {
  dataset: string;
  recipe: string;
  about: string;
  made_at: string;
  totals: { links: number; videos: number; clips: number; hours: number; kept: number; kept_hours: number };
  rules: (Row & { rule: string; asks: string; left: number; left_hours: number; breaks: number; alone: number; unmeasured: number })[];
  captions: { [name: string]: unknown; words: Row[]; writers: Row[]; hd_vg_sample: Row } | null;
  provenance: { [name: string]: unknown; recipe_toml: string; hdvg: string };
  overlap: number[][];
  running: boolean;
  damaged: string[];
  [table: string]: unknown;
}

export interface Measure extends Axis {
  name: string;
  about: string;
  boolean: boolean;
  /** Of all clips, by code. */
  counts: number[];
  ruled: boolean;
  /** Whether the page holds its numbers. */
  held: boolean;
  /** The name of its block. */
  block: string;
}

export interface Data {
  figures: Figures;
  held: { rows: number; clips: number };
  rules: RuleData[];
  shelves: Shelf[];
  clips: Record<string, Clip>;
  compared: Compared | null;
  left_out: string[];
  measures: Measure[];
}

/** The figures; what lies behind the script is read by `block` and `strips`. */
export function readData(): Data {
  const data = JSON.parse(textOf("data")) as Data;
  data.measures = data.measures.map((one, number) => ({
    ...one,
    measure: one.name,
    edges: doubles(one.edges as unknown as string),
    least: Number(one.least),
    most: Number(one.most),
    block: String(number),
  }));
  return data;
}

/** Pictures by clip, as base64. */
export function readStrips(): Record<string, string> {
  return JSON.parse(textOf("strips")) as Record<string, string>;
}

/** Codes of the held clips: one type for all, so that loops over them stay fast. */
export async function readCodes(name: string, rows: number): Promise<Uint16Array> {
  return combined(await inflated(name), new Uint16Array(rows));
}

export async function readLengths(rows: number): Promise<Uint32Array> {
  return combined(await inflated("ms"), new Uint32Array(rows));
}

/** Whole numbers from their planes of bytes, the lowest first. */
function combined<Whole extends Uint16Array | Uint32Array>(planes: Uint8Array, values: Whole): Whole {
  for (let plane = 0; plane * values.length < planes.length; plane++) {
    const weight = 256 ** plane;
    for (let row = 0, at = plane * values.length; row < values.length; row++, at++) values[row] += planes[at] * weight;
  }
  return values;
}

async function inflated(name: string): Promise<Uint8Array> {
  const element = document.getElementById(`rows-${name}`)!;
  const packed = bytes(element.textContent ?? "");
  element.remove();
  const stream = new Blob([packed as BlobPart]).stream().pipeThrough(new DecompressionStream("deflate"));
  return new Uint8Array(await new Response(stream).arrayBuffer());
}

function textOf(id: string): string {
  return document.getElementById(id)?.textContent ?? "null";
}

function doubles(text: string): Float64Array {
  const raw = bytes(text);
  return new Float64Array(raw.buffer, 0, raw.length / 8);
}

function bytes(text: string): Uint8Array {
  const own = Uint8Array as unknown as { fromBase64?: (text: string) => Uint8Array };
  if (own.fromBase64) {
    const read = own.fromBase64(text);
    return read.byteOffset === 0 && read.buffer.byteLength === read.length ? read : read.slice();
  }
  return Uint8Array.from(atob(text), (character) => character.charCodeAt(0));
}
