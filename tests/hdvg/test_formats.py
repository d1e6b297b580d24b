"""The format that is fetched is the least that is tall enough, and what is known of the video is plain and clean."""

import pytest

from hdvg.errors import ItemError
from hdvg.sources.formats import choose
from hdvg.sources.info import INFO_KEYS, clean_text, info_row


def forms(*rows):
    return [
        {"format_id": str(place), "vcodec": codec, "height": height, "protocol": "https", "url": "https://e.com"}
        for place, (codec, height) in enumerate(rows)
    ]


@pytest.mark.parametrize(
    ("rows", "taken"),
    [
        ([("avc1.4d", 360), ("avc1.4d", 720), ("avc1.64", 1080)], 1),  # enough is enough
        ([("avc1.4d", 360), ("avc1.4d", 480)], 1),  # the best below
        ([("avc1.4d", 720), ("vp9", 720), ("av01", 720)], 0),  # the codec
        ([("avc1.4d", 480), ("vp9", 720)], 1),  # height before codec
        ([("none", None), ("avc1", 480), (None, None)], 2),  # unknown before too small
        ([("avc1.a", 720), ("avc1.b", 720)], 1),  # yt-dlp's order
    ],
)
def test_format_is_the_least_that_is_tall_enough(rows, taken):
    assert choose(forms(*rows), codec="avc1", min_height_px=720)["format_id"] == str(taken)


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
    (form,) = forms(("avc1", 720))
    with pytest.raises(ItemError) as refused:
        choose([form | changed], codec="avc1", min_height_px=720)
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
