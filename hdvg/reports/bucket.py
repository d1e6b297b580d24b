"""Whether a bucket offers what a dataset needs, to this machine's credentials: it is tried there, not assumed."""

from __future__ import annotations

import uuid
from collections.abc import Callable, Iterator

from hdvg.errors import HdvgError, ItemError, UsageError
from hdvg.reports.supply import Finding


def examine_bucket(link: str) -> Iterator[Finding]:
    """Reading and conditional writes at the link of a dataset, which may be of where it would be made. Raises UsageError for a link
    that cannot be."""
    from hdvg.dataset.far import Far, bucket_of
    from hdvg.dataset.far_looks import probe
    from hdvg.dataset.mirror import mirror_path

    try:
        bucket = bucket_of(link)
    except ItemError as error:
        raise UsageError(f"{link}: {error.detail}") from None
    far = Far(mirror_path(bucket.place.link), bucket)

    def read() -> None:
        with far.speaking(""):
            next(bucket.names_from("", ""), None)
            bucket.read_version("dataset.toml")

    yield _tried("reading", read, f"objects at {far.link} can be listed and asked for")
    yield _tried("conditional writes", lambda: probe(far, uuid.uuid4().hex), "of two runs one is refused")


def _tried(check: str, do: Callable[[], None], fine: str) -> Finding:
    try:
        do()
    except HdvgError as error:
        return Finding(check, "bad", str(error))
    return Finding(check, "ok", fine)
