"""Captions and titles in small letters, one text a row of the explorer's copy: what a search for words looks through."""

from __future__ import annotations

import mmap
from collections.abc import Sequence
from pathlib import Path

import duckdb
import numpy as np
import pyarrow as pa

from hdvg.dataset.snapshot import SOURCE
from hdvg.dataset.store import Store
from hdvg.explore.masks import Asking, Mask
from hdvg.explore.sidecar import Say, Sidecar, opened

BATCH = 32_768
AT_ONCE = 8
"""Batches that are looked through together: a newer question is heard in between, and no more of the file lies in memory."""
TEXT = "lower(concat_ws(' ', caption, title))"


def make_texts(sidecar: Sidecar, store: Store, say: Say) -> None:
    """Publish them if they are missing, uncompressed: as they are mapped, they are compared.

    Raises ResourceError where the folder takes no files.
    """
    if sidecar.texts.exists():
        return
    say("reading captions", 0.9)
    with store.aside() as beside, opened(sidecar.rows) as connection:
        beside.publish(str(sidecar.texts.relative_to(store.root)), lambda path: _write(connection, path))


def _write(connection: duckdb.DuckDBPyConnection, path: Path) -> None:
    reader = connection.sql(f"select {TEXT} as text from {SOURCE}").to_arrow_reader(BATCH)
    with pa.ipc.new_file(str(path), reader.schema) as file:
        for batch in reader:
            file.write_batch(batch)


class Texts:
    """The texts of one state, mapped; for many threads."""

    def __init__(self, path: Path) -> None:
        with path.open("rb") as file:
            self._mapped = mmap.mmap(file.fileno(), 0, prot=mmap.PROT_READ)
        opened = pa.ipc.open_file(pa.py_buffer(self._mapped))
        self._batches = [opened.get_batch(number) for number in range(opened.num_record_batches)]

    def holding(self, words: Sequence[str], connection: duckdb.DuckDBPyConnection, asking: Asking) -> Mask:
        """[rows]: whether all the words, in small letters, are in the text."""
        holds = " and ".join("contains(text, ?)" for _ in words) or "true"
        found: list[Mask] = []
        with connection.cursor() as cursor:
            for first in range(0, len(self._batches), AT_ONCE):
                cursor.register("some_texts", pa.Table.from_batches(self._batches[first : first + AT_ONCE]))
                table = asking.run(cursor, f"select {holds} as holds from some_texts", words)
                found.append(table["holds"].to_numpy())
                self._mapped.madvise(mmap.MADV_DONTNEED)
        return np.concatenate(found) if found else np.zeros(0, bool)
