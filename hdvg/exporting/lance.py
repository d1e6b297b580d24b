"""`lance`: a Lance dataset `clips.lance` with every column; the clips are blobs, which a reader opens without loading them."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Iterable, Iterator
from functools import partial
from pathlib import Path
from typing import Any, ClassVar

import pyarrow as pa

from hdvg.exporting import Piece
from hdvg.exporting.job import Job
from hdvg.exporting.selection import Bundle, clips, identity
from hdvg.ids import digest

VERSION = 1
"""Raise it when the same clips come to be laid out otherwise."""

STORAGE = "2.2"
"""Version of Lance's file format: the first with blobs of this kind."""

FOLDER = "clips.lance"


class Fragments:
    """One fragment for each file's worth of clips. Lance names its files at random: equal rows, not equal bytes.

    `fragments/*.json` say what each fragment is, so that a killed export goes on; the dataset appears with its one
    version, which is committed last.
    """

    needs: ClassVar[dict[str, str]] = {"lance": "pylance"}

    def __init__(self, job: Job) -> None:
        self._job = job

    def pieces(self) -> list[Piece]:
        """The fragments, then the commit."""
        max_mb = self._job.wanted.max_mb or self._job.dataset.plan.recipe.shard.max_mb
        made = [
            Piece(
                f"fragments/{number:05d}.json",
                identity(bundle, "lance", VERSION),
                clips(bundle),
                partial(self._write, bundle),
                anywhere=True,
            )
            for number, (_, bundle) in enumerate(self._job.chosen.bundles(max_mb))
        ]
        names = [piece.name for piece in made]
        whole = digest("lance", VERSION, [piece.identity for piece in made])
        return [*made, Piece("fragments/version.json", whole, 0, lambda path: self._commit(path, names))]

    def _write(self, bundle: Bundle, path: Path) -> None:
        import lance

        self._uncommit()
        schema = blob_schema(self._job.chosen.schema())
        batches = (
            batch for table in self._job.chosen.tables(bundle) for batch in blob_table(table, schema).to_batches()
        )
        (fragment,) = lance.fragment.write_fragments(
            pa.RecordBatchReader.from_batches(schema, batches),
            str(self._job.out / FOLDER),
            schema=schema,
            mode="create",
            data_storage_version=STORAGE,
        )
        _settle([found for file in fragment.files for found in self._files(file.path)])
        path.write_text(json.dumps(fragment.to_json()), encoding="utf-8")

    def _uncommit(self) -> None:
        """Take away the version there was: what it holds is not what is wanted, or it was never finished."""
        for log in ("_versions", "_transactions", "_indices", "_deletions"):
            shutil.rmtree(self._job.out / FOLDER / log, ignore_errors=True)

    def _files(self, name: str) -> Iterator[Path]:
        """A fragment's file, the blobs beside it, and their folders."""
        data = self._job.out / FOLDER / "data"
        blobs = data / name.removesuffix(".lance")
        yield from (data / name, *blobs.glob("*"), *([blobs] if blobs.exists() else []), data)

    def _commit(self, path: Path, names: list[str]) -> None:
        """Make the fragments the dataset's only version; whatever else lies in its folder goes."""
        import lance

        folder = self._job.out / FOLDER
        written = [json.loads((self._job.out / name).read_text(encoding="utf-8")) for name in names]
        used = {file["path"].removesuffix(".lance") for fragment in written for file in fragment["files"]}
        self._uncommit()
        for found in (folder / "data").iterdir():
            if found.name.removesuffix(".lance") not in used:
                shutil.rmtree(found) if found.is_dir() else found.unlink()
        fragments = [lance.FragmentMetadata.from_json(json.dumps(fragment)) for fragment in written]
        operation = lance.LanceOperation.Overwrite(blob_schema(self._job.chosen.schema()), fragments)
        dataset = lance.LanceDataset.commit(str(folder), operation)
        path.write_text(json.dumps({"version": dataset.version, "clips": dataset.count_rows()}), encoding="utf-8")


def _settle(paths: Iterable[Path]) -> None:
    """Have the disk hold these files and folders: Lance leaves that to the system."""
    for path in paths:
        handle = os.open(path, os.O_RDONLY)
        try:
            os.fsync(handle)
        finally:
            os.close(handle)


def blob_schema(schema: pa.Schema) -> pa.Schema:
    """The shards' columns, with the clip as a blob."""
    import lance

    index = schema.get_field_index("video")
    metadata = schema.field("video").metadata or {}
    field = lance.blob_field("video")
    return schema.set(index, field.with_metadata({**(field.metadata or {}), **metadata})).remove_metadata()


def blob_table(table: pa.Table, schema: pa.Schema) -> pa.Table:
    """The same rows, with the clips' bytes as blobs; the bytes are not copied."""

    def blobs(videos: pa.Array) -> Any:
        kind = schema.field("video").type
        data = videos.cast(pa.large_binary())
        absent = [pa.nulls(len(videos), field.type) for field in list(kind.storage_type)[1:]]
        storage = pa.StructArray.from_arrays([data, *absent], fields=list(kind.storage_type))
        return pa.ExtensionArray.from_storage(kind, storage)

    columns = [
        pa.chunked_array([blobs(chunk) for chunk in table.column(name).chunks], type=schema.field(name).type)
        if name == "video"
        else table.column(name)
        for name in schema.names
    ]
    return pa.table(columns, schema=schema)
