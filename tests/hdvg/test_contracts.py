"""Our own classes keep the contracts that `hdvg.testing` holds for others, and classes that do not are found out.

Captioners do so in test_captioners.py.
"""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from hdvg.latents.patches import fit, fitted_name
from hdvg.latents.settings import Encoding
from hdvg.shots import DETECTORS, NETWORKS
from hdvg.testing import (
    check_captioner,
    check_codec,
    check_detector,
    check_exporter,
    check_list_reader,
    check_published_set,
    check_text_encoder,
)
from tests.lists import video
from tests.products import Clip, make

COUNTING = """
from hdvg.captioners import Written

class Counting:
    name, model, batch = "counting", "counting 1", 4
    def __init__(self, settings): self.count = 0
    def prepare(self, shot): return shot
    def write(self, prepared):
        self.count += 1
        return [Written({"short": f"call {self.count}"}) for _ in prepared]
"""
LATE = """
from hdvg.shots.detectors import Transition

class Late:
    def __init__(self, settings): self.settled = 0
    def feed(self, chunk):
        self.settled += len(chunk.pts)
        return []
    def finish(self): return [Transition(240, 200)]
"""
NARROW = """
import numpy as np

class Narrow:
    channels = 3
    def __init__(self, encoding, files, *, name): self.name = name
    def encode(self, frames, *, seed=""): return np.zeros((len(frames), 4, 4, 3), np.float32)
    def decode(self, latents): return latents
"""


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> Path:
    clips = [Clip(0, 2500, b"one" * 100), Clip(2500, 5000, b"two" * 100), Clip(5000, 9000, b"three" * 100)]
    return make(tmp_path_factory.mktemp("finished") / "d", [clips]).root


@pytest.mark.parametrize("name", [name for name in DETECTORS if name not in NETWORKS])
def test_detectors(name: str) -> None:
    check_detector(name)


@pytest.mark.slow
@pytest.mark.parametrize("name", NETWORKS)
def test_detectors_with_a_network(name: str) -> None:
    check_detector(name)


@pytest.mark.parametrize(
    "name", ["webdataset", *(pytest.param(name, marks=pytest.mark.slow) for name in ("datasets", "croissant", "hd-vg"))]
)
def test_formats(name: str, finished: Path) -> None:
    check_exporter(name, finished)


def test_codecs(tmp_path: Path) -> None:
    (tmp_path / "latents").mkdir()
    pictures = np.random.default_rng(0).integers(0, 256, (6, 64, 112, 3), dtype=np.uint8)
    fit(list(pictures), 8, tmp_path / fitted_name(Encoding()))
    check_codec("patches", root=tmp_path)


@pytest.mark.slow
def test_text_encoders() -> None:
    check_text_encoder("minilm")


def test_list_readers() -> None:
    """The archive's asks for each item apart, so that its pages are several answers: see test_list_readers.py."""
    pages = [{"query": {"pages": [{"title": f"File:{n}.webm", "index": n, "videoinfo": [video()]}]}} for n in range(2)]
    check_list_reader("commons", "Category:Birds", [pages[0] | {"continue": {"gcmcontinue": "1"}}, pages[1]])


def test_published_sets(tmp_path: Path) -> None:
    rows = [
        {"YoutubeID": "abcdefghijk", "Start_timestamp": "00:00:01.000", "End_timestamp": end, "Caption": "x"}
        for end in ("00:00:03.5", "0")
    ]
    (tmp_path / "m.jsonl").write_text("\n".join(map(json.dumps, rows)))
    check_published_set("internvid", tmp_path / "m.jsonl", entries=1)


def test_a_captioner_that_depends_on_the_batch_is_found_out(tmp_path: Path) -> None:
    (tmp_path / "counting.py").write_text(COUNTING)
    with pytest.raises(AssertionError, match="answers depend on the batch"):
        check_captioner(f"{tmp_path}/counting.py:Counting")


def test_a_detector_that_says_things_too_late_or_turned_around_is_found_out(tmp_path: Path) -> None:
    (tmp_path / "late.py").write_text(LATE)
    with pytest.raises(AssertionError, match="turned around"):
        check_detector(f"{tmp_path}/late.py:Late")
    (tmp_path / "late.py").write_text(LATE.replace("return []", "return [Transition(1, 1)]"))
    with pytest.raises(AssertionError, match=r"promised to be sure|depend on the chunks|turned around"):
        check_detector(f"{tmp_path}/late.py:Late")


def test_a_codec_of_other_shapes_is_found_out(tmp_path: Path) -> None:
    (tmp_path / "narrow.py").write_text(NARROW)
    with pytest.raises(AssertionError, match=r"\(N, h, w, C\) = \(3, 8, 14, 3\), not \(3, 4, 4, 3\)"):
        check_codec(f"{tmp_path}/narrow.py:Narrow")


def test_a_reader_that_asks_on_though_it_has_enough_is_found_out(tmp_path: Path) -> None:
    (tmp_path / "greedy.py").write_text(
        "class Greedy:\n"
        "    site = 'https://a.org'\n"
        "    def read(self, client, query, entries, *, site):\n"
        "        for _ in range(2):\n"
        "            said = client.ask_json(site)\n"
        "            entries.add(said['link'], {})\n"
    )
    pages = [{"link": f"https://a.org/{n}.mp4"} for n in range(2)]
    with pytest.raises(AssertionError, match=r"one entry was wanted|asked for though"):
        check_list_reader(f"{tmp_path}/greedy.py:Greedy", "x", pages)
