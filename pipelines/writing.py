"""Writing to a dataset: one run at a time, and only if nothing of it is lost."""

from __future__ import annotations

import uuid
from collections.abc import Iterator
from contextlib import contextmanager

from hdvg.dataset import ledger
from hdvg.dataset.damage import refuse_damaged, set_aside
from hdvg.dataset.layout import Look
from hdvg.dataset.store import Store


def new_run() -> str:
    """A name for a run."""
    return uuid.uuid4().hex


@contextmanager
def writing(store: Store) -> Iterator[None]:
    """Hold the run lock, with the run begun and ended, over a dataset of which nothing is lost.

    Raises DamagedError, with nothing changed, if a file is gone, or damaged, that it cannot do without.
    """
    with store.lock():
        look = Look(store.root)
        refuse_damaged(store.root, look)
        store.begin()
        try:
            is_other = set_aside(store, look)
            ledger.note(store, None if is_other else look)
            yield
            ledger.note(store)
        finally:
            store.end()
