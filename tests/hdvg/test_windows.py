"""Windows: the planner's choices on paper, what lies in which window, who may see whom."""

from __future__ import annotations

import itertools
import math

import pytest

from tests.tools import need

# ruff: noqa: E402 - what follows cannot be imported where `need` skips the file
need("torch")

import torch

from hdvg.model import windows
from hdvg.model.windows import Plan, planned
from tests.hdvg import swapca_reference

ODD = Plan((3, 5, 7), (2, 2, 3))
SHIFTED = Plan((3, 5, 7), (2, 2, 3), (1, 1, 1))


@pytest.mark.parametrize(
    ("grid", "window", "waste"),
    [
        ((16, 24, 43), (8, 6, 11), 1 / 43),
        ((16, 12, 22), (8, 6, 11), 0),
        ((16, 6, 11), (8, 6, 11), 0),
        ((16, 3, 6), (8, 3, 6), 0),
        ((16, 48, 86), (8, 8, 8), 2 / 86),
        ((16, 32, 32), (8, 8, 8), 0),
        ((1, 24, 24), (1, 12, 12), 0),
    ],
)
def test_planned_window_is_the_one_on_paper(grid: windows.Size, window: windows.Size, waste: float) -> None:
    assert planned(grid, tokens=512) == window
    assert Plan(grid, window).waste == pytest.approx(waste)


@pytest.mark.parametrize("grid", [(8, 6, 12), (8, 9, 10), (4, 14, 25), (12, 35, 6), (5, 5, 5)])
def test_planner_pads_nothing_where_sides_have_divisors(grid: windows.Size) -> None:
    assert Plan(grid, planned(grid, tokens=64)).waste == 0


def test_window_is_never_larger_than_the_grid_and_never_shifts_alone() -> None:
    assert windows.plan((4, 3, 9), (8, 3, 4), shift=True) == Plan((4, 3, 9), (4, 3, 4), (0, 0, 2))


@pytest.mark.parametrize("plan", [ODD, SHIFTED, Plan((4, 6, 6), (2, 3, 6)), Plan((1, 1, 5), (1, 1, 2), (0, 0, 1))])
def test_merge_puts_back_what_partition_cut(plan: Plan) -> None:
    x = torch.randn(2, *plan.grid, 3)
    cut = windows.partition(x, plan)
    assert cut.shape == (2 * math.prod(plan.counts), plan.tokens, 3)
    assert torch.equal(windows.merge(cut, plan), x)


@pytest.mark.parametrize("plan", [ODD, SHIFTED, Plan((4, 4, 6), (2, 4, 3), (1, 0, 1)), Plan((2, 5, 5), (2, 3, 3))])
def test_tokens_see_their_window_and_nothing_else(plan: Plan) -> None:
    """Against the reference's list of places: every place sees exactly the places of its own window."""
    number_THW = torch.arange(1, math.prod(plan.grid) + 1).reshape(plan.grid)  # 0 is padding
    cut_MN = windows.partition(number_THW[None, ..., None], plan)[..., 0]
    allowed = windows.mask(plan, torch.device("cpu"))
    assert allowed is not None
    allowed_MNN = allowed[:, 0].expand(-1, plan.tokens, plan.tokens)
    seen = set()
    for tokens, may in zip(cut_MN.tolist(), allowed_MNN.tolist(), strict=True):
        pairs = itertools.product(enumerate(tokens), enumerate(tokens))
        seen |= {(a, b) for (i, a), (j, b) in pairs if a and may[i][j]}
    wanted = set()
    for places in swapca_reference.windows(plan.grid, plan.window, plan.shift):
        numbers = [int(number_THW[place]) for place in places]
        wanted |= set(itertools.product(numbers, numbers))
    assert seen == wanted


def test_windows_that_fit_need_no_mask() -> None:
    assert windows.mask(Plan((4, 4, 6), (2, 2, 3)), torch.device("cpu")) is None


def test_no_token_is_left_with_nothing_to_see() -> None:
    for plan in (ODD, SHIFTED, Plan((5, 5, 5), (4, 4, 4), (2, 2, 2))):
        allowed = windows.mask(plan, torch.device("cpu"))
        assert allowed is not None
        assert allowed.any(-1).all()
