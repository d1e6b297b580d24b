"""A small dataset of real videos with clips that were kept, dropped and cut, for tests of what shows clips."""

from __future__ import annotations

import shutil
from pathlib import Path

from tests.footage import BUNDLED
from tests.layouts import call

RECIPE = 'name = "seen"\nkeep = {long = "duration_s >= 2"}\n[cut]\nmode = "encode"\n[caption]\ncaptioner = "none"\n'


def make_seen(folder: Path) -> Path:
    """A finished dataset of a short wide video whose one clip was dropped, and of one of 4:3 with clips kept and dropped."""
    (folder / "clips").mkdir()
    for name in ("birds_720p.mp4", "wannaworktogether_30s.mp4"):
        shutil.copy(BUNDLED / name, folder / "clips")
    (folder / "seen.toml").write_text(RECIPE)
    call("run", folder / "seen.toml", "--links", folder / "clips", "--out", folder / "d", "--runner", "serial")
    return folder / "d"
