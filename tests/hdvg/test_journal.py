"""The log of a run: what a kill leaves, what a resumed run makes of it, and what people see of it."""

from __future__ import annotations

import io
import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from rich.console import Console

from hdvg.training.journal import LOG, Journal, read
from hdvg.training.live import View, clock
from hdvg.training.settings import Length
from tests.tools import need


def steps(run: Path) -> list[int]:
    return [line["step"] for line in read(run)]


def written(run: Path, first: int, last: int, *, note: float = 0.0) -> None:
    with Journal(run) as journal:
        journal.begin(first)
        for step in range(first, last + 1, 10):
            if step or not first:
                journal.write(step, {"loss": 1 / (step + 1), "note": note})


def test_lines_are_json_with_null_for_what_is_no_number(tmp_path: Path) -> None:
    with Journal(tmp_path) as journal:
        journal.write(0, {"loss": 0.1 + 0.2, "norm": float("nan"), "rate": float("inf"), "none": None})
        journal.write(10, {"loss": 1})
    lines = (tmp_path / LOG).read_text().splitlines()
    assert [json.loads(line) for line in lines] == [
        {"step": 0, "loss": 0.1 + 0.2, "norm": None, "rate": None, "none": None},
        {"step": 10, "loss": 1},
    ]


def test_resumed_run_has_each_step_once_even_after_a_torn_line(tmp_path: Path) -> None:
    written(tmp_path, 0, 70)
    with (tmp_path / LOG).open("ab") as file:
        file.write(b'{"step": 80, "lo')
    assert steps(tmp_path) == list(range(0, 71, 10))
    with Journal(tmp_path) as journal:
        journal.begin(40)
        for step in (50, 60, 70, 80):
            journal.write(step, {"loss": 2.0})
    assert steps(tmp_path) == list(range(0, 81, 10))
    assert [line["loss"] for line in read(tmp_path)][4:6] == [1 / 41, 2.0]
    assert (tmp_path / LOG).read_bytes().endswith(b"\n")


@pytest.mark.parametrize("cut", [1, 2, 17, 40])
def test_torn_last_line_of_the_resumed_step_itself_is_cut_off(tmp_path: Path, cut: int) -> None:
    written(tmp_path, 0, 30)
    whole = (tmp_path / LOG).read_bytes()
    (tmp_path / LOG).write_bytes(whole[:-cut])
    with Journal(tmp_path) as journal:
        journal.begin(30)
        journal.write(40, {"loss": 2.0})
    assert steps(tmp_path) == [0, 10, 20, 40]


def test_run_without_a_checkpoint_begins_its_log_anew(tmp_path: Path) -> None:
    written(tmp_path, 0, 30)
    written(tmp_path, 0, 20, note=1.0)
    assert steps(tmp_path) == [0, 10, 20]
    assert {line["note"] for line in read(tmp_path)} == {1.0}


def test_log_goes_forward(tmp_path: Path) -> None:
    with Journal(tmp_path) as journal:
        journal.begin(10)
        journal.write(20, {"loss": 1.0})
        journal.write(20, {"validation": 1.0})
        with pytest.raises(ValueError, match="goes forward"):
            journal.write(10, {"loss": 1.0})


def test_what_was_written_survives_kill_9(tmp_path: Path) -> None:
    code = (
        "import sys, pathlib\n"
        "import hdvg.training.journal as journal\n"
        "journal.Journal._opened_board = lambda self: None\n"  # its import takes seconds
        "written = journal.Journal(pathlib.Path(sys.argv[1]))\n"
        "for step in range(10**9):\n"
        "    written.write(step, {'loss': step / 3})\n"
        "    print(step, flush=True)\n"
    )
    child = subprocess.Popen([sys.executable, "-c", code, str(tmp_path)], stdout=subprocess.PIPE, text=True)
    assert child.stdout is not None
    said = 0
    for _ in range(200):
        said = int(child.stdout.readline())
    os.kill(child.pid, signal.SIGKILL)
    child.wait()
    child.stdout.close()
    kept = steps(tmp_path)
    assert kept == list(range(len(kept)))
    assert len(kept) > said == 199


def test_tensorboard_holds_the_numbers_once_after_a_resume(tmp_path: Path) -> None:
    need("torch", "tensorboard")
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    written(tmp_path, 0, 40)
    written(tmp_path, 20, 30, note=1.0)
    events = EventAccumulator(str(tmp_path / "tensorboard")).Reload()
    assert set(events.Tags()["scalars"]) == {"loss", "note"}
    assert [event.step for event in events.Scalars("loss")] == steps(tmp_path)
    assert [event.value for event in events.Scalars("loss")] == pytest.approx([line["loss"] for line in read(tmp_path)])


VALUES = {
    "loss": 0.5,
    "validation": 0.625,
    "validation_change": -0.125,
    "validation_change_low": -0.25,
    "validation_change_high": -0.0625,
    "samples_s": 12.5,
    "data_stall": 0.0125,
    "of_floor": 0.45,
    "steps_s": 2.0,
    "minutes": 1.0,
}
WORDS = "loss 0.5 · validation 0.625 · change -0.1250 [-0.2500, -0.0625] · 12.5 samples/s · stall 1.2% · 45% of floor"


def shown(length: Length, *, terminal: bool) -> str:
    said = io.StringIO()
    view = View(Console(file=said, force_terminal=terminal, width=250, color_system=None), length)
    view.show(10, VALUES)
    view.show(20, {"loss": 0.25})  # too soon for another line
    view.show(30, {"validation": 0.5}, aloud=True)
    view.close()
    return said.getvalue()


def test_elsewhere_than_on_a_terminal_lines_tell_how_it_goes() -> None:
    lines = shown(Length(steps=250, minutes=None), terminal=False).splitlines()
    assert lines[0] == f"step 10  {WORDS}  ETA 2:00"
    assert lines[1].startswith("step 30  loss 0.25 · validation 0.5 · ")
    assert len(lines) == 2


def test_eta_is_to_the_nearer_bound() -> None:
    assert "ETA 0:30" in shown(Length(steps=250, minutes=1.5), terminal=False)
    assert "ETA 2:00" in shown(Length(steps=250, minutes=150), terminal=False)
    assert (clock(59.4), clock(3600), clock(125)) == ("0:59", "1:00:00", "2:05")


def test_terminal_has_one_live_line() -> None:
    said = shown(Length(steps=250, minutes=None), terminal=True)
    assert "step 30" in said
    assert "loss 0.25 · validation 0.5 · change -0.1250 [-0.2500, -0.0625]" in said
