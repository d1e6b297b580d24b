"""A real JavaScript runtime behind real walls: what scripts may do, and what becomes of those that take too much."""

import os
import socket
import threading
import time
from importlib.metadata import requires
from pathlib import Path

import pytest

from hdvg.errors import MACHINE, REASONS, RETRYABLE, TransientError
from hdvg.sandbox import Limits, Sandbox
from hdvg.sources import runtime
from tests.tools import need

need("deno", "yt_dlp_ejs")


@pytest.fixture(scope="module")
def sandbox():
    lock = Sandbox()
    yield lock
    lock.close()


def caught(script):
    """The script, which prints what it is refused with."""
    return f"try {{ {script} }} catch (error) {{ console.log('refused: ' + error) }}"


def test_script_gives_what_it_prints(sandbox):
    assert runtime.solve("console.log(JSON.stringify({a: 6 * 7}))", "auto", sandbox) == '{"a":42}\n'


def test_script_of_a_players_size_goes_through(sandbox):
    script = f"const text = {'x' * 5_000_000!r}; console.log(text.length)"
    assert runtime.solve(script, "deno", sandbox) == "5000000\n"


@pytest.mark.parametrize(
    "script",
    [
        "Deno.readTextFileSync('/etc/passwd')",
        "Deno.readTextFileSync('/proc/self/environ')",
        "Deno.writeTextFileSync('x', 'x')",
        "Deno.env.toObject()",
        "new Deno.Command('/bin/sh').outputSync()",
        "await import('https://host.invalid/x.js')",
        "await import('npm:left-pad')",
        "Deno.dlopen('/lib/x86_64-linux-gnu/libc.so.6', {})",
    ],
)
def test_script_has_no_files_programs_or_modules(sandbox, script):
    assert runtime.solve(caught(script), "deno", sandbox).startswith("refused: ")


def test_script_has_no_network(sandbox):
    with socket.create_server(("127.0.0.1", 0)) as inner:
        hits = []
        threading.Thread(target=lambda: hits.append(inner.accept()), daemon=True).start()
        port = inner.getsockname()[1]
        for act in (f"await fetch('http://127.0.0.1:{port}/')", f"await Deno.connect({{port: {port}}})"):
            assert runtime.solve(caught(act), "deno", sandbox).startswith("refused: ")
        assert hits == []


def test_kernel_holds_a_runtime_that_allows_everything(sandbox, tmp_path):
    """The runtime's own permissions are the second wall, not the first."""
    (tmp_path / "secret").write_text("canary")
    deno = runtime.find("deno")
    command = [deno.path, "run", "--ext=js", "--no-prompt", "--no-config", "--allow-all", "-"]
    with socket.create_server(("127.0.0.1", 0)) as inner:
        inner.settimeout(0.2)
        acts = [
            f"Deno.readTextFileSync('{tmp_path}/secret')",
            f"Deno.writeTextFileSync('{tmp_path}/new', 'x')",
            f"Deno.removeSync('{tmp_path}/secret')",
            "new Deno.Command('/bin/sh', {args: ['-c', 'true']}).outputSync()",
            f"await Deno.connect({{port: {inner.getsockname()[1]}}})",
            f"Deno.readTextFileSync('/proc/{os.getpid()}/environ')",
            "Deno.kill(Deno.ppid, 'SIGKILL')",
        ]
        for number, act in enumerate(acts):
            scratch = tmp_path / f"scratch-{number}"
            scratch.mkdir()
            script, who = caught(f"{act}; console.log('ESCAPED')"), {"name": "deno", "path": deno.path}
            asked = runtime.run(script, **who, version=deno.version, command=command)
            said = sandbox.call(asked, scratch, Limits(memory_mb=None))
            assert said.startswith("refused: "), (act, said)
        with pytest.raises(TimeoutError):
            inner.accept()
    assert (tmp_path / "secret").read_text() == "canary"
    assert not (tmp_path / "new").exists()


@pytest.mark.parametrize(
    ("script", "said"),
    [
        ("throw new Error('no such player')", "no such player"),
        ("const kept = []; while (true) kept.push(new Array(1e6).fill(Math.random()))", "ended by"),
        ("const kept = []; while (true) kept.push(new Uint8Array(1e7).fill(1))", "ended by -9"),
        ("while (true) console.log('x'.repeat(1e6))", "ended by"),
        ("while (true);", "over the wall clock limit"),
    ],
)
def test_script_that_fails_or_takes_too_much_ends_as_solver(sandbox, script, said):
    start = time.monotonic()
    with pytest.raises(TransientError, match=said) as failed:
        runtime.solve(script, "deno", sandbox, wall_s=5.0)
    assert failed.value.reason == "solver"
    assert time.monotonic() - start < 15


def test_nothing_of_a_script_stays(sandbox, tmp_path, monkeypatch):
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    monkeypatch.setattr("tempfile.tempdir", None)
    runtime.solve("console.log(1)", "deno", sandbox)
    assert list(tmp_path.iterdir()) == []


def test_missing_or_old_runtime_is_the_machines_fault_and_says_what_to_install(monkeypatch, tmp_path):
    runtime.find.cache_clear()
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(TransientError, match="pip install") as failed:
        runtime.find("quickjs")
    assert failed.value.reason == "runtime"
    old = tmp_path / "node"
    old.write_text("#!/bin/sh\necho v18.1.0\n")
    old.chmod(0o755)
    assert runtime.look("node") == runtime.Runtime("node", str(old), "18.1.0", fits=False)
    with pytest.raises(TransientError, match=r"node 18\.1\.0 .*too old"):
        runtime.find("node")
    runtime.find.cache_clear()


def test_reasons_of_the_machine_are_tried_again():
    assert REASONS.keys() > MACHINE
    assert RETRYABLE > MACHINE == {"runtime", "solver"}


def test_pins_are_those_of_yt_dlp_itself():
    pins = (Path(__file__).parents[2] / "constraints.txt").read_text().splitlines()
    wanted = {need.partition(";")[0] for need in requires("yt-dlp") if need.startswith(("deno==", "yt-dlp-ejs=="))}
    assert wanted <= set(pins)
    assert f"{runtime.SOLVER}=={runtime.wanted_solver()}" in pins
