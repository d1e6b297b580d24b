"""Copies looked for by all nodes of a cluster: each takes parts of the search, over one set of files. It imports ray."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from hdvg.duplicates.search import Do, Parts, Spread, here
from hdvg.duplicates.series import Series
from hdvg.filtering.pool import Search
from pipelines.tasks_on_ray import on_nodes

LEAST = 200_000
"""Clips; fewer are looked through in this process sooner: in half a minute."""


def on_cluster(address: str) -> Search:
    """What looks for copies on the cluster at that address, whose nodes see the folder that the search is given."""

    def spread(scratch: Path) -> Spread:
        @contextmanager
        def opened(series: Series) -> Iterator[Parts]:
            with here(scratch)(series) as parts:
                if len(series) < LEAST:
                    yield parts
                else:
                    series.save(parts.folder)
                    yield Parts(parts.folder, lambda do, items: _all(address, do, items, parts.folder))

        return opened

    return spread


def _all(address: str, do: Do, items: Iterable[Any], folder: Path) -> Iterator[Any]:
    return on_nodes(
        address,
        _do,
        ((do, item) for item in items),
        held=folder,
        needs=(folder,),
        called="a part of the search for copies",
    )


def _do(item: tuple[Do, Any], folder: Path) -> Any:
    do, one = item
    return do(one, Series.load(folder))
