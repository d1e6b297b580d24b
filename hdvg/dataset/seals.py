"""Tables whose footer holds the hash of all their bytes, so that any changed bit is found."""

from __future__ import annotations

import hashlib
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

SEAL = b"hdvg-seal-sha256:"
"""What stands in a table's footer before the hash of the file's bytes, in which the hash's own digits count as zeros."""


def sealed(table: pa.Table) -> bytes:
    """A Parquet file of `table` in which `is_sealed` finds any changed bit: page checksums do not cover heads and footer.

    Without statistics, for readers would believe these.
    """
    sink = pa.BufferOutputStream()
    with pq.ParquetWriter(sink, table.schema, compression="zstd", write_statistics=False) as writer:
        writer.write_table(table)
        writer.add_key_value_metadata({b"hdvg_seal": SEAL + b"0" * 64})
    head, tail = _halves(sink.getvalue().to_pybytes())
    return head + _hash(head, tail) + tail


def is_sealed(path: Path) -> bool:
    """Whether a file has the very bytes that `sealed` made."""
    content = path.read_bytes()
    head, tail = _halves(content)
    return head + _hash(head, tail) + tail == content


def _halves(content: bytes) -> tuple[bytes, bytes]:
    """What stands before and behind the digits of the seal."""
    place = content.rfind(SEAL) + len(SEAL)
    return content[:place], content[place + 64 :]


def _hash(head: bytes, tail: bytes) -> bytes:
    return hashlib.sha256(head + b"0" * 64 + tail).hexdigest().encode()
