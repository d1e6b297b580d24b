"""Contract tests for plug-ins: plain functions that a test of the author's calls, and that hdvg's own classes pass.

    from hdvg.testing import check_captioner

    def test_mine():
        check_captioner("my_captioner.py:Mine")

Each takes a name as a recipe does, raises AssertionError saying what the contract asks for, and UsageError if nothing of that
name can be loaded.
"""

from hdvg.testing.captioner import check_captioner
from hdvg.testing.detector import check_detector
from hdvg.testing.encoders import check_codec, check_text_encoder
from hdvg.testing.exporter import check_exporter
from hdvg.testing.measure import check_measure
from hdvg.testing.sources import check_list_reader, check_published_set

__all__ = [
    "check_captioner",
    "check_codec",
    "check_detector",
    "check_exporter",
    "check_list_reader",
    "check_measure",
    "check_published_set",
    "check_text_encoder",
]
