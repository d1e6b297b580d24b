"""Fuzzing of our own parsers: `python -m tests.faults.fuzz_faults [TARGET …] --seconds 600`.

Guided by coverage where `atheris` is installed (pip install atheris), else by seeded mutation of small corpora: then the
last line says so.
"""

from __future__ import annotations

import argparse
import contextlib
import importlib.util
import random
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from hdvg.dataset.seals import is_sealed, sealed
from hdvg.errors import HdvgError
from hdvg.media.bitstream import obus, open_syntax, units
from hdvg.media.parameter_sets import avcc_sets, hvcc_sets, unescaped
from hdvg.published.entries import Source
from hdvg.published.sets import SETS
from hdvg.sources.links import read_links
from tests.faults.mutants import MUTATIONS
from tests.faults.tally import Asked, Tally

SECONDS, FAMILY_S, SLICE_S, MOST_S = 600.0, 20.0, 3.0, 2.0
"""Of `make fuzz`, a whole run of the family, a slice, and any one input."""


class _Place:
    """One file that is written again and again."""

    folder = tempfile.TemporaryDirectory(prefix="hdvg-fuzz-")

    @classmethod
    def write(cls, name: str, data: bytes) -> Path:
        path = Path(cls.folder.name) / name
        path.write_bytes(data)
        return path


def links(data: bytes) -> None:
    """A list of links, of the kind that its first byte says."""
    kind = ("txt", "csv", "tsv", "jsonl", "json")[data[0] % 5] if data else "txt"
    list(read_links(str(_Place.write(f"list.{kind}", data[1:]))))


def metadata(data: bytes) -> None:
    """Metadata of a published set."""
    name, kind = (("hd-vg", "json"), ("internvid", "jsonl"), ("panda-70m", "csv"), ("openvid", "csv"))[
        data[0] % 4 if data else 0
    ]
    list(SETS[name].read(Source(_Place.write(f"set.{kind}", data[1:]))))


def footer(data: bytes) -> None:
    """A part: its seal never holds of bytes that are not those of the corpus, and reading it ends in an error of Arrow's."""
    path = _Place.write("part.parquet", data)
    if is_sealed(path) and data not in CORPORA["footer"]():
        raise AssertionError("a seal holds of other bytes")
    with contextlib.suppress(pa.ArrowException, OSError, ValueError, KeyError):
        pq.read_table(path)


def bitstream(data: bytes) -> None:
    """Packets and parameter sets: what is broken is a ValueError or an IndexError, which the cut takes for `not safe`."""
    codec = ("h264", "hevc", "vp9", "av1")[data[0] % 4] if data else "h264"
    for act in (
        lambda: units(data[1:], 4),
        lambda: list(obus(data[1:])),
        lambda: list(avcc_sets(data[1:])),
        lambda: list(hvcc_sets(data[1:])),
        lambda: unescaped(data[1:]),
        lambda: open_syntax(codec, data[1:]),
    ):
        with contextlib.suppress(ValueError, IndexError):
            act()


def _part() -> bytes:
    return sealed(pa.table({"video_id": ["a" * 32] * 3, "status": ["ok", "failed", "retry"]}))


TARGETS: dict[str, Callable[[bytes], None]] = {one.__name__: one for one in (links, metadata, footer, bitstream)}
CORPORA: dict[str, Callable[[], list[bytes]]] = {
    "links": lambda: [
        b"\0https://a.org/1.mp4\nfile.mp4\n", b'\1url,title\nhttps://a.org/1.mp4,"a, b"\n',
        b"\2url\ttitle\nhttps://a.org/1.mp4\tx\n", b'\3{"url": "https://a.org/1.mp4"}\n', b'\4["https://a.org/1.mp4"]',
    ],
    "metadata": lambda: [
        b'\0{"abc": {"clip": {"abc#0": {"scene_split": [{"clip_id": "c", "start": "0:0:1.0", "end": "0:0:2.0"}]}}}}',
        b'\1{"YoutubeID": "abcdefghijk", "Start_timestamp": "00:00:01.0", "End_timestamp": "00:00:02.0", "Caption": "x"}\n',
        b"\2videoID,url,timestamp,caption\nabc,https://a.org,\"[['0:00:01.0', '0:00:02.0']]\",\"['x']\"\n",
    ],
    "footer": lambda: [_part()],
    "bitstream": lambda: [
        b"\0\0\0\0\1\x67\x42\0\x1e\xab\x40\x50\0\0\0\1\x68\xce\x38\x80", b"\0\1\x64\0\x1f\xff\xe1\0\4\x67\x64\0\x1f\1\0\2\x68\xee",
        b"\3\x12\0\x0a\x0b\0\0\0\x24\xce\x3f", b"\2\x82\x49\x83\x42",
    ],
}  # fmt: skip


def try_one(target: str, data: bytes) -> str | None:
    """What is wrong with how a parser took these bytes, or None."""
    began = time.process_time()  # on a machine with other work, waiting is no fault
    try:
        TARGETS[target](data)
    except HdvgError:
        pass
    except Exception as error:
        return f"{type(error).__name__}: {str(error)[:200]}"
    spent_s = time.process_time() - began
    return f"{spent_s:.1f} s" if spent_s > MOST_S else None


def by_chance(target: str, seconds: float, seed: int) -> tuple[int, dict[str, bytes]]:
    """How many inputs were tried, and by what was wrong, the first that showed it."""
    chosen, found, tried, until = random.Random(f"{seed} {target}"), dict[str, bytes](), 0, time.monotonic() + seconds
    corpus = CORPORA[target]()
    while time.monotonic() < until:
        data = chosen.choice(corpus)
        for _ in range(chosen.randint(1, 4)):
            data = data[:1] + MUTATIONS[chosen.choice(list(MUTATIONS))](data[1:] or b"x", chosen)
        tried += 1
        if (told := try_one(target, data[: 1 << 16])) is not None:
            found.setdefault(told[:60], data[: 1 << 16])
    return tried, found


def run(asked: Asked, tally: Tally) -> None:
    """Each target for some seconds, by chance: the same inputs for the same seed, as far as the time goes."""
    for target in TARGETS:
        if asked.touches(target):
            tried, found = by_chance(target, SLICE_S if asked.slice else FAMILY_S, asked.seed)
            tally.add("fuzzed", tried)
            for told, data in found.items():
                tally.fail(f"{target}: {told} of {data[:200]!r}")


def _guided(target: str, corpus: Path) -> None:
    """In a process of its own, for libFuzzer ends it."""
    import gc
    import types

    import atheris

    for number, data in enumerate(CORPORA[target]()):
        (corpus / f"seed-{number}").write_bytes(data)

    def one(data: bytes) -> None:
        if told := try_one(target, data):
            raise AssertionError(told)

    for made in gc.get_objects():  # ours alone: with every library's functions it would take minutes to begin
        if (
            isinstance(made, types.FunctionType)
            and made.__module__
            and made.__module__.startswith(("hdvg.", "schemas."))
        ):
            atheris.instrument_func(made)
    atheris.Setup(sys.argv[:1] + sys.argv[sys.argv.index("--") + 1 :], one)
    atheris.Fuzz()


def main(words: Sequence[str] | None = None) -> int:
    """0 if nothing was found."""
    parser = argparse.ArgumentParser(prog="python -m tests.faults.fuzz_faults", description=__doc__)
    parser.add_argument("target", nargs="*", metavar="TARGET", help=", ".join(TARGETS))
    parser.add_argument("--seconds", type=float, default=SECONDS)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--guided", action="store_true", help=argparse.SUPPRESS)
    asked, _ = parser.parse_known_args(words)
    if asked.guided:
        _guided(asked.target[0], Path(sys.argv[-1]))
        return 0
    guided, bad = importlib.util.find_spec("atheris") is not None, 0
    for target in asked.target or TARGETS:
        with tempfile.TemporaryDirectory(prefix="hdvg-fuzz-") as folder:
            if guided:
                command = [sys.executable, "-m", "tests.faults.fuzz_faults", target, "--guided", "--"]
                limits = [f"-max_total_time={asked.seconds:g}", "-max_len=65536", "-rss_limit_mb=2048", "-timeout=10"]
                bad += (
                    subprocess.run([*command, *limits, f"-artifact_prefix={target}-", folder], check=False).returncode
                    != 0
                )
            else:
                tried, found = by_chance(target, asked.seconds, asked.seed)
                print(f"{target}: {tried} inputs by chance, {len(found)} kinds of trouble")
                for told, data in found.items():
                    print(f"  {told}: {data[:500]!r}")
                bad += len(found)
    print("guided by coverage (atheris)" if guided else "by seeded mutation alone: atheris is not installed")
    return int(bool(bad))


if __name__ == "__main__":
    sys.exit(main())
