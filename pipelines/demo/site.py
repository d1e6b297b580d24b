"""The demo's web site on loopback: real videos, a reel joined from them, a playlist, pages, and links that fail."""

from __future__ import annotations

import re
import shutil
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any, BinaryIO

import ffmpeg
import imageio_ffmpeg

MEDIA = Path(__file__).parent / "media"
REEL_FPS = 25
REEL_PX = (1280, 720)

REEL = (
    ("cockatoo.mp4", 0.0, 4.0),
    ("bigbuckbunny_720p.mp4", 0.0, 3.4),
    ("oa4_launch.webm", 0.0, 3.0),
    ("cockatoo.mp4", 8.0, 4.0),
    ("birds_720p.mp4", 0.0, 1.0),
    ("oa4_launch.webm", 3.2, 4.0),
    ("bigbuckbunny_720p.mp4", 3.6, 1.4),
)
"""The shots of the reel: file, start in seconds, length in seconds. Two are shorter than the demo recipe's 2 s."""

LINKS = (
    ("reel.mp4", "seven shots joined into one 720p video"),
    ("cockatoo.mp4", "a direct link"),
    ("bunny/index.m3u8", "an HLS playlist"),
    ("launch.html", "a page that shows a video; 640x360, so too small for the recipe"),
    ("wannaworktogether_30s.mp4", "a 4:3 film, too small as well"),
    ("birds_720p.mp4", "one second, too short"),
    ("cockatoo.mp4?utm_source=newsletter#t=3", "the second link again, dressed up"),
    ("mirror/cockatoo.mp4", "another link, the same bytes"),
    ("removed.mp4", "a dead link"),
    ("about.html", "a page without a video"),
)
"""What the demo asks for, path and what it is. Every one of them ends in exactly one row."""

PAGE = """<!doctype html>
<html lang="en"><head><meta charset="utf-8"><title>{title}</title></head>
<body>{body}</body></html>
"""


def build_site(folder: Path) -> None:
    """Fill `folder` with everything `LINKS` names, apart from the dead link. Takes seconds."""
    (folder / "mirror").mkdir()
    (folder / "bunny").mkdir()
    for name in ("cockatoo.mp4", "oa4_launch.webm", "wannaworktogether_30s.mp4", "birds_720p.mp4"):
        shutil.copyfile(MEDIA / name, folder / name)
    shutil.copyfile(MEDIA / "cockatoo.mp4", folder / "mirror/cockatoo.mp4")
    _join_reel(folder / "reel.mp4")
    _cut_playlist(MEDIA / "bigbuckbunny_720p.mp4", folder / "bunny")
    video = '<h1>Lift-off</h1><video controls src="oa4_launch.webm"></video>'
    (folder / "launch.html").write_text(PAGE.format(title="Lift-off", body=video), encoding="utf-8")
    (folder / "about.html").write_text(PAGE.format(title="About", body="<p>Words only.</p>"), encoding="utf-8")


def write_links(path: Path, base: str) -> None:
    """Write `LINKS` as addresses under `base`, one a line."""
    path.write_text("".join(f"{base}/{name}\n" for name, _ in LINKS), encoding="utf-8")


@contextmanager
def serve(folder: Path) -> Iterator[str]:
    """Serve `folder` on a free loopback port while the context lasts; yields the address without a slash at the end."""
    with _Server(("127.0.0.1", 0), partial(_Handler, directory=str(folder))) as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True)
        thread.start()
        try:
            yield f"http://127.0.0.1:{server.server_address[1]}"
        finally:
            server.shutdown()
            thread.join()


def _join_reel(target: Path) -> None:
    """Encode the shots of `REEL` one after the other: 1280x720, 25 fps, filled and cropped, no sound."""
    shots = [_shot(*shot) for shot in REEL]
    reel = ffmpeg.concat(*shots, v=1, a=0)
    _run(reel.output(str(target), vcodec="libx264", preset="veryfast", crf=20, movflags="+faststart"))


def _shot(name: str, start_s: float, length_s: float) -> Any:
    """One piece of a bundled video as an ffmpeg stream, all pieces of one size and rate."""
    stream = ffmpeg.input(str(MEDIA / name)).video
    # decoded from the start: a seek into cockatoo.mp4 lands on a keyframe that does not decode by itself
    stream = stream.filter("trim", start=start_s, duration=length_s).filter("setpts", "PTS-STARTPTS")
    stream = stream.filter("fps", REEL_FPS).filter("scale", *REEL_PX, force_original_aspect_ratio="increase")
    return stream.filter("crop", *REEL_PX).filter("setsar", 1).filter("format", "yuv420p")


def _cut_playlist(video: Path, folder: Path) -> None:
    """Cut a video into HLS segments of 2 s. Encoded anew, since bunny has one keyframe only and could not be cut."""
    segments = {
        "f": "hls",
        "hls_time": 2,
        "hls_playlist_type": "vod",
        "hls_segment_filename": str(folder / "part%02d.ts"),
    }
    encoding = {
        "vcodec": "libx264",
        "preset": "veryfast",
        "crf": 20,
        "acodec": "aac",
        "force_key_frames": "expr:gte(t,n_forced*2)",
    }
    _run(ffmpeg.input(str(video)).output(str(folder / "index.m3u8"), **encoding, **segments))


def _run(stream: Any) -> None:
    stream.global_args("-hide_banner", "-loglevel", "error").run(
        cmd=imageio_ffmpeg.get_ffmpeg_exe(), overwrite_output=True
    )


class _Server(ThreadingHTTPServer):
    daemon_threads = True

    def handle_error(self, request: Any, client_address: Any) -> None:
        """A client that hangs up early is no news."""


class _Handler(SimpleHTTPRequestHandler):
    """Files with one byte range a request, without a log and without listings of folders."""

    protocol_version = "HTTP/1.1"
    extensions_map = SimpleHTTPRequestHandler.extensions_map | {
        ".m3u8": "application/vnd.apple.mpegurl",
        ".mp4": "video/mp4",
        ".ts": "video/mp2t",
        ".webm": "video/webm",
    }

    def send_head(self) -> BinaryIO | None:
        """Answer the head; returns what is to be sent, or None if that was all."""
        path = Path(self.translate_path(self.path))
        if not path.is_file():
            self.send_error(404)
            return None
        size = path.stat().st_size
        asked = re.fullmatch(r"bytes=(\d*)-(\d*)", self.headers.get("Range", ""))
        start, end = _span(asked[1], asked[2], size) if asked else (0, size)
        if start >= end:
            self.send_response(416)
            self.send_header("Content-Range", f"bytes */{size}")
            self.send_header("Content-Length", "0")
            self.end_headers()
            return None
        self.send_response(206 if asked else 200)
        self.send_header("Content-Type", self.guess_type(str(path)))
        self.send_header("Accept-Ranges", "bytes")
        self.send_header("Content-Length", str(end - start))
        if asked:
            self.send_header("Content-Range", f"bytes {start}-{end - 1}/{size}")
        self.end_headers()
        if self.command == "HEAD":
            return None
        with path.open("rb") as file:
            file.seek(start)
            shutil.copyfileobj(_Part(file, end - start), self.wfile)
        return None

    def log_message(self, format: str, *args: Any) -> None:
        """Quiet: the demo's own lines are the story."""


class _Part:
    """The next `left` bytes of a file, as something to read from."""

    def __init__(self, file: BinaryIO, left: int) -> None:
        self._file, self._left = file, left

    def read(self, most: int = 1 << 16) -> bytes:
        """At most `most` bytes; none at the end of the part."""
        block = self._file.read(min(most, self._left))
        self._left -= len(block)
        return block


def _span(first: str, last: str, size: int) -> tuple[int, int]:
    """The bytes a range means, end exclusive; empty if it cannot be met. `-5` is the last five, `5-` all but five."""
    if not first:
        return max(size - int(last or 0), 0), size
    return int(first), min(int(last) + 1, size) if last else size
