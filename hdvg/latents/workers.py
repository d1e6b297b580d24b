"""Jobs done by several processes, that end with the one that started them."""

from __future__ import annotations

import contextlib
import ctypes
import itertools
import multiprocessing
import os
import signal
import sys
from collections.abc import Iterable, Iterator
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from concurrent.futures.process import BrokenProcessPool
from pathlib import Path
from typing import Any

from hdvg.dataset.dataset import Dataset
from hdvg.errors import ResourceError
from hdvg.latents.jobs import ClipJob, Done, TextJob, Worker
from hdvg.latents.settings import Encoding
from hdvg.sandbox.child import PR_SET_PDEATHSIG

Job = ClipJob | TextJob

WAITING = 4
"""Jobs handed out for each worker."""


def default_workers() -> int:
    """One a GPU; without, one for every two cores: each decodes in a child of its own beside its network."""
    import torch

    return torch.cuda.device_count() if torch.cuda.is_available() else max(_cores() // 2, 1)


def run_jobs(dataset: Dataset, encoding: Encoding, jobs: Iterable[Job], *, workers: int | None) -> Iterator[Done]:
    """Do all jobs, one by one in this process, or in `workers` others (None: `default_workers`); every network has one thread on a
    CPU, so that numbers do not depend on how many. Raises what `Worker` raises, and ResourceError if a worker is killed."""
    workers = workers or default_workers()
    depth = max(_cores() // workers - 1, 1)
    if workers == 1:
        with _one_thread():
            yield from map(Worker(dataset, encoding, depth=depth), jobs)
        return
    context = multiprocessing.get_context("spawn")
    arguments = dataset.root, dataset.store.run, encoding, depth, context.Value("i", 0)
    pool = ProcessPoolExecutor(workers, mp_context=context, initializer=_begin, initargs=arguments)
    try:
        yield from _all(pool, iter(jobs), most=WAITING * workers)
        pool.shutdown()
    except BrokenProcessPool as error:
        raise ResourceError("a worker was killed (out of memory?): run again, with fewer --workers") from error
    finally:
        for process in multiprocessing.active_children():  # none, unless this was stopped
            process.kill()


def _all(pool: ProcessPoolExecutor, jobs: Iterator[Job], *, most: int) -> Iterator[Done]:
    """What comes of the jobs, as they are done; `most` are handed out at once."""
    waiting: set[Future[Done]] = {pool.submit(_work, job) for job in itertools.islice(jobs, most)}
    while waiting:
        done, waiting = wait(waiting, return_when=FIRST_COMPLETED)
        waiting |= {pool.submit(_work, job) for job in itertools.islice(jobs, len(done))}
        yield from (future.result() for future in done)


_worker: Worker | None = None


def _begin(root: Path, run: str, encoding: Encoding, depth: int, turn: Any) -> None:
    """In a new worker: end with the parent, leave Ctrl-C to it, take the next GPU, load nothing yet."""
    import torch

    global _worker
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
    with turn.get_lock():
        number = turn.value
        turn.value += 1
    if torch.cuda.is_available():
        torch.cuda.set_device(number % torch.cuda.device_count())
    torch.set_num_threads(1)
    _worker = Worker(Dataset.open(root, run=run), encoding, depth=depth)


def _work(job: Job) -> Done:
    assert _worker is not None
    return _worker(job)


@contextlib.contextmanager
def _one_thread() -> Iterator[None]:
    import torch

    before = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(before)


def _cores() -> int:
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
