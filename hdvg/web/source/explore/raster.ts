// Draws up to a million points of the map into a picture: lighter where more lie, or in the colour of a measure's code.
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
  size: number;
}

export function draw(picture: ImageData, drawing: Drawing): void {
  const pixels = new Uint32Array(picture.data.buffer);
  pixels.fill(0);
  if (drawing.colours) return coloured(picture, pixels, drawing, drawing.colours);
  const many = new Uint16Array(pixels.length);
  spread(picture, drawing, (pixel) => {
    many[pixel] += 1;
  });
  const shades = Uint32Array.from({ length: 64 }, (_, count) => pack(drawing.ink, Math.min(255, 70 + 42 * Math.log2(count + 1))));
  many.forEach((count, pixel) => {
    if (count > 0) pixels[pixel] = shades[Math.min(count, 63)];
  });
}

function coloured(picture: ImageData, pixels: Uint32Array, drawing: Drawing, { codes, palette }: NonNullable<Drawing["colours"]>): void {
  spread(picture, drawing, (pixel, point) => {
    pixels[pixel] = palette[codes[point]];
  });
}

/** Every pixel that each point covers. */
function spread({ width, height }: ImageData, { points, camera, size }: Drawing, mark: (pixel: number, point: number) => void): void {
  const { x, y } = points;
  const [left, top] = [width / 2 - camera.x / camera.unit, height / 2 + camera.y / camera.unit];
  const [scale, half] = [1 / camera.unit, size >> 1];
  for (let point = 0; point < x.length; point++) {
    const column = (left + x[point] * scale - half) | 0;
    const row = (top - y[point] * scale - half) | 0;
    if (column < 0 || row < 0 || column + size > width || row + size > height) continue;
    for (let down = 0; down < size; down++) {
      const start = (row + down) * width + column;
      for (let right = 0; right < size; right++) mark(start + right, point);
    }
  }
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
