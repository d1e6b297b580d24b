// Why a clip was kept or dropped: each rule with the value, the threshold and the margin drawn; then all measures.
import type { VNode } from "preact";
import { useState } from "preact/hooks";
import { value as number } from "../shared/format";
import { visible } from "../shared/text";
import type { Explained, RuleSaid } from "./explained";
import { columnOf, number as loose, ownRules } from "./session";
import { go } from "./view";

export function Judged({ clip }: { clip: Explained }): VNode {
  return (
    <section class="panel" aria-label="Rules">
      <h2>{clip.verdict === "kept" ? "Kept: it passes every rule" : `Dropped: ${clip.reasons.map(visible).join(", ")}`}</h2>
      <div class="scroll" tabIndex={0} role="group" aria-label="each rule">
      <table class="judged">
        <thead>
          <tr><th scope="col">rule</th><th scope="col">asks</th><th scope="col" class="number">value</th><th scope="col" class="number">margin</th><td /></tr>
        </thead>
        <tbody>
          {clip.rules.map((said) => (
            <tr key={said.rule} data-passes={String(said.passes)}>
              <th scope="row"><Sign passes={said.passes} /> {said.rule}</th>
              <td class="mono">{visible(said.asks)}</td>
              <td class="number">{plain(said.value)}</td>
              <td class="number">{said.margin === null ? "—" : (said.margin >= 0 ? "+" : "−") + number(Math.abs(said.margin))}</td>
              <td class="meter"><Meter said={said} /></td>
            </tr>
          ))}
        </tbody>
      </table>
      </div>
    </section>
  );
}

function Sign({ passes }: { passes: boolean | null }): VNode {
  const [sign, word] = passes === null ? ["?", "not known"] : passes ? ["✓", "passes"] : ["✕", "breaks it"];
  return <span class={`sign ${passes ? "is-kept" : passes === null ? "dim" : "is-dropped"}`} title={word}><span aria-hidden="true">{sign}</span><span class="visually-hidden">{word}</span></span>;
}

function plain(value: unknown): string {
  if (value === null || value === undefined) return "—";
  if (typeof value === "number") return number(value);
  if (typeof value === "boolean") return value ? "yes" : "no";
  if (Array.isArray(value)) return visible(value.join(", "));
  if (typeof value === "object") return Object.entries(value).map(([name, one]) => `${name} ${plain(one)}`).join(", ");
  return visible(String(value));
}

/** The value among all clips of the dataset, with the threshold as a line. */
function Meter({ said }: { said: RuleSaid }): VNode | null {
  const name = said.asks.match(/[a-z_]\w*/g)?.find((word) => columnOf(word));
  const column = name === undefined ? undefined : columnOf(name);
  const thresholds = [said.threshold].flat().filter((one): one is number => typeof one === "number");
  if (!column || typeof said.value !== "number" || thresholds.length === 0) return null;
  const known = [loose(column.least), loose(column.most), said.value, ...thresholds].filter(Number.isFinite);
  const [least, most] = [Math.min(...known), Math.max(...known)];
  const at = (value: number): string => `${most > least ? (100 * (value - least)) / (most - least) : 50}%`;
  return (
    <span class="meter-line" aria-hidden="true">
      {thresholds.map((threshold) => <i key={threshold} class="threshold" style={{ left: at(threshold) }} />)}
      <i class={`dot ${said.passes ? "" : "bad"}`} style={{ left: at(said.value) }} />
    </span>
  );
}

export function Measured({ clip }: { clip: Explained }): VNode {
  const [wanted, setWanted] = useState("");
  const ruled = Object.values(ownRules.value).join(" ");
  const names = Object.keys(clip.measures).filter((name) => name.includes(wanted.trim().toLowerCase()));
  names.sort((a, b) => Number(ruled.includes(b)) - Number(ruled.includes(a)));
  return (
    <section class="panel" aria-label="Measures">
      <div class="rules-head">
        <h2>Measures</h2>
        <input type="search" placeholder="find" aria-label="Find a measure" value={wanted} onInput={(event) => setWanted(event.currentTarget.value)} />
      </div>
      <div class="scroll measured" tabIndex={0} role="group" aria-label="all measures">
        <table class="pairs">
          <tbody>
            {names.map((name) => (
              <tr key={name} title={columnOf(name)?.about}>
                <th scope="row">
                  <button type="button" class="quiet mono" title="see all clips in its order" onClick={() => go({ page: "grid", arg: "", sort: { column: name, descending: false } })}>{name}</button>
                </th>
                <td class="number mono">{plain(clip.measures[name])}</td>
              </tr>
            ))}
          </tbody>
        </table>
      </div>
    </section>
  );
}
