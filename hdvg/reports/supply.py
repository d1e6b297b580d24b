"""What was supplied to this machine: the FFmpegs inside the wheels, how old things are, versions that are too old, and licences."""

from __future__ import annotations

import re
import shutil
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, date, datetime
from importlib.metadata import PackageNotFoundError, metadata, requires, version
from typing import Any

from hdvg.environment import install_command

OLD_DAYS = 180
"""FFmpeg mends a dozen holes a year, most of them in decoders and demuxers."""
FORBIDDEN = re.compile(
    r"\bAGPL|AFFERO|\bSSPL|Server Side Public|\bGPL|GNU General Public|non-?commercial|\bBUSL", re.IGNORECASE
)
"""Licences under which nothing may stand that we ship or import; the LGPL is none of them."""
LESSER = re.compile(
    r"\bLGPL[\w.+-]*|GNU Lesser General Public( License)?( v\d)?( or later)?( \(LGPL[\w.+]*\))?", re.IGNORECASE
)


@dataclass(frozen=True)
class Finding:
    """One thing that was looked at; state is ok, note (works without) or bad."""

    check: str
    state: str
    found: str


def ffmpegs() -> Iterator[Finding]:
    """The builds of FFmpeg that lie in wheels, with the date that they tell, and the system's."""
    import av
    import cv2
    import imageio_ffmpeg

    libraries = ", ".join(f"{name} {_dotted(av.library_versions[name])}" for name in ("libavcodec", "libavformat"))
    told = f"{av.ffmpeg_version_info}, {libraries}, in av {version('av')}"
    yield _build("FFmpeg in PyAV", told, None, use="decodes, measures, cuts", package="av")
    told = str(imageio_ffmpeg.get_ffmpeg_version())
    yield _build("FFmpeg in imageio-ffmpeg", told, _day(told), use="joins the demo's reel", package="imageio-ffmpeg")
    lines = [line.strip() for line in cv2.getBuildInformation().splitlines()]
    line = next((line for line in lines if line.startswith("avcodec:")), "none")
    stamp = next((line for line in lines if line.startswith("Timestamp:")), "")
    yield _build("FFmpeg in OpenCV", line, _day(stamp), use="not used", package="opencv-python-headless")
    system = shutil.which("ffmpeg")
    found = "none (none is needed)"
    if system:
        asked = subprocess.run([system, "-version"], capture_output=True, text=True, timeout=10)
        found = asked.stdout.partition("\n")[0]
    yield Finding("FFmpeg of the system", "note", f"{found} (not used)")


def _build(check: str, told: str, built: date | None, *, use: str, package: str) -> Finding:
    age_days = (datetime.now(UTC).date() - built).days if built else None
    when = f"built {built}, {age_days} days ago" if built else "it tells no date"
    is_old = age_days is not None and age_days > OLD_DAYS
    advice = f"; update it: {install_command(only=package)} --upgrade" if is_old else ""
    return Finding(check, "note" if is_old or use == "not used" else "ok", f"{told} ({use}; {when}{advice})")


def _dotted(number: tuple[int, ...]) -> str:
    return ".".join(map(str, number))


def _day(text: str) -> date | None:
    """The day in a version or a time stamp, as 2026-09-30 or 20260930."""
    found = re.search(r"(?<!\d)(20\d\d)-?(\d\d)-?(\d\d)(?!\d)", text)
    try:
        return date(*map(int, found.groups())) if found else None
    except ValueError:
        return None


def outdated() -> Iterator[Finding]:
    """Installed packages that are older, or newer, than hdvg's own requirements allow: pip lets it happen in hindsight."""
    wrong = [(name, has, wants) for name, has, wants in _required() if not wants.contains(has, prereleases=True)]
    for name, has, wants in wrong:
        yield Finding(
            f"version of {name}", "bad", f"{has}, where hdvg wants {wants}: {install_command(only=name)} --upgrade"
        )
    if not wrong:
        yield Finding("versions", "ok", "all installed ones are those that hdvg wants")


def _required() -> Iterator[tuple[str, str, Any]]:
    """Name, installed version and wanted ones of each requirement that is installed, those of extras too."""
    from packaging.requirements import Requirement

    try:
        lines = requires("hdvg") or []
    except PackageNotFoundError:  # run from its source
        lines = []
    seen: set[str] = set()
    for wanted in map(Requirement, lines):
        try:
            has = version(wanted.name)
        except PackageNotFoundError:
            continue
        if str(wanted.specifier) and wanted.name not in seen:
            seen.add(wanted.name)
            yield wanted.name, has, wanted.specifier


def licence(package: str) -> str:
    """What an installed package says of its licence, as short as it says it; "" if it says nothing."""
    about: Any = metadata(package)  # a message with `get`, which its protocol leaves out
    if expression := about.get("License-Expression"):
        return str(expression)
    classes = [
        text.rpartition(" :: ")[2] for text in about.get_all("Classifier") or () if text.startswith("License ::")
    ]
    if named := [text for text in classes if text != "OSI Approved"]:
        return "; ".join(sorted(named))
    first = str(about.get("License") or "").strip().partition("\n")[0]
    return first if first.upper() != "UNKNOWN" else ""


def is_forbidden(text: str) -> bool:
    """Whether a licence is one under which nothing may stand that we ship or import, in each of its choices."""
    choices = re.split(r"\bOR\b|;", LESSER.sub("lesser", text))
    return all(FORBIDDEN.search(choice) for choice in choices)
