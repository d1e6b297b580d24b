// The order of the grid: by a defect, the worst clips first, or by any column either way.
import type { VNode } from "preact";
import type { Column, Sort } from "./protocol";
import { meta } from "./session";
import { go, view } from "./view";

/** What a clip may be bad at: the column that tells, and whether its largest values are the bad ones. */
const DEFECTS: readonly (readonly [string, string, boolean])[] = [
  ["stands still", "static_share", true],
  ["a row of stills", "slideshow_share", true],
  ["hardly moves", "motion_px_s", false],
  ["shaky", "shake_px_s", true],
  ["a cut inside", "jump_levels", true],
  ["blurred", "sharpness", false],
  ["blown up from fewer pixels", "detail_height_px", false],
  ["small picture", "short_px", false],
  ["bars around the picture", "active_share", false],
  ["dark", "luma_mean", false],
  ["burnt out", "over_share", true],
  ["flickers", "flicker_levels", true],
  ["noisy", "noise_levels", true],
  ["blocky", "blockiness", true],
  ["combed (interlaced)", "interlace_share", true],
  ["covered by text", "text_area", true],
  ["watermark", "watermark", true],
  ["caption repeats itself", "caption_repeated_words", true],
  ["caption shared with other clips", "caption_copies", true],
  ["too short", "duration_s", false],
];

const WORST = "worst:";
const TEXTS = ["caption", "title", "video_id"];

function sortOf(chosen: string, before: Sort | undefined): Sort | undefined {
  const column = chosen.replace(WORST, "");
  const defect = column === chosen ? undefined : DEFECTS.find(([, name]) => name === column);
  return column ? { column, descending: defect ? defect[2] : (before?.descending ?? false) } : undefined;
}

function chosenBy(sort: Sort | undefined): string {
  if (!sort) return "";
  const worst = DEFECTS.some(([, name, descending]) => name === sort.column && descending === Boolean(sort.descending));
  return worst ? WORST + sort.column : sort.column;
}

/** Columns worth an order: two values at least. */
function varied(columns: readonly Column[]): Set<string> {
  return new Set(columns.filter(({ least, most }) => least !== most).map(({ name }) => name));
}

export function Sorting(): VNode {
  const { sort, like } = view.value;
  const columns = meta.value!.columns.filter(({ known, kind }) => known > 0 && kind !== "list");
  const telling = varied(columns);
  const set = (next: Sort | undefined): void => go({ sort: next });
  return (
    <span class="line">
      <label>
        sorted by{" "}
        <select value={chosenBy(sort)} onChange={(event) => set(sortOf(event.currentTarget.value, sort))}>
          <option value="">{like ? "likeness" : "chance (draw)"}</option>
          <optgroup label="worst first">
            {DEFECTS.filter(([, name]) => telling.has(name) || name === sort?.column).map(([words, name]) => <option key={name} value={WORST + name}>{words}</option>)}
          </optgroup>
          <optgroup label="any column">
            {TEXTS.map((name) => <option key={name} value={name}>{name}</option>)}
            {columns.map(({ name, about }) => <option key={name} value={name} title={about}>{name}</option>)}
          </optgroup>
        </select>
      </label>
      {sort && (
        <button type="button" onClick={() => set({ ...sort, descending: !sort.descending })} title="turn the order round">
          {sort.descending ? "largest first" : "smallest first"}
        </button>
      )}
    </span>
  );
}
