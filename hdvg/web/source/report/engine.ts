// Counts over the clips that the page holds: which rules each breaks, what is left after each rule, histograms of what is left.
import { placeOf } from "../shared/axis";
import { type Data, type Measure, readBlock } from "./data";
import { boundOf, type Draft } from "./rules";

type Codes = Uint32Array | Uint16Array | Uint8Array;

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
  /** By measure, by code: whether it passes the measure's rules. */
  inside: Map<string, Uint8Array>;
}

export class Engine {
  readonly rows: number;
  private readonly measures: Map<string, Measure>;
  private readonly blocks = new Map<string, Codes>();
  private readonly coming = new Map<string, Promise<void>>();

  constructor(data: Data) {
    this.rows = data.held.rows;
    this.measures = new Map(data.measures.map((one) => [one.name, one]));
  }

  /** Reads what is not read yet; the file's end must have been parsed. */
  async load(blocks: Iterable<string>): Promise<void> {
    const wanted = [...blocks].map((name) => {
      if (!this.coming.has(name)) {
        this.coming.set(name, readBlock(name, this.rows).then((codes) => void this.blocks.set(name, codes)));
      }
      return this.coming.get(name)!;
    });
    await Promise.all(wanted);
  }

  has(block: string): boolean {
    return this.blocks.has(block);
  }

  /** The blocks that judging by these rules needs. */
  needs(drafts: readonly Draft[]): string[] {
    return ["ms", ...drafts.map((one) => one.block ?? this.measures.get(one.column!)!.block)];
  }

  /** Null until all that it needs is read. */
  judge(drafts: readonly Draft[]): Outcome | null {
    const on = drafts.filter((one) => one.on);
    if (!this.needs(on).every((name) => this.has(name))) return null;
    const inside = new Map<string, Uint8Array>();
    const fails = new Uint8Array(this.rows);
    for (const one of on) {
      if (one.block) {
        const passes = this.blocks.get(one.block)!;
        for (let row = 0; row < this.rows; row++) fails[row] += 1 - passes[row];
      } else {
        const table = passing(this.measures.get(one.column!)!, one);
        const before = inside.get(one.column!);
        inside.set(one.column!, before ? table.map((pass, code) => pass & before[code]) : table);
      }
    }
    for (const [name, table] of inside) {
      const codes = this.blocks.get(this.measures.get(name)!.block)!;
      for (let row = 0; row < this.rows; row++) fails[row] += 1 - table[codes[row]];
    }
    const steps = this.steps(drafts);
    return { kept: steps.length ? steps[steps.length - 1] : this.everything(), steps, fails, inside };
  }

  /** Counts by code of the clips that all rules on other measures keep; null until it can be said. */
  histogram(outcome: Outcome, measure: Measure): Uint32Array | null {
    const codes = this.blocks.get(measure.block);
    if (!codes) return null;
    const counts = new Uint32Array(measure.edges.length + 1);
    const table = outcome.inside.get(measure.name);
    const { fails } = outcome;
    if (!table) {
      for (let row = 0; row < this.rows; row++) if (fails[row] === 0) counts[codes[row]]++;
    } else {
      for (let row = 0; row < this.rows; row++) if (fails[row] === 1 - table[codes[row]]) counts[codes[row]]++;
    }
    return counts;
  }

  private everything(): Left {
    const ms = this.blocks.get("ms")!;
    let sum = 0;
    for (let row = 0; row < this.rows; row++) sum += ms[row];
    return { clips: this.rows, seconds: sum / 1000 };
  }

  private steps(drafts: readonly Draft[]): Left[] {
    const ms = this.blocks.get("ms")!;
    const left = new Uint32Array(this.rows);
    for (let row = 0; row < this.rows; row++) left[row] = row;
    let { clips, seconds } = this.everything();
    let sum = Math.round(seconds * 1000);
    return drafts.map((one) => {
      if (one.on) {
        const table = one.block ? BIT : passing(this.measures.get(one.column!)!, one);
        const codes = this.blocks.get(one.block ?? this.measures.get(one.column!)!.block)!;
        let to = 0;
        for (let at = 0; at < clips; at++) {
          const row = left[at];
          if (table[codes[row]]) left[to++] = row;
          else sum -= ms[row];
        }
        clips = to;
      }
      return { clips, seconds: sum / 1000 };
    });
  }
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
