"""Packs: one file in media/ a video, with what is kept of its clips beside numbers, in named sections of their own versions.

A pack is a zip, not compressed, of Parquet files `<section>@<version>.parquet`, each with a column `clip_id`. One that holds
nothing but keyframes is that Parquet file alone. A pack never changes: a section more makes another pack, which takes the
others over as they are.
"""

from __future__ import annotations

import shutil
import struct
import zipfile
import zlib
from collections.abc import Collection, Mapping
from pathlib import Path
from typing import IO

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

KEYFRAMES, FIRST = "keyframes", "1"
"""The section that the pass writes, and its version."""

LOCAL_HEADER = 30
"""Bytes that stand in a zip before a member's name; the last four are the lengths of the name and of what follows it."""

ROWS = 64
"""Of a row group of a section."""

Section = tuple[str, str]
"""Its name and its version."""

BROKEN = (zipfile.BadZipFile, zlib.error, struct.error, EOFError, LookupError, ValueError, RuntimeError)
"""What reading a damaged zip may raise."""


def sections(path: Path) -> dict[str, str]:
    """The version of each section of a pack."""
    if not zipfile.is_zipfile(path):
        return {KEYFRAMES: FIRST}
    with zipfile.ZipFile(path) as pack:
        return dict(name.removesuffix(".parquet").split("@", 1) for name in pack.namelist())


def read_section(
    path: Path, section: str, *, columns: list[str] | None = None, clips: Collection[str] | None = None
) -> pa.Table:
    """The rows of a section; with `clips` those of these clips, and no row group without any is read.

    Raises KeyError if the pack has no section of that name.
    """
    with pa.memory_map(str(path)) as held, pq.ParquetFile(_place(held, path, section)) as file:
        return file.read(columns=columns) if clips is None else _of_clips(file, columns, clips)


def _place(held: pa.MemoryMappedFile, path: Path, section: str) -> pa.NativeFile:
    """The bytes of a section, where they lie: of a pack of a long video few are read for few clips."""
    if not zipfile.is_zipfile(path):
        if section != KEYFRAMES:
            raise KeyError(section)
        return held
    with zipfile.ZipFile(path) as pack:
        member = pack.getinfo(_member(section, sections(path)[section]))
    held.seek(member.header_offset)
    name, extra = struct.unpack("<26x2H", held.read(LOCAL_HEADER))
    held.seek(member.header_offset + LOCAL_HEADER + name + extra)
    return pa.BufferReader(held.read_buffer(member.file_size))


def _of_clips(file: pq.ParquetFile, columns: list[str] | None, clips: Collection[str]) -> pa.Table:
    wanted = pa.array(clips, pa.string())
    held = [
        number
        for number in range(file.num_row_groups)
        if pc.any(pc.is_in(file.read_row_group(number, ["clip_id"])["clip_id"], wanted)).as_py()
    ]
    names = columns if columns is None or "clip_id" in columns else ["clip_id", *columns]
    rows = file.read_row_groups(held, columns=names)
    found = rows.filter(pc.is_in(rows["clip_id"], wanted))
    return found if columns is None else found.select(columns)


def add_sections(old: Path, added: Mapping[str, tuple[str, pa.Table]], new: Path) -> None:
    """Write the pack `new`: what `old` has, and the sections that are added, {name: (version, rows)}, instead of its own.

    Of a section that `old` has in the same version, the rows of other clips stay, before those that are added.
    """
    held = sections(old)
    with zipfile.ZipFile(new, "w", zipfile.ZIP_STORED) as pack:
        for name, version in held.items():
            if name not in added:
                with _opened(old, name, version) as source, pack.open(_entry(name, version), "w") as target:
                    shutil.copyfileobj(source, target)
        for name, (version, rows) in added.items():
            sink = pa.BufferOutputStream()
            all_rows = _beside(read_section(old, name), rows) if held.get(name) == version else rows
            pq.write_table(all_rows, sink, row_group_size=ROWS)
            with pack.open(_entry(name, version), "w") as target:
                target.write(sink.getvalue())


def _beside(held: pa.Table, rows: pa.Table) -> pa.Table:
    """The rows of other clips that are held already, then these."""
    return pa.concat_tables([held.filter(pc.invert(pc.is_in(held["clip_id"], rows["clip_id"]))), rows])


def whole_sections(path: Path) -> dict[Section, bytes | None]:
    """The sections of a pack that may be damaged, in its order: the bytes of each that is as it was written, None for another.

    Empty if that cannot be said: it is no zip, or its list of sections is damaged.
    """
    found: dict[Section, bytes | None] = {}
    try:
        with zipfile.ZipFile(path) as pack:
            for member in pack.namelist():
                name, _, version = member.removesuffix(".parquet").partition("@")
                try:
                    found[name, version] = pack.read(member)  # raises if its checksum says otherwise
                except (*BROKEN, OSError):
                    found[name, version] = None
    except (*BROKEN, OSError):
        return {}
    return found


def join_sections(held: Mapping[Section, bytes], new: Path) -> None:
    """Write the pack `new` of sections as they are, in this order."""
    with zipfile.ZipFile(new, "w", zipfile.ZIP_STORED) as pack:
        for (name, version), content in held.items():
            with pack.open(_entry(name, version), "w") as target:
                target.write(content)


def _opened(path: Path, section: str, version: str) -> IO[bytes]:
    return zipfile.ZipFile(path).open(_member(section, version)) if zipfile.is_zipfile(path) else path.open("rb")


def _member(section: str, version: str) -> str:
    return f"{section}@{version}.parquet"


def _entry(section: str, version: str) -> zipfile.ZipInfo:
    """A member without the time of its writing, so that equal packs are equal bytes."""
    return zipfile.ZipInfo(_member(section, version))
