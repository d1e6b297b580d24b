"""A clock that jumps changes nothing: what is done, in which order, and which word counts, never comes from the wall clock."""

from __future__ import annotations

import os
import random
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from hdvg.config.recipe import parse_recipe
from hdvg.dataset import tables
from hdvg.dataset.dataset import Dataset
from hdvg.dataset.tables import TABLES, Table, write_rows
from hdvg.planning import make_plan
from schemas.columns import STR, column, table
from tests.digest import contents
from tests.videos import draw_scenes

JUMPY = r"""
#define _GNU_SOURCE
#include <dlfcn.h>
#include <stdlib.h>
#include <sys/time.h>
#include <time.h>
static time_t jump(void) { return (random() % 2 ? 1 : -1) * (random() % 300000000); }
int clock_gettime(clockid_t which, struct timespec *at) {
    static int (*real)(clockid_t, struct timespec *);
    if (!real) real = dlsym(RTLD_NEXT, "clock_gettime");
    int found = real(which, at);
    if (!found && which == CLOCK_REALTIME) at->tv_sec += jump();
    return found;
}
time_t time(time_t *at) {
    struct timespec now;
    clock_gettime(CLOCK_REALTIME, &now);
    if (at) *at = now.tv_sec;
    return now.tv_sec;
}
"""
"""A library for LD_PRELOAD: the wall clock jumps by up to ten years, forth and back, whenever it is looked at."""


@pytest.fixture
def jumping(tmp_path: Path) -> dict[str, str]:
    """The environment of a process with that clock, and of all its children."""
    if shutil.which("gcc") is None:
        assert not os.environ.get("CI"), "no gcc"
        pytest.skip("no gcc")
    (tmp_path / "jumpy.c").write_text(JUMPY)
    library = tmp_path / "jumpy.so"
    subprocess.run(["gcc", "-shared", "-fPIC", "-O1", "-o", library, tmp_path / "jumpy.c", "-ldl"], check=True)
    environment = {**os.environ, "LD_PRELOAD": str(library)}
    look = [sys.executable, "-c", "import time; print(*(int(time.time()) for _ in range(9)))"]
    seen = subprocess.run(look, env=environment, capture_output=True, text=True, check=True).stdout.split()
    assert max(map(int, seen)) - min(map(int, seen)) > 10**7, "the clock does jump"
    return environment


def command(*words: object, env: dict[str, str] | None = None) -> None:
    called = [sys.executable, "-m", "hdvg.cli", *map(str, words)]
    done = subprocess.run(called, env=env, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


@pytest.mark.slow
def test_a_run_under_a_clock_that_jumps_makes_the_same_dataset(tmp_path: Path, jumping: dict[str, str]) -> None:
    (tmp_path / "videos").mkdir()
    for number in range(2):
        draw_scenes(tmp_path / f"videos/{number}.mp4", scene_frames=(30, 50), seed=number)
    sets = (
        "--set",
        "caption.captioner=none",
        "--set",
        "keep.too_short=duration_s >= 1.5",
        "--set",
        "keep.low_resolution=null",
    )
    common = ("demo", "--links", tmp_path / "videos", "--runner", "serial", *sets, "--out")
    command("run", *common, tmp_path / "d")
    command("split", *common, tmp_path / "e", env=jumping)
    drawn = random.Random(3)
    for path in (tmp_path / "e").rglob("*"):
        moment = drawn.uniform(1, 4e9)
        os.utime(path, (moment, moment))
    command("run", tmp_path / "e", "--runner", "serial", env=jumping)
    assert contents(tmp_path / "e") == contents(tmp_path / "d")
    command("verify", tmp_path / "e", env=jumping)


def test_the_later_word_of_a_person_counts_though_the_clock_was_set_back(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(
        TABLES,
        "marks",
        Table("marks", table([column("clip_id", STR, "it"), column("mark", STR, "what")]), ("clip_id",)),
    )
    dataset = Dataset(tmp_path, make_plan(parse_recipe({"caption": {"captioner": "none"}})))
    dataset.store.begin()
    dataset.prepare()
    true = tables.datetime

    class Set(true):  # type: ignore[misc, valid-type]  # a clock that can be set
        years = 0

        @classmethod
        def now(cls, tz: object = None) -> object:
            found = true.now(tz)
            return found.replace(year=found.year + cls.years)

    monkeypatch.setattr(tables, "datetime", Set)
    for years, mark, is_new_process in (
        (0, "keep", False),
        (-3, "drop", False),
        (40, "keep", False),
        (-1, "flag", True),
    ):
        Set.years = years
        if is_new_process:
            tables._NEWEST.clear()
        write_rows(dataset.store, "marks", [{"clip_id": "a", "mark": mark}])
        with dataset.manifest() as manifest:
            assert manifest.one("select mark from marks") == mark
