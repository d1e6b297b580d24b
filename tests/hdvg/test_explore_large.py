"""What the explorer does so that large datasets stay quick, and that it gives the same as the plain way: texts, the lasso, parts of a run."""

from __future__ import annotations

import os
import random
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from hdvg.dataset.dataset import Dataset
from hdvg.explore import texts
from hdvg.explore.likeness import ByHeight
from hdvg.explore.masks import Asking, SupersededError
from hdvg.explore.progress import Progress
from hdvg.explore.sidecar import opened
from hdvg.explore.state import copied
from hdvg.explore.texts import Texts

WINDOW_S = 600.0


def crossings(points: np.ndarray, corners: np.ndarray) -> np.ndarray:
    """[points]: inside, by every side of the polygon, point by point."""
    inside = []
    for x, y in points.tolist():
        odd = False
        for (ax, ay), (bx, by) in zip(corners.tolist(), np.roll(corners, -1, axis=0).tolist(), strict=True):
            if (ay > y) != (by > y):
                odd ^= bool(np.float32(x) < np.float32((bx - ax) * (y - ay) / (by - ay) + ax))
        inside.append(odd)
    return np.array(inside)


def test_a_lasso_takes_the_points_that_every_side_says_are_inside():
    chance = np.random.default_rng(2)
    points = chance.integers(-100, 100, (2000, 2)).astype(np.int16)  # many with the same height as a corner
    order = np.argsort(points[:, 1], kind="stable")
    x, y = points[order].astype(np.float32).T
    held = ByHeight(order, x, y)
    for corners in (chance.integers(-100, 100, (many, 2)).astype(np.float32) for many in (3, 4, 7, 40)):
        found = np.zeros(len(points), bool)
        found[held.inside(corners)] = True
        assert (found == crossings(points, corners)).mean() > 0.999  # a point on a side may fall to either
        assert 0 < found.sum() < len(points)


@pytest.fixture
def spoken(new_dataset: Dataset, monkeypatch: pytest.MonkeyPatch) -> tuple[Dataset, Texts]:
    """A dataset of 300 clips with titles and captions, its texts in many batches."""
    from tests.hdvg.test_explore import add

    monkeypatch.setattr(texts, "BATCH", 2048)
    monkeypatch.setattr(texts, "AT_ONCE", 2)
    draw = random.Random(4)
    for number in range(3):
        add(new_dataset, number, [{"duration_s": draw.random() * 9} for _ in range(100)])
    sidecar = copied(new_dataset, new_dataset.store, lambda *_: None)
    return new_dataset, Texts(sidecar.texts)


def test_words_are_found_where_the_rows_have_them(spoken: tuple[Dataset, Texts]):
    dataset, held = spoken
    sidecar = copied(dataset, dataset.store, lambda *_: None)
    with opened(sidecar.rows) as connection:
        for words in (("film",), ("film", "2"), ("ilm 1",), ("nothing",), ("%",), ()):
            mask = held.holding(words, connection, Asking())
            holds = " and ".join("contains(lower(concat_ws(' ', caption, title)), ?)" for _ in words) or "true"
            sql = f"select place from clip_measures where {holds} order by place"
            assert np.flatnonzero(mask).tolist() == [row[0] for row in connection.execute(sql, list(words)).fetchall()]
    assert len(mask) == 300


def test_a_newer_question_ends_a_search(spoken: tuple[Dataset, Texts]):
    dataset, held = spoken
    asking = Asking()
    asking.stop()
    with opened(copied(dataset, dataset.store, lambda *_: None).rows) as connection, pytest.raises(SupersededError):
        held.holding(("film",), connection, asking)


def put(dataset: Dataset, unit: str, stage: str = "split") -> Path:
    path = dataset.root / f"parts/{stage}/{unit}-{dataset.plan.fingerprints[stage]}-0.parquet"
    path.write_bytes(b"")
    return path


def test_parts_are_counted_as_they_come_and_go(new_dataset: Dataset):
    progress = Progress()

    def done() -> tuple[int, int]:
        units, fresh = progress.done(new_dataset, "split", window_s=WINDOW_S)
        return units, len(fresh)

    assert done() == (0, 0)  # seeds are no units
    first, _ = put(new_dataset, "aa"), put(new_dataset, "bb")
    (first.parent / "cc-another-0.parquet").write_bytes(b"")
    assert done() == (2, 2)
    put(new_dataset, "dd")  # within the same second
    assert done() == (3, 3)
    first.unlink()
    assert done() == (2, 2)
    again, _ = progress.done(new_dataset, "split", window_s=0.0)
    assert again == 2


def test_a_folder_that_has_not_changed_is_not_listed(new_dataset: Dataset, monkeypatch: pytest.MonkeyPatch):
    progress, listed = Progress(), []
    plain = os.listdir
    monkeypatch.setattr(os, "listdir", lambda place: (listed.append(place), plain(place))[1])
    path = put(new_dataset, "aa")
    long_ago = (path.stat().st_mtime_ns - 10**10,) * 2
    os.utime(path.parent, ns=long_ago)
    found = [progress.done(new_dataset, "split", window_s=WINDOW_S)[0] for _ in range(3)]
    assert (found, len(listed)) == ([1, 1, 1], 1)
    put(new_dataset, "bb")
    assert progress.done(new_dataset, "split", window_s=WINDOW_S)[0] == 2


def test_the_server_starts_without_libraries_that_it_does_not_need():
    """pandas alone takes 0.4 s of CPU; it comes with pyarrow.dataset."""
    said = "import sys, hdvg.explore.serving; print(sorted({'pandas', 'torch', 'ray', 'av'} & set(sys.modules)))"
    found = subprocess.run([sys.executable, "-c", said], check=True, capture_output=True, text=True)
    assert found.stdout.strip() == "[]"
