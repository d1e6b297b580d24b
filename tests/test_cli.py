"""The commands as a user types them: answers on standard output, errors in one line, exit codes that scripts can trust."""

from __future__ import annotations

import contextlib
import csv
import io
import json
import re
import shlex
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import pyarrow.parquet as pq
import pytest

from hdvg.cli import main
from tests.servers import HostileServer, body, in_turn, status
from tests.videos import draw_scenes

SMALL = [
    "--runner",
    "serial",
    "--set",
    "caption.captioner=none",
    "--set",
    "keep.low_resolution=short_px >= 100",
    "--set",
    "keep.too_short=duration_s >= 0.7",
    "--set",
    "keep.watermark=null",
]


@dataclass(frozen=True)
class Said:
    """What a command put out."""

    stdout: str
    stderr: str


def hdvg(*arguments: object, code: int = 0) -> Said:
    """The console script's function, in this process: to start one and import takes longer than what most commands do."""
    out, err, found = io.StringIO(), io.StringIO(), 0
    before, sys.argv = sys.argv, ["hdvg", *map(str, arguments)]
    try:
        with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
            main()
    except SystemExit as left:
        found = left.code or 0
    finally:
        sys.argv = before
    assert found == code, err.getvalue()
    return Said(out.getvalue(), err.getvalue())


def ask(dataset: Path, sql: str) -> list[dict]:
    return json.loads(hdvg("query", dataset, sql, "--json").stdout)


@pytest.fixture(scope="module")
def dataset(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("cli")
    (folder / "videos").mkdir()
    draw_scenes(folder / "videos" / "a.mp4", scene_frames=(20, 16))
    words = ("run", "demo", "--links", folder / "videos", "--out", folder / "d", *SMALL)
    said = subprocess.run(
        [sys.executable, "-m", "hdvg.cli", *map(str, words)], capture_output=True, text=True, check=True
    )
    assert "too_short" in said.stdout
    return folder / "d"


def test_query_answers_as_table_json_csv_and_parquet(dataset, tmp_path):
    sql = "select clip_id, keep, reasons from verdicts order by keep"
    (dropped, kept) = ask(dataset, sql)
    assert (dropped["reasons"], kept["reasons"]) == (["too_short"], [])
    assert dropped["clip_id"] in hdvg("query", dataset, sql).stdout
    rows = list(csv.DictReader(io.StringIO(hdvg("query", dataset, sql, "--csv").stdout)))
    assert [row["clip_id"] for row in rows] == [dropped["clip_id"], kept["clip_id"]]
    hdvg("query", dataset, sql, "--parquet", tmp_path / "a.parquet")
    assert pq.read_table(tmp_path / "a.parquet").num_rows == 2


@pytest.mark.parametrize(
    "sql",
    [
        "copy (select 1) to 'x.csv'",
        "select 1; select 2",
        "from read_text('/etc/hostname')",
        "attach 'x.db'",
        "nonsense",
        "drop view clips",
    ],
)
def test_query_reads_the_dataset_and_nothing_else(dataset, sql):
    before = sorted(path.name for path in dataset.iterdir())
    assert hdvg("query", dataset, sql, code=2).stderr.startswith("hdvg: ")
    assert sorted(path.name for path in dataset.iterdir()) == before


def test_status_verify_and_explain_speak_json(dataset):
    said = json.loads(hdvg("status", dataset, "--json").stdout)
    assert {row["stage"]: row["items"] for row in said["funnel"]} == {
        "links": 1, "videos": 1, "fetched": 1, "decoded": 1, "clips": 2, "kept": 1, "cut": 1, "captioned": 0, "in shards": 1,
    }  # fmt: skip
    assert said["dropped"] == [{"reason": "too_short", "clips": 1}]
    assert json.loads(hdvg("verify", dataset, "--json").stdout) == []
    (row,) = ask(dataset, "select clip_id from verdicts where not keep")
    assert json.loads(hdvg("explain", dataset, row["clip_id"], "--json").stdout)["verdict"] == "dropped"
    assert "too_short" in hdvg("explain", dataset, row["clip_id"][:10]).stdout


def test_filter_changes_verdicts_and_only_them(dataset):
    assert "kept" in hdvg("filter", dataset, "--set", "keep.too_short=duration_s >= 0.6").stdout
    assert ask(dataset, "select count(*) as n from verdicts where keep") == [{"n": 2}]
    assert "keep.* only" in hdvg("filter", dataset, "--set", "cut.crf=30", code=2).stderr
    hdvg("filter", dataset, "--set", "keep.too_short=duration_s >= 0.7")
    assert ask(dataset, "select count(*) as n from verdicts where keep") == [{"n": 1}]


def files(dataset: Path) -> dict[str, bytes]:
    paths = [path for path in sorted(dataset.rglob("*")) if path.is_file() and path.parent.name != "cache"]
    return {str(path.relative_to(dataset)): path.read_bytes() for path in paths}


def test_what_if_reports_and_changes_nothing_and_its_command_makes_it_so(dataset):
    before = files(dataset)
    said = hdvg("filter", dataset, "--what-if", "duration_s>=0.6", "--json")
    assert "measures read into cache/" in said.stderr
    report = json.loads(said.stdout)
    assert (report["before"]["clips"], report["after"]["clips"], report["newly_kept"]["clips"]) == (1, 2, 1)
    assert report["sets"] == ["keep.too_short=duration_s >= 0.6"]
    again = hdvg("filter", dataset, "--what-if", "duration_s>=0.6")
    assert again.stderr == ""
    (command,) = [line for line in again.stdout.splitlines() if line.startswith("to make it so: hdvg filter ")]
    assert "too_short" in again.stdout
    assert files(dataset) == before
    assert json.loads(hdvg("verify", dataset, "--json").stdout) == []
    hdvg("filter", dataset, *shlex.split(command)[7:])
    assert ask(dataset, "select count(*) as n from verdicts where keep") == [{"n": 2}]
    hdvg("filter", dataset, "--set", "keep.too_short=duration_s >= 0.7")


def test_what_if_starts_from_other_rules_if_given(dataset):
    sets = ["--set", "keep.too_short=null"]
    report = json.loads(hdvg("filter", dataset, *sets, "--what-if", "duration_s <= 0.7", "--json").stdout)
    assert "too_short" not in {rule["rule"] for rule in report["rules"]}
    assert {rule["rule"]: rule["asks"] for rule in report["rules"]}["too_long"] == "duration_s <= 0.7"
    assert (report["after"]["clips"], report["newly_dropped"]["clips"]) == (1, 1)
    report = json.loads(hdvg("filter", dataset, "--recipe", "hd_vg_130m", "--what-if", "fps > 1", "--json").stdout)
    assert [rule["rule"] for rule in report["rules"]] == ["fps"]


def test_target_keep_finds_thresholds_and_changes_nothing(dataset):
    before = files(dataset)
    report = json.loads(hdvg("filter", dataset, "--target-keep", 1, "--tune", "duration_s>=", "--json").stdout)
    assert (report["tuned"]["kept"], report["after"]["clips"]) == (2, 2)
    assert report["sets"] == ["keep.too_short=duration_s >= 0.6"]  # the clips have 0.64 and 0.8 s
    assert "found: 1" in hdvg("filter", dataset, "--target-keep", 0.5, "--tune", "duration_s>=").stdout
    assert files(dataset) == before
    for arguments, words in [
        (["--target-keep", "0.5"], "go together"),
        (["--tune", "fps>="], "go together"),
        (["--target-keep", "0.5", "--tune", "duration_s"], "say which side"),
        (["--target-keep", "1", "--tune", "fps>="], "loosen other rules"),
        (["--what-if", "duration>=3"], "did you mean `duration_s`"),
    ]:
        assert words in hdvg("filter", dataset, *arguments, code=2).stderr


def test_stage_command_says_that_nothing_was_to_do(dataset):
    said = hdvg("split", dataset, "--runner", "serial")
    assert "nothing to do at split: all is done" in said.stderr
    assert "nothing changed" in said.stdout


def test_retry_tries_failed_items_again_by_reason(tmp_path):
    video = tmp_path / "a.mp4"
    draw_scenes(video)
    with HostileServer() as server:
        url = server.add("/a.mp4", in_turn(*[status(404)] * 2, body(video.read_bytes(), "video/mp4")))
        hdvg("run", "demo", "--links", url, "--out", tmp_path / "d", *SMALL)
        assert ask(tmp_path / "d", "select stage, status, reason from failures") == [
            {"stage": "download", "status": "failed", "reason": "gone"}
        ]
        hdvg("run", tmp_path / "d", "--runner", "serial")
        assert ask(tmp_path / "d", "select reason from failures") == [{"reason": "gone"}]
        server.routes["/a.mp4"] = body(video.read_bytes(), "video/mp4")
        hdvg("retry", tmp_path / "d", "--reason", "throttled", "--runner", "serial")
        assert ask(tmp_path / "d", "select reason from failures") == [{"reason": "gone"}]
        hdvg("retry", tmp_path / "d", "--reason", "gone", "--runner", "serial")
    assert ask(tmp_path / "d", "select reason from failures") == []
    assert ask(tmp_path / "d", "select status, count(*) as n from videos group by all") == [{"status": "ok", "n": 1}]
    hdvg("verify", tmp_path / "d")


def test_status_tells_how_each_host_fared_and_what_became_of_its_links(tmp_path):
    video = tmp_path / "a.mp4"
    draw_scenes(video)
    root = tmp_path / "d"
    with HostileServer() as server:
        film = body(video.read_bytes(), "video/mp4")
        urls = [server.add("/a.mp4", status(429, Retry_After="1"), film), server.url("/gone.mp4")]
        (tmp_path / "links.txt").write_text("\n".join(urls))
        hdvg("run", "demo", "--links", tmp_path / "links.txt", "--out", root, *SMALL)
        host = f"{server.host}:{server.port}"
    said = json.loads(hdvg("status", root, "--json").stdout)["hosts"]
    row = said["hosts"][host]
    assert (row["asked"], row["ok"], row["refused"]) == (3, 1, {"throttled": 1, "gone": 1})
    assert row["mb"] == pytest.approx(video.stat().st_size / 2**20, abs=0.01)
    shown = hdvg("status", root).stdout
    assert re.search(rf"{re.escape(host)} +3 +1 +1 \w+, 1 \w+ ", shown), shown
    year = int(said["at"][:4])
    wanted = [(host, year, "fetch", "failed", "gone", 1, 0.5), (host, year, "fetch", "ok", None, 1, 0.5)]
    assert [tuple(row.values()) for row in json.loads(hdvg("status", root, "--links", "--json").stdout)] == wanted
    text = "\n".join(",".join("" if value is None else str(value) for value in row) for row in wanted)
    text = f"host,year,year_of,status,reason,links,share\n{text}\n"
    assert hdvg("status", root, "--links", "--csv", "-").stdout == text
    hdvg("status", root, "--links", "--csv", tmp_path / "links.csv")
    assert (tmp_path / "links.csv").read_text() == text
    assert "50.0%" in hdvg("status", root, "--links").stdout
    assert "--csv goes with --links" in hdvg("status", root, "--csv", "-", code=2).stderr
    assert "folder that is there" in hdvg("status", root, "--links", "--csv", tmp_path / "no" / "x.csv", code=2).stderr


def test_failing_verify_exits_1_with_the_list(dataset, tmp_path):
    clip = next(path for path in dataset.glob("media/*/*.parquet"))
    data = clip.read_bytes()
    clip.unlink()
    try:
        assert "keyframes" in hdvg("verify", dataset, code=1).stdout
    finally:
        clip.write_bytes(data)


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["status", "nowhere"], "is no dataset"),
        (["run", "demo"], "--out"),
        (["run", "demoo", "--links", "x", "--out", "d"], "did you mean `demo`"),
        (["run", "demo", "--links", "missing.txt", "--out", "d"], "missing.txt"),
        (["run", "demo", "--links", "x", "--out", "d", "--runner", "slurm"], "ray, local or serial"),
        (["run", "demo", "--out", "new"], "--links"),
        (["recipe", "validate", "demo", "--set", "keep.too_short=duration >= 3"], "did you mean `duration_s`"),
        (["retry", "d", "--reason", "boredom"], "no such reason"),
        (["run", "demo", "--links", "http://x/", "--out", "d", "--set", "caption.captioner=tagz"], "tags"),
    ],
)
def test_a_mistake_is_named_in_one_line_with_what_would_be_fine(tmp_path, monkeypatch, arguments, words):
    monkeypatch.chdir(tmp_path)
    said = hdvg(*arguments, code=2).stderr
    assert words in said
    assert "Traceback" not in said


def test_recipe_commands_list_show_and_check(tmp_path):
    assert "hd_vg_130m" in hdvg("recipe", "list").stdout
    mine = tmp_path / "mine.toml"
    mine.write_text(hdvg("recipe", "show", "demo", "--set", "keep.too_short=duration_s >= 3").stdout)
    assert 'too_short = "duration_s >= 3"' in mine.read_text()
    hdvg("recipe", "validate", mine)


def test_doctor_finds_this_machine_fit():
    findings = json.loads(hdvg("doctor", "--json").stdout)
    assert {"FFmpeg in PyAV", "free space", "hard links", "limited child process", "GPU"} <= {
        row["check"] for row in findings
    }
    assert "bad" not in {row["state"] for row in findings}
