"""How the explorer's page feels in a browser, over many clips: first paint, a drag's moves, scrolling the grid to its end.

Run: python -m tests.bench.bench_pages [--rows 100000]. Needs chromium. The clips are SYNTHETIC, without pictures. The last line is one JSON object:
`rows`; `page_first_paint_s`, from the link of a running server until the kept clips and the first charts are drawn; `move_ms`, the median from
a pointer's move with a handle to the end of the frame that shows it (up to 16.7 ms of it are waiting for that frame), `move_p95_ms`; `grid_fps`
while the grid scrolls by 90 px a frame for five seconds; `last_row`, whether row `rows - 9` was shown; `map_draw_ms`, the median of what one
picture of a map of `map_points` takes to draw while it moves, `map_draw_p95_ms`, `map_whole_ms` once it rests, and `map_move_ms` from a turn of
the wheel until it is drawn; `js_kb`, scripts shipped.
"""

from __future__ import annotations

import argparse
import json
import re
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from hdvg.explore.arrays import pack
from hdvg.web import BUILT, built
from tests.bench.bench_whatif import _child, _dataset
from tests.bench.machine import describe
from tests.browser.chromium import new_page, started

if TYPE_CHECKING:
    from playwright.sync_api import Page

POINTS = 1_000_000

MOVES = """async () => {
  const handle = document.querySelector('[data-column="luma_mean"] [role=slider][data-side=low]');
  const box = handle.getBoundingClientRect();
  const [x, y] = [box.left + box.width / 2, box.top + 20];
  const send = (type, at) => handle.dispatchEvent(new PointerEvent(type, {clientX: at, clientY: y, pointerId: 1, button: 0, bubbles: true}));
  handle.setPointerCapture = () => {};
  handle.hasPointerCapture = () => true;
  send('pointerdown', x);
  await new Promise((done) => setTimeout(done, 3000));
  const took = [];
  for (let step = 1; step <= 60; step++) {
    const start = performance.now();
    send('pointermove', x + 2 * step);
    await new Promise((done) => requestAnimationFrame(() => {
      const channel = new MessageChannel();
      channel.port1.onmessage = done;
      channel.port2.postMessage(0);
    }));
    took.push(performance.now() - start);
  }
  return took;
}"""

SCROLL = """async () => {
  const box = document.querySelector('.tiles');
  const start = performance.now();
  let frames = 0;
  while (performance.now() - start < 5000) {
    box.dispatchEvent(new WheelEvent('wheel', {deltaY: 90, bubbles: true, cancelable: true}));
    if (box.scrollHeight < 8000000) box.scrollTop += 90;
    await new Promise(requestAnimationFrame);
    frames += 1;
  }
  return 1000 * frames / (performance.now() - start);
}"""


ZOOM = """async () => {
  const canvas = document.querySelector('.plane canvas');
  const box = canvas.getBoundingClientRect();
  const shown = async (name) => {
    while (canvas.dataset[name] === '') await new Promise((done) => setTimeout(done));
    return Number(canvas.dataset[name]);
  };
  const [moved, whole, frames] = [[], [], []];
  for (let step = 0; step < 30; step++) {
    [canvas.dataset.quickMs, canvas.dataset.drawnMs] = ['', ''];
    const start = performance.now();
    const at = {clientX: box.left + box.width / 2, clientY: box.top + box.height / 2, bubbles: true, cancelable: true};
    canvas.dispatchEvent(new WheelEvent('wheel', {...at, deltaY: step % 10 < 5 ? 90 : -90}));
    moved.push(await shown('quickMs'));
    frames.push(performance.now() - start);
    if (step % 3 === 0) whole.push(await shown('drawnMs'));
  }
  return [moved, whole, frames];
}"""


def bench_pages(rows: int) -> dict[str, Any]:
    """The figures, see above."""
    with tempfile.TemporaryDirectory() as folder:
        dataset = _dataset(Path(folder) / "big")
        _child("-m", "tests.bench.bench_explore", "--draw", "rows", "--into", str(dataset.root), "--rows", str(rows))
        command = [sys.executable, "-m", "hdvg.cli", "explore", str(dataset.root), "--no-browser"]
        with (
            subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True) as server,
            started() as browser,
        ):
            try:
                assert server.stdout is not None
                link = re.search(r"http\S+", server.stdout.readline())
                assert link is not None
                page = new_page(browser).page
                page.set_default_timeout(600_000)
                page.goto(link[0])
                page.get_by_test_id("kept").filter(has_text=re.compile(r"\d")).wait_for()
                address = link[0].partition("#")[0]
                return {"rows": rows, **_felt(page, address, rows), "js_kb": _shipped_kb()}
            finally:
                server.terminate()


def _felt(page: Page, address: str, rows: int) -> dict[str, Any]:
    page.goto("about:blank")
    start = time.perf_counter()
    page.goto(f"{address}#/overview?rules={json.dumps({'dark': 'luma_mean >= 20'})}")
    page.get_by_test_id("kept").filter(has_text=re.compile(r"\d")).wait_for()
    page.locator('[data-column="luma_mean"] .in[d^=M]').wait_for()
    paint = time.perf_counter() - start
    took = sorted(page.evaluate(MOVES))
    page.goto("about:blank")
    page.goto(f"{address}#/grid")
    page.locator("[data-n='0'] [data-tile]").wait_for()
    fps = page.evaluate(SCROLL)
    place = page.get_by_label("go to row")
    place.fill(str(rows - 9))
    place.press("Enter")
    page.locator(f"[data-n='{rows - 10}'] [data-tile]").wait_for()
    found = {
        "page_first_paint_s": round(paint, 2), "move_ms": round(took[len(took) // 2], 1), "move_p95_ms": round(took[int(0.95 * len(took))], 1),
        "grid_fps": round(fps, 1), "last_row": page.locator(f"[data-n='{rows - 10}']").is_visible(),
    }  # fmt: skip
    return found | _zoomed(page, address)


def _zoomed(page: Page, address: str) -> dict[str, Any]:
    """The map of `POINTS` points in ten heaps, which no server has placed."""
    snapshot = page.evaluate("fetch('/api/meta').then((answer) => answer.json()).then((found) => found.snapshot)")
    chance = np.random.default_rng(5)
    heaps = chance.uniform(-20_000, 20_000, (10, 2))[chance.integers(0, 10, POINTS)]
    points = np.clip(heaps + chance.normal(0, 4000, (POINTS, 2)), -32_767, 32_767).astype(np.int16)
    header = {"snapshot": snapshot, "clips": POINTS, "share": 1.0, "model": "synthetic"}
    body = pack(header, {"x": points[:, 0], "y": points[:, 1], "place": np.arange(POINTS, dtype=np.uint32)})
    page.route("**/api/map", lambda route: route.fulfill(body=body, content_type="application/octet-stream"))
    page.goto("about:blank")
    page.goto(f"{address}#/map")
    page.locator(".plane canvas[data-drawn-ms]").wait_for()
    moved, whole, frames = (sorted(some) for some in page.evaluate(ZOOM))
    middle, high = len(moved) // 2, int(0.95 * len(moved))
    return {
        "map_points": POINTS, "map_draw_ms": moved[middle], "map_draw_p95_ms": moved[high], "map_whole_ms": whole[len(whole) // 2],
        "map_move_ms": round(frames[middle], 1),
    }  # fmt: skip


def _shipped_kb() -> float:
    return round(sum(len(built(name).encode()) for name in BUILT if name.endswith(".js")) / 1000, 1)


def parser() -> argparse.ArgumentParser:
    """The command line."""
    made = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    made.add_argument("--rows", type=int, default=100_000)
    return made


def main() -> None:
    args = parser().parse_args()
    print(describe())
    print(json.dumps(bench_pages(args.rows)))


if __name__ == "__main__":
    main()
