"""`hdvg import --check`: what is left of a published set, told from a sample of its links, without a byte of media."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from hdvg.config.fetch import Fetch
from hdvg.published.checking import check, report, wilson
from tests import servers as web
from tests.metadata import stamp
from tests.test_cli import hdvg as in_this_process

SETTINGS = Fetch(silence_s=15, wall_s=60, tries=1, max_wait_s=1, throttle_wait_s=0)


def page(server: web.HostileServer, length_s: int) -> web.Answer:
    """A page with a video of this length, as its own data say."""
    data = {"@context": "https://schema.org", "@type": "VideoObject", "name": "film", "duration": f"PT{length_s}S"}
    told = json.dumps(data | {"contentUrl": server.url("/film.mp4"), "encodingFormat": "video/mp4"})
    return web.page(f'<script type="application/ld+json">{told}</script>')


def metadata(path: Path, links: list[str], *, end_s: int) -> Path:
    """HD-VILA's layout: a clip from 0 and one that ends at `end_s`, of each link."""
    spans = [[stamp(0), stamp(4_000)], [stamp(5_000), stamp(end_s * 1000)]]
    rows = [
        {
            "video_id": f"v{n}",
            "url": link,
            "clip": [{"clip_id": f"v{n}.{k}", "span": span} for k, span in enumerate(spans)],
        }
        for n, link in enumerate(links)
    ]
    path.write_text("\n".join(map(json.dumps, rows)))
    return path


@pytest.fixture
def server():
    with web.HostileServer() as running:
        running.add("/film.mp4", web.body(b"\0\0\0\x18ftypmp42" + bytes(5000)))
        yield running


def silent(path: Path) -> Any:
    from contextlib import nullcontext

    return nullcontext(lambda done: None)


def test_check_tells_alive_gone_private_and_changed_apart(server, tmp_path):
    answers = {
        "/long": page(server, 60), "/enough": page(server, 20), "/short": page(server, 12), "/gone": web.status(404),
        "/login": web.status(401), "/busy": web.status(503), "/noai": web.body(b"x", "text/html", X_Robots_Tag="noai"),
    }  # fmt: skip
    links = [server.add(path, answer) for path, answer in answers.items()]
    said = check([metadata(tmp_path / "m.jsonl", links, end_s=20)], origin="hd-vila", limit=None, sample=None,
                 settings=SETTINGS, show=silent)  # fmt: skip
    assert (said["links"], said["scenes"], said["asked"]) == (7, 14, 7)
    assert said["hours"] == pytest.approx(7 * (4 + 15) / 3600)
    assert said["states"] == {"alive": 2, "changed": 1, "gone": 1, "private": 1, "unsure": 1, "opt_out": 1}
    told = {answer["source"]: answer for answer in said["answers"]}
    assert told[server.url("/short")]["detail"] == "12.0 s long, its scenes need 20.0 s"
    assert said["shares"]["alive"]["share"] == pytest.approx(2 / 6)
    assert (said["shares"]["alive"]["low"], said["shares"]["alive"]["high"]) == wilson(2, 6)
    assert said["shares"]["refused"]["share"] == pytest.approx(1 / 6), "who opts out is not lost"
    assert said["shares"]["lost"]["share"] == pytest.approx(2 / 6)
    assert said["fetch"]["videos"] == round(7 * 3 / 6)
    assert said["fetch"]["hours"] == pytest.approx(7 / 2 * (60 + 20 + 12) / 3 / 3600)
    assert server.hits["/film.mp4"] == 0
    assert max(server.hits[path] for path in answers) == 1


def test_sample_is_the_same_each_time_and_no_link_besides_is_asked(server, tmp_path):
    links = [server.add(f"/{number}", page(server, 30)) for number in range(12)]
    path = metadata(tmp_path / "m.jsonl", links, end_s=20)
    for times in (1, 2):
        said = check([path], origin="hd-vila", limit=None, sample=3, settings=SETTINGS, show=silent)
        asked = {
            name: count for name, count in server.hits.items() if name != "/robots.txt" and ".well-known" not in name
        }
        assert (said["asked"], len(asked), set(asked.values())) == (3, 3, {times})


def test_share_that_spans_need_counts_overlaps_once(server, tmp_path):
    """10 to 14 s and 40 to 41 s, each with 2.5 s before and 0.5 s behind it, and a second of opening: 12 of 60 s."""
    link = server.add("/long", page(server, 60))
    path = tmp_path / "spans.csv"
    rows = [(10, 12), ("00:11", 14.0), (40, "00:00:41.000"), (9, 3)]
    path.write_text("Link,Start_s,End_s,Caption\n" + "".join(f"{link},{start},{end},a dog\n" for start, end in rows))
    said = check([path], origin="spans", limit=None, sample=None, settings=SETTINGS, show=silent)
    assert (said["links"], said["scenes"], said["rejected"]) == (1, 3, {"bad_input": 1})
    assert said["fetch"]["part_share"] == pytest.approx(12 / 60)
    assert said["fetch"]["part_bytes"] == pytest.approx(said["fetch"]["bytes"] / 5, abs=1)


@pytest.mark.parametrize(
    ("found", "of", "low", "high"),
    [(0, 10, 0.0, 0.2775), (5, 10, 0.2366, 0.7634), (10, 10, 0.7225, 1.0), (81, 263, 0.2553, 0.3662), (0, 0, 0.0, 1.0)],
)  # fmt: skip
def test_interval_is_wilsons(found, of, low, high):
    assert wilson(found, of) == (pytest.approx(low, abs=1e-4), pytest.approx(high, abs=1e-4))


def test_size_is_told_by_the_sample_or_assumed_aloud():
    alive = {"source": "x", "state": "alive", "detail": "", "duration_s": 1800.0, "bytes": 500_000_000}
    told = report([alive, alive | {"state": "gone", "duration_s": None, "bytes": None}], links=1000, least_hours=9.0)
    assert told["fetch"]["bytes"] == 500 * 500_000_000
    told = report([alive | {"bytes": None}], links=1000, least_hours=9.0)
    assert (told["fetch"]["bytes"], told["fetch"]["bytes_from"]) == (500 * 3600 * 250_000, "2 Mbit/s, assumed")
    told = report([], links=1000, least_hours=9.0)
    assert told["fetch"]["hours"] == 9.0
    assert told["shares"]["alive"]["share"] is None


def hdvg(*arguments: object, code: int = 0) -> str:
    said = in_this_process(*arguments, code=code)
    return said.stdout if code == 0 else said.stderr


def test_commands_import_check_and_show_what_was_rejected(server, tmp_path):
    links = [server.add("/long", page(server, 60)), server.add("/gone", web.status(404)), "ftp://x/y"]
    path, out = metadata(tmp_path / "m.jsonl", links, end_s=20), tmp_path / "d"
    allow = ("--set", "fetch.private_links=allow", "--set", "caption.captioner=none")
    said = json.loads(hdvg("import", "hd-vila", path, "--check", "--json", *allow))
    assert (said["links"], said["states"], said["rejected"]) == (2, {"alive": 1, "gone": 1}, {"bad_input": 2})
    assert "50.0% (95 %: 9.5% to 90.5%)" in hdvg("import", "hd-vila", path, "--check", *allow)
    assert not out.exists()
    assert "--out DATASET" in hdvg("import", "hd-vila", path, code=2)
    shown = hdvg("import", "hd-vila", path, "--out", out, *allow)
    assert f"next: hdvg run {out}" in shown
    rows = json.loads(hdvg("query", out, "select place, reason, link, file from rejected order by place", "--json"))
    assert rows == [{"place": n, "reason": "bad_input", "link": "ftp://x/y", "file": "m.jsonl"} for n in (5, 6)]
    other = ("--set", "split.detector=content")
    assert "leave --recipe and --set away" in hdvg("import", "hd-vila", path, "--out", out, *allow, *other, code=2)
    assert "imported before" in hdvg("import", "hd-vila", path, "--out", out, *allow)
    assert "no such file" in hdvg("import", "hd-vila", path.with_name("nope.jsonl"), "--out", out, code=2)
    (again,) = json.loads(hdvg("import", "hd-vila", path, "--out", out, "--json"))["files"]
    assert (again["before"], again["scenes"], again["rejected"]) == (True, 4, {"bad_input": 2})


def test_what_we_refuse_is_not_counted_as_lost():
    """A private address, a stream, what is too big: all of them are there."""
    one = {"source": "x", "detail": "", "duration_s": None, "bytes": None}
    states = ["alive", "gone", "forbidden_address", "live", "too_big", "too_long", "opt_out", "unsure"]
    told = report([one | {"state": state} for state in states], links=700, least_hours=7.0)
    shares = {name: share["share"] for name, share in told["shares"].items()}
    assert shares == {
        "alive": pytest.approx(1 / 7),
        "changed": 0,
        "refused": pytest.approx(5 / 7),
        "lost": pytest.approx(1 / 7),
    }
    assert told["fetch"]["videos"] == 100


def test_files_of_a_lab_are_links_of_a_table(tmp_path):
    (tmp_path / "clips").mkdir()
    (tmp_path / "clips/7.mp4").write_bytes(bytes(900))
    table = tmp_path / "results.csv"
    table.write_text(
        "videoid,contentUrl,duration,page_dir,name\n"
        '7,clips/7.mp4,PT00H00M10S,000_050,"كلب يركض, على العشب"\n'
        f"8,{tmp_path}/clips/7.mp4,PT00H00M10S,000_050,the same file\n"
        "9,clips/9.mp4,PT00H00M10S,000_050,no such file\n"
    )
    said = check([table], origin="webvid", limit=None, sample=None, settings=SETTINGS, show=silent)
    assert (said["links"], said["scenes"], said["states"], said["rejected"]) == (1, 2, {"alive": 1}, {"bad_input": 1})
    assert said["fetch"]["bytes"] == 900
    assert said["hours"] == 0, "its rows say no span"
