"""Ray listens on the machine's interfaces: whoever has not the session's token gets nothing there, and no dashboard is up."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from hdvg.config.recipe import Recipe

pytestmark = pytest.mark.ray

STRANGER = """
import os, sys
os.environ.update(HOME=sys.argv[2], RAY_AUTH_MODE=sys.argv[3], RAY_gcs_server_request_timeout_seconds="5")
os.environ.pop("RAY_AUTH_TOKEN", None)
if sys.argv[4]:
    os.environ["RAY_AUTH_TOKEN"] = sys.argv[4]
import ray
from ray._raylet import GcsClient
try:
    print("keys", GcsClient(address=sys.argv[1]).internal_kv_keys(b"", b"", 5))
except Exception as error:
    print(type(error).__name__, error)
"""
"""Somebody who can reach the port of Ray's head: how he shows himself, and what he gets."""


def listeners() -> dict[str, str]:
    """The TCP ports on which this process and its children listen, hexadecimal, with the address of each."""
    sockets = set()
    for process in children(os.getpid()):
        for handle in Path(f"/proc/{process}/fd").glob("*"):
            try:
                sockets.add(os.readlink(handle).removeprefix("socket:[").removesuffix("]"))
            except OSError:
                continue
    lines = [
        line.split() for name in ("tcp", "tcp6") for line in Path(f"/proc/net/{name}").read_text().splitlines()[1:]
    ]
    return {line[1].rpartition(":")[2]: line[1] for line in lines if line[3] == "0A" and line[9] in sockets}


def children(process: int) -> list[int]:
    direct = [int(one) for path in Path(f"/proc/{process}/task").glob("*/children") for one in path.read_text().split()]
    return [process, *(one for child in direct for one in children(child))]


def test_rays_ports_answer_nobody_without_the_sessions_token(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import ray

    from pipelines.cluster import Cluster

    monkeypatch.delenv("RAY_ADDRESS", raising=False)
    before = listeners()
    with Cluster(Recipe(), address=None, cpus=1, gpus=0):
        opened = listeners().keys() - before.keys()
        address = ray.get_runtime_context().gcs_address
        assert f"{int(address.rpartition(':')[2]):04X}" in opened, "it is Ray's own listeners that are looked at"
        assert f"{8265:04X}" not in opened, "no dashboard"

        def stranger(mode: str, token: str) -> str:
            words = [sys.executable, "-c", STRANGER, address, str(tmp_path), mode, token]
            return subprocess.run(words, capture_output=True, text=True, check=False).stdout

        own = Path("~/.ray/auth_token").expanduser()
        token = os.environ.get("RAY_AUTH_TOKEN") or own.read_text().strip()
        assert stranger("token", token).startswith("keys"), (
            "with the token it is open: the others are refused for want of it"
        )
        for mode, shown in (("disabled", ""), ("token", "0" * 64)):
            said = stranger(mode, shown)
            assert not said.startswith("keys"), said
            assert "authen" in said.lower() or "token" in said.lower(), said
