"""Whether FFmpeg logs an error meanwhile, on whichever thread: of some damage decoders of several threads tell in no other way."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import av


@contextmanager
def hearing(context: Any) -> Iterator[Callable[[], bool]]:
    """Gives what says whether an error was logged since; for a process that decodes with `context` alone."""
    before = av.logging.get_level()
    av.logging.set_level(av.logging.PANIC)  # errors are counted, and not shown
    first, _ = av.logging.get_last_error()
    try:
        yield lambda: av.logging.get_last_error()[0] != first
    finally:
        av.logging.set_level(before)
        context.flush_buffers()  # waits without Python's lock for threads that want it to log: who frees a context waits with it
