"""A run whose dataset lies in a bucket, on a real S3 server, killed or not, ends as the same run over a folder."""

from __future__ import annotations

import os
import random
import shutil
import signal
from pathlib import Path

import pytest

from hdvg.dataset.dataset import Dataset
from hdvg.dataset.mirror import mirrors, open_mirror
from hdvg.reports.verify import verify
from tests.digest import contents
from tests.faults.driver import RECIPE, start
from tests.faults.moments import differences
from tests.faults.store_faults import start_dying
from tests.machines import downloaded, machines, objects
from tests.object_store import KEY, OPEN, SECRET, S3Server
from tests.test_cli import ask, hdvg
from tests.tools import need
from tests.videos import draw_scenes

need("obstore")


END_S = 240.0
FAR = RECIPE.model_copy(update={"storage": RECIPE.storage.model_copy(update={"keep_sources": False})})
KEPT = ("AWS_ENDPOINT_URL", "AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_REGION")


@pytest.fixture(scope="module")
def server(tmp_path_factory):
    with S3Server(tmp_path_factory.mktemp("s3")) as running:
        yield running


@pytest.fixture
def turn(server, tmp_path, monkeypatch):
    return machines(server, tmp_path, monkeypatch)


@pytest.fixture(scope="module")
def local(tmp_path_factory):
    """Links to one video, and the finished dataset of a run over a folder."""
    folder = tmp_path_factory.mktemp("local")
    (folder / "videos").mkdir()
    draw_scenes(folder / "videos" / "0.mp4", scene_frames=(16, 14), size=(96, 54))
    finish(folder / "d", folder / "videos", folder / "log")
    return folder


def environment() -> dict[str, str]:
    return {name: os.environ[name] for name in (*KEPT, "XDG_CACHE_HOME") if name in os.environ}


def finish(root: Path | str, links: Path, log: Path, runner: str = "serial") -> None:
    driver = start(root, links, log, environment(), recipe=FAR, runner=runner)
    driver.join(END_S)
    assert driver.exitcode == 0, log.read_text()[-2000:]


def equals_local(server: S3Server, prefix: str, local: Path, folder: Path) -> None:
    """What is in the bucket, copied to a folder, is a whole dataset, equal to the one that was made in a folder."""
    held = downloaded(server, prefix, folder)
    assert differences(contents(local / "d"), contents(held)) == []
    assert verify(Dataset.open(held)) == []


def test_a_run_into_a_bucket_ends_as_one_into_a_folder_and_all_commands_read_it(server, turn, local, tmp_path):
    link, recipe = f"s3://{OPEN}/runs/demo", tmp_path / "recipe.toml"
    recipe.write_text(FAR.to_toml())
    said = hdvg("run", recipe, "--links", local / "videos", "--out", link, "--runner", "serial")
    assert link in said.stdout
    assert str(mirrors()) not in said.stdout.partition("; log: ")[0] + said.stderr
    near = contents(local / "d")
    assert len([name for name in near if len(name) == 64]) == 2
    assert differences(near, contents(downloaded(server, "runs/demo", tmp_path / "copy"))) == []
    names = objects(server, "runs/demo")
    sources = {row["sha256"] for row in ask(link, "select sha256 from videos")}
    assert not [name for name in names if Path(name).stem in sources], "sources stay where they were fetched"
    clip = next(name for name in near if len(name) == 64)
    sql = f"select clip_id, keep, caption from dataset where clip_sha256 = '{clip}'"
    for machine in ("here", "there"):
        turn(machine)
        assert ask(link, sql) == ask(local / "d", sql)
        assert "whole" in hdvg("verify", link).stdout
        assert link in hdvg("status", link).stdout
        clip_id = ask(link, sql)[0]["clip_id"]
        assert clip_id in hdvg("explain", link, clip_id).stdout
    assert "nothing to do" in hdvg("run", link, "--runner", "serial").stderr
    assert objects(server, "runs/demo").keys() == names.keys()
    held = b"".join(path.read_bytes() for path in tmp_path.rglob("*") if path.is_file())
    assert not [secret for secret in (KEY, SECRET) if secret.encode() in held]


@pytest.mark.slow
def test_what_is_made_of_a_dataset_in_a_bucket_is_as_of_one_in_a_folder(server, turn, local, tmp_path):
    link = f"s3://{OPEN}/runs/products"
    finish(link, local / "videos", tmp_path / "log")
    for place, name in ((link, "far"), (local / "d", "near")):
        hdvg("export", place, "--to", "webdataset", "--out", tmp_path / name)
        hdvg("encode", place, "--recipe", "tiny", "--set", "data.buckets=[[4, 48, 80]]", "--workers", 1)
        hdvg("report", place, "-o", tmp_path / f"{name}.md")
    tars = [sorted(path.read_bytes() for path in (tmp_path / name).rglob("*.tar")) for name in ("far", "near")]
    assert tars[0] == tars[1] != []


def test_other_rules_and_a_take_down_from_another_machine(server, turn, local, tmp_path):
    prefix = "runs/forgets"
    link = f"s3://{OPEN}/{prefix}"
    shutil.copytree(local / "videos", tmp_path / "videos")
    draw_scenes(tmp_path / "videos" / "1.mp4", scene_frames=(16, 14), seed=1, size=(96, 54))
    finish(link, tmp_path / "videos", tmp_path / "log")
    turn("there")
    hdvg("filter", link, "--set", "keep.short=duration_s >= 0.6", "--new-rule")
    hdvg("shard", link)
    kept = ask(link, "select clip_id from dataset where keep order by 1")
    assert len(kept) == 2
    turn("here")
    assert ask(link, "select clip_id from dataset where keep order by 1") == kept
    (video, *_) = ask(link, "select video_id from videos order by 1")
    hdvg("forget", link, "--video", video["video_id"], "--purge")
    held = downloaded(server, prefix, tmp_path / "held")
    assert video["video_id"].encode() not in b"".join(p.read_bytes() for p in held.rglob("*.parquet"))
    assert len(ask(link, "from videos")) == 1
    assert "whole" in hdvg("verify", link).stdout
    turn("there")
    assert len(ask(link, "from videos")) == 1
    assert not list(open_mirror(link).glob("media/*/*")), "nothing of it stays on a machine that had it"
    assert "whole" in hdvg("verify", link).stdout


@pytest.fixture
def operations(server, turn, local, tmp_path):
    """How many there are in an undisturbed run."""
    process = start_dying(
        f"s3://{OPEN}/kills/none",
        local / "videos",
        tmp_path / "log",
        environment(),
        recipe=FAR,
        counted=tmp_path / "count",
    )
    process.join(END_S)
    return int((tmp_path / "count").read_text())


def killed_at(seed: int, operations: int, server: S3Server, turn, local: Path, tmp_path: Path) -> None:
    """A run that is killed at points that hang on the seed, and goes on, here or on another machine, ends as the other."""
    chosen, prefix = random.Random(seed), f"kills/{seed}"
    link, log = f"s3://{OPEN}/{prefix}", tmp_path / f"{seed}.log"
    turn(f"{seed}")
    driver = start_dying(link, local / "videos", log, environment(), recipe=FAR, at=chosen.randint(1, operations))
    driver.join(END_S)
    assert driver.exitcode == -signal.SIGKILL, log.read_text()
    if chosen.random() < 0.5:
        turn(f"{seed}-other")
    finish(link, local / "videos", log)
    equals_local(server, prefix, local, tmp_path / f"held-{seed}")
    mirror = Dataset.open(open_mirror(link))
    assert verify(mirror) == []
    assert {path.name for path in mirror.root.glob("tmp/*")} == set()


def test_a_run_that_is_killed_goes_on_here_or_elsewhere_and_ends_the_same(operations, server, turn, local, tmp_path):
    for seed in range(3):
        killed_at(seed, operations, server, turn, local, tmp_path)


@pytest.mark.slow
def test_twenty_killed_runs_end_the_same(operations, server, turn, local, tmp_path):
    for seed in range(100, 120):
        killed_at(seed, operations, server, turn, local, tmp_path)


@pytest.mark.ray
def test_on_ray_workers_publish_into_the_bucket(server, turn, local, tmp_path):
    finish(f"s3://{OPEN}/runs/ray", local / "videos", tmp_path / "log", runner="ray")
    equals_local(server, "runs/ray", local, tmp_path / "held")
