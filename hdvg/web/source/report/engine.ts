// Counts over the clips that the page holds: which rules each breaks, what is left after each rule, histograms of what is left.
import { placeOf } from "../shared/axis";
import { type Data, type Measure, readCodes, readLengths } from "./data";
import { boundOf, type Draft } from "./rules";

export interface Left {
  clips: number;
  seconds: number;
}

export interface Outcome {
  kept: Left;
  /** After each draft in turn. */
  steps: Left[];
  /** By clip: how many measures and conditions it fails. */
  fails: Uint8Array;
  /** By block, by code: whether it passes the rules that look at it. */
  tables: Map<string, Uint8Array>;
  /** The clips that fail one at most. */
  near: Uint32Array;
}

interface Step {
  key: string;
  /** The clips that are left after it, and their milliseconds. */
  rows: Uint32Array;
  ms: number;
}

export class Engine {
  readonly rows: number;
  private readonly measures: Map<string, Measure>;
  private readonly blocks = new Map<string, Uint16Array>();
  private readonly coming = new Map<string, Promise<void>>();
  private last: { tables: Map<string, Uint8Array>; fails: Uint8Array };
  private readonly taken: Step[] = [];
  private first: Step | null = null;
  private ms: Uint32Array | null = null;
  private reading: Promise<void> | null = null;

  constructor(data: Data) {
    this.rows = data.held.rows;
    this.measures = new Map(data.measures.map((one) => [one.name, one]));
    this.last = { tables: new Map(), fails: new Uint8Array(this.rows) };
  }

  /** Reads what is not read yet; the file's end must have been parsed. */
  async load(blocks: Iterable<string>): Promise<void> {
    const wanted = [...blocks].map((name) => {
      if (!this.coming.has(name)) {
        this.coming.set(name, readCodes(name, this.rows).then((codes) => void this.blocks.set(name, codes)));
      }
      return this.coming.get(name)!;
    });
    this.reading ??= readLengths(this.rows).then((lengths) => void (this.ms = lengths));
    await Promise.all([this.reading, ...wanted]);
  }

  has(block: string): boolean {
    return this.blocks.has(block);
  }

  /** The blocks that judging by these rules needs. */
  needs(drafts: readonly Draft[]): string[] {
    return drafts.map((one) => this.blockOf(one));
  }

  /** Null until all that it needs is read. Only what differs from the last time is counted anew. */
  judge(drafts: readonly Draft[]): Outcome | null {
    const on = drafts.filter((one) => one.on);
    if (!this.ms || !this.needs(on).every((name) => this.has(name))) return null;
    const tables = this.tables(on);
    const fails = this.failsBy(tables);
    const steps = this.steps(drafts);
    this.last = { tables, fails };
    const kept = steps.length ? steps[steps.length - 1] : this.everything();
    return { kept, steps, fails, tables, near: nearly(fails) };
  }

  /** Counts by code of the clips that all rules on other measures keep; null until it can be said. */
  histogram(outcome: Outcome, measure: Measure): Uint32Array | null {
    const codes = this.blocks.get(measure.block);
    if (!codes) return null;
    const counts = new Uint32Array(measure.edges.length + 1);
    const table = outcome.tables.get(measure.block) ?? new Uint8Array(measure.edges.length + 1).fill(1);
    const { fails, near } = outcome;
    for (let at = 0; at < near.length; at++) {
      const row = near[at];
      const code = codes[row];
      if (fails[row] + table[code] === 1) counts[code]++;
    }
    return counts;
  }

  /** By block, by code: whether it passes the rules that look at it. */
  private tables(on: readonly Draft[]): Map<string, Uint8Array> {
    const tables = new Map<string, Uint8Array>();
    for (const one of on) {
      const table = this.tableOf(one);
      const before = tables.get(this.blockOf(one));
      tables.set(this.blockOf(one), before ? table.map((pass, code) => pass & before[code]) : table);
    }
    return tables;
  }

  private failsBy(tables: Map<string, Uint8Array>): Uint8Array {
    const fails = new Uint8Array(this.last.fails);
    for (const name of new Set([...tables.keys(), ...this.last.tables.keys()])) {
      const now = tables.get(name);
      const before = this.last.tables.get(name);
      const more = Int8Array.from({ length: (now ?? before)!.length }, (_, code) => (before?.[code] ?? 1) - (now?.[code] ?? 1));
      if (more.every((one) => one === 0)) continue;
      const codes = this.blocks.get(name)!;
      for (let row = 0; row < this.rows; row++) fails[row] += more[codes[row]];
    }
    return fails;
  }

  private blockOf(one: Draft): string {
    return one.block ?? this.measures.get(one.column!)!.block;
  }

  private tableOf(one: Draft): Uint8Array {
    return one.block ? BIT : passing(this.measures.get(one.column!)!, one);
  }

  private everything(): Left {
    let sum = 0;
    const lengths = this.ms!;
    for (let row = 0; row < this.rows; row++) sum += lengths[row];
    return { clips: this.rows, seconds: sum / 1000 };
  }

  /** What is left after each draft; those before the first that has changed are remembered. */
  private steps(drafts: readonly Draft[]): Left[] {
    const keys = drafts.map((one) => `${one.on}|${this.blockOf(one)}|${JSON.stringify([one.low, one.high])}`);
    let same = 0;
    while (same < this.taken.length && this.taken[same].key === keys[same]) same++;
    this.taken.length = same;
    for (let place = same; place < drafts.length; place++) {
      const before = this.taken[place - 1] ?? this.start();
      const { rows, ms } = drafts[place].on ? this.step(drafts[place], before) : before;
      this.taken.push({ key: keys[place], rows, ms });
    }
    return this.taken.map((one) => ({ clips: one.rows.length, seconds: one.ms / 1000 }));
  }

  private start(): Step {
    this.first ??= { key: "", rows: Uint32Array.from({ length: this.rows }, (_, row) => row), ms: Math.round(this.everything().seconds * 1000) };
    return this.first;
  }

  private step(one: Draft, before: Step): Omit<Step, "key"> {
    const table = this.tableOf(one);
    const codes = this.blocks.get(this.blockOf(one))!;
    const lengths = this.ms!;
    const rows = new Uint32Array(before.rows.length);
    let [to, ms] = [0, before.ms];
    for (let at = 0; at < before.rows.length; at++) {
      const row = before.rows[at];
      if (table[codes[row]]) rows[to++] = row;
      else ms -= lengths[row];
    }
    return { rows: rows.subarray(0, to), ms };
  }
}

/** Clips that fail one measure or condition at most: all that a histogram counts. */
function nearly(fails: Uint8Array): Uint32Array {
  const found = new Uint32Array(fails.length);
  let to = 0;
  for (let row = 0; row < fails.length; row++) if (fails[row] <= 1) found[to++] = row;
  return found.subarray(0, to);
}

const BIT = Uint8Array.of(0, 1);

/** By code, whether a value passes a range; no value passes none. */
function passing(measure: Measure, rule: Draft): Uint8Array {
  const table = new Uint8Array(measure.edges.length + 1);
  const low = rule.low ? placeOf(measure, boundOf("low", rule.low)) : 0;
  const high = rule.high ? placeOf(measure, boundOf("high", rule.high)) : measure.edges.length;
  if (low === null || high === null) throw new Error(`${rule.text}: divides a bin`);
  if (high > low) table.fill(1, low + 1, high + 1);
  return table;
}
