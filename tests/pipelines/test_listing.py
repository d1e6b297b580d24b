"""Lists on sites as links of a dataset: taken once, filtered before anything is fetched, gone on with after a break."""

from __future__ import annotations

import io

import pyarrow.parquet as pq
import pytest
from rich.console import Console

from hdvg.config.recipe import parse_recipe
from hdvg.errors import UsageError
from hdvg.sandbox import Sandbox
from hdvg.sources.lists.filter import Choice
from hdvg.sources.lists.listing import PRELOAD
from hdvg.sources.lists.source import SITES
from pipelines.listing import accept
from pipelines.run import Task, run
from pipelines.where import Where
from tests import servers as web
from tests.lists import MEDIA, Archive, answer_json, feed, item, original

ONCE = {"fetch": {"tries": 1, "silence_s": 15}, "caption": {"captioner": "none"}}


@pytest.fixture
def server():
    with web.HostileServer() as running:
        yield running


@pytest.fixture(scope="module")
def sandbox():
    lock = Sandbox(preload=PRELOAD)
    yield lock
    lock.close()


@pytest.fixture
def take(sandbox, new_dataset):
    """What `accept` says, and whether the list was whole."""

    def taken(links, **choice):
        said = io.StringIO()
        whole = accept(new_dataset, links, Choice(**choice), Console(file=said, width=500), sandbox=sandbox)
        return said.getvalue(), whole

    return taken


def inputs(dataset):
    with dataset.manifest() as manifest:
        return manifest.rows("select link, line, origin, source, status from inputs order by seq, line")


def test_entries_of_a_list_become_links_with_its_address_as_origin(server, new_dataset, take):
    videos = [(server.url(f"/{n}.mp4"), 60.0 * n) for n in range(1, 5)]
    address = server.add("/feed", feed(videos))
    said, whole = take(f"list:{address}", conditions=("duration_s <= 180",), most=4)
    assert whole
    assert inputs(new_dataset) == [
        {"link": url, "line": n, "origin": address, "source": url, "status": "new"}
        for n, (url, _) in enumerate(videos[:3], 1)
    ]
    assert "4 videos listed, 3 taken" in said
    assert "1 dropped by duration_s <= 180" in said
    assert "--max-items" in said
    assert f"list:{address}: 3 new" in said
    assert not any(path.endswith(".mp4") for path in server.hits)


def test_a_list_read_again_adds_what_is_new_and_nothing_twice(server, new_dataset, take):
    links = [(server.url(f"/{n}.mp4"), 5.0) for n in range(4)]
    source = f"list:{server.add('/feed', feed(links[:3]))}"
    take(source)
    assert "0 new, 3 known" in take(source)[0]
    server.add("/feed", feed(links[::-1]))
    assert "1 new, 3 known" in take(source)[0]
    assert len(inputs(new_dataset)) == 4


def test_a_list_that_broke_off_is_taken_as_far_as_it_came_and_gone_on_with(server, new_dataset, take, monkeypatch):
    monkeypatch.setitem(SITES, "archive", server.url(""))
    copy = Archive(server, {f"f{n}": item(f"f{n}", original("a.mp4")) for n in range(5)})
    copy.broken["c2"] = [web.status(404)]
    said, whole = take("archive:collection:mine")
    assert not whole
    assert "2 new" in said
    assert "broke off here, the same command goes on: gone" in said
    asked = len(copy.asked)
    said, whole = take("archive:collection:mine")
    assert whole
    assert "3 new, 2 known" in said
    assert [query.get("cursor") for query in copy.asked[asked:]] == ["c2", "c4"]
    rows = inputs(new_dataset)
    assert [row["link"] for row in rows] == [f"https://archive.org/details/f{n}/a.mp4" for n in range(5)]
    assert {row["origin"] for row in rows} == {"archive:collection:mine"}
    assert not list(new_dataset.root.glob("cache/lists/*"))


def test_a_list_of_which_nothing_passes_is_no_mistake(server, new_dataset, take):
    source = f"list:{server.add('/feed', feed([(server.url('/1.mp4'), 5)]))}"
    said, whole = take(source, conditions=("duration_s > 10",))
    assert whole
    assert "1 videos listed, 0 taken" in said
    assert inputs(new_dataset) == []


def test_a_link_that_is_written_in_a_file_stays_one_video(server, new_dataset, take):
    path = new_dataset.root.parent / "links.txt"
    path.write_text(f"{server.url('/feed')}\nlist:{server.url('/feed')}\n")
    take(str(path))
    assert [row["status"] for row in inputs(new_dataset)] == ["new", "failed"]
    assert not server.hits


def test_a_run_fetches_what_a_list_names_and_nothing_that_was_dropped(server, tmp_path):
    for n in range(3):
        server.add(f"/{n}.mp4", web.body(MEDIA))
    source = f"list:{server.add('/feed', feed([(server.url(f'/{n}.mp4'), 100.0 * n + 5) for n in range(3)]))}"
    task = Task(
        links=(source,), choice=Choice(conditions=("duration_s < 200",)), stage="download", where=Where("serial")
    )
    assert run(tmp_path / "d", parse_recipe(ONCE), task, Console(file=io.StringIO()))
    assert {path for path in server.hits if path.endswith(".mp4")} == {"/0.mp4", "/1.mp4"}


def test_a_run_whose_list_broke_off_says_so_by_its_result(server, tmp_path, monkeypatch):
    monkeypatch.setitem(SITES, "archive", server.url(""))
    copy = Archive(server, {f"f{n}": item(f"f{n}", original("a.mp4")) for n in range(3)})
    copy.broken["c2"] = [answer_json([])] * 9
    recipe = parse_recipe(ONCE | {"fetch": {"tries": 1}})
    task = Task(links=("archive:x",), choice=Choice(most=9), stage="split", where=Where("serial"))
    assert not run(tmp_path / "d", recipe, task, Console(file=io.StringIO()))
    files = sorted((tmp_path / "d" / "inputs").glob("*.parquet"))
    assert sum(pq.read_metadata(path).num_rows for path in files) == 2


def test_a_list_that_cannot_be_read_stops_the_run(server, tmp_path):
    with pytest.raises(UsageError, match=f"list:{server.url('/none')}: cannot be listed"):
        run(
            tmp_path / "d",
            parse_recipe(ONCE),
            Task(links=(f"list:{server.url('/none')}",)),
            Console(file=io.StringIO()),
        )
