"""One sandbox for each process that decodes for its own caller: started at the first call, never shared with a fork."""

from __future__ import annotations

import functools
import os

from hdvg.sandbox import Sandbox


def process_sandbox(*preload: str) -> Sandbox:
    """This process's sandbox with these modules loaded; a forked process, such as a data loader's worker, gets its own."""
    return _sandbox(os.getpid(), preload)


@functools.cache
def _sandbox(pid: int, preload: tuple[str, ...]) -> Sandbox:
    return Sandbox(preload)
