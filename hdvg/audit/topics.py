"""What an audit asks about: cuts, captions, and those rules whose reason a person can see; each a question without a verdict in it."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

import pyarrow as pa

from hdvg.config.rules import BUILT_IN, Columns, Quantiles, Rule, parse_rule
from hdvg.dataset.plan import Plan
from hdvg.errors import UsageError, suggestion
from schemas.measures import SPLIT

Side = Literal["kept", "dropped"]
End = Literal["high", "low"]

CUT, CAPTION = "cut", "caption"

SEEN: Mapping[str, tuple[End, str]] = {
    **dict.fromkeys(("watermark", "watermark_area"), ("high", "Does a watermark, a logo or another mark lie over the picture and stay put?")),
    **dict.fromkeys(("text_area", "text_boxes"), ("high", "Is so much text in the picture that it disturbs?")),
    "nsfw": ("high", "Does it show what is not safe for work?"),
    "screen": ("high", "Is it a recording of a screen, a user interface or a slide?"),
    **dict.fromkeys(("motion_px_s", "local_px_s", "svd_flow_px"), ("low", "Does hardly anything move in it, as in a still picture?")),
    **dict.fromkeys(("freeze_share", "static_share"), ("high", "Does the picture stand still for most of it?")),
    "jump_levels": ("high", "Is there a cut or a transition within?"),
    "slideshow_share": ("high", "Is it a slide show, one still picture after another?"),
    "flicker_levels": ("high", "Does it flicker?"),
    "sharpness": ("low", "Is it blurred?"),
    "detail_height_px": ("low", "Is it coarser than its size, as a small picture made large?"),
    "blockiness": ("high", "Do blocks of compression disturb?"),
    "noise_levels": ("high", "Does noise disturb?"),
    "interlace_share": ("high", "Are edges torn into combs where things move?"),
    "luma_mean": ("low", "Is it too dark to see what it shows?"),
    **dict.fromkeys(("black_share", "under_share"), ("high", "Is it too dark to see what it shows?")),
    "over_share": ("high", "Is much of it so bright that nothing can be seen there?"),
    "active_share": ("low", "Do bars of a flat colour take up much of the picture?"),
    "aesthetic": ("low", "Would you leave it out for how it looks?"),
}  # fmt: skip
"""By measure: at which end of it clips have the fault that the question asks for."""

NEGATED = re.compile(r"\s*(?:not\s+([a-z_][a-z0-9_]*)|([a-z_][a-z0-9_]*) is distinct from true)\s*")

FLAGS: Mapping[str, str] = {
    "text_persistent": SEEN["watermark"][1],
    "title_card": "Is it a title card: still letters on a flat ground?",
    "subtitle": "Does it have subtitles?",
}
"""The same of measures that are true or false, where the rule is `not <measure>`."""

NEAR_CUT = ("-consistency", "duration_s")
NEAR_CAPTION = ("-caption_similarity", "-caption_agreement", "caption_repeated_words")
"""SQL by which errors are predicted, the more the larger: the first that any clip has a value of."""


@dataclass(frozen=True)
class Topic:
    """One thing that is asked. `near`: SQL, see `NEAR_CUT`."""

    name: str
    asked: str
    fault: Literal["yes", "no"]
    """The answer that says that the clip has a fault."""
    near: tuple[str, ...]
    rule: Rule | None = None

    @property
    def sides(self) -> tuple[Side, ...]:
        """Where clips are asked about: both, of a rule."""
        return ("kept",) if self.rule is None else ("dropped", "kept")

    def wrong(self, side: Side) -> Literal["yes", "no"]:
        """The answer that says that hdvg is wrong of a clip that stands there."""
        if side == "kept":
            return self.fault
        return "no" if self.fault == "yes" else "yes"

    def where(self, side: Side) -> str:
        """SQL over `clip_rows`: the clips that stand there."""
        if side == "dropped" and self.rule is not None:
            return f"list_contains(reasons, '{self.rule.name}')"
        return "len(reasons) = 0" + (" and caption_status = 'ok'" if self.name == CAPTION else "")


def topics(plan: Plan, names: Sequence[str] | None = None) -> list[Topic]:
    """What a dataset can be asked about: cuts, captions, and rules that a person can judge by eye; or those that are named.

    Raises UsageError for a name that is neither a topic nor a rule.
    """
    rules = {rule.name: rule for rule in plan.recipe.rules}
    known = [CUT, *([CAPTION] if plan.captions_wanted else []), *rules]
    for name in names or ():
        if name not in known:
            raise UsageError(f"--topics: `{name}`: no rule; {suggestion(name, known, 'would do: ' + ', '.join(known))}")
    asks = {name: one.question for name, one in plan.recipe.measure.ask.items() if one.kind == "yes_no"}
    wanted = names or [name for name in known if name not in rules or question(rules[name], asks)]
    return [_topic(name, rules, plan.quantiles, asks) for name in dict.fromkeys(wanted)]


def question(rule: Rule, asks: Mapping[str, str]) -> str | None:
    """The question for the fault that a rule drops clips for; None where only its author knows it. Of measures that a model
    was asked for people are asked the same: `asks`, by name."""
    known = bounded(rule)
    column = known.column or ""
    seen = {**SEEN, **{f"{name}_p": ("high", text) for name, text in asks.items()}}
    if column in seen and len(known.bounds) == 1:
        end, text = seen[column]
        return text if (known.high if end == "high" else known.low) else None
    flag = NEGATED.fullmatch(rule.text)
    return {**FLAGS, **asks}.get(flag[1] or flag[2]) if flag else None


def bounded(rule: Rule) -> Rule:
    """The rule, or the bounds that it asks for where it lets clips without a value pass: `a < 1 or a is null`."""
    if len(rule.columns) != 1 or rule.bounds:
        return rule
    (column,) = rule.columns
    head, found, _ = rule.text.partition(f" or {column} is null")
    if not found:
        return rule
    try:
        return parse_rule(rule.name, head, Columns(((column, BUILT_IN.types.get(column, pa.float64()), SPLIT),)))
    except ValueError:
        return rule


def _topic(name: str, rules: Mapping[str, Rule], quantiles: Quantiles, asks: Mapping[str, str]) -> Topic:
    if name == CUT:
        return Topic(name, "Is it one shot: no cut or transition within, none begun at its ends?", "no", NEAR_CUT)
    if name == CAPTION:
        return Topic(name, "Does this text fit what is seen?", "no", NEAR_CAPTION)
    rule = rules[name]
    asked = question(rule, asks) or f"Should a rule called {name} ({rule.text}) leave it out?"
    known = bounded(rule)
    ends = [f"abs({known.column} - ({bound.sql(quantiles)}))" for bound in known.bounds]
    near = (f"-least({', '.join(ends)})",) if ends else ()
    return Topic(name, asked, "yes", near, rule)
