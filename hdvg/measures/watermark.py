"""Watermarks, logos and other laid-over marks by persistence: edges that stay where they are while the footage changes.

After Dekel et al., "On the Effectiveness of Visible Watermarks" (CVPR 2017): what the pictures of a collection have in
common in their gradients is the mark. The pictures are the keyframes of a video, of different shots and of one moving
clip alike; those that share their scenery count once, so a standing camera is no evidence. Where the mean of the clipped
gradients is longer than those of unlike pictures can be by chance, there may be a mark; it is one if the mean of the
*other* pictures is found again in each picture just there and not some pixels beside, which chance and long lines fail.
Two or three scenes, each of one clip, are too few for such means; there a mark is what coincides as nothing does when
the same pictures are shifted against one another (`coincidence`).

What it cannot decide: one still scene has no evidence, two have none against a mark (null); what is fixed to the
camera (a bonnet, a helmet's rim, the panes of a screen recording) stays put as a logo does; a mark in less than half of a
video's clips is missed if these are few, in less than a quarter if they are many.
"""

from __future__ import annotations

import hashlib
import math
from collections.abc import Sequence
from dataclasses import dataclass
from statistics import fmean
from typing import Any, ClassVar

from hdvg.keyframes import Shot
from hdvg.measures.watermark_marks import Mark, View, candidates, leaders, look
from hdvg.measures.watermark_pairs import coincidences

MODEL = "persistence-2"

EVIDENCE_MOST = 36
"""Pictures of a video that are evidence; evenly spread if it has more."""

VIEWS_LEAST, SCENES_LEAST = 3, 2
"""With fewer unlike pictures, and of fewer clips, nothing can be decided."""

DENIED_VIEWS, DENIED_SCENES = 4, 3
"""With fewer unlike pictures, and of fewer clips, a mark may be found, but not that there is none: too many are missed."""

SCENES_MOST = 3
"""Of so many clips at most the scenes are shifted against one another."""

MARGIN_WORTH, MARGIN_MOST = 1.5, 0.4
"""What a margin, so large at most, counts for beside how many times better a mark coincides than chance."""

EVEN_SCENES, STEEP_SCENES = 1.4, 0.08
"""As EVEN and STEEP, for marks in few scenes."""

EVEN, STEEP, FEW_VIEWS = 0.03, 0.012, 0.34
"""The strength at which a mark is as likely as not, with many views; the scale on which that tips; what fewer views add."""

CAPPED = 0.2
"""A picture counts for or against a mark with at most this margin."""

CLEAR = 0.05
"""The margin at which a mark is in one clip for certain, as far as it is a mark."""

SURE = 0.5
"""The confidence from which a candidate is taken for a mark."""

NEAR = 0.015
"""Marks that are no further apart, in shares of the picture, are parts of one."""

Key = tuple[str, str]
Box = tuple[float, float, float, float]


class Watermark:
    """See the module. There is nothing to set: the threshold is the recipe's, and 0.5 is where precision and recall meet."""

    needs: ClassVar[dict[str, str]] = {"cv2": "OpenCV"}
    columns: ClassVar[tuple[str, ...]] = ("watermark", "watermark_area", "watermark_box", "watermark_model")
    model = MODEL

    def __init__(self, settings: object = None) -> None:
        pass

    @staticmethod
    def fingerprint(settings: object = None) -> str:
        """16 hex digits of the method's version."""
        return hashlib.sha256(MODEL.encode()).hexdigest()[:16]

    def measure(self, wanted: Sequence[Shot], others: Sequence[Shot] = ()) -> list[dict[str, Any]]:
        """The columns of each wanted clip, in order. All clips are of one video; `others` are the rest of it."""
        return [_row(value, found) for value, found in _found(wanted, others)]


def marks_of(wanted: Sequence[Shot], others: Sequence[Shot]) -> list[list[Box]]:
    """Where sure marks are in each wanted clip, in order; no box where nothing can be told."""
    told = _found(wanted, others)
    return [[one.mark.box for one in found if one.confidence >= SURE] for _, found in told]


def _found(wanted: Sequence[Shot], others: Sequence[Shot]) -> list[tuple[float | None, list[_Judged]]]:
    """How surely a mark is in each wanted clip, None if that cannot be told, and which may be."""
    evidence = _Evidence((*wanted, *others))
    if len(evidence.views) < VIEWS_LEAST and len(evidence.scenes) < SCENES_LEAST:
        return [(None, []) for _ in wanted]
    marks = _marks(evidence)
    return [_in_clip(shot, marks, evidence) for shot in wanted]


class _Evidence:
    """The pictures that are looked at together: `views` are unlike one another, in order of time."""

    def __init__(self, shots: Sequence[Shot]) -> None:
        keys = [(shot, name) for shot in sorted(shots, key=_order) for name in sorted(shot.keyframes, key=_in_time)]
        count = min(len(keys), EVIDENCE_MOST)
        chosen = [keys[(2 * number + 1) * len(keys) // (2 * count)] for number in range(count)]
        self.shape: tuple[int, int] | None = None
        self._looks: dict[Key, View] = {}
        for shot, name in chosen:
            view = look(shot.keyframes[name], self.shape)
            if view is not None:
                self.shape = view.shape
                self._looks[shot.clip_id, name] = view
        found = leaders(list(self._looks.values()))
        numbers = {leader: number for number, leader in enumerate(dict.fromkeys(found))}
        self._member = {key: numbers[leader] for key, leader in zip(self._looks, found, strict=True)}
        self.views = [list(self._looks.values())[leader] for leader in numbers]
        self.clips = [list(self._looks)[leader][0] for leader in numbers]
        by_clip: dict[str, list[int]] = {}
        for number, clip in enumerate(self.clips):
            by_clip.setdefault(clip, []).append(number)
        self.scenes = list(by_clip.values())

    def pictures(self, shot: Shot) -> list[tuple[View, int | None]]:
        """A clip's pictures, each with the number of the view that stands for it, if it is evidence."""
        pairs = []
        for name, jpeg in shot.keyframes.items():
            key = shot.clip_id, name
            view = self._looks.get(key) or look(jpeg, self.shape)
            if view is not None:
                pairs.append((view, self._member.get(key)))
        return pairs


@dataclass(frozen=True)
class _Judged:
    mark: Mark
    confidence: float


def _order(shot: Shot) -> tuple[float, str]:
    return float(shot.measures.get("start_pts") or 0), shot.clip_id


def _in_time(position: str) -> tuple[int, int]:
    """First, middle, last, then the extra ones by number."""
    name, _, number = position.partition("-")
    return {"first": 0, "middle": 1, "last": 2}.get(name, 3), int(number) if number.isdigit() else 0


def strength(margins: Sequence[float], clips: Sequence[str], *, most: float = CAPPED) -> float:
    """What the views say of a candidate together: the mean of their capped margins, first over each clip's, for what
    stands still in one clip only is no mark of the others."""
    by_clip: dict[str, list[float]] = {}
    for margin, clip in zip(margins, clips, strict=True):
        by_clip.setdefault(clip, []).append(min(max(margin, -most), most))
    return fmean(fmean(some) for some in by_clip.values())


def confidence(strong: float, count: int) -> float:
    """How surely a candidate of a `strength` in so many views is a mark, 0-1."""
    return _sure(strong, EVEN + FEW_VIEWS / count, STEEP)


def _sure(value: float, even: float, steep: float) -> float:
    return 1 / (1 + math.exp(min((even - value) / steep, 50)))


def _marks(evidence: _Evidence) -> list[_Judged]:
    """The marks of a video, the surest first."""
    judged = []
    is_few = SCENES_LEAST <= len(evidence.scenes) <= SCENES_MOST
    if not is_few or len(evidence.views) >= DENIED_VIEWS:
        for mark in candidates(evidence.views):
            judged.append(_Judged(mark, confidence(_strength(mark, evidence, CAPPED), len(mark.members))))
    if is_few:
        for mark, ratio in coincidences(evidence.scenes, evidence.views):
            score = ratio + MARGIN_WORTH * _strength(mark, evidence, MARGIN_MOST)
            judged.append(_Judged(mark, _sure(score, EVEN_SCENES, STEEP_SCENES)))
    return sorted((one for one in judged if one.confidence >= 0.05), key=lambda one: -one.confidence)


def _strength(mark: Mark, evidence: _Evidence, most: float) -> float:
    views = [evidence.views[number] for number in mark.members]
    clips = [evidence.clips[number] for number in mark.members]
    return strength([mark.margin(view, without=view) for view in views], clips, most=most)


def _in_clip(shot: Shot, marks: list[_Judged], evidence: _Evidence) -> tuple[float | None, list[_Judged]]:
    """The video's marks as far as they are in this clip's pictures, and how sure the surest is."""
    pictures = evidence.pictures(shot)
    if not pictures:
        return None, []
    found: list[_Judged] = []
    for one in marks:
        margin = max(_margin(one.mark, view, number, evidence.views) for view, number in pictures)
        here = one.confidence * min(max(margin / CLEAR, 0.0), 1.0)
        if here > 0:
            found.append(_Judged(one.mark, here))
    surest = max((one.confidence for one in found), default=0.0)
    is_deniable = len(evidence.views) >= DENIED_VIEWS or len(evidence.scenes) >= DENIED_SCENES
    return (surest, found) if surest >= SURE or is_deniable else (None, [])


def _margin(mark: Mark, view: View, number: int | None, views: Sequence[View]) -> float:
    without = views[number] if number is not None and number in mark.members else None
    return mark.margin(view, without=without)


def _row(value: float | None, found: Sequence[_Judged] = ()) -> dict[str, Any]:
    """The columns; the area is that of all marks at least half as sure as the surest, the box that of the largest of them."""
    row: dict[str, Any] = {"watermark": value, "watermark_area": None if value is None else 0.0, "watermark_box": None}
    sure = [one.mark for one in found if one.confidence >= 0.5 * (value or 0)]
    if sure:
        kept = _apart(sorted(sure, key=lambda mark: -mark.area))
        row["watermark_area"] = min(sum(mark.area for mark in kept), 1.0)
        row["watermark_box"] = ",".join(f"{share:.4f}" for share in _around([mark.box for mark in kept]))
    return row | {"watermark_model": MODEL}


def _apart(marks: Sequence[Mark]) -> list[Mark]:
    """Marks that do not lie in one another: the same mark is found in luma, in chroma and in several runs of clips."""
    kept: list[Mark] = []
    for mark in marks:
        if not any(_overlap(mark.box, other.box) > 0.3 for other in kept):
            kept.append(mark)
    return kept


def _around(boxes: Sequence[Box]) -> Box:
    """The first box, grown to hold those that lie close by it: a logo's parts, the words of a line."""
    left, top, wide, tall = boxes[0]
    for other in boxes[1:]:
        if _overlap((left - NEAR, top - NEAR, wide + 2 * NEAR, tall + 2 * NEAR), other) > 0:
            right, bottom = max(left + wide, other[0] + other[2]), max(top + tall, other[1] + other[3])
            left, top = min(left, other[0]), min(top, other[1])
            wide, tall = right - left, bottom - top
    return left, top, wide, tall


def _overlap(one: Box, other: Box) -> float:
    """Shared area over the smaller box's."""
    wide = min(one[0] + one[2], other[0] + other[2]) - max(one[0], other[0])
    tall = min(one[1] + one[3], other[1] + other[3]) - max(one[1], other[1])
    return max(wide, 0) * max(tall, 0) / min(one[2] * one[3], other[2] * other[3])
