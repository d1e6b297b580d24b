// The page of `hdvg audit`: one clip, one question, answered by a key; rates are shown once the audit has ended.
import { render, type VNode } from "preact";
import { useEffect } from "preact/hooks";
import { lockedOut, openSession } from "../explore/api";
import { Film } from "../explore/player";
import { Text } from "../shared/text";
import "../shared/theme.css";
import "./audit.css";
import { Ending, Results } from "./ending";
import { KEYS, say, sitting, start, takeBack, trouble, type Word } from "./sitting";

const LABELS: Record<Word, string> = { yes: "Yes", no: "No", unsure: "Cannot tell" };

function onKey(event: KeyboardEvent): void {
  const inText = event.target instanceof HTMLInputElement || event.target instanceof HTMLDialogElement;
  if (event.ctrlKey || event.altKey || event.metaKey || event.repeat || inText) return;
  const key = event.key.toLowerCase();
  const word = KEYS[key];
  if (word) say(word);
  else if (key === "z" || key === "backspace") takeBack();
  else if (key === "r") replay();
  else return;
  event.preventDefault();
}

function replay(): void {
  const video = document.querySelector("video");
  if (!video) return;
  video.currentTime = 0;
  void video.play();
}

function Question(): VNode {
  const now = sitting.value!;
  const asked = now.ahead[0];
  if (!asked) return <p class="panel">{now.left ? "The next questions are being read …" : "Nothing is left for you. End the audit to see its rates."}</p>;
  return (
    <article class="panel" aria-labelledby="asked">
      <Film key={asked.question} clip={asked.clip_id} media={asked.media} controls preview />
      <h1 id="asked" aria-live="polite"><Text value={asked.asked} /></h1>
      {asked.text !== null && <p class="about"><Text value={asked.text} /></p>}
      <p class="answers">
        {(Object.keys(LABELS) as Word[]).map((word) => (
          <button key={word} type="button" class="answer" onClick={() => say(word)}>
            {LABELS[word]} <kbd>{word[0]}</kbd>
          </button>
        ))}
      </p>
    </article>
  );
}

function Progress(): VNode {
  const now = sitting.value!;
  return (
    <header class="top">
      <b>hdvg audit</b>
      <progress value={now.answered} max={now.questions} aria-label="answered" />
      <span>{now.answered} of {now.questions} answered, {now.left} left for <Text value={now.author} /></span>
      <button type="button" class="quiet" onClick={takeBack}>Take the last answer back <kbd>z</kbd></button>
    </header>
  );
}

function App(): VNode {
  useEffect(() => {
    addEventListener("keydown", onKey);
    return () => removeEventListener("keydown", onKey);
  }, []);
  if (lockedOut.value) return <main class="panel"><h1>This page has no key to the dataset</h1><p>Open the link that <code>hdvg audit</code> printed; it works once.</p></main>;
  const now = sitting.value;
  return (
    <>
      {now && !now.has_ended && <Progress />}
      <main id="main">
        {trouble.value && <p class="note" role="alert">{trouble.value}</p>}
        {!now && !trouble.value && <p role="status">Opening the dataset …</p>}
        {now && (now.has_ended ? <Results /> : <Question />)}
      </main>
      {now && !now.has_ended && <Ending />}
    </>
  );
}

openSession().then(start).catch((error: Error) => (trouble.value = error.message));
render(<App />, document.getElementById("app")!);
