"""Look at published metadata before anything is fetched: how much it is, and by a sample of its links how much of it is left."""

from __future__ import annotations

import math
import tempfile
from collections import Counter
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager
from pathlib import Path
from statistics import fmean
from typing import Any

import duckdb

from hdvg.config.fetch import Fetch
from hdvg.dataset.manifest import literal, no_glob
from hdvg.errors import RETRYABLE, ItemError
from hdvg.published.ingest import HOURS_MS, MEMORY, spill
from hdvg.published.staging import Spill
from hdvg.sandbox import Sandbox
from hdvg.sources.egress import way_out
from hdvg.sources.fetch import PRELOAD, look
from hdvg.sources.hosts import HostGate

ASSUMED_MBIT_S = 2.0
"""Bit rate of a 720p video with sound where no source gives sizes: our assumption."""
SHORTER_S = 1.0
"""A video may be this much shorter than the end of its last scene: stamps and containers round."""
CONFIDENCE_Z = 1.96  # 95 %
LOOK_WAITS = {"throttle_wait_s": 5.0, "max_wait_s": 60.0}
"""Most that a look waits for a host that throttles, seconds: a link without an answer is `unsure`."""

REFUSED = frozenset({"forbidden_address", "opt_out", "too_big", "too_long", "live", "forgotten", "blocked_content"})
"""Reasons for which a video that is there is not fetched: ours, not its being gone."""

Show = Callable[[Path], AbstractContextManager[Callable[[int], None]]]
BEFORE_MS, BEHIND_MS, OPENING_MS = 2500, 500, 1000
"""What is fetched with a scene of which only the bytes that show it are: from the key frame before it, half of 5 s on
average, to the frame behind it; and the opening of the source, once."""
WORTH = 0.9
"""Share of a video from which all of it is fetched, see `media.coverage`."""
VIDEOS = f"""
with span as (
    select video_id, greatest(coalesce(start_ms, parent_start_ms) - {BEFORE_MS}, 0) as low,
        coalesce(end_ms, parent_end_ms) + {BEHIND_MS} as high from scenes
), ordered as (
    select *, max(high) over (partition by video_id order by low, high rows between unbounded preceding and 1 preceding) as done
    from span
), part as (
    select video_id, ({OPENING_MS} + sum(greatest(high - greatest(low, coalesce(done, low)), 0)))::bigint as part_ms from ordered group by all
), scene as (
    select video_id, max(coalesce(end_ms, parent_end_ms)) as needs_ms, sum({HOURS_MS}) as ms, count(*) as n from scenes group by all
), asked as (select video_id, any_value(source) as source from links group by all)
select source, needs_ms, ms, n, part_ms from scene join asked using (video_id) join part using (video_id) order by video_id
"""


def wilson(found: int, of: int) -> tuple[float, float]:
    """The 95 % interval of a share by Wilson's score (1927); (0, 1) where nobody was asked."""
    if not of:
        return 0.0, 1.0
    z2, share = CONFIDENCE_Z**2, found / of
    middle = (share + z2 / (2 * of)) / (1 + z2 / of)
    half = CONFIDENCE_Z * math.sqrt(share * (1 - share) / of + z2 / (4 * of**2)) / (1 + z2 / of)
    return max(0.0, middle - half), min(1.0, middle + half)


def check(
    paths: Sequence[Path], *, origin: str, limit: int | None, sample: int | None, settings: Fetch, show: Show
) -> dict[str, Any]:  # fmt: skip
    """What the files hold, what of it is alive, and what a fetch would cost; nothing is stored.

    `sample`: how many links are asked, None for all: those with the smallest hashes, so the same ones every time.
    Raises UsageError if a file cannot be read as one of that set.
    """
    with tempfile.TemporaryDirectory(prefix="hdvg-check-") as temporary, duckdb.connect() as connection:
        connection.execute(f"set memory_limit = '{MEMORY}'; set temp_directory = {literal(temporary + '/sort')}")
        spilt: list[Spill] = []
        for number, path in enumerate(paths):
            folder = Path(temporary) / str(number)
            folder.mkdir()
            with show(path) as say:
                spilt.append(spill(folder, path, origin=origin, limit=limit, say=say))
        for name in ("scenes", "links"):
            files = ", ".join(literal(no_glob(one.paths[name])) for one in spilt)
            connection.execute(f"create view {name} as from read_parquet([{files}])")
        connection.execute(f"create table videos as {VIDEOS}")
        whole = "count(*) as links, sum(n)::bigint as scenes, coalesce(sum(ms), 0) / 3.6e6 as hours, sum(needs_ms) / 3.6e6 as least_hours, "
        whole += "sum(part_ms) / 3.6e6 as part_hours"
        (held,) = connection.sql(f"select {whole} from videos").to_arrow_table().to_pylist()
        asked = connection.sql(f"from videos limit {sample if sample is not None else held['links']}").to_arrow_table()
        answers = ask(asked.to_pylist(), settings, Path(temporary))
    rejected = sum((one.reasons for one in spilt), Counter[str]())
    least_hours, part_hours = held.pop("least_hours"), held.pop("part_hours")
    said = {"files": [str(path) for path in paths], "origin": origin, **held, "rejected": dict(rejected)}
    return said | report(answers, links=held["links"], least_hours=least_hours, part_hours=part_hours)


def ask(videos: list[dict[str, Any]], settings: Fetch, scratch: Path) -> list[dict[str, Any]]:
    """Ask each video's source: its `state`, `detail`, `duration_s` and `bytes`.

    States: `alive`, `changed` (shorter than its scenes need), `unsure` (no answer for now), or a reason of `errors.REASONS`.
    """
    way_out(settings)  # a wrong one is said before the first link is asked
    shorter = {name: min(getattr(settings, name), most_s) for name, most_s in LOOK_WAITS.items()}
    settings = settings.model_copy(update=shorter)
    gate = HostGate.of(settings)
    sandbox = Sandbox(preload=PRELOAD)

    def one(video: dict[str, Any]) -> dict[str, Any]:
        try:
            said = look(video["source"], scratch=scratch, settings=settings, sandbox=sandbox, gate=gate)
        except ItemError as error:
            state = "unsure" if error.reason in RETRYABLE | {"blocked"} else error.reason
            unknown = {"duration_s": None, "bytes": None, "part_s": None}
            return {"source": video["source"], "state": state, "detail": str(error)} | unknown
        length_s, needs_s = said["duration_s"], (video["needs_ms"] or 0) / 1000
        short = length_s is not None and length_s + SHORTER_S < needs_s
        detail = f"{length_s:.1f} s long, its scenes need {needs_s:.1f} s" if short else ""
        part_s = (video["part_ms"] or 0) / 1000
        state = "changed" if short else "alive"
        return {"source": video["source"], "state": state, "detail": detail, "part_s": part_s, **said}

    try:
        with ThreadPoolExecutor(settings.concurrency) as pool:
            return list(pool.map(one, videos))
    finally:
        sandbox.close()


def report(
    answers: list[dict[str, Any]], *, links: int, least_hours: float | None, part_hours: float | None = None
) -> dict[str, Any]:
    """Shares with their intervals over those that answered, and what fetching would come to."""
    states = Counter(answer["state"] for answer in answers)
    of = len(answers) - states["unsure"]
    shares = {}
    refused = sum(states[reason] for reason in REFUSED)
    for name, found in {
        "alive": states["alive"],
        "changed": states["changed"],
        "refused": refused,
        "lost": of - states["alive"] - states["changed"] - refused,
    }.items():
        low, high = wilson(found, of)
        shares[name] = {"share": found / of if of else None, "low": low, "high": high}
    there = (states["alive"] + states["changed"]) / of if of else 1.0
    lengths = [answer["duration_s"] for answer in answers if answer["duration_s"]]
    sizes = [answer["bytes"] for answer in answers if answer["bytes"]]
    hours = there * (links * fmean(lengths) / 3600 if lengths else least_hours or 0.0)
    hours_from = "lengths of the sample" if lengths else "the ends of the last scenes, at least"
    if sizes:
        size, by = there * links * fmean(sizes), "sizes of the sample"
    else:
        size, by = hours * 3600 * ASSUMED_MBIT_S * 1e6 / 8, f"{ASSUMED_MBIT_S:g} Mbit/s, assumed"
    return {
        "asked": len(answers),
        "states": dict(states.most_common()),
        "shares": shares,
        "fetch": {
            "videos": round(there * links),
            "hours": hours,
            "hours_from": hours_from,
            "bytes": round(size),
            "bytes_from": by,
        }
        | _in_part(answers, size, least_hours=least_hours, part_hours=part_hours),
        "answers": [answer for answer in answers if answer["state"] != "alive"],
    }


def _in_part(
    answers: list[dict[str, Any]], size: float, *, least_hours: float | None, part_hours: float | None
) -> dict[str, Any]:
    """What of it would be fetched with `fetch.sections = auto`, by time; an estimate, where sources can be taken apart."""
    pairs = [(one["part_s"], one["duration_s"]) for one in answers if one.get("part_s") and one["duration_s"]]
    if not pairs and least_hours and part_hours:
        pairs = [(part_hours, least_hours)]
    whole = sum(length for _, length in pairs)
    part = sum(share if share < WORTH * length else length for share, length in pairs)
    share = part / whole if whole else None
    return {"part_share": share, "part_bytes": None if share is None else round(share * size)}
