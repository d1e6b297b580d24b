// Numbers as people read them: counts, hours, shares, sizes, measured values.
const WHOLE = new Intl.NumberFormat("en-US", { maximumFractionDigits: 0 });

/** `12,345`. */
export function count(value: number): string {
  return WHOLE.format(value);
}

/** `12.3 k`, `4.56 M`: where room is short. */
export function short(value: number): string {
  const size = Math.abs(value);
  if (size < 10_000) return count(value);
  if (size < 1_000_000) return `${(value / 1e3).toFixed(size < 100_000 ? 1 : 0)} k`;
  return `${(value / 1e6).toFixed(size < 10_000_000 ? 2 : 1)} M`;
}

/** Length of footage: `41 s`, `12.3 min`, `1,234 h`. */
export function length(seconds: number): string {
  if (seconds < 60) return `${seconds.toFixed(seconds < 10 ? 1 : 0)} s`;
  if (seconds < 3600) return `${(seconds / 60).toFixed(1)} min`;
  return seconds < 360_000 ? `${(seconds / 3600).toFixed(1)} h` : `${count(seconds / 3600)} h`;
}

/** A share of a whole: `42.1 %`; `—` of nothing. */
export function share(part: number, whole: number): string {
  return whole > 0 ? `${((100 * part) / whole).toFixed(1)} %` : "—";
}

/** A measured value in at most `digits` significant digits, never with an exponent between 1e-4 and 1e9. */
export function value(number: number | null | undefined, digits = 4): string {
  if (number === null || number === undefined) return "—";
  if (!Number.isFinite(number)) return Number.isNaN(number) ? "NaN" : number > 0 ? "∞" : "−∞";
  const size = Math.abs(number);
  if (size !== 0 && (size < 1e-4 || size >= 1e9)) return number.toExponential(2);
  if (Number.isInteger(number)) return count(number);
  return String(Number(number.toPrecision(Math.max(digits, Math.ceil(Math.log10(size + 1)) + 1))));
}

/** `12.3 MB`. */
export function bytes(size: number): string {
  const units = ["B", "kB", "MB", "GB", "TB"];
  let unit = 0;
  while (size >= 1000 && unit < units.length - 1) {
    size /= 1000;
    unit += 1;
  }
  return `${unit && size < 100 ? size.toFixed(1) : Math.round(size)} ${units[unit]}`;
}

/** A moment on a timeline: `0:07.25`, `1:02:03`. */
export function moment(seconds: number, decimals = 2): string {
  const hours = Math.floor(seconds / 3600);
  const minutes = Math.floor((seconds % 3600) / 60);
  const rest = (seconds % 60).toFixed(decimals).padStart(decimals ? 3 + decimals : 2, "0");
  return hours ? `${hours}:${String(minutes).padStart(2, "0")}:${rest}` : `${minutes}:${rest}`;
}
