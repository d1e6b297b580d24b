// A clip's film: plays the file, else a proxy, else says why; frees the player when it goes.
import type { RefObject, VNode } from "preact";
import { useEffect, useRef, useState } from "preact/hooks";
import { firstSource, nextSource, type Playing, wholeProxy, whyNot } from "./media";
import type { Media } from "./protocol";

export interface FilmProps {
  clip: string;
  media: Media;
  controls?: boolean;
  /** Begin at once, without sound, again and again. */
  preview?: boolean;
  video?: RefObject<HTMLVideoElement | null>;
}

export function Film({ clip, media, controls = false, preview = false, video }: FilmProps): VNode {
  const own = useRef<HTMLVideoElement>(null);
  const element = video ?? own;
  const [playing, setPlaying] = useState<Playing | null>(() => firstSource(clip, media));
  const [why, setWhy] = useState<string | null>(playing ? null : (media.why ?? "nothing of this clip can be played"));
  useEffect(() => {
    const player = element.current;
    return () => {
      // A browser allows only so many players: give this one back.
      player?.pause();
      player?.removeAttribute("src");
      player?.load();
    };
  }, []);
  const broken = (): void => {
    if (!element.current?.getAttribute("src") || !playing) return;
    const next = nextSource(clip, playing);
    setPlaying(next);
    if (!next) void whyNot(clip).then(setWhy);
  };
  return (
    <span class="film">
      {playing && (
        <video
          ref={element}
          src={playing.src}
          controls={controls}
          autoplay={preview}
          muted={preview}
          loop={preview && !playing.growing}
          playsInline
          preload={preview ? "auto" : "metadata"}
          aria-label="film of the clip"
          onError={broken}
          onEnded={() => playing.growing && setPlaying(wholeProxy(clip))}
        />
      )}
      {playing?.proxy && <span class="badge over">proxy, h264 480p</span>}
      {why && <span class="why" role="status">{why}</span>}
    </span>
  );
}
