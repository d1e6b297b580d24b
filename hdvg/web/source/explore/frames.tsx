// The clip's film, and its exact frames one by one as the server decodes them.
import type { VNode } from "preact";
import { useEffect, useRef, useState } from "preact/hooks";
import { moment } from "../shared/format";
import type { Explained } from "./explained";
import { Film } from "./player";

export function Frames({ clip }: { clip: Explained }): VNode {
  const video = useRef<HTMLVideoElement>(null);
  const [frame, setFrame] = useState<number | null>(null);
  const fps = Number(clip.measures.fps) || 25;
  const last = Math.max(clip.frames - 1, 0);
  const step = (by: number): void => {
    video.current?.pause();
    setFrame((now) => Math.min(Math.max((now ?? Math.round((video.current?.currentTime ?? 0) * fps)) + by, 0), last));
  };
  useStepKeys(step, () => setFrame(null));
  const play = (): void => {
    if (frame !== null && video.current) video.current.currentTime = frame / fps;
    setFrame(null);
    void video.current?.play().catch(() => undefined);
  };
  return (
    <section class="screen" aria-label="Film">
      <div class="stage" data-still={frame !== null || undefined}>
        <Film clip={clip.clip_id} media={clip.media} controls video={video} />
        {frame !== null && <img class="still" src={`/frame/${clip.clip_id}/${frame}`} alt={`frame ${frame} of the clip`} />}
      </div>
      <div class="line stepping">
        <button type="button" onClick={play}>{frame === null ? "Play" : "Play from here"}</button>
        <button type="button" onClick={() => step(-1)} disabled={last === 0} title="one frame back (,)">◂ frame</button>
        <button type="button" onClick={() => step(1)} disabled={last === 0} title="one frame on (.)">frame ▸</button>
        <input type="range" min={0} max={last} value={frame ?? 0} aria-label="frame" disabled={last === 0} onInput={(event) => (video.current?.pause(), setFrame(Number(event.currentTarget.value)))} />
        <span class="dim number" data-testid="frame">{frame === null ? `${clip.frames} frames` : `frame ${frame} of ${clip.frames} · ${moment(frame / fps)}`}</span>
      </div>
    </section>
  );
}

function useStepKeys(step: (by: number) => void, back: () => void): void {
  useEffect(() => {
    const pressed = (event: KeyboardEvent): void => {
      if ((event.target as HTMLElement).closest("input, textarea, select") || event.ctrlKey || event.metaKey) return;
      if (event.key === ",") step(-1);
      else if (event.key === ".") step(1);
      else if (event.key === "Escape") back();
      else return;
      event.preventDefault();
    };
    document.addEventListener("keydown", pressed);
    return () => document.removeEventListener("keydown", pressed);
  });
}
