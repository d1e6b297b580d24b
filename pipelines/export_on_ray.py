"""Files of an export written by all nodes of a cluster; those that need others, or a query, after them on this machine. It imports ray."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from functools import partial
from pathlib import Path

from hdvg.dataset.dataset import Dataset
from hdvg.dataset.store import Store
from hdvg.exporting import Piece, WriteAll, in_turn
from hdvg.exporting.target import Target
from pipelines.tasks_on_ray import on_nodes

Item = tuple[int, Piece]


def on_cluster(address: str, dataset: Dataset) -> WriteAll:
    """What writes an export of that dataset on the cluster at that address."""
    return partial(_write_all, address, dataset.root)


def _write_all(address: str, root: Path, target: Target, pieces: Sequence[Piece]) -> Iterator[tuple[Piece, bool]]:
    free = [piece for piece in pieces if piece.anywhere and target.lacks(piece)]
    if len(free) < 2:  # not worth a session
        free = []
    if free:
        out = target.store
        held, needs = (out.root, out.run), (out.root / "tmp" / out.run, root / "shards")
        for number, is_new in on_nodes(address, _write, enumerate(free), held=held, needs=needs, called="a file"):
            yield free[number], is_new
    names = {piece.name for piece in free}
    yield from in_turn(target, [piece for piece in pieces if piece.name not in names])


def _write(item: Item, out: tuple[Path, str]) -> tuple[int, bool]:
    number, piece = item
    root, run = out
    return number, Store(root, run=run).publish(piece.name, piece.write)
