"""What was made of a dataset and lies beside it, where a take-down does not reach: models, exports, fitted codecs, reports."""

from __future__ import annotations

import json
import re
from collections import defaultdict
from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from hdvg.dataset.dataset import Dataset
from hdvg.dataset.layout import files
from hdvg.dataset.manifest import no_glob
from hdvg.dataset.snapshot import snapshot_name
from hdvg.dataset.tables import write_rows
from hdvg.errors import ResourceError

PAGES = (".html", ".htm", ".md", ".markdown")
"""Endings of files in whose text a clip's id stands if they show it."""

IDS = re.compile(rb"[0-9a-f]{32}")

EXPORT_MARK = "export.json"
"""The file by which `hdvg export` knows its folders."""


def models_that_saw(dataset: Dataset, clips: Iterable[str]) -> dict[str, int]:
    """The folders of training runs beside the dataset that name any of the clips, and how many."""
    wanted = pa.array(sorted(clips), pa.string())
    seen: defaultdict[str, int] = defaultdict(int)
    for path in sorted(dataset.root.parent.glob(f"{no_glob(dataset.root.name)}-*/clips-*.parquet")):
        if "clip_id" in pq.read_schema(path).names:
            held = pc.sum(pc.is_in(pq.read_table(path, columns=["clip_id"])["clip_id"], value_set=wanted)).as_py()
            seen[str(path.parent)] += held or 0
    return {name: count for name, count in seen.items() if count}


def beside(dataset: Dataset) -> dict[str, str]:
    """Folders beside the dataset that were made of it and that a take-down does not reach, and what each holds."""
    found: dict[str, str] = {}
    for path in sorted(dataset.root.parent.glob("*/latents/patches-*.npz")):
        if path.parents[1] != dataset.root and path.parents[1].name.startswith(f"{dataset.root.name}-"):
            found[str(path.parents[1])] = "a codec fitted on clips of the dataset"
    for path in sorted(dataset.root.parent.glob(f"*/{EXPORT_MARK}")):
        with suppress(OSError, ValueError, AttributeError):
            if json.loads(path.read_text(encoding="utf-8")).get("dataset") == dataset.name:
                found[str(path.parent)] = "an export of the dataset"
    return found


def note_written(dataset: Dataset, what: str, paths: Iterable[Path | str]) -> None:
    """Keep in the table `written` which files, and which places named by links, now show the dataset; not where its folder takes
    no files."""
    state = snapshot_name(dataset).rsplit("-", 1)[1].removesuffix(".parquet")
    named = [str(path.absolute()) if isinstance(path, Path) else path for path in paths]
    rows = [{"path": name, "what": what, "state": state} for name in named]
    with suppress(ResourceError, OSError):
        write_rows(dataset.store, "written", rows)


def written_that_may_show(dataset: Dataset, clips: Iterable[str]) -> dict[str, str]:
    """The reports and sheets that show any of the clips, or may: their paths, and what is known of each."""
    if not files(dataset.root, "tables", of="written"):
        return {}
    wanted = {name.encode() for name in clips}
    with dataset.manifest() as manifest:
        rows = manifest.rows("select path, what, left(written_at, 19) as at from written order by path")
    found = {}
    for row in rows:
        path, said = Path(row["path"]), f"{row['what']} of {row['at']}"
        if "://" in row["path"]:
            found[row["path"]] = f"{said}: bring it up to date with the same command, and remove its history there"
        elif not path.is_file():
            found[row["path"]] = f"{said}, which is not there any more: it was removed, moved or sent"
        elif path.suffix.lower() not in PAGES:
            found[row["path"]] = f"{said}: look whether it shows one of its clips"
        elif not wanted.isdisjoint(IDS.findall(path.read_bytes())):
            found[row["path"]] = f"{said}, which shows one of its clips"
    return found
