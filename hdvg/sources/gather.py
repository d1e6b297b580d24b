"""What a caller in Python gives as links, brought to the sources that a run reads: single links go into one list."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from pathlib import Path

from hdvg.errors import UsageError
from hdvg.sources.links import kind_of
from hdvg.sources.lists.source import as_lists, list_source

Links = str | Path | Iterable["Links"]
"""A list of links, a folder, a video file or a URL; or an iterable of these."""

LIST = "hdvg.run.jsonl"
"""Where links come from that were given one by one, as the dataset notes it."""


def gather(links: Links, scratch: Path, *, lists_because: str | None = None) -> tuple[str, ...]:
    """The sources in their order; URLs and video files that are given one by one stand first, as one list in `scratch`.

    With `lists_because`, the name of an option that is about lists on sites, each is such a list. Raises UsageError for what
    is no text and no path, for a path where nothing is, and for what is to be a list and is none.
    """
    if lists_because:
        return as_lists(_flat(links), because=lists_because)
    single: list[str] = []
    others: list[str] = []
    for link in _flat(links):
        is_single = list_source(link) is None and kind_of(link) in ("link", "file")
        (single if is_single else others).append(link)
    if len(single) < 2:
        return (*single, *others)
    path = scratch / LIST
    lines = (link if "://" in link else str(Path(link).absolute()) for link in single)
    path.write_text("".join(json.dumps({"url": line}) + "\n" for line in lines), encoding="utf-8")
    return (str(path), *others)


def shown(source: str) -> str:
    """What a source is called in messages: never by a passing file's path."""
    return "links given one by one" if Path(source).name == LIST else source


def _flat(links: Links) -> Iterator[str]:
    if isinstance(links, str | Path):
        yield str(links)
    elif isinstance(links, Iterable):
        for one in links:
            yield from _flat(one)
    else:
        raise UsageError(f"links: {links!r}: a path or URL, or an iterable of these")
