"""What people do with a finished dataset, done with one in a bucket from a machine that has nothing of it."""

from __future__ import annotations

import csv
import json
import time
from pathlib import Path

import pytest

import hdvg as package
from hdvg.dataset.mirror import mirrors, open_mirror
from hdvg.reports.doctor import _place
from tests.explorer import served
from tests.machines import objects
from tests.object_store import OPEN
from tests.test_cli import SMALL, ask, hdvg
from tests.tools import need
from tests.videos import draw_scenes

need("obstore", "starlette", "torch", "uvicorn")

import torch  # noqa: E402


@pytest.fixture(scope="module")
def local(tmp_path_factory):
    """A dataset of three clips, two of them kept and cut only as shards are written."""
    folder = tmp_path_factory.mktemp("commands")
    draw_scenes(folder / "a.mp4", scene_frames=(20, 16, 24))
    virtual = ("--set", "cut.mode=virtual", "--set", "storage.keep_sources=false")
    hdvg("run", "demo", "--links", folder / "a.mp4", "--out", folder / "d", *SMALL, *virtual)
    return folder / "d"


@pytest.fixture
def link(s3_server, turn, local, request):
    prefix = f"commands/{request.node.name}"
    for path in local.rglob("*"):
        if path.is_file() and path.relative_to(local).parts[0] not in ("tmp", "run.lock", "logs", "cache"):
            s3_server.put(f"{prefix}/{path.relative_to(local)}", path)
    return f"s3://{OPEN}/{prefix}"


def test_a_clip_that_lies_in_a_shard_alone_is_read_out_of_it_there(link, local, tmp_path):
    (clip, *_) = ask(link, "select clip_id from dataset where keep order by 1")
    hdvg("play", link, clip["clip_id"], "--out", tmp_path / "far.mp4")
    hdvg("play", local, clip["clip_id"], "--out", tmp_path / "near.mp4")
    assert (tmp_path / "far.mp4").read_bytes() == (tmp_path / "near.mp4").read_bytes() != b""
    assert not list(open_mirror(link).glob("shards/*")), "no shard was fetched"
    with package.open(link) as far, package.open(local) as near:
        ours, theirs = (one.torch(frames=2, size=(16, 16)) for one in (far, near))
        assert len(ours) == len(theirs) == 2
        assert all(torch.equal(ours[at]["video"], theirs[at]["video"]) for at in range(2))


def test_an_audit_is_drawn_answered_and_ended_from_different_machines(link, turn, tmp_path):
    hdvg("audit", link, "--clips", 3, "--author", "ada", "--questions", tmp_path / "q.csv")
    with (tmp_path / "q.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert all(f"hdvg play {link} " in row["look"] for row in rows)
    with (tmp_path / "q.csv").open("w", newline="") as file:
        writer = csv.DictWriter(file, list(rows[0]))
        writer.writeheader()
        writer.writerows(row | {"answer": "y"} for row in rows)
    turn("there")
    hdvg("audit", link, "--author", "ada", "--answers", tmp_path / "q.csv")
    turn("third")
    assert hdvg("audit", link, "--end").stdout
    turn("here")
    assert hdvg("audit", link, "--result").stdout


def test_what_needs_more_shards_than_a_mirror_keeps_says_so_before_it_fetches_any(link, tmp_path, monkeypatch):
    monkeypatch.setenv("HDVG_MIRROR_GB", "0.000001")
    said = hdvg("export", link, "--to", "datasets", "--out", tmp_path / "out", code=2).stderr
    assert "HDVG_MIRROR_GB" in said
    assert f"{link}: all its shards" in said
    assert not list(open_mirror(link).glob("shards/*"))


def test_reports_compare_datasets_wherever_they_lie(link, local, tmp_path):
    for one, other in ((link, local), (local, link)):
        hdvg("report", one, "-o", tmp_path / "r.html", "--compare", other)
        page = (tmp_path / "r.html").read_text()
        assert str(mirrors()) not in page
        assert open_mirror(link).name not in page
    hdvg("sheet", link, "select clip_id from dataset", "-o", tmp_path / "s.png")


def test_doctor_tries_the_bucket(s3_server, link, monkeypatch):
    def states() -> list[tuple[str, str]]:
        return [(one.check, one.state) for one in _place(Path(link))]

    assert states()[:2] == [("reading", "ok"), ("conditional writes", "ok")]
    for name, value in s3_server.environment(guest=True).items():
        monkeypatch.setenv(name, value)
    assert states()[:2] == [("reading", "ok"), ("conditional writes", "bad")]
    said = {row["check"]: row["found"] for row in json.loads(hdvg("doctor", link, "--json", code=1).stdout)}
    assert "AccessDenied" in said["conditional writes"]


def test_a_purge_from_a_machine_without_any_media_takes_them_out_of_the_bucket(s3_server, link):
    prefix = link.removeprefix(f"s3://{OPEN}/")
    assert [name for name in objects(s3_server, prefix) if name.startswith("media/")]
    (video,) = ask(link, "select video_id from videos")
    hdvg("forget", link, "--video", video["video_id"], "--purge")
    assert not [name for name in objects(s3_server, prefix) if name.startswith(("media/", "shards/"))]


def test_what_stays_on_one_machine_says_why(link):
    assert "each node make its own" in hdvg("encode", link, "--address", "127.0.0.1:1", code=2).stderr
    assert "leave --address away" in hdvg("verify", link, "--address", "127.0.0.1:1", code=2).stderr


def test_the_explorer_plays_and_marks_and_drops_what_is_taken_down_elsewhere(link, local, turn, tmp_path, monkeypatch):
    monkeypatch.setattr("hdvg.explore.state.LOOK_S", 0.0)
    with served(open_mirror(link), tmp_path) as running:
        (clip, *_) = [row["clip_id"] for row in running.browser.post("/api/rows").json["rows"] if row["keep"]]
        assert running.browser.get(f"/media/{clip}").status == 200
        said = {"rows": [{"clip_id": clip, "mark": "flag"}]}
        assert running.browser.post("/api/annotations", said).json == {"written": 1}
        turn("there")
        (row,) = ask(link, "from annotations")
        assert (row["clip_id"], row["mark"], row["author"]) == (clip, "flag", "ada")
        (video,) = ask(link, "select video_id from videos")
        hdvg("forget", link, "--video", video["video_id"])
        turn("here")
        until = time.monotonic() + 120
        while running.browser.get(f"/media/{clip}").status == 200:
            assert time.monotonic() < until, "the take-down does not arrive"
            time.sleep(0.1)
