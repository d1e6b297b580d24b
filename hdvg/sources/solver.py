"""How yt-dlp gets a site's JavaScript challenges solved: its own solver scripts, run by whoever called this process."""

from __future__ import annotations

from collections.abc import Iterator
from importlib.metadata import PackageNotFoundError, version
from typing import Any

import yt_dlp.version
from yt_dlp.extractor.youtube.jsc._builtin.ejs import EJSBaseJCP
from yt_dlp.extractor.youtube.jsc._director import validate_response
from yt_dlp.extractor.youtube.jsc.provider import (
    JsChallengeProviderRejectedRequest,
    register_preference,
    register_provider,
)

from hdvg.errors import HdvgError, ItemError, ResourceError, TransientError
from hdvg.sandbox.child import ask
from hdvg.sources.failures import failure
from hdvg.sources.info import clean_text
from hdvg.sources.people import mask_error
from hdvg.sources.runtime import INSTALL, SOLVER

UNSOLVED = frozenset({"unsupported", "not_media", "no_video", "error"})
"""What yt-dlp may say of a video whose site's challenge it could not solve."""
DETAIL_CHARS = 300


def versions() -> str:
    """Which yt-dlp and which solver are installed."""
    try:
        solver = version(SOLVER)
    except PackageNotFoundError:
        solver = "none"
    return f"yt-dlp {yt_dlp.version.__version__}, {SOLVER} {solver}"


def unsolved(detail: str) -> TransientError:
    """Why a video cannot be fetched by this yt-dlp, though a newer one may; `detail` may hold a site's own words."""
    return TransientError("solver", f"{mask_error(clean_text(detail) or '')[:DETAIL_CHARS]}; {versions()}")


def _why(error: Exception) -> HdvgError:
    """What it means that a challenge could not be solved: what went wrong on the way is no fault of the solver."""
    if isinstance(error, ResourceError):
        return error
    found = error if isinstance(error, ItemError) else failure(error)
    return unsolved(found.detail) if found.reason in UNSOLVED | {"solver"} else found


@register_provider
class CallerJCP(EJSBaseJCP):  # type: ignore[misc]  # yt_dlp has no types here; the name must end so
    """Has the caller of this process solve it. What it could not solve is noted in the client's `unsolved`, for
    yt-dlp itself goes on, with the formats that are left."""

    PROVIDER_VERSION = yt_dlp.version.__version__
    JS_RUNTIME_NAME = "hdvg"
    _is_ready = False

    def is_available(self) -> bool:
        """True, or False if the recipe wants no runtime. Raises TransientError `runtime` if this machine lacks what is wanted."""
        if self.ie._downloader.js_runtime == "none":
            return False
        if not self._is_ready:
            ask({"js": None})
            try:
                self._is_ready = bool(self._lib_script and self._core_script)
            except JsChallengeProviderRejectedRequest:
                raise TransientError("runtime", f"no solver that fits ({versions()}): {INSTALL}") from None
        return True

    def bulk_solve(self, requests: list[Any]) -> Iterator[Any]:
        """As yt-dlp's; what is left unsolved is noted."""
        client, left, fault = self.ie._downloader, list(requests), "the answers are none"
        try:
            for answer in super().bulk_solve(requests):
                if answer.error is not None:
                    fault = str(answer.error)
                elif validate_response(answer.response, answer.request) is True:
                    left.remove(answer.request)
                yield answer
        except Exception as error:
            client.unsolved = _why(error)
            raise
        if left:
            client.unsolved = unsolved(f"{left[0].type.value} challenge: {fault}")

    def _run_js_runtime(self, stdin: str, /) -> str:
        return str(ask({"js": stdin}))


@register_preference(CallerJCP)  # type: ignore[untyped-decorator]  # yt_dlp has no types here
def preference(provider: Any, requests: list[Any]) -> int:
    """Before yt-dlp's own, which could start no program here."""
    return 10_000
