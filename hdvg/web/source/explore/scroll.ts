// A scrollbar for more rows than a browser's height limit allows: beyond it, the bar is scaled and the wheel is not.
import type { RefObject } from "preact";
import { useEffect, useState } from "preact/hooks";

const HEIGHT_MOST = 8_000_000; // browsers stop between 17 and 33 million pixels

export interface Scroll {
  width: number;
  height: number;
  /** Pixels above what is seen, of the whole unscaled height. */
  offset: number;
  /** Height to give to what is scrolled. */
  shown: number;
  /** Where in it to put something that begins `top` pixels down the whole height. */
  place(top: number): number;
  /** Bring `top` to `bottom` of the whole height into sight. */
  reveal(top: number, bottom: number): void;
}

/** `whole`: unscaled height of all content, in pixels, for the width that is there. */
export function useScroll(element: RefObject<HTMLElement | null>, whole: (width: number) => number): Scroll {
  const [size, setSize] = useState({ width: 0, height: 0 });
  const [offset, setOffset] = useState(0);
  const all = whole(size.width);
  const shown = Math.min(all, HEIGHT_MOST);
  const ratio = shown > size.height ? (all - size.height) / (shown - size.height) : 1;
  const most = Math.max(all - size.height, 0);
  useEffect(() => {
    const box = element.current;
    if (!box) return;
    const watcher = new ResizeObserver(() => setSize({ width: box.clientWidth, height: box.clientHeight }));
    watcher.observe(box);
    return () => watcher.disconnect();
  }, []);
  const moveTo = (to: number): void => {
    const held = Math.min(Math.max(to, 0), most);
    setOffset(held);
    element.current!.scrollTop = held / ratio;
  };
  useEffect(() => {
    const box = element.current;
    if (!box) return;
    const scrolled = (): void => {
      // A move of our own rounds to whole pixels of the bar: only a person's differs by more.
      setOffset((now) => (Math.abs(box.scrollTop - now / ratio) > 1 ? box.scrollTop * ratio : now));
    };
    const wheeled = (event: WheelEvent): void => {
      if (ratio === 1 || event.ctrlKey) return;
      event.preventDefault();
      moveTo(offset + event.deltaY * (event.deltaMode === 1 ? 40 : event.deltaMode === 2 ? box.clientHeight : 1));
    };
    box.addEventListener("scroll", scrolled);
    box.addEventListener("wheel", wheeled, { passive: false });
    return () => {
      box.removeEventListener("scroll", scrolled);
      box.removeEventListener("wheel", wheeled);
    };
  });
  return {
    ...size,
    offset,
    shown,
    place: (top) => (ratio === 1 ? top : (element.current?.scrollTop ?? 0) + top - offset),
    reveal: (top, bottom) => {
      if (top < offset) moveTo(top);
      else if (bottom > offset + size.height) moveTo(bottom - size.height);
    },
  };
}
