"""Copies of real clips are found and no others; the best one stays, whatever the order; earlier datasets count."""

from __future__ import annotations

import random
from contextlib import contextmanager

import av
import cv2
import duckdb
import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pytest

from hdvg.config.sections import Split
from hdvg.duplicates import Index, Settings, candidates, find_duplicates, search, semantic
from hdvg.duplicates.series import Series
from hdvg.measures.phash import hash_pairs, moments, small
from hdvg.media.scan import scan
from tests.bench.bench_duplicates import made_up as made_up_clips
from tests.copies import COPIES, FPS, crop, half_size, logo, row, table
from tests.footage import BUNDLED, SHARED_SPANS

LONG = 3 * FPS
"""Frames that a span needs for a second of it to be missing."""

LEAST = {"starts 0.7 s later": 0.8}
"""Motion graphics that change wholly within a quarter second are not found again when sampled at other instants."""

NEARLY_BLANK = {"wannaworktogether.mp4@00262", "wannaworktogether_30s.mp4@00360"}
"""A green circle on a page of the same luminance: hashes see no colour, and these are nobody's copies."""


@pytest.fixture(scope="module")
def footage(bundled_footage):
    return bundled_footage.and_of(SHARED_SPANS)


@pytest.fixture(scope="module")
def clips(footage):
    """The spans' frames by a name of their own."""
    return {
        f"{span.file}@{span.first:05}": [footage.frame(span, at) for at in range(footage.length(span))]
        for span in footage.spans
    }


def of(rows, **kwargs):
    """The answer by clip_id."""
    return {one["clip_id"]: one for one in find_duplicates(table(rows), **kwargs).to_pylist()}


def walk(seed, length=20, flips=5):
    """A made-up clip: hashes that change by some bits a step, inner ones of their own."""
    random_ = np.random.default_rng(seed)

    def series():
        value, values = int(random_.integers(1, 2**63)), []
        for _ in range(length):
            values.append(value)
            for bit in random_.integers(0, 64, flips):
                value ^= 1 << int(bit)
        return values

    return series(), series()


def made_up(clip_id, series, *, video="v", flip=(), **more):
    """A clip with these hashes, the given bits of all of them turned."""
    mask = sum(1 << bit for bit in flip)
    whole, inner = ([value ^ mask for value in values] for values in series)
    hashes = {"phashes": whole, "phashes_inner": inner}
    return {"clip_id": clip_id, "video_id": video + clip_id, "duration_s": len(whole) / 2} | hashes | more


@pytest.mark.parametrize("kind", COPIES)
def test_copies_of_real_clips_are_found_and_nothing_else(kind, clips):
    shifted = "later" in kind or "earlier" in kind
    originals = [row(name, name.split("@")[0], pictures) for name, pictures in clips.items()]
    blank = {one["clip_id"] for one in originals if 2 * sum(map(bool, one["phashes"])) < len(one["phashes"])}
    assert blank <= NEARLY_BLANK
    chosen = {
        name: pictures
        for name, pictures in clips.items()
        if name not in blank and (not shifted or len(pictures) >= LONG)
    }
    copies = [row(f"{name} copy", f"{name} copy", COPIES[kind](pictures)) for name, pictures in chosen.items()]
    answer = of(originals + copies)
    found = {name: one["duplicate_of"] for name, one in answer.items() if one["duplicate"]}
    right = {name for name, other in found.items() if name == f"{other} copy"}
    assert set(found) == right, "pairs of different shots"
    assert len(chosen) >= 4
    assert len(right) >= LEAST.get(kind, 0.95) * len(copies), {f"{name} copy" for name in chosen} - right


def uploaded_again(source, target):
    """The video at half size, cropped, with a logo, at a low quality, without its first second."""
    with av.open(str(source)) as old, av.open(str(target), "w") as new:
        rate = old.streams.video[0].average_rate
        stream = new.add_stream("libx264", rate=rate, options={"crf": "30", "preset": "ultrafast"})
        stream.pix_fmt = "yuv420p"
        for number, frame in enumerate(old.decode(video=0)):
            if number < rate:
                continue
            picture = logo(crop(half_size(frame.to_ndarray(format="bgr24"))))
            if not stream.codec_context.is_open:
                stream.height, stream.width = (size // 2 * 2 for size in picture.shape[:2])
            picture = np.ascontiguousarray(picture[: stream.height, : stream.width])
            new.mux(stream.encode(av.VideoFrame.from_ndarray(picture, "bgr24")))
        new.mux(stream.encode(None))


@pytest.mark.slow
def test_videos_uploaded_again_are_found_shot_by_shot(tmp_path):
    rows = []
    for file in ("cockatoo.mp4", "bigbuckbunny_720p.mp4", "oa4_launch.webm"):
        uploaded_again(BUNDLED / file, tmp_path / f"{file}.mp4")
        for name, path in ((file, BUNDLED / file), (f"{file} copy", tmp_path / f"{file}.mp4")):
            for number, clip in enumerate(scan(str(path), str(tmp_path), Split().model_dump(), 1, 36_000_000)["clips"]):
                rows.append(clip | {"clip_id": f"{file}#{number}", "video_id": name, "pixels": clip["width"]})
                rows[-1]["clip_id"] += name.removeprefix(file)
                rows[-1].pop("keyframes")
    answer = of(rows, score=("pixels",))
    assert {name: row["duplicate_of"] for name, row in answer.items()} == {
        name: name.removesuffix(" copy") if name.endswith(" copy") else None for name in answer
    }
    assert len(answer) == 8


def test_real_clips_of_one_scene_are_not_copies(clips):
    assert not any(one["duplicate"] for one in of(row(name, name, shot) for name, shot in clips.items()).values())


def test_inner_hash_is_the_hash_of_the_crop(clips):
    bits = []
    for pictures in clips.values():
        grey = cv2.cvtColor(pictures[len(pictures) // 2], cv2.COLOR_BGR2GRAY)
        whole, cropped = hash_pairs(np.array([small(grey), small(crop(grey))]))
        if whole.all() and cropped.all():
            bits.append([int(np.bitwise_count(one ^ cropped[0])) for one in (whole[1], whole[0])])
    inner, outer = np.array(bits).T
    assert np.median(inner) <= 2 < np.median(outer) / 2
    assert np.mean(inner <= 8) >= 0.9


def test_flat_pictures_have_no_hash():
    ramp = np.add.outer(np.arange(0, 96, 3), np.arange(0, 96, 3)).astype(np.uint8)
    noise = np.random.default_rng(0).integers(126, 130, (32, 32)).astype(np.uint8)
    pairs = hash_pairs(np.array([np.zeros((32, 32)), noise, ramp + noise // 4], np.uint8))
    assert (pairs[:2] == 0).all()
    assert (hash_pairs(np.random.default_rng(1).integers(0, 255, (1, 32, 32)).astype(np.uint8)) != 0).all()


def test_moments_are_the_quarters_of_each_second():
    assert moments(list(range(0, 200, 4)), 200, 100.0) == [6, 18, 31, 43]  # 25 fps, 2 s: at 25, 75, 125, 175 ticks
    assert moments([0, 10, 150], 200, 100.0) == [1, 1, 1, 2]  # a picture lasts until the next one comes
    assert moments([7], 8, 100.0) == [0]
    assert moments([0, 1, 2], 3, 100.0) == [1]
    assert len(moments(list(range(10_000)), 10_000, 10.0)) == 128


def test_same_hashes_and_duration_are_exact_and_a_few_bits_are_near():
    one = walk(1)
    answer = of([made_up("a", one), made_up("b", one), made_up("c", one, flip=(3, 40, 51)), made_up("d", walk(2))])
    assert {name: row["duplicate_of"] for name, row in answer.items()} == {"a": None, "b": "a", "c": "a", "d": None}
    assert [answer[name]["duplicate_how"] for name in "abcd"] == [None, "exact", "near", None]
    assert answer["c"]["duplicate_bits"] == 3
    assert {row["duplicate_group"] for row in answer.values()} == {"a", "d"}


def test_best_score_stays_whatever_the_order():
    one = walk(1)
    pixels = {"a": 100, "b": 900, "c": 900, "d": None}
    sharpness = {"a": 9.0, "b": 1.0, "c": 2.0, "d": 99.0}
    rows = [made_up(name, one, pixels=pixels[name], sharpness=sharpness[name]) for name in "abcd"]
    for seed in range(4):
        random.Random(seed).shuffle(rows)
        answer = of(rows, score=("pixels", "sharpness"))
        assert [name for name in "abcd" if not answer[name]["duplicate"]] == ["c"]
        assert list(answer) == list("abcd")


def test_chain_of_near_copies_does_not_drift():
    one = walk(1, flips=0)
    rows = [made_up(name, one, flip=range(0, 6 * step)) for step, name in enumerate("abcde")]
    answer = of(rows)
    assert {name: row["duplicate_of"] for name, row in answer.items()} == {
        "a": None, "b": "a", "c": None, "d": "c", "e": None
    }  # fmt: skip


def test_clip_inside_a_longer_one_is_found_at_any_offset():
    whole, inner = walk(5, length=60)
    part = whole[23:37], inner[23:37]
    answer = of([made_up("long", (whole, inner)), made_up("part", part)])
    assert answer["part"]["duplicate_of"] == "long"
    ends = whole[-4:] + walk(6)[0], inner[-4:] + walk(6)[1]
    assert not any(row["duplicate"] for row in of([made_up("a", (whole, inner)), made_up("b", ends)]).values())


def test_black_clips_and_clips_without_hashes_are_no_copies():
    black = [0] * 10, [0] * 10
    rows = [made_up("a", black), made_up("b", black), made_up("c", ([], [])), made_up("d", ([], []))]
    rows.append(made_up("e", walk(1)) | {"phashes": None, "phashes_inner": None})
    assert not any(row["duplicate"] for row in of(rows).values())
    assert find_duplicates(table([])).num_rows == 0


def test_still_clips_of_one_video_are_no_copies_but_a_replay_is():
    still, moving = walk(1, flips=0), walk(2, flips=8)
    rows = [made_up("a", still), made_up("b", still), made_up("c", moving), made_up("d", moving)]
    answer = of(row | {"video_id": "one"} for row in rows)
    assert [answer[name]["duplicate"] for name in "abcd"] == [False, False, False, True]


def test_embeddings_that_differ_forbid_and_missing_ones_do_not():
    one = walk(1)
    vectors = {"a": [1.0, 0.0], "b": [0.9, 0.1], "c": [0.0, 1.0], "d": None}
    looked_up = []

    def embeddings(clip_ids):
        looked_up.append(clip_ids.to_pylist())
        return pa.array([vectors[name] for name in clip_ids.to_pylist()], pa.list_(pa.float32()))

    answer = of([made_up(name, one) for name in "abcd"] + [made_up("e", walk(2))], embeddings=embeddings)
    assert looked_up[0] == list("abcd")  # of nothing else
    assert [answer[name]["duplicate_of"] for name in "abd"] == [None, "a", "a"]
    assert answer["c"]["duplicate_of"] != "a"
    assert answer["c"]["duplicate"] is False


def planted(count, copies):
    """Clips of unlike hashes with random embeddings; the first `copies` have one more of another video, with a cosine of 0.97."""
    random = np.random.default_rng(3)
    vectors = random.standard_normal((count, 64))
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    aside = random.standard_normal((copies, 64))
    aside -= (aside * vectors[:copies]).sum(axis=1, keepdims=True) * vectors[:copies]
    again = 0.97 * vectors[:copies] + (1 - 0.97**2) ** 0.5 * aside / np.linalg.norm(aside, axis=1, keepdims=True)
    names = [*(f"{number:05d}" for number in range(count)), *(f"{number:05d} copy" for number in range(copies))]
    known = dict(zip(names, np.concatenate([vectors, again]).tolist(), strict=True))
    rows = [made_up(name, walk(seed, length=4)) for seed, name in enumerate(names)]
    return rows, lambda clip_ids: pa.array([known[clip] for clip in clip_ids.to_pylist()])


@pytest.mark.parametrize(("bucket", "least"), [(512, 1.0), (32, 0.9)])
def test_clips_of_like_embeddings_are_copies_only_where_that_is_asked_for(monkeypatch, bucket, least):
    """All of them where each is compared with each, most where sorted by keys."""
    monkeypatch.setattr(semantic, "A_BUCKET", bucket)
    rows, embeddings = planted(400, 40)
    assert not any(one["duplicate"] for one in of(rows, embeddings=embeddings).values())
    found = of(rows, embeddings=embeddings, settings=Settings(semantic=0.95))
    copies = {name: one for name, one in found.items() if one["duplicate"]}
    assert len(copies) >= least * 40
    for name, one in copies.items():
        assert name == f"{one['duplicate_of']} copy"
        assert (one["duplicate_how"], one["duplicate_bits"]) == ("semantic", None)
    assert not any(
        one["duplicate"] for one in of(rows, embeddings=embeddings, settings=Settings(semantic=0.98)).values()
    )
    same = [one | {"video_id": one["clip_id"].removesuffix(" copy")} for one in rows]
    assert not any(
        one["duplicate"] for one in of(same, embeddings=embeddings, settings=Settings(semantic=0.95)).values()
    )


def test_index_holds_earlier_datasets_once(tmp_path):
    index = Index(tmp_path / "index")
    one, two, three = walk(1), walk(2), walk(3)
    old = table([made_up("x", one), made_up("y", two)])
    assert index.add("first", old) == 2
    before = sorted((tmp_path / "index" / "clips").iterdir())
    assert index.add("first", old) == 0
    assert sorted((tmp_path / "index" / "clips").iterdir()) == before
    assert index.add("first", pa.concat_tables([old, table([made_up("z", walk(9))])])) == 1
    assert index.add("second", table([made_up("q", three)])) == 1
    assert index.labels() == {"first": 3, "second": 1}
    rows = [made_up("a", one, flip=(1, 2)), made_up("b", one), made_up("c", three), made_up("d", walk(4))]
    answer = of(rows, earlier=index.parts())
    told = {name: (row["duplicate_of"], row["duplicate_in"], row["duplicate_how"]) for name, row in answer.items()}
    assert told["a"] == ("x", "first", "near")
    assert told["b"] == ("x", "first", "exact")
    assert told["c"] == ("q", "second", "exact")
    assert told["d"] == (None, None, None)
    mine = of(rows, earlier=index.parts(but="first"))
    assert [mine[name]["duplicate_of"] for name in "abcd"] == [None, "a", "q", None]
    path = tmp_path / "index" / "clips" / "*.parquet"
    assert duckdb.sql(f"select count(*), sum(len(phashes)) from '{path}'").fetchall() == [(4, 80)]


def test_search_in_many_parts_finds_what_one_finds(monkeypatch, tmp_path):
    clips, copies = made_up_clips(600, 0.4, 3)
    clips = clips.append_column("pixels", pa.array(np.random.default_rng(3).integers(0, 9, len(clips))))
    old = clips.slice(0, 50).append_column("dataset", pa.repeat("old", 50))
    old = old.set_column(0, "clip_id", pa.array([f"old {number:02}" for number in range(50)]))
    whole = [find_duplicates(clips, earlier=earlier, score=["pixels"]) for earlier in ([], [old])]
    assert pc.sum(whole[0]["duplicate"]).as_py() > copies / 2
    assert pc.count(whole[1]["duplicate_in"]).as_py() >= 50
    monkeypatch.setattr(candidates, "SORTED", 1000)
    monkeypatch.setattr(search, "BLOCK", 70)
    done = []

    @contextmanager
    def elsewhere(series):
        """As on other nodes: what is done there reads files, and ends in an order of its own."""
        series.save(tmp_path)
        with search.here(tmp_path)(series) as parts:

            def each(do, items):
                items = list(items)
                done.append(len(items))
                return [do(item, Series.load(tmp_path)) for item in reversed(items)]

            yield search.Parts(parts.folder, each)

    for earlier, expected in zip(([], [old]), whole, strict=True):
        assert find_duplicates(clips, earlier=earlier, score=["pixels"], spread=elsewhere).equals(expected)
    assert done[0] > candidates.KEYS
    assert 1 < done[1] <= 9  # 600 clips, 70 a block


def test_same_clip_twice_is_an_error():
    with pytest.raises(ValueError, match="twice"):
        of([made_up("a", walk(1)), made_up("a", walk(1))])


def test_settings_decide():
    rows = [made_up("a", walk(1)), made_up("b", walk(1), flip=range(9))]
    assert of(rows)["b"]["duplicate"]
    assert not of(rows, settings=Settings(bits=5.0, bits_moving=0.0))["b"]["duplicate"]
