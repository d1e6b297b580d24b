"""Subtitles become lines with times: the right track, nothing said twice, no names, and never at the video's cost."""

from __future__ import annotations

import json
import random

import pytest

from hdvg.config.fetch import Fetch
from hdvg.config.recipe import parse_recipe
from hdvg.errors import UsageError
from hdvg.planning import make_plan
from hdvg.sandbox import Sandbox
from hdvg.sources import subtitles
from hdvg.sources.client import Client
from hdvg.sources.cues import LINE_CHARS, READERS, read_lines
from hdvg.sources.fetch import PRELOAD, fetch, look
from hdvg.sources.hosts import HostGate
from hdvg.sources.info import BESIDE_KEYS
from hdvg.sources.people import People
from hdvg.sources.subtitles import choose, language_tag, spoken_language
from tests import servers as web

MEDIA = b"\0\0\0\x18ftypmp42" + random.Random(0).randbytes(50_000)
SETTINGS = Fetch(silence_s=15, wall_s=60, tries=2, max_wait_s=0.1)

VTT = """WEBVTT - a title
X-TIMESTAMP-MAP=LOCAL:00:00:00.000,MPEGTS:0

STYLE
::cue { color: red }

NOTE nobody says this

a name of the cue
00:00.500 --> 00:01.250 align:start
<v Someone>It is <i>cold</i> &amp; dark</v>
on the moon

2
01:00:02.000 --> 01:00:03.000
- Yes.
"""
SRT = "1\r\n00:00:00,500 --> 00:00:01,250\r\n{\\an8}It is <b>cold</b> & dark\r\non the moon\r\n\r\n2\r\n01:00:02,0 --> 01:00:03,000\r\n- Yes.\r\n"
TTML = """<?xml version="1.0" encoding="UTF-8"?>
<tt xmlns="http://www.w3.org/ns/ttml"><head><metadata>nobody says this</metadata></head><body><div>
<p begin="0.5s" end="00:00:01.250">It is <span style="x">cold</span> &amp; dark<br/>on the moon</p>
<p begin="01:00:02.000" dur="1s">- Yes.</p></div></body></tt>"""
JSON3 = json.dumps(
    {
        "events": [
            {"tStartMs": 0, "dDurationMs": 9_000_000, "id": 1, "wpWinPosId": 1},
            {"tStartMs": 500, "dDurationMs": 750, "segs": [{"utf8": "It is cold & dark\non the moon"}]},
            {"tStartMs": 3602000, "dDurationMs": 1000, "segs": [{"utf8": "- Yes."}]},
        ]
    }
)


def lines(text: str, form: str = "vtt") -> list[tuple]:
    return [(line.start_s, line.end_s, line.text) for line in read_lines(text.encode(), form)]


def rolling(*events: tuple[int, int, list[tuple[str, int]]]) -> str:
    """Automatic captions as the large site gives them: each line ends with an event that breaks the line."""
    found = []
    for start_ms, length_ms, words in events:
        found.append({"tStartMs": start_ms, "dDurationMs": length_ms, "segs": [
            {"utf8": word, "tOffsetMs": offset_ms} if offset_ms else {"utf8": word} for word, offset_ms in words]})  # fmt: skip
        found.append({"tStartMs": start_ms + 1, "dDurationMs": 1, "aAppend": 1, "segs": [{"utf8": "\n"}]})
    return json.dumps({"wireMagic": "pb3", "events": found})


# What files say


@pytest.mark.parametrize(
    ("form", "text"), [("vtt", VTT), ("srt", SRT), ("ttml", TTML), ("dfxp", TTML), ("json3", JSON3)]
)
def test_every_format_says_the_same_without_its_markup(form, text):
    assert lines(text, form) == [(0.5, 1.25, "It is cold & dark on the moon"), (3602.0, 3603.0, "- Yes.")]


def test_words_that_are_no_markup_stay():
    said = "WEBVTT\n\n00:01.000 --> 00:02.000\n1 < 2 and 3 > 2 [Music] {yes}\n"
    assert lines(said) == [(1.0, 2.0, "1 < 2 and 3 > 2 [Music] {yes}")]


def test_captions_that_roll_up_are_said_once():
    """As the large site writes its automatic captions in WebVTT."""
    rolls = "\n\n".join(
        ["WEBVTT\nKind: captions", "00:00.000 --> 00:02.000\n \nhello<00:00:00.500><c> big</c> world",
         "00:02.000 --> 00:02.010\nhello big world\n ", "00:02.010 --> 00:04.000\nhello big world\nit turns",
         "00:04.000 --> 00:04.010\nit turns\n ", "00:04.010 --> 00:06.000\nit turns\nit turns"]
    )  # fmt: skip
    assert lines(rolls) == [(0.0, 2.0, "hello big world"), (2.01, 4.0, "it turns"), (4.01, 6.0, "it turns")]


def test_line_that_is_said_twice_stays_twice():
    cues = "WEBVTT\n\n00:01.000 --> 00:02.000\nNo.\n\n00:02.000 --> 00:03.000\nNo.\n"
    assert lines(cues) == [(1.0, 2.0, "No."), (2.0, 3.0, "No.")]


def test_words_of_automatic_captions_have_their_times_and_lines_end_where_the_next_begins():
    text = rolling((100, 4000, [("so the", 0), (" earth", 700), (" turns", 1000)]), (1500, 2000, [("twice", 0)]))
    first, second = read_lines(text.encode(), "json3")
    assert (first.start_s, first.end_s, first.text) == (0.1, 1.5, "so the earth turns")
    # `the` begins at the fourth of the seven letters before `earth`
    assert first.word_starts_s == pytest.approx((0.1, 0.1 + 0.7 * 3 / 7, 0.8, 1.1), abs=1e-3)
    assert (second.start_s, second.end_s, second.word_starts_s) == (1.5, 3.5, None)


ODD = {
    "empty": b"",
    "a page": b"<!DOCTYPE html><html><body>Sorry</body></html>",
    "binary": random.Random(1).randbytes(5000),
    "deep": b"[" * 200_000,
    "null": b"null",
    "events of odd types": b'{"events": [null, 3, {"segs": 7, "tStartMs": 1}, {"segs": [1], "tStartMs": "x"}]}',
    "no times": b'{"events": [{"segs": [{"utf8": "hi"}]}]}',
    "endless times": b'{"events": [{"segs": [{"utf8": "hi", "tOffsetMs": 1e999}, {"utf8": " you"}], "tStartMs": NaN, "dDurationMs": 1}]}',
    "entities": b'<!DOCTYPE a [<!ENTITY b "bbbbbbbbbb">' + b"".join(b'<!ENTITY %c "%s">' % (c, b"&%c;" % (c - 1) * 50)
        for c in range(99, 110)) + b']><tt><p begin="1s" end="2s">&m;</p></tt>',
    "backwards": b"WEBVTT\n\n00:05.000 --> 00:02.000\nhi\n\n99:99.000 --> nothing\nhi\n",
}  # fmt: skip


@pytest.mark.parametrize("form", READERS)
@pytest.mark.parametrize("data", ODD.values(), ids=ODD)
def test_what_is_no_file_of_subtitles_says_nothing(data, form):
    assert read_lines(data, form) == []


def test_word_times_beyond_all_bounds_are_unknown():
    said = b'{"events": [{"tStartMs": 0, "dDurationMs": 10, "segs": [{"utf8": "hi"}, {"utf8": " you", "tOffsetMs": 1e999}]}]}'
    assert [(line.text, line.word_starts_s) for line in read_lines(said, "json3")] == [("hi you", None)]


def test_lines_are_bounded():
    (line,) = read_lines(b"WEBVTT\n\n00:01.000 --> 00:02.000\n" + b"word " * 10_000, "vtt")
    assert len(line.text) <= LINE_CHARS


# Which track


def form(ext: str = "vtt", url: str = "https://host.test/x", **more: object) -> dict:
    return {"ext": ext, "url": url, **more}


HEARD = "https://host.test/api?kind=asr&lang=en"
TALK = {
    "subtitles": {
        "live_chat": [form("json", protocol="youtube_live_chat_replay")],
        "pt-BR": [form()],
        "de": [form("srv1"), form("ttml"), form("json3")],
        "zh-Hant-TW": [form()],
        "fr": [form("ass")],
    },
    "automatic_captions": {
        "en-orig": [form("json3", HEARD)],
        "en": [form("json3", HEARD)],
        "fr": [form("json3", f"{HEARD}&tlang=fr")],
    },
}


def chosen(languages: str, said: dict = TALK, *, automatic: bool = True) -> tuple | None:
    track = choose(said, languages.split(), automatic=automatic)
    return track and (track.name, track.origin, track.form["ext"])


def test_first_wanted_language_that_somebody_wrote_is_taken():
    assert chosen("it de pt") == ("de", "manual", "json3")
    assert chosen("pt de") == ("pt-BR", "manual", "vtt")
    assert chosen("zh") == ("zh-Hant-TW", "manual", "vtt")
    assert chosen("pt-PT") is None


def test_written_subtitles_win_over_heard_ones_whatever_the_order():
    assert chosen("en de") == ("de", "manual", "json3")
    assert chosen("en") == ("en-orig", "automatic", "json3")
    assert chosen("en", automatic=False) is None


def test_translation_by_machine_is_never_taken():
    assert chosen("fr") is None
    marked = {"automatic_captions": {"en": [form(url=f"{HEARD}&tlang=en")], "yue": [form()]}}
    assert chosen("en", marked) is None
    assert chosen("yue", marked) == ("yue", "automatic", "vtt")


def test_of_several_heard_languages_only_the_spoken_one_is_sure():
    both = {"automatic_captions": {"en": [form()], "de": [form()]}}
    assert chosen("en", both) is None
    assert chosen("en", both | {"language": "de"}) is None
    assert chosen("*", both | {"language": "de-AT"}) == ("de", "automatic", "vtt")


def test_any_language_is_the_videos_own_first():
    assert chosen("*", TALK | {"language": "zh"}) == ("zh-Hant-TW", "manual", "vtt")
    assert chosen("nl *", {"subtitles": {"English": [form()]}}) == ("English", "manual", "vtt")
    assert chosen("*", {"subtitles": {"en": [form("ass"), form(protocol="http_dash_segments")]}}) is None


@pytest.mark.parametrize(
    ("said", "tag"),
    [("en", "en"), ("EN_us", "en-US"), ("deu", "de"), ("zh-hant-tw", "zh-Hant-TW"), ("es-419", "es-419"), ("en-orig", "en"),
     ("en-eEY6OEpapPo", "en"), ("English", None), ("live_chat", None), ("", None), (None, None), (7, None)],
)  # fmt: skip
def test_languages_are_tags(said, tag):
    assert language_tag(said) == tag


def test_language_of_the_video_is_what_its_source_prefers():
    sounds = [{"language": "en", "language_preference": 10}, {"language": "de", "language_preference": -1}, {}]
    assert spoken_language({"formats": sounds}) == "en"
    assert spoken_language({"formats": sounds, "language": "fr-CA"}) == "fr-CA"
    assert spoken_language({"formats": [{"language": "en"}, {"language": "de"}]}) is None
    assert spoken_language(TALK) == "en"


# In the recipe


def test_only_asking_for_subtitles_names_downloads_anew():
    def name(**fetch: object) -> str:
        recipe = parse_recipe({"caption": {"captioner": "none"}, "fetch": fetch})
        return make_plan(recipe).fingerprints["download"]

    assert name() == name(subtitles=[]) == name(automatic_subtitles=False)
    assert len({name(), name(subtitles=["en"]), name(subtitles=["en"], automatic_subtitles=False)}) == 3
    assert name() == "141b08a971d7"  # as ever


@pytest.mark.parametrize("language", ["English", "", "en,de", "e", "**"])
def test_language_that_is_none_is_refused(language):
    with pytest.raises(UsageError, match="subtitles"):
        parse_recipe({"fetch": {"subtitles": [language]}})


# In the child


@pytest.fixture(scope="module")
def sandbox():
    lock = Sandbox(preload=PRELOAD)
    yield lock
    lock.close()


@pytest.fixture
def server():
    with web.HostileServer() as running:
        running.add("/film.mp4", web.body(MEDIA))
        yield running


@pytest.fixture
def take(sandbox, tmp_path):
    def run(source, *, act=fetch, **changed):
        settings = SETTINGS.model_copy(update={"subtitles": ("en",)} | changed)
        return act(source, scratch=tmp_path, settings=settings, sandbox=sandbox, gate=HostGate(4, 0, 2))

    return run


TRACKS = '<track kind="subtitles" src="/de.vtt" srclang="de"><track kind="subtitles" src="/en.vtt" srclang="en">'


def film(server, *answers, tracks=TRACKS):
    """The address of a page whose film has subtitles."""
    server.add("/en.vtt", *answers)
    return server.add("/page", web.page(f'<video src="/film.mp4">{tracks}</video>'))


def said(got) -> list[str]:
    return [line["text"] for line in got.info["subtitles"]]


def test_subtitles_of_a_page_come_with_its_video(server, take, tmp_path):
    got = take(film(server, web.body(VTT.encode(), "text/vtt")))
    assert got.path.read_bytes() == MEDIA
    assert got.info["subtitles"][0] == {
        "start_s": 0.5, "end_s": 1.25, "text": "It is cold & dark on the moon", "word_starts_s": None
    }  # fmt: skip
    assert [got.info[name] for name in BESIDE_KEYS[3:]] == ["en", "manual", None]
    assert (server.hits["/en.vtt"], server.hits["/de.vtt"]) == (1, 0)
    assert [path for path in tmp_path.rglob("*") if path.is_file()] == [got.path]


def test_nothing_is_asked_for_unless_the_recipe_does(server, take):
    address = film(server, web.body(VTT.encode(), "text/vtt"))
    got = take(address, subtitles=())
    take(address, act=look)
    assert [got.info[name] for name in BESIDE_KEYS] == [None] * len(BESIDE_KEYS)
    assert (server.hits["/en.vtt"], server.hits["/de.vtt"]) == (0, 0)


def segmented(server, segments) -> str:
    """The address of an HLS film of two segments, with subtitles in segments."""
    for number, segment in enumerate(segments):
        server.add(f"/{number}.ts", web.body(MEDIA, "video/mp2t"))
        server.add(f"/{number}.vtt", web.body(segment, "text/vtt"))
    server.add_hls("/film.m3u8", ["/0.ts", "/1.ts"])
    server.add_hls("/en.m3u8", ["/0.vtt", "/1.vtt"])
    master = '#EXTM3U\n#EXT-X-MEDIA:TYPE=SUBTITLES,GROUP-ID="s",NAME="E",LANGUAGE="en",URI="/en.m3u8"\n'
    master += '#EXT-X-STREAM-INF:BANDWIDTH=90000,RESOLUTION=64x36,SUBTITLES="s"\n/film.m3u8\n'
    return server.add("/master.m3u8", web.body(master.encode(), "application/vnd.apple.mpegurl"))


def test_subtitles_in_segments_are_put_together(server, take):
    head = "WEBVTT\nX-TIMESTAMP-MAP=LOCAL:00:00:00.000,MPEGTS:900000\n\n"
    cues = "00:0{0}.500 --> 00:0{0}.900\nline {0}\n\n00:01.000 --> 00:03.000\nover both\n"
    segments = [(head + cues.format(number)).encode() for number in range(2)]
    assert said(take(segmented(server, segments))) == ["line 0", "over both", "line 1"]


@pytest.mark.parametrize("segment", [b"WEBVTT\n\nno cue\nat all", b"", b"\xff\xfe\xff", b"<html>"])
def test_broken_segments_cost_nothing_but_the_subtitles(server, take, segment):
    got = take(segmented(server, [segment, segment]))
    assert got.path.stat().st_size == 2 * len(MEDIA)
    assert got.info["subtitles_note"] == ("unreadable" if segment else "not_media")  # yt-dlp's word for no bytes


BROKEN = {
    "gone": (web.status(404), "gone", 1),
    "refused": (web.status(403), "blocked", 1),
    "throttled": (web.status(429, Retry_After="0"), "throttled", 2),
    "a page": (web.page("Sorry"), "unreadable", 1),
    "long": (web.body(b"WEBVTT\n\n" + bytes(9 << 20), "text/vtt"), "too_big", 1),
    "without end": (web.endless("text/vtt"), "too_big", 1),
    "bomb": (web.bomb(20, "text/vtt"), "too_big", 1),
    "opted out": (web.body(VTT.encode(), "text/vtt", TDM_Reservation="1"), "opt_out", 1),
    "inside": (web.redirect("http://127.0.0.2:9/x.vtt"), "forbidden_address", 1),
}


@pytest.mark.parametrize(("answer", "note", "hits"), BROKEN.values(), ids=BROKEN)
def test_broken_subtitles_cost_nothing_but_themselves(server, take, answer, note, hits):
    got = take(film(server, answer))
    assert got.path.read_bytes() == MEDIA
    assert (got.info["subtitles"], got.info["subtitles_origin"], got.info["subtitles_note"]) == (None, None, note)
    assert server.hits["/en.vtt"] == hits


def test_what_may_pass_is_tried_again(server, take):
    got = take(film(server, web.status(503), web.body(VTT.encode(), "text/vtt")))
    assert len(said(got)) == 2


def test_host_that_says_nothing_more_is_waited_for_a_while_only(server, tmp_path, monkeypatch):
    monkeypatch.setattr(subtitles, "WALL_S", 1.5)
    lock = Sandbox(preload=("hdvg.sources.ytdlp", "tests.hdvg.test_subtitles:hurry"))
    try:
        got = fetch(
            film(server, web.drip(VTT.encode(), 0.5, "text/vtt")), scratch=tmp_path,
            settings=SETTINGS.model_copy(update={"subtitles": ("en",)}), sandbox=lock, gate=HostGate(4, 0, 2),
        )  # fmt: skip
    finally:
        lock.close()
    assert got.path.read_bytes() == MEDIA
    assert got.info["subtitles_note"] == "timeout"


def hurry() -> None:
    """In the server of children: subtitles may take a second and a half."""
    subtitles.WALL_S = 1.5


def test_language_that_is_not_there_is_said(server, take):
    got = take(film(server, web.body(VTT.encode(), "text/vtt")), subtitles=("fr",))
    assert got.info["subtitles_note"] == "not_offered"
    assert server.hits["/en.vtt"] == 0


# Names and bounds, as `beside` keeps them

SAID = {"uploader": "Jane Doe", "channel": "The Moon Channel"}


def came(text: str, **more: object) -> dict:
    """Of a page that holds the subtitles itself: nothing is asked for."""
    info = SAID | {"subtitles": {"en": [{"ext": "json3", "data": text}]}} | more
    settings = SETTINGS.model_copy(update={"subtitles": ("en",)}).model_dump()
    reach = {"proxy": None, "ca_pem": None}
    return subtitles.beside(Client(settings | reach, []), info, settings)


def test_names_of_the_makers_are_masked_in_lines_and_chapters():
    text = rolling(
        (0, 2000, [("hi", 0), (" I'm", 200), (" Jane", 400), (" Doe", 600)]), (2000, 2000, [("so", 0), (" what", 500)])
    )
    got = came(text, chapters=[{"start_time": 0, "end_time": 4.0, "title": "Jane Doe, jane@doe.org, says hi"}])
    assert [line["text"] for line in got["subtitles"]] == ["hi I'm <name>", "so what"]
    assert [line["word_starts_s"] for line in got["subtitles"]] == [None, [2.0, 2.5]]
    assert got["chapters"] == [{"start_s": 0.0, "end_s": 4.0, "title": "<name>, <email>, says hi"}]
    assert People(SAID).mask(str(got)) == str(got)


@pytest.mark.parametrize(
    "odd", [7, "x", {}, [None], ["x"], [{"start_time": "x", "end_time": None}], [{"start_time": 5, "end_time": 2}]]
)
def test_odd_chapters_are_none(odd):
    assert came(JSON3, chapters=odd)["chapters"] is None


def test_too_many_lines_are_cut_and_that_is_said(monkeypatch):
    monkeypatch.setattr(subtitles, "MOST_LINES", 1)
    got = came(JSON3)
    assert (len(got["subtitles"]), got["subtitles_note"]) == (1, "truncated")
    monkeypatch.setattr(subtitles, "MOST_LINES", 2)
    assert (len(came(JSON3)["subtitles"]), came(JSON3)["subtitles_note"]) == (2, None)
    monkeypatch.setattr(subtitles, "MOST_CHARS", 10)
    assert came(JSON3)["subtitles_note"] == "truncated"
