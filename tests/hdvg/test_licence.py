"""Licences as sites state them become few classes; nothing is taken for more open than it is."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
import yt_dlp.extractor
from yt_dlp.extractor.flickr import FlickrIE

from hdvg.sources.licence import CLASSES, licence_class, open_licence

STATED = {
    # what yt-dlp's extractors give: YouTube, Vimeo, Flickr, PeerTube, Minds, SoundCloud, Jamendo, Khan Academy, archives
    "Creative Commons Attribution license (reuse allowed)": "cc-by",
    "Standard YouTube License": "other",
    "by": "cc-by",
    "by-sa": "cc-by-sa",
    "by-nc": "cc-by-nc",
    "by-nc-nd": "cc-by-nc-nd",
    "https://creativecommons.org/licenses/by-nc-nd/3.0/": "cc-by-nc-nd",
    "Attribution - Share Alike": "cc-by-sa",
    "Attribution - Non Commercial": "cc-by-nc",
    "Attribution - Non Commercial - No Derivatives": "cc-by-nc-nd",
    "Public Domain Dedication": "cc0",
    "Unknown": "unknown",
    "attribution-cc": "cc-by",
    "attribution-noncommerical-cc": "other",  # a slip of the pen must not open it
    "all-rights-reserved": "other",
    "no-rights-reserved": "public-domain",
    "cc-by-nc-sa": "cc-by-nc-sa",
    "yt-standard": "other",
    "Standard License": "other",
    "PRIVATE": "other",
    "None": "unknown",
    "Copyrighted (contact publisher)": "other",
    "http://creativecommons.org/licenses/publicdomain/": "public-domain",
    "https://creativecommons.org/publicdomain/mark/1.0/": "public-domain",
    "http://creativecommons.org/publicdomain/zero/1.0/deed.en": "cc0",
    "Creative Commons Attribution 4.0": "cc-by",
    "Creative Commons Attribution-Share Alike 4.0": "cc-by-sa",
    "Creative Commons Attribution-Share Alike 3.0 Germany": "cc-by-sa",
    "Creative Commons Zero, Public Domain Dedication": "cc0",
    "Public domain": "public-domain",
    # what lists of links give
    "CC BY 3.0": "cc-by",
    "cc by-sa": "cc-by-sa",
    "CC-BY-NC-SA-4.0": "cc-by-nc-sa",
    "CC0-1.0": "cc0",
    "CC-BY-ND 4.0": "cc-by-nd",
    "https://creativecommons.org/licenses/by-sa/4.0/": "cc-by-sa",
    "http://creativecommons.org/licenses/by/3.0/us/": "cc-by",
    "https://creativecommons.org/licenses/by/4.0/?ref=chooser-v1": "cc-by",
    "Attribution 4.0 International (CC BY 4.0)": "cc-by",
    "This work is licensed under a Creative Commons Attribution 4.0 International License.": "cc-by",
    "creativeCommon": "cc-by",
    "youtube": "other",
    "": "unknown",
}
NOT_OPEN = (
    "CC BY 4.0 except music",
    "CC BY 4.0, non-commercial use only",
    "CC BY\u2013NC 4.0",
    "CC BY-NC-ND-SA",
    "CC BY-SA or GFDL",
    "Creative Commons",
    "Creative Commons licensing is not granted",
    "not public domain",
    "a video by",
    "licensed by",
    "Attribution required",
    "https://creativecommons.org.example.com/licenses/by/4.0/",
    "https://example.org/by/",
    "http://creativecommons.org/licenses/nc-sa/1.0/",
    "http://creativecommons.org/licenses/sampling+/1.0/",
    "No known copyright restrictions",
    "CC BY " + "x" * 10_000,
    None,
)


@pytest.mark.parametrize(("text", "wanted"), STATED.items())
def test_licence_of_a_site_has_its_class(text, wanted):
    assert licence_class(text) == wanted
    assert licence_class(f"  {text.upper()} ") == wanted
    assert wanted in CLASSES


@pytest.mark.parametrize("text", NOT_OPEN)
def test_doubt_is_never_open(text):
    assert not open_licence(licence_class(text))


def test_open_are_those_that_allow_copies_and_changes_for_any_purpose():
    assert [name for name in CLASSES if open_licence(name)] == ["cc0", "public-domain", "cc-by", "cc-by-sa"]


def test_all_of_flickrs_licences_are_understood():
    found = {number: licence_class(text) for number, text in FlickrIE._LICENSES.items()}
    assert list(found.values()) == [
        "other", "cc-by-nc-sa", "cc-by-nc", "cc-by-nc-nd", "cc-by", "cc-by-sa", "cc-by-nd", "other",
        "public-domain", "cc0", "public-domain",
    ]  # fmt: skip


def test_every_creative_commons_licence_in_yt_dlps_own_examples_has_a_class_of_its_own():
    folder = Path(yt_dlp.extractor.__file__).parent
    texts = {
        text
        for path in folder.rglob("*.py")
        for text in re.findall(r"^\s+'license': '([^']+)',$", path.read_text(encoding="utf-8"), re.MULTILINE)
    }
    assert len(texts) > 12
    free = {text for text in texts if re.search(r"creative ?commons|^(cc-)?by\b|^attribution", text, re.IGNORECASE)}
    assert len(free) >= 10
    assert {licence_class(text) for text in free} <= set(CLASSES) - {"other", "unknown"}
    assert {licence_class(text) for text in texts - free} <= {"other", "unknown"}
