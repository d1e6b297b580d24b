"""What the machine lacks is never an item's fault: exit 75 and one line, and the same command completes to the same dataset."""

from __future__ import annotations

import errno
import io
import os
import resource
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from rich.console import Console

from hdvg.config.recipe import parse_recipe
from hdvg.dataset.dataset import Dataset
from hdvg.errors import ItemError, ResourceError, resource_error
from hdvg.exporting import export
from hdvg.exporting.wanted import Wanted
from hdvg.reports.verify import verify
from hdvg.sandbox.boundary import failure
from pipelines.run import Task, run
from pipelines.where import Where
from tests.digest import contents
from tests.videos import draw_scenes

RECIPE = parse_recipe({"name": "short", "caption": {"captioner": "title"}, "keep": {"too_short": "duration_s >= 0.7"}})
SERIAL = Where(runner="serial")
KIB = 1024
QUIET = Console(file=io.StringIO())


def go(root: Path, links: Path | None = None, stage: str | None = None) -> bool:
    task = Task(links=[str(links)] if links else (), stage=stage, where=SERIAL)
    return run(root, RECIPE, task, QUIET)


def command(*arguments: object, before: Callable[[], None] | None = None) -> subprocess.CompletedProcess[str]:
    words = [sys.executable, "-m", "hdvg.cli", *map(str, arguments)]
    return subprocess.run(words, capture_output=True, text=True, preexec_fn=before, check=False)  # one thread here


@pytest.fixture(scope="module")
def videos(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("videos")
    for seed, (title, scenes) in enumerate(
        [("two dogs run on the grass", (40, 45)), ("a red car on a street", (50, 30))]
    ):
        draw_scenes(folder / f"{title}.mp4", scene_frames=scenes, seed=seed)
    return folder


@pytest.fixture(scope="module")
def finished(videos: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A dataset by an undisturbed run, not to be changed."""
    root = tmp_path_factory.mktemp("whole") / "d"
    assert go(root, videos)
    return root


@pytest.fixture(scope="module")
def whole(finished: Path) -> dict[str, object]:
    """What it holds."""
    found = contents(finished)
    assert "train-00000.parquet" in found
    return found


@pytest.fixture
def disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of 8 MiB of its own."""
    place = tmp_path / "disk"
    place.mkdir()
    if subprocess.run(["mount", "-t", "tmpfs", "-o", "size=8m", "none", place], capture_output=True).returncode:
        pytest.skip("mounting needs root")
    yield place
    subprocess.run(["umount", "-l", place], check=True)


def fill(disk: Path, *, left: int) -> Path:
    """Take the disk's space but `left` bytes."""
    filler = disk / "filler"
    free = os.statvfs(disk)
    filler.write_bytes(bytes(max(free.f_bavail * free.f_bsize - left, 0)))
    return filler


@pytest.mark.parametrize(
    ("before", "left"),
    [
        ("split", 150),
        *(pytest.param(*one, marks=pytest.mark.slow) for one in [(None, 40), ("download", 12), ("download", 40)]),
        *(pytest.param("split", left, marks=pytest.mark.slow) for left in (4, 24, 60, 240)),
    ],
)  # fmt: skip
def test_a_full_disk_stops_a_run_and_the_same_run_completes_it(disk, videos, whole, before, left):
    root = disk / "d"
    if before:
        for stage in ("download", "split")[: 1 + (before == "split")]:
            assert go(root, videos, stage)
    filler = fill(disk, left=left * KIB)
    with pytest.raises(ResourceError, match=r"(No space left on device|ran short).*run .*again"):
        go(root, videos)
    filler.unlink()
    assert go(root, videos)
    assert contents(root) == whole
    assert verify(Dataset.open(root)) == []


def test_a_cut_that_runs_out_of_space_is_no_clips_failure(disk, videos):
    """At every amount of space, whether the clip is copied or encoded."""
    from hdvg.media.cut import cut

    source = next(iter(sorted(videos.iterdir())))
    span = {"clip_id": "a", "start_pts": 5 * 512, "end_pts": 60 * 512, "n_frames": 55, "first_look": None}
    span |= {"last_look": None, "decode_errors": 0}
    settings = RECIPE.cut.model_dump()
    refused = 0
    for left in range(0, 60, 4):
        filler = fill(disk, left=left * KIB)
        try:
            (made,) = cut(str(source), str(disk), [span], settings, 10**8)
        except OSError as error:
            made = failure(error)
            refused += 1
        assert made.get("cut_mode") == "smart" or made["kind"] == "resource", made
        filler.unlink()
        (disk / "a.mp4").unlink(missing_ok=True)
    assert 0 < refused < 15


@pytest.mark.slow
def test_shards_and_exports_on_a_full_disk_stop_whole(disk, videos, whole):
    root = disk / "d"
    for stage in ("download", "split", "cut", "caption"):
        assert go(root, videos, stage)
    filler = fill(disk, left=8 * KIB)
    with pytest.raises(ResourceError, match="No space left"):
        go(root)
    filler.unlink()
    assert go(root)
    assert contents(root) == whole
    wanted = Wanted("webdataset", disk / "out")
    filler = fill(disk, left=8 * KIB)
    with pytest.raises(ResourceError, match="No space left"):
        export(Dataset.open(root), wanted, QUIET)
    filler.unlink()
    export(Dataset.open(root), wanted, QUIET)


def test_a_disk_that_is_read_only_stops_what_writes_and_nothing_that_reads(disk, finished, videos):
    root = Path(shutil.copytree(finished, disk / "d"))
    subprocess.run(["mount", "-o", "remount,ro", disk], check=True)
    told = command("run", root, "--links", videos)
    assert (told.returncode, told.stdout) == (75, "")
    assert told.stderr.count("\n") == 1
    assert "Read-only file system" in told.stderr
    assert "make the disk writable" in told.stderr
    for reading in (("verify", root), ("query", root, "select count(*) from clips")):
        assert command(*reading).returncode == 0


@pytest.mark.slow
def test_too_few_handles_are_named_with_the_next_step(finished):
    for most in (24, 40):
        told = command(
            "status", finished, before=lambda most=most: resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))
        )
        if told.returncode:
            assert (told.returncode, "ulimit -n" in told.stderr) == (75, True), told.stderr


@pytest.mark.parametrize("code", [errno.ENOSPC, errno.EDQUOT, errno.EMFILE, errno.ENFILE, errno.EIO, errno.EROFS])
def test_whatever_stands_before_it_the_machines_fault_is_found(code):
    def wrapped() -> ItemError:
        try:
            try:
                raise OSError(code, os.strerror(code), "/a/file")
            except OSError as error:
                raise ItemError("cut_mismatch", str(error)) from error
        except ItemError as error:
            return error

    said = failure(wrapped())
    assert said["kind"] == "resource"
    assert said["detail"].startswith(f"/a/file: {os.strerror(code)}; ")


def test_memory_is_the_machines_in_the_driver_and_the_items_behind_a_childs_own_limit():
    assert failure(MemoryError())["reason"] == "memory"
    assert failure(MemoryError(), limited=False)["kind"] == "resource"
    assert "free memory" in str(resource_error(MemoryError()))


def test_what_ffmpeg_calls_an_input_error_is_the_disks_only_if_the_file_cannot_be_read(tmp_path):
    import av.error

    (tmp_path / "fine").write_bytes(b"fine")
    error = av.error.OSError(errno.EIO, "Input/output error")
    assert failure(error, files=[str(tmp_path / "fine")])["kind"] == "item"
    assert failure(error, files=["/proc/self/mem"])["kind"] == "resource"  # whose first page gives EIO


@pytest.mark.slow
def test_a_run_with_little_space_for_its_children_is_not_shortened(disk, videos, whole):
    """Results of children that do not fit are no results."""
    root = disk / "d"
    assert go(root, videos, "download")
    for left in (6, 16, 30):
        filler = fill(disk, left=left * KIB)
        with pytest.raises(ResourceError):
            go(root, videos)
        filler.unlink()
    with Dataset.open(root).manifest() as manifest:
        assert manifest.rows("from failures") == []
    assert go(root, videos)
    assert contents(root) == whole
    shutil.rmtree(root)
