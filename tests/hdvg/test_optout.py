"""What robots.txt, tdmrep.json and meta tags say is read as their specifications mean it."""

from __future__ import annotations

import time

import pytest

from hdvg.sources.optout import page_refusal, robots_rules, tdm_refusal

SITE = "https://example.org"


@pytest.mark.parametrize(
    ("lines", "path", "refused"),
    [
        # RFC 9309, 2.2.2 and 5.1, and the tables of Google's "URL matching based on path values"
        ("User-agent: *\nDisallow: /fish", "/fish/salmon.html", True),
        ("User-agent: *\nDisallow: /fish", "/Fish.asp", False),
        ("User-agent: *\nDisallow: /fish/", "/fish", False),
        ("User-agent: *\nDisallow: /*.php", "/folder/filename.php?parameters", True),
        ("User-agent: *\nDisallow: /*.php", "/windows.PHP", False),
        ("User-agent: *\nDisallow: /*.php$", "/filename.php", True),
        ("User-agent: *\nDisallow: /*.php$", "/filename.php?parameters", False),
        ("User-agent: *\nDisallow: /fish*.php", "/fishheads/catfish.php?parameters", True),
        ("User-agent: *\nDisallow: /foo%2Abar", "/foo*bar", True),
        ("User-agent: *\nDisallow: /%7Ejoe", "/~joe/x", True),
        ("User-agent: *\nAllow: /p\nDisallow: /", "/page", False),
        ("User-agent: *\nAllow: /folder\nDisallow: /folder", "/folder/page", False),
        ("User-agent: *\nAllow: /page\nDisallow: /*.htm", "/page.htm", True),
        ("User-agent: *\nAllow: /$\nDisallow: /", "/", False),
        ("User-agent: *\nAllow: /$\nDisallow: /", "/page.htm", True),
        ("User-agent: *\nDisallow:", "/x", False),
        ("User-agent: HDVG/1.0 # us\nDisallow: /\n\nUser-agent: *\nDisallow:", "/x", True),
        ("User-agent: hdvg\nDisallow:\nUser-agent: *\nDisallow: /", "/x", False),
        ("User-agent: other\nUser-agent: hdvg\n\nDisallow: /x", "/x", True),
        ("User-agent: hdvg\nDisallow: /a\nUser-agent: other\nDisallow: /\nUser-agent: hdvg\nDisallow: /b", "/b", True),
        ("User-agent: other\nDisallow: /", "/x", False),
        ("\ufeffUser-agent: *\r\nDisallow: /x", "/x", True),
        ("User-agent: GPTBot\nContent-Signal: ai-train=no\nUser-agent: *\nAllow: /", "/x", False),
        ("User-agent: *\nContent-Signal: search=yes,ai-train=no\nAllow: /", "/x", True),
        ("User-agent: *\nContent-Signal: ai-train=yes, search=no\nAllow: /", "/x", False),
        ("User-agent: *\nContent-Usage: train-ai=n", "/x", True),
        ("Disallow: /\nnot a rule", "/x", False),
    ],
)  # fmt: skip
def test_robots_txt_refuses_what_it_means(lines, path, refused):
    assert (robots_rules(lines).refusal(SITE + path) is not None) == refused


@pytest.mark.parametrize(
    ("rules", "path", "refused"),
    [
        ('[{"location": "/", "tdm-reservation": 1}]', "/any/where.mp4", True),
        ('[{"location": "/a/", "tdm-reservation": 1, "tdm-policy": "https://x.org/p.json"}]', "/a/x.mp4", True),
        ('[{"location": "/a/", "tdm-reservation": 1}]', "/b/x.mp4", False),
        ('[{"location": "/b/images/*.jpg", "tdm-reservation": 0}, {"location": "/", "tdm-reservation": 1}]', "/b/images/x.jpg", False),
        ('[{"location": "/b/images/*.jpg", "tdm-reservation": 0}, {"location": "/", "tdm-reservation": 1}]', "/b/x.jpg", True),
        ('[{"location": "/this/path/exactly$", "tdm-reservation": 1}]', "/this/path/exactly/not", False),
        ('[{"location": "/path/foo-%24", "tdm-reservation": 1}]', "/path/foo-$", True),
        ('[{"location": "/", "tdm-reservation": 2}]', "/x", False),
        ('{"location": "/", "tdm-reservation": 1}', "/x", False),
        ('[{"location": 3, "tdm-reservation": 1}, 5, null]', "/x", False),
        ("<!DOCTYPE html>", "/x", False),
        ("[" * 100_000, "/x", False),
    ],
)  # fmt: skip
def test_tdmrep_json_reserves_what_its_first_fitting_rule_says(rules, path, refused):
    assert (tdm_refusal(rules, SITE + path) is not None) == refused


@pytest.mark.parametrize(
    ("text", "refused"),
    [
        ('<meta name="robots" content="noai, noimageai">', True),
        ("<META CONTENT='NOINDEX,NoAI' NAME=ROBOTS />", True),
        ('<meta\n name="robots"\n content="no&#97;i">', True),
        ('<meta name="hdvg" content="noml">', True),
        ('<meta name="tdm-reservation" content="1">', True),
        ('<meta name="tdm-reservation" content="0">', False),
        ('<meta name="robots" content="noindex, nofollow">', False),
        ('<meta name="googlebot" content="noai">', False),
        ('<meta name="description" content="robots noai">', False),
        ('<p>meta name="robots" content="noai"</p>', False),
    ],
)
def test_meta_tags_refuse_what_they_mean(text, refused):
    assert (page_refusal(f"<html><head>{text}</head>") is not None) == refused


def test_hostile_texts_take_no_time():
    start = time.process_time()
    robots_rules("User-agent: *\n" + "Disallow: /" + "*a" * 100_000 + "$").refusal(SITE + "/" + "a" * 100_000)
    page_refusal("<meta " * 50_000 + "name=" * 10_000)
    tdm_refusal('[{"location": "' + "*a" * 100_000 + '$", "tdm-reservation": 1}]', SITE + "/" + "a" * 100_000)
    assert time.process_time() - start < 2
