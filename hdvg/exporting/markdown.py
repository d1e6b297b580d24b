"""Markdown of cards: tables, and text that cannot become markup."""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Any

CODE = re.compile(r"`[^`]*`")
MARKUP = re.compile(r"([\\`*_\[\]{}()#!~>])")


def table(heads: Iterable[str], rows: Iterable[Iterable[Any]]) -> str:
    """A table; numbers with a fraction have two digits of it."""
    listed = [list(heads)]
    listed += [[f"{cell:.2f}" if isinstance(cell, float) else str(cell) for cell in row] for row in rows]
    lines = ["| " + " | ".join(map(_cell, row)) + " |" for row in listed]
    return "\n".join([lines[0], "|" + "---|" * len(listed[0]), *lines[1:]])


def _cell(text: str) -> str:
    """A cell: code as it stands, for `&lt;` would be shown there."""
    return " ".join(text.split()).replace("|", "\\|") if CODE.fullmatch(text) else plain(text)


def plain(text: str) -> str:
    """Text that can neither end a cell nor start an HTML element."""
    return " ".join(text.split()).replace("|", "\\|").replace("<", "&lt;")


def words(text: str) -> str:
    """Text from outside as words: nothing in it is markup, a link or a picture, and what shows nothing is replaced.

    Not within backticks, where a backslash stands for itself.
    """
    shown = "".join(one if one.isprintable() else " " if one.isspace() else "\N{REPLACEMENT CHARACTER}" for one in text)
    return MARKUP.sub(r"\\\1", shown)


def code(text: str) -> str:
    """Text from outside as code: on one line, between backticks that it does not have."""
    shown = "".join(one if one.isprintable() else " " if one.isspace() else "\N{REPLACEMENT CHARACTER}" for one in text)
    return f"`{shown.replace('`', chr(0x2019))}`"
