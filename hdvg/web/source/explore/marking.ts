// Marks and edited captions: written to the server as they are made, each whole; undo writes what was before.
import { signal } from "@preact/signals";
import { post } from "./api";
import type { Mark, Row } from "./protocol";

export interface Word {
  mark: Mark | null;
  caption: string | null;
  note: string | null;
}

/** What was said in this session, by clip; newer than what rows bring. */
export const words = signal<ReadonlyMap<string, Word>>(new Map());
const steps = signal<readonly { clip: string; before: Word }[]>([]);
export const marked = signal<string>("");
/** The clip that `marked` speaks of; after an undo it names the clip itself. */
const speaksOf = signal<string | null>(null);
export const markTrouble = signal<string | null>(null);

export function wordOn(row: Pick<Row, "clip_id" | "mark" | "edited" | "note">): Word {
  return words.value.get(row.clip_id) ?? { mark: row.mark, caption: row.edited, note: row.note };
}

async function write(clip: string, word: Word, before: Word): Promise<boolean> {
  words.value = new Map(words.value).set(clip, word);
  try {
    await post("/api/annotations", { rows: [{ clip_id: clip, ...word }] });
    markTrouble.value = null;
    return true;
  } catch (error) {
    words.value = new Map(words.value).set(clip, before);
    markTrouble.value = `Not written: ${(error as Error).message}`;
    return false;
  }
}

/** Say something of a clip; what is left out stays as it was. */
export async function say(row: Pick<Row, "clip_id" | "mark" | "edited" | "note">, change: Partial<Word>): Promise<void> {
  const before = wordOn(row);
  const word = { ...before, ...change };
  if (await write(row.clip_id, word, before)) {
    steps.value = [...steps.value, { clip: row.clip_id, before }];
    speaksOf.value = row.clip_id;
    marked.value = "mark" in change ? (word.mark ? `marked ${word.mark}` : "mark taken away") : "written";
  }
}

/** What was done last, unless it was done to another clip. */
export function markedOf(clip: string): string {
  return speaksOf.value === null || speaksOf.value === clip ? marked.value : "";
}

/** The same mark again takes it away. */
export function toggle(row: Pick<Row, "clip_id" | "mark" | "edited" | "note">, mark: Mark): Promise<void> {
  return say(row, { mark: wordOn(row).mark === mark ? null : mark });
}

export const canUndo = (): boolean => steps.value.length > 0;

export async function undo(): Promise<void> {
  const last = steps.value[steps.value.length - 1];
  if (!last) return;
  steps.value = steps.value.slice(0, -1);
  const now = words.value.get(last.clip) ?? last.before;
  if (await write(last.clip, last.before, now)) {
    speaksOf.value = null;
    marked.value = `undone: clip ${last.clip.slice(0, 12)}`;
  }
}

export const KEYS: Record<string, Mark> = { k: "keep", d: "drop", f: "flag" };
