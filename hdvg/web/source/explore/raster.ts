// Draws up to a million points of the map into a picture: lighter where more lie, or in the colour of a measure's code; many of them into cells.
import type { Numbers } from "./frame";

/** Which part of the map is seen: its centre, in the map's units, and units a pixel. */
export interface Camera {
  x: number;
  y: number;
  unit: number;
}

export interface Points {
  x: Numbers;
  y: Numbers;
}

export const REACH = 32767;

const CELLS_FROM = 300_000;
/** Points that are drawn while the map moves. */
const QUICK = 200_000;

/** How points are drawn: their size in pixels of the page; of so many that nobody sees them one by one, cells of the picture are counted instead, `quick` points at first. */
export function grainOf(many: number): { size: number; cell: number; quick: number } {
  if (many >= CELLS_FROM) return { size: 1, cell: 2, quick: QUICK };
  return { size: many < 3000 ? 6 : many < 30_000 ? 4 : 3, cell: 0, quick: many };
}

/** A camera that sees all the points, with a margin. */
export function wholeMap(width: number, height: number): Camera {
  return { x: 0, y: 0, unit: (2.08 * REACH) / Math.max(Math.min(width, height), 1) };
}

export function toScreen(camera: Camera, width: number, height: number, [x, y]: readonly [number, number]): [number, number] {
  return [width / 2 + (x - camera.x) / camera.unit, height / 2 - (y - camera.y) / camera.unit];
}

export function toMap(camera: Camera, width: number, height: number, [px, py]: readonly [number, number]): [number, number] {
  return [camera.x + (px - width / 2) * camera.unit, camera.y - (py - height / 2) * camera.unit];
}

const LOW = [64, 84, 178];
const MIDDLE = [42, 160, 148];
const HIGH = [232, 170, 40];

/** 256 colours, as the bytes of a picture, for codes 0 (no value) to `most`. */
export function palette(most: number): Uint32Array {
  return Uint32Array.from({ length: 256 }, (_, code) => {
    if (code === 0) return pack([140, 140, 140], 90);
    const part = most > 1 ? (Math.min(code, most) - 1) / (most - 1) : 0.5;
    const [from, to, along] = part < 0.5 ? [LOW, MIDDLE, part * 2] : [MIDDLE, HIGH, part * 2 - 1];
    return pack(from.map((channel, at) => channel + (to[at] - channel) * along), 255);
  });
}

function pack([red, green, blue]: number[], alpha: number): number {
  return ((alpha << 24) | (Math.round(blue) << 16) | (Math.round(green) << 8) | Math.round(red)) >>> 0;
}

export interface Drawing {
  points: Points;
  camera: Camera;
  /** Codes of the points with their palette; without them the number of points is drawn, in `ink`. */
  colours: { codes: Numbers; palette: Uint32Array } | null;
  ink: [number, number, number];
  /** Of a point, in pixels of the picture. */
  size: number;
  /** Draw only so many points, the first: a fair sample of all. */
  most: number;
}

export function draw(picture: ImageData, drawing: Drawing): void {
  const pixels = new Uint32Array(picture.data.buffer);
  const corners = cornersOf(picture, drawing);
  if (drawing.colours) return coloured(picture, pixels, corners, drawing);
  const many = new Uint16Array(pixels.length);
  for (let point = 0; point < corners.length; point++) {
    if (corners[point] >= 0) stamp(many, corners[point], picture.width, drawing.size);
  }
  const each = drawing.points.x.length / Math.max(corners.length, 1);
  const shades = Uint32Array.from({ length: 64 }, (_, count) => (count ? pack(drawing.ink, Math.min(255, 70 + 42 * Math.log2(count * each + 1))) : 0));
  for (let pixel = 0; pixel < pixels.length; pixel++) pixels[pixel] = shades[many[pixel] < 63 ? many[pixel] : 63];
}

/** One more in every pixel that a point covers. */
function stamp(many: Uint16Array, corner: number, width: number, size: number): void {
  for (let down = 0, start = corner; down < size; down++, start += width) {
    for (let pixel = start; pixel < start + size; pixel++) many[pixel]++;
  }
}

function coloured({ width }: ImageData, pixels: Uint32Array, corners: Int32Array, { colours, size }: Drawing): void {
  const { codes, palette } = colours!;
  pixels.fill(0);
  for (let point = 0; point < corners.length; point++) {
    const corner = corners[point];
    if (corner < 0) continue;
    const colour = palette[codes[point]];
    for (let down = 0, start = corner; down < size; down++, start += width) {
      for (let pixel = start; pixel < start + size; pixel++) pixels[pixel] = colour;
    }
  }
}

/** Of each point the pixel at its upper left; -1 outside of the picture. */
function cornersOf({ width, height }: ImageData, { points, camera, size, most }: Drawing): Int32Array {
  const { x, y } = points;
  const corners = new Int32Array(Math.min(x.length, most));
  const [left, top] = [width / 2 - camera.x / camera.unit, height / 2 + camera.y / camera.unit];
  const [scale, half] = [1 / camera.unit, size >> 1];
  const [widest, lowest] = [width - size, height - size];
  for (let point = 0; point < corners.length; point++) {
    const column = (left + x[point] * scale - half) | 0;
    const row = (top - y[point] * scale - half) | 0;
    const isOut = column < 0 || row < 0 || column > widest || row > lowest;
    corners[point] = isOut ? -1 : row * width + column;
  }
  return corners;
}

/** The point nearest to a place of the map within `reach` units; -1 where there is none. */
export function nearestPoint({ x, y }: Points, [atX, atY]: readonly [number, number], reach: number): number {
  let best = -1;
  let least = reach * reach;
  for (let point = 0; point < x.length; point++) {
    const distance = (x[point] - atX) ** 2 + (y[point] - atY) ** 2;
    if (distance < least) [best, least] = [point, distance];
  }
  return best;
}
