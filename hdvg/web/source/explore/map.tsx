// The map of clips, like beside like: look at one, draw a lasso round some, keep it as a filter, colour by a measure.
import { effect, signal } from "@preact/signals";
import type { VNode } from "preact";
import { useMemo } from "preact/hooks";
import { count, length } from "../shared/format";
import { visible } from "../shared/text";
import { getFrame, post, postFrame, Refusal } from "./api";
import type { Frame, Numbers } from "./frame";
import { Plane } from "./plane";
import type { Row } from "./protocol";
import { nearestPoint, palette, type Points } from "./raster";
import { columnOf, meta } from "./session";
import { Tile } from "./tile";
import { filtersOf, go, page, selection, view } from "./view";

interface MapHeader {
  snapshot: string;
  clips: number;
  share: number;
  model: string;
}

const loaded = signal<Frame<MapHeader> | null>(null);
const trouble = signal<string | null>(null);
const colouring = signal("");
const codes = signal<Numbers | null>(null);
const lassoing = signal(false);
const inside = signal<{ clips: number; hours: number; rows: Row[] } | null>(null);
const pointed = signal<Row | null>(null);

const told = (error: unknown): void => {
  if (!(error instanceof Refusal && error.superseded)) trouble.value = (error as Error).message;
};

effect(() => {
  if (page.value !== "map" || !meta.value || loaded.peek()?.header.snapshot === meta.value.snapshot) return;
  getFrame<MapHeader>("/api/map").then((found) => (loaded.value = found), told);
});

effect(() => {
  const column = colouring.value;
  codes.value = null;
  if (column && loaded.value) postFrame("/api/codes", { column, ask: "codes" }).then((found) => (codes.value = found.arrays.get("codes") ?? null), told);
});

effect(() => {
  const { polygon } = view.value;
  if (page.value !== "map" || !polygon) {
    inside.value = null;
    return;
  }
  const { polygon: _polygon, ...rest } = filtersOf(selection.value);
  post<{ clips: number; hours: number; rows: Row[] }>("/api/lasso", { selection: rest, polygon, ask: "lasso" }).then((found) => (inside.value = found), told);
});

export function MapPage(): VNode {
  const map = loaded.value;
  if (trouble.value) return <p class="note">{trouble.value}</p>;
  if (!map) return <p class="dim">placing the clips …</p>;
  return <Placed map={map} />;
}

function Placed({ map }: { map: Frame<MapHeader> }): VNode {
  const points: Points = useMemo(() => ({ x: map.arrays.get("x")!, y: map.arrays.get("y")! }), [map]);
  const column = columnOf(colouring.value);
  const colours = useMemo(() => codes.value && { codes: codes.value, palette: palette((column?.edges ?? column?.values ?? []).length) }, [codes.value]);
  const drawing = { points, colours };
  const rowAt = async (place: [number, number], reach: number): Promise<Row | null> => {
    const point = nearestPoint(points, place, reach);
    if (point < 0) return null;
    const { rows } = await post<{ rows: Row[] }>("/api/places", { places: [map.arrays.get("place")![point]], ask: "places" });
    return rows[0] ?? null;
  };
  return (
    <section class="map-page">
      <MapHead map={map} />
      <div class="map-body">
        <Plane
          drawing={drawing}
          lassoing={lassoing.value}
          polygon={view.value.polygon}
          onLasso={(polygon) => {
            lassoing.value = false;
            go({ polygon: thinned(polygon) });
          }}
          onPoint={(place, reach) => rest(() => (place ? rowAt(place, reach).then((row) => (pointed.value = row), told) : undefined))}
          onOpen={(place, reach) => void rowAt(place, reach).then((row) => row && go({ page: "clip", arg: row.clip_id }), told)}
        />
        <aside class="map-side" aria-live="polite">
          {pointed.value && <Tile key={pointed.value.clip_id} row={pointed.value} active />}
          {inside.value && <Inside found={inside.value} />}
          {!pointed.value && !inside.value && <p class="dim">Point at a clip to see it; draw a lasso to select some.</p>}
        </aside>
      </div>
    </section>
  );
}

let resting: ReturnType<typeof setTimeout> | undefined;
function rest(then: () => unknown): void {
  clearTimeout(resting);
  resting = setTimeout(then, 80);
}

/** At most 200 corners, in whole units: it stands in the link. */
function thinned(polygon: [number, number][]): [number, number][] {
  const step = Math.ceil(polygon.length / 200);
  return polygon.filter((_, place) => place % step === 0).map(([x, y]) => [Math.round(x), Math.round(y)]);
}

function MapHead({ map }: { map: Frame<MapHeader> }): VNode {
  const { clips, share, model } = map.header;
  const columns = (meta.value?.columns ?? []).filter((column) => column.known > 0 && (column.edges?.length || column.values?.length));
  return (
    <div class="line">
      <button type="button" aria-pressed={lassoing.value} onClick={() => (lassoing.value = !lassoing.value)}>Lasso</button>
      <label>
        coloured by{" "}
        <select value={colouring.value} onChange={(event) => (colouring.value = event.currentTarget.value)}>
          <option value="">how many lie there</option>
          {columns.map(({ name }) => <option key={name}>{name}</option>)}
        </select>
      </label>
      <span class="dim">{count(clips)} clips{share < 1 && `, ${(100 * share).toFixed(1)} % of them drawn`} · vectors of {visible(model)}</span>
    </div>
  );
}

function Inside({ found }: { found: { clips: number; hours: number; rows: Row[] } }): VNode {
  return (
    <section aria-label="within the lasso">
      <p><strong>{count(found.clips)}</strong> clips within the lasso, {length(found.hours * 3600)}</p>
      <p class="line">
        <button type="button" class="primary" onClick={() => go({ page: "grid" })}>See them in the grid</button>
        <button type="button" onClick={() => go({ polygon: undefined })}>Let go</button>
      </p>
      <div class="layer" role="list">{found.rows.slice(0, 12).map((row) => <Tile key={row.clip_id} row={row} active />)}</div>
    </section>
  );
}
