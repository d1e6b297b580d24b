"""What the benchmarks share: this machine in words, clocks, limited children as users run them, and real videos long enough to time."""

from __future__ import annotations

import os
import platform
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import imageio_ffmpeg
from typing_extensions import TypedDict

from hdvg.media.calls import probe
from hdvg.sandbox import Call, Limits, Sandbox
from hdvg.sandbox.seam import Result, in_child, served
from tests.footage import find

MAX_PIXELS = 36_000_000
LONG_ENOUGH_S = 60.0
MULTISHOT = "multishot_open_licence_720p.mp4"
BUNDLED_720P = (
    "cockatoo.mp4",
    "bigbuckbunny_720p.mp4",
    "oa4_launch.webm",
    "birds_720p.mp4",
    "wannaworktogether_30s.mp4",
)


def describe() -> str:
    """One line: CPU model, cores, load, Python."""
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        lines = []
    models = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    model = models[0] if models else platform.processor() or platform.machine()
    load = " ".join(f"{one:.2f}" for one in os.getloadavg())
    return f"machine: {model}, {os.cpu_count()} cores, load {load}, Python {platform.python_version()}"


def clocked(call: Callable[[], Any]) -> tuple[float, Any]:
    """Seconds on the clock, and what the call returned."""
    start = time.perf_counter()
    result = call()
    return time.perf_counter() - start, result


def spread(values: Sequence[float]) -> str:
    """The median, with the least and the largest: `4.21 (4.10–4.50)`."""
    return f"{statistics.median(values):.2f} ({min(values):.2f}–{max(values):.2f})"


class Child:
    """Runs functions as the pipeline does: in a fork of a server that has loaded what the detector needs. A context manager."""

    def __init__(self, detector: str = "adaptive") -> None:
        self._detector = detector

    def __enter__(self) -> Child:
        from pipelines.perform import sandbox  # not above: the server loads this module too, and must stay light

        self._sandbox = Sandbox((*sandbox(self._detector)._preload, "tests.bench.machine"))
        self._scratch = tempfile.TemporaryDirectory()
        self.call(probe(str(find("birds_720p.mp4")), MAX_PIXELS))  # starts the server
        return self

    def __exit__(self, *_: object) -> None:
        self._sandbox.close()
        self._scratch.cleanup()

    def call(self, call: Call[Result]) -> tuple[Result, float, float]:
        """What the child returns, seconds from call to checked result, and the child's largest memory, MiB."""
        asked = replace(measured(call.target, call.arguments), paths=call.paths)
        start = time.perf_counter()
        found = self._sandbox.call(asked, Path(self._scratch.name), Limits())
        result = call.checked(found["result"])
        return result, time.perf_counter() - start, found["peak_mb"]


class Measured(TypedDict):
    """A child's result, and the largest memory its process had (shared pages of the server included), MiB."""

    result: Any
    peak_mb: float


@in_child
def measured(target: str, arguments: dict[str, Any]) -> Measured:
    """Run another child's function."""
    result = served(target)(**arguments)
    return {"result": result, "peak_mb": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024}


def ffmpeg(*arguments: str) -> str:
    """Run the bundled ffmpeg, quiet but for its own benchmark lines; what it said. Raises CalledProcessError."""
    command = [imageio_ffmpeg.get_ffmpeg_exe(), "-nostdin", "-hide_banner", "-nostats", "-y", *arguments]
    return subprocess.run(command, check=True, capture_output=True, text=True).stderr


def scenedetect(*arguments: str, folder: Path) -> None:
    """Run PySceneDetect's command line, quietly (without its progress bar it is faster), in `folder`."""
    command = [str(Path(sys.executable).parent / "scenedetect"), "-q", *arguments]
    subprocess.run(command, check=True, capture_output=True, cwd=folder)


def long_video(file: str, folder: Path, *, least_s: float = LONG_ENOUGH_S) -> Path | None:
    """A video of the tables repeated, its packets copied, until it is at least `least_s` long; None if it is not there."""
    source = find(file)
    if source is None:
        return None
    with av.open(str(source)) as container:
        stream = container.streams.video[0]
        once = sorted(packet.pts for packet in container.demux(stream) if packet.pts is not None)
        period = once[-1] - once[0] + max(once[-1] - once[-2], 1)
        times = -(-Fraction(least_s) // (period * Fraction(stream.time_base)))
    return source if times <= 1 else repeated(source, folder, times=int(times), period=period)


def repeated(source: Path, folder: Path, *, times: int, period: int) -> Path:
    """The source's video packets `times` over, each time `period` ticks later."""
    target = folder / f"{source.stem}_x{times}{'.mkv' if source.suffix == '.webm' else '.mp4'}"
    with av.open(str(target), "w") as out:
        made: Any = None
        for turn in range(times):
            with av.open(str(source)) as container:
                stream = container.streams.video[0]
                made = made or out.add_stream_from_template(stream)
                for packet in container.demux(stream):
                    if packet.dts is None or packet.pts is None:
                        continue
                    packet.pts += turn * period
                    packet.dts += turn * period
                    packet.stream = made
                    out.mux(packet)
    return target


def spliced_720p(folder: Path) -> Path:
    """A stand-in for the shared 720p video of many shots: the bundled videos one after the other, in H.264."""
    target = folder / "spliced_720p.mp4"
    with av.open(str(target), "w") as out:
        made: Any = out.add_stream("libx264", rate=25, options={"preset": "veryfast", "crf": "20"})
        made.width, made.height, made.pix_fmt = 1280, 720, "yuv420p"
        count = 0
        for path in [path for file in BUNDLED_720P if (path := find(file))]:
            with av.open(str(path)) as container:
                for picture in container.decode(video=0):
                    frame = picture.reformat(width=1280, height=720, format="yuv420p")
                    frame.pts, frame.time_base, frame.pict_type = count, Fraction(1, 25), 0
                    out.mux(made.encode(frame))
                    count += 1
        out.mux(made.encode(None))
    return target


def multishot(folder: Path) -> tuple[Path, str]:
    """A 720p video of many shots, and where it is from."""
    path = find(MULTISHOT)
    return (
        (path, "shared media") if path else (spliced_720p(folder), "bundled media, spliced: shared media is not here")
    )
