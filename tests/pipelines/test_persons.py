"""A caption that a person wrote stands for its clip where the recipe gives it a weight; nothing is done again for it."""

from __future__ import annotations

from pathlib import Path

import pyarrow.parquet as pq
import pytest

from tests.layouts import asked, call, files
from tests.videos import draw_scenes

RECIPE = (
    'name = "spoken"\n[keep]\nlong = "duration_s >= 0.5"\n[cut]\npreset = "ultrafast"\n[caption]\ncaptioner = "title"\n'
)
SERIAL = ("--runner", "serial")
TEXT, BETTER = "a zebra drinks", "a striped zebra drinks from a pond"
WEIGHED = ("--set", "caption.weights.person=1")


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """A finished dataset of one video with two clips, captioned by its title."""
    (tmp_path / "links").mkdir()
    draw_scenes(tmp_path / "links/some_animals_at_the_water.mp4", scene_frames=(25, 30))
    (tmp_path / "spoken.toml").write_text(RECIPE)
    call("run", tmp_path / "spoken.toml", "--links", tmp_path / "links", "--out", tmp_path / "d", *SERIAL)
    return tmp_path / "d"


def shard_captions(root: Path) -> dict[str, str]:
    """By clip."""
    tables = [pq.read_table(path, columns=["clip_id", "caption"]) for path in (root / "shards").glob("*")]
    return {row["clip_id"]: row["caption"] for table in tables for row in table.to_pylist()}


def parts(root: Path) -> dict[str, str]:
    return {name: content for name, content in files(root).items() if not name.startswith(("parts/shard/", "shards/"))}


@pytest.mark.slow
def test_the_caption_of_a_person_stands_where_it_has_a_weight_and_goes_with_its_video(root: Path):
    titles, before = shard_captions(root), files(root)
    first, second = sorted(titles)
    call("annotate", root, first, "--caption", TEXT, "--author", "ada")
    call("run", root, *SERIAL)
    assert files(root) == before, "without a weight it is stored alone"

    call("run", root, *WEIGHED, *SERIAL)
    assert shard_captions(root) == {first: TEXT, second: titles[second]}
    assert parts(root) == {name: content for name, content in before.items() if name in parts(root)}, (
        "nothing is done again"
    )
    (row,) = asked(
        root,
        f"select writer, kind, words, sound, weight > 0.5 as wins from captions where clip_id = '{first}' and kind = 'person'",
    )
    assert row == {"writer": "person", "kind": "person", "words": 3, "sound": True, "wins": True}

    call("annotate", root, first, "--caption", BETTER, "--author", "bob")
    call("run", root, "--set", "keep.wordy=caption_words >= 6", *SERIAL)
    assert shard_captions(root) == {first: BETTER}, "the newest counts, and rules judge it"
    assert "whole" in call("verify", root)

    call("annotate", root, first, "--caption", "none", "--author", "bob")
    call("run", root, *SERIAL)
    assert shard_captions(root) == {}, "the older one has three words"

    (video,) = asked(root, "select distinct video_id from clips")
    call("forget", root, "--video", video["video_id"], "--purge")
    held = b"".join(path.read_bytes() for path in root.rglob("*") if path.is_file())
    assert asked(root, "from captions") == []
    assert (TEXT.encode() in held, BETTER.encode() in held) == (False, False)


@pytest.mark.slow
def test_no_rule_on_likeness_keeps_a_caption_that_was_never_compared_unless_it_says_so(root: Path):
    first, second = sorted(shard_captions(root))
    call("annotate", root, first, "--caption", BETTER)
    call("run", root, *WEIGHED, *SERIAL)
    judged = "select clip_id, reasons from dataset order by clip_id"
    call("filter", root, "--set", "keep.fits=caption_similarity >= 0.2")
    assert asked(root, judged)[0] == {"clip_id": first, "reasons": ["unmeasured:fits"]}
    call("filter", root, "--set", "keep.fits=caption_similarity is null or caption_similarity >= 0.2")
    assert asked(root, judged) == [
        {"clip_id": first, "reasons": []},
        {"clip_id": second, "reasons": ["unmeasured:fits"]},
    ]
