"""Shots: our detectors decide as PySceneDetect's own and as the network's package, and what they promise holds on paper."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from fractions import Fraction
from functools import cache
from itertools import pairwise
from pathlib import Path

import av
import cv2
import numpy as np
import pytest
from scenedetect import AdaptiveDetector, ContentDetector, FrameTimecode
from scenedetect.detectors import HashDetector, HistogramDetector

import pipelines.demo
from hdvg.config.sections import Split
from hdvg.measures import pass_measures
from hdvg.measures.phash import hash_pairs, small
from hdvg.media.assemble import Assembler
from hdvg.media.features import load_chunk, phash_of, sample, save_chunk
from hdvg.shots.chunk import Chunk
from hdvg.shots.detectors import make_detector
from hdvg.shots.divide import divide
from hdvg.shots.scores import SCORES
from hdvg.shots.stitch import Stitched
from hdvg.shots.transition import Transition

DEFAULTS = Split().model_dump()
SHAPE = {"width": 256, "height": 144, "coded_width": 256, "coded_height": 144, "rotation": 0, "mirrored": False}
MEDIA = Path(pipelines.demo.__file__).parent / "media"


@cache
def real(name: str, first: int = 0, count: int = 10_000) -> np.ndarray:
    """Frames (n, 144, 256, 3) BGR of a bundled video."""
    frames = []
    with av.open(str(MEDIA / name)) as container:
        for number, frame in enumerate(container.decode(video=0)):
            if number >= first + count:
                break
            if number >= first:
                frames.append(frame.reformat(width=256, height=144, format="bgr24").to_ndarray())
    return np.array(frames)


def plain(*levels: int, frames: int = 40) -> np.ndarray:
    """Shots of flat pictures with a little noise that is the same in every frame."""
    noise = np.random.default_rng(0).integers(0, 20, (144, 256, 3))
    return np.concatenate([np.repeat((noise + level)[None].astype(np.uint8), frames, axis=0) for level in levels])


SEEN = ("luma_mean", "static_share")
SERIES = [name for make in pass_measures().values() for name in make().series]


def chunks(pictures: np.ndarray, sizes: Sequence[int] | None = None, *, step: int = 1) -> Iterable[Chunk]:
    """The pictures as chunks of the given sizes (the last repeats), with all scores, `step` ticks a frame."""
    scores = {name: make() for name, make in SCORES.items()}
    thumbs = [
        cv2.cvtColor(cv2.resize(one, (48, 27), interpolation=cv2.INTER_AREA), cv2.COLOR_BGR2RGB) for one in pictures
    ]
    rows = {name: np.array([score(one) for one in pictures]) for name, score in scores.items()}
    start, sizes = 0, list(sizes or [len(pictures)])
    while start < len(pictures):
        size = sizes.pop(0) if len(sizes) > 1 else sizes[0]
        part = slice(start, min(start + size, len(pictures)))
        count = part.stop - part.start
        yield Chunk(
            np.arange(part.start, part.stop) * step,
            np.zeros((count, 64), np.uint8),
            np.array(thumbs[part]),
            np.column_stack(
                [
                    np.arange(count, dtype=np.uint64),
                    hash_pairs(np.array([small(cv2.cvtColor(one, cv2.COLOR_BGR2GRAY)) for one in pictures[part]])),
                ]
            ),
            {name: values[part] for name, values in rows.items()},
            {name: (np.arange(count * (name in SEEN)), np.zeros(count * (name in SEEN))) for name in SERIES},
            [sample(0, part.start, pictures[part.start])],
        )
        start = part.stop


def found(pictures: np.ndarray, sizes: Sequence[int] | None = None, **settings: object) -> list[Transition]:
    """What a detector finds, stitched if the settings ask for it."""
    detector = make_detector(DEFAULTS | settings)
    if settings.get("stitch_levels"):
        detector = Stitched(detector, levels=settings["stitch_levels"], window=10)
    result = []
    for chunk in chunks(pictures, sizes):
        settled = detector.settled
        fresh = detector.feed(chunk)
        assert all(transition.end >= settled for transition in fresh)
        result += fresh
    return result + detector.finish()


def scenedetects_own(pictures: np.ndarray, detector: object) -> list[int]:
    cuts = [
        cut for at, one in enumerate(pictures) for cut in detector.process_frame(FrameTimecode(at, 25.0), one.copy())
    ]
    return sorted({cut.frame_num for cut in [*cuts, *detector.post_process(FrameTimecode(len(pictures) - 1, 25.0))]})


@pytest.mark.parametrize(
    ("name", "own"),
    [
        ("adaptive", AdaptiveDetector),
        ("content", ContentDetector),
        ("histogram", HistogramDetector),
        ("hash", HashDetector),
    ],
)
def test_detector_decides_as_scenedetects_own_on_real_footage(name, own):
    pictures = np.concatenate(
        [real("wannaworktogether_30s.mp4", 0, 400), real("cockatoo.mp4"), real("bigbuckbunny_720p.mp4")]
    )
    ours = found(pictures, [1, 7, 100], detector=name)
    assert [cut.start for cut in ours] == scenedetects_own(pictures, own())
    assert len(ours) >= 2
    assert all(cut.end == cut.start for cut in ours)


def version_061(*shot_frames: int) -> list[int]:
    """Lengths of the shots that remain of shots of flat colour, by the compatibility mode; [0, -1] in HD-VG is one shot."""
    levels = [20, 120, 220, 70, 170]
    pictures = np.concatenate([plain(levels[at % 5], frames=count) for at, count in enumerate(shot_frames)])
    assembler = Assembler(
        SHAPE, Fraction(1, 25), settings=DEFAULTS | {"detector": "pyscenedetect-0.6.1"}, out=Path("/nowhere")
    )
    assembler._write = lambda position, chosen: {}
    for chunk in chunks(pictures):
        assembler.feed(chunk)
    assembler.finish(len(pictures))
    return [clip["n_frames"] for clip in assembler.clips]


def test_version_061_has_the_limits_of_hd_vg():
    """What the release of HD-VG-130M shows: first cut from frame 2, 15 between cuts, last shot of 2, end index N - 1."""
    assert version_061(2, 40) == [2, 39]
    assert version_061(1, 40) == [41]  # a cut at frame 1 is not seen
    assert version_061(3, 40) == [3, 39]
    assert version_061(40, 15, 40) == [40, 15, 39]
    assert version_061(40, 14, 40) == [40, 53]
    assert version_061(40, 3) == [40, 2]
    assert version_061(40, 2) == [42]
    assert version_061(30) == [30]  # no cut: the whole file, to its last frame


def test_network_predicts_as_its_package_whatever_the_chunks():
    import torch

    from hdvg.shots.transnet import Network, load_network

    pictures = np.concatenate([real("cockatoo.mp4", 0, 60), real("bigbuckbunny_720p.mp4", 0, 73)])
    thumbs = np.concatenate([chunk.thumbs for chunk in chunks(pictures)])
    with torch.inference_mode():
        single, many = load_network().predict_frames(torch.from_numpy(thumbs), quiet=True)
    rows = []
    detector = Network(DEFAULTS | {"detector": "transnetv2"})
    decide = detector._decisions.decide
    detector._decisions.decide = lambda new, **rest: (rows.append(new), decide(new, **rest))[1]
    transitions = [one for chunk in chunks(pictures, [30, 1, 44]) for one in detector.feed(chunk)] + detector.finish()
    np.testing.assert_allclose(np.concatenate(rows), np.stack([single.numpy(), many.numpy()], axis=1), atol=1e-4)
    assert transitions == [Transition(60, 60)]


def dissolve(before: np.ndarray, after: np.ndarray, frames: int) -> np.ndarray:
    """`before` whose last frames blend into the first of `after`."""
    weight = (np.arange(1, frames + 1) / (frames + 1))[:, None, None, None]
    blend = before[-frames:] * (1 - weight) + after[:frames] * weight
    return np.concatenate([before[:-frames], blend.astype(np.uint8), after[frames:]])


@pytest.mark.parametrize("detector", ["transnetv2", "cascade"])
@pytest.mark.parametrize("frames", [8, 16])
def test_no_blended_frame_gets_into_a_neighbour(detector, frames):
    pictures = dissolve(real("cockatoo.mp4", 0, 100), real("bigbuckbunny_720p.mp4", 0, 100), frames)
    (transition,) = found(pictures, detector=detector)
    assert transition.kind == "gradual"
    assert 100 - frames - 6 <= transition.end <= 100 - frames + 1  # a blend of a tenth is seen by nobody
    assert 99 <= transition.start <= 106


@pytest.fixture(scope="module")
def film() -> tuple[np.ndarray, list[Transition]]:
    """Cuts, a dissolve and motion, and what the cascade finds in one go."""
    pictures = np.concatenate(
        [
            dissolve(real("cockatoo.mp4"), real("bigbuckbunny_720p.mp4"), 12),
            real("wannaworktogether_30s.mp4", 0, 250),
            real("oa4_launch.webm"),
        ]
    )
    return pictures, found(pictures, detector="cascade")


@pytest.mark.parametrize("sizes", [[1, 60], [250], [13]])
def test_cascade_does_not_depend_on_the_chunks(sizes, film):
    pictures, whole = film
    assert found(pictures, sizes, detector="cascade") == whole
    assert {400, 650} <= {cut.start for cut in whole if cut.kind == "cut"}
    assert any(cut.kind == "gradual" and cut.end < 280 <= cut.start for cut in whole)


def test_fast_motion_is_no_cut_for_the_network_and_the_cascade():
    for detector in ("transnetv2", "cascade"):
        assert found(real("cockatoo.mp4"), detector=detector) == []


def flashed(length: int) -> np.ndarray:
    pictures = real("bigbuckbunny_720p.mp4", 0, 100).copy()
    pictures[50 : 50 + length] = np.clip(pictures[50 : 50 + length].astype(int) + 170, 0, 255)
    return pictures


@pytest.mark.parametrize("length", [1, 2, 4])
def test_flash_is_stitched_and_a_real_cut_is_not(length):
    pictures = np.concatenate([flashed(length), real("cockatoo.mp4", 0, 60)])
    cuts = found(pictures, detector="adaptive")
    assert len(cuts) >= 2, "the flash fools the detector"
    stitched = found(pictures, [17], detector="adaptive", stitch_levels=6.0)
    assert {cut.kind for cut in stitched if cut.start < 100} == {"stitched"}
    assert Transition(100, 100, "cut") in stitched


def test_shot_that_returns_after_a_long_while_is_not_stitched():
    pictures = plain(50, 150, 50)
    assert [cut.kind for cut in found(pictures, detector="adaptive", stitch_levels=6.0)] == ["cut", "cut"]


def test_long_shots_are_divided_evenly_by_paper():
    pts = list(range(0, 2600, 10))  # 260 frames, 10 ticks each
    cut = divide([*pts, 2600], (0, 260), most=1000, closed=True)
    assert cut == [100, 180]  # 1000, then the rest of 1600 halved
    assert divide([*pts, 2600], (0, 100), most=1000, closed=True) == []
    assert divide([*pts, 2600], (0, 101), most=1000, closed=True) == [50]
    open_so_far = divide([*pts, 2600], (0, 205), most=1000, closed=False)
    assert open_so_far == [100]
    assert divide([*pts, 2600], (100, 260), most=1000, closed=True) == [180]


def test_long_shots_are_divided_where_the_picture_moves_least():
    pts = list(range(0, 2010, 10))
    scores = [5.0] * 201
    scores[70] = scores[140] = 0.1
    assert divide(pts, (0, 200), most=1400, closed=True, scores=scores) in ([70], [140])
    assert divide(pts, (0, 200), most=900, closed=True, scores=scores) == [70, 140]


def test_no_piece_is_longer_than_allowed_whatever_the_timing():
    random = np.random.default_rng(1)
    for gaps in (80, 3000):
        for _ in range(200):
            steps = np.where(random.random(120) < 0.1, random.integers(1, gaps, 120), random.integers(1, 80, 120))
            pts = np.cumsum(steps).tolist()
            most = int(random.integers(200, 1500))
            places = divide(pts, (3, 119), most=most, closed=True, scores=random.random(120).tolist())
            edges = [3, *places, 119]
            assert edges == sorted(set(edges))
            assert all(pts[b] - pts[a] <= most or b - a == 1 for a, b in pairwise(edges))


def clips_of(pictures: np.ndarray, sizes: list[int], out: Path, **settings: object) -> list[dict]:
    assembler = Assembler(SHAPE, Fraction(1, 25), settings=DEFAULTS | settings, out=out)
    for chunk in chunks(pictures, sizes):
        assembler.feed(chunk)
    assembler.finish(len(pictures))
    return assembler.clips


@pytest.mark.parametrize("how", ["even", "still"])
def test_clips_do_not_depend_on_the_chunks(how, tmp_path):
    pictures = np.concatenate([flashed(2), flashed(4), real("cockatoo.mp4"), real("oa4_launch.webm")])
    settings = {"max_clip_s": 1.5, "divide": how, "stitch_levels": 6.0}
    whole = clips_of(pictures, [10_000], tmp_path, **settings)
    for sizes in ([7], [100, 3, 250], [1, 64]):
        clips = clips_of(pictures, sizes, tmp_path, **settings)
        free = ("keyframes", "phash")  # samples come one a chunk in this test
        assert [{key: clip[key] for key in clip if key not in free} for clip in clips] == [
            {key: clip[key] for key in clip if key not in free} for clip in whole
        ]
    assert sum(clip["stitched"] for clip in whole) >= 2
    assert sum(clip["opens_with"] == "part" for clip in whole) >= 8
    assert [clip["end_frame"] for clip in whole[:-1]] == [clip["start_frame"] for clip in whole[1:]]


class Told:
    """A detector that is told what to find."""

    settled = 0

    def __init__(self, *transitions: Transition) -> None:
        self.transitions = transitions

    def feed(self, chunk: Chunk) -> list[Transition]:
        return []

    def finish(self) -> list[Transition]:
        return list(self.transitions)


def test_what_a_transition_leaves_out_is_counted_once_and_its_guard_is_kept(tmp_path):
    assembler = Assembler(SHAPE, Fraction(1, 25), settings=DEFAULTS, out=tmp_path)
    assembler._detector = Told(
        Transition(20, 31, "gradual"), Transition(30, 30), Transition(60, 72, "gradual"), Transition(70, 75, "gradual")
    )
    for chunk in chunks(plain(100, frames=100)):
        assembler.feed(chunk)
    assembler.finish(100)
    found = [
        (c["start_frame"], c["end_frame"], c["opens_with"], c["opens_frames"], c["closes_with"])
        for c in assembler.clips
    ]
    assert found == [
        (0, 20, "start", 0, "gradual"),
        (31, 60, "gradual", 11, "gradual"),
        (75, 100, "gradual", 15, "end"),
    ]


def test_chunk_survives_the_disk(tmp_path):
    (chunk,) = chunks(real("bigbuckbunny_720p.mp4", 0, 20))
    save_chunk(chunk, tmp_path / "chunk.npz", quality=90)
    again = load_chunk(tmp_path / "chunk.npz")
    for name in ("pts", "looks", "thumbs"):
        np.testing.assert_array_equal(getattr(again, name), getattr(chunk, name))
    assert set(again.scores) == set(chunk.scores)
    assert set(again.series) == set(chunk.series)
    (held,) = again.samples
    assert (held.index, held.width, held.height, phash_of(held)) == (0, 256, 144, phash_of(chunk.samples[0]))
    assert cv2.imdecode(np.frombuffer(held.picture, np.uint8), cv2.IMREAD_COLOR).shape == (144, 256, 3)
