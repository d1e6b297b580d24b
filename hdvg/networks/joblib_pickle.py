"""Read the arrays of a file that joblib wrote with LZ4, without joblib, and running none of its code.

Such a file is an LZ4 frame of one pickle, a list, in which bytes that are no pickle follow the description of each array: a
number of bytes to skip (the next one says how many), and the elements in C order.
"""

from __future__ import annotations

import io
import math
import pickle
from collections.abc import Callable
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import numpy.typing as npt


class _Kind:
    """In place of numpy's dtype: code and byte order."""

    def __init__(self, code: str, *_: object) -> None:
        self.code, self.order = code, "<"

    def __setstate__(self, state: tuple[Any, ...]) -> None:
        self.order = state[1]


class _Described:
    """In place of joblib's NumpyArrayWrapper."""

    shape: tuple[int, ...]
    order: str
    dtype: _Kind
    numpy_array_alignment_bytes: int | None = None

    def read(self, file: io.BytesIO) -> npt.NDArray[np.float32]:
        """The elements, which come next in the file. Raises ValueError for others than float32 in C order."""
        if (self.dtype.order + self.dtype.code, self.order) != ("<f4", "C"):
            raise ValueError(f"an array of {self.dtype.order}{self.dtype.code} in order {self.order}")
        if self.numpy_array_alignment_bytes is not None:
            file.seek(file.read(1)[0], io.SEEK_CUR)
        count = math.prod(self.shape)
        return np.frombuffer(file.read(4 * count), dtype="<f4", count=count).reshape(self.shape)


ALLOWED = {
    ("joblib.numpy_pickle", "NumpyArrayWrapper"): _Described,
    ("numpy", "ndarray"): type(None),  # which kind of array; stands in the description and is never called
    ("numpy", "dtype"): _Kind,
}


class _Reader(pickle._Unpickler):  # the one in Python, as joblib does: it can read on between two steps of a pickle
    """Puts an array where its description ends; any class but those of `ALLOWED` is refused."""

    dispatch: ClassVar[dict[int, Callable[..., None]]] = dict(pickle._Unpickler.dispatch)

    def __init__(self, file: io.BytesIO) -> None:
        super().__init__(file)
        self._under = file

    def find_class(self, module: str, name: str) -> Any:  # Any: a pickle names classes and functions alike
        if (module, name) not in ALLOWED:
            raise pickle.UnpicklingError(f"it names {module}.{name}")
        return ALLOWED[module, name]

    def load_build(self) -> None:
        """A description is whole once its state is set."""
        super().load_build()  # type: ignore[misc]
        if isinstance(self.stack[-1], _Described):  # type: ignore[attr-defined]
            self.stack[-1] = self.stack[-1].read(self._under)  # type: ignore[attr-defined]

    dispatch[pickle.BUILD[0]] = load_build


def read_arrays(stored: Path) -> list[npt.NDArray[np.float32]]:
    """The arrays of the list, in its order. Raises ValueError if the file is none of that format."""
    import pyarrow as pa

    try:
        with pa.CompressedInputStream(pa.OSFile(str(stored)), "lz4") as whole:
            arrays = _Reader(io.BytesIO(whole.read())).load()
        if not isinstance(arrays, list) or not all(isinstance(one, np.ndarray) for one in arrays):
            raise ValueError("it holds something else")
        return arrays
    except (pickle.UnpicklingError, ValueError, IndexError, AttributeError, EOFError, TypeError, OSError) as error:
        raise ValueError(f"{stored} holds no arrays as joblib writes them with LZ4: {error}") from error
