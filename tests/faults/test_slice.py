"""The slice of every family of faults; `make faults` runs them whole."""

from __future__ import annotations

import json

import pytest

from tests.faults.__main__ import main
from tests.faults.families import FAMILIES


@pytest.mark.slow
@pytest.mark.parametrize("family", FAMILIES)
def test_a_slice_of_the_family_finds_nothing(family, capsys):
    code = main([family, "--slice"])
    said = capsys.readouterr()
    assert code == 0, said.err
    found = json.loads(said.out.splitlines()[-1])
    assert (found["lost"], found["twice"], found["hangs"], found["sandbox_escapes"]) == (0, 0, 0, 0)


def test_the_last_line_names_every_count_and_a_failure_says_how_to_try_it_again(capsys, monkeypatch):
    monkeypatch.setattr("tests.faults.crash_faults.all_acts", broken)
    assert main(["crash", "--seed", "3"]) == 1
    said = capsys.readouterr()
    assert "python -m tests.faults crash --seed 3 --only" in said.err
    found = json.loads(said.out.splitlines()[-1])
    wanted = {
        "crash_points", "kills", "lost", "twice", "bad_inputs", "hangs", "planted_caught", "planted", "sandbox_escapes",
        "worst_mb", "worst_over_limit_s",
    }  # fmt: skip
    assert wanted <= found.keys()
    assert found["lost"] > 0


def broken(scratch, touches):
    """The smallest act with the bug that its part comes before its media."""
    from tests.faults.small_act import small_act
    from tests.faults.test_points import PartFirst

    return [small_act(scratch, PartFirst)]
