"""The smallest act: media and the parts that name them, as every stage publishes them, without anything that computes."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pyarrow as pa

from hdvg.dataset.store import FileOps, Store
from tests.digest import files
from tests.faults.moments import Act

UNITS = 2


def small_act(scratch: Path, make_store: type[Store] = Store) -> Act:
    """Units of one file of media and one part each, and a text that is replaced at the end."""
    before = scratch / "nothing"
    before.mkdir(parents=True)

    def do(root: Path, ops: FileOps) -> None:
        store = make_store(root, ops)
        store.begin()
        for unit in range(UNITS):
            if not (root / f"parts/cut/{unit}.parquet").exists():
                with store.scratch() as folder:
                    (folder / "made").write_bytes(bytes([unit]) * 1000)
                    sha256 = store.put_media(folder / "made", "mp4")
                store.publish_table(f"parts/cut/{unit}.parquet", pa.table({"clip_sha256": [sha256]}))
        store.replace("dataset.toml", f"units = {UNITS}\n")
        store.end()

    return Act("small", before, do, _state)


def _state(root: Path) -> dict[str, Any]:
    """All files; a folder that a killed run left is none."""
    return files(root)
