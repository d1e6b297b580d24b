"""A run stopped before any file operation of any stage, by a kill or a power loss, ends like an undisturbed one."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from hdvg.config import parse_recipe
from hdvg.dataset import Dataset
from hdvg.settings import make_plan
from hdvg.shards import write_shards
from hdvg.store import FileOps, Store
from pipelines.perform import Job, perform
from pipelines.runners import make_gate
from tests.crash import LOSSES, Crash, DyingOps
from tests.digest import files
from tests.videos import draw_scenes

STEPS = ("prepare", "download", "split", "cut", "caption", "shard")


def do(step: str, root: Path, links: Path, store: Store) -> None:
    """One step of a run over one unit."""
    dataset = Dataset(root, make_plan(parse_recipe({"name": "crash"})), store)
    store.begin()
    if step == "prepare":
        dataset.prepare()
        dataset.accept(str(links))
    elif step == "shard":
        write_shards(dataset, lambda rows: {})
    else:
        (unit,) = {row["unit"] for path in (root / "inputs").iterdir() for row in pq.read_table(path).to_pylist()}
        perform(Job(root, store.run, step, unit), make_gate(dataset.plan.recipe), dataset)


@pytest.fixture(scope="module")
def base(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Links to one small video of two shots, and the dataset's state before each step and at the end."""
    folder = tmp_path_factory.mktemp("crash")
    (folder / "videos").mkdir()
    draw_scenes(folder / "videos" / "two.mp4", scene_frames=(20, 20))
    for before, step in zip(("start", *STEPS), STEPS, strict=False):
        source = folder / before
        source.mkdir(exist_ok=True)
        shutil.copytree(source, folder / step)
        do(step, folder / step, folder / "videos", Store(folder / step))
    return folder


def crashes(base: Path, step: str, tmp_path: Path, make_store: type[Store], ops: type[DyingOps]) -> Iterator[list[str]]:
    """For each operation of the step: what is wrong after a crash before it and a second, undisturbed try.

    Crashes that leave the same disk behind are followed once.
    """
    before = ("start", *STEPS)[STEPS.index(step)]
    seen: dict[frozenset[tuple[str, object]], list[str]] = {}
    for at in range(1, 200):
        root = tmp_path / str(at)
        shutil.copytree(base / before, root)
        dying = ops(at)
        try:
            do(step, root, base / "videos", make_store(root, dying))
            return
        except Crash:
            pass
        losses = [loss for loss in LOSSES if loss == "kill" or dying.unsynced_data or dying.unsynced_names]
        yield [
            f"{step} {at} {loss}: {trouble}"
            for loss in losses
            for trouble in resume(base, step, root, dying, loss, seen)
        ]
        shutil.rmtree(root)
    raise AssertionError("the step never ends")


def resume(
    base: Path, step: str, root: Path, dying: DyingOps, loss: str, seen: dict[frozenset[tuple[str, object]], list[str]]
) -> list[str]:
    """Let the crash have its loss, try the step again, compare with the undisturbed end; `root` is left as it was."""
    kept = root.with_name(root.name + "-kept")
    shutil.copytree(root, kept)
    LOSSES[loss](dying)
    state = on_disk(root)
    if state not in seen:
        seen[state] = again(base, step, root)
    shutil.rmtree(root)
    kept.rename(root)
    return seen[state]


def again(base: Path, step: str, root: Path) -> list[str]:
    """Try the step; what differs from the undisturbed end."""
    try:
        do(step, root, base / "videos", Store(root))
        end = files(root)
    except Exception as error:
        return [f"{type(error).__name__}: {error}"]
    expected = files(base / step)
    return [f"{name} differs" for name in expected.keys() | end.keys() if end.get(name) != expected.get(name)]


def on_disk(root: Path) -> frozenset[tuple[str, object]]:
    """All that a further try can see: folders, and files by their bytes, or by their size where these hold times.

    Of tmp/ only how much lies there: its names are random and its files are never read.
    """
    inside = [path for path in root.rglob("*") if path.relative_to(root).parts[0] != "tmp"]
    told = {(str(path.relative_to(root)), None if path.is_dir() else seen_of(path)) for path in inside}
    return frozenset(told | {("tmp", len(list((root / "tmp").glob("*"))))})


def seen_of(path: Path) -> object:
    """The bytes of a file; of a table with times in it, its size."""
    return path.stat().st_size if path.parent.parent.name == "parts" else path.read_bytes()


@pytest.mark.parametrize("step", STEPS)
def test_a_crash_before_any_file_operation_costs_nothing(base, step, tmp_path):
    points = list(crashes(base, step, tmp_path, Store, DyingOps))
    assert len(points) >= 4
    assert [trouble for found in points for trouble in found] == []


class NoFsync(DyingOps):
    """Planted bug: data and names are never flushed."""

    def fsync(self, path: Path) -> None:
        self._step()


class InPlace(Store):
    """Planted bug: files grow under their final names."""

    def _place(self, name, write, into):
        final = self.root / name
        self._folder(final.parent.relative_to(self.root))
        if final.exists() and into == self._link_once:
            return False
        self.ops.write(final, write)
        self.ops.fsync(final)
        self.ops.fsync(final.parent)
        return True


class MarkerFirst(Store):
    """Planted bug: the part that says done is published before the media it names."""

    def __init__(self, root: Path, ops: FileOps | None = None) -> None:
        super().__init__(root, ops)
        self.later: list[tuple[Path, str]] = []

    def put_media(self, path: Path, extension: str) -> str:
        from hdvg.ids import file_sha256

        kept = self.root / "tmp" / self.run / f"later-{len(self.later)}"
        shutil.copyfile(path, kept)
        self.later.append((kept, extension))
        return file_sha256(path)

    def publish_table(self, name: str, table: pa.Table) -> bool:
        published = super().publish_table(name, table)
        for path, extension in self.later:
            super().put_media(path, extension)
        self.later = []
        return published


@pytest.mark.parametrize(("store", "ops"), [(Store, NoFsync), (InPlace, DyingOps), (MarkerFirst, DyingOps)])
def test_the_harness_catches_a_planted_bug(base, tmp_path, store, ops):
    assert any(crashes(base, "split", tmp_path, store, ops))
