// The map's surface: moved by dragging and arrows, zoomed by the wheel and by + and −, a lasso drawn while it is asked for.
import type { VNode } from "preact";
import { useEffect, useRef, useState } from "preact/hooks";
import { type Camera, type Drawing, draw, grainOf, toMap, toScreen, wholeMap } from "./raster";

type Point = [number, number];

export interface PlaneProps {
  drawing: Pick<Drawing, "points" | "colours">;
  lassoing: boolean;
  polygon: readonly Point[] | undefined;
  onLasso(polygon: Point[]): void;
  /** The pointer rests on a place of the map; `reach` is eight pixels in the map's units. */
  onPoint(place: Point | null, reach: number): void;
  onOpen(place: Point, reach: number): void;
}

export function Plane({ drawing, lassoing, polygon, onLasso, onPoint, onOpen }: PlaneProps): VNode {
  const canvas = useRef<HTMLCanvasElement>(null);
  const [size, setSize] = useState({ width: 0, height: 0 });
  const [camera, setCamera] = useState<Camera | null>(null);
  const [path, setPath] = useState<Point[]>([]);
  const held = useRef<{ at: Point; camera: Camera; moved: boolean } | null>(null);
  const shown = camera ?? wholeMap(size.width, size.height);
  const { width, height } = size;
  useSize(canvas, setSize);
  usePicture(canvas, size, drawing, shown);
  const placeOf = (event: MouseEvent): Point => toMap(shown, width, height, [event.offsetX, event.offsetY]);
  const zoom = (by: number, at: Point = [shown.x, shown.y]): void => {
    const unit = Math.min(Math.max(shown.unit * by, 0.05), 400);
    const kept = 1 - unit / shown.unit;
    setCamera({ unit, x: shown.x + (at[0] - shown.x) * kept, y: shown.y + (at[1] - shown.y) * kept });
  };
  const pressed = (event: KeyboardEvent): void => {
    const step = 60 * shown.unit;
    const moves: Record<string, () => void> = {
      ArrowLeft: () => setCamera({ ...shown, x: shown.x - step }),
      ArrowRight: () => setCamera({ ...shown, x: shown.x + step }),
      ArrowUp: () => setCamera({ ...shown, y: shown.y + step }),
      ArrowDown: () => setCamera({ ...shown, y: shown.y - step }),
      "+": () => zoom(0.8),
      "-": () => zoom(1.25),
      "0": () => setCamera(null),
      Enter: () => onLasso([[0, 0], [width, 0], [width, height], [0, height]].map((corner) => toMap(shown, width, height, corner as Point))),
    };
    if (!(event.key in moves)) return;
    event.preventDefault();
    moves[event.key]();
  };
  const moved = (event: PointerEvent): void => {
    const start = held.current;
    if (!start) return onPoint(placeOf(event), 8 * shown.unit);
    if (lassoing) return setPath([...path, placeOf(event)]);
    const [dx, dy] = [event.offsetX - start.at[0], event.offsetY - start.at[1]];
    start.moved ||= Math.hypot(dx, dy) > 4;
    if (start.moved) setCamera({ ...start.camera, x: start.camera.x - dx * shown.unit, y: start.camera.y + dy * shown.unit });
  };
  const released = (event: PointerEvent): void => {
    const start = held.current;
    held.current = null;
    if (lassoing && path.length > 2) onLasso(path);
    else if (start && !start.moved) onOpen(placeOf(event), 8 * shown.unit);
    setPath([]);
  };
  return (
    <div class="plane" tabIndex={0} role="application" aria-label="map of the clips: arrows move it, plus and minus zoom, 0 shows all, Enter selects what is in view" onKeyDown={pressed}>
      <canvas
        ref={canvas}
        data-lassoing={lassoing || undefined}
        onWheel={(event) => (event.preventDefault(), zoom(event.deltaY > 0 ? 1.15 : 0.87, placeOf(event)))}
        onPointerDown={(event) => {
          if (event.button !== 0) return;
          event.currentTarget.setPointerCapture(event.pointerId);
          held.current = { at: [event.offsetX, event.offsetY], camera: shown, moved: false };
          if (lassoing) setPath([placeOf(event)]);
        }}
        onPointerMove={moved}
        onPointerUp={released}
        onPointerLeave={() => onPoint(null, 0)}
      />
      <svg aria-hidden="true" viewBox={`0 0 ${Math.max(width, 1)} ${Math.max(height, 1)}`}>
        <polygon points={(path.length ? path : (polygon ?? [])).map((point) => toScreen(shown, width, height, point).join(",")).join(" ")} />
      </svg>
    </div>
  );
}

function useSize(canvas: { current: HTMLCanvasElement | null }, set: (size: { width: number; height: number }) => void): void {
  useEffect(() => {
    const element = canvas.current;
    if (!element) return;
    const watcher = new ResizeObserver(() => set({ width: element.clientWidth, height: element.clientHeight }));
    watcher.observe(element);
    return () => watcher.disconnect();
  }, []);
}

const REST_MS = 120;

/** Draws what the camera sees; of very many points some while it moves, and all once it rests. */
function usePicture(canvas: { current: HTMLCanvasElement | null }, size: { width: number; height: number }, { points, colours }: PlaneProps["drawing"], camera: Camera): void {
  useEffect(() => {
    const element = canvas.current;
    const context = element?.getContext("2d");
    if (!element || !context || size.width === 0) return;
    const grain = grainOf(points.x.length);
    const sharp = grain.cell ? 1 / grain.cell : Math.min(window.devicePixelRatio || 1, 2);
    const [wide, high] = [Math.round(size.width * sharp), Math.round(size.height * sharp)];
    const paint = (most: number): void => {
      const start = performance.now();
      if (element.width !== wide || element.height !== high) [element.width, element.height] = [wide, high];
      const picture = context.createImageData(wide, high);
      const ink = rgb(getComputedStyle(element).color);
      draw(picture, { points, colours, ink, most, size: grain.cell ? 1 : Math.round(grain.size * sharp), camera: { ...camera, unit: camera.unit / sharp } });
      context.putImageData(picture, 0, 0);
      element.toggleAttribute("data-cells", grain.cell > 0);
      element.dataset[most < points.x.length ? "quickMs" : "drawnMs"] = (performance.now() - start).toFixed(1);
    };
    let asked = requestAnimationFrame(() => paint(grain.quick));
    const rest = grain.quick < points.x.length ? setTimeout(() => (asked = requestAnimationFrame(() => paint(points.x.length))), REST_MS) : undefined;
    return () => (cancelAnimationFrame(asked), clearTimeout(rest));
  }, [points, colours, size.width, size.height, camera.x, camera.y, camera.unit]);
}

function rgb(colour: string): [number, number, number] {
  const [red = 0, green = 0, blue = 0] = (colour.match(/[\d.]+/g) ?? []).map(Number);
  return [red, green, blue];
}
