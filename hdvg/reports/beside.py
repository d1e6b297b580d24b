"""What was made of a dataset and lies beside it, where a take-down does not reach: models, exports, fitted codecs."""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Iterable
from contextlib import suppress

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from hdvg.dataset.dataset import Dataset
from hdvg.dataset.manifest import no_glob

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
            if json.loads(path.read_text(encoding="utf-8")).get("dataset") == dataset.root.name:
                found[str(path.parent)] = "an export of the dataset"
    return found
