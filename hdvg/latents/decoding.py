"""Windows of clips as pixels, decoded in limited children of this process: a bad clip costs itself and nothing else."""

from __future__ import annotations

import tempfile
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from fractions import Fraction
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

import numpy as np

from hdvg.errors import ItemError, ResourceError
from hdvg.latents.calls import take
from hdvg.latents.clips import Found
from hdvg.latents.frames import window_starts
from hdvg.sandbox import Limits, Sandbox
from hdvg.sandbox.process import process_sandbox

if TYPE_CHECKING:
    from hdvg.config.recipe import Recipe
    from hdvg.latents.encoders import Frames
    from hdvg.latents.settings import Bucket, Encoding

Item = TypeVar("Item")
Result = TypeVar("Result")


def sandbox() -> Sandbox:
    """This process's way to its limited children."""
    return process_sandbox("hdvg.latents.frames")


def starts(clip: Found, bucket: Bucket, encoding: Encoding) -> list[Fraction]:
    """When a clip's windows begin, seconds."""
    return window_starts(clip.length_s, frames=bucket[0], fps=encoding.fps, windows=encoding.windows)


def decode(
    clip: Found, video: bytes, bucket: Bucket, *, starts_s: list[Fraction], fps: float, where: tuple[Recipe, Path]
) -> Frames:
    """The windows that begin at `starts_s`, (windows, T, H, W, 3), RGB; `where`: the dataset's recipe, for its limits,
    and a folder for passing files. Raises ItemError if the clip cannot be decoded whole, ResourceError if the folder takes
    no file."""
    recipe, folder = where
    most = recipe.limits
    try:
        with tempfile.TemporaryDirectory(dir=folder) as own:  # a child that is hijacked sees no other clip
            scratch = Path(own)
            path, out = scratch / "clip.mp4", scratch / "frames.npy"
            path.write_bytes(video)
            sandbox().call(
                take(
                    str(path),
                    str(out),
                    bucket=list(bucket),
                    fps=fps,
                    starts=[str(start) for start in starts_s],
                    expected={"n_frames": clip.n_frames, "max_pixels": most.max_pixels},
                ),
                scratch,
                Limits(**most.of_children()),
            )
            taken = _load(out)
    except OSError as error:
        raise ResourceError(f"{folder}: cannot write: {error.strerror}; free space, then run again") from error
    if taken.dtype != np.uint8 or taken.shape != (len(starts_s), *bucket, 3):
        raise ItemError("crash", f"the child wrote {taken.dtype} {taken.shape}")
    return taken


def _load(out: Path) -> Frames:
    """What a child wrote; one that is hijacked may have written anything. Raises ItemError."""
    try:
        taken: Frames = np.load(out, allow_pickle=False)
    except (OSError, ValueError, EOFError) as error:
        raise ItemError("crash", f"the child wrote no frames ({error})") from error
    return taken


def ahead(
    work: Callable[[Item], Result], items: Iterable[Item], *, depth: int
) -> Iterator[tuple[Item, Future[Result]]]:
    """Items with what is made of them, in order; `depth` of them are at work while one is looked at."""
    waiting: deque[tuple[Item, Future[Result]]] = deque()
    with ThreadPoolExecutor(depth) as pool:
        for item in items:
            waiting.append((item, pool.submit(work, item)))
            if len(waiting) > depth:
                yield waiting.popleft()
        yield from waiting
