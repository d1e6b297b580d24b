// The numbers of the clips that the page holds, read when they are needed.
import { type Data, type Measure, readCodes, readLengths } from "./data";

export class Rows {
  readonly count: number;
  /** Of each clip, in milliseconds; null until they are read. */
  lengths: Uint32Array | null = null;
  private readonly measures: Map<string, Measure>;
  private readonly blocks = new Map<string, Uint16Array>();
  private readonly coming = new Map<string, Promise<void>>();
  private reading: Promise<void> | null = null;

  constructor(data: Data) {
    this.count = data.held.rows;
    this.measures = new Map(data.measures.map((one) => [one.name, one]));
  }

  measure(name: string): Measure {
    return this.measures.get(name)!;
  }

  /** Reads what is not read yet; the file's end must have been parsed. */
  async load(blocks: Iterable<string>): Promise<void> {
    const wanted = [...blocks].map((name) => {
      if (!this.coming.has(name)) {
        this.coming.set(name, readCodes(name, this.count).then((codes) => void this.blocks.set(name, codes)));
      }
      return this.coming.get(name)!;
    });
    this.reading ??= readLengths(this.count).then((lengths) => void (this.lengths = lengths));
    await Promise.all([this.reading, ...wanted]);
  }

  /** The code of every clip; undefined until it is read. */
  codes(block: string): Uint16Array | undefined {
    return this.blocks.get(block);
  }

  /** The clips whose code in a block that was read is one of those that are not 0 in `wanted`, ascending. */
  having(block: string, wanted: Uint8Array): Uint32Array {
    const codes = this.blocks.get(block)!;
    const found = new Uint32Array(codes.length);
    let many = 0;
    for (let row = 0; row < codes.length; row++) if (wanted[codes[row]]) found[many++] = row;
    return found.subarray(0, many);
  }
}
