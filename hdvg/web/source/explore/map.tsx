// The map of clips.
import type { VNode } from "preact";

export function MapPage(): VNode {
  return <p class="dim">The map is not there yet.</p>;
}
