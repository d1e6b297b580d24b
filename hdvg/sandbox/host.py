"""What the caller of children settles before one starts: their server's environment, and whether this machine's walls do."""

from __future__ import annotations

import functools
import os
import re
import sys
from collections.abc import Mapping
from typing import cast, get_args

from hdvg.errors import UnsafeHostError, UsageError
from hdvg.sandbox.boundary import Mode
from hdvg.sandbox.walls import Walls

VARIABLE = "HDVG_SANDBOX"
"""Of the environment: the mode of all children on this machine, whatever a recipe says."""

PASSED_ON = re.compile(
    r"PATH|HOME|USER|LANG|LC_\w+|TZ|TMPDIR|PYTHON\w*|VIRTUAL_ENV|LD_LIBRARY_PATH|LD_PRELOAD|XDG_\w+|SSL_CERT_\w+"
    r"|TORCH_HOME|HF_HOME|HDVG_\w+|\w+_NUM_THREADS|CUDA_VISIBLE_DEVICES|COVERAGE_\w+"
)
SECRET = re.compile(r"KEY|TOKEN|SECRET|PASS|PROXY|CREDENTIAL")
"""In a name: never passed on, for a child can read its server's memory."""

SERVERS_OWN = {
    "OPENBLAS_NUM_THREADS": "1",
    "OMP_NUM_THREADS": "1",
    "OMP_WAIT_POLICY": "PASSIVE",
    "ONEDNN_PRIMITIVE_CACHE_CAPACITY": "0",  # a third of the network's memory, for a tenth of its time
}
ADVICE = (
    "take Linux 5.13 or newer with Landlock in its list of security modules, in a container that allows it; or "
    "limits.sandbox = auto, which runs with the walls that there are; `hdvg doctor` lists them"
)

LACKS = {
    "network": "seccomp, or user name spaces",
    "files": "Landlock: Linux 5.13 or newer, among the security modules that are switched on, and allowed by the container",
    "calls": "seccomp on x86_64 or aarch64",
}
"""By wall, what puts it up."""


def server_environment(given: Mapping[str, str]) -> dict[str, str]:
    """What a server of children gets of its caller's environment: names that libraries need, and none of a secret."""
    kept = {name: value for name, value in given.items() if PASSED_ON.fullmatch(name) and not SECRET.search(name)}
    return kept | SERVERS_OWN


def settle(asked: Mode | None, walls: Walls) -> Mode:
    """The mode of a call; the environment's is before the recipe's. Raises UnsafeHostError where walls are required and one
    is missing, UsageError for a mode that there is not; `auto` warns of a missing one, once."""
    named = os.environ.get(VARIABLE) or asked or "auto"
    if named not in get_args(Mode):
        raise UsageError(f"{VARIABLE} = {named!r}: take {', '.join(get_args(Mode))}")
    mode = cast("Mode", named)
    if mode == "require" and not walls.whole:
        raise UnsafeHostError(f"limits.sandbox = require, and this machine lacks walls ({walls}): {ADVICE}")
    if mode == "auto" and not walls.whole:
        _warn(str(walls))
    return mode


@functools.cache
def _warn(walls: str) -> None:
    print(
        f"warning: strangers' files are opened behind fewer walls than there could be ({walls}); {ADVICE}",
        file=sys.stderr,
    )
