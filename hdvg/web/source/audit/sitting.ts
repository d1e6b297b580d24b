// Where the audit stands: the questions ahead, the answer being sent, the last one, which may be taken back.
import { signal } from "@preact/signals";
import { get, post, Refusal } from "../explore/api";
import type { Media } from "../explore/protocol";

export type Word = "yes" | "no" | "unsure";
export const KEYS: Record<string, Word | undefined> = { y: "yes", n: "no", u: "unsure" };

export interface Asked {
  question: string;
  clip_id: string;
  asked: string;
  /** The caption that is asked about. */
  text: string | null;
  media: Media;
}

export interface Standing {
  audit: string;
  has_ended: boolean;
  questions: number;
  answered: number;
  left: number;
  /** Intervals are as narrow as was wanted. */
  enough: boolean;
  author: string;
  ahead: Asked[];
}

export const sitting = signal<Standing | null>(null);
export const trouble = signal("");
const given: string[] = [];
let sending: Promise<void> = Promise.resolve();
const WAIT_MS = 500;
const FEW = 3;

/** Read where the audit stands; waits while the server reads the dataset. */
export async function start(): Promise<void> {
  for (;;) {
    try {
      sitting.value = await get<Standing>("/api/audit/ahead");
      return;
    } catch (error) {
      if (!(error instanceof Refusal) || error.status !== 503 || error.body.building !== true) throw error;
      await new Promise((done) => setTimeout(done, WAIT_MS));
    }
  }
}

/** Answer the question that is shown; the next is shown at once, the answer is stored meanwhile. */
export function say(word: Word): void {
  const now = sitting.value;
  const asked = now?.ahead[0];
  if (!now || !asked || now.has_ended) return;
  given.push(asked.question);
  sitting.value = { ...now, ahead: now.ahead.slice(1), answered: now.answered + 1, left: now.left - 1 };
  send(asked.question, word);
}

/** Take the last answer of this page back, and ask it again. */
export function takeBack(): void {
  const question = given.pop();
  if (question) send(question, null, true);
}

function send(question: string, answer: Word | null, again = false): void {
  sending = sending.then(async () => {
    try {
      const stands = await post<Omit<Standing, "ahead" | "author">>("/api/audit/answer", { question, answer });
      trouble.value = "";
      const now = sitting.value!;
      if (again || now.ahead.length <= FEW) await more();
      else sitting.value = { ...now, enough: stands.enough };
    } catch (error) {
      trouble.value = `The answer was not stored: ${(error as Error).message}`;
      given.splice(given.lastIndexOf(question), 1);
      await more().catch(() => undefined);
    }
  });
}

/** Questions further ahead; those answered while this was asked stay answered. */
async function more(): Promise<void> {
  const said = given.length;
  const read = await get<Standing>("/api/audit/ahead");
  const since = new Set(given.slice(said));
  sitting.value = { ...read, ahead: read.ahead.filter((one) => !since.has(one.question)) };
}

/** Wait until all answers are stored, then end the audit for good. */
export async function endAudit(): Promise<void> {
  await sending;
  await post("/api/audit/end");
  await start();
}
