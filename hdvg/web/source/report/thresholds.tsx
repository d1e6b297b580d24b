// A histogram for each measure, with handles: every count shown is exact for the clips that the page holds.
import { useEffect, useMemo, useRef, useState } from "preact/hooks";
import type { VNode } from "preact";
import type { Side } from "../shared/axis";
import { count } from "../shared/format";
import { Histogram } from "../shared/histogram";
import { visible } from "../shared/text";
import type { Measure } from "./data";
import { countText, lengthText, Section } from "./parts";
import { command, countsOf, data, kept, move, reset, standOf } from "./state";

export function Thresholds(): VNode {
  const [words, setWords] = useState("");
  const ruled = data.measures.filter((one) => one.ruled);
  const others = data.measures.filter((one) => !one.ruled && one.name.includes(words.trim()));
  if (data.measures.length === 0) return <Section id="thresholds" title="Thresholds" about="No clip has a measure yet: there is nothing to bound."><></></Section>;
  const about = "Blue: kept. Grey: dropped by this measure alone. Outline: all clips. Drag a handle, use the arrow keys, or type a bound.";
  return (
    <Section id="thresholds" title="Thresholds" about={about}>
      <Notes />
      {ruled.length > 0 && <Charts measures={ruled} title="Measures that rules bound" />}
      {ruled.length < data.measures.length && (
        <details open={ruled.length === 0}>
          <summary>{`${data.measures.length - ruled.length} measures without a rule`}</summary>
          <label class="find">
            name contains <input value={words} onInput={(event) => setWords(event.currentTarget.value)} />
          </label>
          <Charts measures={others} title="Measures without a rule" />
        </details>
      )}
    </Section>
  );
}

function Notes(): VNode {
  const quantiles = data.rules.filter((rule) => [rule.low, rule.high].some((end) => end && end.share !== null));
  return (
    <>
      {quantiles.length > 0 && (
        <p class="dim">
          {`${quantiles.map((rule) => visible(rule.name)).join(", ")}: a quantile, held at its present value here; `}
          <code>hdvg filter</code> takes it anew over the clips that the other rules leave.
        </p>
      )}
      <p class="dim">Copies and draws are as they were decided under the recipe's own rules; under others another copy may be the best.</p>
    </>
  );
}

function Charts({ measures, title }: { measures: Measure[]; title: string }): VNode {
  return (
    <ul class="charts" aria-label={title}>
      {measures.map((measure) => <Chart key={measure.name} measure={measure} />)}
    </ul>
  );
}

const NOTHING: readonly Side[] = [];
const BOTH: readonly Side[] = ["low", "high"];

function Chart({ measure }: { measure: Measure }): VNode {
  const place = useRef<HTMLLIElement>(null);
  const isSeen = useSeen(place);
  const counts = isSeen && measure.held ? countsOf(measure) : null;
  const { range, exact } = standOf(measure);
  const others = useMemo(() => scaled(counts, measure), [counts, measure]);
  return (
    <li class="panel" ref={place}>
      <Histogram
        axis={measure}
        title={visible(measure.name)}
        all={measure.counts}
        others={others}
        range={range}
        exact={exact}
        sides={measure.held ? BOTH : NOTHING}
        summary={`${count(measure.counts[0])} without a value`}
        onMove={(to, side) => move(measure, to, side)}
      />
      <p class="dim about">{measure.about}</p>
    </li>
  );
}

/** The held clips' counts, as heights beside those of the whole dataset; while they are unknown, none. */
function scaled(counts: Uint32Array | null, measure: Measure): ArrayLike<number> {
  if (!counts) return new Uint32Array(measure.counts.length);
  const weight = data.held.clips / data.held.rows;
  return weight === 1 ? counts : Float64Array.from(counts, (one) => one * weight);
}

/** Whether an element is on the screen, or the page is printed. */
function useSeen(place: { current: HTMLElement | null }): boolean {
  const [isSeen, setSeen] = useState(false);
  useEffect(() => {
    const watch = new IntersectionObserver((entries) => setSeen(entries[entries.length - 1].isIntersecting), { rootMargin: "100px" });
    watch.observe(place.current!);
    const print = (): void => setSeen(true);
    addEventListener("beforeprint", print);
    return () => (watch.disconnect(), removeEventListener("beforeprint", print));
  }, []);
  return isSeen;
}

/** Always in sight: what the rules keep now, and the line that makes it so. */
export function Bar(): VNode {
  const [said, setSaid] = useState("");
  const line = useRef<HTMLElement>(null);
  const now = kept.value;
  const before = data.figures.totals.kept;
  const copy = async (): Promise<void> => {
    try {
      await navigator.clipboard.writeText(command.value!);
      setSaid("copied");
    } catch {
      getSelection()?.selectAllChildren(line.current!);
      setSaid("selected: copy it with Ctrl+C");
    }
  };
  const difference = now ? now.clips - before : 0;
  return (
    <div class="now screen-only" role="region" aria-label="What is kept">
      <p role="status">
        <strong>{now ? countText(now) : "…"}</strong> clips kept{now && `, ${lengthText(now)}`}
        {difference !== 0 && <span class="dim">{` (${difference > 0 ? "+" : "−"}${count(Math.abs(difference))})`}</span>}
      </p>
      {command.value ? (
        <>
          <code ref={line} class="line" tabIndex={0} aria-label="the command that makes it so">{command.value}</code>
          <button class="primary" onClick={() => void copy()}>Copy</button>
          <button onClick={reset}>Reset</button>
          <span role="status" class="dim">{said}</span>
        </>
      ) : (
        <p class="dim">the recipe as it stands</p>
      )}
    </div>
  );
}
