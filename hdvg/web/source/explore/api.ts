// Asking the server: the cookie, JSON, frames, what to do with errors, and whether the dataset has changed meanwhile.
import { signal } from "@preact/signals";
import { type Frame, readFrame } from "./frame";

/** The dataset has changed since the snapshot that the page shows. */
export const stale = signal(false);
/** No cookie, or the server has been started anew. */
export const lockedOut = signal(false);

export class Refusal extends Error {
  constructor(
    readonly status: number,
    message: string,
    readonly body: Record<string, unknown> = {},
  ) {
    super(message);
  }

  /** A newer question took this one's place; nothing to show. */
  get superseded(): boolean {
    return this.status === 499;
  }
}

let open = 0;

/** For styles and tests: whether an answer is waited for. */
function counted(by: number): void {
  open += by;
  document.documentElement.toggleAttribute("data-asking", open > 0);
}

async function ask(path: string, init: RequestInit): Promise<Response> {
  let answer: Response;
  counted(1);
  try {
    answer = await fetch(path, { credentials: "same-origin", cache: "no-store", ...init });
  } catch {
    throw new Refusal(0, "The server does not answer. Is `hdvg explore` still running?");
  } finally {
    setTimeout(counted, 0, -1); // after the answer is read
  }
  stale.value = answer.headers.has("X-HDVG-Snapshot") ? answer.headers.get("X-HDVG-Stale") === "1" : stale.value;
  if (answer.ok || answer.status === 304) return answer;
  lockedOut.value ||= answer.status === 401;
  const body = await answer.json().catch(() => ({}));
  throw new Refusal(answer.status, String(body.error ?? `The server answered ${answer.status}.`), body);
}

function question(body: object): RequestInit {
  return { method: "POST", headers: { "Content-Type": "application/json", "X-HDVG": "1" }, body: JSON.stringify(body) };
}

export async function get<Answer>(path: string): Promise<Answer> {
  return (await ask(path, {})).json();
}

export async function post<Answer>(path: string, body: object = {}): Promise<Answer> {
  const answer = await ask(path, question(body));
  return answer.status === 204 || answer.status === 202 ? (undefined as Answer) : answer.json();
}

export async function postFrame<Header>(path: string, body: object): Promise<Frame<Header>> {
  return readFrame(await (await ask(path, question(body))).arrayBuffer());
}

export async function getFrame<Header>(path: string): Promise<Frame<Header>> {
  return readFrame(await (await ask(path, {})).arrayBuffer());
}

/** The answer, or null where nothing has changed since the tag. */
export async function poll<Answer>(path: string, tag: string | null): Promise<{ answer: Answer; tag: string | null } | null> {
  const answer = await ask(path, { headers: tag ? { "If-None-Match": tag } : {} });
  return answer.status === 304 ? null : { answer: await answer.json(), tag: answer.headers.get("ETag") };
}

/** Swap the one-time token of the link for the cookie, and wipe it from the address and the history. */
export async function openSession(): Promise<void> {
  const token = location.hash.match(/^#(?:\/?(?:token|t)=)?([A-Za-z0-9_-]{16,})$/)?.[1];
  if (!token) return;
  history.replaceState(null, "", `${location.pathname}#/overview`);
  await post("/session", { token }).catch((refusal: Refusal) => {
    if (refusal.status !== 403) throw refusal; // a used link: the cookie may still be there
  });
}
