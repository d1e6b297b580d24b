"""Links in, a curated text-video dataset out, and from Python: `open` it, `run` a recipe, `load` what was trained on it.

What stands in `__all__` is promised: names, arguments and results change by semantic versioning, all else may change.
Nothing heavy is imported before it is asked for.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

from hdvg.errors import HdvgError, ItemError, ResourceError, TransientError, UsageError

if TYPE_CHECKING:
    from hdvg.api import Dataset, load, open, run
    from hdvg.dataset.clips import Clip
    from hdvg.training.inference import Model

from hdvg.environment import VERSION, switch_off_telemetry

__version__ = VERSION

switch_off_telemetry()  # before a library reads its variable

__all__ = [
    "Clip",
    "Dataset",
    "HdvgError",
    "ItemError",
    "Model",
    "ResourceError",
    "TransientError",
    "UsageError",
    "__version__",
    "load",
    "open",
    "run",
]

HOMES = dict.fromkeys(("Dataset", "load", "open", "run"), "hdvg.api")
HOMES |= {"Clip": "hdvg.dataset.clips", "Model": "hdvg.training.inference"}
"""The module of each name that is imported when it is asked for."""


def __getattr__(name: str) -> Any:
    if name not in HOMES:
        raise AttributeError(f"module 'hdvg' has no attribute {name!r}; it has {', '.join(__all__)}")
    return getattr(import_module(HOMES[name]), name)


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
