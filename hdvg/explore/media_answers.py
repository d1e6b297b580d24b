"""Answers that carry a file: one range of bytes, all of them, or what is there of a file that still grows."""

from __future__ import annotations

import re
from collections.abc import AsyncIterator, Callable

import anyio
from starlette.responses import Response, StreamingResponse
from starlette.types import Receive, Scope, Send

from hdvg.dataset.clip_files import ClipFile
from hdvg.explore.arrays import dumps
from hdvg.explore.growing import Growing
from hdvg.explore.playable import first_line

JSON_TYPE = (b"content-type", b"application/json")
LOOK_S = 0.03
"""How often a growing file is looked at."""
PIECE = 2**18
ONE_RANGE = re.compile(r"bytes=(\d{0,18})-(\d{0,18})")


def file_answer(file: ClipFile, *, kind: str, asked: str | None, headers: dict[str, str] | None = None) -> Response:
    """The file, or the one range of it that the header `Range` asks for; several ranges, or odd ones, are all of it."""
    size = file.size
    said = {"accept-ranges": "bytes", **(headers or {})}
    found = ONE_RANGE.fullmatch(asked.replace(" ", "")) if asked else None
    if found is None or found[0] == "bytes=-":
        return _stream(file, kind, range(size), said, status=200)
    first, last = found[1], found[2]
    if not first:
        wanted = range(max(size - int(last), 0), size)
    else:
        wanted = range(int(first), min(int(last) + 1, size) if last else size)
        if last and int(last) < int(first):
            return _stream(file, kind, range(size), said, status=200)
    if not wanted:
        return Response(status_code=416, headers={**said, "content-range": f"bytes */{size}"})
    said["content-range"] = f"bytes {wanted.start}-{wanted.stop - 1}/{size}"
    return _stream(file, kind, wanted, said, status=206)


def _stream(file: ClipFile, kind: str, wanted: range, headers: dict[str, str], *, status: int) -> Response:
    async def pieces() -> AsyncIterator[bytes]:
        left = len(wanted)
        async with await anyio.open_file(file.path, "rb") as opened:
            await opened.seek(file.start + wanted.start)
            while left:
                piece = await opened.read(min(PIECE, left))
                if not piece:
                    return
                left -= len(piece)
                yield piece

    return StreamingResponse(pieces(), status, {**headers, "content-length": str(len(wanted))}, media_type=kind)


class GrowingAnswer(Response):
    """A proxy from its beginning, as it is made; if it cannot be, the reason. `leave` is called when the browser is gone."""

    def __init__(self, growing: Growing, leave: Callable[[Growing], None], headers: dict[str, str]) -> None:
        super().__init__(media_type="video/mp4", headers={**headers, "accept-ranges": "none"})
        del self.headers["content-length"]
        self._growing, self._leave = growing, leave

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Send until it has ended or the browser has gone."""

        async def wait_for_end() -> None:
            while (await receive())["type"] != "http.disconnect":
                pass
            group.cancel_scope.cancel()

        try:
            async with anyio.create_task_group() as group:
                group.start_soon(wait_for_end)
                await self._send(send)
                group.cancel_scope.cancel()
        finally:
            self._leave(self._growing)

    async def _send(self, send: Send) -> None:
        growing = self._growing
        while not growing.began.is_set():
            await anyio.sleep(LOOK_S)
        if growing.error is not None:
            said = (JSON_TYPE, *(pair for pair in self.raw_headers if pair[0] != JSON_TYPE[0]))
            await send({"type": "http.response.start", "status": 422, "headers": said})
            return await send({"type": "http.response.body", "body": dumps({"error": first_line(growing.error)})})
        await send({"type": "http.response.start", "status": 200, "headers": self.raw_headers})
        at, has_ended = 0, False
        while not has_ended:
            has_ended = growing.ended.is_set()
            while piece := growing.read(at):
                at += len(piece)
                await send({"type": "http.response.body", "body": piece, "more_body": True})
            await anyio.sleep(0 if has_ended else LOOK_S)
        if growing.error is None:  # else the connection breaks, and the browser asks why
            await send({"type": "http.response.body", "body": b""})
