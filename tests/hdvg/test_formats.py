"""The format that is fetched is the least that is tall enough, and what is known of the video is plain and clean."""

import random

import pytest
import yt_dlp
from yt_dlp.extractor.youtube import _video as site

from hdvg.config.fetch import Fetch
from hdvg.config.recipe import Recipe
from hdvg.errors import ItemError
from hdvg.planning import make_plan
from hdvg.sources.formats import Preferences, choose
from hdvg.sources.info import INFO_KEYS, clean_text, info_row
from hdvg.sources.labels import label

HD = Preferences(min_height_px=720)


def forms(*rows, **same):
    return [
        {"format_id": str(place), "vcodec": codec, "height": height, "protocol": "https", "url": "https://e.com"} | same
        for place, (codec, height) in enumerate(rows)
    ]


def form(name, vcodec="avc1.4d", height=720, acodec="none", **more):
    told = {"format_id": name, "vcodec": vcodec, "height": height, "acodec": acodec, "url": "https://e.com"}
    return told | {"protocol": "https"} | more


def sound(name, acodec="mp4a.40.2", **more):
    return form(name, "none", None, acodec, **more)


def taken(formats, **preferences):
    return choose(formats, Preferences(**{"min_height_px": 720} | preferences)).format_id


@pytest.mark.parametrize(
    ("rows", "expected"),
    [
        ([("avc1.4d", 360), ("avc1.4d", 720), ("avc1.64", 1080)], 1),  # enough is enough
        ([("avc1.4d", 360), ("avc1.4d", 480)], 1),  # the best below
        ([("avc1.4d", 720), ("vp9", 720), ("av01", 720)], 0),  # the codec
        ([("avc1.4d", 480), ("vp9", 720)], 1),  # height before codec
        ([("none", None), ("avc1", 480), (None, None)], 2),  # unknown before too small
        ([("avc1.a", 720), ("avc1.b", 720)], 1),  # yt-dlp's order
    ],
)
def test_format_is_the_least_that_is_tall_enough(rows, expected):
    assert choose(forms(*rows), HD).format_id == str(expected)


def first_choice(formats, *, codec, min_height_px):
    """What hdvg chose before a recipe could prefer anything but a height and a codec."""
    spoken = [one for one in formats if one["vcodec"] != "none"]

    def rank(place):
        height, vcodec = spoken[place]["height"], spoken[place]["vcodec"]
        same = 1 if vcodec is None else 2 if vcodec.startswith(codec) else 0
        if height is None:
            return (1, 0.0, same, place)
        return (2, -height, same, place) if height >= min_height_px else (0, height, same, place)

    return spoken[max(range(len(spoken)), key=rank)]


OFFERED = {
    "vcodec": [None, "none", "avc1.4d401f", "avc1.64", "vp9", "vp09.00", "av01.0", "hev1.1", "odd"],
    "acodec": [None, "none", "mp4a.40.2", "opus"],
    "height": [None, 144, 240, 360, 480, 719, 720, 721, 1080, 2160],
    "fps": [None, 24, 25, 29.97, 30, 50, 60],
    "dynamic_range": [None, "SDR", "HDR10", "HLG", "DV"],
    "language_preference": [None, -10, -1, 10],
    "format_note": [None, "720p", "DRC", "English descriptive"],
    "protocol": ["https"],
}


def test_recipe_without_new_preferences_gets_what_it_always_got():
    draw = random.Random(0)
    for _ in range(2000):
        rows = [{name: draw.choice(values) for name, values in OFFERED.items()} for _ in range(draw.randint(1, 12))]
        height, codec = draw.choice([1, 360, 720, 1080]), draw.choice(["avc1", "vp9"])
        if any(row["vcodec"] != "none" for row in rows):
            now = choose(rows, Preferences(min_height_px=height, codec=codec))
            assert now.video is first_choice(rows, codec=codec, min_height_px=height), rows
            assert now.sound is None


CODECS = [form("hevc", "hvc1.1.6"), form("vp9", "vp09.00.31"), form("avc", "avc1.4d"), form("av1", "av01.0.05M.08")]


@pytest.mark.parametrize(
    ("codecs", "expected"),
    [(("av1", "vp9"), "av1"), (("vp9", "av1"), "vp9"), (("hevc",), "hevc"), (("vp8", "avc"), "avc")],
)
def test_codecs_are_preferred_in_their_order(codecs, expected):
    assert taken(CODECS, codecs=codecs) == expected
    assert taken(CODECS[::-1], codecs=codecs) == expected
    assert taken([form("tall", "odd", 720), form("small", "av01.0", 480)], codecs=("av1",)) == "tall"


RATES = [form("30", fps=30), form("60", fps=60), form("60-1080", fps=30, height=1080)]


@pytest.mark.parametrize(("max_fps", "expected"), [(None, "60"), (30, "30"), (29, "30"), (60, "60"), (24, "30")])
def test_lower_frame_rate_wins_at_the_same_height_alone(max_fps, expected):
    assert taken(RATES, max_fps=max_fps) == expected
    assert taken([form("60", fps=60), form("30-1080", fps=30, height=1080)], max_fps=max_fps) == "60"


RANGES = [form("hdr", "vp9.2", dynamic_range="HDR10"), form("sdr", "avc1", dynamic_range="SDR"), form("none", "vp9")]


@pytest.mark.parametrize(("hdr", "expected"), [("avoid", "none"), ("allow", "none"), ("prefer", "hdr")])
def test_hdr_is_avoided_or_preferred(hdr, expected):
    assert taken(RANGES, hdr=hdr, codecs=("vp9",)) == expected
    assert taken(RANGES[::-1], hdr=hdr, codecs=("vp9",)) == ("hdr" if hdr != "avoid" else "none")


@pytest.mark.parametrize(
    "mark",
    [
        {"format_note": "1080p60, AI-upscaled"},
        {"format_id": "299-sr"},
        {"url": "https://e.com/videoplayback?itag=299&xtags=acont%3Doriginal:sr%3D1"},
        {"url": "https://e.com/xtags/sr=1/playlist.m3u8"},
        {"format_note": "1080p Premium", "source_preference": 99},
        {"format_note": "720p, DAMAGED", "preference": -10},
    ],
)
def test_marked_duplicate_is_taken_only_if_there_is_nothing_else(mark):
    marked = form("marked", "avc1", 1080) | mark
    plain = form("plain", "odd", 240)
    for formats in ([plain, marked], [marked, plain]):
        assert taken(formats, min_height_px=1080) == "plain"
    assert choose([marked], HD).video is marked


# Sound


SOUNDS = {
    "drc": [sound("140"), sound("140-drc", format_note="medium, DRC")],
    "described": [sound("main"), sound("desc", format_note="English descriptive, high")],
    "described-language": [sound("main", language="deu"), sound("ad", language="deu-audio-description")],
    "dubbed": [sound("en", language_preference=10), sound("es", format_note="Spanish dubbed-auto")],
    "other-language": [sound("en", language_preference=10), sound("es", acodec="opus", language_preference=-1)],
    "alternate": [sound("main"), sound("alternate", source_preference=-2)],
    "spoken": [sound("http"), sound("rtmp", protocol="rtmp")],
}


@pytest.mark.parametrize("name", SOUNDS)
@pytest.mark.parametrize("turn", [1, -1])
def test_plain_track_of_the_original_language_is_the_sound(name, turn):
    first = SOUNDS[name][0]
    chosen = choose([*SOUNDS[name][::turn], form("video")], Preferences(sound=True))
    assert chosen.sound is first
    assert chosen.format_id == f"video+{first['format_id']}"


def test_file_that_has_the_same_sound_wins_over_two_files():
    apart, split, both = sound("a"), form("split"), form("both", acodec="mp4a.40.2")
    for formats in ([apart, split, both], [both, split, apart]):
        assert taken(formats, sound=True) == "both"
    assert taken([apart, both, split]) == "split"
    assert taken([apart, split, form("both", acodec="mp4a", format_note="Spanish dubbed")], sound=True) == "split+a"
    assert taken([apart, split, form("tall", height=1080, acodec="mp4a")], sound=True) == "split+a"
    assert taken([apart, form("vp9", "vp9", acodec="opus"), split], sound=True) == "split+a"


def test_sound_is_taken_from_the_smallest_file_that_has_it_if_there_is_none_alone():
    big, small = form("big", "vp9", 480, "mp4a"), form("small", "vp9", 144, "mp4a")
    assert taken([small, big, form("video")], sound=True) == "video+small"


def test_silent_source_gives_its_video():
    pictures = form("storyboard", "none", None, "none")
    chosen = choose([pictures, form("video")], Preferences(sound=True))
    assert (chosen.format_id, chosen.sound) == ("video", None)
    assert chosen.why.endswith("sound: none is offered")


def test_size_is_that_of_all_files():
    video, audio = form("v", filesize=1000), sound("a", filesize_approx=10.5)
    assert choose([audio, video], Preferences(sound=True)).bytes == 1010
    assert choose([audio, video], Preferences()).bytes == 1000
    assert choose([form("v")], HD).bytes is None


# Why


def test_reason_says_what_decided_and_what_else_there_was():
    offered = [
        form("360", height=360, fps=25),
        form("1080", height=1080),
        form("vp9", "vp9", fps=30),
        form("a", fps=30),
    ]
    assert choose([sound("s", "opus"), *offered], Preferences(sound=True)).why == (
        "720p avc 30 fps: the least height from 720 px up, before 720p vp9 30 fps by codec; sound: opus; "
        "3 other(s): 720p vp9 30 fps, 1080p avc, 360p avc 25 fps"
    )
    assert choose(forms(("avc1", 480), ("avc1", 360)), HD).why == (
        "480p avc: the largest below 720 px, before 360p avc by height; 1 other(s): 360p avc"
    )
    assert choose(forms((None, None)), HD).why == "unknown codec: the only one"
    many = [form(str(height), height=height) for height in range(1000, 1010)]
    assert choose(many, HD).why.endswith("9 other(s): 1001p avc, 1002p avc, 1003p avc, 1004p avc, 1005p avc, 4 more")


def test_reason_holds_no_text_of_the_source():
    names = ("format_id", "vcodec", "acodec", "format_note", "language", "dynamic_range", "ext", "format")
    said = choose([form("x", height=720) | dict.fromkeys(names, "Jane Doe"), form("y")], Preferences(sound=True))
    assert "Jane" not in said.why
    assert label({"height": float("nan"), "fps": "x", "vcodec": 3, "dynamic_range": []}) == "unknown codec"


# The large site, by its own extractor


def site_formats(*streams):
    """yt-dlp's list of what the site's player says there is."""
    client = yt_dlp.YoutubeDL({"quiet": True, "logger": None})
    told = {
        "adaptiveFormats": [{"url": f"https://e.com/videoplayback?itag={one['itag']}", "quality": "hd720"} | one for one in streams],
        site.STREAMING_DATA_FETCH_GVS_PO_TOKEN: lambda **_: None,
        site.STREAMING_DATA_IS_PREMIUM_SUBSCRIBER: False,
        site.STREAMING_DATA_PLAYER_TOKEN_PROVIDED: True,
        site.STREAMING_DATA_CLIENT_NAME: "android_vr",
        site.STREAMING_DATA_AVAILABLE_AT_TIMESTAMP: 0,
    }  # fmt: skip
    extractor = site.YoutubeIE(client)
    found = extractor._extract_formats_and_subtitles("x" * 11, [{"streamingData": told}], None, "not_live", 100)
    info = {"formats": [one for one in found if one.get("url")]}
    client.sort_formats(info)
    return info["formats"]


def picture(itag, codec, height, **more):
    return {"itag": itag, "mimeType": f'video/mp4; codecs="{codec}"', "height": height, "fps": 30} | more


def track(itag, codec, name, **more):
    language = {"id": f"{name[:2].lower()}.4", "displayName": name, "audioIsDefault": "original" in name}
    told = {"itag": itag, "mimeType": f'audio/mp4; codecs="{codec}"', "audioTrack": language, "quality": "tiny"}
    return told | {"audioQuality": "AUDIO_QUALITY_MEDIUM"} | more


def test_sites_own_marks_are_understood():
    upscaled = {"url": "https://e.com/videoplayback?itag=137&xtags=sr%3D1", "qualityLabel": "1080p"}
    offered = site_formats(
        picture(135, "avc1.4d401e", 480, qualityLabel="480p"),
        picture(137, "avc1.640028", 1080, **upscaled),
        picture(356, "vp9", 1080, qualityLabel="1080p Premium"),
        track(251, "opus", "Spanish dubbed-auto"),
        track(141, "mp4a.40.2", "English descriptive", audioQuality="AUDIO_QUALITY_HIGH"),
        track(140, "mp4a.40.2", "English original", isDrc=True),
        track(140, "mp4a.40.2", "English original"),
    )
    assert len(offered) == 7
    chosen = choose(offered, Preferences(min_height_px=1080, sound=True))
    assert chosen.format_id == "135+140"
    assert "(upscaled)" in chosen.why
    assert "(premium)" in chosen.why


# The recipe


def test_new_preferences_are_new_work_and_their_defaults_are_not():
    fingerprint = make_plan(Recipe()).fingerprints["download"]
    assert fingerprint == "141b08a971d7"
    changes = [{"sound": True}, {"codecs": ("av1",)}, {"max_fps": 30.0}, {"hdr": "avoid"}, {"hdr": "prefer"}]
    found = {make_plan(Recipe(fetch=Fetch(**change))).fingerprints["download"] for change in changes}
    assert len(found | {fingerprint}) == len(changes) + 1


def test_preferences_are_those_of_the_recipe():
    assert Preferences.of(Fetch().model_dump()) == Preferences()
    dumped = Fetch(codecs=("av1", "avc"), max_fps=30, hdr="avoid", sound=True, min_height_px=480).model_dump()
    assert Preferences.of(dumped) == Preferences(480, "avc1", ("av1", "avc"), 30, "avoid", True)


@pytest.mark.parametrize(
    ("changed", "reason"),
    [
        ({"vcodec": "none"}, "no_video"),
        ({"protocol": "rtmp", "url": "rtmp://e.com"}, "redirect"),
        ({"protocol": "file", "url": "file:///etc/passwd"}, "redirect"),
        ({"protocol": "ism"}, "unsupported"),
    ],
)
def test_what_we_cannot_speak_is_refused(changed, reason):
    (only,) = forms(("avc1", 720))
    with pytest.raises(ItemError) as refused:
        choose([only | changed], HD)
    assert refused.value.reason == reason


def test_info_is_plain_clean_text_without_people():
    row = info_row(
        {
            "title": "A\x1b[31m\u202e film\r\n by jane.doe@example.com \ud800" + "x" * 5000,
            "uploader": "Jane Doe",
            "channel": "Jane",
            "uploader_id": "@jd",
            "categories": ["Pets", None, 3],
            "duration": float("nan"),
            "license": {"not": "text"},
            "upload_date": 20240101,
        },
        version="1",
    )
    assert tuple(row) == INFO_KEYS
    assert row["title"].startswith("A[31m film by <email> xxx")
    assert len(row["title"]) == 1000
    assert (row["categories"], row["info_duration_s"]) == (["Pets", "3"], None)
    assert "Jane" not in str(row)
    assert clean_text("e\u0301\x00") == "é"
    assert clean_text(" \x00 ") is None
