"""A clip all of whose frames are encoded, being written: it takes them as the source goes by."""

from __future__ import annotations

from hdvg.errors import ItemError
from hdvg.media.clip_writer import Job, Made, add_sound, expected_of, open_file, result_of, with_ends
from hdvg.media.cut_plan import Plan
from hdvg.media.decode import Frame
from hdvg.media.encode import Encoding, Look
from hdvg.media.mp4 import ClipFile
from hdvg.media.reading import Payload
from hdvg.media.second_reading import Grey, small_grey


class EncodedClip:
    """A clip all of whose frames are encoded."""

    def __init__(self, job: Job, plan: Plan, look: Look) -> None:
        self.plan = plan
        self.decoded = 0
        self._job = job
        self._look = look
        self._file: ClipFile | None = None
        self._encoding: Encoding | None = None
        self._ends: list[Grey | None] = [None, None]
        self._last: int | None = None

    @property
    def complete(self) -> bool:
        """Whether all of its frames have come, as far as they are known beforehand."""
        return 0 < len(self.plan.times) <= self.decoded

    def frame(self, frame: Frame) -> None:
        """Take the next frame of the span; one that does not come after the last is left out, as `Decoder` does."""
        if self._last is not None and frame.pts <= self._last:
            return
        self._last = frame.pts
        if self._encoding is None:
            self._file = open_file(self._job, self.plan)
            self._encoding = Encoding(self._job.source, self._look, self._file, settings=self._job.settings)
            add_sound(self._job, self._file, self.plan)
            self._ends[0] = self._grey(frame)
        self.decoded += 1
        if self.decoded >= self.plan.span["n_frames"]:
            self._ends[1] = self._grey(frame)
        self._encoding.add(frame, frame.pts - self.plan.start_pts)

    def payload(self, payload: Payload) -> None:
        """Nothing is copied."""

    def abandon(self) -> None:
        """Leave no file behind."""
        self._encoding = None
        if self._file is not None:
            self._file.abandon()

    def finish(self) -> Made:
        """End the file. Raises ItemError cut_mismatch."""
        if self._encoding is not None and self._file is not None:
            self._encoding.finish()
            self._encoding = None  # and its memory
            self._file.close()
        if self._file is None or self.decoded != self.plan.span["n_frames"]:
            detail = f"the span has {self.plan.span['n_frames']} frames, {self.decoded} were decoded for it"
            raise ItemError("cut_mismatch", detail)
        expected = expected_of(self._job, self.plan, self._file.times)
        expected = with_ends(expected, self._ends, looks=not (self._look.box or self._look.tonemap))
        codec = self._job.settings["codec"]
        return Made(result_of(self.plan, self.decoded, size=self._look.size, codec=codec), expected)

    def _grey(self, frame: Frame) -> Grey | None:
        return None if self._look.tonemap else small_grey(frame.picture, box=self._look.box)
