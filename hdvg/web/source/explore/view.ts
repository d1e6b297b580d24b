// What is shown and which clips: kept in the hash, so that a view is a link; a link never brings SQL to run by itself.
import { computed, signal } from "@preact/signals";
import type { Bounds, Mark, Rules, Selection, Sort } from "./protocol";

export const PAGES = ["overview", "grid", "clip", "map", "sql", "compare", "marks", "run"] as const;
export type Page = (typeof PAGES)[number];

export interface View extends Selection {
  page: Page;
  /** `clip_id` of a clip's page. */
  arg: string;
  sort?: Sort;
  /** Text of the SQL page. */
  query?: string;
  /** Names of two recipes. */
  a?: string;
  b?: string;
}

const ID = /^[0-9a-f]{8,64}$/;
const WORD = /^[a-z_][a-z0-9_]{0,80}$/;
const MARKS: readonly unknown[] = ["keep", "drop", "flag", "none"];

const isText = (value: unknown): value is string => typeof value === "string" && value.length <= 20_000;
const isName = (value: unknown): boolean => isText(value) && WORD.test(value);
const isNumber = (value: unknown): boolean => value === null || value === undefined || Number.isFinite(value);
const isList = (value: unknown, of: (entry: any) => boolean): boolean => Array.isArray(value) && value.length <= 1000 && value.every(of);

/** What each part of a link must look like; what does not is left out. */
const CHECKS: Record<string, (value: any) => boolean> = {
  rules: (value: Rules) => typeof value === "object" && value !== null && Object.entries(value).every(([name, text]) => isName(name) && isText(text)),
  verdict: (value) => value === "kept" || value === "dropped",
  broken: (value) => isList(value, isName),
  bounds: (value) => isList(value, (bound: Bounds) => isName(bound?.column) && isNumber(bound.low) && isNumber(bound.high)),
  only: (value) => isList(value, (entry) => isName(entry?.column) && Array.isArray(entry.values)),
  sql: isText,
  text: isText,
  marks: (value) => isList(value, (mark: Mark) => MARKS.includes(mark)),
  polygon: (value) => isList(value, (point) => Array.isArray(point) && point.length === 2 && point.every(Number.isFinite)),
  like: (value) => isText(value) && ID.test(value),
  sort: (value: Sort) => isName(value?.column),
  query: isText,
  a: isText,
  b: isText,
};
const TEXTS = new Set(["verdict", "sql", "text", "like", "query", "a", "b"]);

export function parseView(hash: string): View {
  const [path, search = ""] = hash.replace(/^#\/?/, "").split(/\?(.*)/s);
  const [page, arg = ""] = path.split("/");
  const view: View = { page: PAGES.find((name) => name === page) ?? "overview", arg: ID.test(arg) ? arg : "" };
  for (const [key, text] of new URLSearchParams(search)) {
    try {
      const value = TEXTS.has(key) ? text : JSON.parse(text);
      if (CHECKS[key]?.(value)) (view as any)[key] = value;
    } catch {
      // no JSON: as if it were not there
    }
  }
  return view;
}

export function linkTo(view: View): string {
  const search = new URLSearchParams();
  for (const key of Object.keys(CHECKS)) {
    const value = (view as any)[key];
    const empty = value === undefined || value === "" || (Array.isArray(value) && value.length === 0);
    if (!empty) search.set(key, TEXTS.has(key) ? value : JSON.stringify(value));
  }
  const text = search.toString();
  return `#/${view.page}${view.arg ? `/${view.arg}` : ""}${text ? `?${text}` : ""}`;
}

export const view = signal<View>(parseView(location.hash));

function follow(): void {
  const next = parseView(location.hash);
  if (linkTo(next) !== linkTo(view.peek())) view.value = next;
}
window.addEventListener("hashchange", follow);
window.addEventListener("popstate", follow);

export const page = computed(() => view.value.page);

/** Show something else; `quiet` leaves no step in the history. */
export function go(patch: Partial<View>, { quiet = false } = {}): void {
  const link = linkTo({ ...view.value, ...("page" in patch && !("arg" in patch) ? { arg: "" } : {}), ...patch });
  if (quiet) history.replaceState(null, "", link);
  else if (link !== location.hash) history.pushState(null, "", link);
  view.value = parseView(link);
}

/** Conditions that the person wrote or approved in this session, and the dataset's own rules. */
export const approved = signal<ReadonlySet<string>>(new Set());
export function approve(...texts: string[]): void {
  approved.value = new Set([...approved.value, ...texts]);
}

const NUMBER = String.raw`[-+]?(?:\d+\.?\d*|\.\d+)(?:[eE][-+]?\d+)?`;
const END = String.raw`(?:${NUMBER}|quantile\(\s*${NUMBER}\s*\))`;
const PLAIN = new RegExp(String.raw`^\s*(?:[a-z_]\w*\s*(?:<=|>=|<|>)\s*${END}|${END}\s*<=?\s*[a-z_]\w*\s*<=?\s*${END})\s*$`);

/** Whether a rule bounds a measure and is nothing else; other texts are SQL. */
export function isPlain(text: string): boolean {
  return PLAIN.test(text);
}

/** SQL that came with a link and waits for a person's word. */
export const waiting = computed<string[]>(() => {
  const { sql, rules = {} } = view.value;
  const texts = [...(sql ? [sql] : []), ...Object.values(rules).filter((text) => !isPlain(text))];
  return texts.filter((text) => !approved.value.has(text));
});

/** The clips that are selected: what may be sent. */
export const selection = computed<Selection>(() => {
  const { verdict, broken, bounds, only, sql, text, marks, polygon, like, rules } = view.value;
  const known = rules && Object.fromEntries(Object.entries(rules).filter(([, rule]) => isPlain(rule) || approved.value.has(rule)));
  const all: Selection = { rules: known, verdict, broken, bounds, only, text, marks, polygon, like };
  if (sql && approved.value.has(sql)) all.sql = sql;
  return JSON.parse(JSON.stringify(all));
});

/** The same without what the verdict says: which clips are looked at, kept or not. */
export function filtersOf(selected: Selection): Selection {
  const { rules: _rules, verdict: _verdict, broken: _broken, ...filters } = selected;
  return filters;
}
