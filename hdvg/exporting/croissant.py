"""An export's description as Croissant 1.0 JSON-LD (mlcommons.org/croissant/1.0): files, their hashes, every column."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any, cast

import pyarrow as pa

from hdvg.exporting import Piece
from hdvg.exporting.job import Job
from hdvg.exporting.summary import RIGHTS
from hdvg.ids import digest
from schemas.columns import doc

VERSION = 1
"""Raise it when the same files come to be described otherwise."""

NAME = "croissant.json"
MIME = {".parquet": "application/x-parquet", ".tar": "application/x-tar", ".json": "application/json"}

_TERMS = (
    "citeAs", "column", "equivalentProperty", "extract", "field", "fileProperty", "fileObject", "fileSet", "format",
    "includes", "isLiveDataset", "jsonPath", "key", "md5", "parentField", "path", "recordSet", "references", "regex",
    "repeated", "replace", "samplingRate", "separator", "source", "subField", "transform",
)  # fmt: skip

CONTEXT: dict[str, Any] = {
    "@language": "en",
    "@vocab": "https://schema.org/",
    **{name: f"cr:{name}" for name in _TERMS},
    "conformsTo": "dct:conformsTo",
    "cr": "http://mlcommons.org/croissant/",
    "rai": "http://mlcommons.org/croissant/RAI/",
    "dct": "http://purl.org/dc/terms/",
    "sc": "https://schema.org/",
    "data": {"@id": "cr:data", "@type": "@json"},
    "dataType": {"@id": "cr:dataType", "@type": "@vocab"},
    "examples": {"@id": "cr:examples", "@type": "@json"},
}
"""As the specification prints it."""

Json = dict[str, Any]


def beside(job: Job, made: Sequence[Piece], *, layout: str) -> Piece:
    """The description of an export's files, to be written after them; `layout` is its format."""

    def write(path: Path) -> None:
        objects = [_file(piece.name, *job.look(piece.name)) for piece in made]
        _save(path, job, objects, layout=layout)

    return Piece(
        NAME,
        digest("croissant", VERSION, layout, job.said(), [[piece.name, piece.identity] for piece in made]),
        0,
        write,
    )


def _save(path: Path, job: Job, objects: list[Json], *, layout: str) -> None:
    """Write the description. Who publishes says where the dataset is to be found and how to cite it: `url`, `cite`."""
    head: Json = {
        "@context": CONTEXT,
        "@type": "sc:Dataset",
        "name": job.dataset.name,
        "conformsTo": "http://mlcommons.org/croissant/1.0",
        **_about(job, layout),
        "version": f"1.0.0+{digest(objects)[:12]}",
        "citeAs": job.wanted.cite or f"{job.dataset.name}, a dataset curated with hdvg",
        "rai:personalSensitiveInformation": RIGHTS,
    }
    if job.wanted.audited:
        head["rai:dataLimitations"] = [f"By audit: {line}" for line in job.wanted.audited]
    if job.wanted.url:
        head["url"] = job.wanted.url
    path.write_text(json.dumps(head | RECORDS[layout](job, objects), indent=1, ensure_ascii=False) + "\n", "utf-8")


def _about(job: Job, layout: str) -> Json:
    if layout == "hd-vg":
        return {
            "description": "Links, spans and captions of clips, in the layout of HD-VG-130M; no pixels.",
            "license": "as each video's page says",
        }
    return {"description": job.summary.sentence, "license": job.summary.licence_terms}


def _file(name: str, size: int, sha256: str) -> Json:
    """One file, by its path from the description's folder."""
    return {
        "@type": "cr:FileObject",
        "@id": name,
        "name": name,
        "contentUrl": name,
        "contentSize": f"{size} B",
        "encodingFormat": MIME[Path(name).suffix],
        "sha256": sha256,
    }


def _members(name: str, pattern: str, kind: str, files: list[Json]) -> Json:
    """Files of one kind in all tars."""
    return {
        "@type": "cr:FileSet",
        "@id": name,
        "name": name,
        "containedIn": [{"@id": file["@id"]} for file in files],
        "encodingFormat": kind,
        "includes": pattern,
    }


def _parquet(job: Job, files: list[Json]) -> Json:
    """Parquet files that hold one table together."""
    rows = {
        "@type": "cr:FileSet",
        "@id": "clips-parquet",
        "name": "clips-parquet",
        "encodingFormat": MIME[".parquet"],
        "includes": "data/*.parquet",
    }
    fields = [_field(column, {"column": column.name}, "clips-parquet") for column in job.chosen.schema()]
    return {"distribution": [*files, rows], "recordSet": [_records(fields)]}


def _tars(job: Job, files: list[Json]) -> Json:
    """Tars: the columns come from the `.json` beside each clip."""
    sets = [
        _members("videos", "*.mp4", "video/mp4", files),
        _members("captions", "*.txt", "text/plain", files),
        _members("rows", "*.json", "application/json", files),
    ]
    fields = [
        _field(column, {"jsonPath": f"$.{column.name}"}, "rows")
        for column in job.chosen.schema()
        if column.name not in {"video", "caption"}
    ]
    return {"distribution": [*files, *sets], "recordSet": [_records(fields)]}


def _scenes(job: Job, files: list[Json]) -> Json:
    """The official json files: their objects have ids for names, which no path of Croissant's reaches."""
    return {"distribution": files}


RECORDS = {"datasets": _parquet, "webdataset": _tars, "hd-vg": _scenes}


def _records(fields: list[Json]) -> Json:
    return {"@type": "cr:RecordSet", "@id": "clips", "name": "clips", "key": {"@id": "clips/clip_id"}, "field": fields}


def _field(column: pa.Field, extract: Json, source: str) -> Json:
    """A column with its sentence; a list of structures has subfields."""
    place = {"fileSet": {"@id": source}, "extract": extract}
    made = {
        "@type": "cr:Field",
        "@id": f"clips/{column.name}",
        "name": column.name,
        "description": doc(column),
        "source": place,
    }
    kind = column.type
    if pa.types.is_list(kind):
        made["repeated"] = True
        kind = kind.value_type
    if pa.types.is_struct(kind):
        del made["source"]
        made["subField"] = [_subfield(field, made["@id"], place) for field in cast(Any, kind)]
        return made
    return made | {"dataType": _type(kind)}


def _subfield(field: pa.Field, parent: str, place: Json) -> Json:
    return {
        "@type": "cr:Field",
        "@id": f"{parent}/{field.name}",
        "name": field.name,
        "dataType": _type(field.type),
        "source": place | {"transform": {"jsonPath": field.name}},
    }


def _type(kind: pa.DataType) -> str:
    if pa.types.is_binary(kind):
        return "sc:VideoObject"
    if pa.types.is_boolean(kind):
        return "sc:Boolean"
    return "sc:Integer" if pa.types.is_integer(kind) else "sc:Float" if pa.types.is_floating(kind) else "sc:Text"
