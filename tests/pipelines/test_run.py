"""A whole run on real decoding, real yt-dlp and real files: each link one final row, and only new work is done."""

from __future__ import annotations

import io
import shutil
from collections.abc import Callable
from pathlib import Path

import duckdb
import pyarrow.parquet as pq
import pytest
from rich.console import Console

from hdvg.config.recipe import Recipe, parse_recipe
from hdvg.dataset.dataset import Dataset
from hdvg.dataset.plan import Plan
from hdvg.dataset.shards import in_turn, write_shards
from hdvg.dataset.stages import part_schema
from hdvg.dataset.store import Store
from hdvg.errors import LostClipsError, ResourceError, UsageError
from hdvg.ids import file_sha256
from hdvg.reports.explain import explain
from hdvg.reports.status import status
from hdvg.reports.verify import verify
from hdvg.sources.info import BESIDE_KEYS
from pipelines.perform import Done
from pipelines.run import Task, decide, run
from pipelines.runners import Order, Serial
from pipelines.where import Where
from schemas.clips import GIVEN_SPAN, GIVEN_VIDEO
from schemas.columns import doc
from tests.digest import contents
from tests.servers import HostileServer, body, endless, page, short, silence
from tests.servers import status as refuse
from tests.videos import draw_scenes, index_first

RECIPE = parse_recipe(
    {
        "name": "test",
        "caption": {"captioner": "none"},
        "keep": {"too_short": "duration_s >= 0.7"},
        "fetch": {"silence_s": 2.0, "wall_s": 30.0, "tries": 2, "max_wait_s": 0.2, "max_mb": 1},
    }
)


class Counting(Serial):
    """A serial runner that remembers what it did."""

    def __call__(self, order: Order, report) -> None:
        self.done: list[Done] = []

        def remember(done: Done) -> None:
            if done.statuses:
                self.done.append(done)
            report(done)

        super().__call__(order, remember)


class Here(Where):
    """Run on a given runner."""

    def __init__(self, runner: Counting) -> None:
        object.__setattr__(self, "runner", runner)

    def make(self, recipe: Recipe, say: Callable[[str], None]) -> Counting:
        return self.runner


def go(root: Path, recipe: Recipe = RECIPE, **task: object) -> list[Done]:
    """Run a task; what jobs had something to do."""
    runner = Counting(recipe)
    runner.done = []
    assert run(root, recipe, Task(where=Here(runner), **task), Console(file=io.StringIO()))
    return runner.done


@pytest.fixture(scope="module")
def videos(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Three small videos of two shots each, the first shot of the last one too short to keep."""
    folder = tmp_path_factory.mktemp("videos")
    for number, scenes in enumerate([(20, 25), (30, 20), (16, 40)]):
        draw_scenes(folder / f"{number}.mp4", scene_frames=scenes, seed=number)
    return folder


@pytest.fixture(scope="module")
def finished(videos: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A dataset of the three videos, done; not to be changed."""
    root = tmp_path_factory.mktemp("done") / "dataset"
    go(root, links=[str(videos)])
    return root


@pytest.fixture
def dataset(finished: Path, tmp_path: Path) -> Path:
    """A copy of it, to be changed."""
    return Path(shutil.copytree(finished, tmp_path / "dataset"))


def ask(root: Path, sql: str) -> list[tuple]:
    with Dataset.open(root).manifest() as manifest:
        return manifest.fetch(sql)


def test_shots_are_found_judged_cut_and_packed(finished):
    assert ask(finished, "select n_frames, keep, reasons, cut_status from dataset order by n_frames") == [
        (16, False, ["too_short"], None), (20, True, [], "ok"), (20, True, [], "ok"), (25, True, [], "ok"), (30, True, [], "ok"), (40, True, [], "ok"),
    ]  # fmt: skip
    assert verify(Dataset.open(finished)) == []
    assert ask(finished, "select sum(n_clips) from shards") == [(5,)]


@pytest.mark.parametrize("stage", ["download", "split", "cut"])
def test_every_declared_column_is_filled(finished, stage):
    rows = [row for path in (finished / "parts" / stage).glob("*-0.parquet") for row in pq.read_table(path).to_pylist()]
    local = {
        "licence",
        "uploader_id",
        "upload_date",
        "info_duration_s",
        "yt_dlp_version",
        "format_id",
        "format_choice",
        *BESIDE_KEYS,
        *("fetched_ranges", "source_bytes", "whole_because", "sections_digest"),
    }  # of no local file
    odd = {"hdr", "odd_turn", "measure_faults", "audio_offset_s", "onset_motion", "onset_lag_s"} | {
        "clip_pack",
        "clip_offset",
    }  # of other pictures than these, of sound, or of packs
    never = {"reason", "detail"} | odd | (local if stage == "download" else set())
    given = {field.name for field in (*GIVEN_SPAN, *GIVEN_VIDEO)} if stage == "split" else set()  # of published scenes
    assert rows[0].keys() == set(part_schema(stage).names)
    assert {name for name in rows[0] if all(row[name] is None for row in rows)} <= never | given
    assert all(doc(field).strip() for field in part_schema(stage))


def test_clip_that_is_dropped_is_never_encoded(finished):
    rows = ask(finished, "select clip_id from dataset where not keep")
    cut = {row[0] for row in ask(finished, "select clip_id from cuts")}
    assert rows
    assert not cut & {row[0] for row in rows}


def test_doing_it_again_does_nothing(dataset, videos):
    before = contents(dataset)
    assert go(dataset, links=[str(videos)]) == []
    assert go(dataset) == []
    assert contents(dataset) == before


def test_links_added_later_redo_nothing(dataset, videos, tmp_path):
    before = {path: path.stat().st_mtime_ns for path in dataset.glob("*/**/*.parquet") if path.parent.name != "cache"}
    more = Path(shutil.copytree(videos, tmp_path / "more"))
    draw_scenes(more / "new.mp4", scene_frames=(30,), seed=9)
    done = go(dataset, links=[str(more / "new.mp4"), str(videos)])
    assert sorted(job.stage for job in done) == ["cut", "download", "split"]
    after = {path: path.stat().st_mtime_ns for path in dataset.rglob("*.parquet")}
    assert before.items() <= after.items()
    assert verify(Dataset.open(dataset)) == []
    assert ask(dataset, "select count(*) from dataset where keep") == [(6,)]


def test_same_bytes_by_another_link_are_a_duplicate(dataset, videos, tmp_path):
    shutil.copy(videos / "0.mp4", tmp_path / "copy.mp4")
    go(dataset, links=[str(tmp_path / "copy.mp4")])
    assert ask(dataset, "select status, reason, count(*) from videos group by all order by all") == [
        ("failed", "duplicate", 1),
        ("ok", None, 3),
    ]
    assert ask(dataset, "select count(*) from clips") == [(6,)]
    assert verify(Dataset.open(dataset)) == []


def test_tighter_threshold_runs_no_stage_and_touches_no_media(dataset):
    media = sorted((dataset / "media").rglob("*"))
    decide(dataset, parse_recipe(RECIPE.model_dump(exclude_none=True), ["keep.too_short=duration_s >= 1"]))
    assert ask(dataset, "select count(*) from verdicts where keep") == [(3,)]
    tighter = parse_recipe(RECIPE.model_dump(exclude_none=True), ["keep.too_short=duration_s >= 1"])
    assert go(dataset, tighter) == []
    assert sorted((dataset / "media").rglob("*")) == media
    assert ask(dataset, "select sum(n_clips) from shards") == [(3,)]
    assert verify(Dataset.open(dataset)) == []


def test_looser_threshold_cuts_just_the_missing_clip(dataset):
    looser = parse_recipe(RECIPE.model_dump(exclude_none=True), ["keep.too_short=null"])
    assert status(decide(dataset, looser)).pending == [{"stage": "cut", "items": 1}]
    assert [(job.stage, job.statuses) for job in go(dataset, looser)] == [("cut", {"ok": 1})]
    assert verify(Dataset.open(dataset)) == []


def test_dropped_source_is_fetched_again_for_a_looser_threshold(videos, tmp_path):
    lean = parse_recipe(RECIPE.model_dump(exclude_none=True), ["storage.keep_sources=false"])
    go(tmp_path / "d", lean, links=[str(videos)])
    assert not [
        path
        for path in (tmp_path / "d/media").rglob("*.mp4")
        if path.name[:-4] in {row[0] for row in ask(tmp_path / "d", "select sha256 from videos")}
    ]
    assert [
        job.stage
        for job in go(tmp_path / "d", parse_recipe(lean.model_dump(exclude_none=True), ["keep.too_short=null"]))
    ] == ["cut"]
    assert ask(tmp_path / "d", "select count(*) from clips where cut_status = 'ok'") == [(6,)]
    assert verify(Dataset.open(tmp_path / "d")) == []


LEAN = parse_recipe(RECIPE.model_dump(exclude_none=True), ["storage.keep_sources=false"])


def sources_left(root: Path, videos: Path) -> int:
    """How many of the source files lie in the dataset's media."""
    names = {file_sha256(path) for path in videos.iterdir()}
    return sum(path.stem in names for path in (root / "media").glob("*/*"))


def test_source_goes_as_soon_as_its_clips_are_cut(videos, tmp_path):
    left: list[tuple[str, int]] = []

    class Watching(Serial):
        def __call__(self, order: Order, report) -> None:
            def look(done: Done) -> None:
                report(done)
                left.append((done.stage, sources_left(tmp_path / "d", videos)))

            super().__call__(order, look)

    task = Task(links=[str(videos)], where=Here(Watching(LEAN)))
    assert run(tmp_path / "d", LEAN, task, Console(file=io.StringIO()))
    assert left == [("download", 1), ("split", 1), ("cut", 0)] * 3


def test_sources_left_by_a_stopped_run_go_before_the_next_one_needs_room(videos, dataset):
    class Full(Serial):
        def __call__(self, order: Order, report) -> None:
            raise ResourceError("full")

    looser = parse_recipe(LEAN.model_dump(exclude_none=True), ["keep.too_short=null"])
    assert sources_left(dataset, videos) == 3
    with pytest.raises(ResourceError):
        run(dataset, looser, Task(where=Here(Full(LEAN))), Console(file=io.StringIO()))
    assert sources_left(dataset, videos) == 1  # of the one clip that was not cut before


def test_source_stays_while_any_video_with_its_bytes_needs_it(videos, tmp_path):
    (tmp_path / "twins").mkdir()
    for name in "ab":
        shutil.copy(videos / "0.mp4", tmp_path / "twins" / f"{name}.mp4")
    go(tmp_path / "d", LEAN, links=[str(tmp_path / "twins")], stage="download")
    assert sources_left(tmp_path / "d", videos) == 1
    go(tmp_path / "d", LEAN)
    assert sources_left(tmp_path / "d", videos) == 0
    assert verify(Dataset.open(tmp_path / "d")) == []


def test_other_captioner_captions_only(dataset, tiny_blip2):
    captioned = parse_recipe(
        RECIPE.model_dump(exclude_none=True),
        ["caption.captioner=blip2", f"caption.model={tiny_blip2}", "caption.beams=1", "caption.max_tokens=5"],
    )
    done = go(dataset, captioned)
    assert {job.stage for job in done} == {"caption"}
    assert ask(dataset, "select count(*) from captioned") == [(5,)]
    assert go(dataset, captioned) == []
    other = parse_recipe(captioned.model_dump(exclude_none=True), ["caption.prompt=a video of"])
    assert {job.stage for job in go(dataset, other)} == {"caption"}


def test_settings_that_redo_all_videos_are_refused_unless_meant(dataset):
    content = parse_recipe(RECIPE.model_dump(exclude_none=True), ["split.detector=content"])
    with pytest.raises(UsageError, match="--new-work"):
        go(dataset, content)
    assert {job.stage for job in go(dataset, content, new_work=True)} == {"split", "cut"}


def test_stage_by_stage_is_the_whole_run(videos, finished, tmp_path):
    for number, stage in enumerate(("download", "split", "cut")):
        go(tmp_path / "d", links=[str(videos)] if number == 0 else [], stage=stage)
    go(tmp_path / "d")
    assert contents(tmp_path / "d") == contents(finished)


def test_shards_are_read_without_our_code(finished):
    path = next((finished / "shards").glob("*.parquet"))
    table = pq.read_table(path)
    assert table.column_names[:3] == ["clip_id", "video", "caption"]
    assert {field.metadata[b"doc"] for field in table.schema} >= {b"the text"}
    assert b"hdvg_recipe" in table.schema.metadata
    clip = table.to_pylist()[0]
    assert clip["video"][4:8] == b"ftyp"
    assert duckdb.sql(f"select count(*), min(octet_length(video)) > 0 from '{path}'").fetchall() == [(5, True)]


def test_shards_load_with_hugging_face_datasets(finished, tmp_path):
    datasets = pytest.importorskip("datasets")
    files = [str(path) for path in (finished / "shards").glob("*.parquet")]
    rows = datasets.load_dataset("parquet", data_files=files, split="train", cache_dir=str(tmp_path))
    assert rows.num_rows == 5
    assert rows[0]["video"][4:8] == b"ftyp"


def test_manifest_sql_works_in_a_bare_duckdb_shell(finished, monkeypatch):
    monkeypatch.chdir(finished)
    shell = duckdb.connect()
    shell.execute(Path("manifest.sql").read_text())
    assert shell.execute("select count(*) from dataset where keep").fetchall() == [(5,)]


@pytest.mark.parametrize("more", [{}, {"half": "motion_px_s >= quantile(0.5)"}])
def test_rules_that_cannot_be_decided_are_not_written(dataset, more):
    """SQL takes the rule as a condition; only with a clip does it fail."""
    before = {name: (dataset / name).read_bytes() for name in ("dataset.toml", "manifest.sql")}
    with pytest.raises(UsageError, match="stays as it was"):
        decide(
            dataset,
            parse_recipe(RECIPE.model_dump(exclude_none=True) | {"keep": {"odd": "cast(phash as int) > 1"} | more}),
        )
    assert {name: (dataset / name).read_bytes() for name in before} == before
    assert ask(dataset, "select count(*) from verdicts where keep") == [(5,)]


def test_rules_are_not_written_where_a_part_cannot_be_read(dataset):
    before = (dataset / "dataset.toml").read_bytes()
    part = next(path for path in (dataset / "parts/split").glob("*-0.parquet") if not path.name.startswith("seed"))
    part.write_bytes(b"no parquet")
    with pytest.raises(UsageError, match="verify"):
        decide(dataset, parse_recipe(RECIPE.model_dump(exclude_none=True), ["keep.long=duration_s >= 1"]))
    assert (dataset / "dataset.toml").read_bytes() == before


def test_explain_shows_every_rule_with_its_margin(finished):
    (clip,) = ask(finished, "select clip_id from dataset where not keep")[0]
    said = explain(Dataset.open(finished), clip[:12])
    assert (said.verdict, said.reasons) == ("dropped", ["too_short"])
    (rule,) = said.rules
    assert (rule.rule, rule.threshold, rule.passes) == ("too_short", 0.7, False)
    assert rule.margin == pytest.approx(said.measures["duration_s"] - 0.7)
    assert "av=" in said.video["tools"]


@pytest.mark.parametrize("harm", ["flip", "cut", "delete"])
@pytest.mark.parametrize(
    "pattern", ["media/*/*", "shards/*.parquet", "parts/split/*-0.parquet", "parts/cut/*-0.parquet"]
)
def test_verify_names_every_harmed_file(dataset, harm, pattern):
    path = next(path for path in sorted(dataset.glob(pattern)) if "seed" not in path.name)
    before = path.read_bytes()
    for place in (len(before) // 3, len(before) // 2, len(before) * 3 // 4):
        if harm == "delete":
            path.unlink()
        else:
            path.write_bytes(
                before[:place] + (bytes([before[place] ^ 1]) + before[place + 1 :] if harm == "flip" else b"")
            )
        assert verify(Dataset.open(dataset)), place
        path.write_bytes(before)
    assert verify(Dataset.open(dataset)) == []


@pytest.mark.parametrize("list_number", [1, 2])
def test_verify_notices_a_lost_list_of_links(dataset, videos, tmp_path, list_number):
    more = tmp_path / "more"
    more.mkdir()
    draw_scenes(more / "new.mp4", scene_frames=(30,), seed=9)
    go(dataset, links=[str(more / "new.mp4")])
    assert verify(Dataset.open(dataset)) == []
    next((dataset / "inputs").glob(f"{list_number:05d}-*.parquet")).unlink()
    assert {problem.check for problem in verify(Dataset.open(dataset))} >= {"orphan"}
    if list_number == 1:
        assert "lost" in {problem.check for problem in verify(Dataset.open(dataset))}


def test_verify_notices_a_list_whose_links_are_not_those_of_its_name(dataset):
    path = next((dataset / "inputs").glob("00001-*.parquet"))
    table = pq.read_table(path)
    path.unlink()
    pq.write_table(table.slice(1), path)
    assert "corrupt" in {problem.check for problem in verify(Dataset.open(dataset))}


def lose_a_clip(root: Path) -> Path:
    """Take the file of a kept clip away."""
    (sha256,) = ask(root, "select clip_sha256 from dataset where keep order by clip_id limit 1")[0]
    path = Dataset.open(root).store.find_media(sha256)
    path.unlink()
    return path


def test_shards_stay_until_the_new_ones_can_be_written(dataset):
    lose_a_clip(dataset)
    before = contents(dataset)
    plan = Dataset.open(dataset).plan
    other = parse_recipe(plan.recipe.model_dump(exclude_none=True), ["shard.seed=5"])
    store = Store(dataset)
    store.begin()
    changed = Dataset(dataset, Plan(other, plan.fingerprints), store)
    with pytest.raises(LostClipsError, match="lost_clip"):
        write_shards(changed, in_turn(changed, lambda rows: {}))
    assert contents(dataset) == before


def test_lost_clip_is_cut_again_when_shards_need_it(dataset):
    path = lose_a_clip(dataset)
    other = parse_recipe(RECIPE.model_dump(exclude_none=True), ["shard.seed=5"])
    assert [(done.stage, done.statuses) for done in go(dataset, other)] == [("cut", {"ok": 1})]
    assert path.exists()
    assert verify(Dataset.open(dataset)) == []


def test_lost_clip_is_cut_again_on_demand(dataset):
    before = contents(dataset)
    path = lose_a_clip(dataset)
    assert [problem.check for problem in verify(Dataset.open(dataset))] == ["missing"]
    assert [done.stage for done in go(dataset, retry=("lost_clip",))] == ["cut"]
    assert path.exists()
    assert contents(dataset) == before
    assert verify(Dataset.open(dataset)) == []


def test_every_link_has_exactly_one_final_row_with_its_reason(videos, tmp_path):
    with HostileServer() as server:
        expected = hostile_links(server, videos)
        (tmp_path / "links.txt").write_text("\n".join([*expected, next(iter(expected)), "ftp://example.com/a.mp4"]))
        go(tmp_path / "d", links=[str(tmp_path / "links.txt")])
    found = dict(ask(tmp_path / "d", "select link, coalesce(reason, status) from videos"))
    assert found == expected
    assert dict(ask(tmp_path / "d", "select link, reason from inputs where status = 'failed'")) == {
        next(iter(expected)): "duplicate",
        "ftp://example.com/a.mp4": "bad_input",
    }
    assert verify(Dataset.open(tmp_path / "d")) == []
    assert {row[0] for row in ask(tmp_path / "d", "select status from videos")} <= {"ok", "failed", "retry"}
    sources = {row[0] for row in ask(tmp_path / "d", "select sha256 from videos where status = 'ok'")}
    clips = {row[0] for row in ask(tmp_path / "d", "select clip_sha256 from clips")}
    packs = {row[0] for row in ask(tmp_path / "d", "select keyframes from clips")}
    truncated = {row[0] for row in ask(tmp_path / "d", "select sha256 from videos where reason = 'truncated'")}
    assert {path.stem for path in (tmp_path / "d/media").glob("*/*")} <= sources | clips | packs | truncated


def test_a_refused_link_costs_no_other_and_those_not_asked_wait_for_the_next_run(videos, tmp_path, monkeypatch):
    monkeypatch.setattr("hdvg.sources.hosts.host.REFUSALS", 3)
    root = tmp_path / "d"
    kinds = "select status, reason, attempt, count(*) from downloaded group by all order by all"
    with HostileServer() as server:
        good = [server.add(f"/{name}.mp4", body((videos / f"{name}.mp4").read_bytes())) for name in "012"]
        bad = server.add("/403.mp4", refuse(403))
        (tmp_path / "one.txt").write_text("\n".join([bad, *good]))
        go(root, links=[str(tmp_path / "one.txt")], stage="download")
        assert ask(root, kinds) == [("failed", "blocked", 1, 1), ("ok", None, 1, 3)]
        (tmp_path / "all.txt").write_text("\n".join(server.add(f"/no{number}.mp4", refuse(403)) for number in range(9)))
        go(root, links=[str(tmp_path / "all.txt")], stage="download")
        turned = [("failed", "blocked", 1, 4), ("ok", None, 1, 3), ("retry", "blocked", 0, 6)]
        assert ask(root, kinds) == turned
        for number in range(9):
            server.add(f"/no{number}.mp4", body((videos / "0.mp4").read_bytes() + bytes(number + 1)))
        go(root, stage="download")
        assert ask(root, kinds) == [("failed", "blocked", 1, 4), ("ok", None, 1, 9)]
        go(root, stage="download", retry=("blocked",))
    assert ask(root, kinds) == [("failed", "blocked", 2, 1), ("ok", None, 1, 9), ("ok", None, 2, 3)]


def hostile_links(server: HostileServer, videos: Path) -> dict[str, str]:
    """Links to what the web holds, good and bad, with what must become of each."""
    whole = (videos / "0.mp4").read_bytes()
    index_first(videos / "1.mp4", videos / "first.bin")
    first = (videos / "first.bin").read_bytes()
    mp4 = "video/mp4"
    return {
        server.add("/good.mp4", body(whole, mp4)): "ok",
        server.add("/same.mp4", body(whole, mp4)): "duplicate",
        server.url("/dead.mp4"): "gone",
        server.add("/html.mp4", body(b"<html><body>Sign in</body></html>" * 50, mp4)): "not_media",
        server.add("/page", page("<p>nothing here</p>")): "not_media",
        server.add("/endless.mp4", endless(mp4)): "too_big",
        server.add("/large.mp4", body(whole + bytes(2 << 20), mp4)): "too_big",
        server.add("/truncated.mp4", body(first[: len(first) * 6 // 10], mp4)): "truncated",
        server.add("/headless.mp4", body(whole[: len(whole) // 2], mp4)): "not_media",
        server.add("/short.mp4", short(whole, 2 * len(whole), mp4)): "short",
        server.add("/silent.mp4", silence()): "timeout",
    }


@pytest.mark.parametrize("name", ["set [2024]", "a*b?", "lr=3"])
def test_folder_of_any_name_holds_a_dataset(videos, tmp_path, name):
    said = io.StringIO()
    links = tmp_path / name / "links[" / "b].txt"
    links.parent.mkdir(parents=True)
    links.write_text(str(videos / "0.mp4"))
    task = Task(links=[str(links)], where=Here(Counting(RECIPE)))
    assert run(tmp_path / name / "d", RECIPE, task, Console(file=said, width=500))
    assert verify(Dataset.open(tmp_path / name / "d")) == []
    assert ask(tmp_path / name / "d", "select count(*) from clips") == [(2,)]
    assert "lr" not in [row[0] for row in ask(tmp_path / name / "d", "describe dataset")]
    assert f"{links}: 1 new" in said.getvalue()


def test_folder_that_duckdb_cannot_read_is_refused(tmp_path):
    with pytest.raises(UsageError, match="backslash"):
        go(tmp_path / "a\\b", links=["x"])


def test_unknown_folder_is_refused(tmp_path):
    (tmp_path / "thesis.doc").touch()
    with pytest.raises(UsageError, match=r"thesis\.doc"):
        go(tmp_path, links=["x"])
    with pytest.raises(UsageError, match="--links"):
        go(tmp_path / "new")


def test_a_second_run_on_the_folder_is_refused(dataset):
    with Store(dataset).lock(), pytest.raises(UsageError, match="another hdvg"):
        go(dataset)
