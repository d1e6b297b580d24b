"""The names of things: hex hashes of what they are, never text from outside."""

import hashlib
import json
from pathlib import Path
from typing import Any

LENGTH = 32
"""Hex digits of an id: 128 bits."""


def digest(*parts: object) -> str:
    """Hash of the parts' JSON; equal parts, equal name."""
    text = json.dumps(parts, sort_keys=True, ensure_ascii=True, separators=(",", ":"))
    return hashlib.sha256(text.encode()).hexdigest()[:LENGTH]


def video_id(source: str) -> str:
    """Name of the video behind a canonical source."""
    return digest("video", source)


def clip_id(video_sha256: str, start_pts: int, end_pts: int, time_base: str) -> str:
    """Name of a span of a video's bytes."""
    return digest("clip", video_sha256, start_pts, end_pts, time_base)


def scene_clip_id(video: str, opening: str, start_pts: int, end_pts: int, time_base: str) -> str:
    """Name of a given scene of a video that may be fetched in part; `opening` is the hash of the source's first bytes."""
    return digest("scene", video, opening, start_pts, end_pts, time_base)


def settings_fingerprint(stage: str, version: int, *shaping: Any) -> str:
    """Short hash of all that shapes a stage's results; it stands in the names of the stage's parts."""
    return digest("stage", stage, version, *shaping)[:12]


def file_sha256(path: Path) -> str:
    """Full sha256 of a file's bytes."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
