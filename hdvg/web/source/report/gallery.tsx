// The clips near each threshold, kept and dropped side by side; and what only one of two datasets or recipes keeps.
import type { VNode } from "preact";
import { count, length, value } from "../shared/format";
import { Text, visible } from "../shared/text";
import type { Clip, OnShelf, Row, Shelf } from "./data";
import { ClipCard, Section, Table } from "./parts";
import { data } from "./state";

export function Gallery(): VNode | null {
  if (!data.shelves.length) return null;
  const about = "Clips that only this rule decides come first, then those nearest to its threshold, by the recipe as it stands. Pictures move while pointed at, focused or tapped.";
  return (
    <Section id="near" title="Clips near the thresholds" about={about}>
      {data.shelves.map((shelf, number) => <OneShelf key={number} shelf={shelf} />)}
    </Section>
  );
}

function OneShelf({ shelf }: { shelf: Shelf }): VNode {
  return (
    <section class="shelf" aria-label={`rule ${visible(shelf.rule)} at ${shelf.threshold ?? "its condition"}`}>
      <h3>
        {visible(shelf.rule)} <code>{visible(shelf.text)}</code>
        {shelf.threshold !== null && <span class="dim">{` at ${value(shelf.threshold, 6)}`}</span>}
      </h3>
      <div class="two">
        <Clips title="passes" list={shelf.passing} clips={data.clips} measure={shelf.measure} none="No clip passes." />
        <Clips title="breaks it" list={shelf.broken} clips={data.clips} measure={shelf.measure} none="No clip breaks it here." />
      </div>
    </section>
  );
}

function Clips(it: { title: string; list: OnShelf[]; clips: Record<string, Clip>; measure: string | null; none: string }): VNode {
  return (
    <div>
      <h4>{it.title}</h4>
      {it.list.length === 0 && <p class="dim">{it.none}</p>}
      <ul class="clips" aria-label={it.title}>
        {it.list.map((at) => <ClipCard key={at.clip_id} at={at} clip={it.clips[at.clip_id]} measure={it.measure} />)}
      </ul>
    </div>
  );
}

export function Comparison(): VNode | null {
  const { compared } = data;
  if (!compared) return null;
  return (
    <Section
      id="compare"
      title="Compared"
      about={<>A: <b><Text value={compared.a} /></b>; B: <b><Text value={compared.b} /></b>. <Text value={compared.by} /></>}
    >
      <Table
        caption="Rules that differ"
        columns={[{ key: "rule", title: "rule" }, { key: "a", title: "A" }, { key: "b", title: "B" }]}
        rows={compared.rules as unknown as Row[]}
        none="The rules are the same."
      />
      <dl class="headline">
        {compared.sides.map((side) => (
          <div key={side.name}>
            <dt>{side.name}</dt>
            <dd>{count(side.clips)}</dd>
            <dd class="dim">{`clips, ${length(side.hours * 3600)}`}</dd>
          </div>
        ))}
      </dl>
      {compared.sides.filter((side) => side.rows.length > 0).map((side) => (
        <section class="shelf" key={side.name} aria-label={side.name}>
          <h3>{side.name}</h3>
          <p class="dim">{side.about}</p>
          <Clips title={`some of ${count(side.clips)}`} list={side.rows} clips={compared.clips} measure={null} none="" />
        </section>
      ))}
    </Section>
  );
}
