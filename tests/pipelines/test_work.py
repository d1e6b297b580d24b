"""What becomes of an item that fails: a row with its reason, or the end of the run where the run is at fault."""

from __future__ import annotations

import errno
import os
import re
from pathlib import Path
from types import SimpleNamespace

import pyarrow as pa
import pytest

from hdvg.dataset.stages import part_schema
from hdvg.errors import SHORT, ItemError, ResourceError
from pipelines.work import Row, Work

ITEM = {"video_id": "v", "key": "v", "attempt": 0}


def outcome(do, *items: Row) -> list[Row]:
    """The rows of the items."""
    dataset = SimpleNamespace(root=Path("/data/ds"))
    return Work(dataset, list(items), None, None, part_schema("download"), list).guarded_batch(do, list(items))


@pytest.mark.parametrize("number", sorted(SHORT))
@pytest.mark.parametrize("wrapped", [False, True])
def test_full_disk_or_no_handles_is_never_the_items_failure(number, wrapped):
    def do(items):
        try:
            raise OSError(number, "short")
        except OSError as error:
            if wrapped:
                raise ItemError("corrupt", "does not open") from error
            raise

    with pytest.raises(ResourceError, match=re.escape(os.strerror(number))):
        outcome(do, ITEM, ITEM)


def test_any_other_refusal_of_the_system_is_the_items_failure():
    def do(items):
        raise OSError(errno.EISDIR, "broken")

    (row,) = outcome(do, ITEM)
    assert (row["status"], row["reason"], row["attempt"]) == ("failed", "error", 1)
    assert "broken" in row["detail"]


@pytest.mark.parametrize(
    "odd",
    [{"bytes": 2**63}, {"title": "\ud800"}, {"bytes": "many"}, {"horoscope": 1}, {"video_id": "another"}],
    ids=["too large", "no text", "no number", "no column", "other item"],
)
def test_an_odd_answer_is_its_items_failure_and_nobody_elses(odd):
    other = ITEM | {"video_id": "w", "key": "w"}
    rows = outcome(
        lambda items: [{"video_id": item["video_id"]} | (odd if item is ITEM else {}) for item in items], ITEM, other
    )
    assert [(row["video_id"], row["status"], row.get("reason")) for row in rows] == [
        ("v", "failed", "error"),
        ("w", "ok", None),
    ]
    pa.Table.from_pylist(rows, schema=part_schema("download"))


def test_an_item_without_a_row_fails():
    (row,) = outcome(lambda items: [], ITEM)
    assert (row["status"], row["reason"]) == ("failed", "error")


def test_a_detail_that_is_no_text_can_be_stored():
    def do(items):
        raise ItemError("gone", "\ud800")

    pa.Table.from_pylist(outcome(do, ITEM), schema=part_schema("download"))


@pytest.mark.parametrize(
    ("source", "shown"),
    [
        ("file:///films/my%20birds.mp4", "/films/my birds.mp4"),
        ("https://example.org/a.mp4", "https://example.org/a.mp4"),
        (None, "its source"),
    ],
)
def test_a_detail_names_the_users_file_or_link_and_no_file_of_hdvgs_own(source, shown):
    def do(items):
        raise ItemError("corrupt", "Invalid data: '/data/ds/tmp/r1/x/fetch-1/source.bin' (/data/ds/media/ab/abc.mp4)")

    (row,) = outcome(do, ITEM | {"source": source})
    assert row["detail"] == f"Invalid data: '{shown}' ({shown})"
