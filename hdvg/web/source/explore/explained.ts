// Answer of `/api/clip/ID`: what `hdvg explain --json` says, and what the page shows beside it.
import type { Mark, Media } from "./protocol";

export interface RuleSaid {
  rule: string;
  asks: string;
  value: number | string | boolean | null;
  threshold: number | (number | null)[] | null;
  margin: number | null;
  passes: boolean | null;
}

export interface Neighbour {
  clip_id: string;
  start_s: number;
  end_s: number;
  opens_with: string | null;
  closes_with: string | null;
  keep: boolean | null;
  here: boolean;
}

export interface Explained {
  clip_id: string;
  verdict: string;
  reasons: string[];
  rules: RuleSaid[];
  measures: Record<string, unknown>;
  span: { time_base: string; start_frame: number; end_frame: number; n_frames: number; start_s: number; end_s: number };
  given: Record<string, unknown>;
  captions: { writer: string; kind: string; text: string | null; captioner: string | null; model: string | null; best: boolean; sound: boolean | null; similarity: number | null; agreement: number | null }[];
  clip: { clip_sha256?: string; clip_bytes?: number; clip_width?: number; clip_height?: number } | null;
  failures: Record<string, unknown>[];
  video: { video_id: string; source: string | null; title: string | null; licence: string | null; sha256: string | null; fetched_at: string | null };
  media: Media;
  frames: number;
  neighbours: Neighbour[];
  duplicates: { clip_id: string; how: string; bits: number | null; stays: boolean }[];
  annotations: { author: string; written_at: string; mark: Mark | null; caption: string | null; note: string | null }[];
  command: string;
}

/** What of a clip a mark is put on. */
export function wordRow(clip: Explained): { clip_id: string; mark: Mark | null; edited: string | null; note: string | null } {
  const newest = clip.annotations[0];
  return { clip_id: clip.clip_id, mark: newest?.mark ?? null, edited: newest?.caption ?? null, note: newest?.note ?? null };
}
