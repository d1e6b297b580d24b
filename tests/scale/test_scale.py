"""The harness runs, and judges by its targets; what it measures is for `make scale`."""

from __future__ import annotations

import json
import re

import pytest

from tests.scale.__main__ import main, size_of
from tests.scale.figures import LARGE, SMALL, reached


@pytest.mark.parametrize("size", ["20", pytest.param("10k", marks=pytest.mark.slow)])
def test_it_makes_a_dataset_and_measures(size, capsys):
    assert main(["--sizes", size, "--only", "purge"]) == 0
    *_, row, figures = capsys.readouterr().out.splitlines()
    assert re.fullmatch(r"\| purge \| [0-9.]+ s, [0-9,]+ MB, shards_read 1, shards_written [01] \|  \|", row)
    assert json.loads(figures) == {}  # there are targets at a million clips alone


def test_figures_say_what_was_reached_of_what_was_measured():
    results = {("lookup", SMALL): {"cpu_s": 0.2}, ("lookup", LARGE): {"cpu_s": 0.28}, ("job", SMALL): {"cpu_s": 1.0}}
    assert reached(results) == {
        "lookup_1m_s": {"target": 0.3, "value": 0.28, "reached": True},
        "lookup_growth": {"target": 1.3, "value": 1.4, "reached": False},
    }


def test_sizes_are_said_in_thousands_and_millions():
    assert [size_of(text) for text in ("10k", "1m", "250", "2M")] == [10_000, 1_000_000, 250, 2_000_000]
