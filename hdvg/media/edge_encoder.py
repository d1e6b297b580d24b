"""Encoders for the edges of a smart cut, whose pictures stand beside copied ones in one track."""

from __future__ import annotations

import os
from dataclasses import dataclass
from fractions import Fraction
from typing import Any

import av
import cv2

from hdvg.config.child_settings import CutSettings
from hdvg.media.bitstream import HEVC_LEFT_OUT, carried, length_prefixed, units
from hdvg.media.decoder_config import encoder_sets, free_id, h264_shape
from hdvg.media.packets import Index
from hdvg.media.parameter_sets import H264_SEI, Sets, is_signature
from hdvg.media.source import UNKNOWN, Source

GLOBAL_HEADER = 1 << 22
ENCODERS = {"h264": "libx264", "hevc": "libx265", "vp9": "libvpx-vp9", "av1": "libsvtav1"}
X264_PRESETS = (
    "ultrafast",
    "superfast",
    "veryfast",
    "faster",
    "fast",
    "medium",
    "slow",
    "slower",
    "veryslow",
    "placebo",
)
CRF_STEP = {"h264": 0, "hevc": 2, "vp9": 10, "av1": 12}
"""Added to the crf of the settings, which is x264's: about the same look by the other encoders' scales."""
WORST_QP = 36
"""Of 51. A key frame may spend its edge's whole budget; the frames behind it then go beyond the budget, for at a worse
quality a frame of a dissolve is the picture before it once more."""
LEAST_KBIT_S = 100
LEAST_BUFFER_KBIT = 64
CPU_AVX_512F = 13
"""OpenCV's number for it; the Python module has no name."""
BIG_PIXELS = 2_100_000
"""A little over 1080p: larger pictures are encoded with a short lookahead, for each picture held costs 20 MB at 4K."""


@dataclass(frozen=True)
class Budget:
    """What an edge may cost: a rate for its frames, and a buffer for one large picture."""

    kbit_s: int
    buffer_kbit: int


def edge_budget(index: Index, range_pts: tuple[int, int], *, time_base: Fraction) -> Budget:
    """An edge may cost what the source's packets of the same frames cost, plus the largest packet of their GOP (for the
    edge starts with a key frame, and the source had its own further back)."""
    start, end = range_pts
    seconds = max(float((end - start) * time_base), 1e-3)
    first = index.safe_before(start)
    stop = index.last_needed(start, end) + 1
    largest = max(packet.size for packet in index.packets[first:stop])
    rate = index.bytes_within(start, end) * 8 / 1000 / seconds
    return Budget(max(round(rate), LEAST_KBIT_S), max(largest * 8 // 1000, LEAST_BUFFER_KBIT))


def edge_encoder(source: Source, sets: Sets, *, budget: Budget, settings: CutSettings) -> Any:
    """An opened encoder in the source's codec, size and colours, with parameter sets of its own.

    Quality is the settings' crf, capped by the budget. Bytes are the same each time: one thread, for x264 spends a budget as
    its threads happen to run, and no machine-dependent code where it is known to differ. Raises ValueError if no encoder can stand beside these parameter sets.
    """
    encoder: Any = av.CodecContext.create(ENCODERS[source.codec], "w")
    encoder.width, encoder.height = source.coded_size
    encoder.pix_fmt = "yuv420p" if source.codec in ("vp9", "av1") else source.pix_fmt
    encoder.time_base, encoder.framerate = source.time_base, source.rate
    encoder.flags |= GLOBAL_HEADER
    encoder.thread_count, encoder.thread_type = 1, "FRAME"
    primaries, transfer, matrix, colour_range = source.colour
    encoder.color_primaries, encoder.color_trc = primaries or UNKNOWN, transfer or UNKNOWN
    encoder.colorspace, encoder.color_range = matrix, colour_range
    crf = str(min(settings["crf"] + CRF_STEP[source.codec], 51 if source.codec in ("h264", "hevc") else 63))
    preset = settings["preset"] if settings["preset"] in X264_PRESETS else "veryfast"
    encoder.options = {"crf": crf} | OPTIONS[source.codec](source, sets, budget, preset)
    encoder.open()
    return encoder


def _x264(source: Source, sets: Sets, budget: Budget, preset: str) -> dict[str, str]:
    profile, level, _ = h264_shape(sets)
    number = free_id(sets)
    if profile is None or number < 0:
        raise ValueError("no free id, or a profile that x264 does not write for 8-bit 4:2:0")
    params = {
        "sps-id": number,
        "level": f"{level // 10}.{level % 10}",
        "qpmax": WORST_QP,
        "vbv-maxrate": budget.kbit_s,
        "vbv-bufsize": budget.buffer_kbit,
        "vbv-init": 1,
    }
    return {"preset": preset, "profile": profile, "a53cc": "0", "x264-params": x264_params(source.coded_size, params)}


def x264_params(size: tuple[int, int], params: dict[str, Any]) -> str:
    """x264's own options: the given ones, those that keep memory down for large pictures, and those for equal bytes.

    x264's AVX-512 code for macroblock trees reads memory it never wrote, so equal input gives unequal bytes (seen with
    the build in PyAV 18.1: 24 different files in 30 encodes). Its AVX2 code gives the bytes of plain C, every time.
    """
    more: dict[str, Any] = {}
    if size[0] * size[1] > BIG_PIXELS:
        more |= {"rc-lookahead": 3, "sync-lookahead": 0, "bframes": 1, "ref": 1}
    if cv2.checkHardwareSupport(CPU_AVX_512F):
        more["asm"] = "avx2"
    return ":".join(f"{key}={value}" for key, value in (params | more).items())


def _x265(source: Source, __: Sets, budget: Budget, preset: str) -> dict[str, str]:
    """No B-frames: a CRA picture behind the edge may drop pictures that still wait for output (ITU-T H.265, C.5.2.2)."""
    params: dict[str, Any] = {
        "pools": "none",
        "frame-threads": 1,
        "wpp": 0,
        "log-level": "none",
        "info": 0,
        "bframes": 0,
        "open-gop": 0,
        "rc-lookahead": 5,
        "qpmax": WORST_QP,
        "vbv-maxrate": budget.kbit_s,
        "vbv-bufsize": budget.buffer_kbit,
        "vbv-init": 1,
    }
    if source.coded_size[0] * source.coded_size[1] > BIG_PIXELS:
        params |= {"rc-lookahead": 1, "ref": 1}
    return {"preset": preset, "x265-params": ":".join(f"{key}={value}" for key, value in params.items())}


def _vpx(_: Source, __: Sets, budget: Budget, ___: str) -> dict[str, str]:
    """Neither lookahead nor hidden pictures: one packet a frame, in display order."""
    return {
        "deadline": "good",
        "cpu-used": "5",
        "lag-in-frames": "0",
        "auto-alt-ref": "0",
        "row-mt": "0",
        "b": f"{2 * budget.kbit_s}k",
    }


def _svt(source: Source, __: Sets, budget: Budget, preset: str) -> dict[str, str]:
    return {
        "preset": preset if preset.isdigit() else "9",
        "svtav1-params": svt_params(source.coded_size, {"pred-struct": 1}),
    }


def svt_params(size: tuple[int, int], more: dict[str, Any]) -> str:
    """SVT-AV1's own options for equal bytes and a silent encoder, and little memory for large pictures."""
    if size[0] * size[1] > BIG_PIXELS:
        more = more | {"pred-struct": 1}
    os.environ.setdefault("SVT_LOG", "1")
    return ":".join(f"{key}={value}" for key, value in ({"lp": 1, "lookahead": 0} | more).items())


OPTIONS = {"h264": _x264, "hevc": _x265, "vp9": _vpx, "av1": _svt}


def edge_packet(codec: str, packet: Any, sets: Sets, *, signed: bool) -> bytes:
    """An encoder's packet as it goes into the track; HEVC key frames carry their parameter sets with them, H.264 ones
    x264's signature if the copied packets beside them are `signed` too."""
    data = bytes(packet)
    if codec == "hevc":
        pictures = [unit for unit in units(data, 0) if unit[0] >> 1 & 63 not in HEVC_LEFT_OUT | {39, 40}]
        return length_prefixed([*sets, *pictures] if packet.is_keyframe else pictures)
    if codec == "h264":
        kept = units(carried(codec, data, 0), 4)
        return length_prefixed(unit for unit in kept if unit[0] & 31 != H264_SEI or (signed and is_signature(unit)))
    return data


def edge_sets(codec: str, encoder: Any) -> Sets:
    """The parameter sets of an opened edge encoder."""
    return encoder_sets(codec, encoder.extradata)
