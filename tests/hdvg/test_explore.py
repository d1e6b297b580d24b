"""What the explorer shows is what DuckDB says of the dataset: counts, histograms, cubes, rows in any order; and what people write stays."""

from __future__ import annotations

import json
import math
import os
import random
import re
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest

from hdvg.config.recipe import load_recipe, parse_recipe
from hdvg.dataset.dataset import Dataset
from hdvg.dataset.intake import accept
from hdvg.dataset.stages import part_schema
from hdvg.explore import counting, sidecar
from hdvg.explore.arrays import pack, plain
from hdvg.explore.masks import Asking, SupersededError
from hdvg.explore.state import Explorer, wait
from hdvg.ids import digest
from hdvg.planning import make_plan
from tests.explorer import Browser, Served, served, unpack
from tests.products import Clip, make

CLIPS = 3000
KEEP = {
    "too_short": "duration_s >= 2",
    "dark": "luma_mean >= 16",
    "blurry": "sharpness > quantile(0.1)",
    "odd": "fps is null or fps < 60 or black_share > 0.5",
}
MEASURES = ("duration_s", "luma_mean", "sharpness", "motion_px_s", "black_share", "fps", "width", "noise_levels")
TRIES = 500


def add(dataset: Dataset, number: int, clips: list[dict[str, Any]]) -> None:
    """One video more, with these clips."""
    links = dataset.root.parent / "links.txt"
    links.write_text(f"https://a.org/{number}.mp4")
    accept(dataset, str(links))
    with dataset.manifest() as manifest:
        (row,) = manifest.rows("select video_id, unit from inputs where source like ?", [f"%/{number}.mp4"])
    base = {"video_id": row["video_id"], "status": "ok", "generation": 0, "attempt": 1}
    rows = {
        "download": [{**base, "sha256": f"{number:064}", "title": f"film {number}"}],
        "split": [
            base,
            *({**base, "clip_id": digest("clip", number, place), **clip} for place, clip in enumerate(clips)),
        ],
    }
    for stage, some in rows.items():
        table = pa.Table.from_pylist(some, schema=part_schema(stage))
        dataset.store.publish_table(f"parts/{stage}/{row['unit']}-{dataset.plan.fingerprints[stage]}-0.parquet", table)


def drawn(draw: random.Random) -> dict[str, Any]:
    """A clip with ties, nulls, infinities and what is no number."""
    odd = draw.choice([None, math.nan, math.inf, -math.inf, 0.0, -0.0])
    return {
        "duration_s": round(draw.expovariate(0.3), 2),
        "luma_mean": draw.choice([0.0, 16.0, 16.000000001, 100.0, 255.0]),
        "sharpness": draw.lognormvariate(5, 1) if draw.random() < 0.9 else odd,
        "motion_px_s": draw.gauss(0, 1e6) if draw.random() < 0.95 else None,
        "black_share": draw.random(),
        "fps": draw.choice([None, 23.976, 25.0, 59.94, 60.0]),
        "width": draw.choice([640, 1280, 1920]),
        "noise_levels": draw.choice([math.nan, None]),
        "n_frames": 50, "start_s": draw.random() * 100, "end_s": 200.0,
    }  # fmt: skip


@pytest.fixture(scope="module")
def dataset(tmp_path_factory: pytest.TempPathFactory) -> Dataset:
    root = tmp_path_factory.mktemp("explored") / "d"
    root.mkdir()
    plan = make_plan(parse_recipe({"keep": KEEP, "caption": {"captioner": "none"}}))
    made = Dataset(root, type(plan)(plan.recipe, plan.fingerprints, plan.measures, {"sharpness:0.1": 40.0}))
    made.store.begin()
    made.prepare()
    draw = random.Random(17)
    for number in range(3):
        add(made, number, [drawn(draw) for _ in range(CLIPS // 3)])
    return made


@pytest.fixture(scope="module")
def server(dataset: Dataset) -> Iterator[Served]:
    with served(dataset.root, dataset.root.parent) as running:
        yield running


@pytest.fixture(scope="module")
def manifest(dataset: Dataset) -> Iterator[Any]:
    with dataset.manifest() as opened:
        opened.connection.execute("create table held as from dataset")
        yield opened


def bound(draw: random.Random, values: dict[str, list[float]]) -> tuple[dict[str, Any], str]:
    """A bound as the page sends it, and in SQL."""
    column = draw.choice(MEASURES)
    said: dict[str, Any] = {"column": column}
    tests = []
    for side, closed, strict in (("low", ">=", ">"), ("high", "<=", "<")):
        if draw.random() < 0.3:
            continue
        number = draw.choice([*draw.sample(values[column], 3), draw.gauss(50, 100), 0.0, math.inf, -math.inf, 1e300])
        is_closed = draw.random() < 0.5
        said |= {side: plain(number), f"{side}_closed": is_closed}
        text = repr(number) if math.isfinite(number) else f"'{number}'"
        tests.append(f"{column} {closed if is_closed else strict} {text}::double")
    return said, " and ".join(tests) or "true"


def test_any_bounds_count_as_duckdb_counts(server: Served, manifest: Any) -> None:
    draw = random.Random(3)
    finite = "select {0}::double from held where isfinite({0}::double)"
    values = {
        name: [row[0] for row in manifest.connection.execute(finite.format(name)).fetchall()] for name in MEASURES
    }
    values = {name: some or [1.0, 2.0, 3.0] for name, some in values.items()}
    for _ in range(TRIES):
        pairs = [bound(draw, values) for _ in range(draw.choice([1, 1, 2, 3]))]
        verdict = draw.choice([None, None, "kept", "dropped"])
        selection = {"bounds": [said for said, _ in pairs], **({"verdict": verdict} if verdict else {})}
        where = (
            " and ".join(sql for _, sql in pairs) + {None: "", "kept": " and keep", "dropped": " and not keep"}[verdict]
        )
        (expected,) = manifest.connection.execute(f"select count(*), coalesce(sum(duration_s), 0) / 3600 from held where {where}").fetchall()  # fmt: skip
        found = server.browser.post("/api/count", {"selection": selection}).json
        assert found.get("clips") == expected[0], (found, selection, where)
        assert found["hours"] == pytest.approx(expected[1], rel=1e-12)


def test_codes_are_the_edges_that_meta_tells(server: Served, manifest: Any) -> None:
    meta = server.browser.get("/api/meta").json
    columns = {column["name"]: column for column in meta["columns"]}
    assert {"duration_s", "luma_mean", "sharpness", "width"} <= set(columns)
    _, arrays = server.browser.post("/api/hist", {"columns": list(columns)}).arrays
    for name in ("duration_s", "sharpness", "motion_px_s", "luma_mean"):
        edges = [float(edge) for edge in columns[name]["edges"]]
        assert edges == sorted(edges)
        assert len(edges) <= 255
        values = manifest.connection.execute(f"select {name}::double as v from held").fetchnumpy()["v"]
        places = np.searchsorted(edges, np.ma.getdata(values), "right")
        expected = np.bincount(np.where(np.ma.getmaskarray(values), 0, places), minlength=len(edges) + 1)
        assert arrays[name].tolist() == expected.tolist()
    for rule in meta["rules"][:3]:
        value = rule["low"]["value"]
        column = columns[rule["column"]]
        both = {value, float(np.nextafter(value, np.inf))}
        assert column["lossless"] or both <= {float(edge) for edge in column["edges"]}


def test_histograms_filter_each_other_and_not_themselves(server: Served, manifest: Any) -> None:
    selection = {
        "verdict": "kept",
        "bounds": [{"column": "motion_px_s", "low": 0}, {"column": "duration_s", "high": 5}],
    }
    header, arrays = server.browser.post("/api/hist", {"selection": selection, "columns": ["duration_s", "luma_mean", "width"]}).arrays  # fmt: skip
    tests = {
        "duration_s": "luma_mean >= 16 and motion_px_s >= 0",  # neither the bound nor the rule on it
        "luma_mean": "duration_s >= 2 and duration_s <= 5 and motion_px_s >= 0",
        "width": "duration_s >= 2 and luma_mean >= 16 and duration_s <= 5 and motion_px_s >= 0",
    }
    for name, test in tests.items():
        sql = f"select count({name}) from held where sharpness > 40.0 and (fps is null or fps < 60 or black_share > 0.5) and {test}"
        assert arrays[name][1:].sum() == manifest.one(sql)
    assert header["clips"] == manifest.one(
        "select count(*) from held where keep and motion_px_s >= 0 and duration_s <= 5"
    )


def test_a_drag_looks_up_what_a_question_would_count(server: Served) -> None:
    columns = {column["name"]: column for column in server.browser.get("/api/meta").json["columns"]}
    selection = {"verdict": "kept"}
    body = {"selection": selection, "column": "motion_px_s", "columns": ["luma_mean", "duration_s"], "part": "all"}
    header, cube = server.browser.post("/api/cube", body).arrays
    assert header["share"] == 1
    edges = columns["motion_px_s"]["edges"]
    draw = random.Random(5)
    for _ in range(20):
        low, high = sorted(draw.sample(range(1, len(edges) - 1), 2))
        ends = [{"column": "motion_px_s", "low": edges[low], "high": edges[high], "high_closed": False}]
        found = server.browser.post("/api/count", {"selection": {**selection, "bounds": ends}}).json
        assert int(cube["clips"][high]) - int(cube["clips"][low]) == found["clips"]
        assert cube["hours"][high] - cube["hours"][low] == pytest.approx(found["hours"], abs=1e-9)
        _, fine = server.browser.post("/api/hist", {"selection": {**selection, "bounds": ends}, "columns": ["luma_mean", "duration_s"]}).arrays  # fmt: skip
        for name in ("luma_mean", "duration_s"):
            starts = [0, *(first + 1 for first in columns[name]["coarse"])]
            slab = cube[name][high].astype(int) - cube[name][low].astype(int)
            rule_free = name not in ("luma_mean", "duration_s")
            assert slab.sum() == found["clips"]
            assert rule_free or (slab <= np.add.reduceat(fine[name], starts)).all()


def test_the_first_eighth_is_a_fair_sample_of_what_follows(dataset: Dataset, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("hdvg.explore.questions.LEAST_ROWS", 100)
    with served(dataset.root, dataset.root.parent) as server:
        body = {"column": "duration_s", "columns": [], "part": "eighth"}
        header, part = server.browser.post("/api/cube", body).arrays
        _, whole = server.browser.post("/api/cube", {**body, "part": "all"}).arrays
    assert header["share"] == 1 / 8
    assert part["clips"][-1] == CLIPS // 8
    assert np.abs(part["clips"] * 8.0 - whole["clips"]).max() < 0.1 * CLIPS


def test_rows_come_in_any_order_from_anywhere(server: Served, manifest: Any) -> None:
    def ids(**asked: Any) -> list[str]:
        return [row["clip_id"] for row in server.browser.post("/api/rows", asked).json["rows"]]

    def expected(sql: str) -> list[str]:
        return [row[0] for row in manifest.connection.execute(sql).fetchall()]

    assert ids(limit=500) == expected("select clip_id from held order by draw limit 500")
    assert ids(offset=CLIPS - 3, limit=50) == expected(f"select clip_id from held order by draw offset {CLIPS - 3}")
    assert ids(offset=CLIPS + 10) == []
    by = {"column": "sharpness", "descending": True}
    assert ids(sort=by, offset=700, limit=40) == expected("select clip_id from held order by sharpness desc nulls last, draw limit 40 offset 700")  # fmt: skip
    selection = {"verdict": "dropped", "broken": ["dark"]}
    answer = server.browser.post("/api/rows", {"selection": selection, "limit": 200, "columns": ["luma_mean"]}).json
    assert answer["total"] == manifest.one(
        "select count(*) from held where not keep and list_contains(reasons, 'dark')"
    )
    reasons = {row["clip_id"]: row["reasons"] for row in manifest.rows("select clip_id, reasons from held")}
    for row in answer["rows"]:
        assert row["reasons"] == reasons[row["clip_id"]]
        assert (row["keep"], row["values"]["luma_mean"]) == (False, 0.0)


@pytest.mark.parametrize("column", ["motion_px_s", "luma_mean", "width", "sharpness"])
@pytest.mark.parametrize("descending", [False, True])
def test_first_pages_of_a_large_dataset_are_those_of_the_whole_order(
    server: Served, manifest: Any, monkeypatch: pytest.MonkeyPatch, *, column: str, descending: bool
) -> None:
    monkeypatch.setattr("hdvg.explore.grid.LEAST_ROWS", 0)
    monkeypatch.setattr("hdvg.explore.grid.NEAR", 0)
    asked = {"sort": {"column": column, "descending": descending}, "offset": 20, "limit": 100}
    found = server.browser.post(
        "/api/rows", {**asked, "selection": {"bounds": [{"column": "duration_s", "low": 1.5}]}}
    ).json
    way = "desc" if descending else "asc"
    sql = (
        f"select clip_id from held where duration_s >= 1.5 order by {column} {way} nulls last, draw limit 100 offset 20"
    )
    assert [row["clip_id"] for row in found["rows"]] == [row[0] for row in manifest.connection.execute(sql).fetchall()]
    assert found["total"] == manifest.one("select count(*) from held where duration_s >= 1.5")


def test_conditions_of_every_sort_select_what_they_say(server: Served, manifest: Any) -> None:
    cases = [
        ({"sql": "sharpness > 100 and title like 'film 1%'"}, "sharpness > 100 and title like 'film 1%'"),
        ({"only": [{"column": "width", "values": [640, 1920]}]}, "width in (640, 1920)"),
        ({"only": [{"column": "fps", "values": [None, 25]}]}, "fps is null or fps = 25"),
        ({"only": [{"column": "black_share", "values": []}]}, "false"),
        ({"text": "FILM 2"}, "title = 'film 2'"),
        ({"text": "nowhere"}, "false"),
        ({"rules": {"long": "duration_s > 3"}, "verdict": "kept"}, "duration_s > 3"),
        ({"rules": {"long": "duration_s > 3"}, "verdict": "dropped"}, "not duration_s > 3"),
        ({"rules": {"q": "duration_s > quantile(0.5)"}, "verdict": "kept"}, "duration_s > (select quantile_cont(duration_s, 0.5) from held)"),
        ({"marks": ["none"]}, "true"),
    ]  # fmt: skip
    for selection, sql in cases:
        found = server.browser.post("/api/count", {"selection": selection}).json
        assert found["clips"] == manifest.one(f"select count(*) from held where {sql}"), selection


@pytest.mark.parametrize(
    "selection",
    [
        {"sql": "1) or (1=1"},
        {"sql": "clip_id in (select clip_id from clips)"},
        {"sql": "repeat('x', 100000000) = caption"},
        {"sql": "read_text('/etc/passwd') is null"},
        {"sql": "no_such > 1"},
        {"bounds": [{"column": "caption; drop", "low": 1}]},
        {"bounds": [{"column": "duration_s", "low": "1; x"}]},
        {"bounds": [{"column": "duration_s", "low": True}]},
        {"bounds": [{}] * 300},
        {"only": [{"column": "width", "values": ["x"]}]},
        {"verdict": "maybe"},
        {"broken": ["no_rule"]},
        {"marks": ["x"]},
        {"polygon": [[0, 0], [1, 1]]},
        {"polygon": [[0, 0], [1, 1], ["NaN", 1]]},
        {"like": "0" * 32},
        {"rules": {"x": "not a rule ("}},
        {"surprise": 1},
        [1],
    ],
)
def test_what_is_no_selection_is_refused_with_words(server: Served, selection: Any) -> None:
    answer = server.browser.post("/api/count", {"selection": selection})
    assert answer.status == 400
    assert len(answer.json["error"]) > 10


def test_what_if_is_what_the_command_says(server: Served, dataset: Dataset) -> None:
    rules = {**KEEP, "too_short": "duration_s >= 4"}
    found = server.browser.post("/api/whatif", {"rules": rules}).json
    words = ["filter", str(dataset.root), "--what-if", "duration_s >= 4", "--json"]
    said = json.loads(subprocess.run([sys.executable, "-m", "hdvg.cli", *words], check=True, capture_output=True, text=True).stdout)  # fmt: skip
    for name in ("all", "before", "after", "newly_kept", "newly_dropped"):
        assert found[name] == pytest.approx(said[name], rel=1e-12)
    for name in ("rules", "overlap", "dropped", "sets"):  # counted from masks here, by DuckDB there
        assert found[name] == said[name]
    assert found["funnel"][-1]["clips"] == said["after"]["clips"]
    assert "keep.too_short=duration_s >= 4" in found["command"]


def test_two_drafts_are_compared_clip_by_clip(server: Served, manifest: Any) -> None:
    a, b = {"x": "duration_s >= 2"}, {"x": "duration_s >= 2", "y": "luma_mean > 20"}
    wide = {"bounds": [{"column": "width", "low": 1280}]}
    found = server.browser.post("/api/compare", {"a": a, "b": b, "selection": wide}).json
    tests = {
        "both": "duration_s >= 2 and luma_mean > 20",
        "only_a": "duration_s >= 2 and not luma_mean > 20",
        "only_b": "false",
        "neither": "duration_s < 2",
    }
    for name, test in tests.items():
        assert found[name]["clips"] == manifest.one(f"select count(*) from held where width >= 1280 and {test}")
    assert found["changed"] == [{"rule": "y", "a": None, "b": "luma_mean > 20"}]
    assert all(row["reasons"] == ["y"] for row in found["rows_only_a"])


def test_thresholds_are_saved_as_a_recipe_that_filter_takes_and_none_is_overwritten(
    server: Served, dataset: Dataset
) -> None:
    rules = {"too_short": "duration_s >= 2.5"}
    answer = server.browser.post("/api/recipe", {"name": "mine", "rules": rules})
    path = dataset.root.parent / "mine.toml"
    assert (answer.status, load_recipe(path).keep) == (200, rules)
    assert server.browser.post("/api/recipe", {"name": "mine", "rules": {}}).status == 409
    assert server.browser.get("/api/recipes").json == [{"name": "mine"}]
    assert server.browser.get("/api/recipes/mine").json["rules"] == rules
    for odd in ("../x", "", "A", "x/y", "x" * 61, 3, None):
        assert server.browser.post("/api/recipe", {"name": odd, "rules": rules}).status == 400
    assert server.browser.get("/api/recipes/..%2fmine").status == 404


def test_marks_are_found_by_rules_and_filters_and_taken_back(tmp_path: Path) -> None:
    dataset = make(tmp_path / "d", [[Clip(0, 3000, b"a"), Clip(3000, 9000, b"b")]])
    with served(dataset.root, tmp_path) as server:
        (first, second) = (row["clip_id"] for row in server.browser.post("/api/rows").json["rows"])

        def counted(**selection: Any) -> int:
            return int(server.browser.post("/api/count", {"selection": selection}).json["clips"])

        assert counted(marks=["drop"]) == 0
        said = {"clip_id": first, "mark": "drop", "note": "shaky </script>", "caption": "a better one"}
        assert server.browser.post("/api/annotations", {"rows": [said]}).json == {"written": 1}
        assert (counted(marks=["drop"]), counted(marks=["none"])) == (1, 1)
        assert counted(rules={"mine": "not marked_drop"}, verdict="kept") == 1
        assert (counted(sql="marked_drop"), counted(text="shaky")) == (1, 1)
        page = server.browser.get(f"/api/clip/{first}").json
        assert [(one["author"], one["mark"], one["note"]) for one in page["annotations"]] == [
            ("ada", "drop", said["note"])
        ]
        assert [one["here"] for one in page["neighbours"]] in ([True, False], [False, True])
        assert server.browser.post("/api/annotations", {"rows": [{"clip_id": first, "mark": None}]}).status == 200
        assert (counted(marks=["drop"]), counted(text="shaky")) == (0, 1)
        nobody, unknown, strange = (
            {"clip_id": "0" * 32, "mark": "keep"},
            {"clip_id": second, "mark": "maybe"},
            {"mark": "keep"},
        )
        for odd in (
            nobody,
            unknown,
            strange,
            {"clip_id": second, "path": "x"},
            {"clip_id": second, "note": "x" * 10_001},
        ):
            assert server.browser.post("/api/annotations", {"rows": [odd]}).status == 400


def test_what_was_said_survives_the_server_being_killed(tmp_path: Path) -> None:
    dataset = make(tmp_path / "d", [[Clip(0, 3000, b"a"), Clip(3000, 9000, b"b")]])
    with subprocess.Popen(
        [sys.executable, "-m", "hdvg.cli", "explore", str(dataset.root), "--no-browser"],
        stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True, env=os.environ,
    ) as process:  # fmt: skip
        assert process.stdout is not None
        found = re.search(r":(\d+)/#token=(\S+)", process.stdout.readline())
        assert found is not None
        browser = Browser(int(found[1]))
        browser.open(found[2])
        browser.ready()
        (first, *_) = (row["clip_id"] for row in browser.post("/api/rows").json["rows"])
        assert browser.post("/api/annotations", {"rows": [{"clip_id": first, "mark": "flag"}]}).status == 200
        process.send_signal(signal.SIGKILL)
    with dataset.manifest() as manifest:
        assert manifest.rows("select clip_id, mark from annotations") == [{"clip_id": first, "mark": "flag"}]


def test_a_dataset_that_grows_is_noticed_and_taken_over_when_asked(tmp_path: Path, new_dataset: Dataset) -> None:
    add(new_dataset, 1, [{"duration_s": 1.0}])
    with served(new_dataset.root, tmp_path) as server:
        before = server.browser.post("/api/count")
        assert "x-hdvg-stale" not in before.headers
        add(new_dataset, 2, [{"duration_s": 2.0}, {"duration_s": 3.0}])
        stale = server.browser.post("/api/count")
        assert (stale.json["clips"], stale.headers["x-hdvg-stale"]) == (1, "1")
        assert server.browser.get("/api/live").json["changed"] is True
        assert server.browser.post("/api/refresh").status == 202
        end = time.monotonic() + 30
        while server.browser.post("/api/count").json.get("clips") != 3 and time.monotonic() < end:
            time.sleep(0.05)
        after = server.browser.post("/api/count")
        assert after.json["clips"] == 3
        assert after.headers["x-hdvg-snapshot"] != before.headers["x-hdvg-snapshot"]


def test_a_folder_that_takes_no_files_is_shown_all_the_same(tmp_path: Path, new_dataset: Dataset, monkeypatch: pytest.MonkeyPatch) -> None:  # fmt: skip
    add(new_dataset, 1, [{"duration_s": 1.0}])
    root = shutil.copytree(new_dataset.root, tmp_path / "read-only")
    monkeypatch.setattr("hdvg.explore.state.os.access", lambda *_: False)
    (root / "cache").write_text("no folder")
    explorer = Explorer(root, author="ada", folder=tmp_path)
    explorer.start()
    assert len(wait(explorer, limit_s=30).sidecar.lengths_s) == 1
    explorer.close()


def test_a_newer_question_ends_the_older(server: Served) -> None:
    with server.explorer.newest("drag") as older:
        older.check()
        with server.explorer.newest("drag"), server.explorer.newest("other"), pytest.raises(SupersededError):
            older.check()
    asking = Asking()
    asking.stop()
    state = server.explorer.state
    assert state is not None
    with pytest.raises(SupersededError):
        counting.histogram(state.sidecar, "width", np.ones(CLIPS, bool), asking)
    with pytest.raises(SupersededError):
        asking.run(state.connection, "select 1")


def test_live_tells_of_stages_and_answers_304(server: Served) -> None:
    answer = server.browser.get("/api/live")
    stages = {stage["stage"]: stage for stage in answer.json["stages"]}
    assert stages["split"]["done"] == 3
    assert server.browser.get("/api/live", If_None_Match=answer.headers["etag"]).status in (200, 304)


def test_arrays_stand_where_their_header_says() -> None:
    given: dict[str, Any] = {
        "a": np.arange(5, dtype=np.uint8),
        "b": np.array([[1.5, math.nan]]),
        "c": b"RIFF",
        "d": np.zeros((0, 3), np.uint32),
    }
    header, found = unpack(pack({"x": math.inf}, given))
    assert header["x"] == "Infinity"
    assert found["a"].tolist() == [0, 1, 2, 3, 4]
    assert (found["b"].shape, found["c"], found["d"].shape) == ((1, 2), b"RIFF", (0, 3))
    assert plain({"n": 2**60, "t": [math.nan, None]}) == {"n": str(2**60), "t": ["NaN", None]}


def test_the_sidecar_is_made_again_for_other_bounds_only_where_codes_change(
    tmp_path: Path, new_dataset: Dataset
) -> None:
    add(new_dataset, 1, [{"duration_s": 1.0}])
    first = sidecar.make(new_dataset, new_dataset.store, lambda *_: None)
    other = Dataset(
        new_dataset.root, make_plan(parse_recipe({"keep": {"x": "duration_s > 3"}, "caption": {"captioner": "none"}}))
    )
    second = sidecar.make(other, other.store, lambda *_: None)
    assert first.rows == second.rows
    sidecar.sweep(other.store, second)
    assert len(list((new_dataset.root / "cache").glob("explore-codes-*.u1"))) == 1


def with_embeddings(root: Path, vectors: np.ndarray) -> Dataset:
    """A dataset of one video, each clip with its embedding."""
    root.mkdir()
    recipe = parse_recipe({"keep": {"x": "consistency >= -1"}, "caption": {"captioner": "none"}})
    dataset = Dataset(root, make_plan(recipe))
    dataset.store.begin()
    dataset.prepare()
    add(dataset, 1, [{"duration_s": 1.0, "start_s": float(place)} for place in range(len(vectors))])
    with dataset.manifest() as manifest:
        rows = manifest.rows("select clip_id, video_id from split_rows where clip_id is not null order by start_s")
        unit = manifest.one("select unit from inputs where status = 'new'")
    said = {"status": "ok", "generation": 0, "attempt": 1, "consistency": 1.0, "semantics_model": "m-1"}
    rows = [{**row, **said, "embedding": vector.tolist()} for row, vector in zip(rows, vectors, strict=True)]
    table = pa.Table.from_pylist(rows, schema=part_schema("semantics"))
    dataset.store.publish_table(f"parts/semantics/{unit}-{dataset.plan.fingerprints['semantics']}-0.parquet", table)
    return dataset


def test_clips_that_look_alike_are_found_mapped_and_lassoed(tmp_path: Path) -> None:
    rng = np.random.default_rng(1)
    groups = np.repeat([[1.0, 0, 0, 0], [0, 1.0, 0, 0]], 40, axis=0) + rng.normal(0, 0.05, (80, 4))
    vectors = (groups / np.linalg.norm(groups, axis=1, keepdims=True)).astype(np.float32)
    dataset = with_embeddings(tmp_path / "d", vectors)
    with served(dataset.root, tmp_path) as server:
        assert server.browser.get("/api/meta").json["has"]["embeddings"] is True
        rows = server.browser.post("/api/rows", {"limit": 500, "sort": {"column": "duration_s"}}).json["rows"]
        by_start = {row["start_s"]: row["clip_id"] for row in rows}
        ids = [by_start[float(place)] for place in range(80)]
        found = server.browser.post("/api/similar", {"clip_id": ids[3], "limit": 40}).json["rows"]
        cosines = vectors.astype(np.float16).astype(np.float32) @ vectors[3].astype(np.float16).astype(np.float32)
        assert [row["clip_id"] for row in found[:10]] == [ids[place] for place in np.argsort(-cosines)[:10]]
        assert [row["likeness"] for row in found] == sorted((row["likeness"] for row in found), reverse=True)
        header, points = server.browser.get("/api/map").arrays
        assert (header["clips"], header["share"], header["model"]) == (80, 1, "m-1")
        shown = server.browser.post("/api/places", {"places": points["place"].tolist()}).json["rows"]
        left = {ids.index(row["clip_id"]) < 40: x for row, x in zip(shown, points["x"].tolist(), strict=True)}
        edge = (min(left.values()) + max(left.values())) // 2
        side = 1 if left[True] > left[False] else -1
        corners = [[edge, -32767], [side * 32767, -32767], [side * 32767, 32767], [edge, 32767]]
        lassoed = server.browser.post("/api/lasso", {"polygon": corners}).json
        assert lassoed["clips"] == 40
        assert all(ids.index(row["clip_id"]) < 40 for row in lassoed["rows"])
        assert server.browser.post("/api/count", {"selection": {"polygon": corners}}).json["clips"] == 40
        codes = server.browser.post("/api/codes", {"column": "duration_s"}).arrays[1]["codes"]
        assert codes.tolist() == [1] * 80


def test_without_embeddings_the_map_says_what_it_needs(server: Served) -> None:
    answer = server.browser.get("/api/map")
    assert (answer.status, "semantics" in answer.json["error"]) == (404, True)
