"""The published sets that `hdvg import` reads. A new one is a file beside this and a line in `SETS`, or a plug-in."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass

from hdvg.published import hd_vg, hd_vila, internvid, openvid, panda_70m, spans, videoufo, webvid
from hdvg.published.entries import Entry, Source
from hdvg.published.tables import Read
from hdvg.published.tables import read as read_table
from hdvg.registry import Registry


@dataclass(frozen=True)
class Published:
    """A published set: how its files are read, the recipe that suits it, and whether each of its scenes has a caption."""

    read: Callable[[Source], Iterator[Entry]]
    recipe: str
    captions: bool = True
    settings: tuple[str, ...] = ()
    """What else a new dataset of it has, as `--set` takes it."""
    name: str = ""
    """What a plug-in's set is called in the dataset."""
    code: str = ""
    """A plug-in's code, hashed."""


def _table(row_read: Read, *, name: str) -> Callable[[Source], Iterator[Entry]]:
    return lambda source: read_table(source, row_read, name=name)


SETS: dict[str, Published] = {
    "hd-vg": Published(hd_vg.read, "hd_vg_130m"),
    "hd-vila": Published(_table(hd_vila.read_row, name="video_id"), "hd_vg_130m", captions=False),
    "panda-70m": Published(_table(panda_70m.read_row, name="videoid"), "panda70m_like"),
    "openvid": Published(_table(openvid.read_row, name="video"), "openvid"),
    "internvid": Published(_table(internvid.read_row, name="youtubeid"), "hd_vg_130m"),
    "videoufo": Published(_table(videoufo.read_row, name="id"), "videoufo_like"),
    "webvid": Published(_table(webvid.read_row, name="videoid"), "demo"),
    "spans": Published(_table(spans.read_row, name="link"), "demo", captions=False, settings=("fetch.sections=auto",)),
}


PUBLISHED_SET = Registry(
    called="published set", group="hdvg.published_sets", setting="hdvg import: SET", methods=("read",), attributes=("name",),
    classes=dict.fromkeys(SETS, "hdvg.published.sets:SETS"),
)  # fmt: skip
"""Where sets are found. A plug-in is a class, made without arguments, with `name` and `read`; it may say `recipe` ("demo"),
`captions` (True) and `settings` (none) as `Published` does."""


def find_set(name: str) -> Published:
    """The set of that name. Raises UsageError if there is none."""
    if name in SETS:
        return SETS[name]
    made = PUBLISHED_SET.checked(name, PUBLISHED_SET.find(name)())
    said = {one: getattr(made, one) for one in ("recipe", "captions", "settings") if hasattr(made, one)}
    return Published(made.read, **{"recipe": "demo", **said}, name=made.name, code=PUBLISHED_SET.code(name))
