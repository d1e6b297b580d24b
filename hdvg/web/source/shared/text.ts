// Text from strangers as text nodes, with control and direction characters made visible.
import { h, type VNode } from "preact";

const NAMES: Record<number, string> = {
  0x00ad: "SHY", 0x034f: "CGJ", 0x061c: "ALM", 0x180e: "MVS",
  0x200b: "ZWSP", 0x200e: "LRM", 0x200f: "RLM", 0x2028: "LS", 0x2029: "PS",
  0x202a: "LRE", 0x202b: "RLE", 0x202c: "PDF", 0x202d: "LRO", 0x202e: "RLO",
  0x2060: "WJ", 0x2066: "LRI", 0x2067: "RLI", 0x2068: "FSI", 0x2069: "PDI",
  0x206a: "ISS", 0x206b: "ASS", 0x206c: "IAFS", 0x206d: "AAFS", 0x206e: "NADS", 0x206f: "NODS",
  0xfeff: "BOM", 0x00: "NUL", 0x07: "BEL", 0x08: "BS", 0x0b: "VT", 0x0c: "FF", 0x0d: "CR", 0x1b: "ESC", 0x7f: "DEL",
};
// Joiners (200c, 200d) stay: Persian, Indic scripts and emoji are spelt with them. Tab and line feed stay too.
const HIDDEN =
  /[\u0000-\u0008\u000b-\u001f\u007f-\u009f\u00ad\u034f\u061c\u180e\u200b\u200e\u200f\u2028-\u202e\u2060-\u206f\ufeff\ufff9-\ufffb]|[\u{e0000}-\u{e007f}]|[\ud800-\udbff](?![\udc00-\udfff])|(?<![\ud800-\udbff])[\udc00-\udfff]/gu;

/** Short name of a character that shows nothing itself: `RLO`, `ESC`, else `U+0001`. */
export function nameOf(character: string): string {
  const code = character.codePointAt(0) ?? 0;
  return NAMES[code] ?? `U+${code.toString(16).toUpperCase().padStart(4, "0")}`;
}

/** Pieces of a text, hidden characters apart. */
export function pieces(text: string): { text: string; hidden: boolean }[] {
  const found: { text: string; hidden: boolean }[] = [];
  let from = 0;
  for (const match of text.matchAll(HIDDEN)) {
    if (match.index > from) found.push({ text: text.slice(from, match.index), hidden: false });
    found.push({ text: match[0], hidden: true });
    from = match.index + match[0].length;
  }
  if (from < text.length) found.push({ text: text.slice(from), hidden: false });
  return found;
}

/** The same as one plain string, for titles and labels: `‹RLO›` where a hidden character stood. */
export function visible(text: string): string {
  return pieces(text)
    .map((piece) => (piece.hidden ? `‹${nameOf(piece.text)}›` : piece.text))
    .join("");
}

/** Text of a stranger, isolated from the direction of what stands around it; nothing in it is ever markup. */
export function Text({ value, className }: { value: string; className?: string }): VNode {
  const parts = pieces(value).map((piece) =>
    piece.hidden ? h("b", { class: "control", title: "a character that shows nothing" }, nameOf(piece.text)) : piece.text,
  );
  return h("bdi", { class: className, dir: "auto" }, parts);
}
