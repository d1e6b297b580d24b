"""A slice of the families of faults: some of it always, all of it in `make nightly`; `make faults` runs them whole."""

from __future__ import annotations

import json

import pytest

from tests.faults.__main__ import main
from tests.faults.families import FAMILIES

ALWAYS = (
    ("crash", "forget"), ("crash", "import"), ("crash", "export hd-vg"), ("refuse", "export hd-vg"),
    ("bad", "media a.mkv"), ("bad", "list jsonl"), ("bad", "metadata internvid"), ("bad", "text 3"), ("bad", "dataset cut"),
    ("fuzz", "links"), ("fuzz", "bitstream"), ("planted", "folder fsync dropped"), ("planted", "span end off by one"),
)  # fmt: skip
"""Family, and what its cases' names hold: kills and escapes have tests of their own (tests/pipelines/test_ray.py, tests/hdvg/test_escapes.py)."""


@pytest.mark.parametrize(("family", "only"), ALWAYS, ids=lambda one: one.replace(" ", "-"))
def test_some_of_the_family_finds_nothing(family, only, capsys):
    code = main([family, "--slice", "--only", only])
    said = capsys.readouterr()
    assert code == 0, said.err
    found = json.loads(said.out.splitlines()[-1])
    tried = ("crash_points", "survived", "bad_inputs", "fuzzed", "planted_caught")
    assert sum(found[count] for count in tried) > 0, f"no case of {family} is called {only}"
    assert found["planted_caught"] == found["planted"]
    assert (found["lost"], found["twice"], found["hangs"]) == (0, 0, 0)


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
