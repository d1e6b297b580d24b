// What is in the dataset, beside published figures; what failed; copies; what a run took; what it was made with.
import type { VNode } from "preact";
import { value } from "../shared/format";
import { Text } from "../shared/text";
import type { Row } from "./data";
import { type Column, Section, Table } from "./parts";
import { data } from "./state";

const figures = data.figures;
export const rows = (name: string): Row[] => (figures[name] as Row[] | null) ?? [];

const COUNTED: Column[] = [
  { key: "clips", title: "clips", as: "count" }, { key: "hours", title: "footage", as: "hours" },
  { key: "kept", title: "kept", as: "count" }, { key: "kept_hours", title: "footage kept", as: "hours" },
];

export function Contents(): VNode {
  const published: Column[] = [{ key: "hd_vg_figure", title: "HD-VG's figure", as: "share" }, { key: "hd_vg_sample", title: "HD-VG, 100 videos", as: "share" }];
  return (
    <Section id="contents" title="What is in it" about="Beside what is published of HD-VG-130M and others; of resolutions, licences and categories nothing is published in numbers.">
      <div class="tables">
        <Table
          caption="Clip durations"
          columns={[{ key: "duration", title: "" }, { key: "clips", title: "all here", as: "share" }, { key: "kept", title: "kept here", as: "share" }, ...published]}
          rows={rows("durations").filter((row) => !String(row.duration).endsWith(" s") || /\d/.test(String(row.duration)))}
        />
        <Table
          caption="Seconds of a clip"
          columns={[{ key: "duration", title: "" }, { key: "clips", title: "all here", as: "number" }, { key: "kept", title: "kept here", as: "number" }, { key: "hd_vg_sample", title: "HD-VG, 100 videos", as: "number" }]}
          rows={rows("durations").filter((row) => /^(mean|median)/.test(String(row.duration)))}
        />
        <Captions />
        <Table
          caption="Share that each rule keeps"
          columns={[{ key: "rule", title: "rule" }, { key: "keeps", title: "here", as: "share" }, { key: "clips", title: "of clips", as: "count" }, { key: "published", title: "published", as: "share" }, { key: "of", title: "of" }]}
          rows={rows("keep_rates")}
        />
        <Table caption="Resolutions, by the shorter side" columns={[{ key: "shorter_side", title: "" }, ...COUNTED]} rows={rows("resolutions")} />
        <Table caption="Licences" columns={[{ key: "licence_class", title: "" }, ...COUNTED]} rows={rows("licences")} />
        <Table caption="Categories" columns={[{ key: "category", title: "" }, ...COUNTED]} rows={rows("categories")} />
        <Table caption="Hosts" columns={[{ key: "host", title: "" }, { key: "videos", title: "videos", as: "count" }, ...COUNTED]} rows={rows("hosts_of_clips")} />
      </div>
    </Section>
  );
}

function Captions(): VNode {
  const { captions } = figures;
  if (!captions) return <p class="dim">No captions.</p>;
  const sample = captions.hd_vg_sample;
  const means = ["mean_words", "median_words", "starts_with_a"].map((name) => ({
    what: name.replaceAll("_", " "), here: captions[name] as number, published: sample[name],
  }));
  return (
    <>
      <Table
        caption="Words of a caption"
        columns={[{ key: "words", title: "" }, { key: "share", title: "here", as: "share" }, { key: "hd_vg_figure", title: "HD-VG's figure", as: "share" }, { key: "hd_vg_sample", title: "HD-VG, 100 videos", as: "share" }]}
        rows={captions.words}
      />
      <Table
        caption={`Captions: ${value(captions.distinct_captions as number)} different of ${value(captions.captions as number)}`}
        columns={[{ key: "what", title: "" }, { key: "here", title: "here", as: "number" }, { key: "published", title: "HD-VG, 100 videos", as: "number" }]}
        rows={means}
      />
      <Table
        caption="Writers"
        columns={[
          { key: "writer", title: "writer" }, { key: "captioner", title: "captioner" }, { key: "model", title: "model" }, { key: "kind", title: "kind" },
          { key: "texts", title: "texts", as: "count" }, { key: "best_share", title: "best", as: "share" }, { key: "sound_share", title: "sound", as: "share" },
        ]}
        rows={captions.writers}
      />
    </>
  );
}

/** Two rates a rule, as people answered; nothing where no audit has ended. */
export function Audits(): VNode | null {
  if (!rows("audits").length) return null;
  return (
    <Section id="audits" title="How right it is" about="People were shown clips drawn at random and asked one question each; the bounds are those of a 95 % interval.">
      <Table
        caption="By audit"
        columns={[
          { key: "what", title: "" }, { key: "share", title: "share", as: "share" }, { key: "low", title: "at least", as: "share" }, { key: "high", title: "at most", as: "share" },
          { key: "errors", title: "found", as: "count" }, { key: "asked", title: "answers", as: "count" }, { key: "clips", title: "of clips", as: "count" }, { key: "audit", title: "audit" },
        ]}
        rows={rows("audits")}
      />
    </Section>
  );
}

export function Failures(): VNode {
  return (
    <Section id="failures" title="What failed">
      <Table
        caption="By reason and host"
        columns={[{ key: "stage", title: "stage" }, { key: "status", title: "status" }, { key: "reason", title: "reason" }, { key: "host", title: "host" }, { key: "items", title: "items", as: "count" }]}
        rows={rows("failures")}
        none="Nothing failed."
      />
    </Section>
  );
}

export function Copies(): VNode {
  return (
    <Section id="copies" title="Copies found">
      <Table
        caption="Clips of which a better copy is there"
        columns={[{ key: "how", title: "how" }, { key: "better_copy", title: "better copy" }, { key: "clips", title: "clips", as: "count" }, { key: "hours", title: "footage", as: "hours" }]}
        rows={rows("copies")}
        none="None were found."
      />
      <Table
        caption="Largest groups"
        columns={[{ key: "stays", title: "clip that stays" }, { key: "clips", title: "clips", as: "count" }, { key: "videos", title: "videos", as: "count" }]}
        rows={rows("copy_groups")}
      />
    </Section>
  );
}

export function Run(): VNode {
  const stages = rows("stages").map((row) => ({ ...row, limiting: row.limiting ? "takes the most time" : "" }) as Row);
  return (
    <Section id="run" title="What the last run took" about={figures.run_ended ? `It ended ${String(figures.run_ended)}.` : undefined}>
      <Table
        caption="By stage"
        columns={[
          { key: "stage", title: "stage" }, { key: "units", title: "units", as: "count" }, { key: "ok", title: "ok", as: "count" }, { key: "failed", title: "failed", as: "count" },
          { key: "retry", title: "to retry", as: "count" }, { key: "spent_s", title: "seconds spent", as: "number" }, { key: "share", title: "of all", as: "share" },
          { key: "model_busy_share", title: "model busy", as: "share" }, { key: "limiting", title: "" },
        ]}
        rows={stages}
        none="No run has left its figures."
      />
    </Section>
  );
}

export function Provenance(): VNode {
  const { recipe_toml: recipe, models, captioners, fingerprints, quantiles, ...others } = figures.provenance;
  const flat = (of: unknown): Row[] => Object.entries((of ?? {}) as Record<string, unknown>).filter(([, it]) => it !== null).map(([name, it]) => ({ name, is: text(it) }));
  const pairs: Column[] = [{ key: "name", title: "" }, { key: "is", title: "" }];
  return (
    <Section id="provenance" title="What it was made with">
      <div class="tables">
        <Table caption="Versions and hashes" columns={pairs} rows={flat(others)} />
        <Table caption="Fingerprints of the stages' settings" columns={pairs} rows={flat(fingerprints)} />
        <Table caption="Models of measures" columns={pairs} rows={flat(models)} />
        <Table caption="Captioners" columns={[{ key: "writer", title: "writer" }, { key: "captioner", title: "captioner" }, { key: "model", title: "model" }]} rows={captioners as Row[]} />
        <Table caption="Values of quantiles" columns={pairs} rows={flat(quantiles)} />
      </div>
      <details>
        <summary>The recipe, with every setting</summary>
        <pre class="panel"><Text value={recipe} /></pre>
      </details>
    </Section>
  );
}

function text(it: unknown): string {
  return Array.isArray(it) ? it.map(String).join(", ") : it === null ? "" : String(it);
}
