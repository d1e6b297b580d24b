"""A dataset in a bucket: what is published is there once and whole, one run at a time works on it, and no credential is anywhere."""

from __future__ import annotations

import json
import os
import socket
import time
from pathlib import Path

import pyarrow as pa
import pytest

from hdvg.config.recipe import parse_recipe
from hdvg.dataset import run_lock
from hdvg.dataset.dataset import Dataset
from hdvg.dataset.far import Far
from hdvg.dataset.lease import Lease
from hdvg.dataset.mirror import mirrors, open_mirror, refresh
from hdvg.dataset.object_lease import LEASE
from hdvg.dataset.room import BOUND
from hdvg.dataset.store import Store
from hdvg.errors import DamagedError, ResourceError, UsageError
from hdvg.planning import make_plan
from pipelines.writing import new_run, writing
from tests.machines import CarelessStore, objects
from tests.metadata import hd_vg_videos
from tests.object_store import GUEST_KEY, GUEST_SECRET, KEY, OPEN, SECRET
from tests.test_cli import ask, hdvg
from tests.tools import need

need("obstore")

import obstore  # noqa: E402
from obstore.store import S3Store  # noqa: E402

ROW = pa.table({"a": [1]})


@pytest.fixture
def link(turn, request):
    return f"s3://{OPEN}/far/{request.node.name.partition('[')[0]}"


def made(link: str) -> Dataset:
    """A new dataset without links, on this machine."""
    root = open_mirror(link, new=True)
    dataset = Dataset(root, make_plan(parse_recipe({})), Store(root, run=new_run()))
    with writing(dataset.store):
        dataset.prepare()
    return Dataset.open(root, run=new_run())


def there(s3_server, link: str) -> dict[str, int]:
    return objects(s3_server, link.removeprefix(f"s3://{OPEN}/"))


def content(s3_server, link: str, name: str) -> bytes:
    return bytes(obstore.get(s3_server.store(OPEN), f"{link.removeprefix(f's3://{OPEN}/')}/{name}").bytes())


def test_what_is_published_is_in_the_bucket_and_another_machine_sees_it(s3_server, link, turn):
    first = made(link)
    with writing(first.store):
        assert first.store.publish_table("parts/cut/a.parquet", ROW)
        assert not first.store.publish_table("parts/cut/a.parquet", pa.table({"a": [2]}))
        first.store.replace("last-run.json", "{}")
        first.store.replace("last-run.json", '{"run": 1}')
    names = there(s3_server, link)
    assert {"dataset.toml", "ledger.parquet", "parts/cut/a.parquet", LEASE} < names.keys()
    assert not [name for name in names if name.startswith(("tmp/", "logs/", "cache/", "mirror", "probe", "run.lock"))]
    turn("there")
    second = open_mirror(link)
    assert second != first.root
    assert (second / "parts/cut/a.parquet").read_bytes() == (first.root / "parts/cut/a.parquet").read_bytes()
    assert (second / "last-run.json").read_text() == '{"run": 1}'


def test_of_two_publishers_the_first_wins_and_the_second_has_its_bytes(s3_server, link, turn):
    dataset = made(link)
    turn("there")
    ghost = Store(open_mirror(link))
    ghost.begin()
    assert ghost.publish_table("parts/cut/one.parquet", ROW)
    with writing(dataset.store):
        assert (dataset.root / "parts/cut/one.parquet").exists(), "the mirror was made equal under the lock"
        ghost.publish_table("parts/cut/two.parquet", ROW)
        assert not dataset.store.publish_table("parts/cut/two.parquet", pa.table({"a": [2]}))
        assert (dataset.root / "parts/cut/two.parquet").read_bytes() == (
            ghost.root / "parts/cut/two.parquet"
        ).read_bytes()
        assert ghost.publish_table("parts/cut/three.parquet", ROW)
        assert dataset.store.publish_table("parts/cut/three.parquet", ROW), (
            "our own, when the answer to the first try was lost"
        )


def test_what_is_removed_moved_or_rewritten_is_so_on_every_machine(s3_server, link, turn):
    dataset = made(link)
    with writing(dataset.store):
        for name in "abc":
            dataset.store.publish_table(f"parts/cut/{name}.parquet", ROW)
    turn("there")
    second = open_mirror(link)
    turn("here")
    with writing(dataset.store):
        dataset.store.remove("parts/cut/a.parquet")
        dataset.store.move("parts/cut/b.parquet", "foreign/b.parquet")
        dataset.store.rewrite_table("parts/cut/c.parquet", pa.table({"a": [7]}))
    names = there(s3_server, link)
    assert "foreign/b.parquet" in names
    assert not {"parts/cut/a.parquet", "parts/cut/b.parquet"} & names.keys()
    turn("there")
    assert open_mirror(link) == second
    assert [path.name for path in sorted(second.glob("parts/cut/?.parquet"))] == ["c.parquet"]
    assert (second / "parts/cut/c.parquet").read_bytes() == (dataset.root / "parts/cut/c.parquet").read_bytes()


def test_what_this_machine_has_put_is_not_fetched_again(link, monkeypatch):
    dataset = made(link)
    store, read = dataset.store, []
    bucket = type(store.far.bucket)
    monkeypatch.setattr(bucket, "read", lambda self, name, old=bucket.read: [read.append(name), old(self, name)][1])
    with writing(store):
        store.publish_table("parts/cut/a.parquet", ROW)
    open_mirror(link)
    assert read == []
    (dataset.root / "parts/cut/a.parquet").unlink()
    open_mirror(link)
    assert read == ["parts/cut/a.parquet"]


def test_a_shard_that_another_machine_has_written_anew_is_fetched_anew(link, turn):
    dataset, name = made(link), "shards/train-00000.parquet"
    with writing(dataset.store):
        dataset.store.publish(name, lambda path: path.write_text("one"))
    turn("there")
    root = open_mirror(link)
    Dataset.open(root).store.require_shards()
    assert (root / name).read_text() == "one"
    turn("here")
    with writing(dataset.store):
        dataset.store.remove(name)
        dataset.store.publish(name, lambda path: path.write_text("two"))
    assert (open_mirror(link) / name).read_text() == "two", "this machine's own stays"
    turn("there")
    Dataset.open(open_mirror(link)).store.require_shards()
    assert (root / name).read_text() == "two"


def test_media_are_kept_within_the_bound_and_come_back_when_they_are_asked_for(s3_server, link, turn, monkeypatch):
    dataset = made(link)
    with writing(dataset.store), dataset.store.scratch() as scratch:
        for name in ("clip", "source"):
            (scratch / name).write_text(name)
        clip = dataset.store.put_media(scratch / "clip", "mp4")
        source = dataset.store.put_media(scratch / "source", "mp4", stays=True)
    assert [name for name in there(s3_server, link) if name.startswith("media/")] == [f"media/{clip[:2]}/{clip}.mp4"]
    assert len(list(dataset.root.glob("media/*/*"))) == 2
    monkeypatch.setenv(BOUND, "0")
    open_mirror(link)
    assert len(list(dataset.root.glob("media/*/*"))) == 2, "another command may read what was used today"
    for path in dataset.root.glob("media/*/*"):
        os.utime(path, (0, 0))
    store = Dataset.open(open_mirror(link)).store
    assert not list(store.root.glob("media/*/*"))
    assert store.has_media(clip)
    assert not store.has_media(source)
    assert store.find_media(clip).read_text() == "clip"
    assert store.find_media(source) is None
    turn("there")
    far = Dataset.open(open_mirror(link)).store
    assert far.find_media(clip).read_text() == "clip"
    obstore.put(s3_server.store(OPEN), f"far/{link.rpartition('/')[2]}/media/{clip[:2]}/{clip}.mp4", b"other")
    far.find_media(clip).unlink()
    with pytest.raises(DamagedError, match=r"s3://.* has other bytes"):
        far.find_media(clip)


def test_what_another_process_of_this_machine_has_put_or_removed_is_known_without_asking(link, monkeypatch):
    store = made(link).store
    other = Store(store.root, run=store.run)
    other.far = Far(store.root, store.far.bucket)
    with writing(store), store.scratch() as scratch:
        (scratch / "one").write_text("one")
        name = other.put_media(scratch / "one", "mp4")
        (store.root / f"media/{name[:2]}/{name}.mp4").unlink()
        assert store.has_media(name)
        assert store.find_media(name).read_text() == "one"
        other.remove_media(name)
        asked = []
        monkeypatch.setattr(type(store.far.bucket), "version", lambda self, name: asked.append(name))
        assert not store.has_media(name)
        assert asked == []


def test_a_mirror_keeps_to_its_bound_while_a_command_goes_on(link, monkeypatch):
    store = made(link).store
    names = []
    with writing(store), store.scratch() as scratch:
        for number in range(6):
            (scratch / "one").write_bytes(bytes([number]) * 1000)
            names.append(store.put_media(scratch / "one", "mp4", stays=number == 0))
            (scratch / "one").unlink()
        for path in store.root.glob("media/*/*"):
            os.utime(path, (0, 0))
        monkeypatch.setenv(BOUND, "0.000003")
        monkeypatch.setattr("hdvg.dataset.far.ROOM_BYTES", 0)
        store.far.listed = None
        (scratch / "one").write_text("one more, young as one that somebody reads")
        young = store.put_media(scratch / "one", "mp4")
        held = {path.stem for path in store.root.glob("media/*/*")}
        assert {names[0], young} < held, "a source is in no bucket; a young file may be in use"
        assert len(held) == 4
        assert all(map(store.has_media, names))
        assert {store.find_media(name).read_bytes()[0] for name in names} == {*range(6)}


def test_a_store_that_is_gone_ends_the_run_with_nothing_half_done(link, monkeypatch):
    store = made(link).store
    with writing(store):
        monkeypatch.setattr(store.far.bucket, "_store", unreachable())
        with pytest.raises(ResourceError, match=r"s3://.*then run the same command again"):
            store.publish_table("parts/cut/a.parquet", ROW)
        monkeypatch.undo()
        assert not (store.root / "parts/cut/a.parquet").exists()
        assert list(store.root.glob(f"tmp/{store.run}/*")) == []


def unreachable():
    """A store at which nothing listens."""
    with socket.socket() as port:
        port.bind(("127.0.0.1", 0))
        address = f"http://127.0.0.1:{port.getsockname()[1]}"
    return S3Store(OPEN, endpoint=address, client_options={"allow_http": True}, retry_config={"max_retries": 0})


def test_a_file_that_stayed_is_put_when_it_has_to_be_there(s3_server, link):
    dataset = made(link)
    with writing(dataset.store), dataset.store.scratch() as scratch:
        (scratch / "one").write_text("one")
        for stays in (True, False):
            name = dataset.store.put_media(scratch / "one", "mp4", stays=stays)
    assert f"media/{name[:2]}/{name}.mp4" in there(s3_server, link)


def test_a_large_file_is_put_in_parts_and_what_else_is_too_large_is_refused(s3_server, link, turn, monkeypatch):
    monkeypatch.setattr("hdvg.dataset.far.PARTS_BYTES", 12 * 2**20)
    monkeypatch.setattr("hdvg.dataset.far.MOST_BYTES", 13 * 2**20)
    monkeypatch.setattr("hdvg.sources.buckets.store.LARGE_BYTES", 5 * 2**20)
    dataset, content = made(link), os.urandom(2**20) * 14
    with writing(dataset.store), dataset.store.scratch() as scratch:
        for number, size in enumerate((14, 11)):
            (scratch / f"{number}").write_bytes(content[: size * 2**20])
        large, small = (dataset.store.put_media(scratch / f"{number}", "zip") for number in range(2))
        (dataset.root / f"media/{large[:2]}/{large}.zip").unlink()
        assert dataset.store.put_media(scratch / "0", "zip") == large, "there already"
        with pytest.raises(UsageError, match=r"shards/0.parquet: 0.0 GB.*shard.max_mb"):
            dataset.store.publish("shards/0.parquet", lambda path: path.write_bytes(content))
    prefix = f"far/{link.rpartition('/')[2]}/media"
    parts = {
        name: obstore.head(s3_server.store(OPEN), f"{prefix}/{name[:2]}/{name}.zip")["e_tag"].partition("-")[2]
        for name in (large, small)
    }
    assert parts == {large: '3"', small: ""}
    turn("there")
    assert Dataset.open(open_mirror(link)).store.find_media(large).read_bytes() == content


def test_removed_media_leave_the_bucket_wherever_they_lie(s3_server, link, turn):
    dataset = made(link)
    with writing(dataset.store), dataset.store.scratch() as scratch:
        (scratch / "one").write_text("one")
        name = dataset.store.put_media(scratch / "one", "zip")
    turn("there")
    second = Dataset.open(open_mirror(link), run=new_run()).store
    with writing(second):
        second.remove_media(name)
    assert not [one for one in there(s3_server, link) if one.startswith("media/")]


# One run at a time


def test_one_run_at_a_time_on_all_machines_together(s3_server, link, turn):
    dataset = made(link)
    with writing(dataset.store):
        turn("there")
        second = Dataset.open(open_mirror(link), run=new_run())
        assert second.store.is_locked()
        with (
            pytest.raises(UsageError, match=rf"another hdvg is working.*run {dataset.store.run}"),
            writing(second.store),
        ):
            pass
    assert not second.store.is_locked()
    with writing(second.store):
        pass
    assert json.loads(content(s3_server, link, LEASE))["until"] == 0


def test_a_run_whose_lease_was_taken_over_publishes_nothing_more(s3_server, link, turn):
    store = made(link).store
    with writing(store):
        held = json.loads(content(s3_server, link, LEASE))
        other = held | {"number": held["number"] + 1, "run": "0" * 32, "host": "elsewhere"}
        obstore.put(s3_server.store(OPEN), f"far/{link.rpartition('/')[2]}/{LEASE}", json.dumps(other).encode())
        store.far._sure = "", 0.0
        with pytest.raises(ResourceError, match="another run has taken the dataset over"):
            store.publish_table("parts/cut/a.parquet", ROW)
        with pytest.raises(ResourceError, match="another run"):
            store.remove("dataset.toml")
        run_lock._leases[store.root].renew()
        with pytest.raises(ResourceError, match="lost its lease"):
            store.publish_table("parts/cut/a.parquet", ROW)
        run_lock._leases[store.root]._lost = ""  # so that the block may end
    assert "parts/cut/a.parquet" not in there(s3_server, link)
    assert "dataset.toml" in there(s3_server, link)


def test_a_ghost_of_a_killed_run_publishes_nothing_once_the_next_run_has_begun(s3_server, link, turn):
    dataset = made(link)
    ghost = Store(dataset.root, run=new_run())
    Lease(dataset.root, ghost.run, shelf=ghost.far.shelf)
    ghost.begin()
    assert ghost.publish_table("parts/cut/early.parquet", ROW)
    held = json.loads(content(s3_server, link, LEASE))
    over = json.dumps(held | {"host": "elsewhere", "until": time.time() - 31}).encode()
    obstore.put(s3_server.store(OPEN), f"far/{link.rpartition('/')[2]}/{LEASE}", over)
    turn("there")
    with writing(Dataset.open(open_mirror(link), run=new_run()).store):
        ghost.far._sure = "", 0.0
        with pytest.raises(ResourceError, match="another run has taken the dataset over"):
            ghost.publish_table("parts/cut/late.parquet", ROW)
    assert "parts/cut/late.parquet" not in there(s3_server, link)


def test_a_lease_that_another_machine_holds_is_not_taken_and_a_lost_answer_costs_nothing(s3_server, link, turn):
    shelf = made(link).store.far.shelf
    first = Lease(Path("x"), "one", shelf=shelf)
    key = f"far/{link.rpartition('/')[2]}/{LEASE}"
    again = json.dumps(json.loads(content(s3_server, link, LEASE)) | {"until": time.time() + 59}).encode()
    obstore.put(s3_server.store(OPEN), key, again)  # ours, of which we never heard
    first.renew()
    first.refuse_lost()
    number = json.loads(content(s3_server, link, LEASE))["number"]
    assert not shelf.take(number, '{"run": "two"}'), "taken already"
    with pytest.raises(UsageError, match="run one"):
        Lease(Path("x"), "two", shelf=shelf)


def test_settings_that_another_machine_changes_just_before_are_not_written_over(link, turn):
    dataset = made(link)
    turn("there")
    second = Dataset.open(open_mirror(link), run=new_run())
    with writing(second.store):
        second.store.replace("dataset.toml", (second.root / "dataset.toml").read_text() + "# more\n")
    turn("here")
    with pytest.raises(UsageError, match="another run has changed its settings"), writing(dataset.store):
        pass


# What a store must do, and what it may not learn


def test_a_store_that_lets_a_second_one_create_is_refused(turn, tmp_path, monkeypatch):
    careless = CarelessStore()
    (tmp_path / "l.txt").write_text("https://example.org/a.mp4\n")
    with careless as address:
        monkeypatch.setenv("AWS_ENDPOINT_URL", address)
        said = hdvg("run", "demo", "--links", tmp_path / "l.txt", "--out", f"s3://{OPEN}/d", code=75).stderr
    assert "does not keep to conditional writes" in said
    assert {name.rpartition("/")[2].partition("-")[0] for name in careless.put} == {"probe"}


def test_a_folder_with_other_files_becomes_no_dataset(s3_server, link, tmp_path):
    s3_server.put(f"far/{link.rpartition('/')[2]}/thesis.tex", b"1")
    (tmp_path / "l.txt").write_text("https://example.org/a.mp4\n")
    said = hdvg("run", "demo", "--links", tmp_path / "l.txt", "--out", link, code=2).stderr
    assert "thesis.tex" in said
    assert there(s3_server, link).keys() == {"thesis.tex"}


def test_credentials_are_nowhere_and_messages_name_the_link(s3_server, link, tmp_path, monkeypatch):
    made(link)
    for guest in (True, False):
        for name, value in s3_server.environment(guest=guest).items():
            monkeypatch.setenv(name, value)
        said = hdvg("status", link).stdout
        assert link in said
        assert str(mirrors()) not in said
    for name, value in s3_server.environment(guest=True).items():
        monkeypatch.setenv(name, value)
    said = hdvg("run", link, code=2).stderr
    assert "AccessDenied" in said
    assert link in said
    assert str(mirrors()) not in said
    held = b"".join(path.read_bytes() for path in mirrors().rglob("*") if path.is_file())
    held += b"".join(content(s3_server, link, name) for name in there(s3_server, link))
    assert not [secret for secret in (KEY, SECRET, GUEST_KEY, GUEST_SECRET) if secret.encode() in held]


def test_a_command_beside_a_run_of_this_machine_leaves_the_mirror_alone(link):
    dataset = made(link)
    with writing(dataset.store):
        (dataset.root / "parts/cut/mine.parquet").write_bytes(b"between put and link")
        refresh(dataset.store.far)
        assert (dataset.root / "parts/cut/mine.parquet").exists()
    refresh(dataset.store.far)
    assert not (dataset.root / "parts/cut/mine.parquet").exists()


def test_metadata_are_imported_into_a_bucket_and_marks_and_rules_come_from_any_machine(link, turn, tmp_path):
    (tmp_path / "a.json").write_text(json.dumps(dict(hd_vg_videos(2, seed=3, parents=1))))
    hdvg("import", "hd-vg", tmp_path / "a.json", "--out", link)
    turn("there")
    assert len(ask(link, "from inputs")) == 2
    hdvg("filter", link, "--set", "keep.long=duration_s >= 9", "--new-rule")
    turn("here")
    assert "duration_s >= 9" in (open_mirror(link) / "dataset.toml").read_text()
