"""A dataset in a bucket on two raylets that share no folder: each has a mirror of its own, and the end is that of one machine."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from hdvg.dataset.dataset import Dataset
from hdvg.reports.verify import verify
from tests.digest import contents
from tests.faults.moments import differences
from tests.machines import downloaded, machines, objects
from tests.object_store import OPEN, S3Server
from tests.pipelines.test_nodes import SMALL, material, undisturbed
from tests.tools import need

need("obstore")

pytestmark = [pytest.mark.ray, pytest.mark.slow]

FIXTURES = (material, undisturbed)
END_S = 500.0


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


def plain(found):
    """Without the hashes of whole shards, which hold the recipe; what is in them is compared."""
    return {name: value for name, value in found.items() if name != "shards"}
