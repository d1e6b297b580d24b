"""Barriers that other tests would not miss if they were gone; `tests/faults/planted` takes each away."""

from __future__ import annotations

import contextlib
import io
import os
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pyarrow.parquet as pq
import pytest
from rich.console import Console

from hdvg.dataset.dataset import Dataset
from hdvg.dataset.intake import accept
from hdvg.dataset.stages import part_schema
from hdvg.dataset.store import FileOps, Store
from hdvg.dataset.tombstones import publish_tombstones
from hdvg.errors import ItemError, UsageError
from hdvg.exporting import Wanted, export
from hdvg.ids import video_id
from hdvg.media.decode import Decoder, open_container, open_video
from hdvg.media.mux import SOUND_OPTIONS
from hdvg.media.parameter_sets import avcc_sets, hvcc_sets
from hdvg.published.entries import Source
from hdvg.published.sets import SETS
from pipelines.children import sandbox
from pipelines.perform import Job, commit, make_gate
from pipelines.stages import download
from pipelines.work import Work
from tests.products import Clip, make, shard_rows
from tests.servers import HostileServer, body
from tests.videos import draw_scenes

LINKS = [f"https://a.org/{number}.mp4" for number in range(300)]
"""Enough for units of several."""


def take_list(dataset: Dataset, *links: str) -> None:
    path = dataset.root.parent / "links.txt"
    path.write_text("\n".join(links))
    accept(dataset, str(path))


def units(dataset: Dataset) -> dict[str, str]:
    with dataset.manifest() as manifest:
        return {row["video_id"]: row["unit"] for row in manifest.rows("from inputs where status = 'new'")}


# the store


class Watching(FileOps):
    """Looks at each link as it is made."""

    def __init__(self) -> None:
        self.same: list[bool] = []

    def link(self, path: Path, final: Path) -> None:
        super().link(path, final)
        self.same.append(os.path.samefile(path, final))


def test_a_final_name_is_given_to_the_flushed_file_itself_never_to_a_copy(tmp_path):
    """A copy grows under its final name, and a kill leaves half of it there."""
    store = Store(tmp_path, Watching())
    store.begin()
    store.publish("media/ab/x.mp4", lambda path: path.write_bytes(b"x"))
    assert store.ops.same == [True]


def test_a_file_that_a_ghost_published_meanwhile_stays(tmp_path):
    """Whoever read it must find the same bytes for ever."""
    store = Store(tmp_path)
    store.begin()
    (tmp_path / "parts").mkdir()

    def write(path: Path) -> None:
        path.write_bytes(b"mine")
        (tmp_path / "parts/x").write_bytes(b"the ghost's")

    assert not store.publish("parts/x", write)
    assert (tmp_path / "parts/x").read_bytes() == b"the ghost's"


# units and retries


def test_units_are_the_same_in_whatever_order_links_come(new_dataset, tmp_path):
    take_list(new_dataset, *LINKS)
    other = Dataset(tmp_path / "other", new_dataset.plan)
    other.root.mkdir()
    other.store.begin()
    other.prepare()
    take_list(other, *reversed(LINKS))
    assert units(other) == units(new_dataset)
    assert 1 < len(set(units(other).values())) < len(LINKS)


def test_items_that_were_done_stay_when_others_of_their_unit_are_tried_again(new_dataset):
    take_list(new_dataset, *LINKS)
    held = units(new_dataset)
    unit = next(unit for unit in held.values() if list(held.values()).count(unit) > 1)
    first, second, *_ = [video for video in held if held[video] == unit]
    job = Job(new_dataset.root, new_dataset.store.run, "download", unit)
    fine = {"status": "ok", "reason": None, "sha256": "0" * 64}
    later = {"status": "retry", "reason": "network"}
    for rows in ([{"video_id": first, **fine}, {"video_id": second, **later}], [{"video_id": second, **fine}]):
        commit(new_dataset, job, [{"key": row["video_id"], "attempt": 0} for row in rows], rows)
    with new_dataset.manifest() as manifest:
        again = manifest.one("select count(*) from wanted where stage = 'download' and old_status is null")
        found = {row["video_id"]: row["sha256"] for row in manifest.rows("from videos where sha256 is not null")}
    assert found == {first: "0" * 64, second: "0" * 64}
    assert again == len(held) - 2


# tombstones


def test_a_link_that_was_taken_down_is_not_accepted_again(new_dataset):
    publish_tombstones(new_dataset.store, [("video", video_id(LINKS[0]))])
    take_list(new_dataset, *LINKS[:2])
    assert set(units(new_dataset)) == {video_id(LINKS[1])}
    stored = pq.read_table(list((new_dataset.root / "inputs").glob("0*.parquet")))  # no view stands before it
    assert LINKS[0] not in stored["link"].to_pylist()
    assert LINKS[1] in stored["link"].to_pylist()


def test_a_link_that_is_taken_down_while_its_job_waits_is_not_fetched(new_dataset):
    with HostileServer() as server:
        link = server.add("/v.mp4", body(b"no video"))
        publish_tombstones(new_dataset.store, [("video", video_id(link))])
        item = {"video_id": video_id(link), "key": video_id(link), "attempt": 0, "source": link}
        gate, box = make_gate(new_dataset.plan.recipe), sandbox(new_dataset.plan.recipe.split.detector)
        (row,) = download(Work(new_dataset, [item], gate, box, part_schema("download"), list))
        assert row["reason"] == "forgotten"
        assert not server.hits


@pytest.mark.parametrize("form", ["webdataset", "datasets", "hd-vg"])
def test_what_was_taken_down_is_in_no_export(tmp_path, form):
    dataset = make(tmp_path / "d", [[Clip(0, 3000, bytes([number]) * 500, f"clip {number}")] for number in range(3)])
    gone, *rest = sorted({row["video_id"] for row in shard_rows(dataset).values()})
    with dataset.store.aside() as store:
        publish_tombstones(store, [("video", gone)])
    report = export(Dataset.open(dataset.root), Wanted(form, tmp_path / "out"), Console(file=io.StringIO()))
    assert report["clips"] == len(rest)
    bytes_out = b"".join(path.read_bytes() for path in (tmp_path / "out").rglob("*") if path.is_file())
    assert gone.encode() not in bytes_out


# what strangers send


def endless_page(handler) -> None:
    """HTML without a length and without an end."""
    handler.head(200, {"Content-Type": "text/html"})
    handler.send(b"<!DOCTYPE html><html><head><title>A page</title></head><body>")
    while not handler.server.owner.closing.is_set() and handler.command != "HEAD":
        handler.send(b"<p>more</p>" * 5000)


def test_an_endless_page_is_left_at_the_cap(new_dataset):
    """No byte of a page reaches the disk, so that no limit of files holds it."""
    settings = new_dataset.plan.recipe.fetch.model_copy(update={"max_mb": 3.0, "wall_s": 20.0, "tries": 1})
    new_dataset.plan = new_dataset.plan.__class__(
        new_dataset.plan.recipe.model_copy(update={"fetch": settings}), new_dataset.plan.fingerprints
    )
    with HostileServer() as server:
        link = server.add("/page", endless_page)
        item = {"video_id": video_id(link), "key": video_id(link), "attempt": 0, "source": link}
        gate, box = make_gate(new_dataset.plan.recipe), sandbox("adaptive")
        (row,) = download(Work(new_dataset, [item], gate, box, part_schema("download"), list))
        assert row["reason"] == "too_big"
        assert sum(server.sent.values()) < 64 << 20


def test_an_address_is_not_a_file_to_the_decoder(tmp_path):
    """Nor to what ffmpeg itself would open by it, were it asked to."""
    draw_scenes(tmp_path / "v.mp4", scene_frames=(5,))
    with HostileServer(folder=tmp_path) as server:
        for name in (server.url("/v.mp4"), f"cache:{tmp_path}/v.mp4", f"subfile,,start,0,end,0,,:{tmp_path}/v.mp4"):
            with pytest.raises(ItemError), open_container(name) as container:
                raise AssertionError(f"{name} was opened as {container}")
            with pytest.raises(av.FFmpegError), av.open(name, options=SOUND_OPTIONS) as container:
                raise AssertionError(f"{name} was opened as {container}")
        assert not server.hits
    with open_container(str(tmp_path / "v.mp4")), av.open(str(tmp_path / "v.mp4"), options=SOUND_OPTIONS):
        pass


def test_a_picture_that_grows_in_mid_stream_over_the_limit_is_not_decoded(tmp_path):
    """What the header says of the size, and the first picture, says nothing of the next."""
    path = tmp_path / "grows.mkv"
    with av.open(str(path), "w") as container:
        stream = container.add_stream("mjpeg", rate=25)
        stream.width = stream.height = 64
        stream.pix_fmt = "yuvj420p"
        for number, side in enumerate((64, 64, 640, 64)):
            coder = av.CodecContext.create("mjpeg", "w")
            coder.width = coder.height = side
            coder.pix_fmt, coder.time_base = "yuvj420p", Fraction(1, 25)
            frame = av.VideoFrame.from_ndarray(np.full((side, side, 3), 90, np.uint8), "rgb24").reformat(
                format="yuvj420p"
            )
            frame.pts = number
            for packet in [*coder.encode(frame), *coder.encode(None)]:
                packet.stream, packet.pts, packet.dts = stream, number, number
                packet.time_base = Fraction(1, 25)
                container.mux(packet)
    with av.open(str(path)) as container:
        assert 640 in [picture.width for picture in container.decode(video=0)]
    sizes = set()
    with contextlib.suppress(ItemError), open_video(str(path), max_pixels=100 * 100) as (container, stream):
        for frame in Decoder(container, stream):
            sizes.add(frame.picture.width)
    assert sizes <= {64}


def test_a_table_whose_first_row_is_broken_is_refused_by_name(tmp_path):
    """Found by fuzzing."""
    path = tmp_path / "set.csv"
    path.write_bytes(b'videoID,"[ption"x,url\n')
    with pytest.raises(UsageError, match="first row, with the names of the columns"):
        list(SETS["panda-70m"].read(Source(path)))


def test_a_record_that_counts_more_parameter_sets_than_it_holds_is_broken():
    """Found by fuzzing: 65,535 empty ones."""
    with pytest.raises(IndexError):
        list(hvcc_sets(bytes(22) + b"\1\x20\xff\xff"))
    with pytest.raises(IndexError):
        list(avcc_sets(bytes(5) + b"\0\xff"))
