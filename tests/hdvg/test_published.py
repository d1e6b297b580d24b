"""Published metadata: every layout is read, every bad entry costs itself only and is named with its place."""

from __future__ import annotations

import csv
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from hdvg.errors import UsageError
from hdvg.published import hd_vg
from hdvg.published.entries import Bad, Entry, Source, stamp_ms, time_ms
from hdvg.published.sets import SETS, find_set
from tests.metadata import flat, hd_vg_videos, stamp

ID, OTHER = "abcDEF-_012", "zzzzzzzzzz9"
LINK = f"https://www.youtube.com/watch?v={ID}"


def read(path: Path, origin: str = "hd-vg", **options: int) -> list[Entry]:
    return list(hd_vg.read(Source(path), **options) if options else SETS[origin].read(Source(path)))


def scenes(entries: list[Entry]) -> list[tuple[Any, ...]]:
    """The good scenes as `flat` has them."""
    return [(entry.link, *one[:7], one[9]) for entry in entries for one in entry.scenes if not isinstance(one, Bad)]


def bad(entries: list[Entry]) -> list[tuple[int, str | None, str]]:
    """Where an entry begins, the name of what is bad of it, and why."""
    return [(entry.at, one.name, one.why) for entry in entries for one in entry.scenes if isinstance(one, Bad)]


def small(count: int = 3, seed: int = 1) -> dict[str, Any]:
    return dict(hd_vg_videos(count, seed=seed, parents=2))


# HD-VG


def test_hd_vg_is_read_as_json_reads_it(tmp_path):
    videos = dict(hd_vg_videos(40, seed=3))
    (tmp_path / "v.json").write_text(json.dumps(videos))
    entries = read(tmp_path / "v.json")
    assert scenes(entries) == flat(videos)
    assert [entry.number for entry in entries] == list(range(1, 41))
    assert bad(entries) == []
    assert any(one[6:8] == (0, -1) for one in scenes(entries))


@pytest.mark.parametrize("style", [{}, {"indent": 2}, {"separators": (",", ":")}, {"ensure_ascii": False}])
def test_window_may_end_at_any_byte(tmp_path, style):
    videos = small(2)
    for number, parent in enumerate(next(iter(videos.values()))["clip"].values()):
        parent["scene_split"][0]["caption"] = ['say "so", {"url": {', "naïve café 東京 🎬", "back \\ slash"][number % 3]
    path = tmp_path / "v.json"
    path.write_text(json.dumps(videos, **style), encoding="utf-8")
    whole = read(path)
    assert scenes(whole) == flat(videos)
    for size in (*range(1, 40), 100, path.stat().st_size - 1):
        assert read(path, size=size) == whole


def test_place_of_an_entry_is_its_byte(tmp_path):
    videos = small(4)
    next(iter(videos.values()))["clip"].popitem()[1]["scene_split"][0]["caption"] = "日本語"
    path = tmp_path / "v.json"
    path.write_text(json.dumps(videos, ensure_ascii=False), encoding="utf-8")
    content = path.read_bytes()
    for size in (7, 1 << 20):
        found = [content[entry.at :][:13].decode() for entry in read(path, size=size)]
        assert found == [f'"{video}"' for video in videos]


def cut(text: str, old: str, new: str, times: int = 1) -> str:
    assert old in text
    return text.replace(old, new, times)


FIRST = '{"scene_cut": [0, 30], "clip_id": "one.0_0", "caption": "first"}'
SECOND = '{"scene_cut": [30, 60], "clip_id": "one.0_1", "caption": "second"}'
THIRD = '{"scene_cut": [0, -1], "clip_id": "one.1_0", "caption": "third"}'
PARENT = f'"one.0.mp4": {{"span": ["00:00:01.000", "00:00:03.000"], "fps": 30.0, "scene_split": [{FIRST}, {SECOND}]}}'
ALONE = f'"one.1.mp4": {{"span": ["00:00:05.000", "00:00:07.500"], "fps": 25, "scene_split": [{THIRD}]}}'
ONE = f'"{ID}": {{"url": "{LINK}", "clip": {{{PARENT}, {ALONE}}}}}'
BEFORE = ONE.replace("one.", "nil.").replace(ID, "nnnnnnnnnnn")
TWO = ONE.replace("one.", "two.").replace(ID, OTHER)

BROKEN: dict[str, tuple[Callable[[str], str], dict[str, int], str]] = {
    # what is done to the middle one of three entries, its scenes that stay or are named bad, a word of the reason
    "no url": (lambda one: cut(one, f'"url": "{LINK}", ', ""), {"good": 0, "bad": 3}, "no `url`"),
    "no clip": (lambda one: cut(one, '"clip"', '"clips"'), {"good": 0, "bad": 1}, "no `clip`"),
    "no span": (lambda one: cut(one, '"span"', '"spun"'), {"good": 1, "bad": 2}, "no `span`"),
    "no fps": (lambda one: cut(one, '"fps": 25, ', ""), {"good": 2, "bad": 1}, "no `fps`"),
    "fps 0": (lambda one: cut(one, '"fps": 25', '"fps": 0'), {"good": 2, "bad": 1}, "fps is 0"),
    "fps NaN": (lambda one: cut(one, '"fps": 25', '"fps": NaN'), {"good": 2, "bad": 1}, "fps is nan"),
    "no scenes": (lambda one: cut(one, FIRST + ", " + SECOND, ""), {"good": 1, "bad": 1}, "empty"),
    "no list of scenes": (lambda one: cut(one, "scene_split", "scenes"), {"good": 1, "bad": 1}, "no `scene_split`"),
    "no scene_cut": (lambda one: cut(one, '"scene_cut": [0, 30], ', ""), {"good": 2, "bad": 1}, "no `scene_cut`"),
    "no clip_id": (lambda one: cut(one, '"clip_id": "one.0_1", ', ""), {"good": 2, "bad": 1}, "no `clip_id`"),
    "no caption": (lambda one: cut(one, ', "caption": "third"', ""), {"good": 2, "bad": 1}, "no `caption`"),
    "span backwards": (lambda one: cut(one, "00:00:07.500", "00:00:04.900"), {"good": 2, "bad": 1}, "backwards"),
    "span empty": (lambda one: cut(one, "00:00:07.500", "00:00:05.000"), {"good": 2, "bad": 1}, "backwards"),
    "span no time": (lambda one: cut(one, "00:00:07.500", "soon"), {"good": 2, "bad": 1}, "no time: 'soon'"),
    "span of one": (lambda one: cut(one, ', "00:00:07.500"', ""), {"good": 2, "bad": 1}, "not enough"),
    "cut backwards": (lambda one: cut(one, "[30, 60]", "[60, 30]"), {"good": 2, "bad": 1}, "backwards"),
    "cut empty": (lambda one: cut(one, "[30, 60]", "[30, 30]"), {"good": 2, "bad": 1}, "backwards"),
    "cut -1 from the middle": (lambda one: cut(one, "[30, 60]", "[30, -1]"), {"good": 2, "bad": 1}, "backwards"),
    "cut a text": (lambda one: cut(one, "[30, 60]", '["a", "b"]'), {"good": 2, "bad": 1}, "'<='"),
    "scene no object": (lambda one: cut(one, FIRST, "7"), {"good": 2, "bad": 1}, ""),
    "entry no object": (lambda one: f'"{ID}": 12', {"good": 0, "bad": 1}, ""),
    "broken inside": (lambda one: cut(one, '"fps": 25', '"fps": 2 5'), {"good": 0, "bad": 1}, "delimiter"),
    "quote missing": (lambda one: cut(one, 'second"', "second"), {"good": 0, "bad": 1}, "broken JSON"),
    "brace missing": (lambda one: one[:-1], {"good": 0, "bad": 1}, "not closed"),
    "two braces missing": (lambda one: one[:-2], {"good": 0, "bad": 1}, "not closed"),
    "bracket missing": (lambda one: cut(one, "]}", "}"), {"good": 0, "bad": 1}, "broken JSON"),
    "control character": (lambda one: cut(one, "second", "sec\x01ond"), {"good": 0, "bad": 1}, "control"),
    "too deep": (lambda one: cut(one, FIRST, "[" * 100_000), {"good": 0, "bad": 1}, "broken JSON"),
}


@pytest.mark.parametrize("kind", BROKEN)
def test_broken_entry_costs_itself_only(tmp_path, kind):
    breaks, counts, word = BROKEN[kind]
    path = tmp_path / "v.json"
    middle = breaks(ONE)
    path.write_text(f"{{{BEFORE}, {middle}, {TWO}}}")
    entries = read(path)
    (mine,) = [entry for entry in entries if entry.at == len(BEFORE) + 3]
    good = len(scenes([mine])) if mine.link else 0
    assert {"good": good, "bad": len(mine.scenes) - good} == counts
    assert word in (bad([mine])[0][2] if bad([mine]) else mine.why)
    others = [entry for entry in entries if entry.at != len(BEFORE) + 3]
    assert scenes(others) == flat(json.loads(f"{{{BEFORE}, {TWO}}}"))
    if kind != "too deep":
        assert all(read(path, size=size) == entries for size in (5, 61, 300))


@pytest.mark.parametrize("place", [0, 1, 2])
def test_brace_missing_at_any_entry_is_found(tmp_path, place):
    three = [BEFORE, ONE, TWO]
    three[place] = three[place][:-1]
    path = tmp_path / "v.json"
    path.write_text(f"{{{', '.join(three)}}}")
    entries = read(path)
    assert len(bad(entries)) == 1
    assert len(scenes(entries)) == 6 + 3 * (place == 2)  # the last one takes the file's own brace, which is then missed


def test_file_that_is_cut_off_gives_what_is_whole(tmp_path):
    path = tmp_path / "v.json"
    for keep in range(len(BEFORE) + 1, len(BEFORE) + len(ONE), 7):
        path.write_text(f"{{{BEFORE}, {ONE}"[:keep])
        entries = read(path)
        assert scenes(entries) == flat(json.loads(f"{{{BEFORE}}}"))
        assert len(bad(entries)) >= 1


def test_brace_too_many_ends_nothing(tmp_path):
    path = tmp_path / "v.json"
    path.write_text(f"{{{BEFORE}}}, {ONE}, {TWO}}}")
    entries = read(path)
    assert scenes(entries) == flat(json.loads(f"{{{BEFORE}, {ONE}, {TWO}}}"))


def test_repeated_keys_are_all_read(tmp_path):
    again = cut(PARENT, "one.0_", "again_", 2)
    path = tmp_path / "v.json"
    more = cut(ONE, PARENT, f"{PARENT}, {again}")
    path.write_text(f"{{{more}}}")
    assert [one[1] for one in scenes(read(path))] == ["one.0_0", "one.0_1", "again_0", "again_1", "one.1_0"]
    path.write_text(f'{{"{ID}": {{"url": "{LINK}", "clip": {{{PARENT}}}, "clip": {{{ALONE}}}}}}}')
    assert [one[1] for one in scenes(read(path))] == ["one.0_0", "one.0_1", "one.1_0"]
    path.write_text(f"{{{ONE}, {ONE}}}")
    assert len(scenes(read(path))) == 6


def test_what_a_scene_says_besides_is_kept(tmp_path):
    path = tmp_path / "v.json"
    more = cut(ONE, FIRST, FIRST[:-1] + ', "score": 0.5}')
    path.write_text(f"{{{more}}}")
    (entry,) = read(path)
    assert [one[10] for one in entry.scenes] == ['{"score": 0.5}', None, None]


@pytest.mark.parametrize("text", ["", "[1, 2]", "<html>", "\ufeff"])
def test_file_that_is_no_object_is_refused(tmp_path, text):
    (tmp_path / "v.json").write_text(text, encoding="utf-8")
    with pytest.raises(UsageError, match="no JSON object"):
        read(tmp_path / "v.json")


def test_byte_order_mark_is_no_text(tmp_path):
    (tmp_path / "v.json").write_text(f"{{{ONE}}}", encoding="utf-8-sig")
    (entry,) = read(tmp_path / "v.json")
    assert (entry.at, len(entry.scenes)) == (4, 3)


# The other sets: a video of two scenes each way they are published


SPANS = [(1_500, 4_250), (61_000, 3_661_007)]
TEXTS = ['a dog, "so" it seems', "l'été à la plage\nby the sea"]
PANDA = {
    "videoID": ID,
    "url": LINK,
    "timestamp": [[stamp(start)[1:], stamp(end)[1:]] for start, end in SPANS],
    "caption": TEXTS,
    "matching_score": [0.5, 0.25],
}
INTERNVID = [
    {"YoutubeID": ID, "Start_timestamp": stamp(start), "End_timestamp": stamp(end), "Caption": text, "UMT_Score": 0.4}
    for (start, end), text in zip(SPANS, TEXTS, strict=True)
]
VIDEOUFO = [
    {"ID": f"{ID}_{number}", "Topic": "dogs", "Detailed_Caption": text, "Brief_Caption": "a dog"}
    | {"Start_Time": stamp(start), "End_Time": stamp(end)}
    for number, ((start, end), text) in enumerate(zip(SPANS, TEXTS, strict=True))
]
HD_VILA = {
    "video_id": ID,
    "url": LINK,
    "clip": [{"clip_id": f"{ID}.{n}.mp4", "span": [stamp(start), stamp(end)]} for n, (start, end) in enumerate(SPANS)],
}


def as_csv(path: Path, rows: list[dict[str, Any]], delimiter: str = ",") -> Path:
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, list(rows[0]), delimiter=delimiter)
        writer.writeheader()
        writer.writerows(rows)
    return path


def as_jsonl(path: Path, rows: list[dict[str, Any]]) -> Path:
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return path


def as_parquet(path: Path, rows: list[dict[str, Any]]) -> Path:
    pq.write_table(pa.Table.from_pylist(rows), path)
    return path


LAYOUTS = {
    "panda-70m csv": ("panda-70m", as_csv, "csv", [PANDA]),
    "panda-70m jsonl": ("panda-70m", as_jsonl, "jsonl", [PANDA]),
    "panda-70m parquet": ("panda-70m", as_parquet, "parquet", [PANDA]),
    "internvid jsonl": ("internvid", as_jsonl, "jsonl", INTERNVID),
    "internvid csv": ("internvid", as_csv, "csv", INTERNVID),
    "internvid parquet": ("internvid", as_parquet, "parquet", INTERNVID),
    "videoufo csv": ("videoufo", as_csv, "csv", [{k.replace("_", " "): v for k, v in row.items()} for row in VIDEOUFO]),
    "videoufo parquet": ("videoufo", as_parquet, "parquet", VIDEOUFO),
    "hd-vila jsonl": ("hd-vila", as_jsonl, "jsonl", [HD_VILA]),
    "hd-vila parquet": ("hd-vila", as_parquet, "parquet", [HD_VILA]),
}


@pytest.mark.parametrize("layout", LAYOUTS)
def test_every_layout_gives_the_same_spans_and_texts(tmp_path, layout):
    origin, write, suffix, rows = LAYOUTS[layout]
    entries = read(write(tmp_path / f"m.{suffix}", rows), origin)
    assert {entry.link for entry in entries} == {LINK}
    found = [one for entry in entries for one in entry.scenes]
    assert [one[7:9] for one in found] == SPANS
    assert [one[9] for one in found] == (TEXTS if SETS[origin].captions else [None, None])
    assert len({one[0] for one in found}) == 2
    assert all(one[0].startswith(ID) and one[1:7] == (None,) * 6 for one in found)


def test_scores_and_topics_go_to_extra(tmp_path):
    (entry,) = read(as_csv(tmp_path / "m.csv", [PANDA]), "panda-70m")
    assert [json.loads(one[10]) for one in entry.scenes] == [{"matching_score": 0.5}, {"matching_score": 0.25}]
    (entry, _) = read(as_jsonl(tmp_path / "m.jsonl", VIDEOUFO), "videoufo")
    assert json.loads(entry.scenes[0][10]) == {"topic": "dogs", "brief_caption": "a dog"}


OPENVID = {
    "video": f"{ID}_34_49to679.mp4", "caption": "a man", "aesthetic score": 5.5, "motion score": 1.2,
    "temporal consistency score": 0.99, "camera motion": "static", "frame": 630, "fps": 29.97, "seconds": 21.02,
}  # fmt: skip


@pytest.mark.parametrize("write", [as_csv, as_parquet])
def test_openvid_names_tell_video_parent_and_frames(tmp_path, write):
    others = [OPENVID | {"video": name} for name in ("pexels_lake_001.mp4", f"{ID}_3_9to9.mp4", "x.mp4")]
    entries = read(write(tmp_path / f"m.{'csv' if write is as_csv else 'parquet'}", [OPENVID, *others]), "openvid")
    (scene,) = entries[0].scenes
    assert entries[0].link == LINK
    assert scene[:10] == (OPENVID["video"], f"{ID}_34", None, None, 29.97, 49, 679, None, None, "a man")
    assert json.loads(scene[10])["camera_motion"] == "static"
    assert [(entry.number, why[1]) for entry, why in zip(entries[1:], bad(entries[1:]), strict=True)] == [
        (2, "pexels_lake_001.mp4"), (3, f"{ID}_3_9to9.mp4"), (4, "x.mp4")
    ]  # fmt: skip


def csv_lines(*lines: str) -> str:
    return "\n".join(["YoutubeID,Start_timestamp,End_timestamp,Caption", *lines]) + "\n"


GOOD = f"{ID},00:00:01.000,00:00:02.000,fine"


@pytest.mark.parametrize(
    ("line", "word"),
    [
        (f'{ID},00:00:01.000,00:00:02.000,"open', "broken CSV"),
        (f"{ID},00:00:01.000,00:00:02.000", "3 cells"),
        (f"{ID},00:00:01.000,00:00:02.000,a,b", "5 cells"),
        (f"{ID},00:00:02.000,00:00:01.000,back", "backwards"),
        (f"{ID},soon,00:00:01.000,when", "no time"),
        (f"{ID},nan,00:00:01.000,when", "no time"),
        ("short,00:00:01.000,00:00:02.000,who", "no YouTube id"),
    ],
)
def test_bad_row_of_a_table_costs_itself_only(tmp_path, line, word):
    (tmp_path / "m.csv").write_text(csv_lines(GOOD, line, GOOD, '"x\ny",2,3,"two\nlines"', GOOD))
    entries = read(tmp_path / "m.csv", "internvid")
    rows = [entry for entry in entries if entry.link]
    assert [entry.at for entry in rows] == [2, 4, 8]
    found = {at: why for at, _, why in bad(entries)}
    assert word in found[3]
    assert set(found) <= {3, 5, 6, 7}  # the row of three lines names no video


def test_quote_that_opens_far_above_takes_no_good_row(tmp_path):
    lines = [f'{ID},00:00:01.000,00:00:02.000,"open', *[GOOD] * 50, f'{ID},00:00:01.000,00:00:02.000,"closed"', GOOD]
    (tmp_path / "m.csv").write_text(csv_lines(*lines))
    entries = read(tmp_path / "m.csv", "internvid")
    assert [entry.at for entry in entries if entry.link] == list(range(3, 55))
    assert [at for at, _, _ in bad(entries)] == [2]


@pytest.mark.parametrize("line", ["{", '{"YoutubeID": "x"}', "[]", "7", '"x"', "null", "[" * 100_000])
def test_bad_line_of_json_costs_itself_only(tmp_path, line):
    path = as_jsonl(tmp_path / "m.jsonl", INTERNVID)
    good = path.read_text()
    path.write_text(f"{line}\n\n{good}")
    entries = read(path, "internvid")
    assert [(entry.at, len(entry.scenes)) for entry in entries if entry.link] == [(3, 1), (4, 1)]
    assert [at for at, _, _ in bad(entries)] == [1]


@pytest.mark.parametrize(
    "change",
    [
        {"timestamp": "[['0:00:01.000', '0:00:02.000']]"},
        {"timestamp": "__import__('os').getcwd()"},
        {"caption": "['one"},
        {"caption": "'text'"},
        {"matching_score": "[0.1]"},
        {"timestamp": "[" * 5000},
    ],
)
def test_row_of_panda_whose_lists_do_not_match_is_bad(tmp_path, change):
    entries = read(as_csv(tmp_path / "m.csv", [PANDA, PANDA | change, PANDA]), "panda-70m")
    assert [entry.number for entry in entries if entry.link] == [1, 3]
    assert [name for _, name, _ in bad(entries)] == [ID]


def test_scene_of_a_list_that_goes_backwards_costs_itself_only(tmp_path):
    clips = [{"clip_id": "a", "span": ["00:00:02", "00:00:01"]}, {"clip_id": "b"}, 7, HD_VILA["clip"][0]]
    entries = read(as_jsonl(tmp_path / "m.jsonl", [HD_VILA | {"clip": clips}]), "hd-vila")
    assert [name for _, name, _ in bad(entries)] == ["a", "b", None]
    assert len(entries[0].scenes) == 4


def test_unknown_set_and_suffix_are_told(tmp_path):
    with pytest.raises(UsageError, match="did you mean `panda-70m`"):
        find_set("panda70m")
    (tmp_path / "m.txt").write_text("x")
    with pytest.raises(UsageError, match=r"\.parquet"):
        read(tmp_path / "m.txt", "internvid")


@pytest.mark.parametrize(
    ("text", "ms"),
    [("00:00:17.759", 17_759), ("1:02:03.4", 3_723_400), ("2:03", 123_000), ("100:00:00", 360_000_000), ("0:00:01.0019", 1_001)],
)  # fmt: skip
def test_stamps_are_milliseconds(text, ms):
    assert stamp_ms(text) == ms


def test_times_may_be_seconds():
    assert (time_ms("12.5"), time_ms(12.5), time_ms("0:12.5"), time_ms(3)) == (12_500, 12_500, 12_500, 3_000)
    for wrong in ("1:2", "-0:01", "1:٠1", "inf", "a"):
        with pytest.raises(ValueError, match="no time"):
            time_ms(wrong)
