"""How well near-copies are told by embeddings alone (`duplicates.semantic`), with the shipped model, on spans of real footage.

Run: python -m tests.bench.bench_semantic [--least 0.95]. Every span of tests/footage.py (44 with the shared media, 12 without) is one clip,
by the middles of its thirds; planted beside it: mirrored, cropped by 15 % at each side, cropped to a corner (40 % off), and its first half
beside its second. The last line is one JSON object: `found` (share of the planted ones with a cosine of at least `least`, each), `joined`
(pairs of two different spans that would be taken for copies) of `pairs`, `least`, `nearest` (the highest cosine of two different spans).
"""

from __future__ import annotations

import argparse
import itertools
import json
from collections.abc import Callable
from typing import Any

import cv2
import numpy as np

from hdvg.config.sections import Measure
from hdvg.keyframes import Shot
from hdvg.measures.semantics import Semantics
from tests.bench.machine import describe
from tests.footage import BUNDLED_SPANS, SHARED_SPANS, Footage, Picture, Span


def cropped(picture: Picture, top: float, left: float, bottom: float, right: float) -> Picture:
    height, width = picture.shape[:2]
    return picture[round(top * height) : round(bottom * height), round(left * width) : round(right * width)]


RETAKES: dict[str, Callable[[Picture], Picture]] = {
    "mirrored": lambda picture: np.ascontiguousarray(picture[:, ::-1]),
    "cropped": lambda picture: cropped(picture, 0.15, 0.15, 0.85, 0.85),
    "corner": lambda picture: cropped(picture, 0, 0, 0.6, 0.6),
}


def shot(footage: Footage, span: Span, change: Callable[[Picture], Picture], first: float = 0, last: float = 1) -> Shot:
    """A part of a span, as its keyframes would be stored."""
    count = footage.length(span)
    places = [min(int(count * (first + (last - first) * third)), count - 1) for third in (1 / 6, 1 / 2, 5 / 6)]
    jpegs = [cv2.imencode(".jpg", change(footage.frame(span, place)))[1].tobytes() for place in places]
    return Shot(span.look, dict(zip(("first", "middle", "last"), jpegs, strict=True)), {})


def measured(least: float) -> dict[str, Any]:
    footage, model = Footage(BUNDLED_SPANS + SHARED_SPANS), Semantics(Measure())

    def vectors(change: Callable[[Picture], Picture], *ends: float) -> Any:
        rows = model.measure([shot(footage, span, change, *ends) for span in footage.spans], [])
        return np.array([row["embedding"] for row in rows], np.float32)

    whole = vectors(lambda picture: picture)
    cosines = {name: (whole * vectors(change)).sum(axis=1) for name, change in RETAKES.items()}
    cosines["halves"] = (vectors(lambda one: one, 0, 0.5) * vectors(lambda one: one, 0.5, 1)).sum(axis=1)
    for name, some in cosines.items():
        print(f"{name:10} cosines, tenths: {np.quantile(some, np.linspace(0, 1, 11)).round(3).tolist()}", flush=True)
    between = [(float(whole[a] @ whole[b]), a, b) for a, b in itertools.combinations(range(len(whole)), 2)]
    joined = [pair for pair in sorted(between, reverse=True) if pair[0] >= least]
    for cosine, a, b in joined:
        print(f"joined: {footage.spans[a]} and {footage.spans[b]}, {cosine:.3f}")
    found = {name: round(float((some >= least).mean()), 3) for name, some in cosines.items()}
    return {"found": found, "joined": len(joined), "pairs": len(between), "least": least, "nearest": max(between)[0]}


def parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--least", type=float, default=0.95)
    return parser


def main() -> None:
    args = parser().parse_args()
    print(describe())
    print(json.dumps(measured(args.least)))


if __name__ == "__main__":
    main()
