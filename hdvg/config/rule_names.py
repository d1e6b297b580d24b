"""Names of rules in `--set keep.NAME=…`: one that is close to a known name, but is none, is taken for a slip."""

from __future__ import annotations

from collections.abc import Collection

from hdvg.errors import near

CLOSE = 0.8
"""Likeness of two names, 0-1, from which one is taken for the other."""


def dubious_name(override: str, known: Collection[str]) -> str | None:
    """What is wrong with a `keep.NAME=…` that adds a rule called almost as one of `known`, or that takes away one that is
    not known; None for any other override."""
    key, _, value = override.partition("=")
    name = key.strip().removeprefix("keep.")
    if not key.strip().startswith("keep.") or name in known:
        return None
    close = near(name, known, cutoff=CLOSE)
    if value.strip() == "null":
        hint = f"did you mean `{close}`?" if close else f"known are: {', '.join(sorted(known))}"
        return f"--set {override}: no rule is called `{name}`; {hint}"
    if close:
        return (
            f"--set {override}: no recipe knows a rule `{name}`; did you mean `{close}`? "
            "If it is to be a rule of its own, add --new-rule"
        )
    return None
