// Pictures and films of clips: strips by 24 at a time, kept while there is room; what a browser can play, else a proxy.
import { signal } from "@preact/signals";
import { getFrame, Refusal } from "./api";
import { meta } from "./session";
import type { Media } from "./protocol";

const KEPT = 600;

/** Address of a clip's strip, or why there is none. */
export interface StripState {
  src: string | null;
  why?: string;
}

const held = new Map<string, StripState>();
const wanted = new Set<string>();
/** Counts up as strips come. */
export const arrived = signal(0);
let planned: ReturnType<typeof setTimeout> | undefined;
let busy = 0;

/** The strip of a clip; asked for where it is not there yet. */
export function stripOf(clip: string): StripState | undefined {
  void arrived.value;
  const state = held.get(clip);
  if (state) {
    held.delete(clip);
    held.set(clip, state); // the newest used stands last
    return state;
  }
  wanted.add(clip);
  clearTimeout(planned);
  planned = setTimeout(ask, 25);
  return undefined;
}

/** Strips that nobody waits for any more, such as of rows that were scrolled past. */
export function forgetWanted(): void {
  wanted.clear();
}

async function ask(): Promise<void> {
  if (busy >= 2 || wanted.size === 0) return;
  const ids = [...wanted].slice(0, meta.value?.limits.strips ?? 24);
  ids.forEach((id) => wanted.delete(id));
  busy += 1;
  try {
    const { pictures, header } = await getFrame<{ missing?: Record<string, string> }>(`/strips?ids=${ids.join(",")}`);
    for (const id of ids) {
      const picture = pictures.get(id);
      hold(id, picture ? { src: URL.createObjectURL(picture) } : { src: null, why: header.missing?.[id] ?? "no picture" });
    }
  } catch (error) {
    ids.forEach((id) => hold(id, { src: null, why: (error as Error).message }));
  } finally {
    busy -= 1;
  }
  arrived.value += 1;
  if (wanted.size > 0) void ask();
}

function hold(id: string, state: StripState): void {
  held.set(id, state);
  for (const [old, { src }] of held) {
    if (held.size <= KEPT) break;
    held.delete(old);
    if (src) URL.revokeObjectURL(src);
  }
}

export interface Playing {
  src: string;
  proxy: boolean;
  /** It may come while it is made: then nothing in it can be sought, and `ended` is the time to take the whole one. */
  growing?: boolean;
}

/** What to give a `<video>` first: the clip itself, or its proxy where this browser says that it cannot play it. */
export function firstSource(clip: string, media: Media): Playing | null {
  if (media.state === "gone") return null;
  const refused = media.type !== null && document.createElement("video").canPlayType(media.type) === "";
  return refused ? growingProxy(clip) : { src: `/media/${clip}`, proxy: false };
}

/** What to try when that broke; null: nothing is left. */
export function nextSource(clip: string, broken: Playing): Playing | null {
  if (!broken.proxy) return growingProxy(clip);
  return broken.growing ? wholeProxy(clip) : null;
}

function growingProxy(clip: string): Playing {
  return { src: `/media/${clip}?as=h264`, proxy: true, growing: true };
}

export function wholeProxy(clip: string): Playing {
  return { src: `/media/${clip}?as=h264&whole=1`, proxy: true };
}

/** Why neither the clip nor its proxy plays, in the server's words. */
export async function whyNot(clip: string): Promise<string> {
  try {
    const answer = await fetch(wholeProxy(clip).src, { headers: { Range: "bytes=0-1" } });
    if (answer.ok) return "This browser plays neither the clip nor its proxy.";
    throw new Refusal(answer.status, String((await answer.json()).error));
  } catch (error) {
    return (error as Error).message;
  }
}
