"""What all clips that are being written share: their file, its sound, the check at the end, and the result."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from hdvg.config.child_settings import CutSettings
from hdvg.media.audio import Sound
from hdvg.media.calls import CutClip
from hdvg.media.check import Expected, find_fault, is_chosen
from hdvg.media.cut_plan import Plan
from hdvg.media.mp4 import ClipFile
from hdvg.media.packets import Index
from hdvg.media.second_reading import Grey
from hdvg.media.source import Source


@dataclass(frozen=True)
class Job:
    """What all clips of one call share."""

    source: Source
    index: Index
    settings: CutSettings
    out: Path
    template: Any
    """The source's open stream: copied tracks take their description from it."""
    sound: Sound | None = None


def open_file(job: Job, plan: Plan) -> ClipFile:
    """The clip's file, ready for its tracks."""
    target = job.out / f"{plan.span['clip_id']}.mp4"
    return ClipFile(target, job.source.time_base, end=plan.end_pts - plan.start_pts)


def add_sound(job: Job, file: ClipFile, plan: Plan) -> None:
    """Write the clip's part of the source's sound, if it is asked for; before the first picture."""
    if job.sound is not None:
        base = job.source.time_base
        job.sound.add_to(file.container, start_s=plan.start_pts * base, end_s=plan.end_pts * base)


def expected_of(job: Job, plan: Plan, times: list[int]) -> Expected:
    """What the check must find, for frames at `times` from the clip's start."""
    looks = plan.span.get("first_look"), plan.span.get("last_look")
    errors = plan.span.get("decode_errors")
    end, upright = plan.end_pts - plan.start_pts, plan.mode != "copy"
    trust: Any = {"sound": errors == 0, "damaged": bool(errors), "upright": upright}
    return Expected(times, end, job.source.time_base, looks=looks, **trust)


def with_ends(expected: Expected, ends: list[Grey | None], *, looks: bool) -> Expected:
    """With pictures of the source's first and last frame, and with or without the looks that the span brought along.

    Where the span has a look of one end alone, the other is a woven frame, whose picture no clip shows.
    """
    one_alone = any(expected.looks) and not all(expected.looks)
    first, last = (None if one_alone and look is None else end for end, look in zip(ends, expected.looks, strict=True))
    return replace(expected, pictures=(first, last), looks=expected.looks if looks else (None, None))


@dataclass(frozen=True)
class Made:
    """A written clip: its columns, and what a look into its file must find."""

    columns: CutClip
    expected: Expected

    def fault(self, job: Job) -> str | None:
        """What is wrong with it, or None; also None if it is not among the share that is verified."""
        if not is_chosen(self.columns["clip_id"], job.settings["verify_share"]):
            return None
        return find_fault(job.out / self.columns["file"], self.expected)


def result_of(plan: Plan, decoded: int, *, size: tuple[int, int], codec: str) -> CutClip:
    """The columns of a clip all of whose frames were decoded."""
    return {
        "clip_id": plan.span["clip_id"],
        "file": f"{plan.span['clip_id']}.mp4",
        "width": size[0],
        "height": size[1],
        "codec": codec,
        "cut_mode": plan.mode,
        "cut_start_pts": plan.start_pts,
        "cut_end_pts": plan.end_pts,
        "cut_n_frames": decoded,
        "copied_frames": 0,
        "cut_decoded_frames": decoded,
    }
