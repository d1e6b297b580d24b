"""What crosses the process boundary, as JSON: a call's limits, results, and errors with their reasons."""

from __future__ import annotations

import traceback
from dataclasses import dataclass
from typing import Any, Literal

from hdvg.errors import ItemError, ResourceError, TransientError, shortage

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


def failure(error: Exception) -> dict[str, Any]:
    if isinstance(error, ResourceError) or (short := shortage(error)):
        return {"kind": "resource", "detail": str(error if isinstance(error, ResourceError) else short)}
    if isinstance(error, MemoryError):
        return {"kind": "item", "reason": "memory", "detail": "over the memory limit"}
    if not isinstance(error, ItemError):
        return {"kind": "item", "reason": "error", "detail": "".join(traceback.format_exception(error))}
    said: dict[str, Any] = {"kind": "item", "reason": error.reason, "detail": error.detail}
    if isinstance(error, TransientError):
        said |= {"kind": "transient", "retry_after_s": error.retry_after_s}
    return said


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
