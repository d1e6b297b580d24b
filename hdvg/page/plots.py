"""Plots as files, by matplotlib: a dataset's funnel and histograms, what other rules would do, a training's curves."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from hdvg.errors import UsageError
from hdvg.registry import require

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

    from hdvg.filtering.histograms import Histogram, Spread, Step

KEPT, REST, BOUND, BEFORE = "#0072b2", "#cfcfcf", "#d55e00", "#555555"
"""Okabe and Ito's colours, which most eyes tell apart."""

COLUMNS, WIDTH_IN, ROW_IN, DPI = 3, 12.0, 2.6, 120

SETTINGS: dict[Any, Any] = {"text.parse_math": False, "svg.fonttype": "none", "svg.hashsalt": "hdvg", "font.size": 9}
"""Texts stay what they are, and equal plots are equal bytes."""

CURVES = {"loss": REST, "validation": KEPT}
"""Of a training's log, with their colours."""


def check_place(path: Path) -> None:
    """Raise UsageError, before the work, for a file that is no plot, or if matplotlib is not installed."""
    if path.suffix.lower() not in (".png", ".svg"):
        raise UsageError(f"--plot {path}: a plot is a .png or .svg file")
    if not path.absolute().parent.is_dir():
        raise UsageError(f"--plot {path}: no such folder; name a file in a folder that is there")
    require({"matplotlib": "matplotlib"}, called="--plot", extra="explore")


def plot_spread(spread: Spread, path: Path, *, title: str) -> None:
    """The funnel by clips and by hours, then a histogram of each measure with its thresholds; into a .png or .svg.

    Of rules that are only supposed, what is now stands behind in grey.
    """
    rows = -(-len(spread.histograms) // COLUMNS)
    funnel_in = 1.0 + 0.28 * max(len(spread.steps), len(spread.before))
    with _drawn(path, title, funnel_in + ROW_IN * rows + 0.6) as figure:
        grid = figure.add_gridspec(1 + rows, 1, height_ratios=[funnel_in, *[ROW_IN] * rows])
        above = grid[0].subgridspec(1, 2)
        for place, what in enumerate(("clips", "hours")):
            _funnel(figure.add_subplot(above[place]), spread.steps, spread.before, what)
        for row in range(rows):
            cells = grid[1 + row].subgridspec(1, COLUMNS)
            for place, one in enumerate(spread.histograms[row * COLUMNS : (row + 1) * COLUMNS]):
                _histogram(figure.add_subplot(cells[place]), one, first=row == place == 0)


def plot_training(rows: Iterable[Mapping[str, Any]], path: Path, *, title: str) -> None:
    """The losses of a training's log by step, validation with its interval; into a .png or .svg.

    Raises UsageError if no row has a loss.
    """
    held = list(rows)
    if not any(row.get(name) is not None for row in held for name in CURVES):
        raise UsageError(f"{title}: its log has no loss yet, so there is nothing to plot")
    with _drawn(path, title, 4.5) as figure:
        axes = figure.add_subplot()
        for name, colour in CURVES.items():
            points = [(row["step"], row[name]) for row in held if row.get(name) is not None]
            marker = "o" if name == "validation" else ""
            axes.plot(*_columns(points, 2), color=colour, marker=marker, markersize=3, label=name)
        sides = [(row["step"], row.get("validation_low"), row.get("validation_high")) for row in held]
        steps, low, high = _columns([row for row in sides if None not in row], 3)
        axes.fill_between(steps, low, high, color=KEPT, alpha=0.2, label="validation's interval")
        axes.set(xlabel="step", ylabel="loss")
        axes.legend()


def _columns(rows: Sequence[Sequence[float | None]], count: int) -> list[list[float]]:
    """Rows as columns, of no row too."""
    return [[row[place] or 0.0 for row in rows] for place in range(count)]


@contextmanager
def _drawn(path: Path, title: str, height_in: float) -> Iterator[Figure]:
    """A figure, in the file at the end of the block. Raises UsageError if it cannot be written."""
    import matplotlib as mpl
    from matplotlib.figure import Figure

    with mpl.rc_context(SETTINGS):
        figure = Figure(figsize=(WIDTH_IN, height_in), layout="constrained")
        figure.suptitle(title, fontsize=11)
        yield figure
        is_svg = path.suffix.lower() == ".svg"
        try:
            figure.savefig(path, dpi=DPI, metadata={"Date": None} if is_svg else {"Software": None})
        except OSError as error:
            raise UsageError(f"--plot {path}: {error.strerror or error}; name another file") from error


def _funnel(axes: Axes, steps: Sequence[Step], before: Sequence[Step], what: str) -> None:
    """Bars from all clips down to those that pass every rule."""
    values = [getattr(one.passed, what) for one in steps]
    names = [f"{one.rule} ({one.open_clips:,} not measured)" if one.open_clips else one.rule for one in steps]
    if before:
        now = {one.rule: getattr(one.passed, what) for one in before}
        axes.barh(names, [now.get(one.rule, 0) for one in steps], color=REST, height=0.9, label="now")
    axes.barh(names, values, color=KEPT, height=0.5, label="then" if before else None)
    for place, value in enumerate(values):
        axes.text(value, place, f" {value:,.4g}" if what == "hours" else f" {value:,}", va="center", fontsize=8)
    axes.invert_yaxis()
    axes.set_title(f"{what} that pass each rule and those before it", fontsize=9)
    axes.margins(x=0.15)
    if before:
        axes.legend(loc="lower right")


def _histogram(axes: Axes, one: Histogram, *, first: bool) -> None:
    """Clips by bin, the kept ones in front, and a line for each threshold; colours are named in the `first`."""
    axes.stairs(one.clips, one.edges, fill=True, color=REST, label="all")
    axes.stairs(one.kept, one.edges, fill=True, color=KEPT, label="kept")
    for line in one.before:
        axes.axvline(line.at, color=BEFORE, linestyle=":", linewidth=1.2, label="threshold now")
    for line in one.thresholds:
        axes.axvline(line.at, color=BOUND, linestyle="--", linewidth=1.2, label="threshold")
    if one.is_log:
        axes.set_xscale("log")
    asked = ", ".join(dict.fromkeys(line.asks for line in one.thresholds))
    without = f" ({one.without:,} without)" if one.without else ""
    axes.set_title(f"{asked or one.measure}{without}", fontsize=9)
    axes.tick_params(labelsize=7)
    if first:
        named = dict(zip(*reversed(axes.get_legend_handles_labels()), strict=True))
        axes.legend(named.values(), named.keys(), fontsize=7)
