"""A clip whose inner packets are copied, being written: it takes packets and edge frames as the source goes by."""

from __future__ import annotations

from collections import deque
from dataclasses import replace
from typing import Any

from hdvg.errors import ItemError
from hdvg.media.bitstream import HEVC_END_OF_SEQUENCE, carried, is_cra, length_prefixed, opened
from hdvg.media.clip_writer import Job, Made, add_sound, expected_of, open_file, result_of, with_ends
from hdvg.media.cut_plan import Plan, Run
from hdvg.media.decode import Frame
from hdvg.media.decoder_config import avcc, hvcc
from hdvg.media.edge_encoder import edge_budget, edge_encoder, edge_packet, edge_sets
from hdvg.media.mp4 import ClipFile, reorder_delay
from hdvg.media.parameter_sets import signature
from hdvg.media.reading import Payload
from hdvg.media.second_reading import Grey, small_grey

REORDERED_X264 = 2
"""Frames that x264's B-pyramid runs ahead of display, at most."""


class CopiedClip:
    """A clip whose inner packets are copied; frames before and behind them, if there are any, are encoded."""

    def __init__(self, job: Job, plan: Plan, run: Run) -> None:
        self.plan = plan
        self.decoded = 0
        self._job = job
        self._run = run
        self._waiting: deque[Payload] = deque()
        self._copied = 0
        self._ends: list[Grey | None] = [None, None]
        self._file: ClipFile | None = None
        self._sets = job.index.sets[job.index.packets[run.first].sets]
        self._signed = job.source.codec == "h264" and bool(signature(self._sets))
        self._own_sets: tuple[bytes, ...] = ()
        self._encoder: Any = None
        head, tail = plan.decoded[:1], plan.decoded[-1:]
        self._head = len(job.index.times(*head[0])) if head and head[0][0] < run.start_pts else 0
        self._tail = len(job.index.times(*tail[0])) if tail and tail[0][0] >= run.end_pts else 0

    @property
    def complete(self) -> bool:
        """Whether all of its frames and packets have come."""
        return self._copied == self._run.frames and self.decoded == self._head + self._tail

    def frame(self, frame: Frame) -> None:
        """Take the next frame of the head or the tail."""
        if frame.picture.is_corrupt:
            raise ItemError("cut_mismatch", f"the source's frame at {frame.pts} is damaged")
        picture = frame.picture
        if (picture.width, picture.height) != self._job.source.coded_size:
            raise ItemError("cut_mismatch", f"the source's size changes at {frame.pts}")
        file = self._opened()
        if self.decoded in (0, self._head) and self._encoder is None:
            self._encoder = self._edge()
        self.decoded += 1
        if self.decoded == 1 and self._head:
            self._ends[0] = small_grey(picture)
        if self._tail and self.decoded == self._head + self._tail:
            self._ends[1] = small_grey(picture)
        picture.pts, picture.time_base = frame.pts - self.plan.start_pts, self._job.source.time_base
        picture.pict_type = 0  # the encoder's choice
        self._put_encoded(file, self._encoder.encode(picture))
        if self.decoded in (self._head, self._head + self._tail):
            self._put_encoded(file, self._encoder.encode(None))
            self._encoder = None
            while self._waiting:
                self._put_copied(file, self._waiting.popleft())

    def payload(self, payload: Payload) -> None:
        """Take the next copied packet; it waits until the head is written."""
        file = self._opened()
        if self.decoded < self._head:
            self._waiting.append(payload)
        else:
            self._put_copied(file, payload)

    def finish(self) -> Made:
        """End the file. Raises ItemError cut_mismatch."""
        if self._file is not None:
            self._file.close()
        if not self.complete:
            detail = f"{self.decoded} of {self._head + self._tail} edge frames decode, {self._copied} packets copied"
            raise ItemError("cut_mismatch", detail)
        times = [pts - self.plan.start_pts for pts in self.plan.times]
        expected = expected_of(self._job, self.plan, times)
        run = self._run
        digests = [self._job.index.packets[number].digest for number in range(run.first, run.stop) if number in run]
        expected = replace(expected, digests=digests, before=self._head)
        expected = with_ends(expected, self._ends, looks=self.plan.mode == "smart")
        shape, codec = self._job.source.shape, self._job.source.codec
        made = result_of(self.plan, self.decoded, size=(shape["width"], shape["height"]), codec=codec)
        return Made({**made, "copied_frames": run.frames, "cut_n_frames": len(times)}, expected)

    def abandon(self) -> None:
        """Leave no file behind."""
        self._encoder = None
        self._waiting.clear()
        if self._file is not None:
            self._file.abandon()

    def _edge(self) -> Any:
        """An encoder for the edge that comes next."""
        ranges = self.plan.decoded
        at = ranges[0] if self.decoded < self._head else ranges[-1]
        source = self._job.source
        budget = edge_budget(self._job.index, at, time_base=source.time_base)
        try:
            encoder = edge_encoder(source, self._sets, budget=budget, settings=self._job.settings)
        except ValueError as error:
            raise ItemError("cut_mismatch", str(error)) from error
        sets = edge_sets(source.codec, encoder)
        if source.codec == "h264" and self._own_sets and sets != self._own_sets:
            raise ItemError("cut_mismatch", "the encoder's parameter sets differ between head and tail")
        self._own_sets = sets
        return encoder

    def _opened(self) -> ClipFile:
        """The file, opened when the first frame or packet comes."""
        if self._file is not None:
            return self._file
        if self._head + self._tail:
            self._encoder = self._edge()
        file = self._file = open_file(self._job, self.plan)
        file.times = [pts - self.plan.start_pts for pts in self.plan.times]
        order = [self._job.index.packets[number].pts for number in range(self._run.first, self._run.stop)]
        file.delay = reorder_delay([pts for pts in order if pts >= self._run.start_pts])
        if self._job.source.codec == "h264" and self._head + self._tail:
            file.delay = max(file.delay, REORDERED_X264)
        file.stream = _copied_stream(self._job, file, sets=(self._sets, self._own_sets))
        add_sound(self._job, file, self.plan)
        if self._encoder is not None and not self._head:
            self._encoder = None
        return file

    def _put_encoded(self, file: ClipFile, packets: list[Any]) -> None:
        for packet in packets:
            data = edge_packet(self._job.source.codec, packet, self._own_sets, signed=self._signed)
            file.put(data, packet.pts, is_keyframe=packet.is_keyframe)

    def _put_copied(self, file: ClipFile, payload: Payload) -> None:
        codec, prefix = self._job.source.codec, self._job.index.syntax.prefix
        data = carried(codec, payload.data, prefix)
        if payload.number == self._run.first:
            data = opened(codec, data, self._sets)
            if codec == "hevc" and self._head and is_cra(data):
                data = length_prefixed([HEVC_END_OF_SEQUENCE]) + data
        safe = self._job.index.packets[payload.number].safe
        file.put(data, payload.pts - self.plan.start_pts, is_keyframe=safe)
        self._copied += 1


def _copied_stream(job: Job, file: ClipFile, *, sets: tuple[tuple[bytes, ...], tuple[bytes, ...]]) -> Any:
    stream = file.container.add_stream_from_template(job.template, opaque=True)
    context = stream.codec_context
    if job.source.codec == "h264":
        context.extradata, context.codec_tag = avcc(sets[0] + sets[1], job.source.pix_fmt), "avc1"
    elif job.source.codec == "hevc":
        context.extradata, context.codec_tag = hvcc(sets[0], job.source.pix_fmt), "hev1"
    stream.time_base = job.source.time_base
    return stream
