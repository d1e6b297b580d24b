"""Histograms on the terminal, by rich: clips by bins of each measure, the kept ones in colour, with the rules' bounds."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from hdvg.filtering.histograms import Spread

BARS = 12
"""Rows of a histogram, about."""

WIDTH = 40
"""Characters of the longest bar."""

PIPE_WIDTH = 100
"""Where standard output is no terminal."""


def print_histograms(spread: Spread) -> None:
    """One table for each measure: bins, each with its bar (kept clips, then dropped ones) and counts; ▸ where a threshold is."""
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    console = Console(markup=False, highlight=False, emoji=False, width=None if sys.stdout.isatty() else PIPE_WIDTH)
    for one in spread.histograms:
        asked = ", ".join(dict.fromkeys(line.asks for line in one.thresholds))
        without = f"; {one.without} clips without a number" if one.without else ""
        table = Table(title=f"{asked or one.measure}{without}", title_justify="left", box=None, pad_edge=False)
        for name in ("from", "to"):
            table.add_column(name, justify="right", no_wrap=True)
        table.add_column("", width=WIDTH, no_wrap=True)
        for name in ("clips", "kept"):
            table.add_column(name, justify="right", no_wrap=True)
        most = max(one.clips) or 1
        for low, high, clips, kept in zip(one.edges, one.edges[1:], one.clips, one.kept, strict=False):
            whole, blue = round(WIDTH * clips / most), round(WIDTH * kept / most)
            bar = Text("█" * blue, "blue").append("░" * (whole - blue), "bright_black")
            mark = "▸ " if any(low <= line.at < high for line in one.thresholds) else ""
            table.add_row(mark + f"{low:.4g}", f"{high:.4g}", bar, str(clips), str(kept))
        console.print(table)
        console.print()
