"""What every captioner keeps: order, no dependence on the batch, one shot's failure left alone, and a name for its content."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import cv2
import numpy as np
import numpy.typing as npt

from hdvg.captioners import Captioner, Written, clean, fingerprint, load
from hdvg.config.caption import Writer
from hdvg.errors import ItemError
from hdvg.keyframes import Shot
from schemas.captions import CAPTION_KINDS


def check_captioner(name: str, **settings: Any) -> None:
    """Check the captioner of that name, with these settings of `caption`, such as `model=...`."""
    writer = Writer.model_validate({"captioner": name, **settings})
    check_batches(writer)
    check_broken_keyframes(writer)
    check_names(writer)


def check_batches(settings: Writer) -> None:
    """Answers keep the order of the shots, and are the same however these are split into batches."""
    shots = [make_shot(blocks_jpeg(seed), clip_id=str(seed), luma_mean=20.0 * seed) for seed in range(7)]
    captioner = load(settings.model_copy(update={"batch": 3}))
    together = texts_of(captioner, shots)
    assert len(together) == len(shots), "write() gives one answer for each prepared shot"
    alone = [texts_of(captioner, [one])[0] for one in shots]
    assert alone == together, f"answers depend on the batch: {alone} one by one, {together} together"
    turned = texts_of(load(settings.model_copy(update={"batch": 8})), shots[::-1])[::-1]
    assert turned == together, f"answers depend on the order of the shots: {turned}, before {together}"
    assert texts_of(captioner, []) == [], "write([]) gives []"


def check_broken_keyframes(settings: Writer) -> None:
    """Keyframes that do not decode, or are absent, end nothing, and leave the answers of other shots as they are."""
    good = make_shot(blocks_jpeg(1))
    captioner = load(settings)
    pictures = (b"no picture", b"", as_jpeg(np.zeros((8, 8, 3), np.uint8))[:60])
    broken = [*(make_shot(picture, titled=False) for picture in pictures), Shot("none", {}, {})]
    alone = texts_of(captioner, [good])[0]
    among = texts_of(captioner, [broken[0], good, *broken[1:], good])
    assert (among[1], among[-1]) == (alone, alone), f"other shots changed an answer: {among}, alone {alone!r}"


def check_names(settings: Writer) -> None:
    """`name`, `model` and `batch` are there, texts are of known kinds and clean, and the fingerprint is always the same."""
    captioner = load(settings)
    assert isinstance(captioner.name, str), "`name` is a text, such as the class's in small letters"
    assert captioner.name, "`name` is not empty"
    assert isinstance(captioner.model, str), "`model` is a text"
    assert captioner.model.strip(), "`model` names the model and ends in a short hash or version of it"
    assert captioner.batch >= 1, "`batch` is how many shots write() takes at once"
    digits = fingerprint(settings)
    assert digits == fingerprint(settings), "the fingerprint changes from call to call"
    for answer in captioner.write([captioner.prepare(make_shot(blocks_jpeg(3)))]):
        assert isinstance(answer, Written | ItemError), f"an answer is Written or an ItemError, not {answer!r}"
        for kind, text in answer.texts.items() if isinstance(answer, Written) else ():
            assert kind in CAPTION_KINDS, f"kind {kind!r} is none of {', '.join(CAPTION_KINDS)}"
            assert text == clean(text, lower_case=settings.lower_case), f"not `clean` text: {text!r}"


def make_shot(picture: bytes, *, clip_id: str = "clip", titled: bool = True, **measures: float) -> Shot:
    """A shot with one picture as all its keyframes and, if `titled`, with all that a source may say of it."""
    said: dict[str, Any] = {"duration_s": 1.0}
    if titled:
        line = {"start_s": 0.0, "end_s": 1.0, "text": f"This is {clip_id}.", "word_starts_s": None}
        said |= {"title": f"The film about {clip_id}", "given_caption": f"A clip of {clip_id}."}
        said |= {"written": [{"writer": "main", "kind": "short", "text": f"A clip of {clip_id}."}]}
        said |= {"spoken": [line], "start_s": 0.0, "end_s": 1.0, "extractor": "x", "subtitles_origin": "manual"}
    keyframes = {"first": picture, "middle": picture, "last": picture}
    return Shot(clip_id, keyframes, {**said, **measures}, sound=_tone(clip_id) if titled else None)


def _tone(name: str) -> npt.NDArray[np.float32]:
    """A second of sound, another for every name: bands of noise."""
    random = np.random.default_rng(list(name.encode()))
    low, high = sorted(random.integers(1, 8000, 2).tolist())
    spectrum = np.fft.rfft(random.normal(size=16_000))
    spectrum[:low], spectrum[high:] = 0, 0
    sound = np.fft.irfft(spectrum, 16_000)
    return (0.5 * sound / max(float(np.abs(sound).max()), 1e-6)).astype(np.float32)


def texts_of(captioner: Captioner, shots: Sequence[Shot]) -> list[str]:
    """The first text of each shot, "" where there is none."""
    written = captioner.write([captioner.prepare(one) for one in shots])
    return [next(iter(one.texts.values()), "") if isinstance(one, Written) else "" for one in written]


def blocks_jpeg(seed: int) -> bytes:
    """A JPEG of coloured blocks, another for every seed."""
    blocks = np.random.default_rng(seed).integers(0, 256, (6, 8, 3), dtype=np.uint8)
    return as_jpeg(cv2.resize(blocks, (64, 48), interpolation=cv2.INTER_NEAREST))


def as_jpeg(picture: npt.NDArray[Any]) -> bytes:
    """The picture (H, W, 3) BGR as JPEG."""
    return cv2.imencode(".jpg", picture, [cv2.IMWRITE_JPEG_QUALITY, 95])[1].tobytes()
