"""The commands as a user types them: answers on standard output, errors in one line, exit codes that scripts can trust."""

from __future__ import annotations

import csv
import io
import json
import subprocess
import sys
from pathlib import Path

import pyarrow.parquet as pq
import pytest

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
]


def hdvg(*arguments: object, code: int = 0) -> subprocess.CompletedProcess[str]:
    done = subprocess.run(
        [sys.executable, "-m", "hdvg.cli", *map(str, arguments)], capture_output=True, text=True, check=False
    )
    assert done.returncode == code, done.stderr
    return done


def ask(dataset: Path, sql: str) -> list[dict]:
    return json.loads(hdvg("query", dataset, sql, "--json").stdout)


@pytest.fixture(scope="module")
def dataset(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("cli")
    (folder / "videos").mkdir()
    draw_scenes(folder / "videos" / "a.mp4", scene_frames=(20, 16))
    said = hdvg("run", "demo", "--links", folder / "videos", "--out", folder / "d", *SMALL).stdout
    assert "too_short" in said
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


def test_stage_command_shows_what_is_done(dataset):
    assert "ok" in hdvg("split", dataset, "--runner", "serial").stdout


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
        (["run", "demo", "--links", "x", "--out", "d", "--runner", "slurm"], "ray or serial"),
        (["run", "demo", "--out", "new"], "--links"),
        (["recipe", "validate", "demo", "--set", "keep.too_short=duration >= 3"], "did you mean `duration_s`"),
        (["retry", "d", "--reason", "boredom"], "no such reason"),
        (["run", "demo", "--links", "x", "--out", "d", "--set", "caption.captioner=tagz"], "tags"),
    ],
)
def test_a_mistake_is_named_in_one_line_with_what_would_be_fine(tmp_path, monkeypatch, arguments, words):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("PYTHONPATH", str(Path(__file__).parents[1]))
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
