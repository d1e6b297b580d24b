"""Messages name a command that installs what is missing; other systems are refused; no library reports to anybody."""

from __future__ import annotations

import importlib.metadata
import os
import re
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

from hdvg import cli
from hdvg.environment import BASE_MODULES, NO_TELEMETRY, install_command, require_linux
from hdvg.errors import UsageError
from tests.proxy import LoopbackProxy

WHEEL = ["ray>=2.60,<3", 'torch==2.13.0 ; extra == "shots"', 'nothing-such<2,>=1 ; extra == "shots"']


class Installed:
    """A distribution as pip left it."""

    requires = WHEEL

    def __init__(self, direct_url: str | None) -> None:
        self._direct_url = direct_url

    def read_text(self, name: str) -> str | None:
        assert name == "direct_url.json"
        return self._direct_url


def installed(monkeypatch: pytest.MonkeyPatch, direct_url: str | None) -> None:
    monkeypatch.setattr(importlib.metadata, "distributions", lambda name: [Installed(None), Installed(direct_url)])


def test_from_a_clone_the_clone_is_installed_with_the_extra(monkeypatch: pytest.MonkeyPatch) -> None:
    installed(monkeypatch, '{"url": "file:///home/a%20b/hdvg", "dir_info": {"editable": true}}')
    assert install_command("shots").endswith("pip install -e '/home/a b/hdvg[shots]'")
    assert install_command().endswith("pip install -e '/home/a b/hdvg'")


@pytest.mark.parametrize("direct_url", [None, '{"url": "file:///tmp/hdvg-0.1.0-py3-none-any.whl", "archive_info": {}}'])
def test_from_a_wheel_the_missing_packages_are_named(monkeypatch: pytest.MonkeyPatch, direct_url: str | None) -> None:
    """hdvg is on no index, so `hdvg[shots]` would not be found."""
    installed(monkeypatch, direct_url)
    assert install_command("shots").endswith("pip install 'nothing-such<2,>=1'")
    assert install_command("shots", only="torch").endswith("pip install torch==2.13.0")
    assert install_command().endswith("pip install 'ray<3,>=2.60'")


def test_doctor_looks_for_packages_that_their_extras_bring() -> None:
    from hdvg.reports.doctor import BASE, EXTRAS

    project = tomllib.loads(Path(__file__).parents[2].joinpath("pyproject.toml").read_text(encoding="utf-8"))["project"]
    listed = {extra: {re.split("[<>=]", one)[0] for one in project["optional-dependencies"][extra]} for extra in EXTRAS}
    assert all(set(names) <= listed[extra] for extra, names in EXTRAS.items())
    assert set(BASE) <= {re.split("[<>=]", one)[0] for one in project["dependencies"]}


def test_base_modules_come_with_the_base_install() -> None:
    project = tomllib.loads(Path(__file__).parents[2].joinpath("pyproject.toml").read_text(encoding="utf-8"))["project"]
    base = {re.split("[<>=]", one)[0] for one in project["dependencies"]}
    owners = importlib.metadata.packages_distributions()
    assert all(base & set(owners[module]) for module in BASE_MODULES)


def test_other_systems_are_refused(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setattr(sys, "platform", "darwin")
    with pytest.raises(UsageError, match=r"Linux only, and this is darwin: take .* container"):
        require_linux()
    with pytest.raises(SystemExit) as left:
        cli.main()
    assert left.value.code == 2
    assert "hdvg runs on Linux only" in capsys.readouterr().err


def test_telemetry_is_off_before_a_library_asks() -> None:
    program = (
        "import hdvg, pipelines\n"
        "from ray._common.usage.usage_lib import usage_stats_enabled\n"
        "from huggingface_hub.constants import HF_HUB_DISABLE_TELEMETRY\n"
        "assert HF_HUB_DISABLE_TELEMETRY and not usage_stats_enabled()\n"
    )
    named = {*NO_TELEMETRY, "RAY_USAGE_STATS_ENABLED", "DISABLE_TELEMETRY"}
    environment = {name: value for name, value in os.environ.items() if name not in named}
    child = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, env=environment, timeout=120,
        cwd=Path(__file__).parents[2],
    )  # fmt: skip
    assert child.returncode == 0, child.stderr


@pytest.mark.slow
def test_onnxruntime_reports_to_nobody():
    """Its Linux builds do from 1.31 on, some seconds after the first session, by the proxies that the environment names."""
    program = (
        "import sys, time\nif sys.argv[1] == 'with': import hdvg\n"
        "import numpy as np, onnx, onnxruntime as ort\n"
        "x, y = (onnx.helper.make_tensor_value_info(name, 1, [1]) for name in 'xy')\n"
        "graph = onnx.helper.make_graph([onnx.helper.make_node('Relu', ['x'], ['y'])], 'g', [x], [y])\n"
        "model = onnx.helper.make_model(graph, opset_imports=[onnx.helper.make_opsetid('', 17)], ir_version=10)\n"
        "ort.InferenceSession(model.SerializeToString()).run(None, {'x': np.ones(1, np.float32)})\ntime.sleep(20)\n"
    )
    asked = {}
    for way in ("without", "with"):
        with LoopbackProxy({}) as proxy:
            names = ("http_proxy", "https_proxy", "HTTP_PROXY", "HTTPS_PROXY")
            environment = {name: value for name, value in os.environ.items() if name not in NO_TELEMETRY}
            subprocess.run(
                [sys.executable, "-c", program, way], check=True, env=environment | dict.fromkeys(names, proxy.url())
            )
            asked[way] = proxy.asked
    assert asked["without"] != []  # else this test shows nothing
    assert asked["with"] == []
