"""The virtual environment of captioner `lavis`: built once by `hdvg doctor --build-lavis`, found by the captioner.

salesforce-lavis asks for transformers 4.26, NumPy 1 and an OpenCV of 2022, so it cannot live beside hdvg's packages.
"""

from __future__ import annotations

import fcntl
import hashlib
import os
import re
import shutil
import subprocess
import sys
from collections import deque
from collections.abc import Callable, Sequence
from pathlib import Path

from hdvg.errors import ResourceError, UsageError

PINS = (
    "salesforce-lavis==1.0.2",
    "torch==2.13.0",
    "torchvision==0.28.0",  # left to itself pip takes one that brings another torch
    "transformers==4.26.1",
    "tokenizers==0.13.3",
    "timm==0.4.12",
    "fairscale==0.4.4",
    "opencv-python-headless==4.5.5.64",
    "numpy==1.26.4",
    "huggingface-hub==0.36.2",
)
PYTHON = (3, 11)  # the newest for which all of them have wheels
VARIABLE = "HDVG_LAVIS"
WORKER = Path(__file__).with_name("lavis_worker.py")
PROGRESS_LINE = re.compile(r"Downloading .* MB\)|Building|Installing|Successfully built")

Say = Callable[[str], object]


def pins_digest() -> str:
    """64 hex digits of the pins."""
    return hashlib.sha256("\n".join(PINS).encode()).hexdigest()


def place() -> Path:
    """Where the environment lies: what `HDVG_LAVIS` names, else a folder of the cache; other pins, another folder."""
    if named := os.environ.get(VARIABLE):
        return Path(named).expanduser().absolute()
    cache = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
    return cache / "hdvg" / f"lavis-{pins_digest()[:8]}"


def find() -> Path:
    """The environment's Python. Raises UsageError if there is none.

    `HDVG_LAVIS` may name an environment of one's own, or the Python in it: its packages should be those of `PINS`.
    """
    where = place()
    python = where if where.is_file() else where / "bin" / "python"
    if not python.exists():
        named = f"; {VARIABLE} = {str(where)!r} holds no Python" if VARIABLE in os.environ else ""
        raise UsageError(f"captioner `lavis` needs its own environment: hdvg doctor --build-lavis{named}")
    return python  # not resolved: by its own name Python knows which environment it is in


def build(*, say: Say) -> Path:
    """Make the environment in `place()` and return its Python; one that stands is checked and kept.

    Takes minutes, 2.3 GB (more where torch comes with CUDA) and the package index. The folder bears its name only once
    LAVIS could be imported in it; two builds at once make one. `say` gets lines of progress. Raises UsageError if the
    place holds something else, there is no Python 3.11 or pip fails, ResourceError if the disk is full.
    """
    folder = place()
    folder.parent.mkdir(parents=True, exist_ok=True)
    with folder.with_name(f"{folder.name}.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if folder.is_file() or (folder / "pyvenv.cfg").exists():
            say(f"stands: {check(find())} in {folder}")
            return find()
        if folder.exists() and any(folder.iterdir()):
            raise UsageError(f"{folder} holds something else: remove it, or name another folder in {VARIABLE}")
        growing = folder.with_name(f"{folder.name}.growing")
        shutil.rmtree(growing, ignore_errors=True)
        try:
            say(f"new environment in {folder}: minutes, and gigabytes")
            _run([_base_python(), "-m", "venv", str(growing)], say=say)
            install = ("-m", "pip", "install", "--progress-bar", "off", "--disable-pip-version-check")
            _run([str(growing / "bin" / "python"), *install, *PINS], say=say)
            say(f"works: {check(growing / 'bin' / 'python')}")
            growing.rename(folder)
        finally:
            shutil.rmtree(growing, ignore_errors=True)
    return find()


def check(python: Path) -> str:
    """The versions that LAVIS runs with there, once it could be imported. Raises UsageError with the reason."""
    done = subprocess.run([python, "-I", WORKER, "--check"], capture_output=True, text=True)
    if done.returncode:
        last = (done.stderr.strip().splitlines() or ["no reason given"])[-1]
        raise UsageError(
            f"{python}: LAVIS cannot be imported ({last}); hdvg doctor --build-lavis builds an environment"
        )
    return done.stdout.strip()


def _base_python() -> str:
    """A Python of the version that the pins have wheels for."""
    test = f"import sys; raise SystemExit(sys.version_info[:2] != {PYTHON})"
    spoken = ".".join(map(str, PYTHON))
    for program in (sys.executable, shutil.which(f"python{spoken}")):
        if program and subprocess.run([program, "-c", test], capture_output=True).returncode == 0:
            return program
    raise UsageError(f"captioner `lavis` needs Python {spoken} for its environment: install it as `python{spoken}`")


def _run(command: Sequence[str], *, say: Say) -> None:
    """Run a command of the build and pass on its lines of progress."""
    tail: deque[str] = deque(maxlen=20)
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True) as process:
        assert process.stdout is not None
        for line in map(str.strip, process.stdout):
            tail.append(line)
            if PROGRESS_LINE.match(line):
                say(line[:100])
    if process.returncode == 0:
        return
    if any("No space left" in line for line in tail):
        raise ResourceError("the disk is full: the environment of captioner `lavis` needs 2.3 GB, with CUDA about 8")
    reasons = [line for line in tail if line.startswith("ERROR")] or list(tail)[-1:]
    raise UsageError(f"{' '.join(command[1:4])} failed: {'; '.join(reasons) or f'exit {process.returncode}'}")
