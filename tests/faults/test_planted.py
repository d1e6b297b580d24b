"""Every planted bug can still be planted: a patch that no longer applies would be one that nobody looks for."""

from __future__ import annotations

import pytest

from tests.faults.planted_faults import ROOT, bugs


@pytest.mark.parametrize("bug", bugs(), ids=lambda bug: bug.name)
def test_it_can_be_planted(bug):
    assert bug.fault(ROOT) is None


def test_there_are_enough_of_them_each_with_a_name_of_its_own():
    names = [bug.name for bug in bugs()]
    assert len(names) == len(set(names)) >= 25
