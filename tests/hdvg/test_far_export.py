"""An export into a bucket, or of a dataset in one, has the files of one into a folder, byte for byte, wherever it was stopped."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from hdvg.dataset.far import far_of
from hdvg.dataset.mirror import open_mirror
from hdvg.dataset.object_lease import LEASE
from hdvg.exporting.layouts import LAYOUTS
from hdvg.exporting.target import MARK
from hdvg.sources.buckets.store import Bucket
from tests.machines import CarelessStore, downloaded, objects
from tests.object_store import OPEN
from tests.products import Clip, make
from tests.test_cli import ask, hdvg
from tests.tools import need

need("obstore", "datasets", "lance", "mlcroissant", "webdataset")

FORMATS = ("webdataset", "datasets", "croissant", "hd-vg")


@pytest.fixture(scope="module")
def local(tmp_path_factory):
    """A finished dataset of six clips in several shards."""
    clips = [
        [Clip(place, place + 3000, bytes([place // 1000, number]) * 20_000) for place in (0, 5000)]
        for number in range(3)
    ]
    return make(tmp_path_factory.mktemp("local") / "mine", clips, shard={"max_mb": 0.05}).root


@pytest.fixture
def link(s3_server, turn, local, request):
    """The same dataset in the bucket."""
    prefix = f"{request.node.name.partition('[')[0]}/mine"
    for path in local.rglob("*"):
        if path.is_file() and path.relative_to(local).parts[0] not in ("tmp", "run.lock"):
            s3_server.put(f"{prefix}/{path.relative_to(local)}", path)
    return f"s3://{OPEN}/{prefix}"


def contents(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def test_each_format_has_the_same_files_there_and_here(s3_server, link, local, tmp_path):
    for form in FORMATS:
        place = f"{link}-{form}"
        hdvg("export", local, "--to", form, "--out", tmp_path / form)
        said = hdvg("export", link, "--to", form, "--out", place).stdout
        assert said.startswith(place)
        held = contents(downloaded(s3_server, place.removeprefix(f"s3://{OPEN}/"), tmp_path / f"{form}-there"))
        assert held == contents(tmp_path / form), form
        assert " 0 written in" in hdvg("export", link, "--to", form, "--out", place).stdout
    hdvg("export", link, "--to", "lance", "--out", tmp_path / "lance")
    import lance

    assert lance.dataset(str(tmp_path / "lance/clips.lance")).count_rows() == 6
    assert not list((open_mirror(link) / "tmp").glob("*")), "nothing stays on this machine"


@pytest.mark.parametrize("form", sorted(LAYOUTS))
def test_each_trainers_files_are_the_same_there_and_here(form, s3_server, link, local, tmp_path):
    place = f"{link}-{form}"
    hdvg("export", local, "--to", form, "--out", tmp_path / "near")
    hdvg("export", link, "--to", form, "--out", place)
    held = contents(downloaded(s3_server, place.removeprefix(f"s3://{OPEN}/"), tmp_path / "far"))
    assert held == contents(tmp_path / "near")
    assert len([name for name in held if name.endswith(".mp4")]) == 6
    assert " 0 written in" in hdvg("export", link, "--to", form, "--out", place).stdout
    hdvg("export", link, "--to", form, "--out", place, "--where", "start_pts < 1000")
    fewer = contents(downloaded(s3_server, place.removeprefix(f"s3://{OPEN}/"), tmp_path / "fewer"))
    hdvg("export", local, "--to", form, "--out", tmp_path / "near", "--where", "start_pts < 1000")
    assert fewer == contents(tmp_path / "near")
    assert len([name for name in fewer if name.endswith(".mp4")]) == 3


def test_an_export_that_is_stopped_goes_on_on_another_machine(s3_server, turn, link, local, tmp_path, monkeypatch):
    place = f"{link}-tars"
    prefix, create, left = place.removeprefix(f"s3://{OPEN}/"), Bucket.create, [6]

    def stopping(self, name, content):
        left[0] -= 1
        if not left[0]:
            raise KeyboardInterrupt
        return create(self, name, content)

    monkeypatch.setattr(Bucket, "create", stopping)
    hdvg("export", link, "--to", "webdataset", "--out", place, code=130)
    monkeypatch.setattr(Bucket, "create", create)
    there = objects(s3_server, prefix)
    assert MARK in there
    assert len([name for name in there if name.endswith(".tar")]) in range(1, 6)
    turn("there")
    hdvg("export", link, "--to", "webdataset", "--out", place)
    hdvg("export", local, "--to", "webdataset", "--out", tmp_path / "near")
    assert contents(downloaded(s3_server, prefix, tmp_path / "far")) == contents(tmp_path / "near")
    assert LEASE not in objects(s3_server, prefix)


def test_what_is_wanted_no_more_goes_and_the_export_of_a_folder_may_lie_there(s3_server, turn, local, tmp_path):
    place = f"s3://{OPEN}/of-a-folder/tars"
    mine = Path(shutil.copytree(local, tmp_path / "mine"))
    hdvg("export", mine, "--to", "webdataset", "--out", place)
    before = objects(s3_server, "of-a-folder/tars")
    hdvg("export", mine, "--to", "webdataset", "--out", place, "--where", "start_pts < 1000")
    after = objects(s3_server, "of-a-folder/tars")
    hdvg("export", local, "--to", "webdataset", "--out", tmp_path / "near", "--where", "start_pts < 1000")
    assert contents(downloaded(s3_server, "of-a-folder/tars", tmp_path / "far")) == contents(tmp_path / "near")
    assert len(after) < len(before)
    assert [row["path"] for row in ask(mine, "select distinct path from written")] == [f"{place}/"]


def test_a_place_that_holds_something_else_is_refused_and_left_alone(s3_server, turn, link, local):
    key = link.removeprefix(f"s3://{OPEN}/")
    s3_server.put(f"{key}-thesis/thesis.tex", b"1")
    assert "thesis.tex" in hdvg("export", local, "--to", "hd-vg", "--out", f"{link}-thesis", code=2).stderr
    assert objects(s3_server, f"{key}-thesis").keys() == {"thesis.tex"}
    there = objects(s3_server, key)
    assert "no export" in hdvg("export", local, "--to", "hd-vg", "--out", link, code=2).stderr
    hdvg("export", local, "--to", "hd-vg", "--out", f"{link}-scenes")
    said = hdvg("export", local, "--to", "webdataset", "--out", f"{link}-scenes", code=2).stderr
    assert "an export of mine as hd-vg" in said
    assert "random names" in hdvg("export", local, "--to", "lance", "--out", f"{link}-lance", code=2).stderr
    assert "a query in the link" in hdvg("export", local, "--to", "hd-vg", "--out", f"{link}?X-Sig=1", code=2).stderr
    assert objects(s3_server, key) == there
    assert far_of(local) is None


def test_a_store_without_conditional_writes_takes_no_export(turn, local, monkeypatch):
    with CarelessStore() as address:
        monkeypatch.setenv("AWS_ENDPOINT_URL", address)
        said = hdvg("export", local, "--to", "hd-vg", "--out", f"s3://{OPEN}/x", code=75).stderr
    assert "does not keep to conditional writes" in said


def test_a_file_that_no_store_takes_at_once_is_refused_with_what_makes_it_smaller(turn, local, monkeypatch):
    monkeypatch.setattr("hdvg.dataset.far.MOST_BYTES", 30_000)
    said = hdvg("export", local, "--to", "webdataset", "--out", f"s3://{OPEN}/large", code=2).stderr
    assert "--max-mb" in said
