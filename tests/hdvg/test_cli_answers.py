"""What commands say: what changed, tables that fit, the user's own names of files, a log, and clips to look at."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from hdvg.cli import play, tables
from hdvg.config.described import described
from hdvg.config.recipe import Recipe
from hdvg.dataset.run_log import FILE
from hdvg.training.settings import TrainRecipe
from tests.test_cli import SMALL, Said, ask, hdvg
from tests.videos import draw_scenes, read_numbers


@pytest.fixture(scope="module")
def ran(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Said]:
    """A dataset of a folder with a video, a broken one, a hidden one and other files; and what the run said."""
    folder = tmp_path_factory.mktemp("answers")
    videos = folder / "my videos"
    videos.mkdir()
    draw_scenes(videos / "a.mp4", scene_frames=(20, 16))
    content = (videos / "a.mp4").read_bytes()
    (videos / "broken.mp4").write_bytes(content[: len(content) // 3])
    (videos / "._a.mp4").write_bytes(content)
    (videos / "notes.txt").write_text("birds")
    (videos / "clip.bin").write_bytes(content + bytes(16))
    return folder / "d", hdvg("run", "demo", "--links", videos, "--out", folder / "d", *SMALL)


def test_hidden_files_are_ignored_and_what_is_passed_over_is_counted(ran):
    dataset, said = ran
    links = [Path(row["link"]).name for row in ask(dataset, "select link from inputs order by link")]
    assert links == ["a.mp4", "broken.mp4"]
    assert "3 files passed over: " in said.stderr
    for reason in ("1 hidden", "1 .txt", "1 .bin", "--all-files"):
        assert reason in said.stderr


def test_all_files_takes_what_is_a_video_whatever_its_name(ran, tmp_path):
    videos = ran[0].parent / "my videos"
    hdvg("download", "demo", "--links", videos, "--out", tmp_path / "d", *SMALL, "--all-files")
    rows = ask(tmp_path / "d", "select source, reason from videos order by source")
    found = {Path(row["source"]).name: row["reason"] for row in rows}
    assert found["notes.txt"] == "not_media"
    assert found["clip.bin"] is None
    assert "._a.mp4" not in found


def test_a_failure_names_the_users_file_and_no_scratch_path(ran):
    dataset, _ = ran
    (row,) = ask(dataset, "select reason, detail from failures")
    assert "/tmp/" not in row["detail"].replace(str(dataset.parent), "")
    assert "source.bin" not in row["detail"]
    assert str(dataset.parent / "my videos/broken.mp4") in row["detail"]


def test_a_run_says_what_changed_in_five_lines_and_names_the_rest(ran):
    dataset, said = ran
    lines = said.stdout.splitlines()
    assert len(lines) <= 5
    assert "2 clips (+2), 1 kept (+1; " in lines[0]
    assert "dropped for: too_short 1 (+1)" in lines[1]
    assert lines[-1].startswith("all figures: hdvg status ")
    assert lines[-1].endswith(f"{dataset.name}/{FILE}")


def test_filter_says_what_its_rules_changed(ran):
    dataset, _ = ran
    said = hdvg("filter", dataset, "--set", "keep.too_short=duration_s >= 0.6").stdout.splitlines()
    assert "2 kept (+1; " in said[0]
    assert "pending: cut 1; to go on: hdvg run " in "\n".join(said)
    hdvg("filter", dataset, "--set", "keep.too_short=duration_s >= 0.7")
    again = hdvg("filter", dataset).stdout.splitlines()
    assert "nothing changed" in again[0]


def test_the_log_has_each_unit_with_its_level_and_a_refused_run_leaves_none(ran, tmp_path):
    dataset, _ = ran
    lines = (dataset / FILE).read_text().splitlines()
    assert any(" INFO hdvg " in line and line.endswith(": run") for line in lines)
    assert any(" WARNING download, unit " in line and "1 failed" in line for line in lines)
    assert any(" DEBUG split, unit " in line for line in lines)
    hdvg("run", "demo", "--links", tmp_path / "missing.txt", "--out", tmp_path / "d", code=2)
    assert not (tmp_path / "d").exists()
    hdvg("run", dataset, "--links", tmp_path / "missing.txt", "--runner", "serial", code=2)
    assert " ERROR ended by UsageError: " in (dataset / FILE).read_text().splitlines()[-1]


def test_play_gives_a_file_of_any_clip_and_says_where_it_is_if_its_source_is_gone(ran, tmp_path, monkeypatch):
    dataset, _ = ran
    rows = {row["keep"]: row["clip_id"] for row in ask(dataset, "select clip_id, keep from dataset")}
    monkeypatch.setattr(play, "player", lambda _: pytest.fail("nothing is to be played"))
    hdvg("play", dataset, rows[True][:12], "--out", tmp_path / "clip.mp4")
    (cut,) = ask(dataset, "select clip_bytes from dataset where keep")
    assert (tmp_path / "clip.mp4").stat().st_size == cut["clip_bytes"]
    path = Path(hdvg("play", dataset, rows[True], "--path").stdout.strip())
    assert path.read_bytes() == (tmp_path / "clip.mp4").read_bytes()
    dropped = Path(hdvg("play", dataset, rows[False], "--path").stdout.strip())
    assert len(read_numbers(dropped)) == 16
    ((source,),) = [list(row.values()) for row in ask(dataset, "select sha256 from videos where status = 'ok'")]
    path = next(dataset.glob(f"media/*/{source}.*"))
    path.rename(tmp_path / "away")
    said = hdvg("play", dataset, rows[False], code=2).stderr
    (tmp_path / "away").rename(path)
    assert "0.800 to 1.440 s of" in said
    assert "a.mp4" in said
    assert "no clip with an id that starts with 'zz'" in hdvg("play", dataset, "zz", code=2).stderr


def test_play_opens_the_first_player_that_is_there(ran, tmp_path, monkeypatch):
    (tmp_path / "ffplay").write_text("#!/bin/sh\n")
    (tmp_path / "ffplay").chmod(0o755)
    assert play.player({"DISPLAY": ":0", "PATH": str(tmp_path)})[0] == "ffplay"
    assert play.player({"DISPLAY": ":0", "PATH": str(tmp_path / "nothing")}) is None
    assert play.player({"PATH": str(tmp_path)}) is None


def test_a_table_fits_the_terminal_with_key_columns_first(ran, monkeypatch):
    dataset, _ = ran
    monkeypatch.setattr(tables, "terminal_width", lambda: 100)
    monkeypatch.setenv("COLUMNS", "100")
    lines = hdvg("query", dataset, "from videos").stdout.splitlines()
    assert lines[0].split()[:3] == ["video_id", "stage", "status"]
    assert max(map(len, lines[:-1])) <= 100
    assert "more columns: " in lines[-1]
    assert "--columns a,b" in lines[-1]
    chosen = hdvg("query", dataset, "from videos", "--columns", "sha256,fps").stdout.splitlines()
    assert chosen[0].split() == ["sha256", "fps"]
    every = hdvg("query", dataset, "from videos", "--all").stdout
    assert every.count("\nsha256") == 2
    assert "did you mean `status`" in hdvg("query", dataset, "from videos", "--columns", "statsu", code=2).stderr


def test_a_table_that_goes_into_a_pipe_is_not_cut(ran):
    dataset, _ = ran
    lines = hdvg("query", dataset, "from videos").stdout.splitlines()
    assert len(lines) == 3
    assert "sha256" in lines[0]


def test_columns_that_all_fit_stay_in_the_order_of_the_query():
    assert tables.fitting({"fps": 5, "clip_id": 12}, 80) == ["fps", "clip_id"]
    assert tables.fitting({"fps": 5, "title": 900, "clip_id": 64}, 60) == ["clip_id", "fps"]


def test_explain_shows_every_setting_with_its_sentence_range_default_and_value():
    lines = hdvg("recipe", "show", "demo", "--set", "cut.crf=20", "--explain").stdout.splitlines()
    at = lines.index("cut.crf = 20")
    assert "lower is better" in lines[at + 1]
    assert lines[at + 2].strip() == "takes whole number at least 0 and at most 63; default 18"
    rows = {row["name"]: row for row in json.loads(hdvg("recipe", "show", "demo", "--explain", "--json").stdout)}
    assert rows["cut.mode"]["takes"] == '"smart", "encode", "copy", "virtual"'
    assert {"caption.endpoint.url", "fetch.hosts", "keep", "limits.wall_s"} <= rows.keys()
    assert "optimizer.lr = 0.001" in hdvg("recipe", "show", "tiny", "--explain").stdout


@pytest.mark.parametrize("recipe", [Recipe(), TrainRecipe()])
def test_every_setting_has_a_sentence(recipe):
    assert [setting.name for setting in described(recipe) if not setting.sentence] == []
