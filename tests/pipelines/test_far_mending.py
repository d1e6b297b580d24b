"""What is lost, damaged or left over in a bucket is named, made again and taken away there, as in a folder."""

from __future__ import annotations

import io
from pathlib import Path

import pytest
from rich.console import Console

from hdvg.dataset import litter
from hdvg.dataset.dataset import Dataset
from hdvg.dataset.mirror import open_mirror
from hdvg.reports.verify import verify, verify_folder
from pipelines.repair import repair
from tests.digest import contents
from tests.machines import downloaded, objects
from tests.object_store import OPEN
from tests.pipelines.test_damage import ALL, RECIPE, SOME, files_of, first, go
from tests.test_cli import hdvg
from tests.tools import need
from tests.videos import draw_scenes

need("obstore")

import obstore  # noqa: E402

QUIET = Console(file=io.StringIO())
PASSING = ("tmp/", "logs/", "run.lock", "latents/", "cache/")


@pytest.fixture(scope="module")
def local(tmp_path_factory):
    """The finished dataset of a run over a folder; not to be changed."""
    folder = tmp_path_factory.mktemp("local")
    for seed in range(2):
        (folder / str(seed)).mkdir()
        draw_scenes(folder / str(seed) / f"a dog {seed}.mp4", scene_frames=(25 + seed, 30), seed=seed, size=(96, 54))
        assert go(folder / "d", folder / str(seed), recipe=RECIPE)
    return folder / "d"


@pytest.fixture
def there(s3_server, turn, local, request):
    """Its files in the bucket; the prefix below which they lie."""
    prefix = f"mending/{request.node.name}"
    for path in local.rglob("*"):
        name = str(path.relative_to(local))
        if path.is_file() and not name.startswith(PASSING):
            s3_server.put(f"{prefix}/{name}", path)
    return prefix


def harm(s3_server, prefix: str, name: str, how: str) -> None:
    """An object is lost, or gets other bytes."""
    store, key = s3_server.store(OPEN), f"{prefix}/{name}"
    content = bytearray(obstore.get(store, key).bytes())
    content[len(content) // 2] ^= 1
    obstore.delete(store, key) if how == "delete" else obstore.put(store, key, bytes(content))


@pytest.mark.parametrize(
    ("how", "patterns"),
    [
        ("flip", SOME),
        ("delete", ("shards/*.parquet", "media/*/*.parquet")),
        pytest.param("flip", ALL, marks=pytest.mark.slow),
        pytest.param("delete", [one for one in ALL if one != "ledger.parquet"], marks=pytest.mark.slow),
    ],
)
def test_repair_brings_back_what_is_harmed_in_the_bucket(s3_server, turn, there, local, tmp_path, how, patterns):
    """Each kind of object on its own, from a machine without a mirror: the same rows, clips and shards as in the folder."""
    link, before, kept = f"s3://{OPEN}/{there}", contents(local), files_of(local)
    for number, pattern in enumerate(patterns):
        turn(f"{number}")
        name = str(first(local, pattern).relative_to(local))
        harm(s3_server, there, name, how)
        if pattern.startswith("inputs/"):
            assert repair(open_mirror(link), QUIET).left
            s3_server.put(f"{there}/{name}", local / name)
            continue
        said = hdvg("verify", link, code=1).stdout if pattern != "dataset.toml" else name
        assert (Path(name).stem.rpartition("-")[0] or Path(name).stem) in said
        done = repair(open_mirror(link), QUIET)
        assert done.mended, pattern
        assert not done.left, (pattern, done)
        held = downloaded(s3_server, there, tmp_path / f"held-{number}")
        assert verify(Dataset.open(held)) == [], pattern
        assert contents(held) == before, pattern
        assert files_of(held).keys() == kept.keys(), pattern
    assert not [name for name in objects(s3_server, there) if name.startswith(("tmp/", "damaged/"))]


def test_what_a_mirror_has_whole_is_put_again_and_what_it_has_not_is_fetched_again(s3_server, turn, there):
    link = f"s3://{OPEN}/{there}"
    root = open_mirror(link)
    store = Dataset.open(root).store
    names = [name for name in objects(s3_server, there) if name.startswith(("media/", "shards/"))]
    store.near(*(root / name for name in names))
    harm(s3_server, there, names[0], "delete")
    harm(s3_server, there, names[1], "flip")
    harm(s3_server, there, names[-1], "flip")
    (table,) = [name for name in objects(s3_server, there) if name.startswith("inputs/00001-")]
    (root / table).write_bytes(b"a disk of this machine" + (root / table).read_bytes()[22:])
    assert len(verify(Dataset.open(open_mirror(link)))) == 3
    said = hdvg("verify", link, "--repair").stdout
    assert said.count("put again, as this machine's mirror has it") == 2
    assert f"{names[-1]}: written anew" in said, "a shard that is another one now has left the mirror"
    turn("there")
    assert verify(Dataset.open(open_mirror(link))) == []
    assert not list(open_mirror(link).glob("media/*/*")), "verify reads objects where they lie"


def test_gc_lists_and_takes_away_what_nothing_names_in_the_bucket(s3_server, turn, there, monkeypatch):
    link = f"s3://{OPEN}/{there}"
    names = objects(s3_server, there).keys()
    lost = ["media/aa/" + "a" * 64 + ".mp4", "tmp/x/y", "probe-0", "foreign/split-a.parquet"]
    for name in lost:
        s3_server.put(f"{there}/{name}", b"left")
    monkeypatch.setattr(litter, "GHOST_S", 0.0)
    young = hdvg("gc", link).stdout
    assert lost[-1] in young
    assert not [name for name in lost[:-1] if name in young], "another writer may be about to name it"
    monkeypatch.setattr(litter, "YOUNG_S", -1.0)
    said = hdvg("gc", link)
    assert all(name in said.stdout for name in lost)
    assert objects(s3_server, there).keys() == {*names, *lost}, "nothing was changed"
    hdvg("gc", link, "--only", "media", "--remove")
    assert objects(s3_server, there).keys() - {"run.lease"} == {*names, *lost[1:]}
    hdvg("gc", link, "--remove")
    assert objects(s3_server, there).keys() - {"run.lease"} == names
    turn("there")
    assert verify_folder(open_mirror(link)) == []


def test_gc_waits_until_a_ghost_of_a_killed_run_can_name_nothing_more(s3_server, turn, there, local, monkeypatch):
    link = f"s3://{OPEN}/{there}"
    part = next(name for name in objects(s3_server, there) if name.startswith("parts/cut/") and "seed" not in name)
    obstore.delete(s3_server.store(OPEN), f"{there}/{part}")
    obstore.delete(s3_server.store(OPEN), f"{there}/ledger.parquet")
    monkeypatch.setattr(litter, "YOUNG_S", -1.0)
    assert "media/" in hdvg("gc", link).stdout, "no row names the clips of that unit"
    media = {name for name in objects(s3_server, there) if name.startswith("media/")}
    monkeypatch.setattr(litter.time, "sleep", lambda s: s3_server.put(f"{there}/{part}", local / part))
    hdvg("gc", link, "--remove")
    assert {name for name in objects(s3_server, there) if name.startswith("media/")} == media
