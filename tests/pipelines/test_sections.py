"""A dataset whose sources are fetched in part: the same clips as of whole ones, and fetching more later renames nothing."""

from __future__ import annotations

import io
import shutil
from pathlib import Path

import pytest
from rich.console import Console

from hdvg.config.recipe import parse_recipe
from hdvg.dataset.dataset import Dataset
from hdvg.measures.sound import Sound
from hdvg.planning import make_plan
from hdvg.reports.explain import explain
from hdvg.reports.status import status
from hdvg.reports.verify import verify
from pipelines.import_set import import_files
from tests import sources
from tests.pipelines.test_modes import shard_rows
from tests.pipelines.test_run import ask, go
from tests.servers import HostileServer, serve_folder
from tests.servers import status as refuse
from tests.tools import need

RECIPE = """
name = "test"
[caption]
captioner = "none"
[cut]
preset = "ultrafast"
threads = 1
"""
FIRST = [("/first.mp4", 10, 11), ("/first.mp4", 20.2, 21)]
LATER = [("/first.mp4", 30, 31.5), ("/first.mp4", 10, 11)]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("sources")
    sources.make(sources.SOURCES["MP4, moov first"], folder)
    return folder


def spans(path: Path, server: HostileServer, rows: list[tuple[str, float, float]]) -> Path:
    path.write_text(
        "link,start_s,end_s\n" + "".join(f"{server.url(link)},{start},{end}\n" for link, start, end in rows)
    )
    return path


def take_in(root: Path, file: Path, *sets: str) -> None:
    there = (root / "dataset.toml").exists()
    recipe = file.with_name("recipe.toml")
    recipe.write_text(RECIPE)
    told = {"recipe": None, "sets": ()} if there else {"recipe": str(recipe), "sets": sets}
    list(import_files(root, [file], origin="spans", limit=None, console=Console(file=io.StringIO()), **told))


def finish(root: Path) -> list:
    return go(root, Dataset.open(root).plan.recipe)


CLIPS = "select link, start_s, span_id, clip_id, clips.n_frames, partial, start_frame, cut_status from clips join videos using (video_id) order by 1, 2"


@pytest.fixture(scope="module")
def site(folder: Path):
    with serve_folder(folder) as server:
        yield server


@pytest.fixture(scope="module")
def finished(site: HostileServer, tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("part") / "dataset"
    take_in(root, spans(root.parent / "spans.csv", site, FIRST))
    finish(root)
    return root


def test_part_and_whole_have_the_same_spans_under_other_names(finished, site, tmp_path):
    whole = tmp_path / "whole"
    take_in(whole, spans(tmp_path / "spans.csv", site, FIRST), "fetch.sections=whole")
    finish(whole)
    rows, truth = ask(finished, CLIPS), ask(whole, CLIPS)
    assert [row[:3] for row in rows] == [row[:3] for row in truth]
    assert [row[4] for row in rows] == [row[4] for row in truth] == [25, 20]
    assert {row[5:] for row in rows} == {(True, None, "ok")}
    assert not {row[3] for row in rows} & {row[3] for row in truth}
    sound = ", ".join(Sound.columns)  # is measured of whole videos alone
    measured = (
        f"select m.* exclude (clip_id, draw, {sound}) from measures m join clips c using (clip_id) "
        "order by m.video_id, c.start_s"
    )
    assert ask(finished, measured) == ask(whole, measured)
    assert ask(whole, "select distinct partial from clips") == [(False,)]


def test_speech_in_a_part_is_not_known_and_nothing_is_said_against_it(finished, tmp_path):
    need("onnxruntime", "silero_vad")
    root = Path(shutil.copytree(finished, tmp_path / "d"))
    recipe = Dataset.open(root).plan.recipe
    measure = recipe.measure.model_copy(update={"also": ("speech",)})
    (done,) = go(root, recipe.model_copy(update={"measure": measure}))
    assert (done.stage, done.statuses) == ("speech", {"ok": 2})
    assert ask(root, "select distinct speech_share from measures") == [(None,)]


def test_what_was_fetched_is_recorded_and_the_dataset_verifies(finished):
    rows = ask(
        finished, "select fetched_ranges, source_bytes, bytes, whole_because, n_frames, vfr, start_pts from videos"
    )
    assert len(rows) == 1
    for ranges, size, held, because, *of_whole in rows:
        assert {one["kind"] for one in ranges} == {"bytes"}
        assert sum(one["until"] - one["start"] for one in ranges) < held < size
        assert (because, of_whole) == (None, [None, None, 0])
    assert verify(Dataset.open(finished)) == []
    said = status(Dataset.open(finished)).sections
    assert said["videos"] == 1
    assert said["saved_bytes"] == sum(
        size - sum(one["until"] - one["start"] for one in ranges) for ranges, size, *_ in rows
    )
    clip = ask(finished, "select clip_id from clips limit 1")[0][0]
    assert explain(Dataset.open(finished), clip).clip["partial"]


def test_changed_bit_of_an_excerpt_is_found(finished, tmp_path):
    root = tmp_path / "d"
    shutil.copytree(finished, root)
    excerpt = next((root / "media").glob("*/*.excerpt"))
    data = bytearray(excerpt.read_bytes())
    data[-1] ^= 1
    excerpt.write_bytes(data)
    assert [problem.check for problem in verify(Dataset.open(root))] == ["corrupt"]


def test_scenes_added_later_rename_and_recut_nothing(finished, site, tmp_path):
    root = tmp_path / "d"
    shutil.copytree(finished, root)
    before = ask(root, CLIPS)
    cuts = ask(root, "select clip_id, clip_sha256 from clips order by 1")
    take_in(root, spans(tmp_path / "later.csv", site, LATER))
    assert ask(root, "select stage, count(*) from pending group by all") == [("download", 1)]
    done = finish(root)
    assert [(one.stage, one.statuses) for one in done if one.stage in ("download", "split", "cut")] == [
        ("download", {"ok": 1}), ("split", {"ok": 1}), ("cut", {"ok": 1}),
    ]  # fmt: skip
    after = ask(root, CLIPS)
    assert len(after) == 3
    assert set(before) < set(after)
    assert set(cuts) < set(ask(root, "select clip_id, clip_sha256 from clips"))
    assert verify(Dataset.open(root)) == []
    assert finish(root) == []


def test_clips_stay_if_the_link_is_gone_when_scenes_are_added(finished, site, tmp_path):
    root = tmp_path / "d"
    shutil.copytree(finished, root)
    before = ask(root, CLIPS)
    take_in(root, spans(tmp_path / "later.csv", site, LATER))
    site.routes["/first.mp4"] = refuse(404)
    try:
        finish(root)
        assert ask(root, CLIPS) == before
        assert ask(root, "select stage, count(*) from pending group by all") == [("download", 1)]
    finally:
        site.routes.clear()
    finish(root)
    assert len(ask(root, CLIPS)) == 3


def test_source_that_was_let_go_is_fetched_again_in_the_same_part(finished, site, tmp_path):
    root = tmp_path / "d"
    shutil.copytree(finished, root)
    held = ask(root, "select sha256 from videos")
    for path in (root / "media").glob("*/*.excerpt"):
        path.unlink()
    for path in (root / "parts/cut").glob("*.parquet"):
        if not path.name.startswith("seed-"):
            path.unlink()
    (root / "ledger.parquet").unlink()  # as after a kill, which comes before the part is in it
    finish(root)
    assert {row[-1] for row in ask(root, CLIPS)} == {"ok"}
    assert ask(root, "select sha256 from videos") == held
    assert verify(Dataset.open(root)) == []


def test_virtual_clips_of_an_excerpt_that_was_let_go_are_cut_from_a_new_one(finished, site, tmp_path):
    root = tmp_path / "d"
    virtual = ("cut.mode=virtual", "storage.keep_sources=false")
    take_in(root, spans(tmp_path / "spans.csv", site, FIRST), *virtual)
    for stage in ("download", "split", "cut"):
        go(root, Dataset.open(root).plan.recipe, stage=stage)
    assert not list((root / "media").glob("*/*.excerpt"))
    finish(root)
    assert [row["cut_n_frames"] for row in shard_rows(root)] == [25, 20]
    assert {row["clip_id"] for row in shard_rows(root)} == {row[3] for row in ask(finished, CLIPS)}


def test_names_do_not_depend_on_whether_the_server_serves_ranges(finished, site, folder, tmp_path):
    """The same links, answered whole: nothing but `partial` differs, and it says why."""
    root = tmp_path / "d"
    take_in(root, spans(tmp_path / "spans.csv", site, FIRST))
    site.routes["/first.mp4"] = unranged((folder / "first.mp4").read_bytes())
    try:
        finish(root)
    finally:
        site.routes.clear()
    assert [row[:5] for row in ask(root, CLIPS)] == [row[:5] for row in ask(finished, CLIPS)]
    assert ask(root, "select distinct fetched_ranges, source_bytes, whole_because from videos") == [
        (None, None, "the server does not serve ranges (status 200)")
    ]


def unranged(data: bytes):
    def answer(handler) -> None:
        handler.head(200, {"Content-Type": "video/mp4", "Content-Length": str(len(data))})
        handler.send(data)

    return answer


def test_settings_of_before_have_the_fingerprints_of_before():
    plain = make_plan(parse_recipe({"name": "test"}))
    assert make_plan(parse_recipe({"name": "test", "fetch": {"sections": "whole"}})).fingerprints == plain.fingerprints
    parts = make_plan(parse_recipe({"name": "test", "fetch": {"sections": "auto"}}))
    assert parts.fingerprints["download"] != plain.fingerprints["download"]
    assert plain.fingerprints["download"] == "141b08a971d7"


def test_forgotten_video_leaves_nothing_of_its_excerpt(finished, site, tmp_path):
    from hdvg.takedown import find, hide

    root = tmp_path / "d"
    shutil.copytree(finished, root)
    dataset = Dataset.open(root)
    ((video, sha256),) = ask(root, "select video_id, sha256 from videos where link like '%first.mp4'")
    found = find(dataset, [("video", video)])
    with dataset.store.aside() as store:
        hide(dataset, store, found)
    assert ask(root, "select count(*) from videos") == [(0,)]
    assert found.media >= {sha256}
