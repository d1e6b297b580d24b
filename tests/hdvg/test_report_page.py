"""The page of `hdvg report` in a browser: its counts are DuckDB's, nothing runs that is not its own, keys and axe find no fault."""

from __future__ import annotations

import random
import shlex
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import duckdb
import pytest

from hdvg.config.rules import Bound, parse_rules
from hdvg.dataset.dataset import Dataset
from hdvg.dataset.snapshot import SOURCE, measures
from hdvg.filtering.edges import REPORT_BINS, Axis, axes, bounds_in_force
from hdvg.filtering.edit import range_text
from hdvg.filtering.whatif import what_if
from hdvg.page import gallery
from hdvg.page.rows import bounded
from hdvg.page.write import written
from tests.browser.chromium import axe_script
from tests.pages import AXE, browser, needs_chromium, opened
from tests.products import make
from tests.synthetic import draw_dataset

pytestmark = needs_chromium

CLIPS = 4000
SPECIAL = "when i % 41 = 0 then null when i % 41 = 1 then 'nan'::double when i % 41 = 2 then 'inf'::double when i % 41 = 3 then '-inf'::double"
KEEP = {
    "too_short": "duration_s >= 2",
    "moves": "4.1 < motion_px_s <= 400",
    "sharp": "sharpness >= quantile(0.1)",
    "still": "static_share < 0.75",
}
DRAWN = {
    "motion_px_s": f"case {SPECIAL} when i % 41 = 4 then 4.1 when i % 41 = 5 then 400.0 else exp(2.8 + 1.1 * random()) end",
    "luma_mean": f"case {SPECIAL} else round(105 + 40 * random(), 1) end",
    "static_share": "case when i % 50 = 0 then null else (i % 9) / 8 end",
    "camera_px_s": "case when i % 3 = 0 then 0.0 else random() end",
}
HOSTILE = [
    "</script><script>alert(1)</script>", "<img src=x onerror=alert(1)>", "<svg/onload=alert(1)>", "\u2028alert(1)\u2029", "\u202egnp.exe",
    "<!--", "--><script>alert(1)</script>", "]]>", "&lt;script&gt;alert(1)&lt;/script&gt;", "javascript:alert(1)", "'\"><b>", "\x01\x1b[31m",
    "${alert(1)}", "{{7*7}}", "<style>*{display:none}</style>", "</title><script>alert(1)</script>", "<base href=//x>", "<iframe srcdoc=x>",
    "=cmd|' /C calc'!A0", "\ufeff\u200bzero", "<math><mtext></mtext></math>", "\\u003cscript>", "%3Cscript%3E", "<a href=javascript:alert(1)>x</a>",
    "x" * 4000, "مرحبا <b>", "<template><script>alert(1)</script></template>", "<link rel=stylesheet href=//x>", "</style><script>", "\u2066\u2069",
]  # fmt: skip


@pytest.fixture(scope="module")
def chromium() -> Iterator[Any]:
    with browser() as found:
        yield found


@pytest.fixture(scope="module")
def dataset(tmp_path_factory: pytest.TempPathFactory) -> Dataset:
    return draw_dataset(tmp_path_factory.mktemp("report") / "drawn", CLIPS, keep=KEEP, clips=DRAWN)


@pytest.fixture(scope="module")
def page(dataset: Dataset) -> Path:
    path = dataset.root.parent / "report.html"
    written(dataset, out=path, say=lambda said: None)
    return path


@pytest.fixture(scope="module")
def connection(dataset: Dataset) -> Iterator[duckdb.DuckDBPyConnection]:
    with measures(dataset, [], lambda said: None) as found:
        yield found


@pytest.fixture(scope="module")
def axe(tmp_path_factory: pytest.TempPathFactory) -> str:
    return axe_script(tmp_path_factory.mktemp("axe"))


def end(bound: Bound | None) -> dict[str, Any] | None:
    return None if bound is None else {"value": bound.number, "closed": bound.closed, "share": None}


def drawn_range(draw: random.Random, axis: Axis, *, is_boolean: bool) -> tuple[Bound | None, Bound | None]:
    """A bound on one side or both, each on an edge, or for a lossless axis anywhere."""
    if is_boolean:
        return (
            (Bound(axis.measure, True, 1.0), None) if draw.random() < 0.5 else (None, Bound(axis.measure, False, 1.0))
        )
    finite = [float(edge) for edge in axis.edges if -1e308 < edge < 1e308]
    values = sorted(draw.choice(finite) for _ in range(2))
    if axis.lossless and draw.random() < 0.5:
        values = sorted(value + draw.random() for value in values)
    low, high = (Bound(axis.measure, draw.random() < 0.5, value) for value in values)
    if axis.passing(low, None, {}) is None:  # `>` of this edge divides its bin
        low = replace(low, closed=True)
    if axis.passing(None, high, {}) is None:
        high = replace(high, closed=False)
    sides = draw.choice(("low", "high", "both"))
    return low if sides != "high" else None, high if sides != "low" else None


def written_rule(name: str, low: Bound | None, high: Bound | None, *, is_boolean: bool) -> str:
    return range_text(name, low, high) if not is_boolean else name if low else f"not {name}"


def test_500_random_bounds_give_duckdbs_counts_and_hours(dataset, page, connection, chromium):
    draw = random.Random(7)
    plan, columns = dataset.plan, dataset.plan.recipe.measure.columns
    bounds = bounds_in_force(plan.recipe.rules, plan.quantiles)
    known = [one for one in axes(connection, bounded(columns), bounds=bounds, bins=REPORT_BINS) if len(one.edges)]
    asked, expected, texts = [], [], []
    for _ in range(500):
        rules = []
        for axis in draw.sample(known, draw.choice((1, 1, 2, 3))):
            is_boolean = not columns.is_number(axis.measure)
            low, high = drawn_range(draw, axis, is_boolean=is_boolean)
            rules.append({"column": axis.measure, "low": end(low), "high": end(high)})
            texts.append(written_rule(axis.measure, low, high, is_boolean=is_boolean))
        asked.append(rules)
        tests = [rule.sql({}) for rule in parse_rules({f"r{n}": text for n, text in enumerate(texts[-len(rules) :])})]
        sql = f"select count(*), coalesce(sum(duration_s), 0) from {SOURCE} where {' and '.join(tests)}"
        expected.append(connection.execute(sql).fetchall()[0])
    signs = {sign for text in texts for sign in text.split() if sign in {"<", "<=", ">", ">="}}
    assert signs == {"<=", ">=", "<", ">"}
    with opened(chromium, page) as tab:
        found = tab.evaluate("async (asked) => Promise.all(asked.map((rules) => report.count(rules)))", asked)
    assert [one and one["clips"] for one in found] == [clips for clips, _ in expected]
    assert [one["seconds"] for one in found] == pytest.approx([seconds for _, seconds in expected], abs=CLIPS * 0.0005)
    assert len({clips for clips, _ in expected}) > 200  # no empty comparison


def kept_by(connection: duckdb.DuckDBPyConnection, dataset: Dataset, command: str) -> tuple[int, float]:
    """What `hdvg filter --what-if` says of the rules that a command sets."""
    words = shlex.split(command)
    assert words[:3] == ["hdvg", "filter", "drawn"]
    keep = dict(dataset.plan.recipe.keep)
    for word in (words[place + 1] for place, flag in enumerate(words) if flag == "--set"):
        name, text = word.removeprefix("keep.").split("=", 1)
        keep = {**keep, name: text} if text != "null" else {one: keep[one] for one in keep if one != name}
    after = what_if(connection, dataset.plan, keep).after
    return after.clips, after.hours


def shown(tab: Any) -> tuple[int, str]:
    """The count in the bar, and the command there."""
    bar = tab.get_by_role("region", name="What is kept")
    return int(bar.locator("strong").inner_text().replace(",", "")), bar.locator("code").inner_text()


def test_drags_keys_typed_bounds_and_switches_show_what_filter_says(dataset, page, connection, chromium):
    with opened(chromium, page) as tab:
        assert (
            int(tab.locator("dd").first.inner_text().replace(",", ""))
            == what_if(connection, dataset.plan, dataset.plan.recipe.keep).before.clips
        )
        tab.get_by_role("checkbox", name="sharp").uncheck()  # a quantile: filter would take it anew
        seen = [shown(tab)]
        handle = tab.get_by_role("slider", name="motion_px_s, lower bound")
        for key in ("ArrowRight", "ArrowRight", "PageUp", "ArrowDown", "End", "PageDown", "Home"):
            handle.press(key)
            seen.append(shown(tab))
        box = tab.get_by_role("slider", name="duration_s, upper bound").bounding_box()
        tab.mouse.move(box["x"] + 12, box["y"] + 40)
        tab.mouse.down()
        for step in range(1, 9):
            tab.mouse.move(box["x"] + 12 - 12 * step, box["y"] + 40)
            seen.append(shown(tab))
        tab.mouse.up()
        field = tab.get_by_label("duration_s, lower bound as a number")
        field.fill("2.5")
        field.press("Enter")
        seen.append(shown(tab))
        tab.get_by_text("measures without a rule").click()
        tab.get_by_role("slider", name="subtitle, lower bound").press("ArrowRight")
        seen.append(shown(tab))
        assert "keep.subtitle=subtitle " in seen[-1][1]
        hours = tab.evaluate("report.outcome.value.kept.seconds") / 3600
        tab.get_by_role("button", name="Reset").click()
        assert tab.get_by_text("the recipe as it stands", exact=True).is_visible()
    expected = [kept_by(connection, dataset, command) for _, command in seen]
    assert [count for count, _ in seen] == [count for count, _ in expected]
    assert len({count for count, _ in seen}) >= 10
    assert hours == pytest.approx(expected[-1][1], abs=CLIPS * 0.0005 / 3600)


EVERY_CHART = """() => report.data.measures.filter((one) => one.held).map((one) => {
    const { low, high } = report.standOf(one).range;
    const counts = [...report.countsOf(one)];
    const open = low === 0 && high === one.edges.length ? counts[0] : 0;
    return counts.slice(low + 1, high + 1).reduce((sum, each) => sum + each, open);
})"""


def test_however_handles_were_moved_every_chart_and_step_counts_as_if_it_had_been_so_at_once(
    dataset, page, connection, chromium
):
    draw = random.Random(3)
    tests = {name: rule.sql(dataset.plan.quantiles) for name, rule in zip(dataset.plan.recipe.keep, dataset.plan.recipe.rules, strict=True)}  # fmt: skip
    with opened(chromium, page) as tab:
        tab.locator("#thresholds").scroll_into_view_if_needed()
        names = (
            "motion_px_s, lower bound",
            "motion_px_s, upper bound",
            "duration_s, lower bound",
            "static_share, upper bound",
        )
        handles = [tab.get_by_role("slider", name=name) for name in names]
        for _ in range(25):
            draw.choice(handles).press(draw.choice(("ArrowLeft", "ArrowRight", "PageUp", "PageDown", "Home", "End")))
            kept = tab.evaluate("report.outcome.value.kept.clips")
            assert set(tab.evaluate(EVERY_CHART)) == {kept}
        tab.get_by_role("checkbox", name=next(iter(tests))).uncheck()
        assert set(tab.evaluate(EVERY_CHART)) == {tab.evaluate("report.outcome.value.kept.clips")}
        tab.get_by_role("button", name="Reset").click()
        steps = tab.evaluate("report.outcome.value.steps.map((one) => one.clips)")
    sqls = [" and ".join(list(tests.values())[: place + 1]) for place in range(len(tests))]
    assert steps == [connection.execute(f"select count(*) from {SOURCE} where {sql}").fetchall()[0][0] for sql in sqls]


def test_a_bound_between_two_steps_is_refused_and_not_rounded(page, chromium):
    with opened(chromium, page) as tab:
        field = tab.get_by_label("motion_px_s, lower bound as a number")
        field.fill("4.100000001")
        field.press("Enter")
        assert tab.get_by_text("lies between two steps: ask hdvg filter").is_visible()
        assert tab.get_by_text("the recipe as it stands", exact=True).is_visible()


LOOKS = [
    {"color_scheme": "light", "reduced_motion": "reduce"},
    {"color_scheme": "dark"},
    pytest.param({"color_scheme": "light"}, marks=pytest.mark.slow),
    pytest.param({"forced_colors": "active"}, marks=pytest.mark.slow),
]


@pytest.mark.parametrize("look", LOOKS, ids=lambda look: "-".join(look.values()))
def test_axe_finds_nothing_and_nothing_moves_where_it_should_not(page, chromium, axe, look):
    with opened(chromium, page, width=360, **look) as tab:
        assert tab.evaluate("document.documentElement.scrollWidth") == 360
        tab.evaluate("document.querySelectorAll('details').forEach((one) => { one.open = true; })")
        tab.evaluate(axe)
        assert tab.evaluate(AXE) == []
        if "reduced_motion" in look:
            strip = tab.locator(".strip").first
            strip.focus()
            assert tab.evaluate("document.getAnimations().length") == 0


@pytest.fixture(scope="module")
def hostile(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, list[str]]:
    texts = [*HOSTILE, *(f"a cat {text} on a sofa" for text in HOSTILE)]
    listed = ", ".join("'" + text.replace("'", "''") + "'" for text in texts)
    one_of = f"([{listed}])[1 + i % {len(texts)}]"
    root = tmp_path_factory.mktemp("hostile") / HOSTILE[1].replace("/", "")
    rows = len(texts)
    made = draw_dataset(
        root, rows, keep={"too_short": "duration_s >= 0.5"}, clips={"text": one_of, "text_area": "i / 60", "duplicate": "false"},
        videos={"title": f"([{listed}])[1 + n % {rows}]", "categories": f"[([{listed}])[1 + n % {rows}]]"}, name=HOSTILE[0],
    )  # fmt: skip
    path = root.parent / "report.html"
    gallery.MOST, before = rows, gallery.MOST
    try:
        written(made, out=path, card=root.parent / "card.md", say=lambda said: None)
    finally:
        gallery.MOST = before
    return path, texts


def test_60_hostile_texts_are_shown_and_nothing_of_them_runs(hostile, chromium):
    path, texts = hostile
    assert len(texts) >= 60
    with opened(chromium, path) as tab:
        foreign = "#page script, #page iframe, #page style, #page base, #page link, #page svg:not(.histogram svg), #page a:not([href^='#']), #page [onerror]"
        assert tab.locator(foreign).count() == 0
        assert (
            tab.evaluate(
                "document.body.children.length > 3 && document.querySelectorAll('body > script:not([type])').length"
            )
            == 1
        )
        assert tab.locator("#page img:not([src^='data:image/webp'])").count() == 0
        said = tab.locator("#near").inner_text()
        for text in (
            "<img src=x onerror=alert(1)>",
            "</script><script>alert(1)</script>",
            "&lt;script&gt;alert(1)&lt;/script&gt;",
            "${alert(1)}",
        ):
            assert text in said
        assert tab.locator("b.control", has_text="RLO").count() > 0
        assert tab.evaluate("document.title").startswith("<img src=x onerror=alert(1)>")


def test_a_dataset_without_clips_has_a_page_that_says_so(chromium, tmp_path):
    written(make(tmp_path / "d", [[]]), out=tmp_path / "r.html", say=lambda said: None)
    with opened(chromium, tmp_path / "r.html", width=390) as tab:
        assert "nothing to bound" in tab.locator("#thresholds").inner_text()
        assert tab.locator("#thresholds details, #thresholds input").count() == 0
        assert tab.locator("#provenance tr", has_text="first_fetch").count() == 0
