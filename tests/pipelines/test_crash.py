"""A run stopped before any file operation of any stage, by a kill or a power loss, ends like an undisturbed one."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import pyarrow as pa
import pytest

from hdvg.config.recipe import parse_recipe
from hdvg.dataset.dataset import Dataset
from hdvg.dataset.intake import accept
from hdvg.dataset.shards import in_turn, write_shards
from hdvg.dataset.store import FileOps, Store
from hdvg.ids import file_sha256
from hdvg.planning import make_plan
from pipelines.perform import Job, make_gate, perform
from tests.crash import LOSSES, Crash, DyingOps
from tests.digest import files
from tests.faults.moments import state_of
from tests.videos import draw_scenes

STEPS = ("prepare", "download", "split", "cut", "caption", "shard")


def do(step: str, root: Path, links: Path, store: Store) -> None:
    """One step of a run over one unit."""
    dataset = Dataset(root, make_plan(parse_recipe({"name": "crash"})), store)
    store.begin()
    if step == "prepare":
        dataset.prepare()
        accept(dataset, str(links))
    elif step == "shard":
        write_shards(dataset, in_turn(dataset, lambda rows: {}))
    else:
        with dataset.manifest() as manifest:
            unit = manifest.one("select unit from inputs where unit is not null")
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


@dataclass(frozen=True)
class Moment:
    """The dataset before one file operation, and what of it a power loss may take."""

    kept: Path
    unsynced_data: frozenset[Path]
    unsynced_names: dict[Path, Callable[[], None]]

    def losses(self) -> list[str]:
        """Those that change anything."""
        told = {"kill": True, "data lost": bool(self.unsynced_data), "names lost": bool(self.unsynced_names)}
        return [loss for loss in LOSSES if told[loss]]

    def restore(self, root: Path, loss: str) -> None:
        """Make `root` what the moment and the loss leave."""
        if root.exists():
            shutil.rmtree(root)
        shutil.copytree(self.kept, root)
        dead = DyingOps()
        dead.unsynced_data, dead.unsynced_names = set(self.unsynced_data), self.unsynced_names
        LOSSES[loss](dead)


def moments_of(base: Path, step: str, root: Path, make_store: type[Store], ops: type[DyingOps]) -> list[Moment]:
    """One undisturbed step over `root`, looked at before each of its operations."""
    found: list[Moment] = []

    def look(now: DyingOps) -> None:
        kept = root.with_name(f"{root.name}-{len(found)}")
        shutil.copytree(root, kept)
        found.append(Moment(kept, frozenset(now.unsynced_data), dict(now.unsynced_names)))

    begin(base, step, root)
    do(step, root, base / "videos", make_store(root, ops(before=look)))
    return found


def begin(base: Path, step: str, root: Path) -> None:
    """Make `root` the dataset as the step finds it."""
    if root.exists():
        shutil.rmtree(root)
    shutil.copytree(base / ("start", *STEPS)[STEPS.index(step)], root)


def names_in(root: Path) -> list[str]:
    """What `state_of` counts, without contents."""
    return sorted(name for name, _ in state_of(root).elements())


def crashes(
    base: Path, step: str, tmp_path: Path, make_store: type[Store], ops: type[DyingOps], *, every: int = 1
) -> Iterator[list[str]]:
    """For each operation of the step (for every `every`-th of them): what is wrong after a crash before it and a second, undisturbed try.

    Moments that leave the same on disk are tried once: what a second try finds is all it knows of the first.
    """
    root, seen = tmp_path / "d", []
    for at, moment in enumerate(moments_of(base, step, root, make_store, ops), start=1):
        found = []
        for loss in moment.losses() if at % every == 0 else ():
            moment.restore(root, loss)
            if (left := state_of(root)) not in seen:
                seen.append(left)
                found += [f"{step} {at} {loss}: {trouble}" for trouble in resume(base, step, root)]
        yield found


def resume(base: Path, step: str, root: Path) -> list[str]:
    """Try the step again, compare with the undisturbed end."""
    try:
        do(step, root, base / "videos", Store(root))
        end = files(root)
    except Exception as error:
        return [f"{type(error).__name__}: {error}"]
    expected = files(base / step)
    return [f"{name} differs" for name in expected.keys() | end.keys() if end.get(name) != expected.get(name)]


@pytest.mark.parametrize("every", [12, pytest.param(1, marks=pytest.mark.slow)])
@pytest.mark.parametrize("step", STEPS)
def test_a_crash_before_any_file_operation_costs_nothing(base, step, tmp_path, every):
    """`make faults` tries each operation of more steps, and more losses."""
    points = list(crashes(base, step, tmp_path, Store, DyingOps, every=every))
    assert len(points) >= 4
    assert [trouble for found in points for trouble in found] == []


@pytest.mark.parametrize("step", STEPS)
def test_a_process_that_dies_leaves_what_the_moment_before_the_operation_holds(base, step, tmp_path):
    root = tmp_path / "d"
    moments = moments_of(base, step, root, Store, DyingOps)
    for at in (1, len(moments) // 2, len(moments)):
        begin(base, step, root)
        with pytest.raises(Crash):
            do(step, root, base / "videos", Store(root, DyingOps(at)))
        assert names_in(root) == names_in(moments[at - 1].kept), at  # contents tell times


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
