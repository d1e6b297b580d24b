"""The dataset card: what a Hugging Face hub shows of a folder, and what `datasets` reads of its columns, in one README.md."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any, cast

import pyarrow as pa

from hdvg.environment import VERSION
from hdvg.exporting import Piece
from hdvg.exporting.job import Job
from hdvg.exporting.markdown import plain, table
from hdvg.exporting.summary import RIGHTS, Summary
from hdvg.ids import digest
from schemas.columns import doc

FORM = 3
"""Raise it when the card comes to say the same otherwise."""

SIZES = (("n<1K", 1e3), ("1K<n<10K", 1e4), ("10K<n<100K", 1e5), ("100K<n<1M", 1e6), ("1M<n<10M", 1e7), ("10M<n<100M", 1e8), ("100M<n<1B", 1e9))  # fmt: skip
"""The hub's size categories, and what each stays below."""

HF_LICENCES = {"cc0": "cc0-1.0"}
"""The hub's names of licence classes that name one licence; all others are `other`."""

_NAMES = {
    pa.string(): "string",
    pa.int64(): "int64",
    pa.float64(): "float64",
    pa.bool_(): "bool",
    pa.binary(): "video",
}


def readme(job: Job, splits: Mapping[str, Sequence[Piece]], *, pattern: str) -> Piece:
    """The card, to be written after the files of each split, which match `pattern`."""
    held = [[piece.name, piece.identity] for made in splits.values() for piece in made]
    return Piece(
        "README.md",
        digest("card", FORM, job.said(), held),
        0,
        lambda path: path.write_text(_card(job, splits, pattern), encoding="utf-8"),
    )


def _card(job: Job, splits: Mapping[str, Sequence[Piece]], pattern: str) -> str:
    """Front matter in YAML, then the text."""
    summary, schema = job.summary, job.chosen.schema()
    return f"---\n{_front(job, schema, splits, pattern)}---\n\n{_text(job, summary, schema)}"


def _front(job: Job, schema: pa.Schema, splits: Mapping[str, Sequence[Piece]], pattern: str) -> str:
    summary = job.summary
    sizes = {split: sum(job.look(piece.name)[0] for piece in made) for split, made in splits.items()}
    classes = {row["licence_class"] for row in summary.licences}
    lines = [
        f"pretty_name: {_quoted(job.dataset.name)}",
        f"license: {HF_LICENCES.get(classes.pop(), 'other') if len(classes) == 1 else 'other'}",
        *(["language:", *(f"- {language}" for language in summary.languages)] if summary.languages else []),
        "task_categories:",
        "- text-to-video",
        "tags:",
        "- video",
        "- hdvg",
        "size_categories:",
        f"- {next((name for name, below in SIZES if summary.totals['clips'] < below), 'n>1T')}",
        "configs:",
        "- config_name: default",
        "  data_files:",
        *(f"  - split: {split}\n    path: {_quoted(pattern.format(split=split))}" for split in splits),
        "dataset_info:",
        "  config_name: default",
        "  features:",
        *(f"  {line}" for field in schema for line in _feature(field)),
        "  splits:",
        *(
            f"  - name: {split}\n    num_bytes: {sizes[split]}\n    num_examples: {sum(piece.clips for piece in made)}"
            for split, made in splits.items()
        ),
        f"  download_size: {sum(sizes.values())}",
        f"  dataset_size: {sum(sizes.values())}",
    ]
    return "\n".join(lines) + "\n"


def _feature(field: pa.Field) -> list[str]:
    """A column as `datasets` writes it down."""
    name, kind = f"- name: {field.name}", field.type
    if not pa.types.is_list(kind):
        return [name, f"  dtype: {_NAMES[kind]}"]
    if not pa.types.is_struct(kind.value_type):
        return [name, f"  list: {_NAMES[kind.value_type]}"]
    inner = [f"  {line}" for part in cast(Any, kind.value_type) for line in _feature(part)]
    return [name, "  list:", *inner]


def _text(job: Job, summary: Summary, schema: pa.Schema) -> str:
    recipe, where = job.dataset.plan.recipe, job.wanted.where
    columns = ([f"`{field.name}`", str(field.type), doc(field)] for field in schema)
    parts = [
        f"# {plain(job.dataset.name)}",
        summary.sentence + (f" Of the kept clips, those of which this holds: `{plain(where)}`." if where else ""),
        _LOADING,
        "## Licences",
        RIGHTS,
        table(["licence class", "clips", "hours"], (row.values() for row in summary.licences)),
        "## Sources",
        table(["host", "clips", "videos", "hours"], (row.values() for row in summary.hosts[:50])),
        "## Captions",
        table(["kind", "captioner", "model", "language", "texts"], (row.values() for row in summary.writers)),
        *(["## What clips are of", _CONCEPTS, _concepts(summary)] if summary.concepts else []),
        "## How it was made",
        f"With hdvg {VERSION}, recipe `{plain(recipe.name)}`. {_METHOD}",
        f"```toml\n{recipe.to_toml().replace('```', '')}```",
        *(
            ["## How right it is", _AUDITED, "\n".join(f"- {plain(line)}" for line in job.wanted.audited)]
            if job.wanted.audited
            else []
        ),
        "## Columns",
        table(["column", "type", "what it is"], columns),
    ]
    if job.wanted.cite:
        parts += ["## Citation", f"```\n{job.wanted.cite.replace('```', '')}\n```"]
    return "\n\n".join(parts) + "\n"


_LOADING = """```python
import datasets

clips = datasets.load_dataset("THIS FOLDER OR REPOSITORY", split="train", streaming=True)
clips = clips.cast_column("video", datasets.Video(decode=False))  # without this, `video` is a decoder of torchcodec
clip = next(iter(clips))  # clip["video"] has the "bytes" of an mp4 file, or its "path"; clip["caption"] is its text
```"""

_CONCEPTS = (
    "Words of captions, topics and groups of clips that look alike, the most frequent; `even` is the share if clips are drawn by their "
    "`balance_weight`:"
)

_METHOD = (
    "Each video was split into shots, each shot measured, and kept if it breaks none of the rules under `keep`; the kept "
    "ones were cut to exactly their frames and captioned. These are all settings:"
)


_AUDITED = (
    "People looked at a random sample of the clips of the dataset that this was exported from, without seeing what hdvg had "
    "decided, and answered one question of each (`hdvg audit`). Shares are of that dataset's clips as they were then:"
)


def _concepts(summary: Summary) -> str:
    shares = (
        ["" if row[name] is None else f"{row[name]:.1%}" for name in ("share", "even_share")]
        for row in summary.concepts
    )
    rows = (
        [row["kind"], row["name"], row["clips"], *share] for row, share in zip(summary.concepts, shares, strict=True)
    )
    return table(["kind", "name", "clips", "share", "even"], rows)


def _quoted(text: str) -> str:
    return json.dumps(text, ensure_ascii=True)
