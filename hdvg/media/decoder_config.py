"""The decoder records of mp4 (avcC, hvcC) for streams that hold two encoders' pictures."""

from __future__ import annotations

import av

from hdvg.media.bitstream import open_syntax
from hdvg.media.parameter_sets import H264_PPS, H264_SPS, Bits, Sets, set_key, unescaped

WITH_CHROMA = frozenset({100, 110, 122, 244, 44, 83, 86, 118, 128, 138, 139, 134, 135})
"""H.264 profiles whose SPS states the chroma format."""
H264_PROFILES = {66: "baseline", 77: "main", 100: "high"}


def avcc(sets: Sets, pix_fmt: str) -> bytes:
    """An avcC with all of these SPS and PPS; its profile is the first's, its level the highest."""
    sps = [one for one in sets if one[0] & 31 == H264_SPS]
    pps = [one for one in sets if one[0] & 31 == H264_PPS]
    parts = [bytes([1, sps[0][1], sps[0][2], max(one[3] for one in sps), 0xFF, 0xE0 | len(sps)])]
    parts += [len(one).to_bytes(2) + one for one in sps]
    parts += [bytes([len(pps)]), *(len(one).to_bytes(2) + one for one in pps)]
    if sps[0][1] in WITH_CHROMA:
        parts.append(bytes([*_samples(pix_fmt), 0]))
    return b"".join(parts)


def hvcc(sets: Sets, pix_fmt: str) -> bytes:
    """An hvcC without parameter sets, for `hev1`, where they stand in the band."""
    sps = unescaped(next(one for one in sets if one[0] >> 1 & 63 == 33))
    layers, nested = (sps[2] >> 1 & 7) + 1, sps[2] & 1
    tail = [0xF0, 0, 0xFC, *_samples(pix_fmt), 0, 0, layers << 3 | nested << 2 | 3, 0]
    return bytes([1]) + sps[3:15] + bytes(tail)


def _samples(pix_fmt: str) -> tuple[int, int, int]:
    """chroma_format_idc and the bit depths of luma and chroma, as both records write them (ISO/IEC 14496-15)."""
    pixels = av.VideoFormat(pix_fmt, 16, 16)
    chroma = [(part.width, part.height) for part in pixels.components[1:2]]
    idc = {(): 0, (8, 8): 1, (8, 16): 2}.get(chroma[0] if chroma else (), 3)
    depth = 0xF8 | (pixels.components[0].bits - 8)
    return 0xFC | idc, depth, depth


def free_id(sets: Sets) -> int:
    """The smallest id that no SPS and no PPS of an H.264 stream has; -1 if all 32 are taken."""
    taken = {number for kind, number in (set_key("h264", one) for one in sets) if kind in (H264_SPS, H264_PPS)}
    return next(iter(sorted(set(range(32)) - taken)), -1)


def encoder_sets(codec: str, extradata: bytes | None) -> Sets:
    """The parameter sets an encoder announces."""
    return open_syntax(codec, extradata).sets


def h264_shape(sets: Sets) -> tuple[str | None, int, bool]:
    """(profile an edge must be encoded in, level, progressive) of the first SPS; a profile of None has no edge."""
    sps = next((one for one in sets if one[0] & 31 == H264_SPS), None)
    if sps is None:
        return None, 0, False
    return H264_PROFILES.get(sps[1]), sps[3], _frames_only(sps)


def _frames_only(sps: bytes) -> bool:
    """frame_mbs_only_flag of an H.264 SPS (ITU-T H.264, 7.3.2.1.1)."""
    bits = Bits(sps[4:])
    bits.ue()
    if sps[1] in WITH_CHROMA:
        chroma = bits.ue()
        bits.u(1 if chroma == 3 else 0)
        bits.ue(), bits.ue(), bits.u(1)
        if bits.u(1):
            for number in range(12 if chroma == 3 else 8):
                _skip_scaling(bits, 16 if number < 6 else 64)
    bits.ue()
    order = bits.ue()
    if order == 0:
        bits.ue()
    elif order == 1:
        bits.u(1), bits.se(), bits.se()
        for _ in range(bits.ue()):
            bits.se()
    bits.ue(), bits.u(1), bits.ue(), bits.ue()
    return bool(bits.u(1))


def _skip_scaling(bits: Bits, size: int) -> None:
    if not bits.u(1):
        return
    last = after = 8
    for _ in range(size):
        if after:
            after = (last + bits.se()) % 256
        last = after or last
