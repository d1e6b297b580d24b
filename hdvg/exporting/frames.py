"""How many of a clip's frames a trainer takes: `step` * n + 1, or the largest of the counts it was told that the clip fills."""

from __future__ import annotations

from dataclasses import dataclass

from hdvg.errors import UsageError
from hdvg.exporting.layouts import LAYOUTS
from hdvg.exporting.wanted import Wanted


@dataclass(frozen=True)
class FrameRule:
    """The frames that a trainer takes of a clip; without step and counts all there are.

    `fps`: it drops frames to reach so many a second, so that those are counted.
    """

    step: int = 0
    counts: tuple[int, ...] = ()
    fps: float | None = None

    @classmethod
    def of(cls, wanted: Wanted) -> FrameRule:
        """That of a format. Raises UsageError for counts or a rate that it cannot take."""
        layout = LAYOUTS.get(wanted.format)
        if layout is None:
            if wanted.frames or wanted.fps:
                raise UsageError(
                    f"--frames and --fps are for what trainers read ({', '.join(LAYOUTS)}), not {wanted.format}"
                )
            return cls()
        rule = cls(layout.step, tuple(sorted(set(wanted.frames))), wanted.fps)
        for count in rule.counts:
            if count < 1 or (rule.step and (count - 1) % rule.step):
                below = max((count - 1) // max(rule.step, 1) * rule.step, 0) + 1
                fine = f"such as {below} or {below + rule.step}" if rule.step else "at least 1"
                raise UsageError(f"--frames {count}: {wanted.format} takes {rule}, {fine}")
        return rule

    def __str__(self) -> str:
        return f"{self.step}n+1 frames" if self.step else "any number of frames"

    @property
    def least(self) -> int:
        """Frames of the shortest clip that it takes: without counts one step beyond the first frame, for one is no video."""
        return self.counts[0] if self.counts else self.step + 1

    @property
    def checks(self) -> bool:
        """Whether there is anything to check."""
        return bool(self.step or self.counts)

    @property
    def frames_sql(self) -> str:
        """SQL: the frames that are counted, over the columns of the shards."""
        return "coalesce(cut_n_frames, n_frames)" if self.fps is None else f"floor(duration_s * {self.fps!r})::bigint"

    @property
    def used_sql(self) -> str:
        """SQL: how many of `frames` the trainer takes, 0 if the clip is too short for it; 1 where nothing is checked."""
        if self.counts:
            cases = " ".join(f"when frames >= {count} then {count}" for count in reversed(self.counts))
            return f"case {cases} else 0 end"
        if not self.step:
            return "1"
        return f"case when frames < {self.least} then 0 else (frames - 1) // {self.step} * {self.step} + 1 end"
