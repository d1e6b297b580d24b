"""One browser, one dataset and one `hdvg explore` for the tests of a file."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from hdvg.dataset.dataset import Dataset
from tests.browser.chromium import Watched, axe_script, new_page, started
from tests.browser.films import make_films

if TYPE_CHECKING:
    from playwright.sync_api import Browser

LINK = re.compile(r"(http://127\.0\.0\.1:\d+/)#token=(\S+)")


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with started() as found:
        yield found


@pytest.fixture(scope="session")
def axe(tmp_path_factory: pytest.TempPathFactory) -> str:
    return axe_script(tmp_path_factory.mktemp("axe"))


@dataclass
class Explorer:
    """A server, its dataset, the folder it was started in, and a page whose session is open."""

    dataset: Dataset
    folder: Path
    address: str
    watched: Watched
    pid: int
    """Of the server."""

    def open(self, view: str) -> Watched:
        """The page with a view, as a link brings it; what it said before is forgotten."""
        self.watched.complaints.clear()
        self.watched.requests.clear()
        self.watched.page.goto("about:blank")
        self.watched.page.goto(f"{self.address}#/{view}")
        return self.watched

    def ask(self, sql: str) -> int | float:
        """DuckDB's answer: one number."""
        with self.dataset.manifest() as manifest:
            found: int | float = manifest.one(sql)
        return found


@pytest.fixture(scope="module")
def explorer(browser: Browser, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Explorer]:
    folder = tmp_path_factory.mktemp("explored")
    with served(make_films(folder), folder, browser) as found:
        yield found


@contextmanager
def served(dataset: Dataset, folder: Path, browser: Browser) -> Iterator[Explorer]:
    """`hdvg explore` of a dataset, started in a folder, with a page that has opened it."""
    command = [sys.executable, "-m", "hdvg.cli", "explore", str(dataset.root), "--no-browser", "--author", "tester"]
    environment = os.environ | {"PYTHONPATH": os.pathsep.join(sys.path)}
    with subprocess.Popen(command, cwd=folder, stdout=subprocess.PIPE, text=True, env=environment) as server:
        try:
            assert server.stdout is not None
            found = LINK.search(server.stdout.readline())
            assert found, "the server printed no link"
            watched = new_page(browser)
            watched.page.goto(found[0])
            watched.page.get_by_test_id("kept").filter(has_text=re.compile(r"\d")).wait_for()
            yield Explorer(dataset, folder, found[1], watched, server.pid)
        finally:
            server.terminate()
            server.wait(60)
