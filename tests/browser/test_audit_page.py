"""What a person does in the page of `hdvg audit`: answer by keys, take one back, come again, end it; no rate is shown before."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from hdvg.audit.sitting import Sitting, sittings
from hdvg.dataset.dataset import Dataset
from tests.browser.chromium import Watched, barriers, new_page
from tests.browser.films import make_films
from tests.tools import need

need("playwright", "starlette", "uvicorn")

if TYPE_CHECKING:
    from playwright.sync_api import Browser

LINK = re.compile(r"http://127\.0\.0\.1:\d+/audit#token=\S+")


@pytest.fixture(scope="module")
def dataset(tmp_path_factory: pytest.TempPathFactory) -> Dataset:
    return make_films(tmp_path_factory.mktemp("audited"))


@pytest.fixture
def opened(browser: Browser, dataset: Dataset) -> Iterator[Watched]:
    """The page, by a link of a server of its own."""
    command = [sys.executable, "-m", "hdvg.cli", "audit", str(dataset.root), "--no-browser", "--author", "tester", "--topics", "cut"]  # fmt: skip
    if sittings(dataset):
        command = command[:-2]
    environment = os.environ | {"PYTHONPATH": os.pathsep.join(sys.path)}
    with subprocess.Popen(command, cwd=Path.cwd(), stdout=subprocess.PIPE, text=True, env=environment) as server:
        try:
            assert server.stdout is not None
            found = LINK.search(server.stdout.readline())
            assert found, "the server printed no link"
            watched = new_page(browser, height=800)
            watched.page.goto(found[0])
            watched.page.get_by_text("answered,").wait_for()
            watched.complaints.clear()  # of the browser, that the dataset was still being read
            yield watched
        finally:
            server.terminate()
            server.wait(10)


def stored(dataset: Dataset, count: int, watched: Watched) -> Sitting:
    """The audit, once it holds so many answers."""
    for _ in range(100):
        sitting = sittings(dataset)[-1]
        if sitting.answered == count:
            return sitting
        watched.page.wait_for_timeout(50)
    raise AssertionError(f"{sitting.answered} answers, not {count}")


def test_keys_answer_and_take_back_and_every_answer_is_kept(opened, dataset, axe):
    page = opened.page
    first = sittings(dataset)[-1].questions[0]["question"]
    page.keyboard.press("y")
    page.keyboard.press("n")
    page.keyboard.press("u")
    sitting = stored(dataset, 3, opened)
    asked = [row["question"] for row in sitting.questions[:3]]
    assert [sitting.answers[one]["tester"] for one in asked] == ["yes", "no", "unsure"]
    page.keyboard.press("z")
    assert asked[2] not in stored(dataset, 2, opened).answers
    page.get_by_text("2 of ").wait_for()
    assert asked[0] == first
    if shots := os.environ.get("SHOTS"):
        page.screenshot(path=f"{shots}/audit.png")
    assert not re.search(r"kept|dropped|%", page.locator("body").inner_text())
    assert barriers(page, axe) == []
    assert opened.complaints == []
    assert opened.foreign == []


def test_it_goes_on_where_it_was_left_and_shows_rates_only_at_its_end(opened, dataset):
    page = opened.page
    assert sittings(dataset)[-1].answered == 2
    page.get_by_role("button", name="No n").click()
    stored(dataset, 3, opened)
    page.get_by_role("button", name="End the audit …").click()
    page.get_by_role("button", name="End it and show the rates").click()
    page.get_by_text("kept clips whose cut is not clean").wait_for()
    if shots := os.environ.get("SHOTS"):
        page.screenshot(path=f"{shots}/result.png")
    assert "2 of 3" in page.locator("table").inner_text()
    assert sittings(dataset)[-1].has_ended
    assert opened.complaints == []
