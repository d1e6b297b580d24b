"""Stored keyframes, clip by clip, for stages that open no media."""

from __future__ import annotations

from pathlib import Path

from hdvg.config.own_measures import PREVIEW
from hdvg.dataset.damage import say
from hdvg.dataset.packs import KEYFRAMES, read_section, sections
from hdvg.dataset.store import Store
from hdvg.errors import DamagedError
from hdvg.keyframes import Shot
from pipelines.items import ClipItem
from schemas.previews import PREVIEWS


class Packs:
    """Keyframes by clip, and previews where these are asked for; the pack of a video is read once, for its clips come one
    after the other."""

    def __init__(self, store: Store, *, previews: bool = False) -> None:
        self._store, self._with_previews = store, previews
        self._pack = ""
        self._shots: dict[str, Shot] = {}

    def shot(self, item: ClipItem) -> Shot:
        """A clip of which nothing is known but its keyframes and when it starts. Raises DamagedError."""
        return self.video(item).get(item["clip_id"], Shot(item["clip_id"], {}, {}))

    def video(self, item: ClipItem) -> dict[str, Shot]:
        """All clips of a clip's video, in order. Raises DamagedError if they are gone."""
        if item["keyframes"] != self._pack:
            self._shots = self._read(item["keyframes"])
            self._pack = item["keyframes"]
        return self._shots

    def _read(self, pack: str) -> dict[str, Shot]:
        path = self._store.find_media(pack)
        if path is None:
            raise DamagedError(say(self._store.root, [f"media/{pack[:2]}/{pack}.*"], "lost"))
        pictures: dict[str, dict[str, bytes]] = {}
        starts: dict[str, int] = {}
        for row in read_section(path, KEYFRAMES, columns=["clip_id", "position", "pts", "jpeg"]).to_pylist():
            pictures.setdefault(row["clip_id"], {})[row["position"]] = row["jpeg"]
            starts[row["clip_id"]] = min(starts.get(row["clip_id"], row["pts"]), row["pts"])
        previews = _previews(path) if self._with_previews else {}
        return {
            name: Shot(name, some, {"start_pts": starts[name]}, previews.get(name, ()))
            for name, some in pictures.items()
        }


def _previews(pack: Path) -> dict[str, list[tuple[float, bytes]]]:
    """Of each clip the frames of its preview with their seconds; none of a pack without previews."""
    if PREVIEW not in sections(pack):
        return {}
    rows = read_section(pack, PREVIEW, columns=PREVIEWS.names).to_pylist()
    return {row["clip_id"]: list(zip(row["at_s"], row["frames"], strict=True)) for row in rows}
