"""The grid of `hdvg explore` over real footage: its pictures, and the order that brings the worst clips first."""

from __future__ import annotations

import shutil
from typing import TYPE_CHECKING

import pytest

from hdvg.dataset.dataset import Dataset
from tests.browser.conftest import served
from tests.browser.test_explore_page import settle, until
from tests.footage import BUNDLED
from tests.layouts import call
from tests.tools import need

need("playwright", "starlette", "uvicorn")

if TYPE_CHECKING:
    from collections.abc import Iterator

    from playwright.sync_api import Browser

    from tests.browser.conftest import Explorer

RECIPE = 'name = "seen"\nkeep = {long = "duration_s >= 2"}\n[cut]\nmode = "virtual"\n[caption]\ncaptioner = "none"\n'


@pytest.fixture(scope="module")
def footage(browser: Browser, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Explorer]:
    """Three clips: one of a drawing, with three pictures, and two of a launch, with more."""
    folder = tmp_path_factory.mktemp("footage")
    (folder / "clips").mkdir()
    for name in ("birds_720p.mp4", "oa4_launch.webm"):
        shutil.copy(BUNDLED / name, folder / "clips")
    (folder / "seen.toml").write_text(RECIPE)
    call("run", folder / "seen.toml", "--links", folder / "clips", "--out", folder / "d", "--runner", "serial")
    with served(Dataset.open(folder / "d"), folder, browser) as found:
        yield found


def test_strip_shows_one_whole_frame_however_many_it_has(footage: Explorer):
    page = footage.open("grid").page
    until(page, "document.querySelectorAll('.tile .strip img').length === 3")
    until(page, "[...document.querySelectorAll('.tile .strip img')].every((image) => image.naturalWidth > 0)")
    settle(page)
    shown = page.evaluate("""[...document.querySelectorAll(".tile .strip img")].map((image) => [
        image.naturalWidth / 160, image.offsetWidth / image.parentElement.offsetWidth,
        Number(image.parentElement.style.getPropertyValue("--frames"))])""")
    assert len({frames for frames, _, _ in shown}) > 1, "strips of unlike length"
    for frames, widths, steps in shown:
        assert widths == pytest.approx(frames, rel=0.02)
        assert steps == frames


def test_worst_clips_of_a_defect_come_first(footage: Explorer):
    page = footage.open("grid").page
    settle(page)
    chosen = page.get_by_label("sorted by")
    for words, order in (("stands still", "static_share desc"), ("blurred", "sharpness")):
        chosen.select_option(label=words)
        settle(page)
        shown = [page.locator(f"[data-n='{place}']").get_attribute("data-clip") for place in range(3)]
        with footage.dataset.manifest() as manifest:
            assert shown == manifest.one(f"select list(clip_id order by {order}) from measures")
    page.get_by_role("button", name="smallest first").click()
    assert chosen.input_value() == "sharpness", "the sharpest first is no defect"
