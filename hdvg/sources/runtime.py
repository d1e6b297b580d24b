"""The JavaScript runtime that some sites' scripts need: found on this machine, and run behind walls on yt-dlp's behalf.

The fetching child may start no program. It asks its caller (`sandbox.ask`), who runs the script in a child of its own:
without network, without files but the runtime's own, with a limit of time and memory. What comes back is text.
"""

from __future__ import annotations

import contextlib
import functools
import os
import shutil
import subprocess
import sysconfig
import tempfile
import time
from dataclasses import dataclass
from importlib.metadata import requires
from pathlib import Path

from hdvg.errors import ItemError, TransientError
from hdvg.sandbox import Limits, Sandbox
from hdvg.sandbox.seam import in_child_that
from hdvg.sandbox.walls import put_up

INSTALL = "pip install --upgrade yt-dlp yt-dlp-ejs deno"
"""What the extra `web` installs; works beside a clone and beside a wheel."""

SOLVER = "yt-dlp-ejs"
PROGRAMS = {"deno": "deno", "node": "node", "bun": "bun", "quickjs": "qjs"}
HEAP_MB, RESIDENT_MB, WALL_S = 1024, 1536, 60.0
"""A site's player is 3 MB of script; deno solves it in about 400 MB and 2 s."""
OUTPUT_MB = 16
WATCH_S = 0.02
TEXT_CHARS = 2000
PAGE_BYTES = os.sysconf("SC_PAGE_SIZE")
WALLESS = 97
"""Exit code of a child around which no walls could be put up."""

DENO = (
    "run --ext=js --no-code-cache --no-prompt --no-remote --no-lock --node-modules-dir=none --no-config --no-npm "
    f"--cached-only --v8-flags=--max-old-space-size={HEAP_MB} -"
)
NODE = f"--permission --max-old-space-size={HEAP_MB} -"
OLD_NODE = NODE.replace("--permission", "--experimental-permission --no-warnings=ExperimentalWarning")
BUN = "--bun run --no-addons --prefer-offline --no-install --smol -"
QUICKJS = "--script script.js"
GUARDED = frozenset({"deno", "node"})
"""Runtimes that keep scripts from files by themselves: the others need Landlock."""

LIBRARIES = ("/lib", "/lib64", "/usr/lib", "/usr/local/lib", "/etc/ld.so.cache")
MACHINE = ("/proc/self", "/proc/meminfo", "/proc/cpuinfo", "/sys/fs/cgroup", "/sys/devices/system/cpu")
DEVICES = ("/dev/null", "/dev/urandom")
ENVIRONMENT = {
    "NO_COLOR": "1",
    "DENO_NO_UPDATE_CHECK": "1",
    "BUN_RUNTIME_TRANSPILER_CACHE_PATH": "0",
    "OPENSSL_CONF": "/dev/null",  # node stops at one that it may not read
}


@dataclass(frozen=True)
class Runtime:
    """A runtime on this machine; `fits` says whether the installed yt-dlp takes this version."""

    name: str
    path: str
    version: str
    fits: bool

    @property
    def command(self) -> list[str]:
        """What runs a script from standard input (quickjs: from script.js), printing what it prints."""
        old = self.name == "node" and tuple(map(int, self.version.split(".")[:2])) < (23, 5)
        options = {"deno": DENO, "node": OLD_NODE if old else NODE, "bun": BUN, "quickjs": QUICKJS}[self.name]
        return [self.path, *options.split()]


def look(name: str) -> Runtime | None:
    """The runtime of that name beside this Python or on the PATH, whatever its version; None if there is none."""
    from yt_dlp.globals import supported_js_runtimes
    from yt_dlp.utils import _jsruntime  # noqa: F401  # fills the table

    beside = os.path.join(sysconfig.get_path("scripts"), PROGRAMS[name])
    path = beside if os.access(beside, os.X_OK) else shutil.which(PROGRAMS[name])
    found = supported_js_runtimes.value[name](path=path).info if path else None
    return found and Runtime(name, os.path.abspath(found.path), found.version, found.supported)


def wanted_solver() -> str:
    """The version of the solver that the installed yt-dlp is made for, as its extra `default` pins it."""
    pins = (line.partition(";")[0] for line in requires("yt-dlp") or () if line.startswith(f"{SOLVER}=="))
    return next(pins).partition("==")[2].strip()


@functools.cache
def find(choice: str) -> Runtime:
    """The runtime that `fetch.js_runtime` means. Raises TransientError `runtime`, saying what to install."""
    name = "deno" if choice == "auto" else choice
    found = look(name)
    if found is None:
        raise TransientError("runtime", f"no {name} on this machine: {INSTALL}")
    if not found.fits:
        raise TransientError(
            "runtime", f"{name} {found.version} at {found.path} is too old for the installed yt-dlp: {INSTALL}"
        )
    return found


def solve(script: str, choice: str, sandbox: Sandbox, *, wall_s: float = WALL_S) -> str:
    """What the script prints. Raises TransientError: `runtime` if this machine cannot run it safely, `solver` if it fails."""
    runtime = find(choice)
    with tempfile.TemporaryDirectory(prefix="hdvg-js-") as scratch:
        asked = run(script, name=runtime.name, path=runtime.path, version=runtime.version, command=runtime.command)
        limits = Limits(wall_s=wall_s, memory_mb=None, file_mb=OUTPUT_MB)
        try:
            return sandbox.call(asked, Path(scratch), limits)
        except TransientError:
            raise
        except ItemError as error:
            raise TransientError("solver", f"{runtime.name} {runtime.version}: {error}") from error


@in_child_that("program")
def run(script: str, *, name: str, path: str, version: str, command: list[str]) -> str:
    """Run the script behind walls, in a folder that is empty, by a `Runtime` of that name, path and version; raises as `solve`."""
    which = Runtime(name, path, version, fits=True)
    Path("script.js").write_text(script, encoding="utf-8")
    with open("script.js", "rb") as source, open("out", "wb") as out, open("err", "wb") as err:
        process = subprocess.Popen(
            command,
            stdin=source,
            stdout=out,
            stderr=err,
            env={**os.environ, **ENVIRONMENT},
            preexec_fn=lambda: _wall_in(which),  # this child of the sandbox has one thread
        )
        peak_mb = _watch(process)
    if process.returncode == WALLESS:
        raise TransientError(
            "runtime", f"this system has no walls for {which.name} (`hdvg doctor`); a newer kernel or container has"
        )
    if process.returncode:
        message = Path("err").read_text(errors="replace")[:TEXT_CHARS].strip().partition("\n")[0]
        ended = f"{which.name} {which.version} ended by {process.returncode}, {peak_mb} MB in use"
        raise TransientError("solver", f"{ended}: {message}" if message else ended)
    return Path("out").read_text(encoding="utf-8")


def _wall_in(runtime: Runtime) -> None:
    """Between fork and exec."""
    listed = ("/",) if runtime.name == "bun" else ()  # it looks for its settings in every folder above
    walls = put_up([runtime.path, ".", *LIBRARIES, *MACHINE, *DEVICES], listed=listed)
    if not walls.network or not (walls.files or runtime.name in GUARDED):
        os._exit(WALLESS)


def _watch(process: subprocess.Popen[bytes]) -> int:
    """Wait for its end, and end it if it holds over `RESIDENT_MB` of memory; the most that was seen, MB."""
    peak_mb = 0
    while process.poll() is None:
        with contextlib.suppress(OSError, IndexError):  # it may be over by now
            pages = int(Path(f"/proc/{process.pid}/statm").read_text().split()[1])
            peak_mb = max(peak_mb, pages * PAGE_BYTES >> 20)
        if peak_mb > RESIDENT_MB:
            process.kill()
            process.wait()
        else:
            time.sleep(WATCH_S)
    return peak_mb
