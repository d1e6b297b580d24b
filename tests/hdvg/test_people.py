"""No column holds a name or an e-mail address of a person, wherever a source may put it."""

from __future__ import annotations

import re

import pytest
import yt_dlp.utils

from hdvg.sources.failures import failure
from hdvg.sources.info import INFO_KEYS, info_row
from hdvg.sources.people import opaque_id
from schemas.videos import FETCHED

MAIL = "jane.doe+film@mail.example.co.uk"
SAID = {
    "id": "x1",
    "title": f"JANE DOE - a film by Jane_Doe | Films of Jané, mail {MAIL} or jane\u200b.doe@exam\u00adple.org",
    "description": f"by Jane Doe, {MAIL}",
    "license": f"Copyrighted (contact Jane Doe, {MAIL})",
    "uploader": "Jane  Doe",
    "uploader_id": "@janedoe77",
    "uploader_url": "https://www.example.org/@janedoe77",
    "channel": "Films of Jane\u0301",
    "channel_url": "https://www.example.org/@janedoe77",
    "creators": ["John Q. Public", "张伟"],
    "artist": "Jürgen Müller",
    "upload_date": "20240101",
    "categories": ["Videos by Jane Doe", f"{MAIL}", "Uploads of John Q Public", "张伟的视频", "Pets"],
    "tags": ["Jane Doe"],
    "extractor": "example:user",
    "format_id": "hls-janedoe77",
    "webpage_url": "https://jane-doe.example.org:8080/@janedoe77/J%C3%BCrgen%20M%C3%BCller/x1?mail=jane%40doe.org&by=Jane+Doe#janedoe77",
    "duration": 12.5,
}
PERSONAL = re.compile(r"jane|doe|john|public|jürgen|müller|j%c3|jan\u00e9|张|%40|mail\.", re.IGNORECASE)


def test_no_column_names_a_person():
    row = info_row(SAID, version="1")
    assert tuple(row) == INFO_KEYS
    for name, value in row.items():
        assert not PERSONAL.search(str(value)), f"{name}: {value}"
    assert row["title"] == "<name> - a film by <name> | <name>, mail <email> or <email>"
    assert row["licence"] == "Copyrighted (contact <name>, <email>)"
    assert row["categories"] == ["Videos by <name>", "<email>", "Uploads of <name>", "<name>的视频", "Pets"]
    assert row["webpage_url"] == "https://_.example.org:8080/@_/_/x1?mail=_&by=_#_"
    assert (row["upload_date"], row["format_id"], row["info_duration_s"]) == ("20240101", "hls-<name>", 12.5)


def test_every_fetched_column_is_known_to_the_privacy_test():
    """A new column about a source must come through `info_row`."""
    made_by_us = {"sha256", "bytes", "fetched_at", "format_choice"}
    made_by_us |= {"fetched_ranges", "source_bytes", "whole_because", "sections_digest"}
    assert {field.name for field in FETCHED} - made_by_us == set(INFO_KEYS)


def test_words_that_only_hold_a_name_stay():
    row = info_row(
        {"title": "Annapurna, Ann and Savannah", "uploader": "Ann", "webpage_url": "https://ann.org/ann/annex"}
    )
    assert row["title"] == "Annapurna, <name> and Savannah"
    assert row["webpage_url"] == "https://ann.org/_/annex"  # the site's own name is not touched


@pytest.mark.parametrize(
    "odd",
    [
        {"uploader": "", "channel": None, "creators": [None, "", 3], "artists": {"a": 1}},
        {"uploader": "***", "title": "*** stars", "webpage_url": "http://[broken"},
        {"uploader": "(a+)+$" * 50, "title": "a" * 5000, "channel": ".*"},
        {"creators": [f"name {number}" for number in range(5000)], "uploader_id": ["x"]},
    ],
)
def test_odd_names_break_nothing(odd):
    assert tuple(info_row(odd)) == INFO_KEYS


@pytest.mark.parametrize(
    "opaque",
    [
        "UCsXVk37bltHxD1rDPwtNM8Q",
        "10922353@N03",
        "123456",
        "5b0a2ccd4ebd20d4ad8f1f0a",
        "did:plc:z72i7hdynmk6r22z27h6tvur",
    ],
)
def test_id_that_tells_people_nothing_is_kept(opaque):
    assert opaque_id("site", opaque) == opaque
    assert info_row({"channel_id": opaque, "title": "x"})["uploader_id"] == opaque


def test_handle_is_kept_as_a_hash_that_tells_channels_apart():
    hashes = [
        opaque_id(site, name) for site, name in (("a", "@jane"), ("a:user", "@jane"), ("a", "@john"), ("b", "@jane"))
    ]
    assert hashes[0] == hashes[1]
    assert len(set(hashes)) == 3
    assert all(re.fullmatch("[0-9a-f]{32}", name) for name in hashes)
    assert opaque_id("a", hashes[0]) == hashes[0]
    assert opaque_id("a", None) is None


@pytest.mark.parametrize(
    ("said", "shown", "reason"),
    [
        (
            "This video is no longer available due to a copyright claim by Jane Doe",
            "a copyright claim by <name>",
            "gone",
        ),
        ("This video contains content from Jane Doe, who has blocked it in your country", "content from <name>", "geo"),
        (f"Private video, ask {MAIL}", "Private video, ask <email>", "private"),
        ("This video has been removed by the uploader", "removed by the uploader", "gone"),
    ],
)
def test_failure_tells_why_and_not_who(said, shown, reason):
    error = failure(yt_dlp.utils.DownloadError(f"ERROR: [x] y: {said}"))
    assert error.reason == reason
    assert error.detail.endswith(shown)
    assert not PERSONAL.search(error.detail)
