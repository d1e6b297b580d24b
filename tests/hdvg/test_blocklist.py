"""The block-list is read strictly, and a listed picture is known again after what sites do to videos, others are not."""

from __future__ import annotations

import itertools

import cv2
import numpy as np
import pytest

from hdvg.config.fetch import Fetch
from hdvg.config.recipe import parse_recipe
from hdvg.config.sections import Split
from hdvg.errors import ItemError, UsageError
from hdvg.measures.phash import phash
from hdvg.media.blocked import Pictures
from hdvg.media.scan import scan
from hdvg.sources.blocklist import block_list
from tests.footage import BUNDLED

FILE = "ab" * 32
PICTURE = "0f1e2d3c4b5a6978"
DISTANCE = Fetch().block_distance


def listing(tmp_path, text, **more):
    (tmp_path / "list.txt").write_bytes(text.encode() if isinstance(text, str) else text)
    return block_list(Fetch(block_list=str(tmp_path / "list.txt"), **more))


def is_blocked(pictures, grey):
    try:
        pictures.refuse(phash(grey))
    except ItemError:
        return True
    return False


def test_lines_comments_and_cases_are_read(tmp_path):
    found = listing(tmp_path, f"\ufeff# list\r\n\n  {FILE.upper()}  # why\n{PICTURE}\n{PICTURE.upper()}\n")
    assert found.files == {FILE}
    assert found.pictures.hashes == (PICTURE,)
    assert block_list(Fetch()).files == frozenset()


@pytest.mark.parametrize(
    "line",
    ["xyz", FILE[:-1], FILE + "0", PICTURE[:-1], f"{FILE}  film.mp4", f"sha256:{FILE}", "\u0660" * 16],
)
def test_malformed_line_names_file_line_value_and_what_would_do(tmp_path, line):
    with pytest.raises(UsageError) as error:
        listing(tmp_path, f"# first\n{PICTURE}\n{line}\n")
    said = str(error.value)
    assert f"{tmp_path / 'list.txt'}, line 3: {line!r} is no hash" in said
    assert "64 hex digits" in said
    assert "16" in said


@pytest.mark.parametrize("content", [b"\xff\xfe\x00", None])
def test_unreadable_list_is_never_an_empty_one(tmp_path, content):
    with pytest.raises(UsageError, match="cannot be read"):
        listing(tmp_path, content) if content else block_list(Fetch(block_list=str(tmp_path / "none")))


def test_hash_of_a_flat_picture_is_refused(tmp_path):
    for level in (0, 128, 255):
        flat = phash(np.full((90, 160), level, np.uint8))
        with pytest.raises(UsageError, match="every black frame"):
            listing(tmp_path, flat)


def test_changed_list_is_read_again(tmp_path):
    assert listing(tmp_path, FILE).files == {FILE}
    assert listing(tmp_path, f"{FILE}\n{'cd' * 32}").files == {FILE, "cd" * 32}


def test_relative_path_is_taken_from_where_the_run_starts(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert parse_recipe({"fetch": {"block_list": "list.txt"}}).fetch.block_list == str(tmp_path / "list.txt")


def test_distance_counts_bits():
    pictures = Pictures((PICTURE,), 6)
    for bits, blocked in ((6, True), (7, False)):
        near = f"{int(PICTURE, 16) ^ ((1 << bits) - 1):016x}"
        if blocked:
            with pytest.raises(ItemError):
                pictures.refuse(near)
        else:
            pictures.refuse(near)
        assert list(pictures.near(np.array([int(near, 16), 0], np.uint64))) == [blocked, False]
    Pictures.of(Split().model_dump()).refuse(PICTURE)  # no list, nothing blocked


def jpeg(bgr, quality):
    return cv2.imdecode(cv2.imencode(".jpg", bgr, [cv2.IMWRITE_JPEG_QUALITY, quality])[1], cv2.IMREAD_COLOR)


def changed(bgr):
    small = cv2.resize(bgr, (160, 90), interpolation=cv2.INTER_AREA)
    yield from (bgr, jpeg(bgr, 30), small, jpeg(small, 30), cv2.convertScaleAbs(bgr, alpha=1.1, beta=15))


def test_listed_picture_of_real_footage_is_known_again_and_no_other_is_taken_for_it(bundled_footage):
    footage = bundled_footage
    frames = {span: [footage.frame(span, at) for at in range(0, footage.length(span), 24)] for span in footage.spans}
    assert len(frames) >= 10
    hashes = {span: [phash(cv2.cvtColor(bgr, cv2.COLOR_BGR2GRAY)) for bgr in held] for span, held in frames.items()}
    lists = {span: [Pictures((one,), DISTANCE) for one in held] for span, held in hashes.items()}
    known = [
        is_blocked(listed, cv2.cvtColor(again, cv2.COLOR_BGR2GRAY))
        for span, held in frames.items()
        for bgr, listed in zip(held, lists[span], strict=True)
        for again in changed(bgr)
    ]
    assert len(known) > 150
    assert np.mean(known) >= 0.95
    for span, other in itertools.permutations(frames, 2):
        if span.look == other.look:  # the same scene again
            continue
        greys = [cv2.cvtColor(bgr, cv2.COLOR_BGR2GRAY) for bgr in frames[other]]
        assert not any(is_blocked(listed, grey) for listed in lists[span] for grey in greys), (span, other)


@pytest.mark.parametrize("at", [0, 57, 131])
def test_every_frame_of_the_pass_is_looked_at(tmp_path, at):
    """A listed picture between two samples ends the pass as well, before anything of it is given away."""
    path = str(BUNDLED / "bigbuckbunny_720p.mp4")
    capture = cv2.VideoCapture(path)
    for _ in range(at + 1):
        bgr = capture.read()[1]
    told = Pictures((phash(cv2.cvtColor(bgr, cv2.COLOR_BGR2GRAY)),), DISTANCE).as_settings()
    with pytest.raises(ItemError, match="blocked_content: a picture of it is like a listed one"):
        scan(path, str(tmp_path), Split().model_dump() | told, 1, 36_000_000)
    assert list(tmp_path.iterdir()) == []
