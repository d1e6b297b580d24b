"""Published once, whole, and never changed."""

import errno
import fcntl
import os
import subprocess
import sys
import threading
from pathlib import Path

import pyarrow as pa
import pytest

from hdvg.dataset.seals import is_sealed, sealed
from hdvg.dataset.store import EXTENSIONS, FileOps, Store
from hdvg.errors import ResourceError, UsageError


def begun(root: Path, ops: FileOps | None = None, run: str = "none") -> Store:
    """A store whose run has begun."""
    store = Store(root, ops, run=run)
    store.begin()
    return store


def test_the_first_publisher_wins_and_the_file_never_changes(tmp_path):
    store = begun(tmp_path)
    assert store.publish("a/b.txt", lambda path: path.write_text("first"))
    assert not store.publish("a/b.txt", lambda path: path.write_text("second"))
    assert (tmp_path / "a/b.txt").read_text() == "first"
    assert list((tmp_path / "tmp/none").iterdir()) == []


def test_media_is_found_by_its_bytes(tmp_path):
    store = begun(tmp_path)
    with store.scratch() as scratch:
        (scratch / "x").write_bytes(b"abc")
        sha256 = store.put_media(scratch / "x", "mp4")
    assert sha256 == "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"
    assert store.find_media(sha256).read_bytes() == b"abc"
    assert store.find_media("0" * 64) is None


def test_media_is_found_without_listing_a_folder(tmp_path, monkeypatch):
    store = begun(tmp_path)
    names = {}
    with store.scratch() as scratch:
        for extension in EXTENSIONS:
            (scratch / extension).write_text(extension)
            names[extension] = store.put_media(scratch / extension, extension)
        with pytest.raises(ValueError, match="exe"):
            store.put_media(scratch / "mp4", "exe")
    monkeypatch.setattr("os.scandir", None)
    monkeypatch.setattr("os.listdir", None)
    assert {extension: store.find_media(name).read_text() for extension, name in names.items()} == {
        extension: extension for extension in EXTENSIONS
    }


def test_what_is_there_already_is_not_refused_by_a_full_disk(tmp_path):
    class Full(FileOps):
        def write(self, *_: object) -> None:
            raise OSError(errno.ENOSPC, "No space left on device")

    assert begun(tmp_path).publish("part.parquet", lambda path: path.write_text("x"))
    assert not Store(tmp_path, Full()).publish("part.parquet", lambda path: path.write_text("x"))


@pytest.mark.parametrize("method", ["write", "fsync", "link"])
def test_a_refusing_disk_stops_the_run_and_leaves_nothing_half_done(tmp_path, method):
    class Full(FileOps):
        pass

    begun(tmp_path)

    def refuse(*_: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    setattr(Full, method, refuse)
    with pytest.raises(ResourceError, match=r"cannot write.*No space left"):
        Store(tmp_path, Full()).publish("part.parquet", lambda path: path.write_text("x"))
    assert not (tmp_path / "part.parquet").exists()
    assert list((tmp_path / "tmp/none").iterdir()) == []


def test_a_lock_that_is_let_go_within_the_second_is_waited_for(tmp_path):
    store = Store(tmp_path)
    held = store.root.joinpath("run.lock").open("a+")
    fcntl.flock(held, fcntl.LOCK_SH)  # as who asks whether a run works
    threading.Timer(0.2, held.close).start()
    with store.lock():
        assert store.is_locked()


def test_a_second_run_is_refused_and_told_who_holds_the_dataset(tmp_path):
    script = "import sys; from pathlib import Path; from hdvg.dataset.store import Store\nwith Store(Path(sys.argv[1])).lock(): pass"
    store = begun(tmp_path)
    with store.lock():
        assert store.is_locked()
        second = subprocess.run([sys.executable, "-c", script, tmp_path], capture_output=True, text=True, check=False)
    assert "another hdvg is working" in second.stderr
    assert str(os.getpid()) in second.stderr
    assert not store.is_locked()
    with store.lock():
        pass


def test_lock_error_is_a_usage_error(tmp_path):
    with Store(tmp_path).lock(), pytest.raises(UsageError), Store(tmp_path).lock():
        pass


def test_a_ghost_of_an_earlier_run_can_publish_nothing(tmp_path):
    ghost, now = begun(tmp_path, run="ghost"), Store(tmp_path, run="now")
    with ghost.scratch() as scratch:
        (scratch / "half").touch()
        now.begin()
        assert [path.name for path in (tmp_path / "tmp").iterdir()] == ["now"]
        with pytest.raises(ResourceError):
            ghost.publish("part.parquet", lambda path: path.write_text("a failure that only the ghost had"))
        with pytest.raises(ResourceError), ghost.scratch():
            pass
    assert not (tmp_path / "part.parquet").exists()
    assert now.publish("part.parquet", lambda path: path.write_text("x"))
    now.end()
    assert list((tmp_path / "tmp").iterdir()) == []


def test_replace_gives_the_old_or_the_new_text(tmp_path):
    store = begun(tmp_path)
    store.replace("dataset.toml", "one")
    store.replace("dataset.toml", "two")
    assert Path(tmp_path / "dataset.toml").read_text() == "two"


def test_a_seal_shows_any_flipped_bit_and_any_shortening(tmp_path):
    content = sealed(pa.table({"a": [1, 2, 3], "b": ["x", None, "z"]}))
    path = tmp_path / "part.parquet"

    def holds(some: bytes) -> bool:
        path.write_bytes(some)
        return is_sealed(path)

    assert holds(content)
    assert not any(holds(content[:length]) for length in range(len(content)))
    for place in range(len(content)):
        for bit in range(8):
            harmed = bytes([content[place] ^ 1 << bit])
            assert not holds(content[:place] + harmed + content[place + 1 :]), (place, bit)
