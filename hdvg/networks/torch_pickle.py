"""Read the tensors of a file that torch.save wrote before version 1.6, with numpy alone and running none of its code.

Such a file is five pickles (a magic number, a protocol number, the writing machine, the object, the keys of its storages)
and then each storage in the order of the keys: its number of elements as int64, and the elements, little-endian.
"""

from __future__ import annotations

import io
import pickle
from collections import OrderedDict
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

MAGIC, PROTOCOL = 0x1950A86A20F9469CFC6C, 1001
STORAGES = {"FloatStorage": np.dtype("<f4"), "LongStorage": np.dtype("<i8")}


@dataclass(frozen=True)
class _Stored:
    """A tensor that is yet to be read from storage `key`; `start` and `strides` count elements."""

    key: str
    start: int
    shape: Sequence[int]
    strides: Sequence[int]


class _Reader(pickle.Unpickler):
    """Makes ordered dictionaries and `_Stored`; any other class that a pickle names is refused."""

    def find_class(self, module: str, name: str) -> Any:  # Any: a pickle names classes and functions alike
        if (module, name) == ("collections", "OrderedDict"):
            return OrderedDict
        if (module, name) == ("torch._utils", "_rebuild_tensor_v2"):
            return _stored
        if module == "torch" and name in STORAGES:
            return STORAGES[name]
        raise pickle.UnpicklingError(f"it names {module}.{name}")

    def persistent_load(self, pid: Any) -> str:
        """("storage", type, key, device, elements, view) -> the key, and the type that is kept for it."""
        _, kind, key, *_ = pid
        self.types[key] = kind
        return str(key)

    def __init__(self, file: io.BytesIO, types: dict[str, np.dtype[Any]]) -> None:
        super().__init__(file)
        self.types = types


def _stored(key: str, start: int, shape: Sequence[int], strides: Sequence[int], *_: object) -> _Stored:
    """In place of torch's `_rebuild_tensor_v2`."""
    return _Stored(key, start, tuple(shape), tuple(strides))


def read_tensors(weights: Path) -> dict[str, npt.NDArray[Any]]:
    """Name -> array of a stored state dict, in the file's order; float32 and int64.

    Raises ValueError if the file is none of that format, or holds anything but tensors by name.
    """
    file = io.BytesIO(weights.read_bytes())
    types: dict[str, np.dtype[Any]] = {}
    try:
        magic, protocol, _, stored, keys = (_Reader(file, types).load() for _ in range(5))
        if (magic, protocol) != (MAGIC, PROTOCOL) or not all(isinstance(one, _Stored) for one in stored.values()):
            raise ValueError("it holds something else")
        storages = {key: _storage(file, types[key]) for key in keys}
        return {name: _tensor(one, storages[one.key]) for name, one in stored.items()}
    except (pickle.UnpicklingError, ValueError, KeyError, IndexError, AttributeError, EOFError, TypeError) as error:
        raise ValueError(f"{weights} holds no tensors as torch.save wrote them before 1.6: {error}") from error


def _storage(file: io.BytesIO, kind: np.dtype[Any]) -> npt.NDArray[Any]:
    """The next storage of the file."""
    count = int.from_bytes(file.read(8), "little")
    return np.frombuffer(file.read(count * kind.itemsize), dtype=kind, count=count)


def _tensor(stored: _Stored, storage: npt.NDArray[Any]) -> npt.NDArray[Any]:
    """The tensor's part of its storage. Raises ValueError if it reaches beyond."""
    reach = sum((side - 1) * step for side, step in zip(stored.shape, stored.strides, strict=True))
    if min(stored.start, *stored.shape, *stored.strides, reach) < 0 or stored.start + reach >= len(storage):
        raise ValueError("a tensor reaches beyond its storage")
    steps = [step * storage.itemsize for step in stored.strides]
    return np.lib.stride_tricks.as_strided(storage[stored.start :], stored.shape, steps, writeable=False)
