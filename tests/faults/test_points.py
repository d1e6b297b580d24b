"""The crash points find what is not durable, and the store of today has none."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from hdvg.dataset.store import Store
from tests.crash import DyingOps
from tests.faults.moments import crashes
from tests.faults.refuse_faults import run as refuse
from tests.faults.small_act import small_act
from tests.faults.tally import Asked, Tally, scratch_folder


@pytest.fixture
def folder():
    with scratch_folder("points") as made:
        yield made


class NoFolderFsync(DyingOps):
    """Planted bug: what is in a file is flushed, its name is not."""

    def fsync(self, path: Path) -> None:
        if path.is_dir():
            self._step()
        else:
            super().fsync(path)


class NoFileFsync(DyingOps):
    """Planted bug: names are flushed, what is in the files is not."""

    def fsync(self, path: Path) -> None:
        if path.is_dir():
            super().fsync(path)
        else:
            self._step()


class PartFirst(Store):
    """Planted bug: the part is published before the media that it names."""

    def put_media(self, path: Path, extension: str) -> str:
        from hdvg.ids import file_sha256

        self._later = shutil.copyfile(path, self.root / "tmp" / self.run / "later"), extension
        return file_sha256(path)

    def publish_table(self, name, table):
        published = super().publish_table(name, table)
        super().put_media(*self._later)
        return published


def troubles(folder: Path, ops: type[DyingOps] = DyingOps, store: type[Store] = Store) -> tuple[int, list[str]]:
    points = list(crashes(small_act(folder, store), folder, ops))
    return len(points), [f"{name}: {trouble}" for name, found in points for trouble in found]


def test_no_crash_point_of_publishing_loses_anything(folder):
    points, found = troubles(folder)
    assert found == []
    assert points > 35


@pytest.mark.parametrize(("ops", "store"), [(NoFileFsync, Store), (DyingOps, PartFirst)], ids=lambda one: one.__name__)
def test_the_crash_points_catch(folder, ops, store):
    assert troubles(folder, ops, store)[1]


def test_a_name_that_is_lost_alone_is_what_shows_an_unflushed_folder(folder):
    """All names lost at once is as if nothing had been published: it hides the bug."""
    points = crashes(small_act(folder), folder, NoFolderFsync)
    found = {name.split(" ", 2)[2] for name, troubles in points if troubles}
    assert found
    assert not found & {"kill", "names lost", "data lost"}


def test_any_file_operation_may_be_refused(folder, monkeypatch):
    monkeypatch.setattr("tests.faults.refuse_faults.all_acts", lambda scratch, touches: [small_act(scratch)])
    tally = Tally()
    refuse(Asked(folder, seed=0), tally)
    assert tally.failures == []
    assert tally.counts["survived"] > 30
