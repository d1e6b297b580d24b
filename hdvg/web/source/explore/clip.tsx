// A clip's page: film and frames, why it was kept or dropped, its place in the source, captions, copies, marks.
import { effect, signal } from "@preact/signals";
import type { VNode } from "preact";
import { useEffect, useMemo } from "preact/hooks";
import { bytes, moment } from "../shared/format";
import { Text, visible } from "../shared/text";
import { get } from "./api";
import { ClipWords } from "./clipwords";
import { type Explained, wordRow } from "./explained";
import { list } from "./grid";
import { Judged, Measured } from "./judged";
import { Frames } from "./frames";
import { KEYS, toggle, undo } from "./marking";
import { Film } from "./player";
import { meta } from "./session";
import { MarkButtons } from "./tile";
import { Timeline } from "./timeline";
import { go, linkTo, view } from "./view";

const shown = signal<Explained | null>(null);
const trouble = signal<string | null>(null);

effect(() => {
  const { page, arg } = view.value;
  if (page !== "clip" || !arg || !meta.value) return;
  trouble.value = null;
  if (shown.peek()?.clip_id !== arg) shown.value = null;
  get<Explained>(`/api/clip/${arg}`).then(
    (found) => {
      if (view.peek().arg === arg) shown.value = found;
    },
    (error: Error) => {
      if (view.peek().arg === arg) trouble.value = error.message;
    },
  );
});

export function Clip(): VNode {
  const clip = shown.value;
  const { arg } = view.value;
  useKeys();
  if (!arg) return <OpenClip />;
  if (trouble.value) return <p class="note">{trouble.value}</p>;
  if (!clip) return <Early id={arg} />;
  return (
    <article class="clip" key={clip.clip_id} data-clip={clip.clip_id}>
      <ClipHead clip={clip} />
      <div class="clip-left">
        <Frames clip={clip} />
        <Timeline clip={clip} />
        <ClipWords clip={clip} />
      </div>
      <div class="clip-right">
        <Judged clip={clip} />
        <Measured clip={clip} />
        <Origin clip={clip} />
      </div>
    </article>
  );
}

/** What the grid knows already, while the server explains the clip. */
function Early({ id }: { id: string }): VNode {
  const row = list.value?.find(id);
  if (!row) return <p class="dim" role="status">reading the clip …</p>;
  return (
    <article class="clip" key={id}>
      <header class="clip-head">
        <span class={`verdict-badge ${row.keep ? "is-kept" : "is-dropped"}`}>{row.keep ? "kept" : "dropped"}</span>
        <h2>{row.title ? <Text value={row.title} /> : <span class="dim">no title</span>}</h2>
        <span class="dim" role="status">reading what is known of it …</span>
        <Steps id={id} />
      </header>
      <div class="clip-left">
        <section class="screen"><div class="stage"><Film clip={id} media={row.media} controls /></div></section>
        <section class="panel marking" aria-label="Marks"><div class="rules-head"><h2>Your mark</h2><MarkButtons row={row} /></div></section>
        {row.caption && <p class="panel caption-text"><Text value={row.caption} /></p>}
      </div>
    </article>
  );
}

function OpenClip(): VNode {
  const open = (event: SubmitEvent): void => {
    event.preventDefault();
    go({ page: "clip", arg: String(new FormData(event.currentTarget as HTMLFormElement).get("id")).trim() });
  };
  return (
    <form class="line" onSubmit={open}>
      <input name="id" class="mono" size={34} placeholder="clip_id" aria-label="clip_id" />
      <button type="submit">Open</button>
    </form>
  );
}

function ClipHead({ clip }: { clip: Explained }): VNode {
  return (
    <header class="clip-head">
      <span class={`verdict-badge ${clip.verdict === "kept" ? "is-kept" : "is-dropped"}`}>{clip.verdict}</span>
      <h2>
        {clip.video.title ? <span class="name" title={visible(clip.video.title)}><Text value={clip.video.title} /></span> : <span class="dim">no title</span>}
        <span class="dim"> {moment(clip.span.start_s)} – {moment(clip.span.end_s)}</span>
      </h2>
      <code class="dim">{clip.clip_id}</code>
      <Steps id={clip.clip_id} />
    </header>
  );
}

/** To the clips beside it in the list, and back to the list: at hand before the server has explained the clip. */
function Steps({ id }: { id: string }): VNode {
  const place = usePlace(id);
  return (
    <span class="line">
      <button type="button" disabled={!place.before} onClick={() => place.before && go({ arg: place.before })} title="the clip before it in the list ([)">‹ before</button>
      <button type="button" disabled={!place.after} onClick={() => place.after && go({ arg: place.after })} title="the clip behind it in the list (])">next ›</button>
      <a class="button" href={linkTo({ ...view.value, page: "grid", arg: "" })}>Back to the grid</a>
      {meta.value?.has.embeddings && <a class="button" href={linkTo({ page: "grid", arg: "", like: id })}>More like it</a>}
    </span>
  );
}

/** Clips before and behind it in the grid that was shown last. */
function usePlace(clip: string): { before?: string; after?: string } {
  const source = list.value;
  void source?.arrived.value;
  const total = source?.total.value ?? 0;
  const place = useMemo(() => source?.placeOf(clip) ?? -1, [source, total, clip]);
  if (place < 0) return {};
  source?.want(place - 1, place + 2);
  return { before: source?.at(place - 1)?.clip_id, after: source?.at(place + 1)?.clip_id };
}

function useKeys(): void {
  useEffect(() => {
    const pressed = (event: KeyboardEvent): void => {
      const typing = (event.target as HTMLElement).closest("input, textarea, select, video");
      const clip = shown.value ? wordRow(shown.value) : list.peek()?.find(view.peek().arg ?? "");
      if (typing || event.ctrlKey || event.metaKey || event.altKey) return;
      if (event.key in KEYS && clip) void toggle(clip, KEYS[event.key]);
      else if (event.key === "u") void undo();
      else if (event.key === "[" || event.key === "]") document.querySelectorAll<HTMLButtonElement>(".clip-head button")[event.key === "[" ? 0 : 1]?.click();
      else return;
      event.preventDefault();
    };
    document.addEventListener("keydown", pressed);
    return () => document.removeEventListener("keydown", pressed);
  }, []);
}

function Origin({ clip }: { clip: Explained }): VNode {
  const { video } = clip;
  const web = /^https?:\/\//.test(video.source ?? "");
  const rows: [string, VNode | string | null][] = [
    ["source", web ? <a href={video.source!} rel="noreferrer noopener" target="_blank"><Text value={video.source!} /></a> : video.source && <Text value={video.source} />],
    ["video", <a href={linkTo({ page: "grid", arg: "", text: undefined, only: undefined, sort: { column: "start_s", descending: false } })}>{video.video_id}</a>],
    ["licence", video.licence],
    ["fetched", video.fetched_at],
    ["sha256", video.sha256],
    ["clip file", clip.clip?.clip_sha256 ? `${clip.clip.clip_sha256} (${bytes(clip.clip.clip_bytes ?? 0)})` : "not cut"],
    ["span", `frames ${clip.span.start_frame} to ${clip.span.end_frame} of time base ${clip.span.time_base}`],
  ];
  rows[1][1] = video.video_id;
  return (
    <section class="panel" aria-label="Origin">
      <h2>Origin</h2>
      <table class="pairs">
        <tbody>
          {rows.filter(([, value]) => value).map(([name, value]) => (
            <tr key={name}><th scope="row">{name}</th><td class="mono">{typeof value === "string" ? visible(value) : value}</td></tr>
          ))}
        </tbody>
      </table>
      <p class="line">
        <a class="button" href={`/media/${clip.clip_id}`} target="_blank" rel="noreferrer">Open the file</a>
        <a class="button" href={`/media/${clip.clip_id}`} download={`${clip.clip_id}.mp4`}>Download</a>
      </p>
      <pre class="command" tabIndex={0}>{clip.command}</pre>
    </section>
  );
}
