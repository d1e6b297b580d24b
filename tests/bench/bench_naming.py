"""How many clips a captioner names a right object of, and how many a wrong one, by what was written by hand of real footage.

Run: python -m tests.bench.bench_naming [--part held|tune] [--more FOLDER ...] [--captioner tags] [--model PATH] [--repeats 1000].
The footage is the bundled one, shared/media where it is, and that of other packages in the folders of `--more` (tests/data/shown.toml
says which file is of which), cut into clips of at most 6 s as the demo recipe does. No threshold of `tags` was chosen on `held`.
The six clips that the demo keeps, of 2 to 20 s, are told apart. Intervals are those of 95 % of `--repeats` draws of as many files. The
last line is one JSON object: `named_right` and `named_wrong` (shares of clips that name at least one right, or wrong, thing),
`precision` (of the things named), each with its interval, `clips`, `files`, `demo_named_right`, `demo_clips`, `cpu_s_per_clip`.
"""

from __future__ import annotations

import argparse
import json
import random
import tempfile
import time
from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import cv2

from hdvg.captioners import Captioner, Written, load
from hdvg.config.caption import Writer
from hdvg.config.sections import Split
from hdvg.keyframes import Shot
from hdvg.media.scan import scan
from pipelines.demo.site import build_site
from tests.bench.machine import MAX_PIXELS, describe
from tests.footage import BUNDLED, SHARED
from tests.shown import is_right, named, shown, spans

REEL = "reel.mp4"
DEMO = (REEL, "cockatoo.mp4", "bigbuckbunny_720p.mp4")
LONGEST_S, DEMO_LONGEST_S = 6.0, 20.0


@dataclass(frozen=True)
class Told:
    """What was named of one clip: whether each thing is right."""

    file: str
    right: Sequence[bool]


def clips(path: Path, longest_s: float) -> Iterator[tuple[Shot, Sequence[str]]]:
    """The clips of a file as shots, with what is seen in them, those of which something was written."""
    settings = Split(stitch_levels=5.0, max_clip_s=longest_s, divide="still").model_dump()
    with tempfile.TemporaryDirectory() as out:
        for clip in scan(str(path), out, settings, 2, MAX_PIXELS)["clips"]:  # type: ignore[arg-type,typeddict-item]
            things = shown(path.name, float(clip["start_s"]), float(clip["end_s"]))
            if things:
                pictures = {one["position"]: (Path(out) / one["file"]).read_bytes() for one in clip["keyframes"]}
                yield Shot(path.name, pictures, clip), things


def tell(captioner: Captioner, shots: Sequence[tuple[Shot, Sequence[str]]]) -> tuple[list[Told], float]:
    """What is named of each clip, a line for each, and the CPU seconds that a clip took."""
    told, start = [], time.process_time()
    for shot, things in shots:
        (written,) = captioner.write([captioner.prepare(shot)])
        text = written.texts.get("short", "") if isinstance(written, Written) else ""
        right = [is_right(noun, things) for noun in named(text)]
        told.append(Told(shot.clip_id, right))
        mark = "wrong" if not all(right) else "right" if right else "-"
        print(f"{mark:6} {shot.clip_id[:20]:20} {text}   [{', '.join(things)}]", flush=True)
    return told, (time.process_time() - start) / max(len(shots), 1)


def shares(told: Sequence[Told]) -> dict[str, float]:
    """The three figures."""
    each = [right for one in told for right in one.right]
    return {
        "named_right": sum(any(one.right) for one in told) / max(len(told), 1),
        "named_wrong": sum(not all(one.right) for one in told) / max(len(told), 1),
        "precision": sum(each) / len(each) if each else 1.0,
    }


def interval(told: Sequence[Told], figure: Callable[[Sequence[Told]], float], draws: int) -> list[float]:
    """95 % of what other draws of as many files give."""
    files = defaultdict(list)
    for one in told:
        files[one.file].append(one)
    chance = random.Random(0)
    found = sorted(
        figure([one for file in chance.choices(sorted(files), k=len(files)) for one in files[file]])
        for _ in range(draws)
    )
    return [round(found[int(share * (draws - 1))], 3) for share in (0.025, 0.975)]


def found(folders: Sequence[Path]) -> Iterator[Path]:
    """The files of the truth that are there, in its order."""
    for file in dict.fromkeys(span.file for span in spans()):
        yield from [one for folder in folders for one in sorted(folder.rglob(file))][:1]


def parser() -> argparse.ArgumentParser:
    """Its arguments."""
    made = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    made.add_argument("--part", choices=("held", "tune"), default="held")
    made.add_argument("--more", type=Path, nargs="*", default=[], help="folders with the footage of other packages")
    made.add_argument("--captioner", default="tags")
    made.add_argument("--model", default=None, help="of the captioner, where it takes one")
    made.add_argument("--repeats", type=int, default=1000, help="draws of the intervals")
    return made


def main() -> None:
    """Measure and say."""
    asked = parser().parse_args()
    cv2.setNumThreads(1)
    print(describe())
    captioner = load(Writer(captioner=asked.captioner, model=asked.model))
    parts = {span.file: span.part for span in spans()}
    with tempfile.TemporaryDirectory() as site:
        build_site(Path(site))
        paths = list(found([BUNDLED, SHARED, *asked.more, Path(site)]))
        mine = [path for path in paths if parts[path.name] == asked.part and path.name != REEL]
        told, cpu_s = tell(captioner, [one for path in mine for one in clips(path, LONGEST_S)])
        print("the demo's:")
        demo = [one for path in paths if path.name in DEMO for one in clips(path, DEMO_LONGEST_S)]
        kept = [(shot, things) for shot, things in demo if is_kept(shot)]
        of_demo, _ = tell(captioner, kept)
    figures: dict[str, object] = {
        "part": asked.part,
        "captioner": captioner.model,
        "clips": len(told),
        "files": len(mine),
    }
    for name, value in shares(told).items():
        spread = interval(told, lambda some, name=name: shares(some)[name], asked.repeats)  # type: ignore[misc]
        print(f"{name}: {value:.3f} {spread}")
        figures |= {name: round(value, 3), f"{name}_95": spread}
    figures |= {"demo_named_right": round(shares(of_demo)["named_right"], 3), "demo_clips": len(of_demo)}
    print(json.dumps(figures | {"cpu_s_per_clip": round(cpu_s, 3)}))


def is_kept(shot: Shot) -> bool:
    """By those rules of the demo recipe that drop something of its own footage."""
    return float(shot.measures["duration_s"]) >= 2 and float(shot.measures["static_share"]) <= 0.9


if __name__ == "__main__":
    main()
