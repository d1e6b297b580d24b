"""What is forgotten is in no file, view or request any more, its neighbours are as they were, and a crash changes nothing."""

from __future__ import annotations

import io
import json
import shutil
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import duckdb
import imageio_ffmpeg
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from rich.console import Console
from typer.testing import CliRunner

from hdvg.cli import app
from hdvg.config.recipe import parse_recipe
from hdvg.dataset.dataset import Dataset
from hdvg.dataset.intake import accept
from hdvg.dataset.snapshot import SOURCE, measures
from hdvg.dataset.stages import part_schema
from hdvg.dataset.store import Store
from hdvg.dataset.tombstones import publish_tombstones
from hdvg.errors import UsageError
from hdvg.ids import file_sha256, video_id
from hdvg.planning import make_plan
from hdvg.reports.verify import verify
from hdvg.sandbox import Sandbox
from hdvg.sources import calls
from hdvg.sources.info import info_row
from pipelines.forget import forget, remove
from pipelines.perform import make_gate
from pipelines.run import Task, run, writing
from pipelines.stages import download
from pipelines.where import Where
from pipelines.work import Work
from schemas.inputs import INPUTS
from tests.crash import LOSSES, Crash, DyingOps
from tests.digest import files
from tests.pipelines.test_run import ask, go
from tests.servers import HostileServer, body, serve_folder
from tests.videos import draw_scenes

RECIPE = parse_recipe(
    {
        "name": "test",
        "caption": {"captioner": "title"},
        "keep": {"copy": "not duplicate"},
        "cut": {"preset": "ultrafast", "verify_share": 0.0},
    }
)
TARGET, MIRROR, NEIGHBOUR, COPY = "/a_zebra_at_the_lagoon.mp4", "/mirror.mp4", "/red_boats_in_a_port.mp4", "/copy.mp4"


@dataclass(frozen=True)
class Made:
    """A finished dataset, its list of links, and the server that they lead to."""

    root: Path
    links: Path
    server: HostileServer

    def url(self, path: str) -> str:
        return self.server.url(path)


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Made]:
    """A video, the same bytes by another link, a worse copy of it, and a neighbour in the video's unit."""
    folder = tmp_path_factory.mktemp("site")
    draw_scenes(folder / TARGET[1:], scene_frames=(25, 30), size=(320, 180), seed=1)
    shutil.copy(folder / TARGET[1:], folder / MIRROR[1:])
    draw_scenes(folder / NEIGHBOUR[1:], scene_frames=(25, 20), seed=2)
    small = ("-vf", "scale=160:90", "-crf", "30", "-preset", "ultrafast")
    ffmpeg = [imageio_ffmpeg.get_ffmpeg_exe(), "-v", "error", "-i", folder / TARGET[1:]]
    subprocess.run([*ffmpeg, *small, folder / COPY[1:]], check=True)
    with serve_folder(folder) as server:
        links = folder / "links.txt"
        links.write_text("\n".join(map(server.url, (TARGET, MIRROR, COPY, NEIGHBOUR))))
        root = tmp_path_factory.mktemp("made") / "dataset"
        root.mkdir()
        new = Dataset(root, make_plan(RECIPE))
        with writing(new.store):
            new.prepare()
            accept(new, str(links))
            _join_units(new, server.url(TARGET), server.url(NEIGHBOUR))
        go(root, RECIPE)
        yield Made(root, links, server)


def _join_units(dataset: Dataset, *links: str) -> None:
    """Put these links into one unit, as longer lists have."""
    (path,) = dataset.root.glob("inputs/00001-*")
    table = pq.read_table(path)
    unit = next(row["unit"] for row in table.to_pylist() if row["link"] in links)
    rows = [row | ({"unit": unit} if row["link"] in links else {}) for row in table.to_pylist()]
    dataset.store.rewrite_table(f"inputs/{path.name}", pa.Table.from_pylist(rows, INPUTS))


@pytest.fixture
def dataset(made: Made, tmp_path: Path) -> Path:
    made.server.hits.clear()
    return Path(shutil.copytree(made.root, tmp_path / "dataset"))


def everything_of(root: Path, path: str) -> set[bytes]:
    """Every name, text and piece of bytes by which a video could be found, as the dataset tells them itself."""
    dataset, found = Dataset.open(root), set()
    where = f"video_id in (select video_id from videos where source like '%{path}%')"
    for view, columns in {
        "inputs": "link, link_id, source, video_id",
        "videos": "title, sha256, webpage_url",
        "clips": "clip_id, clip_sha256, keyframes",
        "captions": "text",
    }.items():
        for row in ask(root, f"select {columns} from {view} where {where}"):
            found |= {value.encode() for value in row if value is not None}
    for (name,) in ask(root, f"select unnest([sha256, keyframes, clip_sha256]) from clips join videos using (video_id) where {where}"):  # fmt: skip
        media = dataset.store.find_media(name)
        content = media.read_bytes()
        found |= {content[len(content) // part :][:64] for part in (2, 3)} if media.suffix == ".mp4" else set()
        if media.suffix == ".parquet":
            found |= {jpeg[-96:-32] for jpeg in pq.read_table(media)["jpeg"].to_pylist()}
    return {needle for needle in found if len(needle) > 8}


def hits(root: Path, needles: set[bytes]) -> list[tuple[str, bytes]]:
    """Where any of them stands: in a file's bytes, its name, or the columns and metadata of a table."""
    found = []
    for path in sorted(root.rglob("*")):
        name = str(path.relative_to(root))
        held = [name.encode(), path.read_bytes() if path.is_file() else b""]
        if path.suffix == ".parquet":
            table = pq.read_table(path)
            held += [repr(pq.ParquetFile(path).metadata.metadata).encode()]
            held += [value for column in table.columns for value in map(_plain, column.to_pylist()) if value]
        found += [(name, needle) for needle in needles if any(needle in some for some in held)]
    return found


def _plain(value: Any) -> bytes:
    return value if isinstance(value, bytes) else b"" if value is None else str(value).encode()


def rows_of(root: Path, path: str) -> dict[str, list[dict[str, Any]]]:
    """All rows of one video, file by file, as they are stored."""
    ((name,),) = ask(root, f"select video_id from videos where source like '%{path}%'")
    paths = [*root.glob("inputs/*.parquet"), *root.glob("parts/*/*.parquet"), *root.glob("shards/*.parquet")]
    tables = {str(path.relative_to(root)): pq.read_table(path) for path in paths if path.parent.name != "pool"}
    rows = {
        name: [row for row in table.to_pylist() if row.get("video_id") == ask_for]
        for ask_for in [name]
        for name, table in tables.items()
    }
    return {name: some for name, some in rows.items() if some}


def media_of(root: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in root.glob("media/*/*")}


def call(*words: object) -> Any:
    """A command's JSON."""
    result = CliRunner().invoke(app, [*map(str, words), "--json"])
    assert result.exit_code == 0, result.output
    return json.loads(result.stdout)


def test_tombstone_hides_from_every_view_at_once_and_leaves_the_bytes(made, dataset, monkeypatch):
    views = ("inputs", "videos", "clips", "measures", "verdicts", "captions", "dataset", "pending")
    of_it = "where video_id in (select md5('') union select unnest(?))"
    gone = [video_id(made.url(path)) for path in (TARGET, MIRROR)]

    def counts() -> list[int]:
        with Dataset.open(dataset).manifest() as manifest:
            return [manifest.one(f"select count(*) from {view} {of_it}", [gone]) for view in views]

    with measures(Dataset.open(dataset), (), print) as connection:  # keeps a snapshot
        clips = connection.execute(f"select count(*) from {SOURCE}").fetchone()[0]
    before, media = counts(), media_of(dataset)
    assert min(before[:-1]) > 0
    assert call("forget", dataset, "--video", made.url(TARGET))["found"] == {
        "videos": 2,
        "clips": 2,
        "captions": 2,
        "rows": len([row for path in (TARGET, MIRROR) for some in rows_of(made.root, path).values() for row in some])
        - 2,  # shards are no part files
        "media_bytes": sum(len(media[f"{name}.{kind}"]) for name, kind in _media_names(made.root, TARGET)),
    }
    assert counts() == [0] * len(views)
    assert media_of(dataset) == media
    with measures(Dataset.open(dataset), (), print) as connection:
        assert connection.execute(f"select count(*) from {SOURCE}").fetchone()[0] == clips - 2
    monkeypatch.chdir(dataset)
    with duckdb.connect() as connection:
        connection.execute(Path("manifest.sql").read_text())
        plain = str(connection.execute("from inputs").fetchall())
    assert made.url(NEIGHBOUR) in plain
    assert made.url(TARGET) not in plain
    go(dataset, RECIPE)
    assert verify(Dataset.open(dataset)) == []
    assert not made.server.hits


def _media_names(root: Path, path: str) -> set[tuple[str, str]]:
    where = f"source like '%{path}'"
    names = ask(root, f"select distinct sha256, 'mp4' from videos where {where}")
    names += ask(root, f"select distinct keyframes, 'parquet' from clips join videos using (video_id) where {where}")
    return {*names, *ask(root, f"select clip_sha256, 'mp4' from clips join videos using (video_id) where {where}")}


def test_link_id_hash_and_list_all_find_it(made, dataset, tmp_path):
    ((sha256, name),) = ask(dataset, f"select sha256, video_id from videos where source like '%{TARGET}'")
    (tmp_path / "list.txt").write_text(f"# taken down\n{made.url(TARGET)}\n\n{sha256}\n")
    spelled = made.url(TARGET).replace("http://", "HTTP://") + "?utm_source=x"
    ways = ("--video", spelled), ("--video", name), ("--hash", sha256.upper()), ("--list", tmp_path / "list.txt")
    reports = [call("forget", dataset, *words, "--dry-run")["found"] for words in ways]
    assert reports == [reports[0]] * 4
    assert (reports[0]["videos"], reports[0]["clips"]) == (2, 2)


def test_purge_leaves_nothing_of_it_in_any_file_and_its_neighbours_as_they_were(made, dataset):
    needles = everything_of(dataset, TARGET) | {made.url(MIRROR).encode(), video_id(made.url(MIRROR)).encode()}
    assert len(needles) > 20
    assert {needle for _, needle in hits(dataset, needles)} == needles
    neighbour, media = rows_of(dataset, NEIGHBOUR), media_of(dataset)
    own = {f"{name}.{kind}" for name, kind in _media_names(dataset, TARGET)}
    list(_snapshot(dataset))
    unread = dataset / "cache" / "lists" / "a" / "entries.jsonl"
    unread.parent.mkdir(parents=True)
    unread.write_text(made.url(TARGET))
    report = call("forget", dataset, "--video", made.url(TARGET), "--purge")
    assert report["purged"]
    assert hits(dataset, needles) == []
    left = rows_of(dataset, NEIGHBOUR)
    assert {name: rows for name, rows in left.items() if not name.startswith("parts/shard")} == neighbour
    assert media_of(dataset) == {name: content for name, content in media.items() if name not in own}
    unit = ask(dataset, f"select unit from videos where source like '%{NEIGHBOUR}%'")[0][0]
    assert (unit,) in ask(made.root, f"select unit from videos where source like '%{TARGET}'")
    copies = ask(dataset, "select clip_id from clips join videos using (video_id) where source like '%copy.mp4'")
    assert {(problem.check, problem.key) for problem in verify(Dataset.open(dataset))} == {
        ("unfinished", name) for (name,) in copies
    }  # the copy is the best one now
    go(dataset, RECIPE)
    assert ask(dataset, "select count(*) from dataset where keep and cut_status = 'ok'") == [(4,)]
    assert verify(Dataset.open(dataset)) == []
    assert hits(dataset, needles) == []


def _snapshot(root: Path) -> Iterator[Path]:
    with measures(Dataset.open(root), (), print):
        yield from root.glob("cache/*")


def test_later_runs_make_no_request_for_it_by_any_spelling(made, dataset, tmp_path):
    call("forget", dataset, "--video", made.url(TARGET), "--purge")
    host = made.url("").removeprefix("http://")
    again = [
        made.url(TARGET),
        f"HTTP://{host}/x/..{TARGET}",
        made.url(TARGET) + "?utm_source=a&fbclid=b",
        made.url(MIRROR),
    ]
    (tmp_path / "again.txt").write_text("\n".join([*again, made.url("/new.mp4")]))
    said = io.StringIO()
    made.server.hits.clear()
    for links in (tmp_path / "again.txt", made.links):
        assert run(dataset, RECIPE, Task(links=[str(links)], where=Where("serial")), Console(file=said, width=200))
    assert not {TARGET, MIRROR, NEIGHBOUR} & set(made.server.hits)
    assert made.server.hits["/new.mp4"] > 0
    assert "1 new, 4 forgotten" in said.getvalue()
    assert "0 new, 2 known, 2 forgotten" in said.getvalue()
    assert hits(dataset, {link.encode() for link in again}) == []


def test_same_bytes_by_another_link_are_refused_and_do_not_stay(made, dataset):
    sha256 = ask(dataset, f"select sha256 from videos where source like '%{TARGET}'")[0][0]
    content = Dataset.open(dataset).store.find_media(sha256).read_bytes()
    call("forget", dataset, "--hash", sha256, "--purge")
    link = made.server.add("/elsewhere.mp4", body(content))
    go(dataset, RECIPE, links=[link])
    assert ask(dataset, "select status, reason, sha256 from videos where source like '%elsewhere.mp4'") == [
        ("failed", "forgotten", None)
    ]
    assert hits(dataset, {sha256.encode(), content[len(content) // 2 :][:64]}) == []
    go(dataset, RECIPE)
    assert verify(Dataset.open(dataset)) == []


class Site(Sandbox):
    """Stands in for the network: every link gives the file of a channel."""

    def __init__(self, file: Path, channel: str) -> None:
        super().__init__()
        self._file, self._channel = file, channel

    def call(self, call, scratch, limits, *, answer=None):
        if call.target != calls.download.target:
            return super().call(call, scratch, limits)
        path = shutil.copy(self._file, Path(call.arguments["out"]) / "video.mp4")
        info = info_row({"channel_id": self._channel, "extractor": "youtube", "title": "t"})
        rest = dict.fromkeys(("sound", "choice", "excerpt", "whole_because"))
        return call.checked({"path": str(path), "info": info} | rest)


def test_channel_takes_its_videos_and_those_that_come_later(made, dataset):
    mine, other = "UC" + "a" * 22, "UC" + "b" * 22
    ((unit, name),) = ask(dataset, f"select unit, video_id from videos where source like '%{NEIGHBOUR}%'")
    opened = Dataset.open(dataset)
    (path,) = dataset.glob(f"parts/download/{unit}-*.parquet")
    rows = [
        row | {"uploader_id": mine if row["video_id"] == name else other} for row in pq.read_table(path).to_pylist()
    ]
    with writing(opened.store):  # as if the site had said so
        opened.store.rewrite_table(str(path.relative_to(dataset)), pa.Table.from_pylist(rows, part_schema("download")))
    needles = everything_of(dataset, NEIGHBOUR) | {mine.encode()}
    assert call("forget", dataset, "--channel", mine, "--purge")["found"]["videos"] == 1
    assert hits(dataset, needles) == []
    assert ask(dataset, f"select uploader_id from videos where source like '%{TARGET}'") == [(other,)]
    file = Path(made.links.parent / COPY[1:])
    for channel, outcome in ((mine, ("failed", "forgotten")), (other, (None, None))):
        items = [{"video_id": "v", "key": "v", "attempt": 0, "source": "https://www.youtube.com/watch?v=abcdefghijk"}]
        opened.store.begin()
        work = Work(opened, items, make_gate(RECIPE), Site(file, channel), part_schema("download"), list)
        (row,) = download(work)
        assert (row["status"] if channel == mine else None, row.get("reason")) == outcome
        assert (row.get("sha256") == file_sha256(file)) == (channel == other)


def test_bytes_of_a_killed_run_without_a_row_go_too(made, dataset):
    opened = Dataset.open(dataset)
    with writing(opened.store), opened.store.scratch() as folder:
        (folder / "left").write_bytes(b"bytes whose row was never written")
        left = opened.store.put_media(folder / "left", "mp4")
    call("forget", dataset, "--video", made.url(TARGET), "--purge")
    assert opened.store.find_media(left) is None


def test_words_about_a_neighbour_do_not_tell_of_it(made, dataset):
    opened, gone = Dataset.open(dataset), video_id(made.url(TARGET))
    unit = ask(dataset, f"select unit from videos where video_id = '{gone}'")[0][0]
    ((name,),) = ask(dataset, f"select video_id from videos where source like '%{NEIGHBOUR}%'")
    (path,) = dataset.glob(f"parts/download/{unit}-*.parquet")
    rows = pq.read_table(path).to_pylist()
    told = [row | {"detail": f"beside {gone}"} for row in rows if row["video_id"] == name]
    others = [row for row in rows if row["video_id"] != name]
    with writing(opened.store):
        opened.store.rewrite_table(str(path.relative_to(dataset)), pa.Table.from_pylist(told + others, part_schema("download")))  # fmt: skip
    call("forget", dataset, "--video", gone, "--purge")
    assert pq.read_table(path)["detail"].to_pylist() == [None]
    assert hits(dataset, {gone.encode()}) == []


def test_shards_of_neighbours_stay_as_they_are(made, tmp_path):
    recipe = parse_recipe(
        {"caption": {"captioner": "none"}, "cut": {"mode": "virtual"}, "storage": {"keep_sources": False}}
    )
    root = tmp_path / "virtual"
    for path in (TARGET, NEIGHBOUR):
        go(root, recipe, links=[made.url(path)])
    (root / "shards").mkdir(exist_ok=True)
    shards = {path.name: path.read_bytes() for path in root.glob("shards/*")}
    assert sorted(shards) == ["train-00000.parquet", "train-00001.parquet"]
    made.server.hits.clear()
    call("forget", root, "--video", made.url(TARGET), "--purge")
    assert [path.name for path in root.glob("shards/*")] == ["train-00001.parquet"]
    assert (root / "shards/train-00001.parquet").read_bytes() == shards["train-00001.parquet"]
    assert not made.server.hits
    assert verify(Dataset.open(root)) == []


def test_virtual_clips_of_neighbours_come_from_the_shards_there_were(made, tmp_path):
    recipe = parse_recipe(
        {"caption": {"captioner": "none"}, "cut": {"mode": "virtual"}, "storage": {"keep_sources": False}}
    )
    links = tmp_path / "links.txt"
    links.write_text(f"{made.url(TARGET)}\n{made.url(NEIGHBOUR)}\n")
    root = tmp_path / "together"
    go(root, recipe, links=[str(links)])
    (shard,) = root.glob("shards/*")
    kept = [row for row in pq.read_table(shard).to_pylist() if "red_boats" in row["source"]]
    assert 0 < len(kept) < pq.read_metadata(shard).num_rows
    made.server.hits.clear()
    call("forget", root, "--video", made.url(TARGET), "--purge")
    assert pq.read_table(shard).to_pylist() == kept
    assert not made.server.hits
    assert verify(Dataset.open(root)) == []
    purged = files(root / "shards"), files(root / "parts/shard")
    go(root, recipe)
    assert (files(root / "shards"), files(root / "parts/shard")) == purged
    assert not made.server.hits


def test_a_copy_that_is_kept_beside_it_names_it_no_more(made, tmp_path):
    recipe = parse_recipe({"caption": {"captioner": "none"}, "keep": {"compared": "duplicate or not duplicate"}})
    root = tmp_path / "copies"
    go(root, recipe, links=[made.url(TARGET), made.url(COPY)])
    clips = {name.encode() for (name,) in ask(root, f"select clip_id from dataset where source like '%{TARGET}'")}
    rows = pq.read_table(root / "shards", columns=["source", "duplicate_of", "duplicate_group"]).to_pylist()
    named = {row[column].encode() for row in rows if "copy" in row["source"] for column in row if column != "source"}
    assert len(clips) == 2
    assert named == clips
    call("forget", root, "--video", made.url(TARGET), "--purge")
    assert hits(root, clips) == []
    found = ask(root, "select duplicate, duplicate_of, duplicate_group = clip_id, keep from dataset")
    assert found == [(False, None, True, True)] * len(clips)
    shards = files(root / "shards")
    go(root, recipe)
    assert files(root / "shards") == shards
    assert verify(Dataset.open(root)) == []


def test_last_video_goes_and_an_empty_dataset_stays_whole(made, tmp_path):
    root = tmp_path / "one"
    go(root, RECIPE, links=[made.url(TARGET)])
    needles = everything_of(root, TARGET)
    call("forget", root, "--video", made.url(TARGET), "--purge")
    assert hits(root, needles) == []
    assert verify(Dataset.open(root)) == []


def test_dry_run_changes_nothing_and_says_what_would_go(made, dataset):
    before = files(dataset)
    report = call("forget", dataset, "--video", made.url(TARGET), "--dry-run", "--purge")
    assert (report["found"]["videos"], report["purged"], report["dry_run"]) == (2, False, True)
    assert files(dataset) == before


def test_model_that_saw_it_is_named(made, dataset):
    clips = [row[0] for row in ask(dataset, f"select clip_id from clips join videos using (video_id) where source like '%{TARGET}'")]  # fmt: skip
    run_folder = dataset.parent / "dataset-tiny"
    run_folder.mkdir()
    pq.write_table(pa.table({"clip_id": [*clips[:1], "another"]}), run_folder / "clips-0.parquet")
    report = call("forget", dataset, "--video", made.url(TARGET), "--dry-run")
    assert report["models_that_saw_clips"] == {str(run_folder): 1}


@pytest.mark.parametrize(
    ("words", "said"),
    [
        ((), "say what"),
        (("--hash", "abc"), "64 hex digits"),
        (("--video", "ftp://x"), "only http and https"),
        (("--list", "nowhere.txt"), "cannot be read"),
    ],
)
def test_what_names_nothing_is_refused(dataset, words, said):
    before = files(dataset)
    with pytest.raises(UsageError, match=said):
        CliRunner().invoke(app, ["forget", str(dataset), *words], catch_exceptions=False)
    assert files(dataset) == before


def test_nothing_is_purged_while_a_run_works_but_it_is_hidden(made, dataset):
    with writing(Dataset.open(dataset, run="other").store), pytest.raises(UsageError, match="another hdvg is working"):
        forget(dataset, [("video", video_id(made.url(TARGET)))], purged=True)
    assert ask(dataset, f"select count(*) from videos where source like '%{TARGET}'") == [(0,)]


def take_down(root: Path, name: str, ops: DyingOps | None = None) -> None:
    dataset = Dataset.open(root)
    remove(Dataset(root, dataset.plan, Store(root, ops, run="one")), [("video", name)])


@pytest.mark.parametrize("points", [24, pytest.param(1, marks=pytest.mark.slow)])
def test_purge_stopped_before_any_file_operation_ends_like_an_undisturbed_one(made, dataset, tmp_path, points):
    """`points`: every which operation. A power loss may also take what was not flushed."""
    name = video_id(made.url(TARGET))
    with Dataset.open(dataset).store.aside() as store:
        publish_tombstones(store, [("hash", "0" * 64)])  # a salt of its own would make every end another
    whole, counted = tmp_path / "whole", DyingOps()
    shutil.copytree(dataset, whole)
    take_down(whole, name, counted)
    expected = files(whole)
    assert counted.count > 50
    for number, at in enumerate(range(1, counted.count + 1, points)):
        root, dying = Path(shutil.copytree(dataset, tmp_path / "crashed")), DyingOps(at)
        with pytest.raises(Crash):
            take_down(root, name, dying)
        list(LOSSES.values())[number % len(LOSSES)](dying)
        take_down(root, name)
        end = files(root)
        assert [key for key in expected.keys() | end.keys() if end.get(key) != expected.get(key)] == [], at
        shutil.rmtree(root)
