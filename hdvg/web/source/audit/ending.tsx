// The end of an audit: two steps to end it, and then its rates with their intervals.
import { signal } from "@preact/signals";
import type { VNode } from "preact";
import { useEffect } from "preact/hooks";
import { get } from "../explore/api";
import { visible } from "../shared/text";
import { endAudit, sitting, trouble } from "./sitting";

interface Rate {
  topic: string;
  side: string;
  what: string;
  share: number | null;
  low: number | null;
  high: number | null;
  how: string | null;
  asked: number;
  errors: number;
  unsure: number;
  clips: number;
}

interface Answer {
  rates: Rate[];
  agreement: { doubles: number; kappa: number | null; low: number | null; high: number | null };
}

const found = signal<Answer | null>(null);
const isSure = signal(false);

export function Ending(): VNode {
  const now = sitting.value!;
  const finish = (): void => {
    isSure.value = false;
    endAudit().catch((error: Error) => (trouble.value = error.message));
  };
  return (
    <footer>
      {now.enough && <p class="note" role="status">Every interval is narrow enough.</p>}
      <p class="dim">Stop when you are tired, not by what you saw: every beginning of the questions is a fair sample. Answers are stored as they are given; the same command goes on.</p>
      {isSure.value ? (
        <p role="group" aria-label="End the audit?">
          It then takes no more answers. <button type="button" class="primary" onClick={finish}>End it and show the rates</button>{" "}
          <button type="button" onClick={() => (isSure.value = false)}>Go on</button>
        </p>
      ) : (
        <button type="button" disabled={now.answered === 0} onClick={() => (isSure.value = true)}>End the audit …</button>
      )}
    </footer>
  );
}

export function Results(): VNode {
  useEffect(() => {
    get<Answer>("/api/audit/result").then((answer) => (found.value = answer)).catch((error: Error) => (trouble.value = error.message));
  }, []);
  if (!found.value) return <p role="status">Reading the rates …</p>;
  const { rates, agreement } = found.value;
  return (
    <section class="panel">
      <h1>How right the dataset is</h1>
      <div class="scroll">
        <table>
          <thead><tr><th scope="col">what</th><th scope="col" class="number">share</th><th scope="col" class="number">95 % interval</th><th scope="col">how</th><th scope="col" class="number">errors of answers</th><th scope="col" class="number">of clips</th></tr></thead>
          <tbody>{rates.map((rate) => <RateRow key={`${rate.topic} ${rate.side}`} rate={rate} />)}</tbody>
        </table>
      </div>
      <p class="dim">{agreed(agreement)}</p>
    </section>
  );
}

function RateRow({ rate }: { rate: Rate }): VNode {
  const interval = rate.low === null || rate.high === null ? "too few answers" : `${percent(rate.low)} – ${percent(rate.high)}`;
  return (
    <tr>
      <th scope="row">{visible(rate.what)}</th>
      <td class="number">{rate.share === null ? "" : percent(rate.share)}</td>
      <td class="number">{interval}</td>
      <td>{rate.how ?? ""}</td>
      <td class="number">{rate.errors} of {rate.asked}{rate.unsure > 0 && `, ${rate.unsure} unsure`}</td>
      <td class="number">{rate.clips}</td>
    </tr>
  );
}

function agreed(one: Answer["agreement"]): string {
  if (one.kappa === null || one.low === null || one.high === null) return `${one.doubles} questions were answered by two people; from 50 on their agreement is told.`;
  return `${one.doubles} questions were answered by two people: kappa ${one.kappa.toFixed(2)} (${one.low.toFixed(2)} to ${one.high.toFixed(2)}).`;
}

function percent(share: number): string {
  return `${(share * 100).toFixed(1)} %`;
}
