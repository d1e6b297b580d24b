// The run as it goes: what each stage has done and how fast, which one limits, hosts, failures, the log.
import { effect, signal } from "@preact/signals";
import type { VNode } from "preact";
import { useEffect, useRef } from "preact/hooks";
import uPlot from "uplot";
import "uplot/dist/uPlot.min.css";
import { count, length, short } from "../shared/format";
import { visible } from "../shared/text";
import { poll } from "./api";
import { meta } from "./session";
import { page } from "./view";

interface Stage {
  stage: string;
  done: number;
  of: number;
  per_min: number | null;
  limiting: boolean;
}

interface Live {
  running: boolean;
  changed: boolean;
  clock: string;
  stages: Stage[];
  hosts: Record<string, unknown> | null;
  last_run: { ended?: string; stages?: Record<string, { units: number; ok: number; spent_s: number }> } | null;
  log: string[];
  failures: string[];
}

const live = signal<Live | null>(null);
const trouble = signal<string | null>(null);
/** Units done by stage over the time that this page has been open: at most an hour at 2 s. */
const past = signal<{ at: number; done: Record<string, number> }[]>([]);
const PAST_MOST = 1800;

let timer: ReturnType<typeof setTimeout> | undefined;
let tag: string | null = null;

async function ask(): Promise<void> {
  try {
    const found = await poll<Live>("/api/live", tag);
    if (found) {
      live.value = found.answer;
      tag = found.tag;
    }
    if (live.value) {
      const done = Object.fromEntries(live.value.stages.map((stage) => [stage.stage, stage.done]));
      past.value = [...past.value, { at: Date.now() / 1000, done }].slice(-PAST_MOST);
    }
    trouble.value = null;
  } catch (error) {
    trouble.value = (error as Error).message;
  }
  if (page.peek() === "run") timer = setTimeout(ask, live.value?.running ? 2000 : 10_000);
}

effect(() => {
  clearTimeout(timer);
  if (page.value === "run" && meta.value) void ask();
});

export function Run(): VNode {
  const now = live.value;
  if (trouble.value) return <p class="note">{trouble.value}</p>;
  if (!now) return <p class="dim">loading …</p>;
  return (
    <section class="run">
      <h2><span class={now.running ? "is-kept" : "dim"}>{now.running ? "running" : "not running"}</span></h2>
      <div class="panel scroll">
        <table class="stages">
          <thead><tr><th scope="col">stage</th><th scope="col" class="number">done</th><th scope="col" class="number">of units</th><th scope="col" class="number">per minute</th><td class="bar" /></tr></thead>
          <tbody>{now.stages.map((stage) => <StageRow key={stage.stage} stage={stage} />)}</tbody>
        </table>
      </div>
      {past.value.length > 1 && <Throughput stages={now.stages.map((stage) => stage.stage)} />}
      <div class="run-columns">
        {now.hosts && <Pairs title="Hosts" of={now.hosts} />}
        {now.last_run?.stages && <LastRun ended={now.last_run.ended} stages={now.last_run.stages} />}
        <Lines title="Failures" lines={now.failures} none="None in the log." />
        <Lines title="Log" lines={now.log} none="No log yet." />
      </div>
    </section>
  );
}

function StageRow({ stage }: { stage: Stage }): VNode {
  return (
    <tr>
      <th scope="row">{stage.stage} {stage.limiting && <span class="badge bad">limits the run</span>}</th>
      <td class="number">{count(stage.done)}</td>
      <td class="number">{count(stage.of)}</td>
      <td class="number">{stage.per_min === null ? "—" : short(Number(stage.per_min.toPrecision(3)))}</td>
      <td class="bar" aria-hidden="true"><span class="bar-line"><i style={{ width: `${stage.of ? (100 * stage.done) / stage.of : 0}%` }} /></span></td>
    </tr>
  );
}

function Throughput({ stages }: { stages: string[] }): VNode {
  const box = useRef<HTMLDivElement>(null);
  const plot = useRef<uPlot | null>(null);
  const points = past.value;
  useEffect(() => {
    const room = box.current;
    if (!room) return;
    const style = getComputedStyle(document.documentElement);
    const ink = style.getPropertyValue("--dim");
    const hue = (place: number): string => `hsl(${(210 + (place * 360) / Math.max(stages.length, 1)) % 360} 60% 50%)`;
    const axis = { stroke: ink, grid: { stroke: style.getPropertyValue("--line") }, ticks: { stroke: style.getPropertyValue("--line") } };
    plot.current = new uPlot(
      {
        width: room.clientWidth,
        height: 220,
        series: [{}, ...stages.map((label, place) => ({ label, stroke: hue(place), width: 2 }))],
        axes: [axis, { ...axis, label: "units done", stroke: ink }],
      },
      [[], ...stages.map(() => [])] as uPlot.AlignedData,
      room,
    );
    const watcher = new ResizeObserver(() => plot.current?.setSize({ width: room.clientWidth, height: 220 }));
    watcher.observe(room);
    return () => (watcher.disconnect(), plot.current?.destroy());
  }, [stages.join()]);
  useEffect(() => {
    const columns = [points.map(({ at }) => at), ...stages.map((stage) => points.map(({ done }) => done[stage] ?? null))];
    plot.current?.setData(columns as uPlot.AlignedData);
  }, [points]);
  return <div class="panel" ref={box} role="img" aria-label="units done by stage since this page was opened; the table above has the numbers" />;
}

function Pairs({ title, of }: { title: string; of: Record<string, unknown> }): VNode {
  return (
    <section class="panel scroll" aria-label={title} tabIndex={0}>
      <h2>{title}</h2>
      <table class="pairs"><tbody>{Object.entries(of).map(([name, value]) => <tr key={name}><th scope="row">{visible(name)}</th><td class="mono">{visible(typeof value === "object" ? JSON.stringify(value) : String(value))}</td></tr>)}</tbody></table>
    </section>
  );
}

function LastRun({ ended, stages }: { ended?: string; stages: Record<string, { units: number; ok: number; spent_s: number }> }): VNode {
  return (
    <section class="panel scroll" aria-label="Last run" tabIndex={0}>
      <h2>Last run <span class="dim">{ended && visible(ended.slice(0, 19).replace("T", " "))}</span></h2>
      <table>
        <thead><tr><th scope="col">stage</th><th scope="col" class="number">units</th><th scope="col" class="number">fine</th><th scope="col" class="number">spent</th></tr></thead>
        <tbody>
          {Object.entries(stages).map(([name, stage]) => (
            <tr key={name}><th scope="row">{visible(name)}</th><td class="number">{count(stage.units)}</td><td class="number">{count(stage.ok)}</td><td class="number">{length(stage.spent_s)}</td></tr>
          ))}
        </tbody>
      </table>
    </section>
  );
}

function Lines({ title, lines, none }: { title: string; lines: string[]; none: string }): VNode {
  return (
    <section class="panel" aria-label={title}>
      <h2>{title} {lines.length > 0 && <span class="dim">newest first</span>}</h2>
      {lines.length ? <pre class="scroll log" tabIndex={0}>{lines.map(visible).reverse().join("\n")}</pre> : <p class="dim">{none}</p>}
    </section>
  );
}
