"""Bad inputs: each ends by itself, in time, within memory, with a reason of the closed list; damage is found by `verify`."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from hdvg.config.sections import Split
from hdvg.dataset.dataset import Dataset
from hdvg.dataset.tombstones import publish_tombstones
from hdvg.errors import HdvgError, ItemError
from hdvg.media import calls
from hdvg.published.entries import Source
from hdvg.published.sets import SETS
from hdvg.reports.verify import verify
from hdvg.sandbox import Limits, Sandbox
from hdvg.sources.links import read_links
from tests.faults.driver import below
from tests.faults.mutants import HOSTILE_TEXTS, MUTATIONS
from tests.faults.tally import Asked, Tally
from tests.metadata import hd_vg_videos
from tests.products import Clip, make
from tests.videos import draw_scenes

MEDIA = {
    "a.mp4": {},
    "a.mkv": {},
    "a.ts": {},
    "a.avi": {"codec": "mpeg4", "options": {}},
    "a.webm": {"codec": "libvpx-vp9", "options": {"deadline": "realtime", "cpu-used": "8"}},
}
MUTANTS, SLICE_MUTANTS = 60, 6
"""Of each file of media."""
LISTS, SLICE_LISTS = 30, 6
WALL_S, TEXT_S = 20.0, 5.0
"""Limits of a decode, and what a list of a few kilobytes may take."""


def run(asked: Asked, tally: Tally) -> None:
    """Media, lists and metadata, then the files of a dataset."""
    if asked.touches("media"):
        _media(asked, tally)
    for name, act in [*_lists(asked), *_metadata(asked)]:
        if asked.takes(name):
            _read(name, act, tally)
    if asked.touches("dataset"):
        _damage(asked, tally)


class _Memory(threading.Thread):
    """Looks at the children of a sandbox's server while they live, and keeps the largest peak, in MB."""

    def __init__(self, server: int) -> None:
        super().__init__(daemon=True)
        self.server, self.worst_mb, self.over = server, 0.0, threading.Event()

    def run(self) -> None:
        while not self.over.wait(0.01):
            for child in Path(f"/proc/{self.server}/task/{self.server}/children").read_text().split():
                self.worst_mb = max(self.worst_mb, peak_mb(int(child)))


def peak_mb(pid: int) -> float:
    """The largest resident size that a process ever had; 0 if it is gone."""
    try:
        lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    except OSError:
        return 0.0
    return next((int(line.split()[1]) / 1024 for line in lines if line.startswith("VmHWM")), 0.0)


def _media(asked: Asked, tally: Tally) -> None:
    sandbox = Sandbox(("hdvg.media.scan",))
    scratch = asked.scratch / "scan"
    scratch.mkdir()
    for name, drawing in MEDIA.items():
        whole = asked.scratch / name
        draw_scenes(whole, scene_frames=(12, 10), size=(96, 54), **drawing)  # type: ignore[arg-type]
        data = whole.read_bytes()
        _scan(sandbox, whole, scratch)
        watch = _Memory(next(pid for pid, line in below_me() if "hdvg.sandbox.server" in line))
        watch.start()
        for number in range(SLICE_MUTANTS if asked.slice else MUTANTS):
            kind = list(MUTATIONS)[number % len(MUTATIONS)]
            case = f"media {name} {number} {kind}"
            if asked.takes(case):
                mutant = asked.scratch / f"mutant-{name}"
                mutant.write_bytes(MUTATIONS[kind](data, asked.chosen(case)))
                _judge(case, lambda path=mutant: _scan(sandbox, path, scratch), WALL_S, tally)  # type: ignore[misc]
        watch.over.set()
        watch.join()
        tally.see("worst_mb", watch.worst_mb)
    sandbox.close()


def below_me() -> Iterator[tuple[int, str]]:
    """The processes below this one."""
    import os

    return below(os.getpid())


def _scan(sandbox: Sandbox, path: Path, scratch: Path) -> object:
    settings: Any = Split().model_dump()
    asked = calls.scan(str(path), str(scratch), settings, 1, 36_000_000)
    return sandbox.call(asked, scratch, Limits(wall_s=WALL_S))


def _judge(case: str, act: Callable[[], object], limit_s: float, tally: Tally) -> None:
    """Do it; it may be refused, by an error with a known reason, and in time."""
    began = time.monotonic()
    try:
        act()
    except ItemError as error:
        if error.reason == "error":
            tally.fail(f"{case}: an unknown failure: {error.detail[-300:]}")
    except HdvgError:
        pass
    except Exception as error:
        tally.fail(f"{case}: {type(error).__name__}: {str(error)[:300]}")
    over_s = time.monotonic() - began - limit_s
    tally.add("bad_inputs")
    tally.see("worst_over_limit_s", max(over_s, 0.0))
    if over_s > 2.0:
        tally.add("hangs")
        tally.fail(f"{case}: {over_s:.1f} s over its limit of {limit_s:g} s")


def _read(name: str, act: Callable[[], object], tally: Tally) -> None:
    _judge(name, act, TEXT_S, tally)


def _lists(asked: Asked) -> Iterator[tuple[str, Callable[[], object]]]:
    """Lists of every kind, mutated; and every hostile text as a list, a cell and an argument."""
    folder = asked.scratch / "lists"
    folder.mkdir()
    links = [f"https://a.org/{number}.mp4" for number in range(20)]
    pq.write_table(pa.table({"url": links}), folder / "whole.parquet")
    texts = {
        "txt": "\n".join(links).encode(),
        "csv": "\n".join(["url,title", *(f'{link},"a, b"' for link in links)]).encode(),
        "tsv": "\n".join(["url\ttitle", *(f"{link}\tx" for link in links)]).encode(),
        "jsonl": "\n".join(json.dumps({"url": link}) for link in links).encode(),
        "parquet": (folder / "whole.parquet").read_bytes(),
    }
    for kind, data in texts.items():
        for number in range(SLICE_LISTS if asked.slice else LISTS):
            mutation = list(MUTATIONS)[number % len(MUTATIONS)]
            name = f"list {kind} {number} {mutation}"
            path = folder / f"{number}.{kind}"
            path.write_bytes(MUTATIONS[mutation](data, asked.chosen(name)))
            yield name, lambda path=path: list(read_links(str(path)))  # type: ignore[misc]
    for number, text in enumerate(HOSTILE_TEXTS):
        path = folder / f"hostile-{number}.csv"
        path.write_text(f"url,title\n{text},x\nhttps://a.org/1.mp4,{text}\n", encoding="utf-8", errors="surrogatepass")
        yield f"text {number} in a list", lambda path=path: list(read_links(str(path)))  # type: ignore[misc]
        if "\0" not in text and not text.startswith(("/", "..")):
            yield f"text {number} as an argument", lambda text=text: list(read_links(text))  # type: ignore[misc]


def _metadata(asked: Asked) -> Iterator[tuple[str, Callable[[], object]]]:
    """Metadata of the published sets, mutated: a bad row is one entry that says so."""
    folder = asked.scratch / "metadata"
    folder.mkdir()
    rows = [
        {"YoutubeID": "abcdefghijk", "Start_timestamp": 1.5 * n, "End_timestamp": 1.5 * n + 1, "Caption": "é"}
        for n in range(20)
    ]
    wholes = {
        ("hd-vg", "json"): json.dumps(dict(hd_vg_videos(3, seed=1, parents=1))).encode(),
        ("internvid", "jsonl"): "\n".join(map(json.dumps, rows)).encode(),
        (
            "panda-70m",
            "csv",
        ): b"videoID,url,timestamp,caption\nabc,https://a.org/1.mp4,\"[['0:00:01.0', '0:00:02.0']]\",\"['x']\"\n" * 9,
    }
    for (set_, kind), data in wholes.items():
        for number in range(SLICE_LISTS if asked.slice else LISTS):
            mutation = list(MUTATIONS)[number % len(MUTATIONS)]
            name = f"metadata {set_} {number} {mutation}"
            path = folder / f"{set_}-{number}.{kind}"
            path.write_bytes(MUTATIONS[mutation](data, asked.chosen(name)))
            yield name, lambda path=path, set_=set_: list(SETS[set_].read(Source(path)))  # type: ignore[misc]


def _damage(asked: Asked, tally: Tally) -> None:
    """Every kind of file of a dataset: flipped, cut, emptied, removed. `verify` finds it, or an error names the file."""
    dataset = make(asked.scratch / "dataset", [[Clip(0, 3000, bytes([n]) * 5000, f"clip {n}")] for n in range(3)])
    publish_tombstones(dataset.store, [("hash", "0" * 64)])
    kinds = {path.parent.name if path.parent.parent.name != "media" else "media": path for path in _files(dataset.root)}
    for kind, path in sorted(kinds.items()):
        data = path.read_bytes()
        for how in ("flip", "flip_head", "flip_tail", "cut", "hole", "swell", "empty", "removed"):
            case = f"dataset {kind} {how}"
            if not asked.takes(case):
                continue
            path.unlink()
            if how != "removed":
                path.write_bytes(b"" if how == "empty" else MUTATIONS[how](data, asked.chosen(case)))
            _verify(case, dataset.root, changed=how == "removed" or path.read_bytes() != data, tally=tally)
            path.write_bytes(data)


def _files(root: Path) -> Iterator[Path]:
    for pattern in ("inputs/*", "parts/*/*", "media/*/*", "shards/*", "tombstones/*"):
        yield from (path for path in sorted(root.glob(pattern)) if "seed" not in path.name)


def _verify(case: str, root: Path, *, changed: bool, tally: Tally) -> None:
    found: list[object] = []

    def act() -> None:
        found.extend(verify(Dataset.open(root)))

    failures = len(tally.failures)
    _judge(case, act, 30.0, tally)
    if changed and not found and len(tally.failures) == failures:
        tally.fail(f"{case}: `verify` finds nothing")
