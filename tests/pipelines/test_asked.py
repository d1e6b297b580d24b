"""Questions as measures in whole runs: only what a clip lacks is asked, rules judge by the answers, a server's fault is nobody's."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator
from pathlib import Path
from unittest.mock import ANY

import pytest
from typer.testing import CliRunner

from hdvg.cli import app
from hdvg.dataset.dataset import Dataset
from tests.chat import ChatServer, first_picture, says
from tests.layouts import asked, call, files
from tests.products import shard_rows
from tests.servers import status
from tests.tools import need
from tests.videos import draw_scenes

need("openai")

SERIAL = ("--runner", "serial")
CHANCES = (0.1, 0.9, 0.3, 0.7, 0.01)
"""Of a logo, in one picture after the other."""
LOGO, NIGHT = "Is there a visible logo?", 'Isn\'t it {night}; or "dark"?'


class Asked(ChatServer):
    """Says of a clip, by its pictures, whether there is a logo, and how good it is; `down` holds the questions it fails at, `mute` those it does not answer."""

    def __init__(self) -> None:
        super().__init__()
        self.down: frozenset[str] = frozenset()
        self.mute: frozenset[str] = frozenset()
        self._seen: dict[bytes, int] = {}

    def _say(self, handler) -> None:
        request = json.loads(handler.posted)
        question = request["messages"][0]["content"][-1]["text"]
        self.asked.append(request)
        if any(one in question for one in self.down):
            return status(503)(handler)
        if any(one in question for one in self.mute):
            return says("I cannot say.")(handler)
        if "how good" in question.lower():
            return says("fair", told=[{"fair": 0.5, "good": 0.5}])(handler)
        with self._change:
            seen = self._seen.setdefault(first_picture(request), len(self._seen))
        chance = CHANCES[seen % len(CHANCES)]
        return says("yes" if chance >= 0.5 else "no", told=[ordered({"yes": chance, "no": 1 - chance})])(handler)

    def questions(self) -> list[str]:
        """What was asked since the last time, about how many clips."""
        texts, self.asked = [one["messages"][0]["content"][-1]["text"] for one in self.asked], []
        return sorted(next(one for one in (LOGO, NIGHT, "How good is it?") if one in text) for text in texts)


def ordered(chances: dict[str, float]) -> dict[str, float]:
    return dict(sorted(chances.items(), key=lambda one: -one[1]))


@pytest.fixture(scope="module")
def server() -> Iterator[Asked]:
    with Asked() as server:
        yield server


RECIPE = f"""
name = "asked"
keep = {{too_short = "duration_s >= 0.7", logo = "not logo"}}
[caption]
captioner = "none"
[measure]
preview = true
[measure.asker]
by = "openai"
model = "tiny"
endpoint = {{url = "URL", tries = 1}}
[measure.ask.logo]
question = "{LOGO}"
[measure.ask.good]
question = "How good is it?"
kind = "score"
frames = 4
"""


@pytest.fixture(scope="module")
def done(server: Asked, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Six clips of two videos, one too short to keep, asked two questions; not to be changed."""
    folder = tmp_path_factory.mktemp("asked")
    (folder / "clips").mkdir()
    for number, scenes in enumerate([(16, 20, 25), (30, 22, 20)]):
        draw_scenes(folder / "clips" / f"{number}.mp4", scene_frames=scenes, seed=number)
    (folder / "asked.toml").write_text(RECIPE.replace("URL", server.url))
    call("run", folder / "asked.toml", "--links", folder / "clips", "--out", folder / "d", *SERIAL)
    return folder / "d"


@pytest.fixture
def copy(done: Path, server: Asked, tmp_path: Path) -> Path:
    """A copy of it, to be changed; nothing was asked of the server yet."""
    server.down = frozenset()
    server.questions()
    return Path(shutil.copytree(done, tmp_path / "d"))


def test_clips_that_may_pass_are_asked_each_question_once_and_rules_judge_by_the_answers(done, server):
    assert server.questions() == ["How good is it?"] * 5 + [LOGO] * 5
    rows = asked(done, "select duration_s, logo, logo_p, good, good_p, keep, reasons, cut_status from dataset")
    assert len(rows) == 6
    (short,) = [row for row in rows if row["duration_s"] < 0.7]
    assert (short["logo"], short["good"], short["reasons"]) == (None, None, ["too_short"])
    for row in (row for row in rows if row is not short):
        assert row["logo"] == (row["logo_p"] >= 0.5)
        assert (row["good"], row["good_p"]) == (pytest.approx(0.625), pytest.approx(0.5))
        assert (row["keep"], row["reasons"]) == (not row["logo"], ["logo"] * row["logo"])
        assert row["cut_status"] == (None if row["logo"] else "ok")
    assert {row["logo"] for row in rows} == {True, False, None}
    packed = shard_rows(Dataset.open(done)).values()
    assert len(packed) == 3
    for row in packed:
        assert json.loads(row["own_measures"]) == {"logo": False, "logo_p": ANY, "good": 0.625, "good_p": 0.5}
    assert "whole" in call("verify", done)


def test_frames_are_those_of_the_preview_that_the_same_run_kept(done, server, copy):
    server.asked = []
    call("run", copy, "--set", f"measure.ask.good.question={NIGHT}", "--set", "measure.ask.good.kind=yes_no", *SERIAL)
    shown = [len(request["messages"][0]["content"]) - 1 for request in server.asked]
    texts = {request["messages"][0]["content"][-1]["text"].partition(NIGHT)[0] for request in server.asked}
    assert all(1 < count <= 4 for count in shown)
    assert all("in order of time, at 0.0" in text for text in texts)


def test_another_question_asks_nothing_of_the_others_again(server, copy):
    before = files(copy)
    told = ("--set", f"measure.ask.night.question={NIGHT}")
    call("measure", copy, *told, *SERIAL)
    kept = asked(copy, "select count(*) as n from dataset where keep")[0]["n"]
    assert server.questions() == [NIGHT] * kept
    after = files(copy)
    assert before.items() <= after.items()
    assert {name.rpartition("/")[0] for name in after.keys() - before.keys()} == {"parts/learned"}
    call("run", copy, *SERIAL)
    assert server.questions() == []
    assert asked(copy, "select count(*) as n from dataset where keep and night is not null") == [{"n": kept}]
    assert asked(copy, "select count(*) as n from dataset where keep") == [{"n": kept}]


def test_the_old_question_again_asks_nothing(server, copy):
    rows = asked(copy, "select clip_id, logo_p from dataset order by clip_id")
    call("run", copy, "--set", f"measure.ask.logo.question={NIGHT}", *SERIAL)
    assert set(server.questions()) == {NIGHT}
    call("run", copy, "--set", f"measure.ask.logo.question={LOGO}", *SERIAL)
    assert server.questions() == []
    assert asked(copy, "select clip_id, logo_p from dataset order by clip_id") == rows


def test_what_if_explain_and_exports_know_the_answers(done, copy, tmp_path):
    supposed = json.loads(call("filter", copy, "--what-if", "logo_p < 0.2", "--json"))
    assert (
        supposed["after"]["clips"]
        == asked(copy, "select count(*) as n from dataset where keep and logo_p < 0.2")[0]["n"]
    )
    assert "logo_p" in call("filter", copy, "--target-keep", "0.2", "--tune", "logo_p<=")
    (clip,) = asked(copy, "select clip_id, logo_p from dataset where keep order by clip_id limit 1")
    explained = json.loads(call("explain", copy, clip["clip_id"], "--json"))
    assert (explained["measures"]["logo_p"], explained["measures"]["good"]) == (clip["logo_p"], pytest.approx(0.625))
    call("export", copy, "--to", "openvid", "--out", tmp_path / "out")
    call("filter", copy, "--set", "keep.logo=logo_p < 0.9", *())
    assert asked(copy, "select count(*) as n from dataset where keep <> (coalesce(logo_p, 1) < 0.9)") == [{"n": 0}]


def test_a_server_that_fails_leaves_its_question_for_the_next_run_and_the_other_answered(server, copy):
    server.down = frozenset({NIGHT})
    told = ("--set", f"measure.ask.night.question={NIGHT}", "--set", "measure.ask.fine.question=How good is it?")
    again = ("--set", "measure.ask.fine.kind=score")
    assert CliRunner().invoke(app, [*map(str, ("run", copy, *told, *again, *SERIAL))]).exit_code == 0
    rows = asked(copy, "select stage, status, reason, detail, attempt from failures")
    kept = asked(copy, "select count(*) as n from dataset where fine is not null and night is null")[0]["n"]
    assert kept > 0
    assert len(rows) == kept
    for row in rows:
        assert (row["stage"], row["status"], row["reason"], row["attempt"]) == ("learned", "retry", "throttled", 1)
        assert row["detail"].startswith("night: ")
    call("run", copy, *SERIAL)
    assert asked(copy, "select distinct status, attempt from failures") == [{"status": "retry", "attempt": 1}]
    server.questions()
    server.down = frozenset()
    call("run", copy, *SERIAL)
    assert server.questions() == [NIGHT] * kept
    assert asked(copy, "select * from failures") == []
    assert asked(copy, "select count(*) as n from dataset where fine is not null and night is not null") == [
        {"n": kept}
    ]


def test_a_question_without_an_answer_is_a_failure_that_can_be_retried_behind_others(server, copy):
    server.mute = frozenset({NIGHT})
    call(
        "run",
        copy,
        "--set",
        f"measure.ask.night.question={NIGHT}",
        "--set",
        "keep.day=not night",
        "--new-rule",
        *SERIAL,
    )
    (row,) = asked(copy, "select distinct stage, status, reason, detail from failures")
    assert (row["stage"], row["status"], row["reason"]) == ("learned", "failed", "caption")
    assert row["detail"] == "night: no usable answer in 3: 'I cannot say.'"
    left = asked(copy, "select count(*) as n from dataset where reasons = ['unmeasured:day']")[0]["n"]
    assert left == 3
    call("run", copy, "--set", "keep.day=null", "--set", f"measure.ask.other.question={NIGHT} Or dusk?", *SERIAL)
    server.mute = frozenset()
    server.questions()
    call("retry", copy, "--reason", "caption", *SERIAL)
    assert server.questions() == [NIGHT] * left * 2
    assert asked(copy, "select count(*) as n from dataset where night is not null and other is not null") == [
        {"n": left}
    ]


def test_an_audit_asks_people_what_the_model_was_asked(copy, tmp_path):
    call("audit", copy, "--topics", "logo", "--questions", tmp_path / "q.csv")
    assert LOGO in (tmp_path / "q.csv").read_text()


def test_a_take_down_purges_the_answers(copy):
    (video,) = asked(copy, "select video_id from videos order by source limit 1")
    call("forget", copy, "--video", video["video_id"], "--purge")
    assert asked(copy, f"select 1 as one from learned_rows where video_id = '{video['video_id']}'") == []
    assert asked(copy, "select count(*) > 0 as some from learned_rows") == [{"some": True}]
    assert "whole" in call("verify", copy)
