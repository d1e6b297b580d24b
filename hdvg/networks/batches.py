"""Work in batches that shrink when GPU memory runs short."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TypeVar

from hdvg.errors import ResourceError

Item = TypeVar("Item")
Result = TypeVar("Result")


def in_batches(
    work: Callable[[Sequence[Item]], list[Result]], *, items: Sequence[Item], size: int, short: str
) -> tuple[list[Result], int]:
    """`work` over `items`, `size` at a time, and the size that fitted: torch's OutOfMemoryError halves it.

    Raises ResourceError if one item alone does not fit; `short` is its text.
    """
    import torch

    results: list[Result] = []
    while len(results) < len(items):
        batch = items[len(results) : len(results) + size]
        try:
            results += work(batch)
            continue
        except torch.OutOfMemoryError as error:
            if len(batch) == 1:
                raise ResourceError(short) from error
        torch.cuda.empty_cache()  # outside of `except`, where the traceback still holds the tensors
        size = len(batch) // 2
    return results, size
