// Counts by the draft's rules: what is left after each, and histograms of what the others keep. A move counts only the clips that it lets in or out.
import { placeOf } from "../shared/axis";
import type { Measure } from "./data";
import type { Rows } from "./rows";
import { boundOf, type Draft } from "./rules";

export interface Left {
  clips: number;
  seconds: number;
}

export interface Outcome {
  kept: Left;
  /** After each draft in turn. */
  steps: Left[];
}

/** One rule of the draft: by code, whether a value passes; null: it is off. */
interface Step {
  block: string;
  passes: Uint8Array | null;
}

/** A histogram that is looked at: clips by code that fail nothing but what bounds this very block. */
class Watched {
  readonly counts: Uint32Array;
  /** What was given away of it; null once it has changed. */
  shown: Uint32Array | null = null;
  /** The turn in which it was last looked at: what nobody looks at is not counted on. */
  turn = 0;
  private readonly codes: Uint16Array;
  /** By code, whether a value passes what bounds the block. */
  passes: Uint8Array;

  constructor(codes: Uint16Array, passes: Uint8Array, fails: Uint8Array) {
    [this.codes, this.passes, this.counts] = [codes, passes, new Uint32Array(passes.length)];
    for (let row = 0; row < fails.length; row++) {
      const code = codes[row];
      if (fails[row] + passes[code] === 1) this.counts[code]++;
    }
  }

  /** A clip that failed `had` blocks fails `has`. */
  moved(row: number, had: number, has: number): void {
    const code = this.codes[row];
    const passed = this.passes[code];
    const by = Number(has + passed === 1) - Number(had + passed === 1);
    if (by === 0) return;
    this.counts[code] += by;
    this.shown = null;
  }
}

/** Counts over `rows`, kept up to date from one `judge` to the next. */
export class Tally {
  private readonly rows: Rows;
  private readonly known = new WeakMap<Draft, Uint8Array>();
  private readonly watched = new Map<string, Watched>();
  private turn = 0;
  private steps: Step[] = [];
  /** By block: by code, whether a value passes all rules that look at it. */
  private passes = new Map<string, Uint8Array>();
  /** By clip: how many blocks it fails. */
  private readonly fails: Uint8Array;
  /** By clip: 1 + the first step that it fails; 0: none. */
  private readonly firsts: Uint16Array;
  /** By what stands in `firsts`: clips, and their milliseconds. */
  private clips: number[] = [];
  private ms: number[] = [];

  constructor(rows: Rows) {
    this.rows = rows;
    this.fails = new Uint8Array(rows.count);
    this.firsts = new Uint16Array(rows.count);
  }

  /** The blocks that judging by these rules needs. */
  needs(drafts: readonly Draft[]): string[] {
    return drafts.map((one) => this.blockOf(one));
  }

  /** Null until all that it needs is read. */
  judge(drafts: readonly Draft[]): Outcome | null {
    const isRead = this.needs(drafts.filter((one) => one.on)).every((name) => this.rows.codes(name));
    if (!this.rows.lengths || !isRead) return null;
    const next = drafts.map((one): Step => ({ block: this.blockOf(one), passes: one.on ? this.passesOf(one) : null }));
    if (!this.clips.length || next.some((one, place) => this.steps[place] && this.steps[place].block !== one.block)) this.clear();
    this.change(next);
    return this.outcome(next.length);
  }

  /** By code, the clips that all rules on other measures keep, as last judged; the same array while none of it has changed; null until it can be said. */
  histogram(measure: Measure): Uint32Array | null {
    const codes = this.rows.codes(measure.block);
    if (!codes || !this.clips.length) return null;
    let one = this.watched.get(measure.block);
    if (!one) {
      const passes = this.passes.get(measure.block) ?? new Uint8Array(measure.edges.length + 1).fill(1);
      this.watched.set(measure.block, (one = new Watched(codes, passes, this.fails)));
    }
    one.turn = this.turn;
    one.shown ??= one.counts.slice();
    return one.shown;
  }

  private blockOf(one: Draft): string {
    return one.block ?? this.rows.measure(one.column!).block;
  }

  private passesOf(one: Draft): Uint8Array {
    const known = this.known.get(one);
    if (known) return known;
    const made = one.block ? BIT : passing(this.rows.measure(one.column!), one);
    this.known.set(one, made);
    return made;
  }

  /** Judged by no rule at all. */
  private clear(): void {
    const lengths = this.rows.lengths!;
    let ms = 0;
    for (let row = 0; row < lengths.length; row++) ms += lengths[row];
    [this.steps, this.clips, this.ms, this.passes] = [[], [this.rows.count], [ms], new Map()];
    this.fails.fill(0);
    this.firsts.fill(0);
    this.watched.clear();
  }

  /** Take other rules over, one block after the other. */
  private change(next: readonly Step[]): void {
    const before = this.steps;
    const all = Array.from({ length: Math.max(next.length, before.length) }, (_, place): Step => before[place] ?? { block: next[place].block, passes: null });
    const changed = new Set(all.filter((one, place) => one.passes !== (next[place]?.passes ?? null)).map((one) => one.block));
    if (changed.size) {
      for (const [name, one] of this.watched) if (one.turn !== this.turn) this.watched.delete(name);
      this.turn++;
    }
    while (this.clips.length <= all.length) {
      this.clips.push(0);
      this.ms.push(0);
    }
    for (const block of changed) {
      const then = all.map((one, place) => (one.block === block ? { block, passes: next[place]?.passes ?? null } : one));
      this.changeBlock(block, all, then);
      all.splice(0, all.length, ...then);
    }
    this.steps = all.slice(0, next.length);
  }

  private changeBlock(block: string, before: readonly Step[], then: readonly Step[]): void {
    const codes = this.rows.codes(block)!;
    const places = then.flatMap((one, place) => (one.block === block ? [place] : []));
    const [was, now, other] = changes(places, before, then);
    this.passes.set(block, now);
    const own = this.watched.get(block);
    if (own) own.passes = now;
    const charts = [...this.watched.values()].filter((one) => one !== own);
    const search = new Search(then, places[0], this.rows);
    const touched = this.rows.having(block, other);
    for (let at = 0; at < touched.length; at++) {
      const row = touched[at];
      if (this.firsts[row] === 0 || this.firsts[row] > places[0]) this.put(row, search.first(row));
      const had = this.fails[row];
      const has = had + was[codes[row]] - now[codes[row]];
      this.fails[row] = has;
      if (had === has || Math.min(had, has) > 1) continue;
      for (let chart = 0; chart < charts.length; chart++) charts[chart].moved(row, had, has);
    }
  }

  /** A clip's first step that it fails is another. */
  private put(row: number, first: number): void {
    const was = this.firsts[row];
    if (was === first) return;
    const ms = this.rows.lengths![row];
    this.firsts[row] = first;
    this.clips[was]--;
    this.clips[first]++;
    this.ms[was] -= ms;
    this.ms[first] += ms;
  }

  private outcome(many: number): Outcome {
    let [clips, ms] = [this.rows.count, this.ms.reduce((sum, one) => sum + one, 0)];
    const all = { clips, seconds: ms / 1000 };
    const steps = Array.from({ length: many }, (_, place): Left => {
      clips -= this.clips[place + 1];
      ms -= this.ms[place + 1];
      return { clips, seconds: ms / 1000 };
    });
    return { kept: steps[many - 1] ?? all, steps };
  }
}

/** Finds the first step that a clip fails, of those from one on. */
class Search {
  private readonly steps: { place: number; codes: Uint16Array; passes: Uint8Array }[];

  constructor(steps: readonly Step[], from: number, rows: Rows) {
    this.steps = steps.flatMap(({ block, passes }, place) => (passes && place >= from ? [{ place, passes, codes: rows.codes(block)! }] : []));
  }

  /** 1 + its place; 0 where it fails none. */
  first(row: number): number {
    for (let at = 0; at < this.steps.length; at++) {
      const { place, codes, passes } = this.steps[at];
      if (passes[codes[row]] === 0) return place + 1;
    }
    return 0;
  }
}

const BIT = Uint8Array.of(0, 1);

/** By code: whether a value passes all steps at these places, before and then; and whether any of them says other than before. */
function changes(places: readonly number[], before: readonly Step[], then: readonly Step[]): [Uint8Array, Uint8Array, Uint8Array] {
  const tables = places.flatMap((place) => [before[place].passes, then[place].passes]);
  const many = tables.find((one) => one !== null)!.length; // of a block that changes one is there
  const [was, now, other] = [new Uint8Array(many).fill(1), new Uint8Array(many).fill(1), new Uint8Array(many)];
  for (const place of places) {
    const [one, two] = [before[place].passes, then[place].passes];
    for (let code = 0; code < many; code++) {
      const [passed, passes] = [one ? one[code] : 1, two ? two[code] : 1];
      was[code] &= passed;
      now[code] &= passes;
      other[code] |= passed ^ passes;
    }
  }
  return [was, now, other];
}

/** By code, whether a value passes a range; no value passes none. */
function passing(measure: Measure, rule: Draft): Uint8Array {
  const table = new Uint8Array(measure.edges.length + 1);
  const low = rule.low ? placeOf(measure, boundOf("low", rule.low)) : 0;
  const high = rule.high ? placeOf(measure, boundOf("high", rule.high)) : measure.edges.length;
  if (low === null || high === null) throw new Error(`${rule.text}: divides a bin`);
  if (high > low) table.fill(1, low + 1, high + 1);
  return table;
}
