"""The block-list in a whole run: nothing that is listed stays in any file of the dataset, whenever the entry came."""

from __future__ import annotations

import io
import shutil
from pathlib import Path

import pyarrow.parquet as pq
import pytest
from rich.console import Console

from hdvg.config.recipe import Recipe, parse_recipe
from hdvg.dataset.dataset import Dataset
from hdvg.dataset.store import Store
from hdvg.errors import UsageError
from hdvg.ids import file_sha256
from hdvg.planning import make_plan
from hdvg.reports.verify import verify
from pipelines.apply_blocklist import apply_block_list
from pipelines.run import Task, new_run, run, writing
from pipelines.where import Where

MEDIA = Path(__file__).parents[2] / "pipelines" / "demo" / "media"
VIDEOS = ("bigbuckbunny_720p.mp4", "birds_720p.mp4")


def recipe(blocked: Path | None = None, *more: str) -> Recipe:
    table = {"caption": {"captioner": "none"}, "cut": {"preset": "ultrafast", "verify_share": 0.0}}
    return parse_recipe(table, [*([f"fetch.block_list={blocked}"] if blocked else []), *more])


def go(root: Path, wanted: Recipe, *links: Path, **task: object) -> None:
    links_ = [str(path) for path in links]
    assert run(root, wanted, Task(links=links_, where=Where("serial"), **task), Console(file=io.StringIO()))


def catch(root: Path, wanted: Recipe) -> int:
    """What the next run does before its stages."""
    dataset = Dataset(root, make_plan(wanted), Store(root, run=new_run()))
    with writing(dataset.store):
        return apply_block_list(dataset)


def ask(root: Path, sql: str) -> list[tuple]:
    with Dataset.open(root).manifest() as manifest:
        return manifest.fetch(sql)


def outcomes(root: Path) -> dict[str, tuple]:
    rows = ask(root, "select parse_filename(source), stage, status, reason, detail from videos")
    return {name: tuple(rest) for name, *rest in rows}


def stored(root: Path) -> set[str]:
    """Hashes of all files in media/, and the clips inside shards."""
    shards = {clip for path in root.glob("shards/*") for clip in pq.read_table(path)["clip_id"].to_pylist()}
    return {path.stem for path in root.glob("media/*/*")} | shards


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("links")
    for name in VIDEOS:
        shutil.copy(MEDIA / name, folder)
    return folder


@pytest.fixture(scope="module")
def finished(folder: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("done") / "dataset"
    go(root, recipe(), folder)
    return root


@pytest.fixture
def dataset(finished: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(finished, tmp_path / "dataset"))


@pytest.fixture
def listing(tmp_path: Path):
    def write(*lines: str) -> Path:
        path = tmp_path / "blocked.txt"
        path.write_text("# a list\n" + "\n".join(lines) + "\n")
        return path

    return write


def picture_of(root: Path, name: str) -> str:
    return ask(root, f"select phash from clip_rows join videos using (video_id) where source like '%{name}'")[0][0]


def test_listed_file_is_never_stored(folder, listing, tmp_path):
    sha256 = file_sha256(folder / "bigbuckbunny_720p.mp4")
    go(tmp_path / "d", recipe(listing(sha256.upper() + " # why")), folder)
    assert outcomes(tmp_path / "d")["bigbuckbunny_720p.mp4"] == (
        "download",
        "failed",
        "blocked_content",
        "the file is listed",
    )
    assert outcomes(tmp_path / "d")["birds_720p.mp4"][1] == "ok"
    assert sha256 not in stored(tmp_path / "d")
    assert verify(Dataset.open(tmp_path / "d")) == []


def test_video_with_a_listed_picture_keeps_no_file(finished, folder, listing, tmp_path):
    go(tmp_path / "d", recipe(listing(picture_of(finished, "bigbuckbunny_720p.mp4"))), folder)
    detail = "a picture of it is like a listed one"
    assert outcomes(tmp_path / "d")["bigbuckbunny_720p.mp4"] == ("split", "failed", "blocked_content", detail)
    birds = stored(tmp_path / "d")
    assert file_sha256(folder / "bigbuckbunny_720p.mp4") not in birds
    assert {row[0] for row in ask(tmp_path / "d", "select distinct keyframes from clips")} <= birds
    assert len(list((tmp_path / "d/media").glob("*/*.parquet"))) == 1  # of the other video
    assert verify(Dataset.open(tmp_path / "d")) == []


def test_listed_picture_in_a_later_segment_of_a_long_video_is_found(listing, tmp_path):
    video = MEDIA / "wannaworktogether_30s.mp4"
    for stage in ("download", "split"):
        go(tmp_path / "free", recipe(None, "split.segment_s=2"), video, stage=stage)
    [(picture,)] = ask(tmp_path / "free", "select phash from clip_rows order by start_pts desc limit 1")
    for stage in ("download", "split"):
        go(tmp_path / "d", recipe(listing(picture), "split.segment_s=2"), video, stage=stage)
    assert outcomes(tmp_path / "d")[video.name][:3] == ("split", "failed", "blocked_content")
    assert stored(tmp_path / "d") == set()


@pytest.mark.parametrize("kind", ["file", "picture"])
def test_entry_added_later_takes_out_what_is_there(dataset, folder, listing, kind):
    before = stored(dataset)
    bunny = {
        name
        for row in ask(
            dataset,
            "select v.sha256, c.keyframes, c.clip_sha256, c.clip_id from clips c join videos v using (video_id) "
            "where v.source like '%bigbuckbunny_720p.mp4'",
        )
        for name in row
    }
    assert len(bunny) >= 4
    assert bunny <= before
    entry = (
        file_sha256(folder / "bigbuckbunny_720p.mp4")
        if kind == "file"
        else picture_of(dataset, "bigbuckbunny_720p.mp4")
    )
    late = recipe(listing(entry))
    assert catch(dataset, late) == 1
    assert catch(dataset, late) == 0
    go(dataset, late, folder)
    assert stored(dataset) == before - bunny
    stage = "download" if kind == "file" else "split"
    assert outcomes(dataset)["bigbuckbunny_720p.mp4"][:3] == (stage, "failed", "blocked_content")
    assert verify(Dataset.open(dataset)) == []


@pytest.mark.parametrize("kind", ["file", "picture"])
def test_entry_taken_away_lets_retry_bring_all_back(dataset, folder, listing, kind):
    before, clips = stored(dataset), ask(dataset, "select clip_id from clips order by all")
    entry = (
        file_sha256(folder / "bigbuckbunny_720p.mp4")
        if kind == "file"
        else picture_of(dataset, "bigbuckbunny_720p.mp4")
    )
    catch(dataset, recipe(listing(entry)))
    go(dataset, recipe(), retry=("blocked_content",))
    assert ask(dataset, "select clip_id from clips order by all") == clips
    assert stored(dataset) == before
    assert verify(Dataset.open(dataset)) == []


def test_other_link_to_blocked_bytes_leaves_no_file(dataset, folder, listing, tmp_path):
    copy = Path(shutil.copy(folder / "bigbuckbunny_720p.mp4", tmp_path / "copy.mp4"))
    late = recipe(listing(picture_of(dataset, "bigbuckbunny_720p.mp4")))
    catch(dataset, late)
    go(dataset, late, copy)  # the bytes come again: only the decode pass, of the first link, told what is in them
    catch(dataset, late)
    assert outcomes(dataset)["copy.mp4"][2] == "duplicate"
    assert file_sha256(copy) not in stored(dataset)


def test_list_that_names_nothing_here_changes_nothing(dataset, folder, listing):
    before = stored(dataset)
    assert catch(dataset, recipe(listing("ab" * 32, "0123456789abcdef"))) == 0
    go(dataset, recipe(listing("ab" * 32)), folder)
    assert stored(dataset) == before
    assert make_plan(recipe(listing("ab" * 32))).fingerprints == make_plan(recipe()).fingerprints


def test_unreadable_list_stops_the_run_before_a_byte_moves(folder, tmp_path):
    with pytest.raises(UsageError, match="cannot be read"):
        go(tmp_path / "d", recipe(tmp_path / "none.txt"), folder)
    assert not list((tmp_path / "d").glob("media/*/*"))
