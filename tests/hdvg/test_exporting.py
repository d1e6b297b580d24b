"""Every export opens without hdvg, holds what the query counts, byte for byte, and can be stopped anywhere."""

from __future__ import annotations

import hashlib
import io
import json
import pickle
import random
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import duckdb
import numpy as np
import pyarrow.parquet as pq
import pytest
from rich.console import Console

from hdvg import exporting
from hdvg.dataset.dataset import Dataset
from hdvg.dataset.shards import in_turn, write_shards
from hdvg.dataset.store import Store
from hdvg.errors import UsageError
from hdvg.exporting import FORMATS, Wanted, export
from hdvg.exporting.selection import Slice, _packed
from hdvg.filtering.edit import suppose
from hdvg.planning import make_plan
from tests.crash import LOSSES, Crash, DyingOps
from tests.products import Clip, add, make, shard_rows
from tests.tools import need

need("datasets", "lance", "mlcroissant", "webdataset")

SMALL = {"max_mb": 0.1, "row_group_mb": 0.04}
CONDITION = "duration_s > 4 and clip_width = 1280"


def videos(count: int = 4, *, seed: int = 0) -> list[list[Clip]]:
    """Videos of three clips of 3, 6 and 9 s, 20 kB each, every other video wider than the condition allows."""
    noise = random.Random(seed)
    return [
        [
            Clip(
                start,
                start + 3000 * (place + 1),
                noise.randbytes(20_000 + place),
                f"clip {seed} {video} {place}",
                width=(1280, 1920)[video % 2],
            )
            for place, start in enumerate((0, 10_000, 20_000))
        ]
        for video in range(count)
    ]


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Dataset:
    """Twelve good clips, one that is too short, one that could not be cut, one without a caption; not to be changed."""
    told = videos()
    told[0] += [Clip(40_000, 41_000, b"short"), Clip(50_000, 60_000, b"", cut="cut_mismatch")]
    told[1] += [Clip(40_000, 45_000, b"silent", caption=None)]
    return make(tmp_path_factory.mktemp("made") / "dataset", told, shard=SMALL)


@pytest.fixture
def mine(made: Dataset, tmp_path: Path) -> Dataset:
    """A copy of it, to be changed."""
    shutil.copytree(made.root, tmp_path / "dataset")
    dataset = Dataset.open(tmp_path / "dataset", run="test")
    dataset.store.begin()
    return dataset


def go(dataset: Dataset, form: str, out: Path, **wanted: Any) -> dict[str, Any]:
    ops = wanted.pop("ops", None)
    return export(dataset, Wanted(form, out, **wanted), Console(file=io.StringIO()), ops=ops)


def contents(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def asked(dataset: Dataset, where: str = "true") -> dict[str, tuple[str, str]]:
    """clip_id -> caption and hash of the clip, as `hdvg query` answers."""
    with dataset.manifest() as manifest:
        rows = manifest.rows(
            "select clip_id, caption, clip_sha256 from dataset where keep and cut_status = 'ok' and caption is not null "
            f"and ({where})"
        )
    return {row["clip_id"]: (row["caption"], row["clip_sha256"]) for row in rows}


def sha256(video: bytes) -> str:
    return hashlib.sha256(video).hexdigest()


def read_webdataset(out: Path) -> dict[str, tuple[str, str]]:
    import webdataset

    tars = [str(path) for path in sorted(out.glob("*.tar"))]
    pipeline = webdataset.WebDataset(tars, shardshuffle=False).to_tuple("__key__", "txt", "mp4", "json")
    found = {}
    for key, text, video, told in pipeline:
        assert json.loads(told)["clip_sha256"] == sha256(video)
        found[key] = (text.decode(), sha256(video))
    return found


def read_datasets(out: Path) -> dict[str, tuple[str, str]]:
    import datasets

    rows = datasets.load_dataset(str(out), split="train", cache_dir=str(out.parent / "cache"))
    rows = rows.cast_column("video", datasets.Video(decode=False))
    return {row["clip_id"]: (row["caption"], sha256(row["video"]["bytes"])) for row in rows}


def read_lance(out: Path) -> dict[str, tuple[str, str]]:
    import lance

    found = lance.dataset(str(out / "clips.lance"))
    rows = found.to_table(columns=["clip_id", "caption", "clip_width"]).to_pylist()
    blobs = found.take_blobs("video", indices=list(range(len(rows))))
    return {row["clip_id"]: (row["caption"], sha256(blob.readall())) for row, blob in zip(rows, blobs, strict=True)}


def read_croissant(out: Path) -> dict[str, tuple[str, str]]:
    import mlcroissant

    rows = mlcroissant.Dataset(jsonld=str(out / "croissant.json")).records("clips")
    return {row["clips/clip_id"].decode(): (row["clips/caption"].decode(), sha256(row["clips/video"])) for row in rows}


def read_hd_vg(out: Path) -> dict[str, tuple[str, str]]:
    """Without bytes: the hash is taken from nowhere."""
    told = [json.loads(path.read_text()) for path in sorted(out.glob("hdvg_*.json"))]
    scenes = [
        scene
        for file in told
        for video in file.values()
        for clip in video["clip"].values()
        for scene in clip["scene_split"]
    ]
    return {scene["clip_id"]: (scene["caption"], "") for scene in scenes}


READERS = {
    "webdataset": read_webdataset,
    "datasets": read_datasets,
    "lance": read_lance,
    "croissant": read_croissant,
    "hd-vg": read_hd_vg,
}


@pytest.mark.parametrize("where", [None, CONDITION])
@pytest.mark.parametrize("form", READERS)
def test_others_read_what_the_query_counts_byte_for_byte(made, tmp_path, form, where):
    said = go(made, form, tmp_path / "out", where=where)
    wanted = asked(made, where or "true")
    assert len(wanted) == (12 if where is None else 4)
    if form == "hd-vg":
        wanted = {clip: (caption, "") for clip, (caption, _) in wanted.items()}
    assert READERS[form](tmp_path / "out") == wanted
    assert said["clips"] == len(wanted)
    with made.manifest() as manifest:
        assert said["kept"] == manifest.one(f"select count(*) from dataset where keep and ({where or 'true'})")
    assert said["kept"] - said["clips"] == sum(row["clips"] for row in said["left_out"])
    if where is None:
        assert said["left_out"] == [
            {"reason": "not cut: cut_mismatch", "clips": 1},
            {"reason": "without a caption: hdvg run", "clips": 1},
        ]


def test_clips_that_no_shard_holds_yet_are_said(mine, tmp_path):
    add(mine, [[Clip(0, 5000, b"new")]])
    for path in mine.root.glob("parts/shard/train-*.parquet"):
        if pq.read_table(path)["n_clips"].to_pylist() == [1]:
            path.unlink()
    assert {"reason": "not in the shards yet: hdvg shard", "clips": 1} in go(mine, "datasets", tmp_path / "o")[
        "left_out"
    ]


def test_pandas_and_duckdb_read_the_parquet_files(made, tmp_path):
    import pandas

    go(made, "datasets", tmp_path / "out", where=CONDITION)
    told = {clip: hash for clip, (_, hash) in asked(made, CONDITION).items()}
    rows = pandas.read_parquet(tmp_path / "out" / "data")
    assert {row.clip_id: sha256(row.video) for row in rows.itertuples()} == told
    query = f"select clip_id, sha256(video) from '{tmp_path}/out/data/*.parquet'"
    assert dict(duckdb.connect().execute(query).fetchall()) == told


def test_all_other_columns_are_the_shards(made, tmp_path):
    import lance

    rows = shard_rows(made)
    go(made, "webdataset", tmp_path / "tars")
    go(made, "lance", tmp_path / "lance")
    import webdataset

    tars = [str(path) for path in sorted((tmp_path / "tars").glob("*.tar"))]
    for key, told in webdataset.WebDataset(tars, shardshuffle=False).to_tuple("__key__", "json"):
        assert json.loads(told) == {
            name: value for name, value in rows[key].items() if name not in {"video", "caption"}
        }
    found = lance.dataset(str(tmp_path / "lance/clips.lance"))
    names = [name for name in found.schema.names if name != "video"]
    assert sorted(["video", *names]) == sorted(rows[key])
    for row in found.to_table(columns=names).to_pylist():
        assert row == {name: value for name, value in rows[row["clip_id"]].items() if name != "video"}


def test_lance_holds_the_clips_as_blobs(made, tmp_path):
    import lance

    go(made, "lance", tmp_path / "out")
    field = lance.dataset(str(tmp_path / "out/clips.lance")).schema.field("video")
    assert "blob" in str(field.type)
    assert len(lance.dataset(str(tmp_path / "out/clips.lance")).versions()) == 1


def test_the_card_names_the_columns_as_datasets_does(made, tmp_path):
    import datasets

    go(made, "datasets", tmp_path / "out", cite="Us, 2026")
    card = (tmp_path / "out/README.md").read_text()
    info = datasets.load_dataset_builder(str(tmp_path / "out"), cache_dir=str(tmp_path / "cache")).info
    (first, *_) = sorted((tmp_path / "out/data").glob("*.parquet"))
    stored = datasets.Features.from_arrow_schema(pq.read_schema(first))
    assert info.features == stored | {"video": datasets.Video()}
    assert info.splits["train"].num_examples == 12
    for said in (
        "| cc-by | 12 |",
        "| a.org | 12 | 4 |",
        "| short | title | title-1 | en | 12 |",
        "Us, 2026",
        'name = "made"',
    ):
        assert said in card
    assert "| `clip_bytes` | int64 | size of the cut file |" in card


@pytest.mark.parametrize("form", ["datasets", "webdataset", "hd-vg", "croissant"])
def test_the_description_is_valid_and_its_hashes_true(made, tmp_path, form):
    import mlcroissant

    go(made, form, tmp_path / "out", url="https://a.org/set")
    told = json.loads((tmp_path / "out/croissant.json").read_text())
    issues = mlcroissant.Dataset(jsonld=str(tmp_path / "out/croissant.json")).metadata.ctx.issues
    assert issues.errors == set()
    assert len(issues.warnings) <= 1  # the day it is published is not ours to know
    hashes = {file["name"]: file["sha256"] for file in told["distribution"] if "sha256" in file}
    written = [
        name for name in contents(tmp_path / "out") if name not in {"croissant.json", "export.json", "README.md"}
    ]
    assert hashes == {name: sha256((tmp_path / "out" / name).read_bytes()) for name in written}
    if form != "hd-vg":
        fields = {field["name"]: field["description"] for field in told["recordSet"][0]["field"]}
        left = {"video", "caption"} if form == "webdataset" else set()
        assert fields.keys() == set(next(iter(shard_rows(made).values()))) - left
        assert all(fields.values())


@pytest.mark.parametrize("form", ["webdataset", "datasets", "hd-vg", "croissant"])
def test_the_same_clips_give_the_same_bytes(made, tmp_path, form):
    for name in "ab":
        go(made, form, tmp_path / name, where=CONDITION)
    assert contents(tmp_path / "a") == contents(tmp_path / "b")


@pytest.mark.parametrize("form", FORMATS)
def test_an_export_with_nothing_changed_writes_nothing(made, tmp_path, form):
    def state() -> dict[str, tuple[int, int]]:
        found = [path for path in (tmp_path / "out").rglob("*") if path.is_file()]
        return {str(path): (path.stat().st_ino, path.stat().st_mtime_ns) for path in found}

    assert go(made, form, tmp_path / "out")["files_written"] > 0
    before = state()
    assert go(made, form, tmp_path / "out")["files_written"] == 0
    assert state() == before


@pytest.mark.parametrize("form", ["webdataset", "datasets", "croissant", "lance"])
def test_files_of_clips_are_the_same_if_they_are_written_elsewhere(made, tmp_path, form):
    clips = []

    def as_nodes_do(target, pieces):
        for piece in reversed([piece for piece in pieces if piece.anywhere]):
            sent = pickle.loads(pickle.dumps(piece))
            clips.append(sent.clips)
            yield piece, Store(target.store.root, run=target.store.run).publish(sent.name, sent.write)
        yield from exporting.in_turn(target, [piece for piece in pieces if not piece.anywhere])

    out = tmp_path / "out"
    wanted = Wanted(form, out, where=CONDITION, max_mb=0.05)
    report = export(made, wanted, Console(file=io.StringIO()), write_all=as_nodes_do)
    assert (report["files_written"], sum(clips)) == (report["files"], 4)
    assert len(clips) > 1
    go(made, form, tmp_path / "here", where=CONDITION, max_mb=0.05)
    if form == "lance":  # its files have names by chance
        assert READERS[form](out) == READERS[form](tmp_path / "here")
    else:
        assert contents(out) == contents(tmp_path / "here")


@pytest.mark.parametrize("form", ["webdataset", "datasets", "lance", "hd-vg"])
def test_what_is_not_kept_any_more_leaves_the_export(mine, tmp_path, form):
    out = tmp_path / "out"
    go(mine, form, out)
    keep = suppose(mine.plan.recipe.keep, "duration_s >= 5")
    now = Dataset(
        mine.root, make_plan(mine.plan.recipe.model_copy(update={"keep": keep})), Store(mine.root, run="test")
    )
    now.prepare()
    dropped = [row for row in shard_rows(mine).values() if row["duration_s"] < 5]
    assert len(dropped) == 4
    assert go(now, form, out)["clips"] == 8
    assert len(READERS[form](out)) == 8
    write_shards(now, in_turn(now, lambda rows: {}))
    go(now, form, out)
    assert len(READERS[form](out)) == 8
    everything = b"".join(contents(out).values())
    for row in dropped:
        assert row["clip_id"].encode() not in everything
        assert row["video"] not in everything


def test_only_tars_with_other_clips_are_written_again(mine, tmp_path):
    first = go(mine, "webdataset", tmp_path / "out", max_mb=0.05)
    assert first["files"] == 7  # two clips of 20 kB each, and the description
    add(mine, videos(1, seed=9))
    assert go(mine, "webdataset", tmp_path / "out", max_mb=0.05)["files_written"] == 3
    assert len(read_webdataset(tmp_path / "out")) == 15


def test_whole_shards_are_linked_and_take_no_space(made, tmp_path):
    go(made, "datasets", tmp_path / "out")
    shards = {path.stat().st_ino for path in (made.root / "shards").glob("*.parquet")}
    assert {path.stat().st_ino for path in (tmp_path / "out/data").glob("*.parquet")} == shards


@pytest.mark.parametrize(("form", "every"), [("webdataset", 11), ("datasets", 13), ("lance", 13)])
def test_an_export_killed_anywhere_goes_on(made, tmp_path, form, every):
    count = DyingOps()
    go(made, form, tmp_path / "clean", where=CONDITION, max_mb=0.05, ops=count)
    clean = contents(tmp_path / "clean")
    assert count.count > 20
    for place, at in enumerate(range(1, count.count, every)):
        out, ops = tmp_path / f"{at}", DyingOps(at)
        with pytest.raises(Crash):
            go(made, form, out, where=CONDITION, max_mb=0.05, ops=ops)
        list(LOSSES.values())[place % len(LOSSES)](ops)
        go(made, form, out, where=CONDITION, max_mb=0.05)
        if form == "lance":
            assert read_lance(out) == read_lance(tmp_path / "clean")
            assert len(contents(out)) == len(clean)
        else:
            assert contents(out) == clean, at


def test_what_a_killed_export_has_finished_is_not_written_again(made, tmp_path):
    ops = DyingOps()
    files = go(made, "webdataset", tmp_path / "clean", max_mb=0.05, ops=ops)["files"]
    dying = DyingOps(ops.count - 14)
    with pytest.raises(Crash):
        go(made, "webdataset", tmp_path / "out", max_mb=0.05, ops=dying)
    there = len(list((tmp_path / "out").glob("*.tar")))
    assert there >= 3
    assert go(made, "webdataset", tmp_path / "out", max_mb=0.05)["files_written"] == files - there


def test_a_folder_with_anything_else_is_refused_and_stays(made, tmp_path):
    (tmp_path / "own").mkdir()
    (tmp_path / "own/letter.txt").write_text("dear")
    with pytest.raises(UsageError, match=r"letter\.txt.*new or empty folder"):
        go(made, "webdataset", tmp_path / "own")
    assert contents(tmp_path / "own") == {"letter.txt": b"dear"}
    with pytest.raises(UsageError, match="is a file"):
        go(made, "webdataset", tmp_path / "own/letter.txt")
    with pytest.raises(UsageError, match="other files"):
        go(made, "datasets", made.root)
    go(made, "hd-vg", tmp_path / "out")
    with pytest.raises(UsageError, match="as hd-vg, not of dataset as webdataset"):
        go(made, "webdataset", tmp_path / "out")


def test_a_mark_cannot_make_it_remove_files_elsewhere(made, tmp_path):
    (tmp_path / "precious").write_text("x")
    (tmp_path / "out").mkdir()
    mark = {"format": "hd-vg", "dataset": "dataset", "files": {"../precious": "0"}}
    (tmp_path / "out/export.json").write_text(json.dumps(mark))
    with pytest.raises(UsageError, match="outside its folder"):
        go(made, "hd-vg", tmp_path / "out")
    assert (tmp_path / "precious").exists()


@pytest.mark.parametrize(
    ("where", "said"),
    [
        ("no_such_column > 1", "no_such_column"),
        ("true); drop view dataset; select (1", "one SQL condition"),
        ("true) or (duration_s > 1000", "one SQL condition"),
        ("clip_id in (select content from read_text('/etc/passwd'))", "disabled"),
        ("duration_s > 1000", "no clip to export"),
    ],
)
def test_a_bad_condition_is_refused_in_a_line(made, tmp_path, where, said):
    with pytest.raises(UsageError, match=said):
        go(made, "hd-vg", tmp_path / "out", where=where)


def test_what_is_missing_or_unknown_is_named(made, tmp_path):
    with pytest.raises(UsageError, match=r"--to = 'zip' is no format; known: hd-vg, webdataset"):
        go(made, "zip", tmp_path / "out")
    for form, package in (("webdataset", "webdataset"), ("lance", "pylance")):
        with pytest.raises(UsageError, match=rf"needs {package}: .*pip install .*\[export\]"):
            exporting.EXPORTER.find(form, find=lambda name: None)


def test_a_damaged_shard_stops_the_export(mine, tmp_path):
    (first, *_) = sorted((mine.root / "shards").glob("*.parquet"))
    content = bytearray(first.read_bytes())
    content[content.index(pq.read_table(first)["video"][0].as_py()) + 7] ^= 1
    first.unlink()
    first.write_bytes(content)
    with pytest.raises(UsageError, match="cannot be read"):
        go(mine, "webdataset", tmp_path / "out")


def test_files_are_as_full_as_may_be_and_lose_no_clip():
    noise = random.Random(3)
    sizes = [[noise.choice([0, 1, 5, 9, 30]) for _ in range(noise.randrange(1, 9))] for _ in range(40)]
    parts = [
        Slice(str(n), "train", str(n), "", np.arange(len(one)), np.array(one, dtype=np.int64), True)
        for n, one in enumerate(sizes)
    ]
    bundles = list(_packed(parts, 20))
    clips = [[(part.shard, row) for part in bundle for row in part.rows.tolist()] for bundle in bundles]
    assert [clip for bundle in clips for clip in bundle] == [
        (str(n), row) for n, one in enumerate(sizes) for row in range(len(one))
    ]
    totals = [sum(sizes[int(shard)][row] for shard, row in bundle) for bundle in clips]
    for bundle, total, following in zip(clips, totals, clips[1:], strict=False):
        assert total <= 20 or len(bundle) == 1
        shard, row = following[0]
        assert total + sizes[int(shard)][row] > 20


def test_the_command_reports_what_it_did(made, tmp_path):
    command = [
        sys.executable,
        "-m",
        "hdvg.cli",
        "export",
        str(made.root),
        "--to",
        "hd-vg",
        "--out",
        str(tmp_path / "out"),
    ]
    done = subprocess.run([*command, "--where", CONDITION, "--json"], capture_output=True, text=True, check=True)
    said = json.loads(done.stdout)
    assert (said["clips"], said["kept"], said["files_written"]) == (4, 5, 2)
    assert said["left_out"] == [{"reason": "without a caption: hdvg run", "clips": 1}]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert "12 of 14 kept clips as hd-vg" in done.stdout
    assert "not cut: cut_mismatch" in done.stdout
