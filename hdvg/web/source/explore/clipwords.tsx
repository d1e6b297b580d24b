// Words on a clip: captions by writer, copies, and what people said: marks, an edited caption, a note.
import type { VNode } from "preact";
import { useState } from "preact/hooks";
import { Text, visible } from "../shared/text";
import { type Explained, wordRow } from "./explained";
import { canUndo, markedOf, markTrouble, say, undo, wordOn } from "./marking";
import { MarkButtons } from "./tile";
import { linkTo, view } from "./view";

const LONG = 1000; // characters: what is longer scrolls, so that what is behind it stays in reach

export function ClipWords({ clip }: { clip: Explained }): VNode {
  return (
    <>
      <Marking clip={clip} />
      <section class="panel" aria-label="Captions">
        <h2>Captions</h2>
        {clip.captions.length === 0 && <p class="dim">None: captions are written for kept clips.</p>}
        <ul class="captions">
          {clip.captions.map((one) => (
            <li key={`${one.writer} ${one.kind}`}>
              <p class="dim">
                <b>{visible(one.writer)}</b> {visible(one.kind)} {one.captioner && `by ${visible(one.captioner)}`}
                {one.best && <span class="badge">chosen</span>}
                {one.sound === false && <span class="badge bad">doubtful</span>}
                {one.similarity !== null && ` fits ${one.similarity.toFixed(2)}`}
              </p>
              <p class="caption-text" tabIndex={(one.text?.length ?? 0) > LONG ? 0 : undefined}>{one.text ? <Text value={one.text} /> : <span class="dim">no text</span>}</p>
            </li>
          ))}
        </ul>
      </section>
      {clip.duplicates.length > 0 && (
        <section class="panel" aria-label="Copies">
          <h2>Copies</h2>
          <ul>
            {clip.duplicates.map((one) => (
              <li key={one.clip_id}>
                <a class="mono" href={linkTo({ ...view.value, page: "clip", arg: one.clip_id })}>{one.clip_id}</a>{" "}
                <span class="dim">{visible(one.how)}{one.bits !== null && `, ${one.bits} bits apart`}{one.stays && ", stays"}</span>
              </li>
            ))}
          </ul>
        </section>
      )}
    </>
  );
}

function Marking({ clip }: { clip: Explained }): VNode {
  const row = wordRow(clip);
  const word = wordOn(row);
  const chosen = clip.captions.find((one) => one.best && one.kind !== "person")?.text ?? "";
  const [caption, setCaption] = useState(word.caption ?? chosen ?? "");
  const [note, setNote] = useState(word.note ?? "");
  const save = (event: SubmitEvent): void => {
    event.preventDefault();
    const edited = caption.trim();
    void say(row, { caption: edited && edited !== chosen ? edited : null, note: note.trim() || null });
  };
  return (
    <section class="panel marking" aria-label="Marks">
      <div class="rules-head">
        <h2>Your mark</h2>
        <MarkButtons row={row} />
        <button type="button" class="quiet" disabled={!canUndo()} onClick={() => void undo()}>Undo</button>
        <span role="status" class={markTrouble.value ? "lost" : "dim"}>{markTrouble.value ?? markedOf(clip.clip_id)}</span>
        <span class="dim keys">k d f mark · u undoes · [ before · ] next</span>
      </div>
      <form onSubmit={save}>
        <label>caption <textarea rows={2} maxLength={5000} dir="auto" value={caption} onInput={(event) => setCaption(event.currentTarget.value)} /></label>
        <label>note <input maxLength={5000} dir="auto" value={note} onInput={(event) => setNote(event.currentTarget.value)} /></label>
        <button type="submit">Save caption and note</button>
      </form>
      {clip.annotations.length > 0 && (
        <ul class="said-before dim">
          {clip.annotations.slice(0, 8).map((one) => (
            <li key={one.written_at + one.author}>
              {visible(one.author)}, {visible(one.written_at.slice(0, 19))}: {one.mark ?? "no mark"} {one.caption && <>“<Text value={one.caption} />”</>} {one.note && <Text value={one.note} />}
            </li>
          ))}
        </ul>
      )}
    </section>
  );
}
