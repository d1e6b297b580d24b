"""Cut spans out of a video, exact to the frame: coded packets are copied where they can be, each clip is checked."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from itertools import accumulate
from pathlib import Path

from av.error import FFmpegError

from hdvg.config.child_settings import CutSettings
from hdvg.errors import ItemError, shortage
from hdvg.media import calls
from hdvg.media.audio import Sound
from hdvg.media.bars import find_boxes
from hdvg.media.calls import CutClip, CutSpan, Reason, UncutClip
from hdvg.media.clean_box import clean_box
from hdvg.media.clip_writer import Job
from hdvg.media.cut_plan import Plan, encode_all, plan_copy, plan_smart
from hdvg.media.decode import Frame, open_video
from hdvg.media.decoder_config import h264_shape
from hdvg.media.encode import Box, Look, is_as_coded, plan_look
from hdvg.media.encoded_clip import EncodedClip
from hdvg.media.packets import SAFE_KNOWN, Index, index_packets
from hdvg.media.reading import THREADS, Payload, Reading, stretches
from hdvg.media.second_reading import fault_of_stream
from hdvg.media.smart_clip import CopiedClip
from hdvg.media.source import SMART_CODECS, Source, look

Result = CutClip | UncutClip
Clip = CopiedClip | EncodedClip


@calls.cut.serves
def cut(path: str, out: str, spans: list[CutSpan], settings: CutSettings, max_pixels: int) -> list[CutClip | UncutClip]:
    """Write every span to `out`/<clip_id>.mp4; the results are in the order of their starts.

    Frame times are the source's, from zero. Mode smart copies packets and encodes the edges, or encodes all where the source
    does not allow it (or its first try fails the check); copy shrinks the span to what can be copied. A clip fails with
    cut_mismatch (what was written does not hold exactly the span's frames), no_keyframe (copy: nothing in the span can be
    copied) or unsupported (copy: the codec does not go into mp4). Raises ItemError for a source that does not open.
    """
    source = look(path, max_pixels)
    spans = sorted(spans, key=lambda span: int(span["start_pts"]))
    results: dict[str, Result] = {}
    with open_video(path, max_pixels=max_pixels) as (container, stream):
        index = index_packets(container, stream)
        if fault := fault_of_stream(container, stream, packets=len(index.packets)):
            return [_no(span, "cut_mismatch", fault) for span in spans]
        index.usable &= not any(span.get("retimed_frames") for span in spans)
        boxes = _boxes(source, index, spans, settings)
        looks = {span["clip_id"]: plan_look(source, settings, boxes.get(span["clip_id"])) for span in spans}
        plans: list[Plan] = []
        for span in spans:
            plan = _plan(source, index, span, settings=settings, wanted=looks[span["clip_id"]])
            if isinstance(plan, Plan):
                plans.append(plan)
            else:
                results[span["clip_id"]] = plan
        job = Job(source, index, settings, Path(out), stream)
        results |= _make(job, plans, looks)
        again = [encode_all(index, plan.span) for plan in plans if plan.mode == "smart" and _failed(results, plan)]
        results |= _make(job, again, looks)
    return [results[span["clip_id"]] for span in spans]


def _boxes(source: Source, index: Index, spans: Sequence[CutSpan], settings: CutSettings) -> Mapping[str, Box]:
    """By clip, the box to crop to, of clips that are to be cropped."""
    if settings["mode"] == "copy" or settings["crop"] == "none":
        return {}
    if settings["crop"] == "black":
        return find_boxes(source, index, spans)
    found = {span["clip_id"]: clean_box(source.shape, span) for span in spans}
    return {name: box for name, box in found.items() if box is not None}


def _failed(results: dict[str, Result], plan: Plan) -> bool:
    return "reason" in results[plan.span["clip_id"]]


def _plan(source: Source, index: Index, span: CutSpan, *, settings: CutSettings, wanted: Look) -> Plan | UncutClip:
    """A plan, or the reason why there is none."""
    if settings["mode"] == "copy":
        if source.codec not in SAFE_KNOWN:
            return _no(span, "unsupported", f"{source.codec} is not copied into mp4")
        plan = plan_copy(index, span) if index.usable else None
        return plan or _no(span, "no_keyframe", "no packet of the span starts a run that can be copied")
    if settings["mode"] != "encode" and _may_smart(source, index, wanted):
        return plan_smart(index, span)
    return encode_all(index, span)


def _may_smart(source: Source, index: Index, wanted: Look) -> bool:
    """Whether packets may be copied and stand beside encoded ones: only pictures that need no change, in known codecs."""
    if source.codec not in SMART_CODECS or not index.usable or not is_as_coded(source, wanted):
        return False
    if source.codec != "h264":
        return True
    profile, _, progressive = h264_shape(index.sets[index.packets[0].sets])
    return profile is not None and progressive


def _no(span: CutSpan, reason: Reason, detail: str) -> UncutClip:
    return {"clip_id": span["clip_id"], "reason": reason, "detail": detail}


def _make(job: Job, plans: Sequence[Plan], looks: dict[str, Look]) -> dict[str, Result]:
    """Make all clips in one way through the source; results by clip_id."""
    if not plans:
        return {}
    is_kept = job.settings["audio"] == "keep" and job.index.in_order  # else its times are not the pictures'
    sound = Sound(job.source.path) if is_kept else None
    job = Job(job.source, job.index, job.settings, job.out, job.template, sound)
    clips = [_clip(job, plan, looks) for plan in plans]
    waiting = _Waiting(clips)
    results: dict[str, Future[Result]] = {}
    damaged = any(plan.span.get("decode_errors") for plan in plans)
    threads = 1 if damaged else THREADS
    reading = Reading(job.source.path, job.index, max_pixels=job.source.max_pixels, threads=threads)
    reading.skips = not damaged
    marked = 0
    with ThreadPoolExecutor(1) as ends:

        def end(clip: Clip, fault: UncutClip | None = None) -> None:
            nonlocal marked
            decoded, marked = reading.decoded - marked, reading.decoded
            results[clip.plan.span["clip_id"]] = ends.submit(_end, job, clip, fault, decoded)

        try:
            for thing in _things(job, plans, reading):
                for clip in waiting.at(thing.pts):
                    fault = _feed(clip, thing)
                    if fault or clip.complete:
                        end(clip, fault)
                        waiting.remove(clip)
            for clip in waiting.rest():
                end(clip)
        finally:
            if sound is not None:
                sound.close()
        return {clip_id: ended.result() for clip_id, ended in results.items()}


def _clip(job: Job, plan: Plan, looks: dict[str, Look]) -> Clip:
    if plan.run is not None:
        return CopiedClip(job, plan, plan.run)
    return EncodedClip(job, plan, looks[plan.span["clip_id"]])


def _things(job: Job, plans: Sequence[Plan], reading: Reading) -> Iterator[Frame | Payload]:
    if not job.index.usable:
        return iter(reading.straight(max(plan.end_pts for plan in plans)))
    copied: set[int] = set()
    for plan in plans:
        if plan.run is not None:
            copied |= {number for number in range(plan.run.first, plan.run.stop) if number in plan.run}
    ranges = [pair for plan in plans for pair in plan.decoded]
    return reading.walk(stretches(job.index, ranges), copied)


def _feed(clip: Clip, thing: Frame | Payload) -> UncutClip | None:
    """Hand a frame or packet to a clip that asked for it; the failure, if it fails."""
    plan = clip.plan
    try:
        if isinstance(thing, Payload):
            if plan.run is not None and thing.number in plan.run:
                clip.payload(thing)
        elif any(start <= thing.pts < end for start, end in plan.decoded):
            clip.frame(thing)
    except (ItemError, FFmpegError) as error:
        clip.abandon()
        return _no(plan.span, "cut_mismatch", _fault(error))
    return None


def _fault(error: Exception) -> str:
    """What is wrong with a clip. Raises the error if the machine is at fault: then no other way of cutting helps."""
    if shortage(error):
        raise error
    return getattr(error, "detail", "") or str(error)


def _end(job: Job, clip: Clip, fault: UncutClip | None, decoded: int) -> Result:
    """The result of a clip that is as it must be; any other's file goes."""
    if fault:
        return fault
    try:
        made = clip.finish()
        detail = made.fault(job)
    except (ItemError, FFmpegError) as error:
        detail = _fault(error)
    if detail is None:
        return {**made.columns, "cut_decoded_frames": decoded}
    clip.abandon()
    return _no(clip.plan.span, "cut_mismatch", detail)


class _Waiting:
    """Clips that are not yet complete, found by a time inside them."""

    def __init__(self, clips: Sequence[Clip]) -> None:
        self._clips = sorted(clips, key=lambda clip: clip.plan.start_pts)
        self._starts = [clip.plan.start_pts for clip in self._clips]
        self._latest = list(accumulate((clip.plan.end_pts for clip in self._clips), max))
        self._gone: set[int] = set()

    def at(self, pts: int) -> list[Clip]:
        """Clips whose span holds this time."""
        found = []
        for number in range(bisect_right(self._starts, pts) - 1, -1, -1):
            if self._latest[number] <= pts:
                break
            clip = self._clips[number]
            if pts < clip.plan.end_pts and id(clip) not in self._gone:
                found.append(clip)
        return found

    def remove(self, clip: Clip) -> None:
        """This one is done."""
        self._gone.add(id(clip))

    def rest(self) -> list[Clip]:
        """Those that are not."""
        return [clip for clip in self._clips if id(clip) not in self._gone]
