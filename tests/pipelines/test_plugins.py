"""Plug-ins in a run: a file travels with the dataset, a changed one is new work, and nothing but work runs its code."""

from __future__ import annotations

import io
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from rich.console import Console

from hdvg.config.recipe import Recipe, parse_recipe
from hdvg.dataset.dataset import Dataset
from hdvg.errors import UsageError
from hdvg.ids import file_sha256
from hdvg.reports.verify import verify
from pipelines.run import Task, run
from pipelines.where import Where
from tests.videos import draw_scenes

CAPTIONER = """
from pathlib import Path

from hdvg.captioners import Written

Path({mark!r}).write_text("ran")

class Lengths:
    def __init__(self, settings):
        self.name, self.model, self.batch = "lengths", "lengths 1", 8

    def prepare(self, shot):
        return shot.measures["duration_s"]

    def write(self, prepared):
        return [Written({{"short": f"{word} of {{seconds:.1f}} s"}}) for seconds in prepared]
"""
DETECTOR = """
from hdvg.shots.detectors import Transition

class EveryTen:
    version = 1

    def __init__(self, settings):
        self.settled = 0

    def feed(self, chunk):
        first, self.settled = self.settled, self.settled + len(chunk.pts)
        return [Transition(at, at) for at in range(first, self.settled) if at and at % 10 == 0]

    def finish(self):
        return []
"""


def recipe(*overrides: str) -> Recipe:
    return parse_recipe({"name": "test", "caption": {"captioner": "none"}}, overrides)


def go(root: Path, made: Recipe, links: str | None = None) -> str:
    """Run to the end; what was said."""
    said = io.StringIO()
    assert run(root, made, Task(links=[links] if links else [], where=Where("serial")), Console(file=said, width=500))
    return said.getvalue()


@pytest.fixture(scope="module")
def video(tmp_path_factory: pytest.TempPathFactory) -> str:
    path = tmp_path_factory.mktemp("video") / "video.mp4"
    draw_scenes(path, scene_frames=(20, 15), seed=1)
    return str(path)


@pytest.fixture(scope="module")
def made(video: str, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A dataset by a captioner in a file that is gone, and `mark`, which the file's code writes, beside it."""
    folder = tmp_path_factory.mktemp("made")
    write(folder / "lengths.py", mark=folder / "mark")
    go(folder / "d", recipe(f"caption.captioner={folder / 'lengths.py'}:Lengths"), video)
    assert captions(folder / "d") == ["shot of 0.8 s", "shot of 0.6 s"]
    (folder / "lengths.py").unlink()
    return folder / "d"


@pytest.fixture
def root(made: Path, tmp_path: Path) -> Path:
    """A copy of that dataset, in another place."""
    return shutil.copytree(made, tmp_path / "elsewhere")


def write(path: Path, *, mark: Path, word: str = "shot") -> Path:
    path.write_text(CAPTIONER.format(mark=str(mark), word=word))
    return path


def captions(root: Path) -> list[str]:
    with Dataset.open(root).manifest() as manifest:
        return [row["caption"] for row in manifest.rows("select caption from dataset where keep order by start_pts")]


def test_a_captioner_in_a_file_travels_with_the_dataset(root: Path, tmp_path: Path) -> None:
    (kept,) = root.glob("plugins/*/*")  # and no bytecode
    assert kept.name == "lengths.py"
    assert kept.parent.name == file_sha256(kept)[:16]
    assert Dataset.open(root).plan.recipe.caption.captioner == f"{kept.relative_to(root)}:Lengths"
    draw_scenes(tmp_path / "more.mp4", scene_frames=(18,), seed=2)
    go(root, Dataset.open(root).plan.recipe, str(tmp_path / "more.mp4"))
    assert len(captions(root)) == 3
    assert verify(Dataset.open(root)) == []


def test_only_a_changed_file_is_new_work(made: Path, root: Path, tmp_path: Path) -> None:
    mine = write(tmp_path / "lengths.py", mark=made.parent / "mark")
    assert "all is done" in go(root, recipe(f"caption.captioner={mine}:Lengths"))
    write(mine, mark=made.parent / "mark", word="take")
    assert "caption will be done again" in go(root, recipe(f"caption.captioner={mine}:Lengths"))
    assert captions(root) == ["take of 0.8 s", "take of 0.6 s"]
    assert len(list(root.glob("plugins/*/lengths.py"))) == 2


def test_opening_a_dataset_runs_none_of_its_code(made: Path) -> None:
    mark = made.parent / "mark"
    mark.unlink()
    opened = (
        "import sys; from pathlib import Path; from hdvg.dataset.dataset import Dataset; root = Path(sys.argv[1])\n"
        "from hdvg.reports.status import status; from hdvg.reports.verify import verify\n"
        "dataset = Dataset.open(root); status(dataset); verify(dataset)\n"
        "with dataset.manifest() as manifest: manifest.rows('select * from dataset')\n"
    )
    subprocess.run([sys.executable, "-c", opened, made], check=True)
    assert not mark.exists()


def test_a_changed_copy_is_refused(root: Path) -> None:
    (kept,) = root.glob("plugins/*/*")
    kept.chmod(0o644)
    kept.write_text(kept.read_text() + "\n# changed\n")
    with pytest.raises(UsageError, match="it was changed"):
        go(root, Dataset.open(root).plan.recipe)


@pytest.mark.slow  # tests/test_extending.py runs another
def test_a_detector_in_a_file_runs_in_the_decoding_child(video: str, tmp_path: Path) -> None:
    file = tmp_path / "ten.py"
    file.write_text(DETECTOR)
    root = tmp_path / "d"
    go(root, recipe(f"split.detector={file}:EveryTen"), video)
    with Dataset.open(root).manifest() as manifest:
        assert [row["n_frames"] for row in manifest.rows("select n_frames from dataset order by start_pts")] == [
            10,
            10,
            10,
            5,
        ]
    file.write_text(DETECTOR.replace("version = 1", "version = 2"))
    with pytest.raises(UsageError, match="other settings for split"):
        go(root, recipe(f"split.detector={file}:EveryTen"))


@pytest.mark.parametrize(
    ("text", "named"),
    [
        ("nowhere.py:Mine", r"nowhere\.py: no plug-in file .* counts from the current folder"),
        ("{here}:Length", r"no `Length` in it; did you mean `Lengths`\?"),
        ("{here}:Path", r"lacks prepare\(\), write\(\).*docs/extending\.md"),
        ("no_such_package.captioner:Mine", "must be installed on every machine"),
        ("tagz", "did you mean `tags`"),
    ],
)
def test_what_is_wrong_with_a_name_is_said_before_anything_runs(
    text: str, named: str, video: str, tmp_path: Path
) -> None:
    mine = write(tmp_path / "lengths.py", mark=tmp_path / "mark")
    with pytest.raises(UsageError, match=named):
        go(tmp_path / "d", recipe(f"caption.captioner={text.format(here=mine)}"), video)
    assert not (tmp_path / "d/dataset.toml").exists()
