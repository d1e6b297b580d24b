// The headline, the way from links to kept clips, and what each rule takes away, as the rules stand now.
import type { VNode } from "preact";
import { count, length, share } from "../shared/format";
import { Funnel, type Step } from "../shared/funnel";
import { Text, visible } from "../shared/text";
import type { Row } from "./data";
import { countText, lengthText, Section, Table, totals } from "./parts";
import { command, data, drafts, estimate, isSample, kept, outcome, toggle } from "./state";

export function Head(): VNode {
  const { figures } = data;
  return (
    <header class="head">
      <div>
        <h1><Text value={figures.dataset} /></h1>
        <p class="dim">
          recipe <b><Text value={figures.recipe} /></b>{figures.about && <> · <Text value={figures.about} /></>}
        </p>
        <p class="dim">{`report of ${figures.made_at.replace("T", " ").replace("+00:00", " UTC")} by hdvg ${figures.provenance.hdvg}`}</p>
      </div>
      <Headline />
      {figures.running && <p class="note">A run works on the dataset: these are the figures of {figures.made_at}.</p>}
      {figures.damaged.map((name) => <p class="note" key={name}>lost or damaged, and left out: <Text value={name} /></p>)}
      {data.left_out.map((what) => <p class="note" key={what}>To keep this file small: {what}.</p>)}
    </header>
  );
}

function Headline(): VNode {
  const now = kept.value;
  return (
    <dl class="headline">
      <div><dt>clips kept</dt><dd>{now ? countText(now) : "…"}</dd><dd class="dim">{`of ${count(totals.clips)}`}</dd></div>
      <div><dt>share kept</dt><dd>{now ? share(now.clips, totals.clips) : "…"}</dd><dd class="dim">of clips</dd></div>
      <div><dt>footage kept</dt><dd>{now ? lengthText(now) : "…"}</dd><dd class="dim">{`of ${length(totals.hours * 3600)}`}</dd></div>
      <div><dt>videos</dt><dd>{count(totals.videos)}</dd><dd class="dim">{`of ${count(totals.links)} links`}</dd></div>
    </dl>
  );
}

/** Step by step, the rules as they stand. */
function steps(): Step[] {
  const first: Step = { name: "all clips", clips: 0, seconds: 0, leftClips: totals.clips, leftSeconds: totals.hours * 3600 };
  const made = [first];
  const changed = command.value !== null;
  drafts.value.forEach((draft, place) => {
    const known = data.figures.rules[place];
    const counted = outcome.value && estimate(outcome.value.steps[place]);
    const left = !changed && known ? { clips: known.left, seconds: known.left_hours * 3600 } : counted;
    const before = made[made.length - 1];
    const [leftClips, leftSeconds] = left ? [left.clips, left.seconds] : [before.leftClips, before.leftSeconds];
    made.push({
      name: draft.name,
      clips: before.leftClips - leftClips,
      seconds: before.leftSeconds - leftSeconds,
      leftClips,
      leftSeconds,
      shown: <Rule name={draft.name} />,
    });
  });
  return made;
}

function Rule({ name }: { name: string }): VNode {
  const draft = drafts.value.find((one) => one.name === name)!;
  const was = data.rules.find((one) => one.name === name);
  return (
    <span class="rule" data-off={!draft.on || undefined}>
      <label>
        <input type="checkbox" checked={draft.on} onChange={() => toggle(name)} /> {visible(name)}
      </label>
      <code>{draft.on ? visible(draft.text) : "off"}</code>
      {draft.on && was?.text !== draft.text && <span class="changed">{was ? `was ${visible(was.text)}` : "new"}</span>}
    </span>
  );
}

function Way(): VNode {
  return <Funnel steps={steps()} caption="clips and footage left after each rule" />;
}

export function FunnelSection(): VNode {
  const { figures } = data;
  const way = (figures.funnel as Row[]).map((row) => ({ ...row }));
  return (
    <Section id="funnel" title="Funnel" about="What is left after each rule, in the recipe's order. Switch rules here, move their thresholds below.">
      <div class="two">
        <Way />
        <div>
          <Table
            caption="From links to shards"
            columns={[{ key: "stage", title: "" }, { key: "items", title: "items", as: "count" }, { key: "hours", title: "footage", as: "hours" }]}
            rows={way}
          />
          <Table
            caption="Dropped for (a clip may have several reasons)"
            columns={[{ key: "reason", title: "reason" }, { key: "clips", title: "clips", as: "count" }]}
            rows={figures.dropped as Row[]}
          />
        </div>
      </div>
      <Table
        caption="What each rule does by itself, in the recipe"
        columns={[
          { key: "rule", title: "rule" }, { key: "asks", title: "asks" }, { key: "breaks", title: "break it", as: "count" },
          { key: "share", title: "of all", as: "share" }, { key: "alone", title: "break nothing else", as: "count" },
          { key: "unmeasured", title: "cannot be judged", as: "count" }, { key: "not_taken", title: "of these, not measured", as: "count" },
        ]}
        rows={figures.rules as Row[]}
      />
      <Table
        caption="Waiting"
        columns={[{ key: "stage", title: "stage" }, { key: "items", title: "items", as: "count" }]}
        rows={figures.pending as Row[]}
      />
      {isSample && (
        <p class="note">
          {`Counts of the recipe as it stands are exact. The page holds the numbers of ${count(data.held.rows)} clips drawn at random: `}
          once a threshold is moved, counts are estimates, marked ≈, with the half-width of their 95 % interval.
        </p>
      )}
    </Section>
  );
}
