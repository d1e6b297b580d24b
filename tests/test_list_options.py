"""What commands show of lists on sites, and which mistakes they name."""

from __future__ import annotations

import json

import pytest

from hdvg.cli.list_options import MOST
from hdvg.sources.lists.filter import Choice
from hdvg.sources.lists.source import SITES
from tests.lists import MEDIA, Archive, feed, item, original
from tests.servers import HostileServer, body, page, status
from tests.test_cli import SMALL, ask, hdvg


@pytest.fixture
def server():
    with HostileServer() as running:
        yield running


def listed(server, number=4):
    return server.add("/feed", feed([(server.add(f"/{n}.mp4", body(MEDIA)), 50.0 * n) for n in range(number)]))


def test_list_only_shows_what_would_come_and_stores_nothing(server, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    words = ("download", "demo", "--links", listed(server), "--list-only", "--where", "duration_s >= 100")
    said = hdvg(*words).stdout
    assert "duration_s" in said.splitlines()[0]
    assert [line.split()[-1] for line in said.splitlines()[1:4]] == [server.url(f"/{n}.mp4") for n in (0, 2, 3)]
    assert "4 videos listed, 3 taken" in said
    assert "1 dropped by duration_s >= 100" in said
    assert f"--links list:{server.url('/feed')} --out DATASET" in said
    (found,) = json.loads(hdvg(*words, "--json", "--strict").stdout)
    assert [row["duration_s"] for row in found["rows"]] == [100, 150]
    assert "1 of those dropped do not say what duration_s >= 100 needs" in found["says"]
    assert list(tmp_path.iterdir()) == []
    assert not any(path.endswith(".mp4") for path in server.hits)


def test_list_only_shows_fifty_and_says_how_to_see_all(server):
    said = hdvg("run", "demo", "--links", listed(server, 60), "--list-only", "--max-items", "55").stdout
    assert "… 5 more; --json gives all" in said
    assert "stopped after 55 entries" in said


def test_list_only_takes_a_datasets_own_settings(server, tmp_path):
    hdvg("run", "demo", "--links", f"list:{listed(server, 2)}", "--out", tmp_path / "d", *SMALL,
         "--set", "fetch.tries=1", "--where", "duration_s is null or duration_s > 10")  # fmt: skip
    assert ask(tmp_path / "d", "select distinct reason from failures") == [{"reason": "not_media"}]
    before = sorted(path.name for path in tmp_path.rglob("*"))
    assert "2 videos listed" in hdvg("download", tmp_path / "d", "--links", server.url("/feed"), "--list-only").stdout
    assert sorted(path.name for path in tmp_path.rglob("*")) == before


def test_list_that_broke_off_is_shown_and_exits_1(server, monkeypatch):
    monkeypatch.setitem(SITES, "archive", server.url(""))
    copy = Archive(server, {f"f{n}": item(f"f{n}", original("a.mp4")) for n in range(3)})
    copy.broken["c2"] = [status(404)]
    said = hdvg("download", "demo", "--links", "archive:mine", "--list-only", code=1).stdout
    assert "https://archive.org/details/f0/a.mp4" in said
    assert "broke off here" in said


def test_a_site_s_list_given_as_a_video_says_how_to_take_it(server, tmp_path):
    path = "/Mediasite/Catalog/Full/0123456789abcdef0123456789abcdef"
    server.add(path, page("a catalogue"))
    found = b'{"PresentationDetailsList": [{"Id": "1"}], "CurrentFolder": {"Name": "x"}}'
    server.add("/Mediasite/Catalog/Data/GetPresentationsForFolder", body(found, "application/json"))
    hdvg("download", "demo", "--links", server.url(path), "--out", tmp_path / "d", *SMALL)
    (row,) = ask(tmp_path / "d", "select reason, detail from failures")
    assert row == {"reason": "not_media", "detail": "a list of videos; to take those in it: --links list:URL"}


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["--where", "duration > 3"], "did you mean `duration_s`"),
        (["--links", "links.txt", "--where", "open_licence"], "--where is about lists on sites, and links.txt is none"),
        (["--list-only"], "--list-only is about lists on sites, and there is no --links"),
        (["--links", "https://a.org/p", "--max-items", "0"], "--max-items"),
        (["--links", "list:https://a.org/p", "--strict"], "--strict goes with --where"),
        (["--links", "https://a.org/p", "--json"], "--json goes with --list-only"),
        (["--links", "list:links.txt"], "neither an http"),
        (["--links", "archive:"], "archive:QUERY"),
        (["--links", "https://a.org/p", "--links", "links.txt", "--list-only"], "links.txt is none"),
    ],
)
def test_a_mistake_is_named_with_what_would_be_fine(tmp_path, monkeypatch, words, said):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "links.txt").write_text("https://a.org/1.mp4\n")
    assert said in hdvg("run", "demo", "--out", "d", *words, code=2).stderr
    assert not (tmp_path / "d").exists()


def test_the_default_of_the_option_is_that_of_the_code():
    assert Choice().most == MOST
