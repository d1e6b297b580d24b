"""Where the lease of a dataset in a bucket lies: one object, which is taken and renewed by compare-and-swap."""

from __future__ import annotations

import json
from collections.abc import Callable
from contextlib import AbstractContextManager
from typing import TYPE_CHECKING, Any

from hdvg.errors import HdvgError

if TYPE_CHECKING:
    from hdvg.sources.buckets.store import Bucket

LEASE = "run.lease"


class ObjectShelf:
    """The one object with the newest lease (`lease.Shelf`): it is taken, and renewed, by a swap of the version that was read."""

    def __init__(self, bucket: Bucket, speaking: Callable[[str], AbstractContextManager[None]]) -> None:
        """`speaking` says what a store refuses as ResourceError or UsageError."""
        self._bucket, self._speaking = bucket, speaking
        self._version: dict[str, str] | None = None

    def newest(self) -> dict[str, Any] | None:
        """See `lease.Shelf`."""
        with self._speaking(LEASE):
            found = self._bucket.read_version(LEASE)
        if found is None:
            return None
        last = dict(json.loads(found[0]))
        return last | {"version": found[1]}

    def take(self, number: int, text: str) -> bool:
        """See `lease.Shelf`."""
        last = self.newest()
        if last is not None and last["number"] != number - 1:
            return False
        with self._speaking(LEASE):
            return self._swap(number, text, last and last["version"])

    def renew(self, number: int, text: str) -> bool:
        """See `lease.Shelf`."""
        try:
            if self._swap(number, text, self._version):
                return True
            last = self.newest()
            if last is None or (last["number"], last["run"]) != (number, json.loads(text)["run"]):
                return False
            return self._swap(number, text, last["version"])  # the answer to our last swap was lost
        except HdvgError as error:
            raise ConnectionError(str(error)) from error

    def _swap(self, number: int, text: str, version: dict[str, str] | None) -> bool:
        held = json.dumps(json.loads(text) | {"number": number}).encode()
        found = self._bucket.swap(LEASE, held, version)
        self._version = found or self._version
        return found is not None
