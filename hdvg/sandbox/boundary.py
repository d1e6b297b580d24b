"""What crosses the process boundary, as JSON: a call's limits, results, and errors with their reasons."""

from __future__ import annotations

import os
import traceback
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any, Literal

from hdvg.errors import ItemError, ResourceError, TransientError, resource_error, short_of_memory, shortage, unreadable

Mode = Literal["auto", "require", "off"]
"""auto: the walls that this system has; require: all of them, or nothing runs; off: limits only."""

WALLESS = 97
"""Exit code of a child around which the walls could not be put up that stood when its server tried."""

QUESTION_MB, ANSWER_MB = 16, 64
"""Most that a child may ask, and be answered, at a time: a site's player with its solver is 4 MB."""


@dataclass(frozen=True)
class Limits:
    """What one call may use: seconds on the clock, address space (None: no limit), size of any one file and of all that it
    adds to its scratch folder; and its walls (None: those of the `Sandbox`)."""

    wall_s: float = 3600.0
    memory_mb: int | None = 4096
    file_mb: float = 8192.0
    scratch_mb: float = 16384.0
    sandbox: Mode | None = None


def failure(error: Exception, *, limited: bool = True, files: Iterable[str] = ()) -> dict[str, Any]:
    """The error as JSON: the machine's fault, or the item's.

    `limited`: it was raised in a child, whose memory ends at its own limit; `files` are those that it read.
    """
    short = shortage(error) or unreadable(error, files)
    is_own_limit = short is not None and limited and short_of_memory(short)
    if isinstance(error, ResourceError) or (short is not None and not is_own_limit):
        said = error if isinstance(error, ResourceError) else resource_error(short or error, where=os.getcwd())
        return {"kind": "resource", "detail": str(said)}
    if is_own_limit and not isinstance(error, ItemError):
        return {"kind": "item", "reason": "memory", "detail": "over the memory limit"}
    if not isinstance(error, ItemError):
        return {"kind": "item", "reason": "error", "detail": "".join(traceback.format_exception(error))}
    reply: dict[str, Any] = {"kind": "item", "reason": error.reason, "detail": error.detail}
    if isinstance(error, TransientError):
        reply |= {"kind": "transient", "retry_after_s": error.retry_after_s}
    return reply


def unpack(reply: Any) -> Any:
    """The result that came over a process boundary, or its error raised; ItemError `error` if it is neither."""
    try:
        if "ok" in reply:
            return reply["ok"]
        error = _error_of(reply)
    except (KeyError, TypeError, ValueError):
        raise ItemError("error", "a reply that is neither a result nor an error") from None
    raise error


def _error_of(reply: dict[str, Any]) -> ResourceError | ItemError:
    detail = str(reply["detail"])
    if reply["kind"] == "resource":
        return ResourceError(detail)
    if reply["kind"] == "transient":
        wait_s = reply["retry_after_s"]
        return TransientError(reply["reason"], detail, retry_after_s=None if wait_s is None else float(wait_s))
    return ItemError(reply["reason"], detail)
