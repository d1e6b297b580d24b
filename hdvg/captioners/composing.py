"""A detailed text put together of a clip's fields, by the template `prompts/composed.txt`."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from hdvg.captioners.prompting import prompt_file

_NAME = re.compile(r"{(\w+)}")


def composed(columns: Mapping[str, Any]) -> str:
    """Of each paragraph of the template the first line whose fields are all there, as one text; "" if there are none.

    A line begins with a capital; stops that a field brings are not doubled.
    """
    fields = {
        name.removeprefix("said_"): str(value).strip(" .") for name, value in columns.items() if value is not None
    }
    lines = []
    for paragraph in prompt_file("composed").split("\n\n"):
        fitting = (line for line in paragraph.splitlines() if all(name in fields for name in _NAME.findall(line)))
        line = next(fitting, "").format_map(fields)
        lines += [line[0].upper() + line[1:]] if line else []
    return " ".join(lines)
