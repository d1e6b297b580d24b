"""How large the page of `hdvg report` is, and how fast it is shown and follows a drag, on 200 k clips with 40 measures.

Run: python -m tests.bench.bench_report [--rows 200000] [--repeats 5]. The clips are SYNTHETIC (tests/synthetic.py), without pictures:
add about 9 kB for each of up to 240 strips. The browser is Debian's chromium, headless, from a file. The last line is one JSON object:
`report_mb`, `report_write_s` (the command, snapshot included), `report_first_paint_s` (median; first contentful paint),
`report_usable_s` (median; every number read), `report_move_ms` (95th percentile of one key's or drag's move, to the end of the frame
that shows it, up to 16.7 ms of which are waiting for that frame), `report_move_median_ms`, `report_drag_ms` (95th percentile of drags
alone), `report_counted_ms` (95th percentile of the part that counts and makes the elements), `rows`, `measures`.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from tests.bench.machine import describe, spread
from tests.pages import browser, opened
from tests.synthetic import draw_dataset

KEEP = {
    "too_short": "duration_s >= 2",
    "too_long": "duration_s <= 20",
    "low_resolution": "short_px >= 720",
    "moves": "4 <= motion_px_s <= 400",
    "static": "static_share <= 0.5",
    "dark": "luma_mean >= 16",
    "blurry": "sharpness >= quantile(0.1)",
}

PAINT = "performance.getEntriesByName('first-contentful-paint')[0].startTime"

MOVES = """async (moves) => {
    const handle = document.querySelector('[role=slider][data-set]');
    const shown = () => new Promise((done) => requestAnimationFrame(() => setTimeout(done)));
    const timed = async (move) => {
        const start = performance.now();
        move();
        const counted = performance.now() - start;
        await shown();
        return [counted, performance.now() - start];
    };
    const [keys, drags] = [[], []];
    handle.focus();
    for (let move = 0; move < moves; move++) {
        const key = move % 20 < 10 ? 'ArrowRight' : 'ArrowLeft';
        keys.push(await timed(() => handle.dispatchEvent(new KeyboardEvent('keydown', { key, bubbles: true, cancelable: true }))));
    }
    const box = handle.getBoundingClientRect();
    const [x, y] = [box.left + box.width / 2, box.top + 20];
    const send = (type, at) => handle.dispatchEvent(new PointerEvent(type, { clientX: at, clientY: y, pointerId: 1, button: 0, bubbles: true }));
    handle.setPointerCapture = () => {};
    handle.hasPointerCapture = () => true;
    send('pointerdown', x);
    for (let move = 0; move < moves; move++) {
        const at = x + 5 * (move % 30 < 15 ? move % 15 : 15 - (move % 15));
        drags.push(await timed(() => send('pointermove', at)));
    }
    return [keys, drags];
}"""


def bench_report(rows: int = 200_000, *, repeats: int = 5) -> dict[str, Any]:
    """The figures, see above."""
    with tempfile.TemporaryDirectory() as folder:
        dataset = draw_dataset(Path(folder) / "big", rows, keep=KEEP)
        page = Path(folder) / "report.html"
        start = time.perf_counter()
        subprocess.run([sys.executable, "-m", "hdvg.cli", "report", str(dataset.root), "-o", str(page)], check=True)
        wrote_s = time.perf_counter() - start
        size = page.stat().st_size
        paints, usable, keys, drags, measures = [], [], [], [], 0
        with browser() as chromium:
            for _ in range(repeats):
                with opened(chromium, page) as tab:
                    usable.append(tab.evaluate("performance.now()") / 1000)
                    paints.append(tab.evaluate(PAINT) / 1000)
                    tab.locator("#thresholds").scroll_into_view_if_needed()
                    some = tab.evaluate(MOVES, 60)
                    keys, drags = keys + some[0], drags + some[1]
                    measures = tab.evaluate("report.data.measures.length")
    print(f"page of {rows} synthetic clips x {measures} measures: {size / 1e6:.2f} MB, written in {wrote_s:.1f} s")
    print(f"first paint {spread(paints)} s, usable {spread(usable)} s, load {os.getloadavg()[0]:.1f}")
    return {
        "rows": rows,
        "measures": measures,
        "report_mb": round(size / 1e6, 2),
        "report_write_s": round(wrote_s, 1),
        "report_first_paint_s": round(statistics.median(paints), 2),
        "report_usable_s": round(statistics.median(usable), 2),
        "report_move_ms": round(statistics.quantiles([whole for _, whole in (*keys, *drags)], n=20)[-1]),
        "report_move_median_ms": round(statistics.median([whole for _, whole in (*keys, *drags)])),
        "report_drag_ms": round(statistics.quantiles([whole for _, whole in drags], n=20)[-1]),
        "report_counted_ms": round(statistics.quantiles([counted for counted, _ in (*keys, *drags)], n=20)[-1], 1),
    }


def parser() -> argparse.ArgumentParser:
    """The command line."""
    made = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    made.add_argument("--rows", type=int, default=200_000)
    made.add_argument("--repeats", type=int, default=5)
    return made


def main() -> None:
    args = parser().parse_args()
    print(describe())
    print(json.dumps(bench_report(args.rows, repeats=args.repeats)))


if __name__ == "__main__":
    main()
