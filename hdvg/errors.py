"""The one small tree of errors, and the closed list of reasons an item can end with."""

import errno
import os
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

REASONS: dict[str, str] = {
    # the link
    "bad_input": "the line is not a link or a file that can be read",
    "duplicate": "the same source, or the same bytes, came in by another link",
    "gone": "the source says it does not exist (404, 410, removed)",
    "private": "the source asks for a login",
    "geo": "the source is closed to this region",
    "age": "the source asks for proof of age",
    "blocked": "the host refused us (403, or a wall against bots), or others of its links before this one was asked for",
    "throttled": "the host asked for fewer requests and kept asking",
    "opt_out": "the source says that it must not be used for this",
    "forgotten": "its bytes or its channel were taken down (`hdvg forget`)",
    "blocked_content": "its bytes, or pictures in it, are on the block-list",
    "live": "a live stream or a premiere",
    "redirect": "too many redirects, or one to a forbidden place",
    "forbidden_address": "the link leads to a private network address",
    "protocol": "the server does not speak its protocol",
    "network": "no connection, or it broke",
    "short": "fewer bytes came than the server promised",
    "runtime": "its site needs a JavaScript runtime and a solver, which this machine lacks: `hdvg doctor`",
    "solver": "the installed yt-dlp cannot read its site; a newer one may",
    "too_big": "more bytes than `fetch.max_mb`, or than `limits.scratch_mb` while it is worked on",
    "too_long": "longer than `fetch.max_duration_s`",
    # the file
    "not_media": "no media file: a page, text or noise",
    "no_video": "media without a video stream",
    "no_frames": "a video stream of which no frame decodes",
    "unsupported": "a codec or format that the decoder cannot read",
    "encrypted": "the media is encrypted",
    "too_large": "a picture larger than `limits.max_pixels`",
    "too_many_frames": "more frames than `limits.max_frames`, or more than `limits.max_decoded_gb` of them",
    "truncated": "less of the promised video decodes than `split.min_whole_share`, 90 %",
    "corrupt": "more frames do not decode than `split.max_error_share`, 1 %",
    "segments": "the parts of a long video, decoded on their own, do not add up to it",
    # the scene that a published set gives
    "bad_span": "the video has no such frames: the scene is backwards, empty, or beyond the end",
    "same_span": "another scene of the set has the same frames",
    "crowded": "too many scenes of the video overlap at one time",
    # the work
    "timeout": "the time limit ran out",
    "memory": "the memory limit ran out",
    "crash": "the decoder crashed on it",
    "poison": "it kills every worker that takes it",
    "cut_mismatch": "the cut clip does not hold exactly the frames of its span",
    "no_keyframe": "`cut.mode = copy`: nothing inside the span can be copied",
    "lost_source": "the source video is gone from the dataset and from its link",
    "lost_clip": "the file of the cut clip is gone from the dataset; it is cut again",
    "lost_pack": "what was measured of it beside numbers is lost; `hdvg measure` takes it again",
    "changed": "the link now gives other bytes than the first time",
    "caption": "the captioner, or a model that was asked, gave no usable answer",
    "error": "an unknown failure; the detail holds the traceback",
}

MACHINE = frozenset({"runtime", "solver"})
"""Reasons that lie in this machine and its software: no try is counted against the item."""

RETRYABLE = frozenset({"throttled", "network", "short", "timeout", "protocol"}) | MACHINE


REMEDIES: dict[int, str] = {
    errno.ENOSPC: "free space on its disk",
    errno.EDQUOT: "free some of the quota of its disk",
    errno.EMFILE: "let a process open more files (`ulimit -n`)",
    errno.ENFILE: "let this machine open more files (`sysctl fs.file-max`)",
    errno.ENOMEM: "free memory, or use fewer workers",
    errno.EIO: "look after the disk (`dmesg`); `hdvg verify` names what it lost",
    errno.EROFS: "make the disk writable",
}
"""What helps, by what the system says when disk, handles or memory ran short, or a disk fails."""

UNLINKED = frozenset({errno.EPERM, errno.EXDEV, errno.EOPNOTSUPP, errno.ENOSYS})
"""What a file system says that does not link, or not from one folder to another."""
LINKING = (
    "files are published by hard links from one folder to another, which its file system does not offer: a local disk, NFS, Lustre, "
    "CephFS, GPFS, JuiceFS and BeeGFS from 7.4 on do; take a folder there (`hdvg doctor FOLDER` tries it)"
)

SHORT = frozenset(REMEDIES)
"""The same numbers: never an item's fault."""


class HdvgError(Exception):
    """Root of all errors that hdvg raises on purpose."""

    exit_code = 1


class UsageError(HdvgError):
    """Something the user can fix: says what, the value, what would be fine, the next step."""

    exit_code = 2


class LostClipsError(UsageError):
    """Clips that shards need have no file any more; `clips` is a list of (video_id, clip_id, unit)."""

    def __init__(self, message: str, clips: list[tuple[str, str, str]]) -> None:
        super().__init__(message)
        self.clips = clips


class UncutClipsError(UsageError):
    """Virtual clips turned out not to be cuttable while shards were written; `rows` are their rows of the cut stage."""

    def __init__(self, rows: list[dict[str, Any]]) -> None:
        super().__init__(f"{len(rows)} virtual clips cannot be cut, the first is {rows[0]['clip_id']}: run again")
        self.rows = rows


class DamagedError(UsageError):
    """A file of the dataset is gone, or has other bytes than were written; the text names it and the repair."""


class ResourceError(HdvgError):
    """Disk, memory or handles ran short: the run stops cleanly and keeps every commit."""

    exit_code = 75


class UnsafeHostError(ResourceError):
    """This machine lacks what the settings require to keep strangers' files in."""

    exit_code = 78


class DivergedError(HdvgError):
    """A training got lost: its numbers are not finite, or its loss went away for good."""


class ItemError(HdvgError):
    """This item failed for good; the run goes on.

    `reason` is a key of `REASONS`; another one is a programming error (KeyError).
    """

    def __init__(self, reason: str, detail: str = "") -> None:
        REASONS[reason]
        super().__init__(f"{reason}: {detail}" if detail else reason)
        self.reason = reason
        self.detail = detail

    def __reduce__(self) -> tuple[object, ...]:
        return type(self), (self.reason, self.detail)


class TransientError(ItemError):
    """This item may succeed later: tried again a bounded number of times.

    `retry_after_s` is what the server asked for, if it asked.
    """

    def __init__(self, reason: str, detail: str = "", *, retry_after_s: float | None = None) -> None:
        super().__init__(reason, detail)
        self.retry_after_s = retry_after_s

    def __reduce__(self) -> tuple[object, ...]:
        return type(self), (self.reason, self.detail), {"retry_after_s": self.retry_after_s}


class NotAskedError(TransientError):
    """This item was not even tried: it may be in the next run, and no attempt is counted."""


def near(name: str, known: Iterable[str], *, cutoff: float = 0.6) -> str | None:
    """The known name that is most like `name`, if one is at least `cutoff` like it, 0-1."""
    import difflib

    return next(iter(difflib.get_close_matches(name, list(known), n=1, cutoff=cutoff)), None)


def suggestion(name: str, known: Iterable[str], otherwise: str = "") -> str:
    """What to say of a name that is not known: "did you mean" the one most like it; `otherwise` if none is."""
    close = near(name, known)
    return f"did you mean `{close}`?" if close else otherwise


def first_line(error: BaseException) -> str:
    """The first line of what an error says, or its name if it says nothing."""
    return (str(error).strip().splitlines() or [type(error).__name__])[0]


def causes(error: BaseException) -> Iterator[BaseException]:
    """The error and all that stands behind it, nearest first, each once; what libraries tuck away is found as well."""
    waiting: list[object] = [error]
    seen: set[int] = set()
    while waiting:
        cause = waiting.pop(0)
        if not isinstance(cause, BaseException) or id(cause) in seen:
            continue
        seen.add(id(cause))
        yield cause
        held = getattr(cause, "exc_info", None)  # yt-dlp's
        waiting += [held[1] if isinstance(held, tuple) else None, getattr(cause, "cause", None)]
        waiting += [*cause.args, cause.__cause__, cause.__context__, *getattr(cause, "unexpected_errors", ())]
        waiting.append(getattr(cause, "reason", None))  # urllib3's MaxRetryError


def shortage(error: BaseException) -> BaseException | None:
    """What in the error says that disk, handles or memory ran short, or that a disk fails, if anything does.

    FFmpeg's own EIO does not: it stands for broken files too (`unreadable` tells them apart).
    """
    return next((cause for cause in causes(error) if _short_of(cause) is not None), None)


def short_of_memory(short: BaseException) -> bool:
    """Whether what `shortage` found is memory."""
    return _short_of(short) == errno.ENOMEM


@contextmanager
def refusals(path: Path) -> Iterator[None]:
    """What the disk refuses (full, read-only, broken, no links, too many open files) stops the run cleanly."""
    try:
        yield
    except OSError as error:
        is_link = error.filename2 is not None and error.errno in UNLINKED
        remedy = LINKING if is_link else REMEDIES.get(error.errno or 0, "free space")
        said = f"{path}: cannot write: {error.strerror or error}; {remedy}, then run again"
        raise ResourceError(said) from error


def resource_error(error: BaseException, *, where: object = "") -> ResourceError | None:
    """What to say of the error if it is the machine's fault (`shortage`), else None; `where` if the error names no file."""
    short = shortage(error)
    if short is None:
        return None
    code = _short_of(short) or 0
    named = getattr(short, "filename", None) or where
    said = os.strerror(code) if isinstance(short, OSError | MemoryError) else first_line(short)
    return ResourceError(f"{f'{named}: ' if named else ''}{said}; {REMEDIES[code]}, then run the same command again")


def unreadable(error: BaseException, files: Iterable[str]) -> OSError | None:
    """Why one of the files that were read cannot be read to its end, if EIO stands in the error and that is so."""
    if not any(isinstance(cause, OSError) and cause.errno == errno.EIO for cause in causes(error)):
        return None
    for name in files:
        try:
            with open(name, "rb") as file:
                while file.read(1 << 20):
                    pass
        except OSError as found:
            found.filename = name
            return found
    return None


def _short_of(error: BaseException) -> int | None:
    """The number in `REMEDIES` of what an error says alone."""
    module, name = type(error).__module__, type(error).__name__
    if isinstance(error, MemoryError) or (name, getattr(error, "code", 0)) == ("error", -4):  # OpenCV's
        return errno.ENOMEM
    if isinstance(error, OSError):
        is_libraries = error.errno == errno.EIO and module.startswith("av.")
        return error.errno if error.errno in SHORT and not is_libraries else None
    if "duckdb" in module and name == "OutOfMemoryException":
        return errno.ENOMEM
    if "duckdb" in module and name == "IOException":  # it has no number, only the system's words
        return next((code for code in REMEDIES if os.strerror(code) in str(error)), None)
    return None
