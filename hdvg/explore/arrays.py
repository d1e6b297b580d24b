"""Answers of arrays, as the explorer's page reads them: a header in JSON, then the arrays, each beginning at a multiple of 8."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

STEP = 8
TYPES = {"uint8": "u1", "uint32": "u4", "int16": "i2", "float64": "f8"}
JS_INTEGER = 2**53


def pack(header: Mapping[str, Any], arrays: Mapping[str, NDArray[Any] | bytes]) -> bytes:
    """The answer; an array that is given as bytes is a WebP picture. Types: uint8, uint32, int16, float64."""
    described: list[dict[str, Any]] = []
    bodies = [one if isinstance(one, bytes) else np.ascontiguousarray(one).tobytes() for one in arrays.values()]
    for (name, one), body in zip(arrays.items(), bodies, strict=True):
        kind = "webp" if isinstance(one, bytes) else TYPES[one.dtype.name]
        shape = [len(body)] if isinstance(one, bytes) else list(one.shape)
        described.append({"name": name, "type": kind, "shape": shape, "at": 0, "bytes": len(body)})
    room = len(dumps({**header, "arrays": described})) + 16 * len(described)  # for the digits of `at`
    start = _round(4 + room)
    at = start
    for entry in described:
        entry["at"] = at
        at = _round(at + entry["bytes"])
    text = dumps({**header, "arrays": described}).ljust(start - 4)
    padded = [body.ljust(_round(len(body)), b"\0") for body in bodies]
    return b"".join([np.uint32(len(text)).tobytes(), text, *padded])


def dumps(value: Any) -> bytes:
    """JSON of what DuckDB and numpy give: numbers that JSON lacks are texts, and so is all that is no JSON at all."""
    return json.dumps(plain(value), ensure_ascii=False, allow_nan=False, separators=(",", ":")).encode()


def plain(value: Any) -> Any:
    """The value in what JSON has."""
    if value is None or isinstance(value, bool | str):
        return value
    if isinstance(value, int):
        return value if abs(value) < JS_INTEGER else str(value)
    if isinstance(value, float):
        return value if math.isfinite(value) else "NaN" if math.isnan(value) else f"{'-' if value < 0 else ''}Infinity"
    if isinstance(value, Mapping):
        return {str(key): plain(part) for key, part in value.items()}
    if isinstance(value, list | tuple | set | frozenset):
        return [plain(part) for part in value]
    if isinstance(value, np.generic | np.ndarray):
        return plain(value.tolist())
    return value.hex() if isinstance(value, bytes) else str(value)


def _round(count: int) -> int:
    return -(-count // STEP) * STEP
