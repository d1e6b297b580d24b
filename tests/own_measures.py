"""Measures of a user's own, as texts of files that a recipe names."""

CORNER = """
from hdvg.measures.measure import Series


class Corner:
    version = 1
    input = "frames"
    sees = "look"
    columns = {"corner": ("number", "level of a corner, 0-255"), "levels": ("series", "level of each look")}

    def __init__(self, offset=0.0):
        self.offset = offset
        self.series = {"corner": Series()}

    def see(self, view):
        self.series["corner"].add(view.index, float(view.grey[:8, :8].mean()) + self.offset)

    def of_clip(self, clip):
        return {"corner": clip.mean("corner"), "levels": clip.values("corner")[1].tolist()}
"""
"""A number, and a series, of the pass."""

BYTES = """
class Bytes:
    version = 1
    input = "clip"
    columns = {"first_bytes": ("series", "the first bytes of the cut file")}

    def measure(self, file):
        return {"first_bytes": list(file[:8])}
"""
"""A series of the cut file."""
