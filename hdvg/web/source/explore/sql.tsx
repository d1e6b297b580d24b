// Questions in SQL to the dataset's views, answered by the server's sandbox; a link's question waits for a person.
import { signal } from "@preact/signals";
import type { VNode } from "preact";
import { useEffect, useRef } from "preact/hooks";
import { Text, visible } from "../shared/text";
import { post } from "./api";
import { approve, approved, go, linkTo, view } from "./view";

interface Answer {
  columns: { name: string; type: string }[];
  rows: unknown[][];
  more: boolean;
  ms: number;
}

const EXAMPLES: [string, string][] = [
  ["reasons", "select unnest(reasons) as reason, count(*) as clips from verdicts group by all order by clips desc"],
  ["by video", "select title, count(*) as clips, count(*) filter (keep) as kept from verdicts join videos using (video_id) group by all order by clips desc"],
  ["captions", "select clip_id, caption from captions limit 100"],
  ["columns", "describe measures"],
];

const answer = signal<Answer | null>(null);
const trouble = signal<string | null>(null);
const busy = signal(false);

async function run(text: string): Promise<void> {
  approve(text);
  go({ query: text });
  busy.value = true;
  trouble.value = null;
  try {
    answer.value = await post<Answer>("/api/sql", { sql: text, limit: 1000 });
  } catch (error) {
    answer.value = null;
    trouble.value = (error as Error).message;
  } finally {
    busy.value = false;
  }
}

export function Sql(): VNode {
  const field = useRef<HTMLTextAreaElement>(null);
  const query = view.value.query ?? "";
  const fromLink = query !== "" && !approved.value.has(query);
  useEffect(() => {
    if (field.current && field.current.value !== query) field.current.value = query;
  }, [query]);
  const send = (): void => void (field.current?.value.trim() && run(field.current.value.trim()));
  return (
    <section class="sql">
      <textarea
        ref={field}
        class="mono"
        rows={6}
        spellcheck={false}
        aria-label="question in SQL"
        placeholder="select … from clips, measures, verdicts, captions, videos, failures"
        onKeyDown={(event) => event.key === "Enter" && (event.ctrlKey || event.metaKey) && (event.preventDefault(), send())}
      />
      <div class="line">
        <button type="button" class="primary" onClick={send} disabled={busy.value}>Run</button>
        <span class="dim">Ctrl+Enter · one SELECT, read-only, {busy.value ? "running …" : "stopped after 10 s"}</span>
        {EXAMPLES.map(([name, text]) => (
          <button key={name} type="button" class="quiet" onClick={() => void run(text)}>{name}</button>
        ))}
      </div>
      {fromLink && <p class="note" role="status">This question came with the link. It has not been run: read it, then press Run.</p>}
      {trouble.value && <pre class="note" role="alert">{visible(trouble.value)}</pre>}
      {answer.value && <Table answer={answer.value} />}
    </section>
  );
}

function Table({ answer: { columns, rows, more, ms } }: { answer: Answer }): VNode {
  return (
    <>
      <div class="line">
        <p class="dim" role="status">{rows.length} {rows.length === 1 ? "row" : "rows"}{more && ", more were left out"} · {Math.round(ms)} ms</p>
        <button type="button" class="quiet" onClick={() => save(columns.map(({ name }) => name), rows)}>Download as CSV</button>
      </div>
      <div class="scroll panel answer" tabIndex={0} role="group" aria-label="answer">
        <table>
          <thead><tr>{columns.map(({ name, type }) => <th key={name} scope="col" title={type}>{visible(name)}</th>)}</tr></thead>
          <tbody>
            {rows.map((row, place) => (
              <tr key={place}>{row.map((cell, at) => <td key={at} class={typeof cell === "number" ? "number" : undefined}><Cell cell={cell} name={columns[at].name} /></td>)}</tr>
            ))}
          </tbody>
        </table>
      </div>
    </>
  );
}

function Cell({ cell, name }: { cell: unknown; name: string }): VNode | null {
  if (cell === null || cell === undefined) return <span class="dim">null</span>;
  const text = typeof cell === "object" ? JSON.stringify(cell) : String(cell);
  if (name === "clip_id" && /^[0-9a-f]{8,64}$/.test(text)) return <a class="mono" href={linkTo({ page: "clip", arg: text })}>{text}</a>;
  return <Text value={text} />;
}

/** A cell of CSV; what a spreadsheet would take for a formula gets a quote before it. */
export function csvCell(cell: unknown): string {
  if (cell === null || cell === undefined) return "";
  const text = typeof cell === "object" ? JSON.stringify(cell) : String(cell);
  const safe = typeof cell === "string" && /^[=+\-@\t\r]/.test(text) ? `'${text}` : text;
  return /[",\r\n]/.test(safe) ? `"${safe.replaceAll('"', '""')}"` : safe;
}

function save(names: string[], rows: unknown[][]): void {
  const text = [names, ...rows].map((row) => row.map(csvCell).join(",")).join("\r\n");
  const link = document.createElement("a");
  link.href = URL.createObjectURL(new Blob([text], { type: "text/csv" }));
  link.download = "answer.csv";
  link.click();
  setTimeout(() => URL.revokeObjectURL(link.href), 10_000);
}
