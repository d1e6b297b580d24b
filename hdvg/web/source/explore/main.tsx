// The page of `hdvg explore`: opens the session, waits for the dataset, shows the page that the hash names.
import { type ComponentType, render, type VNode } from "preact";
import { useEffect, useState } from "preact/hooks";
import { count, length } from "../shared/format";
import { visible } from "../shared/text";
import "../shared/theme.css";
import "./explore.css";
import "./pages.css";
import { lockedOut, openSession, post, stale } from "./api";
import { Clip } from "./clip";
import { Compare } from "./compare";
import { Filters, Waiting } from "./filters";
import { Grid } from "./grid";
import { MapPage } from "./map";
import { Marks } from "./marks";
import { Overview } from "./overview";
import { Run } from "./run";
import { failed, loadMeta, meta, opening, refresh } from "./session";
import { Sql } from "./sql";
import { linkTo, type Page, view } from "./view";

const TITLES: Record<Page, string> = {
  overview: "Overview", grid: "Grid", clip: "Clip", map: "Map", sql: "SQL", compare: "Compare", marks: "Marks", run: "Run",
};
const SHOWN: Record<Page, ComponentType> = {
  overview: Overview, grid: Grid, clip: Clip, map: MapPage, sql: Sql, compare: Compare, marks: Marks, run: Run,
};
const FILTERED: ReadonlySet<Page> = new Set(["overview", "grid", "map"]);

function Tabs(): VNode {
  const pages = (Object.keys(TITLES) as Page[]).filter((page) => page !== "clip" && (page !== "map" || meta.value?.has.embeddings));
  return (
    <nav aria-label="Pages">
      {pages.map((page) => (
        <a key={page} href={linkTo({ ...view.value, page, arg: "" })} aria-current={view.value.page === page ? "page" : undefined}>
          {TITLES[page]}
        </a>
      ))}
    </nav>
  );
}

function Top(): VNode {
  const known = meta.value;
  return (
    <header class="top">
      <a class="skip" href="#main" onClick={(event) => (event.preventDefault(), document.getElementById("main")?.focus())}>To the content</a>
      <p class="brand">
        <b>hdvg</b>
        {known && <span title={visible(known.name)}>{visible(known.name)}</span>}
        {known && <span class="dim">{count(known.clips)} clips · {length(known.hours * 3600)}</span>}
      </p>
      {known && <Tabs />}
      {known && <Another />}
    </header>
  );
}

/** A link for one browser more: the first one works once. */
function Another(): VNode {
  const [link, setLink] = useState("");
  const ask = (): void => {
    void post<{ token: string }>("/api/link").then(({ token }) => setLink(`${location.origin}/#token=${token}`), (error: Error) => setLink(error.message));
  };
  return link ? <input class="mono another" readOnly value={link} aria-label="link for another browser, works once" onFocus={(event) => event.currentTarget.select()} /> : <button type="button" class="quiet" onClick={ask} title="a link for another browser, works once">Link</button>;
}

function Opening(): VNode {
  if (failed.value) return <p class="note">{failed.value}</p>;
  const { doing, share } = opening.value ?? { doing: "opening the dataset", share: 0 };
  return (
    <div class="opening" role="status">
      <p>{doing} …</p>
      <progress value={share} max={1} aria-label="opening" />
    </div>
  );
}

function App(): VNode {
  const page = view.value.page;
  useEffect(() => {
    document.title = `${TITLES[page]} · ${visible(meta.value?.name ?? "hdvg")}`;
  }, [page, meta.value]);
  const Shown = SHOWN[page];
  if (lockedOut.value) return <LockedOut />;
  return (
    <>
      <Top />
      {stale.value && (
        <p class="note stale" role="status">
          The dataset has changed since this was read. <button type="button" onClick={() => void refresh()}>Take the changes over</button>
        </p>
      )}
      <Waiting />
      {meta.value && FILTERED.has(page) && <Filters verdicts={page !== "overview"} />}
      <main id="main" tabIndex={-1} class={`page-${page}`}>
        {meta.value ? <><h1 class="visually-hidden">{TITLES[page]}</h1><Shown /></> : <Opening />}
      </main>
    </>
  );
}

function LockedOut(): VNode {
  return (
    <main class="locked">
      <h1>This page has no key to the dataset</h1>
      <p>Open the link that <code>hdvg explore</code> printed. It works once: restart the command, or press <i>Link</i> in a page that is open.</p>
    </main>
  );
}

openSession()
  .then(loadMeta)
  .catch((error: Error) => {
    failed.value = error.message;
  });
render(<App />, document.getElementById("app")!);
