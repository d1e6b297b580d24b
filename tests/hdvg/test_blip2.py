"""BLIP-2 beyond the contract: several keyframes, weights of 8 bits, batches that find their size, what is shared of it."""

from __future__ import annotations

import sys
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from io import BytesIO
from multiprocessing import get_context
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch
import transformers
from PIL import Image

from hdvg.captioners import Captioner, clean, load
from hdvg.captioners.merging import merged
from hdvg.config.caption import Writer
from hdvg.errors import ResourceError, UsageError
from hdvg.keyframes import Shot
from hdvg.networks.batches import CAP, FREE_SHARE, LONGEST_S, Batches
from hdvg.networks.memory import ProcessMemory, memory_of
from tests.tools import eight_bits, need

MB = 10**6


def noise(seed: int) -> bytes:
    """A JPEG of coloured blocks, another for every seed."""
    blocks = np.random.default_rng(seed).integers(0, 256, (6, 8, 3), dtype=np.uint8)
    return cv2.imencode(".jpg", cv2.resize(blocks, (64, 48), interpolation=cv2.INTER_NEAREST))[1].tobytes()


def three(seed: int) -> Shot:
    """A shot with three different keyframes."""
    return Shot(
        str(seed), {name: noise(3 * seed + place) for place, name in enumerate(("first", "middle", "last"))}, {}
    )


def writer(folder: Path, **values: object) -> Writer:
    return Writer.model_validate(
        {"captioner": "blip2", "model": str(folder), "beams": 2, "max_tokens": 8, "batch": 4, **values}
    )


def say(captioner: Captioner, shots: Sequence[Shot]) -> list[str]:
    with ThreadPoolExecutor(3) as pool:  # as the stage does
        return [one.texts.get("short", "") for one in captioner.write(list(pool.map(captioner.prepare, shots)))]


def plain(
    folder: Path, pictures: Sequence[bytes], change: Callable[[torch.nn.Module], None] = lambda _: None
) -> list[str]:
    """The slow reference: plain transformers, one picture at a time; `change` is done to the network before."""
    processor = transformers.Blip2Processor.from_pretrained(folder)
    network = transformers.Blip2ForConditionalGeneration.from_pretrained(folder).eval()
    change(network)
    texts = []
    for picture in pictures:
        inputs = processor(images=Image.open(BytesIO(picture)).convert("RGB"), return_tensors="pt")
        tokens = network.generate(**inputs, num_beams=2, max_new_tokens=8, do_sample=False)
        texts.append(clean(processor.decode(tokens[0], skip_special_tokens=True), lower_case=True))
    return texts


# --- several keyframes


@pytest.mark.parametrize("merge", ["central", "join"])
def test_all_keyframes_give_the_merged_text_of_each(tiny_blip2: Path, merge: str) -> None:
    shots = [three(seed) for seed in range(5)]
    expected = []
    for shot in shots:
        texts = dict(zip(shot.keyframes, plain(tiny_blip2, list(shot.keyframes.values())), strict=True))
        expected.append(merged(texts, rule=merge))
    for batch in (2, 5):
        assert say(load(writer(tiny_blip2, keyframe="all", merge=merge, batch=batch)), shots) == expected
    assert len(set(expected)) > 1


def test_keyframes_that_do_not_decode_are_left_out(tiny_blip2: Path) -> None:
    whole, last = noise(1), noise(2)
    captioner = load(writer(tiny_blip2, keyframe="all", merge="join"))
    broken = Shot("broken", {"first": b"", "middle": whole, "last": last}, {})
    texts = plain(tiny_blip2, [whole, last])
    assert say(captioner, [broken, three(3)])[0] == "; ".join(texts)


@pytest.mark.parametrize(
    ("first", "middle", "last", "central", "join"),
    [
        ("a dog runs", "a cat", "a dog runs fast", "a dog runs", "a dog runs; a cat; a dog runs fast"),
        ("a b", "c d", "e f", "c d", "a b; c d; e f"),
        ("x y", "a b", "x y", "x y", "x y; a b"),
        ("A dog.", "a dog", "A dog.", "a dog", "A dog."),
        ("red, car", "red car", "blue bike", "red car", "red, car; red car; blue bike"),
        ("a dog.", "", "a cat.", "a dog.", "a dog; a cat"),
        ("", "", "", "", ""),
    ],
)
def test_merging_follows_its_rule(first: str, middle: str, last: str, central: str, join: str) -> None:
    texts = {"last": last, "middle": middle, "first": first}
    if any(texts.values()):
        assert merged(texts, rule="join") == join
    assert merged(texts, rule="central") == central


# --- numbers


def test_weights_of_8_bits_say_what_rounded_weights_say(tiny_blip2: Path) -> None:
    need("torchao")
    pictures = [noise(seed) for seed in range(8)]
    shots = [Shot(str(seed), {"middle": picture}, {}) for seed, picture in enumerate(pictures)]
    rounded = plain(tiny_blip2, pictures, eight_bits)
    captioner = load(writer(tiny_blip2, dtype="int8"))
    assert say(captioner, shots) == rounded
    assert rounded != plain(tiny_blip2, pictures)


def test_8_bits_without_their_package_say_what_is_missing(tiny_blip2: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "torchao", None)
    with pytest.raises(UsageError, match=r"caption\.dtype = 'int8' needs torchao: pip install torchao"):
        load(writer(tiny_blip2, dtype="int8"))


@pytest.mark.parametrize("dtype", ["bfloat16", "float16"])
def test_16_bits_give_texts_too(tiny_blip2: Path, dtype: str) -> None:
    captioner = load(writer(tiny_blip2, dtype=dtype))
    assert captioner.prepare(three(0)).pixels_PCHW.dtype == getattr(torch, dtype)
    assert all(say(captioner, [three(seed) for seed in range(3)]))


# --- batches that find their size


class Machine:
    """Memory of a machine on paper: so much at rest, so much an item, so much in all."""

    def __init__(self, *, rest_mb: float, each_mb: float, whole_mb: float, fails: bool = False) -> None:
        self._rest, self._each, self._whole, self._fails = rest_mb, each_mb, whole_mb, fails
        self.sizes: list[int] = []
        self._most = 0.0

    def work(self, items: Sequence[int]) -> list[str]:
        self.sizes.append(len(items))
        need = self._rest + self._each * len(items)
        if self._fails and need > self._whole:
            raise torch.OutOfMemoryError("as a GPU says it")
        self._most = max(self._most, need)
        return [str(item) for item in items]

    def reset(self) -> None:
        self._most = 0.0

    def peak(self) -> int:
        return int(self._most * MB)

    def free(self) -> int:
        return int((self._whole - self._rest) * MB)


def batches(machine: Machine, *, device: str = "cpu", gb: float | None = None, **values: object) -> Batches:
    return Batches(fixed=0, device=device, memory_gb=gb, short="no room", memory=machine, **values)


def sizes(machine: Machine, found: Batches, *, items: int = 600) -> list[int]:
    assert found.over(range(items), machine.work) == [str(item) for item in range(items)]
    return machine.sizes


def test_batch_doubles_up_to_the_cap_where_there_is_room() -> None:
    machine = Machine(rest_mb=1000, each_mb=1, whole_mb=9000)
    assert sizes(machine, batches(machine))[:8] == [1, 2, 4, 8, 16, 32, CAP["cpu"], CAP["cpu"]]
    machine = Machine(rest_mb=1000, each_mb=1, whole_mb=9000)
    assert max(sizes(machine, batches(machine, device="cuda"), items=2000)) == CAP["cuda"]


@pytest.mark.parametrize(("gb", "most"), [(2.0, 20), (0.35, 3), (0.1, 1), (0.05, 1)])
def test_batch_takes_what_its_budget_holds_and_weights_do_not_count(gb: float, most: int) -> None:
    machine = Machine(rest_mb=5000, each_mb=100, whole_mb=20_000)
    found = batches(machine, gb=gb)
    sizes(machine, found)
    assert found.size == most
    assert max(machine.sizes) <= max(most, 2)  # one item alone tells nothing of what a second costs


def test_without_a_budget_it_is_a_share_of_what_is_free() -> None:
    machine = Machine(rest_mb=1000, each_mb=100, whole_mb=5000)
    found = batches(machine)
    sizes(machine, found)
    assert found.size == int(FREE_SHARE["cpu"] * 4000 / 100)


def test_out_of_memory_halves_and_growth_ends_there() -> None:
    machine = Machine(rest_mb=1000, each_mb=100, whole_mb=2500, fails=True)
    found = batches(machine, device="cuda", gb=100.0)  # a budget that is not there
    assert sizes(machine, found, items=64)[:6] == [1, 2, 4, 8, 16, 8]
    assert max(machine.sizes[5:]) == found.size == 8
    tight = Machine(rest_mb=1000, each_mb=100, whole_mb=1050, fails=True)
    with pytest.raises(ResourceError, match="no room"):
        batches(tight, device="cuda").over(range(3), tight.work)


def test_batch_does_not_grow_beyond_what_may_be_lost() -> None:
    now = [0.0]
    machine = Machine(rest_mb=100, each_mb=1, whole_mb=90_000)

    def work(items: Sequence[int]) -> list[str]:
        now[0] += 5.0 * len(items)
        return machine.work(items)

    found = batches(machine, clock=lambda: now[0])
    found.over(range(100), work)
    assert found.size == 8
    assert 5.0 * found.size <= LONGEST_S < 5.0 * 2 * found.size


def test_a_batch_that_is_not_full_tells_nothing() -> None:
    machine = Machine(rest_mb=100, each_mb=1, whole_mb=9000)
    found = batches(machine)
    found.over([1], machine.work)
    found.over([1], machine.work)
    assert found.size == 2


def test_fixed_batch_stays() -> None:
    machine = Machine(rest_mb=100, each_mb=1, whole_mb=9000)
    found = Batches(fixed=3, device="cpu", memory_gb=None, short="no room", memory=machine)
    assert set(sizes(machine, found)) == {3}


def rises_and_falls() -> None:
    watched = ProcessMemory()
    free = watched.free()  # first: what is given back below is counted as free a little later
    watched.reset()
    before = watched.peak()
    np.ones(300 * MB, np.uint8).sum()
    assert 290 * MB < watched.peak() - before < 400 * MB
    watched.reset()
    assert watched.peak() - before < 100 * MB
    held = np.ones(500 * MB, np.uint8)
    assert free - watched.free() > 200 * MB  # others on this machine may give some back meanwhile
    assert held.any()


@pytest.mark.skipif(memory_of("cpu") is None, reason="needs Linux's /proc/self/clear_refs")
def test_peak_of_this_process_rises_with_what_is_held_and_falls_again() -> None:
    with get_context("spawn").Pool(1) as alone:  # threads of other tests take memory of this process too
        alone.apply(rises_and_falls)


def test_free_memory_is_the_containers_where_that_is_less(tmp_path: Path) -> None:
    (tmp_path / "meminfo").write_text("MemTotal: 100000 kB\nMemAvailable:    50000 kB\n")
    assert ProcessMemory(tmp_path, tmp_path).free() == 50_000 * 1024
    (tmp_path / "memory.current").write_text("9000000\n")
    (tmp_path / "memory.stat").write_text("anon 1\ninactive_file 2000000\n")
    for limit, free in (("max", 50_000 * 1024), ("10000000", 3_000_000), ("8000000", 1_000_000), ("1000000", 0)):
        (tmp_path / "memory.max").write_text(limit + "\n")
        assert ProcessMemory(tmp_path, tmp_path).free() == free


def test_found_batch_changes_no_text(tiny_blip2: Path) -> None:
    shots = [three(seed) for seed in range(20)]
    found = load(writer(tiny_blip2, batch=0))
    assert found.batch == 1 or memory_of("cpu") is None
    texts = [text for start in range(0, 20, 5) for text in say(found, shots[start : start + 5])]
    assert texts == plain(tiny_blip2, [shot.keyframes["middle"] for shot in shots])
    assert found.batch > 2
