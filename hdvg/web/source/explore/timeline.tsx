// Where a clip stands in its source: all clips of the video by time, with the transitions between them.
import type { VNode } from "preact";
import { moment } from "../shared/format";
import { Strip } from "../shared/strip";
import type { Explained, Neighbour } from "./explained";
import { stripOf } from "./media";
import { linkTo, view } from "./view";

const BESIDE = 3;

export function Timeline({ clip }: { clip: Explained }): VNode | null {
  const all = clip.neighbours;
  if (all.length === 0) return null;
  const end = Math.max(...all.map((one) => one.end_s));
  const here = all.findIndex((one) => one.here);
  const beside = all.slice(Math.max(0, here - BESIDE), here + BESIDE + 1);
  return (
    <section class="panel" aria-label="Place in the source">
      <h2>In the source <span class="dim">{all.length} {all.length === 1 ? "clip" : "clips"}, {moment(end)}</span></h2>
      <div class="timeline" aria-hidden="true">
        {all.map((one) => (
          <i key={one.clip_id} class={one.keep ? "kept" : "dropped"} data-here={one.here || undefined} style={{ left: `${(100 * one.start_s) / end}%`, width: `${(100 * (one.end_s - one.start_s)) / end}%` }} />
        ))}
      </div>
      <p class="timeline-ends dim" aria-hidden="true"><span>0:00</span><span>{moment(end)}</span></p>
      <ol class="beside">{beside.map((one) => <Beside key={one.clip_id} one={one} />)}</ol>
    </section>
  );
}

function Beside({ one }: { one: Neighbour }): VNode {
  const strip = stripOf(one.clip_id);
  const times = `${moment(one.start_s)} – ${moment(one.end_s)}`;
  return (
    <li data-here={one.here || undefined}>
      <a href={linkTo({ ...view.value, page: "clip", arg: one.clip_id })} aria-current={one.here ? "true" : undefined}>
        <span class="visually-hidden">{`clip from ${times}, ${one.keep ? "kept" : "dropped"}`}</span>
        {strip ? <Strip src={strip.src} why={strip.why} label="" /> : <span class="strip coming" />}
      </a>
      <p>
        <span class={one.keep ? "is-kept" : "is-dropped"}>{one.keep ? "kept" : "dropped"}</span> <span class="dim">{times}</span>
      </p>
      <p class="dim">{[one.opens_with && `opens: ${one.opens_with}`, one.closes_with && `closes: ${one.closes_with}`].filter(Boolean).join(" · ")}</p>
    </li>
  );
}
