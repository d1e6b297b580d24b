"""Videos drawn for exact truths: every frame carries its number, every scene its own texture."""

from __future__ import annotations

from collections.abc import Sequence
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import numpy.typing as npt

Picture = npt.NDArray[np.uint8]
BITS = 12
"""Of a frame's number: a row of black and white blocks along the top."""


def draw_scenes(
    path: Path,
    *,
    scene_frames: Sequence[int] = (20, 20),
    size: tuple[int, int] = (192, 108),
    times: Sequence[int] | None = None,
    time_base: Fraction = Fraction(1, 25),
    codec: str = "libx264",
    options: dict[str, str] | None = None,
    rotation: int = 0,
    sar: Fraction = Fraction(1),
    pix_fmt: str = "yuv420p",
    seed: int = 0,
) -> list[int]:
    """Draw a video of hard cuts between slowly moving textures; returns the frames' times in ticks of `time_base`."""
    total = sum(scene_frames)
    ticks = list(times) if times is not None else list(range(total))
    width, height = size
    with av.open(str(path), "w") as container:
        stream = container.add_stream(
            codec, rate=round(1 / time_base) if time_base.numerator == 1 and time_base.denominator < 200 else 25
        )
        stream.width, stream.height, stream.pix_fmt = width, height, pix_fmt
        stream.time_base = stream.codec_context.time_base = time_base
        stream.sample_aspect_ratio = sar
        stream.codec_context.thread_count = 1
        stream.options = options if options is not None else {"preset": "ultrafast", "crf": "18", "bf": "2", "g": "12"}
        if rotation:
            stream.set_display_rotation(-rotation)
        number = 0
        for scene, length in enumerate(scene_frames):
            texture = _texture(width, height, seed=seed * 100 + scene)
            for at in range(length):
                picture = np.roll(texture, at, axis=1)
                stamp(picture, number)
                frame = av.VideoFrame.from_ndarray(picture, format="rgb24")
                frame.pts, frame.time_base = ticks[number], time_base
                container.mux(stream.encode(frame))
                number += 1
        container.mux(stream.encode(None))
    return ticks


def draw_frames(path: Path, pictures: Sequence[Picture], *, fps: int = 25, lossless: bool = True) -> None:
    """Draw the given pictures (H, W, 3), RGB, one a frame."""
    with av.open(str(path), "w") as container:
        stream = container.add_stream("libx264", rate=fps)
        stream.height, stream.width = pictures[0].shape[:2]
        stream.pix_fmt = "yuv444p" if lossless else "yuv420p"
        stream.options = {"qp": "0", "preset": "ultrafast"} if lossless else {"preset": "ultrafast"}
        for number, picture in enumerate(pictures):
            frame = av.VideoFrame.from_ndarray(np.ascontiguousarray(picture), format="rgb24")
            frame.pts = number
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))


def _texture(width: int, height: int, *, seed: int) -> Picture:
    """Smooth blobs around a colour that differs much from scene to scene."""
    random = np.random.default_rng(seed)
    coarse = random.normal(0, 40, (6, 8, 3))
    blocks = np.kron(coarse, np.ones((height // 6 + 1, width // 8 + 1, 1)))[:height, :width]
    base = np.array([[200, 60, 60], [60, 200, 60], [60, 60, 200], [220, 220, 60], [60, 220, 220]][seed % 5])
    return np.clip(base + blocks, 0, 255).astype(np.uint8)


def stamp(picture: Picture, number: int) -> None:
    """Write the number into the top eighth of the picture, as blocks."""
    high, wide = max(picture.shape[0] // 8, 2), picture.shape[1] // BITS
    for bit in range(BITS):
        picture[:high, bit * wide : (bit + 1) * wide] = 255 if number >> bit & 1 else 0


def read_number(picture: Picture) -> int:
    """The number that was stamped into a picture (H, W[, 3])."""
    high, wide = max(picture.shape[0] // 8, 2), picture.shape[1] // BITS
    blocks = (
        picture[high // 4 : max(3 * high // 4, high // 4 + 1), bit * wide + wide // 4 : bit * wide + 3 * wide // 4]
        for bit in range(BITS)
    )
    return sum(1 << bit for bit, block in enumerate(blocks) if block.mean() > 127)


def read_numbers(path: Path) -> list[int]:
    """The stamped numbers of a video's frames, in order."""
    with av.open(str(path)) as container:
        return [read_number(frame.to_ndarray(format="gray")) for frame in container.decode(video=0)]


def cut_short(whole: Path, path: Path, share: float) -> None:
    """A copy that ends after a share of the bytes."""
    data = whole.read_bytes()
    path.write_bytes(data[: int(len(data) * share)])


def index_first(whole: Path, path: Path) -> None:
    """A copy with the index before the media, as servers like it."""
    with (
        av.open(str(whole)) as source,
        av.open(str(path), "w", format="mp4", options={"movflags": "+faststart"}) as target,
    ):
        stream = target.add_stream_from_template(source.streams.video[0])
        for packet in source.demux(video=0):
            if packet.dts is not None:
                packet.stream = stream
                target.mux(packet)
