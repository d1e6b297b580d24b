"""What a writer's stages are called: `caption` is that of the recipe's first writer, `caption-vlm` that of a further one."""

from __future__ import annotations

MAIN = "main"
"""The writer that the section `caption` itself is; others go by their names in `caption.also`."""


def stage_of(step: str, writer: str) -> str:
    """The stage that does a step, `caption` or `match`, for a writer: `caption`, `caption-vlm`, ..."""
    return step if writer == MAIN else f"{step}-{writer}"


def step_and_writer(stage: str) -> tuple[str, str]:
    """What `stage_of` made a stage's name of."""
    step, _, writer = stage.partition("-")
    return step, writer or MAIN
