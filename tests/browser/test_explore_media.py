"""What browsers play of our clips: every frame of a smart cut, a proxy from its first seconds on; and nothing stays behind."""

from __future__ import annotations

import contextlib
import os
import re
import struct
import time
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import av
import pytest

from hdvg.media.bitstream import open_syntax, units
from hdvg.media.cut import cut
from hdvg.media.parameter_sets import is_set, is_signature
from tests.browser.chromium import settle, until
from tests.browser.conftest import served
from tests.hdvg.test_cut import PIXELS, draw, settings, spans_of
from tests.products import Clip, make
from tests.tools import need
from tests.videos import BITS, draw_scenes

need("playwright", "starlette", "uvicorn")

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Page

    from hdvg.dataset.dataset import Dataset
    from tests.browser.conftest import Explorer

BEGIN, END = 17, 143
"""Frames of the span: keyframes come every 40, so a head is encoded, the rest is copied, and a tail is encoded."""

NOTE = """(bits) => {
    const video = document.querySelector('video'), canvas = document.createElement('canvas').getContext('2d', {willReadFrequently: true});
    window.shown = []; window.heard = [];
    for (const name of ['playing', 'waiting', 'stalled', 'ended', 'error']) video.addEventListener(name, () => window.heard.push(name));
    const number = () => {
        const wide = Math.floor(video.videoWidth / bits), high = Math.floor(video.videoHeight / 8);
        canvas.canvas.width = video.videoWidth; canvas.canvas.height = high;
        canvas.drawImage(video, 0, 0);
        const isWhite = (bit) => canvas.getImageData((bit + 0.5) * wide, high / 2, 1, 1).data[0] > 127;
        return [...Array(bits).keys()].reduce((sum, bit) => sum + (isWhite(bit) ? 2 ** bit : 0), 0);
    };
    if (video.readyState >= 2) window.shown.push([0, number()]);
    const look = (now, frame) => (window.shown.push([frame.mediaTime, number()]), video.requestVideoFrameCallback(look));
    video.requestVideoFrameCallback(look);
}"""
"""Notes the number that is stamped into each frame that is shown, with the time that the clip gives it."""


def smart_cut(folder: Path, coder: str) -> bytes:
    """A clip of an encoded head, copied packets and an encoded tail, with two sets of parameters."""
    source = draw(folder, coder, size=(384, 288))
    (span,) = spans_of(source, [(BEGIN, END)])
    (made,) = cut(str(source), str(folder), [span], settings(), PIXELS)
    assert 0 < made["copied_frames"] < END - BEGIN
    assert sets_of(folder / made["file"], coder) > sets_of(source, coder)
    return (folder / made["file"]).read_bytes()


def sets_of(path: Path, codec: str) -> int:
    """How many different parameter sets a file has, in its header and among its packets."""
    with av.open(str(path)) as container:
        stream = container.streams.video[0]
        syntax = open_syntax(codec, stream.codec_context.extradata)
        packets = [bytes(packet) for packet in container.demux(stream) if packet.size]
    held = {unit for packet in packets for unit in units(packet, syntax.prefix) if is_set(codec, unit)}
    return len({unit for unit in held | set(syntax.sets) if not is_signature(unit)})


@pytest.mark.parametrize("coder", ["h264", pytest.param("hevc", marks=pytest.mark.slow)])
def test_smart_cut_of_two_parameter_sets_plays_every_frame_without_a_stall(
    browser: Browser, tmp_path: Path, coder: str
):
    film = smart_cut(tmp_path, coder)
    dataset = make(tmp_path / "dataset", [[Clip(0, 5040, film, "a film")]])
    with served(dataset, tmp_path, browser) as other:
        page = other.open(f"clip/{other.ask('select clip_id from clips')}").page
        page.locator("video").wait_for()
        page.evaluate(NOTE, BITS)
        page.get_by_role("button", name="Play").click()
        until(page, "window.heard.includes('ended')")
        heard, shown = page.evaluate("window.heard"), page.evaluate("window.shown")
        assert (page.get_by_text("proxy, h264").count() == 1) == (coder == "hevc")
        assert other.watched.complaints == []
    assert "waiting" not in heard[heard.index("playing") :]
    assert [number for _, number in shown] == [BEGIN + round(25 * at) for at, _ in shown], "each at its time"
    assert (shown[0][1], shown[-1][1]) == (BEGIN, END - 1)
    assert len(shown) > 0.8 * (END - BEGIN), "a busy machine drops some"


HOVER_S = float(os.environ.get("HOVER_S", "40"))
"""How long tiles are pointed at; 600 for the whole proof."""


@pytest.mark.slow
def test_hundreds_of_tiles_that_were_pointed_at_leave_one_player_and_no_memory(explorer: Explorer):
    page = explorer.open("grid?verdict=kept").page
    settle(page)
    meter = page.context.new_cdp_session(page)

    def heap_mb() -> float:
        meter.send("HeapProfiler.collectGarbage")
        return meter.send("Runtime.getHeapUsage")["usedSize"] / 2**20

    heap, end, number = [], time.monotonic() + HOVER_S, 0
    while time.monotonic() < end:
        page.locator(f"[data-n='{number % 18}']").hover()
        page.wait_for_timeout(190)
        assert page.locator("video").count() <= 1
        number += 1
        if number % 50 == 0:
            heap.append(heap_mb())
    print(f"{number} tiles, heap " + ", ".join(f"{one:.2f}" for one in heap) + " MB")
    assert max(heap[len(heap) // 2 :]) < 1.1 * heap[0] + 1
    page.locator("[data-n='3']").hover()
    until(page, "document.querySelector(\"[data-n='3'] video\")?.currentTime > 0")


@pytest.mark.slow
@pytest.mark.parametrize("codec", ["libx264", "libx265", "libvpx-vp9", "libsvtav1"])
def test_clip_of_each_codec_plays_or_its_proxy_does(explorer: Explorer, browser: Browser, codec: str, tmp_path: Path):
    film = tmp_path / "film.mp4"
    draw_scenes(film, scene_frames=(50,), codec=codec, options={})
    dataset = make(tmp_path / "dataset", [[Clip(0, 2000, film.read_bytes(), "a film")]])
    with served(dataset, tmp_path, browser) as other:
        clip = other.ask("select clip_id from clips")
        page = other.open(f"clip/{clip}").page
        page.get_by_role("button", name="Play").click()
        until(page, "document.querySelector('video')?.currentTime > 0.2")
        proxied = page.get_by_text("proxy, h264").count() == 1
        print(codec, "as a proxy" if proxied else "as it is")
        assert proxied == (codec == "libx265")


CODING = {"libx264": {"preset": "ultrafast"}, "libx265": {"preset": "ultrafast", "x265-params": "log-level=none"}}

TILES = """[...document.querySelectorAll('.tile')].map((tile) => tile.getBoundingClientRect()).map((box) => [box.x + box.width / 2, box.y + 50])
    .filter(([, y]) => y > 200 && y < innerHeight - 10)"""
"""Where the pointer is on a tile."""


def memory_mb(pid: int) -> float:
    """Resident memory of a process."""
    found = re.search(r"VmRSS:\s+(\d+) kB", Path(f"/proc/{pid}/status").read_text())
    return int(found[1]) / 1000 if found else 0.0


def descendants(pid: int) -> list[int]:
    """The processes that a process started, and theirs."""
    children: list[int] = []
    for task in Path(f"/proc/{pid}/task").glob("*/children"):
        with contextlib.suppress(OSError):
            children += map(int, task.read_text().split())
    return [*children, *(one for child in children for one in descendants(child))]


@dataclass
class Sample:
    """What page and server hold after a collection of the page's garbage."""

    heap_mb: float
    nodes: float
    listeners: float
    page_mb: float
    server_mb: float
    children: int

    @classmethod
    def of(cls, page: Page, explorer: Explorer) -> Sample:
        tab = page.context.new_cdp_session(page)
        tab.send("HeapProfiler.collectGarbage")
        tab.send("Performance.enable")
        held = {one["name"]: one["value"] for one in tab.send("Performance.getMetrics")["metrics"]}
        tab.detach()
        assert page.context.browser
        told = page.context.browser.new_browser_cdp_session().send("SystemInfo.getProcessInfo")["processInfo"]
        pages = sum(memory_mb(one["id"]) for one in told if one["type"] == "renderer")
        below = descendants(explorer.pid)
        heap = held["JSHeapUsedSize"] / 1e6
        return cls(heap, held["Nodes"], held["JSEventListeners"], pages, memory_mb(explorer.pid), len(below))


def many_films(folder: Path) -> Dataset:
    """A hundred and fifty clips that all differ in their bytes; every third is of a codec that chromium does not play."""
    for name, codec in (("played", "libx264"), ("refused", "libx265")):
        draw_scenes(
            folder / f"{name}.mp4",
            scene_frames=(100, 100),
            size=(320, 240),
            codec=codec,
            options=CODING[codec],
        )
    films = [(folder / f"{name}.mp4").read_bytes() for name in ("played", "played", "refused")]
    clips = [
        Clip(0, 8000, films[number % 3] + struct.pack(">I4sI", 12, b"free", number), f"film {number}")
        for number in range(150)
    ]
    return make(folder / "many", [clips[at : at + 5] for at in range(0, 150, 5)])


@pytest.mark.slow
def test_memory_stays_flat_and_no_process_is_left_while_the_pointer_goes_over_the_grid(
    browser: Browser, tmp_path: Path
):
    seconds = float(os.environ.get("HOVER_S", "75"))
    with served(many_films(tmp_path), tmp_path, browser) as explorer:
        page = explorer.open("grid").page
        settle(page)
        samples, pointed, start = [], 0, time.monotonic()
        while (spent := time.monotonic() - start) < seconds:
            for x, y in page.evaluate(TILES):
                page.mouse.move(x, y)
                page.wait_for_timeout((20, 190, 190, 600)[pointed % 4])
                pointed += 1
                assert page.locator("video").count() <= 1
            page.mouse.wheel(0, 800 if spent % 30 < 20 else -1600)
            page.wait_for_timeout(100)
            if spent > (len(samples) + 1) * seconds / 6:
                samples.append(Sample.of(page, explorer))
        page.mouse.move(1, 1)
        settle(page)
        page.wait_for_timeout(1000)
        samples.append(Sample.of(page, explorer))
        for sample in samples:
            print(pointed, sample)
        assert explorer.watched.complaints == []
        assert page.locator("video").count() == 0
        assert samples[-1].children <= 2, "the servers of limited children alone"
        early, late = samples[1], samples[-1]
        assert late.heap_mb < early.heap_mb + 3
        assert late.nodes < early.nodes * 1.5 + 500
        assert late.server_mb < early.server_mb + 60
        assert late.page_mb < early.page_mb + 120
        below = descendants(explorer.pid)
    until_gone(below)


def until_gone(pids: list[int]) -> None:
    """Until none of the processes lives."""
    end = time.monotonic() + 10
    while any(Path(f"/proc/{pid}").exists() for pid in pids):
        assert time.monotonic() < end, "a process outlived its server"
        time.sleep(0.05)
