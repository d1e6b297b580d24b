"""A run whose dataset lies in a bucket, on a real S3 s3_server, killed or not, ends as the same run over a folder."""

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
from tests.machines import downloaded, objects
from tests.object_store import KEY, OPEN, SECRET, S3Server
from tests.test_cli import ask, hdvg
from tests.tools import need
from tests.videos import draw_scenes

need("obstore")


END_S = 240.0
FAR = RECIPE.model_copy(update={"storage": RECIPE.storage.model_copy(update={"keep_sources": False})})
KEPT = ("AWS_ENDPOINT_URL", "AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_REGION")


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


def equals_local(s3_server: S3Server, prefix: str, local: Path, folder: Path) -> None:
    """What is in the bucket, copied to a folder, is a whole dataset, equal to the one that was made in a folder."""
    held = downloaded(s3_server, prefix, folder)
    assert differences(contents(local / "d"), contents(held)) == []
    assert verify(Dataset.open(held)) == []


def test_a_run_that_is_killed_goes_on_here_and_elsewhere_and_ends_as_one_into_a_folder(
    s3_server, turn, local, tmp_path
):
    link, recipe, chosen = f"s3://{OPEN}/runs/demo", tmp_path / "recipe.toml", random.Random(7)
    for machine, least, most in (("here", 20, 50), ("here", 15, 40), ("there", 15, 30)):
        turn(machine)
        killed(link, local / "videos", tmp_path / "log", at=chosen.randint(least, most))
    recipe.write_text(FAR.to_toml())
    said = hdvg("run", recipe, "--links", local / "videos", "--out", link, "--runner", "serial")
    assert link in said.stdout
    assert str(mirrors()) not in said.stdout.partition("; log: ")[0] + said.stderr
    equals_local(s3_server, "runs/demo", local, tmp_path / "held")
    assert len([name for name in contents(local / "d") if len(name) == 64]) == 2, "clips are compared by their bytes"
    reads_as_local(link, local / "d")
    turn("third")
    reads_as_local(link, local / "d")
    names = objects(s3_server, "runs/demo")
    sources = {row["sha256"] for row in ask(link, "select sha256 from videos")}
    assert not [name for name in names if Path(name).stem in sources], "sources stay where they were fetched"
    held = b"".join(path.read_bytes() for path in tmp_path.rglob("*") if path.is_file())
    assert not [secret for secret in (KEY, SECRET) if secret.encode() in held]


def reads_as_local(link: str, local: Path) -> None:
    """Commands answer of the one as of the other, and name the link."""
    sql = "select clip_id, keep, caption from dataset order by clip_id"
    assert ask(link, sql) == ask(local, sql) != []
    assert "whole" in hdvg("verify", link).stdout
    assert link in hdvg("status", link).stdout
    clip = ask(link, sql)[0]["clip_id"]
    assert clip in hdvg("explain", link, clip).stdout


@pytest.mark.slow
def test_a_run_with_nothing_to_do_changes_nothing(s3_server, turn, local, tmp_path):
    link = f"s3://{OPEN}/runs/idle"
    finish(link, local / "videos", tmp_path / "log")
    names = objects(s3_server, "runs/idle")
    for machine in ("here", "there"):
        turn(machine)
        assert "nothing to do" in hdvg("run", link, "--runner", "serial").stderr
        assert objects(s3_server, "runs/idle").keys() == names.keys()


@pytest.mark.slow
def test_what_is_made_of_a_dataset_in_a_bucket_is_as_of_one_in_a_folder(s3_server, turn, local, tmp_path):
    link = f"s3://{OPEN}/runs/products"
    finish(link, local / "videos", tmp_path / "log")
    for place, name in ((link, "far"), (local / "d", "near")):
        hdvg("export", place, "--to", "webdataset", "--out", tmp_path / name)
        hdvg("encode", place, "--recipe", "tiny", "--set", "data.buckets=[[4, 48, 80]]", "--workers", 1)
        hdvg("report", place, "-o", tmp_path / f"{name}.md")
    tars = [sorted(path.read_bytes() for path in (tmp_path / name).rglob("*.tar")) for name in ("far", "near")]
    assert tars[0] == tars[1] != []


@pytest.mark.slow
def test_other_rules_and_a_take_down_from_another_machine(s3_server, turn, local, tmp_path):
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
    held = downloaded(s3_server, prefix, tmp_path / "held")
    assert video["video_id"].encode() not in b"".join(p.read_bytes() for p in held.rglob("*.parquet"))
    assert len(ask(link, "from videos")) == 1
    assert "whole" in hdvg("verify", link).stdout
    turn("there")
    assert len(ask(link, "from videos")) == 1
    assert not list(open_mirror(link).glob("media/*/*")), "nothing of it stays on a machine that had it"
    assert "whole" in hdvg("verify", link).stdout


def killed(link: str, links: Path, log: Path, *, at: int) -> None:
    """A run that dies before its `at`-th operation on the store or the mirror."""
    driver = start_dying(link, links, log, environment(), recipe=FAR, at=at)
    driver.join(END_S)
    assert driver.exitcode == -signal.SIGKILL, log.read_text()


@pytest.mark.slow
def test_twenty_killed_runs_end_the_same(s3_server, turn, local, tmp_path):
    counted = tmp_path / "count"
    start_dying(
        f"s3://{OPEN}/kills/none", local / "videos", tmp_path / "log", environment(), recipe=FAR, counted=counted
    ).join(END_S)
    for seed in range(20):
        chosen, prefix = random.Random(seed), f"kills/{seed}"
        link, log = f"s3://{OPEN}/{prefix}", tmp_path / f"{seed}.log"
        turn(f"{seed}")
        killed(link, local / "videos", log, at=chosen.randint(1, int(counted.read_text())))
        if chosen.random() < 0.5:
            turn(f"{seed}-other")
        finish(link, local / "videos", log)
        equals_local(s3_server, prefix, local, tmp_path / f"held-{seed}")
        mirror = Dataset.open(open_mirror(link))
        assert verify(mirror) == []
        assert {path.name for path in mirror.root.glob("tmp/*")} == set()


@pytest.mark.slow
@pytest.mark.ray
def test_on_ray_workers_publish_into_the_bucket(s3_server, turn, local, tmp_path):
    finish(f"s3://{OPEN}/runs/ray", local / "videos", tmp_path / "log", runner="ray")
    equals_local(s3_server, "runs/ray", local, tmp_path / "held")
