"""What the rows of README's "Add a thing" mean, as steps on a copy of the code, and how it shows that each is enough.

A row without an `Addition` here is only looked at: its files and tables are there.
"""

from __future__ import annotations

import json
import re
import shutil
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from tests.added_code import CAPTIONER, FORMAT, MEASURE, STAGE, STAGE_COLUMNS
from tests.layouts import ROOT, asked, call_in, files
from tests.videos import draw_scenes


@dataclass(frozen=True)
class Addition:
    """The steps of one row, and what a user then sees.

    `new`: path -> text of a new file. `edits`: path, a text that stands in it once, what takes its place.
    `shows(tree, dataset, folder)` uses the thing with the code in `tree`, on a dataset of the first release.
    """

    shows: Callable[[Path, Path, Path], None]
    new: Mapping[str, str] = field(default_factory=dict)
    edits: Sequence[tuple[str, str, str]] = ()

    @property
    def touched(self) -> set[str]:
        """The files of the steps."""
        return {*self.new, *(path for path, _, _ in self.edits)}


def rows() -> dict[str, str]:
    """What to add -> what to touch, as README says it."""
    text = ROOT.joinpath("README.md").read_text(encoding="utf-8").partition("## Add a thing")[2].partition("\n## ")[0]
    return dict(re.findall(r"^\| (an? [^|]*?) \| (.*) \|$", text, re.MULTILINE))


def named_files(row: str) -> set[str]:
    """The files that a row names."""
    return set(re.findall(r"`([\w/]+\.(?:py|toml|sql))`", row))


def performed(addition: Addition, folder: Path) -> Path:
    """A copy of the code with the steps done."""
    for package in ("schemas", "hdvg", "pipelines"):
        shutil.copytree(
            ROOT / package, folder / package, ignore=shutil.ignore_patterns("__pycache__", "*.mp4", "*.webm")
        )
    for name, text in addition.new.items():
        assert not (folder / name).exists(), name
        (folder / name).write_text(text, encoding="utf-8")
    for name, before, after in addition.edits:
        text = (folder / name).read_text(encoding="utf-8")
        assert text.count(before) == 1, (name, before)
        (folder / name).write_text(text.replace(before, after), encoding="utf-8")
    return folder


def asked_in(tree: Path, dataset: Path, sql: str) -> list[dict[str, object]]:
    """The rows that `hdvg query` of that code gives."""
    found: list[dict[str, object]] = json.loads(call_in(tree, "query", dataset, sql, "--json"))
    return found


def _caption(tree: Path, dataset: Path, folder: Path) -> None:
    call_in(tree, "caption", dataset, "--captioner", "x", "--runner", "serial")
    captions = "select text, clip_id from captions where writer = 'x'"
    found = asked_in(
        tree, dataset, f"select c.text from dataset d left join ({captions}) c using (clip_id) where d.keep"
    )
    assert found
    assert all(re.fullmatch(r"a clip of \d+ pictures", str(row["text"])) for row in found)


def _export(tree: Path, dataset: Path, folder: Path) -> None:
    call_in(tree, "export", dataset, "--to", "x", "--out", folder / "out")
    lines = [line for path in sorted((folder / "out").glob("*.txt")) for line in path.read_text().splitlines()]
    kept = asked(dataset, "select caption from dataset where keep")
    assert sorted(lines) == sorted(row["caption"] for row in kept) != []


def _column(tree: Path, dataset: Path, folder: Path) -> None:
    (folder / "videos").mkdir()
    draw_scenes(folder / "videos" / "new.mp4", scene_frames=(30, 30), seed=9)
    call_in(tree, "run", dataset, "--links", folder / "videos", "--runner", "serial")
    found = asked_in(tree, dataset, "select odd, link like '%new.mp4' as new from videos")
    assert {(row["new"], row["odd"]) for row in found} == {(True, "new"), (False, None)}


def _measure(tree: Path, dataset: Path, folder: Path) -> None:
    before = files(dataset)
    call_in(tree, "measure", dataset, "--runner", "serial")
    made = {name for name, content in files(dataset).items() if before.get(name) != content}
    assert {name.rpartition("/")[0] for name in made} == {"parts/remeasure"}
    found = asked_in(tree, dataset, "select top_luma from dataset where keep")
    assert found
    assert all(0 <= float(str(row["top_luma"])) <= 255 for row in found)


def _rule(tree: Path, dataset: Path, folder: Path) -> None:
    call_in(tree, "filter", dataset, "--recipe", "demo")
    found = asked(dataset, "select list_contains(reasons, 'odd') as dropped from dataset where luma_mean is not null")
    assert {row["dropped"] for row in found} == {True}


def _stage(tree: Path, dataset: Path, folder: Path) -> None:
    before = {path.name for path in dataset.glob("parts/*/*.parquet")}
    call_in(tree, "x", dataset, "--runner", "serial")
    sql = "select is_long, n_frames > 30 as truly from x_rows join clips using (video_id, clip_id)"
    found = asked_in(tree, dataset, sql)
    assert all(row["is_long"] == row["truly"] for row in found)
    assert len(found) == len(asked_in(tree, dataset, "select 1 as one from verdicts where keep")) > 0
    call_in(tree, "run", dataset, "--runner", "serial")
    assert {path.parent.name for path in dataset.glob("parts/*/*.parquet") if path.name not in before} == {"x"}
    assert "whole" in call_in(tree, "verify", dataset)


ADDITIONS: dict[str, Addition] = {
    "a stage": Addition(
        _stage,
        new={"schemas/x.py": STAGE_COLUMNS, "pipelines/x.py": STAGE},
        edits=[
            (
                "hdvg/dataset/stages.py",
                "        Entry(\n            name=CUT,\n",
                '        Entry(name="x", after=(SPLIT,), schema="schemas.x:LENGTHS", help="Only say which clips are long"),\n'
                "        Entry(\n            name=CUT,\n",
            ),
            (
                "pipelines/graph.py",
                "    Stage(\n        name=CUT,\n",
                '    Stage(name="x", run=x.lengths, needs=("clip_id", "n_frames")),\n    Stage(\n        name=CUT,\n',
            ),
            (
                "pipelines/graph.py",
                "from pipelines import caption_stages, measures_alone, stages\n",
                "from pipelines import caption_stages, measures_alone, stages, x\n",
            ),
        ],
    ),
    "a measure": Addition(
        _measure,
        new={"hdvg/measures/x.py": MEASURE},
        edits=[
            (
                "schemas/pass_measures.py",
                "PASS: dict[str, PassMeasure] = {\n",
                "PASS: dict[str, PassMeasure] = {\n"
                '    "top": PassMeasure("hdvg.measures.x:Top", 1, [column("top_luma", REAL, "x", later=True)]),\n',
            )
        ],
    ),
    "a rule": Addition(_rule, edits=[("pipelines/recipes/demo.toml", "[keep]\n", '[keep]\nodd = "luma_mean > 255"\n')]),
    "a captioner": Addition(
        _caption,
        new={"hdvg/captioners/x.py": CAPTIONER},
        edits=[
            (
                "hdvg/captioners/__init__.py",
                '    "title": "hdvg',
                '    "x": "hdvg.captioners.x:Counting",\n    "title": "hdvg',
            )
        ],
    ),
    "a column": Addition(
        _column,
        edits=[
            (
                "schemas/videos.py",
                '    column("fetched_at",',
                '    column("odd", STR, "x", later=True),\n    column("fetched_at",',
            ),
            ("pipelines/graph.py", "webpage_url info_duration_s", "odd webpage_url info_duration_s"),
            ("pipelines/stages.py", '"bytes": size, ', '"bytes": size, "odd": "new", '),
        ],
    ),
    "an export format": Addition(
        _export,
        new={"hdvg/exporting/x.py": FORMAT},
        edits=[("hdvg/exporting/__init__.py", '    "hd-vg": ', '    "x": "hdvg.exporting.x:Lines",\n    "hd-vg": ')],
    ),
}
