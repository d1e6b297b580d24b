"""What yt-dlp raises has its reason by type and status first, by the words of a site last."""

import email.message

import pytest
import yt_dlp.utils
from yt_dlp.networking import exceptions as net

from hdvg.errors import REASONS, SHORT, ResourceError
from hdvg.sources.failures import failure, retry_after_s


@pytest.mark.parametrize(
    ("text", "seconds"),
    [("120", 120), ("0", 0), ("Thu, 01 Jan 1970 00:02:00 GMT", 60), ("Thu, 01 Jan 1970 00:00:00 GMT", 0)]
    + [(text, None) for text in ("-5", "soon", "", "1e9", "inf", "nan", "9" * 40, "²")]
    + [(None, None)],
)
def test_retry_after_is_seconds_or_a_date_or_nothing(text, seconds):
    assert retry_after_s(text, now=60.0) == seconds


@pytest.mark.parametrize(
    ("said", "reason"),
    [
        ("[youtube] x: Private video. Sign in if you've been granted access to this video", "private"),
        ("[youtube] x: Sign in to confirm you're not a bot. Use --cookies", "blocked"),
        ("[youtube] x: Sign in to confirm your age. This video may be inappropriate", "age"),
        ("[youtube] x: Video unavailable", "gone"),
        ("[youtube] x: Video unavailable. The uploader has not made this video available in your country", "geo"),
        ("[youtube] x: This video has been removed by the uploader", "gone"),
        ("[youtube] x: This live event will begin in 3 hours.", "live"),
        ("[youtube] x: Premieres in 2 days", "live"),
        ("[youtube] x: Join this channel to get access to members-only content", "private"),
        ("[x] y: This video is DRM protected", "encrypted"),
        ("[x] y: HTTP Error 429: Too Many Requests", "throttled"),
        ("[x] y: No video formats found!", "not_media"),
        ("[x] y: something never seen", "error"),
    ],
)
def test_words_of_a_site_have_their_reason(said, reason):
    assert reason in REASONS
    assert failure(yt_dlp.utils.DownloadError(f"ERROR: {said}")).reason == reason


def test_type_and_status_count_more_than_words():
    answer = net.HTTPError(
        type("Answer", (), {"status": 404, "reason": "private", "headers": email.message.Message()})()
    )
    assert failure(yt_dlp.utils.ExtractorError("Private video", cause=answer)).reason == "gone"
    assert failure(yt_dlp.utils.GeoRestrictedError("Private video")).reason == "geo"
    assert failure(OSError(27, "File too large")).reason == "too_big"
    for number in SHORT:
        with pytest.raises(ResourceError):
            failure(yt_dlp.utils.DownloadError("no", (None, OSError(number, "short"), None)))
