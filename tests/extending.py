"""The examples of docs/extending.md: each block that begins with a file's name, as that file."""

from __future__ import annotations

import re
from pathlib import Path

PAGE = Path(__file__).parents[1] / "docs/extending.md"
BLOCK = re.compile(r"```python\n# (\w+\.py)\n(.*?)```", re.DOTALL)


def examples() -> dict[str, str]:
    """The files by name."""
    found: dict[str, str] = dict(BLOCK.findall(PAGE.read_text(encoding="utf-8")))
    assert len(found) >= 12
    return found


def write_examples(folder: Path) -> Path:
    """Put every example into the folder."""
    for name, text in examples().items():
        (folder / name).write_text(text, encoding="utf-8")
    return folder
