"""What trainers read: each layout opens as its trainer opens it, byte for byte, and clips of other lengths are named."""

from __future__ import annotations

import csv
import json
from pathlib import Path

import pytest

from hdvg.dataset.dataset import Dataset
from hdvg.errors import UsageError
from hdvg.exporting.layouts import LAYOUTS
from hdvg.testing import check_exporter
from tests.hdvg.test_exporting import asked, go, sha256
from tests.products import Clip, make
from tests.tools import need

need("datasets", "pandas")

CAPTIONS = (
    "a dog runs, and jumps",
    'he says "no"',
    "كلب يركض على العشب",
    "הכלב רץ על הדשא",
    "一只狗在草地上奔跑",
    "a 🐕\N{ZERO WIDTH JOINER}🦺 and a café",
)
"""Commas, quotes, right-to-left scripts, Chinese and emoji are texts as any other."""


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Dataset:
    """Six clips of 50, 75, 100, 125, 225 and 500 frames, 25 a second; 125 and 225 are 4n+1."""
    lengths = (2000, 3000, 4000, 5000, 9000, 20_000)
    clips = [
        [Clip(0, length, bytes([65 + place]) * 3000, caption=caption)]
        for place, (length, caption) in enumerate(zip(lengths, CAPTIONS, strict=True))
    ]
    return make(tmp_path_factory.mktemp("made") / "dataset", clips, shard={"row_group_mb": 0.005})


def clip(path: Path) -> tuple[str, str]:
    """Id and hash of an exported file."""
    return path.stem, sha256(path.read_bytes())


def rows(path: Path) -> list[dict]:
    with path.open(newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file))


def read_musubi(folder: Path):
    """As its docs have it: a JSON object a line, paths from the file's folder."""
    for line in (folder / "metadata.jsonl").read_text("utf-8").splitlines():
        told = json.loads(line)
        assert set(told) == {"video_path", "caption"}
        yield folder / told["video_path"], told["caption"]


def read_diffusion_pipe(folder: Path):
    """As its `DirectoryDataset` lists a folder: every file but texts, with the text of the same name."""
    files = sorted(path for path in folder.glob("*") if path.suffix not in {".txt", ".npz", ".json", ".parquet"})
    assert all(path.is_file() for path in files)
    for path in files:
        yield path, path.with_suffix(".txt").read_text("utf-8").strip()


def read_diffsynth(folder: Path):
    """With pandas, as it does."""
    import pandas

    for row in pandas.read_csv(folder / "metadata.csv").itertuples():
        yield folder / row.video, row.prompt


def read_finetrainers(folder: Path):
    """Two files with a line a clip."""
    videos = (folder / "videos.txt").read_text("utf-8").split("\n")
    prompts = (folder / "prompts.txt").read_text("utf-8").split("\n")
    assert videos.pop() == prompts.pop() == ""
    for video, prompt in zip(videos, prompts, strict=True):
        yield folder / video, prompt


def read_ltx(folder: Path):
    """A JSON list; paths from the file's folder."""
    for told in json.loads((folder / "dataset.json").read_text("utf-8")):
        yield folder / told["media_path"], told["caption"]


def read_fastvideo(folder: Path):
    """A JSON list; paths from videos/."""
    for told in json.loads((folder / "videos2caption.json").read_text("utf-8")):
        assert told["resolution"] == {"width": 1280, "height": 720}
        assert (told["fps"], told["duration"] > 1) == (25.0, True)
        yield folder / "videos" / told["path"], told["cap"]


def read_openvid(folder: Path):
    """As its `DatasetFromCSV`: the first column below the root, the second the text; the header of the release."""
    with (folder / "OpenVid.csv").open(newline="", encoding="utf-8") as file:
        head, *lines = csv.reader(file)
    said = "video,caption,aesthetic score,motion score,temporal consistency score,camera motion,frame,fps,seconds"
    assert head == said.split(",")
    for line in lines:
        assert int(line[6]) == round(float(line[7]) * float(line[8]))
        yield folder / line[0], line[1]


def read_webvid(folder: Path):
    """As its download.py lays videos out, with the header of the release."""
    for row in rows(folder / "results.csv"):
        assert list(row) == ["videoid", "contentUrl", "duration", "page_dir", "name"]
        assert row["contentUrl"].startswith("https://a.org/")
        assert row["duration"].startswith("PT00H00M")
        yield folder / "videos" / row["page_dir"] / f"{row['videoid']}.mp4", row["name"]


def read_videofolder(folder: Path):
    """By `datasets` itself, as the hub does."""
    import datasets

    found = datasets.load_dataset(str(folder.parent), split="train", cache_dir=str(folder.parents[1] / "cache"))
    assert isinstance(found.features["video"], datasets.Video)
    assert list(found.features)[:3] == ["video", "clip_id", "caption"]
    for row in found.cast_column("video", datasets.Video(decode=False)):
        yield Path(row["video"]["path"]), row["caption"]


READERS = {
    "musubi-tuner": read_musubi,
    "diffusion-pipe": read_diffusion_pipe,
    "diffsynth": read_diffsynth,
    "finetrainers": read_finetrainers,
    "ltx-trainer": read_ltx,
    "fastvideo": read_fastvideo,
    "openvid": read_openvid,
    "webvid": read_webvid,
    "videofolder": read_videofolder,
}


@pytest.mark.parametrize("form", LAYOUTS)
def test_a_trainer_reads_every_clip_byte_for_byte_with_its_caption(made, tmp_path, form):
    said = go(made, form, tmp_path / "out")
    found = {}
    for path, caption in READERS[form](tmp_path / "out" / "train"):
        name, held = clip(path)
        found[name] = (caption, held)
    assert found == asked(made)
    assert said["clips"] == len(CAPTIONS)


@pytest.mark.parametrize("form", ["diffusion-pipe", "webvid", "videofolder"])
def test_layouts_keep_the_contract_of_formats(made, form):
    check_exporter(form, made.root)


def test_clips_of_other_lengths_are_named_and_exported_whole(made, tmp_path):
    said = go(made, "musubi-tuner", tmp_path / "out")
    assert said["frames"] == {
        "rule": "4n+1 frames", "counts": (), "left_out": 0, "longer": 4, "named_in": "unfit.csv"
    }  # fmt: skip
    named = {int(row["frames"]): int(row["used"]) for row in rows(tmp_path / "out/unfit.csv")}
    assert named == {50: 49, 75: 73, 100: 97, 500: 497}
    assert len(list((tmp_path / "out/train/videos").iterdir())) == 6


def test_clips_too_short_for_every_count_are_left_out_and_named(made, tmp_path):
    said = go(made, "ltx-trainer", tmp_path / "out", frames=(121, 97))
    assert said["clips"] == 4
    assert {"reason": "shorter than 97 frames", "clips": 2} in said["left_out"]
    assert said["kept"] == 6
    named = {int(row["frames"]): (row["used"], row["why"]) for row in rows(tmp_path / "out/unfit.csv")}
    assert named[50] == ("0", "left out: shorter than 97 frames")
    assert named[100] == ("97", "the trainer takes 97 of its frames")
    assert named[500] == ("121", "the trainer takes 121 of its frames")
    kept = json.loads((tmp_path / "out/train/dataset.json").read_text())
    assert len(kept) == 4


def test_a_rate_counts_the_frames_that_are_left(made, tmp_path):
    go(made, "fastvideo", tmp_path / "out", frames=(77,), fps=16.0)
    named = {int(row["frames"]): int(row["used"]) for row in rows(tmp_path / "out/unfit.csv")}
    assert named == {32: 0, 48: 0, 64: 0, 80: 77, 144: 77, 320: 77}


@pytest.mark.parametrize(
    ("form", "frames", "said"),
    [
        ("musubi-tuner", (32,), "--frames 32: musubi-tuner takes 4n+1 frames, such as 29 or 33"),
        ("ltx-trainer", (29,), "--frames 29: ltx-trainer takes 8n+1 frames, such as 25 or 33"),
        ("openvid", (0,), "--frames 0: openvid takes any number of frames, at least 1"),
        ("webdataset", (33,), "--frames and --fps are for what trainers read"),
    ],
)
def test_counts_that_a_trainer_cannot_take_are_refused(made, tmp_path, form, frames, said):
    with pytest.raises(UsageError) as refused:
        go(made, form, tmp_path / "out", frames=frames)
    assert said in str(refused.value)
    assert not list((tmp_path / "out").iterdir())


@pytest.mark.parametrize("form", ["datasets", "videofolder"])
def test_the_card_is_one_that_the_hub_shows_a_player_for(made, tmp_path, form):
    import datasets
    from datasets.info import DatasetInfosDict
    from huggingface_hub import DatasetCard

    go(made, form, tmp_path / "out")
    card = DatasetCard.load(tmp_path / "out/README.md")
    told = DatasetInfosDict.from_dataset_card_data(card.data)["default"]
    assert isinstance(told.features["video"], datasets.Video)
    files = [path for path in (tmp_path / "out").rglob("*") if path.suffix in {".parquet", ".mp4"}]
    assert told.splits["train"].num_examples == 6
    assert told.splits["train"].num_bytes == sum(path.stat().st_size for path in files)


def test_the_command_says_what_does_not_fit(made, tmp_path):
    from typer.testing import CliRunner

    from hdvg.cli import app

    words = ["export", str(made.root), "--to", "diffusion-pipe", "--out", str(tmp_path / "out"), "--frames", "65,129"]
    end = CliRunner().invoke(app, words)
    assert end.exit_code == 0, end.output
    said = " ".join(end.output.split())
    assert "diffusion-pipe takes 4n+1 frames; told to take 65, 129" in said
    assert "1 are too short: unfit.csv" in said
    end = CliRunner().invoke(app, [*words[:-1], "many"])
    assert "write counts of frames with commas" in str(end.exception)
