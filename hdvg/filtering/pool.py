"""The pool: what can be said of a clip only beside all others, once every measure is taken: copies, places, quantiles."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import duckdb
import pyarrow as pa
import pyarrow.compute as pc

from hdvg import duplicates
from hdvg.config.copies import Duplicates
from hdvg.config.rules import Rule, Verdicts
from hdvg.dataset.dataset import Dataset
from hdvg.dataset.layout import files
from hdvg.dataset.manifest import Manifest
from hdvg.filtering.pool_clips import PoolClips
from hdvg.filtering.pool_parts import publish
from hdvg.ids import digest
from schemas.measures import CAPTION_STAGES, HOMES

Search = Callable[[Path], duplicates.Spread]
"""What does the parts of a search for copies, given a folder on the dataset's disk."""


def settle(dataset: Dataset, *, to_index: bool = False, search: Search = duplicates.here) -> Dataset:
    """The dataset with its pool settled; part of a run, under its lock.

    Copies are looked for among the clips that pass every rule that does not look at the pool: these have all measures,
    in whatever order they were taken. Quantiles are over the clips that pass all rules without any. With `to_index`, the
    clips that are kept are added to the index of earlier datasets, if there is one. `search` says where copies are looked for.
    """
    index = _Earlier.of(dataset)
    if dataset.plan.needs_pool:
        with dataset.manifest() as manifest:
            _compare(dataset, manifest, index, search)
    with dataset.manifest() as manifest:
        rules = dataset.plan.recipe.rules
        quantiles = manifest.judging(lambda: resolve_quantiles(rules, manifest.connection, "measured"))
    plan = replace(dataset.plan, quantiles=quantiles)
    settled = Dataset(dataset.root, plan, dataset.store)
    settled.prepare()
    if index is not None and to_index:
        with settled.manifest() as manifest:
            kept = f"select {', '.join(duplicates.NEEDED)} from clip_rows where len(reasons) = 0"
            index.index.add(index.label, manifest.table(kept))
    return settled


def resolve_quantiles(rules: Sequence[Rule], connection: duckdb.DuckDBPyConnection, source: str) -> dict[str, float]:
    """The values of the rules' quantiles, by key, over the clips of `source`, a table of measures; no value over no clips.

    Quantiles are over the clips that pass all other rules: these have every measure, in whatever order they were taken.
    """
    verdicts = Verdicts(tuple(rules), (), {})
    found: dict[str, float] = {}
    for captioned in (False, True):
        every = [bound for rule in rules for bound in rule.quantiles]
        bounds = {bound.key: bound for bound in every if (HOMES.get(bound.column) in CAPTION_STAGES) == captioned}
        if bounds:
            asked = ", ".join(f"quantile_cont({bound.column}, {bound.share!r})" for bound in bounds.values())
            everyone_else = verdicts.unique_in_pool(captioned=captioned)
            (values,) = connection.execute(f"select {asked} from {source} where {everyone_else}").fetchall()
            found |= {key: float(value) for key, value in zip(bounds, values, strict=True) if value is not None}
    return found


@dataclass(frozen=True)
class _Earlier:
    """The index of earlier datasets, and this one's name in it."""

    index: duplicates.Index
    label: str

    @classmethod
    def of(cls, dataset: Dataset) -> _Earlier | None:
        """That of the recipe. Unnamed, a dataset is called by its first links: it may be moved and copied."""
        settings = dataset.plan.recipe.duplicates
        if settings.index is None:
            return None
        first = [path.name for path in files(dataset.root, "inputs")[:2]]
        return cls(duplicates.Index(Path(settings.index).expanduser()), settings.label or digest("dataset", first))

    def decide(self, found: pa.Table) -> pa.Table:
        """Verdicts on clips that the index holds already: our own stay, the very clips of others are copies."""
        held = self.index.holders(found["clip_id"])
        is_held = pc.is_in(found["clip_id"], value_set=pa.array(list(held), pa.string()))
        rows = found.filter(is_held).to_pylist()
        for row in rows:
            labels = held[row["clip_id"]]
            if self.label in labels and row["duplicate_in"] is not None:
                row |= dict.fromkeys(("duplicate_of", "duplicate_how", "duplicate_bits", "duplicate_in"))
                row |= {"duplicate": False, "duplicate_group": row["clip_id"]}
            elif self.label not in labels:
                row |= {"duplicate": True, "duplicate_how": "exact", "duplicate_bits": 0.0, "duplicate_in": labels[0]}
                row |= dict.fromkeys(("duplicate_of", "duplicate_group"), row["clip_id"])
        decided = pa.Table.from_pylist(rows, schema=found.schema)
        return pa.concat_tables([found.filter(pc.invert(is_held)), decided]).sort_by("clip_id")


def _compare(dataset: Dataset, manifest: Manifest, earlier: _Earlier | None, search: Search) -> None:
    """Publish the results for each clip of the pool, unless that stands there for the very same clips."""
    settings, plan = dataset.plan.recipe.duplicates, dataset.plan
    labels = {name: count for name, count in earlier.index.labels().items() if name != earlier.label} if earlier else {}
    count, *hashes = _content(manifest, plan.verdicts, settings.score)
    content = digest([count, *hashes], plan.fingerprints.get("semantics"), labels)
    ((published, rows, lacking),) = manifest.fetch(
        "select any_value(content), count(*), count(diverse_draw) - count(cluster) from pooled"
    )
    is_there = rows == count and (published == content or not count)
    if is_there and not (lacking and plan.recipe.wants_clusters):
        return
    columns = (*duplicates.NEEDED, *settings.score)
    with dataset.store.scratch() as scratch:
        clips = PoolClips.read(manifest, columns, plan.verdicts.in_pool(), scratch / "pool.parquet")
        compared = clips.compared()
        results = duplicates.find_duplicates(
            compared,
            earlier=earlier.index.parts(but=earlier.label) if earlier else (),
            score=settings.score,
            settings=_limits(settings),
            embeddings=clips.embeddings,
            spread=search(scratch),
        )
        if earlier is not None:
            results = earlier.decide(results)
        for name, column in clips.clustered(results["clip_id"]).items():
            results = results.append_column(name, column)
    for name in ("video_id", "unit"):
        results = results.append_column(name, compared[name])
    publish(dataset, results, content)


def _content(manifest: Manifest, verdicts: Verdicts, score: Sequence[str]) -> list[object]:
    """How many clips the pool has, then what changes with them and with what decides which copy stays; the stages'
    fingerprints say the rest."""
    scores = ", ".join(f"coalesce({name}::varchar, '-')" for name in score)
    text = f"concat_ws('|', clip_id, embedding is not null, {scores})"
    halves = ", ".join(f"bit_xor(md5_number_{half}({text}))::varchar as {half}" for half in ("lower", "upper"))
    (row,) = manifest.rows(f"select count(*) as clips, {halves} from measured where {verdicts.in_pool()}")
    return list(row.values())


def _limits(settings: Duplicates) -> duplicates.Settings:
    return duplicates.Settings(**settings.model_dump(exclude={"score", "index", "label"}))
