"""Answers that carry a file: one range of bytes, or all of them."""

from __future__ import annotations

import re
from collections.abc import AsyncIterator
from pathlib import Path

import anyio
from starlette.responses import Response, StreamingResponse

PIECE = 2**18
ONE_RANGE = re.compile(r"bytes=(\d{0,18})-(\d{0,18})")


def file_answer(path: Path, *, kind: str, asked: str | None, headers: dict[str, str] | None = None) -> Response:
    """The file, or the one range of it that the header `Range` asks for; several ranges, or odd ones, are all of it."""
    size = path.stat().st_size
    said = {"accept-ranges": "bytes", **(headers or {})}
    found = ONE_RANGE.fullmatch(asked.replace(" ", "")) if asked else None
    if found is None or found[0] == "bytes=-":
        return _stream(path, kind, range(size), said, status=200)
    first, last = found[1], found[2]
    if not first:
        wanted = range(max(size - int(last), 0), size)
    else:
        wanted = range(int(first), min(int(last) + 1, size) if last else size)
        if last and int(last) < int(first):
            return _stream(path, kind, range(size), said, status=200)
    if not wanted:
        return Response(status_code=416, headers={**said, "content-range": f"bytes */{size}"})
    said["content-range"] = f"bytes {wanted.start}-{wanted.stop - 1}/{size}"
    return _stream(path, kind, wanted, said, status=206)


def _stream(path: Path, kind: str, wanted: range, headers: dict[str, str], *, status: int) -> Response:
    async def pieces() -> AsyncIterator[bytes]:
        left = len(wanted)
        async with await anyio.open_file(path, "rb") as file:
            await file.seek(wanted.start)
            while left:
                piece = await file.read(min(PIECE, left))
                if not piece:
                    return
                left -= len(piece)
                yield piece

    return StreamingResponse(pieces(), status, {**headers, "content-length": str(len(wanted))}, media_type=kind)
