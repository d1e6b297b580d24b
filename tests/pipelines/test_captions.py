"""A stopped or killed caption job loses and repeats at most the batch it was at; every clip is captioned once."""

from __future__ import annotations

import itertools
import os
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from hdvg.captioners import CAPTIONERS
from hdvg.dataset.dataset import Dataset
from hdvg.dataset.stages import part_schema
from hdvg.errors import ResourceError
from hdvg.keyframes import Shot
from pipelines.graph import find_stage
from pipelines.perform import Done, Job, make_gate, perform
from pipelines.runners import CRASHES, Order, Queues, after_crash
from tests.captioned import waiting_unit
from tests.counting import LOG, PAUSE, REGISTERED, Counting, counted
from tests.tools import need

need("torch", "transformers", "PIL")

ROOT = Path(__file__).parents[2]
CLIPS, BATCH = 22, 4
Unit = tuple[Dataset, str]


def shots() -> list[list[Shot]]:
    """Two videos of eleven shots, each with a picture of its own."""
    pictures = []
    for seed in range(CLIPS):
        blocks = np.random.default_rng(seed).integers(0, 256, (6, 8, 3), dtype=np.uint8)
        pictures.append(cv2.imencode(".jpg", cv2.resize(blocks, (64, 48)))[1].tobytes())
    made = [Shot("", {"middle": picture}, {}) for picture in pictures]
    return [made[: CLIPS // 2], made[CLIPS // 2 :]]


@pytest.fixture
def unit(tmp_path: Path, tiny_blip2: Path, monkeypatch: pytest.MonkeyPatch) -> Unit:
    """A unit that waits for a captioner that counts, in batches of four."""
    monkeypatch.setitem(CAPTIONERS, "counting", "tests.counting:Counting")
    monkeypatch.setenv(LOG, str(tmp_path / "log"))
    asked = {"captioner": "counting", "model": str(tiny_blip2), "batch": BATCH, "beams": 2, "max_tokens": 8}
    return waiting_unit(tmp_path / "d", asked, shots())


@pytest.fixture
def log(tmp_path: Path) -> Path:
    return tmp_path / "log"


def do(unit: Unit) -> Done:
    dataset, name = unit
    job = Job(dataset.root, dataset.store.run, "caption", name)
    return perform(job, make_gate(dataset.plan.recipe), dataset)


def stop_after(batches: int, error: BaseException, monkeypatch: pytest.MonkeyPatch) -> None:
    turn = itertools.count()

    def begin() -> None:
        if next(turn) == batches:
            raise error

    monkeypatch.setattr(Counting, "begin", begin)


def stopped(unit: Unit, monkeypatch: pytest.MonkeyPatch, *, after: int = 3) -> None:
    """A job of the unit that was stopped at its fourth batch."""
    with monkeypatch.context() as during:
        stop_after(after, KeyboardInterrupt(), during)
        with pytest.raises(KeyboardInterrupt):
            do(unit)


def pieces(unit: Unit) -> list[Path]:
    return sorted((unit[0].root / "parts" / "caption" / "pieces").glob("*"))


def texts(unit: Unit) -> dict[str, str]:
    """Clip -> text; each clip has exactly one, in a part."""
    dataset, name = unit
    parts = sorted((dataset.root / "parts" / "caption").glob(f"{name}-*.parquet"))
    rows = [row for part in parts for row in pq.read_table(part).to_pylist()]
    assert len(rows) == len({row["clip_id"] for row in rows}) == CLIPS
    assert {row["status"] for row in rows} == {"ok"}
    with dataset.manifest() as manifest:
        said = {row["clip_id"]: row["text"] for row in manifest.rows("select clip_id, text from captions")}
    assert said == {row["clip_id"]: row["text"] for row in rows}
    return said


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory: pytest.TempPathFactory, tiny_blip2: Path) -> dict[str, str]:
    """What plain `blip2` says in one go."""
    asked = {"captioner": "blip2", "model": str(tiny_blip2), "batch": 7, "beams": 2, "max_tokens": 8}
    made = waiting_unit(tmp_path_factory.mktemp("plain") / "d", asked, shots())
    assert do(made).statuses == {"ok": CLIPS}
    assert pieces(made) == []
    said = texts(made)
    assert len(set(said.values())) > 1
    return said


@pytest.mark.parametrize("error", [KeyboardInterrupt(), ResourceError("the disk is full")])
def test_stopped_unit_goes_on_where_it_was(
    unit: Unit, log: Path, undisturbed: dict[str, str], monkeypatch: pytest.MonkeyPatch, error: BaseException
) -> None:
    with monkeypatch.context() as during:
        stop_after(3, error, during)
        with pytest.raises(type(error)):
            do(unit)
    assert len(pieces(unit)) == 3
    before = [clip for batch in counted(log) for clip in batch]
    assert len(before) == 3 * BATCH
    do(unit)
    assert Counter(clip for batch in counted(log) for clip in batch) == dict.fromkeys(undisturbed, 1)
    assert texts(unit) == undisturbed
    assert pieces(unit) == []


def test_a_unit_stopped_again_and_again_comes_to_its_end(
    unit: Unit, log: Path, undisturbed: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    for _ in range(5):
        stopped(unit, monkeypatch, after=1)
    do(unit)
    assert max(Counter(clip for batch in counted(log) for clip in batch).values()) == 1
    assert texts(unit) == undisturbed


def test_pieces_left_by_a_crash_behind_the_part_do_no_harm(
    unit: Unit, log: Path, undisturbed: dict[str, str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    stopped(unit, monkeypatch)
    kept = [(path, path.read_bytes()) for path in pieces(unit)]
    do(unit)
    for path, content in kept:
        path.write_bytes(content)
    parts = sorted((unit[0].root / "parts" / "caption").glob("*.parquet"))
    assert texts(unit) == undisturbed
    assert do(unit).statuses == {}
    assert sorted((unit[0].root / "parts" / "caption").glob("*.parquet")) == parts
    assert texts(unit) == undisturbed
    assert pieces(unit) == []
    assert sum(map(len, counted(log))) == CLIPS


def test_clips_saved_by_a_ghost_too_count_once(
    unit: Unit, undisturbed: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    stopped(unit, monkeypatch)
    first = pieces(unit)[0]
    first.with_name(first.name.replace("waiting", "ghost")).write_bytes(first.read_bytes())
    assert len(pieces(unit)) == 4
    do(unit)
    assert texts(unit) == undisturbed
    assert pieces(unit) == []


@pytest.mark.parametrize("name", ["0", "z"])
def test_word_saved_before_a_kill_is_older_than_that_of_the_next_job(
    unit: Unit, undisturbed: dict[str, str], monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    stopped(unit, monkeypatch)
    first = pieces(unit)[0]  # under a name before or behind those to come: runs have random ones
    rows = pq.read_table(first).to_pylist()
    nothing = dict.fromkeys(("kind", "text")) | {"status": "retry", "reason": "throttled", "attempt": 1}
    late = pa.Table.from_pylist([row | nothing for row in rows], schema=part_schema("caption"))
    first.unlink()
    pq.write_table(late, first.with_name(first.name.replace("waiting", name)))
    do(unit)
    dataset, _ = unit
    with dataset.manifest() as manifest:
        said = {row["clip_id"]: row["text"] for row in manifest.rows("select clip_id, text from captions")}
        tried = manifest.rows("select attempt, count(*) as clips from captioned group by all order by all")
        assert manifest.rows("from pending where stage = 'caption'") == []
    assert said == undisturbed
    assert tried == [{"attempt": 1, "clips": CLIPS - BATCH}, {"attempt": 2, "clips": BATCH}]


def test_job_split_into_single_clips_keeps_what_was_saved(
    unit: Unit, log: Path, undisturbed: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    dataset, name = unit
    stopped(unit, monkeypatch)
    order = Order(dataset.root, dataset.store.run, (find_stage("caption"),), {name: 0})
    queues = Queues(order, [1])
    job = queues.next()
    assert job is not None
    assert after_crash(job, CRASHES, queues) is None
    queues.ended(job)
    assert pieces(unit) == []
    jobs = []
    while (single := queues.next()) is not None:
        jobs.append(single)
        perform(single, make_gate(dataset.plan.recipe), dataset)
        queues.ended(single)
    assert len(jobs) == CLIPS - 3 * BATCH
    assert all(single.keys is not None and len(single.keys) == 1 for single in jobs)
    assert max(Counter(clip for batch in counted(log) for clip in batch).values()) == 1
    assert texts(unit) == undisturbed


def workers(root: Path) -> list[int]:
    """Ray actors that hold a model, by process id, newest last; those of this run only."""
    found = []
    for pid in map(int, filter(str.isdigit, os.listdir("/proc"))):
        try:
            line = Path(f"/proc/{pid}/cmdline").read_bytes().decode()
            ours = f"{LOG}={root / 'log'}\0".encode() in Path(f"/proc/{pid}/environ").read_bytes()
        except OSError:
            continue
        if line.startswith("ray::ModelWorker") and ours:
            found.append(pid)
    return sorted(found)


def wait_for(condition: Callable[[], object], run: subprocess.Popen[str]) -> None:
    while not condition():
        assert run.poll() is None, run.communicate()[1]
        time.sleep(0.01)


@pytest.mark.ray
@pytest.mark.slow
def test_killed_actor_loses_and_repeats_one_batch_at_most(
    unit: Unit, log: Path, tmp_path: Path, undisturbed: dict[str, str]
) -> None:
    dataset, _name = unit
    (tmp_path / "site").mkdir()
    (tmp_path / "site" / "sitecustomize.py").write_text(REGISTERED)
    dataset.store.end()
    paths = os.pathsep.join([str(tmp_path / "site"), str(ROOT)])
    command = [sys.executable, "-m", "hdvg.cli", "caption", str(dataset.root), "--runner", "ray", "--cpus", "2"]
    run = subprocess.Popen(
        command,
        env={**os.environ, "PYTHONPATH": paths, PAUSE: "1.0"},
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
    )
    try:
        wait_for(lambda: len(counted(log)) >= 3, run)  # the third has begun, and takes a second
        time.sleep(0.3)
        (victim,) = workers(tmp_path)
        begun = counted(log)
        os.kill(victim, signal.SIGKILL)
        assert run.wait(timeout=120) == 0, run.stderr and run.stderr.read()
    finally:
        if run.poll() is None:
            run.kill()
        run.communicate()
    times = Counter(clip for batch in counted(log) for clip in batch)
    repeated = {clip for clip, count in times.items() if count > 1}
    assert len(begun) == 3
    assert set(times) == set(undisturbed)
    assert repeated == set(begun[-1])  # the batch that was lost, and only it
    assert max(times.values()) == 2
    assert texts(unit) == undisturbed
    assert pieces(unit) == []
