"""Which bytes of a source show given spans: found by doing to the bytes that have come what later stages will do to them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

from hdvg.config.child_settings import Scene
from hdvg.errors import ItemError
from hdvg.media import calls
from hdvg.media.boxes import FIRST, Box, is_fragmented, read_exactly, references, top_boxes
from hdvg.media.decode import Decoder, open_video
from hdvg.media.excerpt import OPENING, Excerpt, Filler, HoleError, Piece, merged, missing, without
from hdvg.media.pieces import Done, FileAsked, Found, Need, PlaylistAsked, Whole
from hdvg.media.runs import Range, Spans, There, look_at_packets, look_at_segments

BLOCK = 1 << 16
GROWS = 6
"""A block doubles with every round from the third, so often: rounds are dear, and who reads on reads much."""
GAP = 1 << 16
"""Bytes between two ranges that are fetched with them: a request is dearer."""
WORTH = 0.9
"""Share of the source from which all of it is fetched."""
BEHIND = frozenset({b"mfra", b"free", b"skip", b"uuid", b"meta"})
"""Boxes that may stand behind the last fragment."""
HEAD_S = 2.0
"""Seconds of fragments from which FFmpeg has learnt what it must know of a stream; of MPEG-TS it reads as far as it likes."""

T = TypeVar("T")


class WholeError(Exception):
    """The source cannot be taken apart, and why."""


class NeedError(Exception):
    """More must come before anything else can be said: ranges of bytes, or numbers of segments."""

    def __init__(self, need: Sequence[Any]) -> None:
        super().__init__(f"{need}")
        self.need = need


@calls.plan.serves
def plan(
    path: str, asked: FileAsked | PlaylistAsked, scenes: list[Scene], mode: str, max_pixels: int
) -> Need | Whole | Done:
    """What is to be fetched next of a source, some bytes of which lie in `path`; `mode` is config.Split's `given`."""
    spans = Spans(scenes, mode, max_pixels)
    try:
        if "seconds" in asked:
            return {"done": _playlist(path, asked, spans)}
        return {"done": _bytes(path, asked, spans)}
    except NeedError as error:
        return {"need": list(error.need)}
    except WholeError as error:
        return {"whole": str(error)}
    except ItemError as error:
        return {"whole": f"its frames are not found by an index ({error})"}


@dataclass(frozen=True)
class _Held:
    """What has come of a file."""

    path: Path
    size: int
    pieces: list[Piece]
    block: int
    spans: Spans

    def open(self, filler: Filler = "zeros", *, strict: bool = False, hidden: Sequence[Range] = ()) -> Excerpt:
        """The file as far as it is there."""
        pieces = without(self.pieces, list(hidden))
        return Excerpt(self.path.open("rb"), pieces, size=self.size, filler=filler, strict=strict)

    def has(self, start: int, end: int) -> bool:
        return not missing([(start, end)], self.pieces)

    def must(self, ranges: Sequence[Range]) -> None:
        """Raise NeedError for what of the ranges is not there."""
        if lost := missing(ranges, self.pieces):
            raise NeedError(lost)

    def tried(self, do: Callable[[Excerpt], T], filler: Filler = "zeros") -> T:
        """What `do` returns of the file, if it reads no byte that is not there; else raises NeedError with those."""
        found, failed = None, None
        with self.open(filler, strict=True) as source:
            try:
                found = do(source)
            except (HoleError, ItemError, OSError, ValueError) as error:
                failed = error
            if source.missed:
                self.must([(source.missed[0], min(source.missed[0] + self.block, self.size))])
        if isinstance(failed, ItemError):
            raise failed
        if failed is not None:
            raise WholeError(f"a broken index ({type(failed).__name__})")
        return found  # type: ignore[return-value]  # `do` has returned it


def _bytes(path: str, asked: FileAsked, spans: Spans) -> Found:
    pieces = [(int(start), int(end), int(at)) for start, end, at in asked["pieces"]]
    block = BLOCK << min(max(asked["round"] - 2, 0), GROWS)
    held = _Held(Path(path), int(asked["size"]), pieces, block, spans)
    held.must([(0, min(BLOCK, held.size))])
    head = held.tried(lambda source: read_exactly(source, 0, min(16, held.size)))
    if head[4:8] in FIRST:
        filler, need, hidden = _mp4(held)
    elif head[:4] == b"\x1a\x45\xdf\xa3":
        filler, (need, hidden) = "void", _clusters(held)
    else:
        raise WholeError("neither MP4 nor Matroska: nothing tells where its frames lie")
    wanted = merged(need, gap=GAP)
    if sum(end - start for start, end in merged([*wanted, *pieces])) > WORTH * held.size:
        raise WholeError("the spans are nearly all of it")
    held.must(wanted)
    kept = sorted(without(pieces, hidden))
    return {"size": held.size, "filler": filler, "pieces": kept, "numbers": []}


def _mp4(held: _Held) -> tuple[Filler, list[Range], list[Range]]:
    """Of an MP4 file: filler, the bytes that are needed, and what is to be hidden."""
    boxes, fragmented = held.tried(_index_boxes)
    held.must([(box.start, box.end) for box in boxes if box.kind in (b"moov", b"sidx")])
    held.tried(lambda source: _first_frame(source, held.spans))
    if not fragmented:
        return "zeros", look_at_packets(held.open, held.spans), []
    indexes = [box for box in boxes if box.kind == b"sidx"]
    if not indexes:
        raise WholeError("fragments without an index (`sidx`)")
    found = held.tried(lambda source: references(source, indexes[0]))
    if found[-1].end + 8 <= held.size:
        behind = held.tried(lambda source: read_exactly(source, found[-1].end, 8))[4:]
        if behind not in BEHIND:
            raise WholeError("`sidx` tells of a part of the file only")
    segments = [(one.start, one.end) for one in found]
    head = missing([(0, found[0].start)], [(box.start, box.end) for box in indexes])
    return "free", *_segments(held, "free", [one.seconds for one in found], segments, head)


def _index_boxes(source: Excerpt) -> tuple[list[Box], bool]:
    """The boxes up to the index, or to the first fragment if the media is in fragments, and whether it is."""
    boxes: list[Box] = []
    fragmented = False
    for box in top_boxes(source):
        if fragmented and box.kind in (b"moof", b"mdat"):
            break
        boxes.append(box)
        if box.kind == b"moov":
            fragmented = is_fragmented(source, box)
            if not fragmented:
                break
    if not any(box.kind == b"moov" for box in boxes):
        raise WholeError("no index (`moov`)")
    return boxes, fragmented


def _clusters(held: _Held) -> tuple[list[Range], list[Range]]:
    """Of a Matroska file, by its Cues, of which FFmpeg makes index entries: what is needed, what is to be hidden."""
    held.tried(lambda source: _first_frame(source, held.spans), "void")

    def cues(source: Excerpt) -> dict[int, float]:
        with open_video(source, max_pixels=held.spans.max_pixels) as (container, stream):
            container.seek(max(container.duration or 0, 1), backward=True)
            return {one.pos: float(one.timestamp * stream.time_base) for one in reversed(list(stream.index_entries))}

    starts = {pos: at_s for pos, at_s in held.tried(cues, "void").items() if 0 < pos < held.size}
    places = sorted(starts)
    if len(places) < 2 or [starts[pos] for pos in places] != sorted(starts.values()):
        raise WholeError("no Cues, or such whose times go back")
    segments = list(zip(places, [*places[1:], held.size], strict=True))
    tail = [(start, end) for start, end, _ in held.pieces if start > places[-1] and end == held.size]
    return _segments(held, "void", [starts[pos] for pos in places], segments, [(0, places[0]), *tail])


def _segments(
    held: _Held, filler: Filler, starts: list[float], segments: list[Range], beside: list[Range]
) -> tuple[list[Range], list[Range]]:
    """Of a file in segments: the bytes of those that show the spans; and what is to be hidden, for fillers stand between whole
    segments only: all but those that are there and what is `beside` them."""
    held.must([(0, segments[0][1])])
    there = [There(number, *one) for number, one in enumerate(segments) if held.has(*one)]
    hidden = missing([(0, held.size)], [*beside, *((one.start, one.end) for one in there)])
    need = look_at_segments(lambda: held.open(filler, hidden=hidden), starts, there, held.spans)
    return [segments[number] for number in need], hidden


def _first_frame(source: Excerpt, spans: Spans) -> None:
    """Open the file and decode its first frame, as every later stage does."""
    with open_video(source, max_pixels=spans.max_pixels) as (container, stream):
        Decoder(container, stream).first_picture()


def _playlist(path: str, asked: PlaylistAsked, spans: Spans) -> Found:
    """Of segments that are files of their own: they stand one behind the other."""
    starts = [float(one) for one in asked["seconds"]]
    pieces, numbers, at = [], [], 0
    for number, place, size in sorted(asked["pieces"]):
        pieces.append((at, at + size, place))
        numbers.append(int(number))
        at += size
    first = [-1, 0] if asked["init"] else [0]
    _must(first, numbers)
    run = next((count for count, number in enumerate(numbers) if number != count + first[0]), len(numbers))
    further = numbers[run - 1] + 1

    def look() -> Excerpt:
        return Excerpt(Path(path).open("rb"), pieces, size=at, filler="none")

    with look() as source:
        _first_frame(source, spans)
        reach = (
            OPENING if asked["init"] and starts[min(further, len(starts) - 1)] >= HEAD_S else max(source.reach, OPENING)
        )
        if further < len(starts) and reach >= pieces[run - 1][1]:
            _must([further], numbers)
    there = [There(max(number, 0), start, end) for number, (start, end, _) in zip(numbers, pieces, strict=True)]
    need = look_at_segments(look, starts, there, spans)
    if len(need | {*numbers}) - len(first) > WORTH * len(starts):
        raise WholeError("the spans are nearly all of it")
    _must(sorted(need), numbers)
    return {"size": at, "filler": "none", "pieces": pieces, "numbers": numbers}


def _must(need: Sequence[int], have: Sequence[int]) -> None:
    if lost := [number for number in need if number not in have]:
        raise NeedError(lost)
