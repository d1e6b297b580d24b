"""A dataset in a bucket on two raylets that share no folder: each has a mirror of its own, and the end is that of one machine."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from hdvg.dataset.dataset import Dataset
from hdvg.reports.verify import verify
from hdvg.training import journal
from tests.digest import contents
from tests.faults.moments import differences
from tests.machines import downloaded, machines, objects
from tests.object_store import OPEN, S3Server
from tests.pipelines.test_nodes import SMALL, material, undisturbed
from tests.test_cli import hdvg
from tests.tools import need
from tests.videos import draw_scenes

need("obstore", "torch")

pytestmark = [pytest.mark.ray, pytest.mark.slow]

FIXTURES = (material, undisturbed)
END_S = 500.0
EASY = (
    "--runner",
    "serial",
    "--set",
    "keep.low_resolution=null",
    "--set",
    "keep.watermark=null",
    "--set",
    "keep.too_short=null",
)


def test_nodes_that_share_no_folder_work_on_one_dataset(material, undisturbed, tmp_path, monkeypatch):
    from ray.cluster_utils import Cluster

    with S3Server(tmp_path) as server:
        machines(server, tmp_path, monkeypatch)
        (tmp_path / "machine-other").mkdir()
        cluster = Cluster(initialize_head=True, head_node_args=SMALL | {"include_dashboard": False})
        try:
            cluster.add_node(**SMALL, env_vars={"XDG_CACHE_HOME": str(tmp_path / "machine-other")})
            words = [
                "run",
                "recipe.toml",
                "--links",
                "videos",
                "--out",
                f"s3://{OPEN}/nodes",
                "--address",
                cluster.address,
            ]
            words += ["--set", "storage.keep_sources=false"]
            with (tmp_path / "said").open("w") as out:
                command = [sys.executable, "-m", "hdvg.cli", *words]
                code = subprocess.run(
                    command, stdout=out, stderr=out, cwd=material, timeout=END_S, check=False
                ).returncode
        finally:
            cluster.shutdown()
        said = (tmp_path / "said").read_text()
        assert code == 0, said
        assert "2 nodes" in said
        other = {path.stem for path in (tmp_path / "machine-other").glob("hdvg/datasets/*/media/*/*")}
        assert other, "the other node has done nothing"
        held = downloaded(server, "nodes", tmp_path / "held")
        assert differences(plain(undisturbed), plain(contents(held))) == []
        assert verify(Dataset.open(held)) == []
        assert other & {Path(name).stem for name in objects(server, "nodes")}, (
            "what the other node made is in the bucket"
        )
        (first,) = (tmp_path / "machine-here").glob("hdvg/datasets/*")
        with Dataset.open(first).manifest() as manifest:
            sources = {row["sha256"] for row in manifest.rows("select sha256 from videos")}
        assert not [name for name in objects(server, "nodes") if Path(name).stem in sources], (
            "released when they were cut"
        )


def test_training_has_a_mirror_and_latents_on_each_node(tmp_path, monkeypatch):
    from ray.cluster_utils import Cluster

    (tmp_path / "videos").mkdir()
    for seed in range(3):
        draw_scenes(tmp_path / f"videos/{seed}.mp4", scene_frames=(20, 24), seed=seed, size=(96, 54))
    link, told = (
        f"s3://{OPEN}/trained",
        ("--recipe", "tiny", "--set", "data.buckets=[[4, 48, 80]]", "--set", "run.steps=3"),
    )
    with S3Server(tmp_path) as server:
        machines(server, tmp_path, monkeypatch)
        hdvg("run", "demo", "--links", tmp_path / "videos", "--out", link, *EASY)
        (tmp_path / "machine-other").mkdir()
        cluster = Cluster(initialize_head=True, head_node_args=SMALL | {"include_dashboard": False})
        try:
            cluster.add_node(**SMALL, env_vars={"XDG_CACHE_HOME": str(tmp_path / "machine-other")})
            words = [
                "train",
                link,
                *told,
                "--out",
                str(tmp_path / "run"),
                "--workers",
                "2",
                "--address",
                cluster.address,
            ]
            made = subprocess.run(
                [sys.executable, "-m", "hdvg.cli", *words], capture_output=True, text=True, timeout=END_S, check=False
            )
        finally:
            cluster.shutdown()
        assert made.returncode == 0, made.stderr
        assert f"{link}: 6 clips by the query" in made.stdout
        hdvg("train", link, *told, "--out", tmp_path / "alone")
    assert latents(tmp_path / "machine-other") == latents(tmp_path / "machine-here") != {}
    ours, alone = (list(journal.read(tmp_path / name)) for name in ("run", "alone"))
    assert [line["step"] for line in ours] == [line["step"] for line in alone]
    assert [line["loss"] for line in ours if "loss" in line] == pytest.approx(
        [line["loss"] for line in alone if "loss" in line], rel=1e-3
    )


def latents(machine: Path) -> dict[str, bytes]:
    return {
        str(path.relative_to(path.parents[2])): path.read_bytes()
        for path in machine.glob("hdvg/datasets/*/latents/*/*.npy")
    }


def plain(found):
    """Without the hashes of whole shards, which hold the recipe; what is in them is compared."""
    return {name: value for name, value in found.items() if name != "shards"}
