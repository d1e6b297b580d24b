"""What every measure of a user's own keeps: it declares itself whole, gives values of the kinds it says, and the same twice."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from hdvg.config.own_measures import Taken
from hdvg.config.sections import Measure, Split
from hdvg.plugins import load_named


def check_measure(made_by: str, given: Any, **options: Any) -> dict[str, Any]:
    """Check the measure of that class on `given`; its values, by column.

    `given` is what its `input` says (docs/extending.md); for `frames` the path of a video, all of which is one clip; for
    `shots` one shot.
    """
    (one,) = Measure.model_validate({"own": {"mine": {"made_by": made_by, "options": options}}}).taken
    first, second = _values(one, given), _values(one, given)
    assert first == second, f"the same input gives other values the second time: {first}, {second}"
    return one.checked(first)


def _values(one: Taken, given: Any) -> Any:
    if one.input == "shots":
        (found,) = load_named(one.made_by)(**one.options).measure([given])
        return found
    if one.input != "frames":
        return load_named(one.made_by)(**one.options).measure(given)
    from hdvg.media.measure_calls import ALL
    from hdvg.media.remeasure import remeasure

    wanted: Any = {one.name: {"made_by": one.made_by, "options": dict(one.options)}}
    settings: Any = Split().model_dump()
    (values,) = remeasure(str(Path(given)), [{"start_pts": -ALL, "end_pts": ALL}], wanted, settings, 1, 2**31)
    return values[one.name]
