// Binary answers of the server: a header in JSON, then arrays at multiples of 8 (docs/explore-protocol.md).
export type Numbers = Uint8Array | Uint32Array | Int16Array | Float64Array;

interface Entry {
  name: string;
  type: "u1" | "u4" | "i2" | "f8" | "webp";
  shape: number[];
  at: number;
  bytes: number;
}

export interface Frame<Header> {
  header: Header & { arrays: Entry[] };
  arrays: Map<string, Numbers>;
  shapes: Map<string, number[]>;
  pictures: Map<string, Blob>;
}

export function readFrame<Header>(buffer: ArrayBuffer): Frame<Header> {
  const length = new DataView(buffer).getUint32(0, true);
  const header = JSON.parse(new TextDecoder().decode(new Uint8Array(buffer, 4, length)));
  const frame: Frame<Header> = { header, arrays: new Map(), shapes: new Map(), pictures: new Map() };
  for (const entry of header.arrays as Entry[]) {
    const bytes = new Uint8Array(buffer, entry.at, entry.bytes);
    if (entry.type === "webp") frame.pictures.set(entry.name, new Blob([bytes], { type: "image/webp" }));
    else frame.arrays.set(entry.name, numbers(buffer, entry));
    frame.shapes.set(entry.name, entry.shape);
  }
  return frame;
}

function numbers(buffer: ArrayBuffer, { type, at, bytes }: Entry): Numbers {
  if (type === "u1") return new Uint8Array(buffer, at, bytes);
  if (type === "u4") return new Uint32Array(buffer, at, bytes / 4);
  if (type === "i2") return new Int16Array(buffer, at, bytes / 2);
  return new Float64Array(buffer, at, bytes / 8);
}
