// One clip in the grid: its strip, the film after 150 ms of pointing, what was decided, marks.
import type { VNode } from "preact";
import { useEffect, useRef, useState } from "preact/hooks";
import { moment, value as number } from "../shared/format";
import { Strip } from "../shared/strip";
import { Text, visible } from "../shared/text";
import { toggle, wordOn } from "./marking";
import { stripOf } from "./media";
import { Film } from "./player";
import type { Mark, Row } from "./protocol";
import { linkTo, view } from "./view";

const STILL = window.matchMedia("(prefers-reduced-motion: reduce)");
const DWELL_MS = 150;

export interface TileProps {
  row: Row;
  /** A measure to show beside the length, such as what the grid is sorted by. */
  column?: string;
  active: boolean;
  total?: number;
}

export function Tile({ row, column, active, total }: TileProps): VNode {
  const [playing, setPlaying] = useState(false);
  const dwell = useRef<ReturnType<typeof setTimeout> | undefined>(undefined);
  useEffect(() => () => clearTimeout(dwell.current), []);
  const strip = stripOf(row.clip_id);
  const word = wordOn(row);
  const caption = word.caption ?? row.caption;
  return (
    <div
      class="tile"
      role="listitem"
      aria-setsize={total}
      aria-posinset={row.n + 1}
      data-clip={row.clip_id}
      data-n={row.n}
      data-mark={word.mark ?? undefined}
      onPointerEnter={(event) => {
        if (event.pointerType === "mouse" && !STILL.matches) dwell.current = setTimeout(setPlaying, DWELL_MS, true);
      }}
      onPointerLeave={() => {
        clearTimeout(dwell.current);
        setPlaying(false);
      }}
    >
      <a href={linkTo({ ...view.value, page: "clip", arg: row.clip_id })} tabIndex={active ? 0 : -1} data-tile>
        <span class="visually-hidden">{labelOf(row, caption)}</span>
        {strip ? <Strip src={strip.src} why={strip.why} label="" /> : <span class="strip coming" />}
        {playing && row.media.state !== "gone" && <Film clip={row.clip_id} media={row.media} preview />}
        {word.mark && <span class={`badge over mark-${word.mark}`} aria-hidden="true">{word.mark}</span>}
        <span class="length" aria-hidden="true">{moment(row.duration_s, 1)}</span>
      </a>
      <Verdict row={row} column={column} />
      <p class="caption">{caption ? <Text value={caption} /> : <span class="dim">no caption</span>}</p>
      <MarkButtons row={row} tab={active ? 0 : -1} />
    </div>
  );
}

function labelOf(row: Row, caption: string | null): string {
  const verdict = row.keep ? "kept" : `dropped: ${row.reasons.join(", ")}`;
  return `clip ${row.n + 1}, ${verdict}, ${moment(row.duration_s, 1)}, ${visible(caption ?? "no caption").slice(0, 120)}`;
}

function Verdict({ row, column }: { row: Row; column?: string }): VNode {
  const shown = column === undefined ? undefined : row.values[column];
  const text = row.likeness !== undefined ? `likeness ${number(row.likeness, 3)}` : typeof shown === "number" ? `${column} ${number(shown)}` : shown == null ? "" : `${column} ${visible(String(shown))}`;
  return (
    <p class="verdict">
      <span class={row.keep ? "is-kept" : "is-dropped"} title={row.keep ? undefined : visible(row.reasons.join(", "))}>{row.keep ? "kept" : row.reasons.map(visible).join(", ") || "not judged"}</span>
      <span class="dim">{text}</span>
    </p>
  );
}

const MARKS: readonly (readonly [Mark, string])[] = [["keep", "k"], ["drop", "d"], ["flag", "f"]];

export function MarkButtons({ row, tab }: { row: Pick<Row, "clip_id" | "mark" | "edited" | "note">; tab?: number }): VNode {
  const { mark } = wordOn(row);
  return (
    <span class="marks" role="group" aria-label="marks">
      {MARKS.map(([name, key]) => (
        <button key={name} type="button" tabIndex={tab} class={`mark-${name}`} aria-pressed={mark === name} title={`mark as ${name} (${key})`} onClick={() => void toggle(row, name)}>
          {name}
        </button>
      ))}
    </span>
  );
}
