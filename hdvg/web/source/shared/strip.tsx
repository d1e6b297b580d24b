// A clip as a strip of small frames, moved by CSS while it is pointed at, has the focus, or was tapped.
import { useState } from "preact/hooks";
import type { VNode } from "preact";
import "./strip.css";

export interface StripProps {
  /** Address of one image that holds the frames side by side: `data:`, `blob:` or of the server; null = there is none. */
  src: string | null;
  /** What it shows, for people who do not see it; empty where the words beside it say so. */
  label: string;
  /** Whether it is a tab stop of its own; leave it out inside a link or button, whose focus moves it. */
  focusable?: boolean;
  /** What to say in place of a picture that is missing. */
  why?: string;
}

/** A strip has at least one frame and as many as its clip has pictures; each is 16 : 9. */
function framesOf(image: HTMLImageElement): number {
  return Math.max(1, Math.round((image.naturalWidth / image.naturalHeight) * (9 / 16)));
}

export function Strip({ src, label, focusable = false, why = "no picture" }: StripProps): VNode {
  const [frames, setFrames] = useState(1);
  const [tapped, setTapped] = useState(false);
  const [broken, setBroken] = useState(false);
  const shown = src !== null && !broken;
  return (
    <span
      class="strip"
      role={label ? "img" : undefined}
      aria-label={label || undefined}
      aria-hidden={label ? undefined : "true"}
      tabIndex={focusable ? 0 : undefined}
      data-playing={tapped || undefined}
      style={{ "--frames": frames }}
      onPointerUp={(event) => event.pointerType !== "mouse" && setTapped(!tapped)}
    >
      {shown ? (
        <img src={src} alt="" loading="lazy" decoding="async" draggable={false} onLoad={(event) => setFrames(framesOf(event.currentTarget))} onError={() => setBroken(true)} />
      ) : (
        <span class="why">{why}</span>
      )}
    </span>
  );
}
