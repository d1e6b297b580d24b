// What the server is asked and what it answers (docs/explore-protocol.md).
export type Mark = "keep" | "drop" | "flag";
export type Rules = Record<string, string>;
/** JSON has no NaN and no infinities. */
export type Loose = number | "NaN" | "Infinity" | "-Infinity" | null;

export interface Column {
  name: string;
  kind: "number" | "integer" | "boolean" | "text" | "list";
  about: string;
  home: string;
  known: number;
  least: Loose;
  most: Loose;
  edges?: Loose[];
  coarse?: number[];
  values?: string[];
  lossless?: boolean;
}

export interface RuleEnd {
  value: Loose;
  closed: boolean;
  share: number | null;
}

export interface MetaRule {
  name: string;
  text: string;
  column: string | null;
  low: RuleEnd | null;
  high: RuleEnd | null;
}

export interface Meta {
  snapshot: string;
  name: string;
  version: string;
  recipe: string;
  clips: number;
  hours: number;
  author: string;
  columns: Column[];
  rules: MetaRule[];
  has: { embeddings: boolean; previews: boolean; annotations: boolean };
  limits: { rows: number; strips: number; sql_s: number; sql_rows: number };
}

export interface Bounds {
  column: string;
  low?: number | null;
  low_closed?: boolean;
  high?: number | null;
  high_closed?: boolean;
}

export interface Selection {
  rules?: Rules;
  verdict?: "kept" | "dropped";
  broken?: string[];
  bounds?: Bounds[];
  only?: { column: string; values: (string | boolean | null)[] }[];
  sql?: string;
  text?: string;
  marks?: (Mark | "none")[];
  polygon?: [number, number][];
  like?: string;
}

export interface Sort {
  column: string;
  descending: boolean;
}

export interface Media {
  state: "file" | "shard" | "source" | "gone";
  codec: string | null;
  type: string | null;
  why: string | null;
}

export interface Row {
  clip_id: string;
  video_id: string;
  n: number;
  duration_s: number;
  start_s: number;
  end_s: number;
  width: number;
  height: number;
  fps: number;
  title: string | null;
  source: string | null;
  caption: string | null;
  captioner: string | null;
  keep: boolean | null;
  reasons: string[];
  media: Media;
  mark: Mark | null;
  note: string | null;
  edited: string | null;
  likeness?: number;
  values: Record<string, unknown>;
}

export interface Rows {
  snapshot: string;
  total: number;
  offset: number;
  rows: Row[];
}

export interface Total {
  clips: number;
  hours: number;
  share?: number;
}

export interface WhatIf {
  all: Total;
  before: Total;
  after: Total;
  newly_kept: Total;
  newly_dropped: Total;
  to_measure: Total & { measures: Record<string, number> };
  rules: { rule: string; asks: string; was: string | null; breaks: number; alone: number; alone_so_far: number; unmeasured: number; not_taken: number }[];
  sets: string[];
  notes: string[];
  funnel: { rule: string; clips: number; hours: number }[];
  command: string | null;
}
