"""Gates on what the detectors find in edits of real footage: the small part of the truth suite."""

from __future__ import annotations

from itertools import pairwise

import pytest

from hdvg.config.sections import Split
from hdvg.media.scan import scan
from tests.truth import f1, precision, score

LEAST_F1 = {"adaptive": 0.80, "content": 0.75, "cascade": 0.95}
"""At 0 frames tolerance; dissolves and wipes, which the first two do not see, are a third of the boundaries."""


@pytest.mark.parametrize("detector", LEAST_F1)
def test_detector_finds_what_it_should_to_the_frame(suite, detector, tmp_path):
    counts = [0, 0, 0]
    cuts_missed = []
    for sequence in suite:
        clips = scan(str(sequence.path), str(tmp_path), Split(detector=detector).model_dump(), 2, 36_000_000)["clips"]
        found = [(one["end_frame"], two["start_frame"]) for one, two in pairwise(clips)]
        counts = [sum(pair) for pair in zip(counts, score(found, sequence.boundaries, 0), strict=True)]
        hard = {start for end, start in found if end == start}
        cuts_missed += [
            (sequence.name, one) for one in sequence.boundaries if one.kind == "cut" and one.start not in hard
        ]
    assert cuts_missed == []
    assert f1(*counts) >= LEAST_F1[detector]
    if detector == "cascade":
        assert precision(*counts) >= 0.95
