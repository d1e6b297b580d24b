// All clips with a mark, and how rules use them.
import { signal } from "@preact/signals";
import type { VNode } from "preact";
import { useEffect } from "preact/hooks";
import { count } from "../shared/format";
import { Text } from "../shared/text";
import { post } from "./api";
import { canUndo, marked, markTrouble, undo, words } from "./marking";
import type { Mark, Rows } from "./protocol";
import { meta, rules, setRules, usable } from "./session";
import { Tile } from "./tile";

const KINDS: readonly Mark[] = ["drop", "flag", "keep"];
const found = signal<ReadonlyMap<Mark, Rows>>(new Map());
const trouble = signal<string | null>(null);

async function load(): Promise<void> {
  try {
    const all = await Promise.all(KINDS.map((mark) => post<Rows>("/api/rows", { selection: { marks: [mark], rules: usable.value }, limit: 200 })));
    found.value = new Map(KINDS.map((mark, place) => [mark, all[place]]));
    trouble.value = null;
  } catch (error) {
    trouble.value = (error as Error).message;
  }
}

export function Marks(): VNode {
  useEffect(() => void load(), [words.value, meta.value]);
  const ruled = Object.values(rules.value).some((text) => text.includes("marked_drop"));
  return (
    <section class="marks-page">
      <div class="line">
        <p class="dim">Marks are kept beside the dataset, with author and time; they change nothing until a rule names them.</p>
        <button type="button" disabled={ruled} onClick={() => setRules({ ...rules.value, by_hand: "not marked_drop" })}>{ruled ? "The rules name them" : "Add the rule: not marked_drop"}</button>
        <button type="button" disabled={!canUndo()} onClick={() => void undo()}>Undo</button>
        <span role="status" class={markTrouble.value ? "lost" : "dim"}>{markTrouble.value ?? marked.value}</span>
      </div>
      {trouble.value && <p class="note">{trouble.value}</p>}
      {KINDS.map((mark) => <OfKind key={mark} mark={mark} rows={found.value.get(mark)} />)}
    </section>
  );
}

function OfKind({ mark, rows }: { mark: Mark; rows: Rows | undefined }): VNode {
  return (
    <section aria-label={`marked ${mark}`}>
      <h2>{mark} <span class="dim">{rows ? count(rows.total) : "…"}</span></h2>
      {rows?.total === 0 && <p class="dim">None. In the grid, press {mark[0]} on a clip.</p>}
      <div class="layer" role="list">
        {rows?.rows.map((row) => (
          <div key={row.clip_id} role="presentation">
            <Tile row={row} active />
            {row.note && <p class="dim"><Text value={row.note} /></p>}
          </div>
        ))}
      </div>
    </section>
  );
}
