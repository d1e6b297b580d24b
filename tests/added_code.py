"""The files that `tests.additions` adds to a copy of the code, a text each."""

from __future__ import annotations

CAPTIONER = '''"""A captioner that counts pictures."""

from hdvg.captioners import Written, clean
from hdvg.ids import digest


class Counting:
    """See `Captioner`."""

    name = "x"
    needs = {}

    def __init__(self, settings):
        self.model = f"counting {self.fingerprint(settings)[:8]}"
        self.batch = settings.batch or 8

    @staticmethod
    def fingerprint(settings):
        return digest("counting", 1)[:16]

    def prepare(self, shot):
        return len(shot.keyframes)

    def write(self, prepared):
        return [Written({"short": clean(f"a clip of {count} pictures", lower_case=True)}) for count in prepared]
'''

FORMAT = '''"""`x`: a line a clip."""

from hdvg.exporting import Piece
from hdvg.exporting.selection import clips, identity


class Lines:
    """See `Format`."""

    needs = {}

    def __init__(self, job):
        self._job = job

    def pieces(self):
        return [
            Piece(f"{number}.txt", identity(bundle, "x", 1), clips(bundle), lambda path, bundle=bundle: self._write(bundle, path))
            for number, (_, bundle) in enumerate(self._job.chosen.bundles(100))
        ]

    def _write(self, bundle, path):
        tables = list(self._job.chosen.tables(bundle))
        path.write_text("".join(f"{one}\\n" for table in tables for one in table["caption"].to_pylist()))
'''

MEASURE = '''"""How bright the top row of the picture is."""

from hdvg.measures.measure import Series


class Top:
    """top_luma: mean luminance of the top row, 0-255."""

    columns = ("top_luma",)
    sees = "look"

    def __init__(self):
        self.series = {"top_luma": Series()}

    def see(self, view):
        self.series["top_luma"].add(view.index, float(view.grey[0].mean()))

    @staticmethod
    def of_clip(clip):
        return {"top_luma": clip.mean("top_luma")}
'''

STAGE_COLUMNS = '''"""Told by the stage `x`."""

from schemas.columns import BOOL, STR, column, table
from schemas.outcomes import OUTCOME

LENGTHS = table(OUTCOME, [column("clip_id", STR, "the clip"), column("is_long", BOOL, "whether it has over 30 frames")])
'''

STAGE = '''"""Says of each clip whether it is long."""

from pipelines.work import each


def lengths(work):
    return each(work, lambda item: [{key: item[key] for key in ("video_id", "clip_id")} | {"is_long": item["n_frames"] > 30}])
'''
