"""Damaged and foreign files: found by their seals and by the ledger, left out of what is read, named where they are needed."""

from __future__ import annotations

import glob
import re
from collections.abc import Collection, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path

import duckdb
import pyarrow as pa
import pyarrow.parquet as pq

from hdvg.dataset import ledger
from hdvg.dataset.layout import (
    SEED,
    Look,
    Sort,
    files,
    newest_generation,
    number_of_list,
    pattern,
    tables,
    unit_of,
)
from hdvg.dataset.seals import is_sealed
from hdvg.dataset.store import Store
from hdvg.dataset.tombstones import PURGED
from hdvg.errors import DamagedError, resource_error
from hdvg.ids import digest, file_sha256

READS = re.compile(r"read_parquet\('((?:[^']|'')*)'")
"""A pattern of files in the SQL of the views."""

OF_QUERIES = (duckdb.ParserException, duckdb.BinderException, duckdb.CatalogException, duckdb.InterruptException)
"""What DuckDB says of queries, never of files."""

NEEDED: tuple[Sort, ...] = ("inputs", "tombstones")
"""Files without which nothing may be shown or written."""

WRITTEN: tuple[Sort, ...] = ("inputs", "parts")
"""Files that only hdvg writes, each with what follows of its name."""
DERIVED = ("parts/shard/", "parts/pool/")
"""Those of them that are made of others."""


def broken(root: Path, paths: Iterable[Path] | None = None) -> list[Path]:
    """The sealed tables, of `paths` or all, with other bytes than were written, sorted."""
    looked = sorted(tables(root) if paths is None else paths)
    with ThreadPoolExecutor() as pool:
        return [path for path, whole in zip(looked, pool.map(_is_whole, looked), strict=True) if not whole]


def _is_whole(path: Path) -> bool:
    try:
        return is_sealed(path)
    except FileNotFoundError:
        return True  # gone meanwhile: another check's business


def refuse_damaged(root: Path, look: Look | None = None) -> None:
    """Raise DamagedError if a file is lost that the ledger names, or one is damaged that everything needs."""
    if (root / ledger.NAME).exists() and not ledger.is_there(root):
        raise DamagedError(say(root, [ledger.NAME], "damaged"))
    if lost := ledger.lost(root, look):
        raise DamagedError(say(root, lost, "lost"))
    found = broken(root, [path for sort in NEEDED for path in files(root, sort)])
    if found:
        raise DamagedError(say(root, [str(path.relative_to(root)) for path in found], "damaged"))
    if not ledger.is_there(root) and (gaps := list(lost_lists(root))):
        raise DamagedError(say(root, gaps, "lost"))


def say(root: Path, names: list[str], state: str) -> str:
    """What is wrong with files, and the next step."""
    more = f", and {len(names) - 1} files more are" if len(names) > 1 else " is"
    return f"{root}: {names[0]}{more} {state}. `hdvg verify {root}` names all, `hdvg verify --repair {root}` mends"


def lost_lists(root: Path) -> Iterator[str]:
    """Accepted lists that must have been there: they are numbered without gaps, and name the unit of every part."""
    lists = files(root, "inputs")
    numbers = {number_of_list(path) for path in lists}
    yield from (f"inputs/{number:05d}-*.parquet" for number in range(max(numbers, default=0)) if number not in numbers)
    units: set[str] = {SEED}
    for path in lists:
        units |= set(pq.read_table(path, columns=["unit"])["unit"].to_pylist())
    for path in files(root, "parts", stage="download"):
        if unit_of(path) not in units:
            yield f"inputs/*.parquet with unit {unit_of(path)}"


def foreign(root: Path, look: Look | None = None) -> dict[Path, str]:
    """Parts and lists that hdvg did not write here, each with what is wrong; only files that the ledger does not name yet."""
    look = look or Look(root)
    if ledger.is_as_noted(look):
        return {}
    known = ledger.read(root)
    if not known:
        return {}
    new = [name for sort in WRITTEN for name in look.matching(pattern(sort)) if name not in known]
    fresh = [root / name for name in new if not name.startswith(DERIVED) and SEED not in Path(name).stem.split("-")]
    if not fresh:
        return {}
    lists = files(root, "inputs")
    units: dict[str | None, set[str]] = {}
    try:
        for path in lists:
            if path not in fresh or not _strange_list(path):
                for row in pq.read_table(path, columns=["unit", "video_id"]).to_pylist():
                    units.setdefault(row["unit"], set()).add(row["video_id"])
    except (OSError, pa.ArrowException):
        return {}  # a damaged list: which units there are is not known
    looked = {path: _strange_list(path) if path in lists else _strange_part(path, units) for path in fresh}
    return {path: why for path, why in looked.items() if why}


def set_aside(store: Store, look: Look | None = None) -> bool:
    """Move foreign files to `foreign/`, where no job of a run reads them; whether there are any. Under the run lock."""
    strange = foreign(store.root, look)
    for path in strange:
        store.move(str(path.relative_to(store.root)), f"foreign/{path.parent.name}-{path.name}")
    return bool(strange)


def _strange_list(path: Path) -> str | None:
    if not is_sealed(path):
        return "other bytes than were written"
    table = pq.read_table(path, columns=["link_id"])
    content = path.stem.partition("-")[2]
    is_named = PURGED in (table.schema.metadata or {}) or digest(table["link_id"].to_pylist()) == content
    return None if is_named or not re.fullmatch(r"[0-9a-f]{32}", content) else "holds other links than its name says"


def _strange_part(path: Path, units: dict[str | None, set[str]]) -> str | None:
    unit = unit_of(path)
    if unit not in units:
        return "no list of links names its unit"
    if not _is_whole(path):
        return "other bytes than were written"
    try:
        table = pq.read_table(path, columns=["video_id", "generation"])
        number = newest_generation([path])
    except (pa.ArrowException, KeyError, ValueError):
        return "no part: its columns, or its name, are others"
    if set(table["video_id"].to_pylist()) - units[unit]:
        return "rows of videos of another unit"
    return None if set(table["generation"].to_pylist()) <= {number} else "rows of another part than its name says"


def leave_out(sql: str, without: Collection[Path]) -> str:
    """The statements of views, with these files left out of the patterns that they read."""
    if not without:
        return sql

    def listed(found: re.Match[str]) -> str:
        named = found[1].replace("''", "'")
        kept = [path for path in sorted(glob.glob(named)) if Path(path) not in without]
        if not kept:
            return found[0]
        literals = ", ".join("'" + re.sub(r"[\[*?]", r"[\g<0>]", path).replace("'", "''") + "'" for path in kept)
        return f"read_parquet([{literals}]"

    return READS.sub(listed, sql)


@contextmanager
def naming(root: Path) -> Iterator[None]:
    """What DuckDB says of a file that it cannot read becomes a DamagedError that names the damaged ones, or a ResourceError."""
    try:
        yield
    except OF_QUERIES:
        raise
    except duckdb.Error as error:
        if machine := resource_error(error):
            raise machine from error
        found = [str(path.relative_to(root)) for path in broken(root)]
        if not found:
            raise
        raise DamagedError(say(root, found, "damaged")) from error


def refuse_other_bytes(root: Path, path: Path | None) -> None:
    """Raise DamagedError if a file of media/ has other bytes than its name says."""
    if path is not None and file_sha256(path) != path.stem:
        raise DamagedError(say(root, [str(path.relative_to(root))], "damaged"))
