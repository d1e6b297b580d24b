"""Ways out of the decoder's child: those that the tests of the walls try, counted."""

from __future__ import annotations

import re
import subprocess
import sys

from tests.faults.planted_faults import ROOT
from tests.faults.tally import Asked, Tally

TEST = "tests/hdvg/test_escapes.py"
NAME = "test_every_escape_from_a_decoding_child_is_refused"


def run(asked: Asked, tally: Tally) -> None:
    """The test says how many escapes it tried, and names those that got out."""
    if not (ROOT / TEST).exists():
        tally.fail(f"escapes: {TEST} is not there: no escape was tried")
        return
    words = [sys.executable, "-m", "pytest", "-n0", "-s", "-q", "-p", "no:cacheprovider", f"{TEST}::{NAME}"]
    done = subprocess.run(words, cwd=ROOT, capture_output=True, text=True, check=False)
    said = re.search(r"(\d+) escapes tried", done.stdout)
    tally.add("escapes_tried", int(said[1]) if said else 0)
    if done.returncode:
        tally.add("sandbox_escapes", max(len(set(re.findall(r"'([^']+)': ['\"]ESCAPED", done.stdout))), 1))
        tally.fail(f"escapes: {NAME} fails: {done.stdout[-1500:]}")
