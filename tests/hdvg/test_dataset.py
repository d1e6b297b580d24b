"""Links are accepted once; growth never moves a unit's boundary."""

from __future__ import annotations

from collections import Counter

import pytest

from hdvg.dataset import intake
from hdvg.dataset.dataset import Dataset
from hdvg.dataset.intake import Accepted
from hdvg.errors import UsageError
from schemas import SCHEMA_VERSION


@pytest.fixture
def dataset(new_dataset: Dataset) -> Dataset:
    return new_dataset


def accept(dataset: Dataset, *lines: str) -> Accepted:
    path = dataset.root.parent / "links.txt"
    path.write_text("\n".join(lines))
    return intake.accept(dataset, str(path))


def units(dataset: Dataset) -> dict[str, str]:
    with dataset.manifest() as manifest:
        return {
            row["video_id"]: row["unit"]
            for row in manifest.rows("select video_id, unit from inputs where status = 'new'")
        }


def test_a_list_is_accepted_once(dataset):
    lines = ["https://a.org/1.mp4", "https://a.org/2.mp4"]
    assert accept(dataset, *lines) == Accepted(new=2)
    assert accept(dataset, *lines) == Accepted(known=2)
    assert len(list((dataset.root / "inputs").glob("*.parquet"))) == 2  # with the empty seed


def test_growth_never_moves_a_boundary(dataset):
    many = [f"https://a.org/{number}.mp4" for number in range(200)]
    accept(dataset, *many[:150])
    before = units(dataset)
    assert accept(dataset, *many) == Accepted(new=50, known=150)
    assert before.items() <= units(dataset).items()


def test_units_are_small_for_small_lists_and_never_over_64(dataset):
    accept(dataset, *[f"https://a.org/{number}.mp4" for number in range(10)])
    assert len(set(units(dataset).values())) == 10
    accept(dataset, *[f"https://b.org/{number}.mp4" for number in range(5000)])
    sizes = Counter(units(dataset).values()).values()
    assert max(sizes) == 64
    assert sum(sizes) == 5010


def test_repeated_and_respelled_links_are_duplicates_of_one_video(dataset):
    accepted = accept(
        dataset, "https://A.org/1.mp4", "https://a.org:443/1.mp4#t=3", "https://A.org/1.mp4", "nonsense://x"
    )
    assert accepted == Accepted(new=1, duplicates=2, bad=1)
    with dataset.manifest() as manifest:
        assert manifest.one("select count(*) from videos") == 1
        assert manifest.one("select count(*) from failures where reason = 'duplicate'") == 2


def test_a_folder_without_a_dataset_says_how_to_make_one(tmp_path):
    with pytest.raises(UsageError, match="hdvg run demo --links"):
        Dataset.open(tmp_path)


def test_a_dataset_of_a_later_version_is_not_misread(dataset):
    path = dataset.root / "dataset.toml"
    path.write_text(path.read_text().replace(f"schema_version = {SCHEMA_VERSION}", "schema_version = 99"))
    with pytest.raises(UsageError, match="schema version 99"):
        Dataset.open(dataset.root)
