"""The one small tree of errors, and the closed list of reasons an item can end with."""

REASONS: dict[str, str] = {
    # the link
    "bad_input": "the line is not a link or a file that can be read",
    "duplicate": "the same source, or the same bytes, came in by another link",
    "gone": "the source says it does not exist (404, 410, removed)",
    "private": "the source asks for a login",
    "geo": "the source is closed to this region",
    "age": "the source asks for proof of age",
    "blocked": "the host refused us; it is not asked again in this run",
    "throttled": "the host asked for fewer requests and kept asking",
    "opt_out": "the source says that it must not be used for this",
    "live": "a live stream or a premiere",
    "redirect": "too many redirects, or one to a forbidden place",
    "forbidden_address": "the link leads to a private network address",
    "protocol": "the server does not speak its protocol",
    "network": "no connection, or it broke",
    "short": "fewer bytes came than the server promised",
    "too_big": "more bytes than `fetch.max_mb`",
    "too_long": "longer than `fetch.max_duration_s`",
    # the file
    "not_media": "no media file: a page, text or noise",
    "no_video": "media without a video stream",
    "no_frames": "a video stream of which no frame decodes",
    "unsupported": "a codec or format that the decoder cannot read",
    "encrypted": "the media is encrypted",
    "too_large": "a picture larger than `limits.max_pixels`",
    "truncated": "less than 90 % of the promised video decodes",
    "corrupt": "too many frames do not decode",
    # the work
    "timeout": "the time limit ran out",
    "memory": "the memory limit ran out",
    "crash": "the decoder crashed on it",
    "poison": "it kills every worker that takes it",
    "cut_mismatch": "the cut clip does not hold exactly the frames of its span",
    "lost_source": "the source video is gone from the dataset and from its link",
    "changed": "the link now gives other bytes than the first time",
    "caption": "the captioner gave no usable text",
    "error": "an unknown failure; the detail holds the traceback",
}

RETRYABLE = frozenset({"throttled", "network", "short", "timeout", "protocol"})


class HdvgError(Exception):
    """Root of all errors that hdvg raises on purpose."""

    exit_code = 1


class UsageError(HdvgError):
    """Something the user can fix: says what, the value, what would be fine, the next step."""

    exit_code = 2


class ResourceError(HdvgError):
    """Disk, memory or handles ran short: the run stops cleanly and keeps every commit."""

    exit_code = 75


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
