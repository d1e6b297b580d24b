"""A whole run over links of a site that needs a JavaScript runtime: what lies in the machine is never held against a link."""

import io

import pytest
from rich.console import Console

from hdvg.config.recipe import parse_recipe
from hdvg.dataset.dataset import Dataset
from hdvg.sources import runtime
from pipelines.run import Task, run
from pipelines.where import Where
from pipelines.work import TRIES
from tests import tube
from tests.proxy import LoopbackProxy, TestCA
from tests.servers import HostileServer
from tests.tools import need
from tests.tube import PLAYER_JS, Tube
from tests.videos import draw_scenes

need("deno", "yt_dlp_ejs")

VIDEOS = [f"standin{number:04}" for number in range(2)]


@pytest.fixture
def site(tmp_path):
    films = {}
    for number, name in enumerate(VIDEOS):
        draw_scenes(tmp_path / "film.mp4", scene_frames=(20, 25), seed=number)
        films[name] = (tmp_path / "film.mp4").read_bytes()
    with HostileServer() as server:
        yield Tube(server, films)


@pytest.fixture
def go(site, tmp_path):
    """Run over the site's links with settings of the fetch; gives the rows of the videos and what was printed."""
    links, root, ca = tmp_path / "links.txt", tmp_path / "dataset", TestCA()
    links.write_text("".join(f"https://www.youtube.com/watch?v={name}\n" for name in VIDEOS))
    with LoopbackProxy({tube.SITE: site.server, tube.MEDIA: site.server}, ca=ca) as proxy:
        way = {"proxy": proxy.url(), "ca_file": ca.write(tmp_path / "ca.pem")}

        def act(*, retry=(), **fetch):
            recipe = parse_recipe(
                {"caption": {"captioner": "none"}, "fetch": {"wall_s": 60, "max_wait_s": 0.2, **way, **fetch}}
            )
            said = io.StringIO()
            run(
                root,
                recipe,
                Task(links=[str(links)], retry=retry, where=Where("serial")),
                Console(file=said, width=300),
            )
            with Dataset.open(root).manifest() as manifest:
                rows = manifest.rows("select status, reason, attempt from videos")
            return [tuple(row.values()) for row in rows], said.getvalue()

        yield act


@pytest.mark.slow
def test_links_wait_for_the_runtime_and_the_solver_and_are_fetched_then(go, site, monkeypatch):
    runtime.find.cache_clear()
    monkeypatch.setenv("PATH", "")
    rows, said = go(js_runtime="quickjs")
    assert rows == [("retry", "runtime", 0)] * 2
    assert said.count(runtime.INSTALL) == 1, said
    runtime.find.cache_clear()

    site.player_js = PLAYER_JS.replace('"alr"', '"changed"')
    for _ in range(TRIES):  # more runs than a link of its own fault is given
        rows, said = go()
    assert rows == [("retry", "solver", 0)] * 2
    assert said.count(runtime.INSTALL) == 1, said

    site.player_js = PLAYER_JS
    rows, _ = go(retry=("solver",))
    assert rows == [("ok", None, 1)] * 2
