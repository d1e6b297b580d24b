"""How a command ends that is stopped from outside."""

from __future__ import annotations

import signal
from collections.abc import Iterator
from contextlib import contextmanager

import typer


class _Terminated(KeyboardInterrupt):
    """SIGTERM, taken as Ctrl-C but with its own exit code."""


@contextmanager
def interruptible() -> Iterator[None]:
    """End cleanly on Ctrl-C (exit 130) and SIGTERM (143): every commit stays."""

    def terminate(*_: object) -> None:
        raise _Terminated

    before = signal.signal(signal.SIGTERM, terminate)
    try:
        yield
    except KeyboardInterrupt as stop:
        typer.echo("\nstopped; nothing committed is lost: the same command goes on from here", err=True)
        raise typer.Exit(143 if isinstance(stop, _Terminated) else 130) from None
    finally:
        signal.signal(signal.SIGTERM, before)
