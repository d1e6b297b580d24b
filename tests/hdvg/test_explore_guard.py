"""The explorer's server answers the person's own browser and nobody who acts through it; SQL and files stay within their walls."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from hdvg.dataset.dataset import Dataset
from hdvg.dataset.shard_plan import STAMPS
from hdvg.errors import UsageError
from hdvg.explore import questions, sights, sql
from hdvg.explore.guard import BODY_BYTES, POLICY
from hdvg.explore.serving import Place, check
from hdvg.purge import purge
from hdvg.takedown import find, hide
from tests.explorer import Answer, Browser, Served, served
from tests.products import Clip, make

VIDEO = bytes(range(256)) * 40
CLIP_ROUTES = [route for route in sights.LOOKS if "{clip_id}" in route]


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Dataset:
    folder = tmp_path_factory.mktemp("explore")
    return make(folder / "d", [[Clip(0, 3000, VIDEO), Clip(3000, 4000, VIDEO[:-1])], [Clip(0, 9000, VIDEO[1:])]])


@pytest.fixture(scope="module")
def server(made: Dataset) -> Iterator[Served]:
    with served(made.root, made.root.parent) as running:
        yield running


def clip_ids(server: Served) -> list[str]:
    return [row["clip_id"] for row in server.browser.post("/api/rows").json["rows"]]


def refused(answer: Answer, status: int) -> None:
    assert (answer.status, set(answer.json)) == (status, {"error"})


@pytest.mark.parametrize(
    "host", ["evil.example", "127.0.0.1", "localhost", "127.0.0.1:1", "", "127.0.0.1:{port}.evil.example"]
)
def test_other_names_than_its_own_are_refused_before_all_else(server: Served, host: str) -> None:
    for path in ("/", "/api/meta", "/nowhere"):
        refused(server.browser.get(path, Host=host.format(port=server.browser.port)), 421)
    refused(
        server.browser.ask("POST", "/session", {"token": "x"}, {"Host": host.format(port=server.browser.port)}), 421
    )


def test_its_own_names_are_answered(server: Served) -> None:
    for name in ("127.0.0.1", "localhost", "LOCALHOST", "[::1]"):
        assert server.browser.get("/api/meta", Host=f"{name}:{server.browser.port}").status == 200


@pytest.mark.parametrize(
    "origin",
    [
        "http://evil.example",
        "null",
        "http://127.0.0.1:1",
        "https://127.0.0.1:{port}",
        "http://127.0.0.1:{port}.evil.example",
    ],
)
def test_other_sites_are_refused(server: Served, origin: str) -> None:
    said = {"Origin": origin.format(port=server.browser.port)}
    refused(server.browser.ask("POST", "/api/count", {}, said), 403)
    refused(server.browser.ask("GET", "/api/meta", headers=said), 403)
    assert (
        server.browser.ask("POST", "/api/count", {}, {"Origin": f"http://127.0.0.1:{server.browser.port}"}).status
        == 200
    )


@pytest.mark.parametrize("site", ["cross-site", "same-site", "odd"])
def test_what_a_browser_says_came_from_elsewhere_is_refused(server: Served, site: str) -> None:
    refused(server.browser.get("/", Sec_Fetch_Site=site), 403)
    refused(server.browser.ask("POST", "/api/count", {}, {"Sec-Fetch-Site": site}), 403)
    assert server.browser.get("/", Sec_Fetch_Site="none").status == 200


def test_every_route_but_the_page_asks_for_the_session(server: Served) -> None:
    (clip, *_) = clip_ids(server)
    for route in sights.LOOKS:
        path = (
            route.format(clip_id=clip, name="x", **{"number:int": 0}) if "{number" not in route else f"/frame/{clip}/0"
        )
        refused(server.stranger.get(path), 401)
        refused(Browser(server.browser.port, f"{server.keys.name}=wrong").get(path), 401)
    refused(server.stranger.get("/api/live"), 401)
    for route in [*questions.QUESTIONS, "/api/link", "/api/refresh"]:
        refused(server.stranger.post(route), 401)
    assert server.stranger.get("/").status == 200
    assert b"d" not in re.sub(rb"<[^>]*>", b"", server.stranger.get("/").body).split()  # nothing of the dataset


def test_questions_are_json_by_our_own_page(server: Served) -> None:
    ask = server.browser.ask
    refused(ask("POST", "/api/count", b"{}", {"Content-Type": "text/plain"}), 415)
    refused(ask("POST", "/api/count", b"{}", {"Content-Type": "application/x-www-form-urlencoded"}), 415)
    refused(ask("POST", "/api/count", b"{}", {"X-HDVG": None}), 403)  # type: ignore[dict-item]  # takes the header away
    refused(ask("POST", "/api/count", b"{}", {"Content-Length": str(BODY_BYTES + 1)}), 413)
    refused(ask("POST", "/api/count", b"[" * 100_000), 400)
    refused(ask("POST", "/api/count", b"[]"), 400)
    refused(ask("PUT", "/api/count", b"{}"), 405)
    assert ask("GET", "/api/count").status == 405


def test_a_token_opens_one_session_and_no_second(server: Served) -> None:
    refused(server.stranger.open("wrong"), 403)
    refused(server.stranger.open(""), 403)
    token = server.keys.token()
    answer = server.stranger.open(token)
    said = answer.headers["set-cookie"]
    assert (answer.status, said.split("; ")[1:]) == (204, ["Path=/", "HttpOnly", "SameSite=Strict"])
    assert said.startswith(f"hdvg-{server.browser.port}=")
    refused(server.stranger.open(token), 403)
    assert server.stranger.open(server.browser.post("/api/link").json["token"]).status == 204


def test_every_answer_tells_the_browser_to_trust_nothing(server: Served) -> None:
    answers = [server.stranger.get("/"), server.stranger.get("/api/meta"), server.browser.get("/nowhere"), server.browser.get("/", Host="evil")]  # fmt: skip
    answers += [server.browser.get(f"/media/{clip_ids(server)[0]}"), server.browser.post("/api/count")]
    for answer in answers:
        said = {name: answer.headers.get(name) for name in ("x-content-type-options", "referrer-policy", "cross-origin-resource-policy")}  # fmt: skip
        assert list(said.values()) == ["nosniff", "no-referrer", "same-origin"]
        assert answer.headers["content-security-policy"] == POLICY
        assert answer.headers["cache-control"] == "no-store"
        assert "server" not in answer.headers
        assert "access-control-allow-origin" not in answer.headers
    assert "'unsafe" not in POLICY
    assert "default-src 'none'" in POLICY


def test_metrics_ask_for_their_own_token(server: Served) -> None:
    refused(server.browser.get("/metrics"), 401)
    answer = server.stranger.get("/metrics", Authorization=f"Bearer {server.keys.metrics}")
    assert (answer.status, b"hdvg_clips 3" in answer.body) == (200, True)


@pytest.mark.parametrize(
    "query",
    [
        "copy (select 1) to '{root}/x.csv'",
        "copy (select 1) to '{root}/dataset.wal'",
        "select 1; select 2",
        "attach '{root}/x.db'",
        "install httpfs",
        "set memory_limit = '100GB'",
        "select * from read_blob('/etc/passwd')",
        "select * from read_text('{root}/../canary.txt')",
        "select * from glob('/etc/*')",
        "explain analyze copy (select 1) to '{root}/x.csv'",
        "select 1) t; copy (select 1) to '{root}/x.csv'; select * from (select 1",
        "select 1) union all (select 2",
        "create table x as select 1",
    ],
)
def test_sql_is_one_select_that_reads_the_dataset_alone(server: Served, made: Dataset, query: str) -> None:
    (made.root.parent / "canary.txt").write_text("canary-7f3a")
    before = sorted(path.name for path in made.root.iterdir())
    answer = server.browser.post("/api/sql", {"sql": query.format(root=made.root)})
    refused(answer, 422)
    assert b"canary-7f3a" not in answer.body
    assert str(made.root).encode() not in answer.body
    assert sorted(path.name for path in made.root.iterdir()) == before


def test_sql_gives_rows_with_an_end(server: Served) -> None:
    found = server.browser.post(
        "/api/sql", {"sql": "select range as n from range(5000) order by n desc", "limit": 3}
    ).json
    assert (found["columns"][0]["name"], found["rows"], found["more"]) == ("n", [[4999], [4998], [4997]], True)
    odd = server.browser.post(
        "/api/sql", {"sql": "select 'nan'::double, 2::hugeint ** 70, null, clip_id from clips limit 1; "}
    ).json
    assert odd["rows"][0][0] == "NaN"
    assert odd["rows"][0][2] is None
    assert server.browser.post("/api/sql", {"sql": "explain select 1"}).json["rows"]


@pytest.mark.parametrize("bomb", ["select sum(a.range) from range(100000000000) a", "select repeat('x', 4000000000) || repeat('y', 3000000000)"])  # fmt: skip
def test_a_query_without_end_is_an_error_and_the_server_lives(
    server: Served, monkeypatch: pytest.MonkeyPatch, bomb: str
) -> None:
    monkeypatch.setattr(sql, "LIMIT_S", 1.0)
    start = time.monotonic()
    refused(server.browser.post("/api/sql", {"sql": bomb}), 422)
    assert time.monotonic() - start < 30
    assert server.browser.post("/api/count").json["clips"] == 3


@pytest.mark.parametrize(
    "name", ["..%2f..%2fetc%2fpasswd", "%2fetc%2fpasswd", "dataset.toml", "..", "0" * 31, "A" * 32, "0" * 32 + "%00"]
)
def test_media_are_named_by_clips_alone(server: Served, name: str) -> None:
    for route in ("/media/", "/strip/", "/api/clip/"):
        assert server.browser.get(f"{route}{name}").status == 404


def test_a_link_out_of_the_dataset_is_not_followed(server: Served, made: Dataset) -> None:
    rows = server.browser.post("/api/rows").json["rows"]
    with made.manifest() as manifest:
        sha256 = manifest.one("select clip_sha256 from clips where clip_id = ?", [rows[0]["clip_id"]])
    path = made.store.find_media(sha256)
    assert path is not None
    content = path.read_bytes()
    path.unlink()
    path.symlink_to("/etc/passwd")
    try:
        assert b"root:" not in server.browser.get(f"/media/{rows[0]['clip_id']}").body
    finally:
        path.unlink()
        path.write_bytes(content)


def test_ranges_are_one_piece_of_the_file(server: Served, made: Dataset) -> None:
    with made.manifest() as manifest:
        clip = manifest.one("select clip_id from clips order by clip_bytes desc, start_s, end_s limit 1")
    path = f"/media/{clip}"
    size = len(VIDEO)

    def piece(asked: str) -> tuple[int, int, str | None]:
        answer = server.browser.get(path, Range=asked)
        return answer.status, len(answer.body), answer.headers.get("content-range")

    assert server.browser.get(path).body == VIDEO
    assert piece("bytes=0-99") == (206, 100, f"bytes 0-99/{size}")
    assert piece("bytes=-100") == (206, 100, f"bytes {size - 100}-{size - 1}/{size}")
    assert piece(f"bytes={size - 1}-") == (206, 1, f"bytes {size - 1}-{size - 1}/{size}")
    assert piece("bytes=0-999999999999999999") == (206, size, f"bytes 0-{size - 1}/{size}")
    assert piece(f"bytes={size}-") == (416, 0, f"bytes */{size}")
    assert piece("bytes=-0") == (416, 0, f"bytes */{size}")
    many = ",".join(f"{start}-{start}" for start in range(1000))
    for odd in (f"bytes={many}", "bytes=9-1", "bytes=-", "bytes=x", "lines=0-1", "bytes=" + "9" * 5000 + "-"):
        assert piece(odd) == (200, size, None)


def test_what_is_taken_down_is_gone_at_once_and_from_every_cache(tmp_path: Path) -> None:
    dataset = make(tmp_path / "d", [[Clip(0, 3000, VIDEO)], [Clip(0, 9000, VIDEO[1:])]])
    with served(dataset.root, tmp_path) as server:
        rows = server.browser.post("/api/rows").json["rows"]
        lost = rows[0]
        assert server.browser.get(f"/media/{lost['clip_id']}").status == 200
        (dataset.root / "cache/proxies").mkdir(parents=True)
        (dataset.root / f"cache/proxies/{lost['clip_id']}.mp4").write_bytes(b"x")
        found = find(dataset, frozenset({("video", lost["video_id"])}))
        with dataset.store.aside() as store:
            hide(dataset, store, found)
        assert server.browser.get(f"/media/{lost['clip_id']}").status in (410, 503)
        server.browser.ready()
        for route in CLIP_ROUTES:
            if "number" not in route:
                refused(server.browser.get(route.format(clip_id=lost["clip_id"])), 410)
        assert [row["clip_id"] for row in server.browser.post("/api/rows").json["rows"]] == [rows[1]["clip_id"]]
        purge(dataset, find(dataset, []))
        left = [path for path in (dataset.root / "cache").rglob("*") if path.is_file()]
        assert left == [dataset.root / STAMPS]  # hashes alone: no clip is named there, as the last line shows
        server.browser.ready()
        assert lost["clip_id"].encode() not in b"".join(path.read_bytes() for path in (dataset.root / "cache").rglob("*") if path.is_file())  # fmt: skip


def test_beyond_this_machine_names_are_spelt_out() -> None:
    check(Place("127.0.0.1"))
    check(Place("0.0.0.0", 8000, ("explore.example.org",)))
    with pytest.raises(UsageError, match="--allow-host"):
        check(Place("0.0.0.0"))
    for odd in ("*", "https://x.org", "x.org/", ""):
        with pytest.raises(UsageError):
            check(Place("0.0.0.0", 8000, (odd,)))


def test_the_command_tells_its_link_once_writes_no_secret_and_ends_by_signal(made: Dataset, tmp_path: Path) -> None:
    with subprocess.Popen(
        [sys.executable, "-m", "hdvg.cli", "explore", str(made.root), "--no-browser", "--author", "ada"],
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, cwd=tmp_path, env=os.environ,
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),  # of a shell in the background it would be ignored
    ) as process:  # fmt: skip
        assert process.stdout is not None
        assert process.stderr is not None
        found = re.search(r"http://127\.0\.0\.1:(\d+)/#token=(\S+)", process.stdout.readline())
        assert found is not None
        browser = Browser(int(found[1]))
        assert browser.open(found[2]).status == 204
        browser.ready()
        browser.get(f"/?token={found[2]}")
        clip = browser.post("/api/rows").json["rows"][0]["clip_id"]
        assert (
            browser.post("/api/annotations", {"rows": [{"clip_id": clip, "mark": "drop", "note": "n"}]}).status == 200
        )
        process.send_signal(signal.SIGINT)
        out, err = process.communicate(timeout=30)
        assert process.returncode == 130, err
    secrets = [found[2], (browser.cookie or "").partition("=")[2]]
    assert not any(secret in out + err for secret in secrets)
    assert not any(
        secret.encode() in path.read_bytes() for secret in secrets for path in made.root.rglob("*") if path.is_file()
    )
