// Small parts of the report: a section, a table of rows, a count with its error, a clip with its moving pictures.
import type { ComponentChildren, VNode } from "preact";
import { count, length, moment, share, value } from "../shared/format";
import { Strip } from "../shared/strip";
import { Text, visible } from "../shared/text";
import type { Cell, Clip, OnShelf, Row } from "./data";
import { data, type Shown, strips } from "./state";

export function Section({ id, title, about, children }: { id: string; title: string; about?: ComponentChildren; children: ComponentChildren }): VNode {
  return (
    <section id={id} aria-labelledby={`${id}-title`}>
      <h2 id={`${id}-title`}>{title}</h2>
      {about && <p class="dim about">{about}</p>}
      {children}
    </section>
  );
}

export interface Column {
  key: string;
  title: string;
  as?: "count" | "hours" | "share" | "number" | "text";
}

/** Rows as a table; nothing if there are none. */
export function Table({ caption, columns, rows, none }: { caption: string; columns: Column[]; rows: readonly Row[]; none?: string }): VNode | null {
  if (!rows.length) return none ? <p class="dim">{none}</p> : null;
  const isNumber = (column: Column): boolean => column.as !== undefined && column.as !== "text";
  return (
    <div class="scroll" role="region" aria-label={caption} tabIndex={0}>
      <table>
        <caption>{caption}</caption>
        <thead>
          <tr>
            {columns.map((column) =>
              column.title ? <th key={column.key} scope="col" class={isNumber(column) ? "number" : undefined}>{column.title}</th> : <td key={column.key} />,
            )}
          </tr>
        </thead>
        <tbody>
          {rows.map((row, number) => (
            <tr key={number}>
              {columns.map((column) => (
                <td key={column.key} class={isNumber(column) ? "number" : undefined}>{shown(row[column.key], column.as)}</td>
              ))}
            </tr>
          ))}
        </tbody>
      </table>
    </div>
  );
}

function shown(cell: Cell | undefined, as: Column["as"]): ComponentChildren {
  if (cell === null || cell === undefined) return "";
  if (typeof cell === "number") {
    if (as === "count") return count(cell);
    if (as === "hours") return length(cell * 3600);
    if (as === "share") return share(cell, 1);
    return value(cell);
  }
  return typeof cell === "boolean" ? (cell ? "yes" : "no") : <Text value={cell} />;
}

/** `12,345`, or of a sample `≈ 12,300 ± 90`. */
export function countText(it: Shown): string {
  return it.error ? `≈ ${count(it.clips)} ± ${count(Math.ceil(it.error))}` : count(it.clips);
}

export function lengthText(it: Shown): string {
  return `${it.error ? "≈ " : ""}${length(it.seconds)}`;
}

/** A clip: its pictures, what it shows, its value, and why it was dropped. */
export function ClipCard({ at, clip, measure }: { at: OnShelf; clip: Clip | undefined; measure: string | null }): VNode | null {
  if (!clip) return null;
  const picture = strips.value[clip.clip_id];
  const says = clip.caption ?? clip.title ?? "without a caption";
  return (
    <li class="clip" data-keep={clip.keep || undefined}>
      <Strip
        src={picture ? `data:image/webp;base64,${picture}` : null}
        label={visible(`${clip.keep ? "kept" : "dropped"} clip: ${says}`)}
        focusable
      />
      <p class="says"><Text value={says} /></p>
      <p class="dim">
        {measure && <span class="mono">{`${measure} ${typeof at.value === "string" ? at.value : value(at.value, 6)} · `}</span>}
        {`${length(clip.duration_s)} · ${clip.width}×${clip.height}`}
      </p>
      <p class={clip.keep ? "good" : "lost"}>{clip.keep ? "kept" : `dropped: ${clip.reasons.join(", ")}`}</p>
      <p class="dim source">
        <Text value={clip.source} /> at {moment(clip.start_s)} · <code>{clip.clip_id.slice(0, 12)}</code>
      </p>
    </li>
  );
}

export const totals = data.figures.totals;
