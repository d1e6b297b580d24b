"""An export into a dataset repository of the Hugging Face hub: one commit, guarded by its parent, through the hub's own client."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from hdvg.errors import ResourceError, UsageError
from hdvg.exporting.hub import repository_of
from tests.hub import TOKEN, Hub
from tests.products import Clip, add, make
from tests.tools import need

need("huggingface_hub")
PLACE = "hf://datasets/me/films"
COMMANDS = """
import json, os, sys
from typer.testing import CliRunner
from hdvg.cli import app
from hdvg.errors import HdvgError
for line in sys.stdin:
    words, environment = json.loads(line)
    os.environ.update(environment)
    end = CliRunner().invoke(app, words)
    known = isinstance(end.exception, HdvgError)
    print(json.dumps([end.exception.exit_code if known else end.exit_code, f"{end.output} {end.exception}"]), flush=True)
"""
"""Runs hdvg's commands one after the other: the hub's client reads its settings as it is imported."""


@pytest.fixture(scope="module")
def served(tmp_path_factory):
    """A hub, and a process whose client asks it."""
    with Hub() as running:
        environment = running.environment(tmp_path_factory.mktemp("home"))
        command = [sys.executable, "-c", COMMANDS]
        with subprocess.Popen(
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env=environment
        ) as child:
            yield running, child
            child.stdin.close()


@pytest.fixture
def hub(served):
    running, running.child = served
    running.repositories.clear()
    running.objects.clear()
    running.sent.clear()
    running.before_commit, running.fail_uploads = (lambda: None), False
    return running


@pytest.fixture
def dataset(tmp_path):
    return make(tmp_path / "dataset", [[Clip(0, 3000, bytes([number]) * 20_000)] for number in range(2)])


def run(hub: Hub, root: Path, *words: str, place: str = PLACE, **environment: str) -> tuple[int, str]:
    return ask(hub, "export", str(root), "--to", "datasets", "--out", place, *words, **environment)


def ask(hub: Hub, *words: str, **environment: str) -> tuple[int, str]:
    hub.child.stdin.write(json.dumps([words, {"HF_TOKEN": TOKEN} | environment]) + "\n")
    hub.child.stdin.flush()
    status, text = json.loads(hub.child.stdout.readline())
    assert TOKEN not in text
    return status, " ".join(text.split())


def shards_sent(hub: Hub) -> int:
    return sum(hub.objects[name].startswith(b"PAR1") for name in hub.sent)


def test_a_repository_is_made_private_and_holds_what_a_folder_would(hub, dataset, tmp_path):
    status, text = run(hub, dataset.root)
    assert (status, f"{PLACE}: 2 of 2" in text) == (0, True), text
    status, _ = run(hub, dataset.root, place=str(tmp_path / "folder"))
    folder = {
        str(path.relative_to(tmp_path / "folder")): path.read_bytes()
        for path in (tmp_path / "folder").rglob("*")
        if path.is_file()
    }
    repository = hub.repositories["me/films"]
    assert repository.private
    assert len(repository.commits) == 2
    assert {name: content for name, content in repository.files.items() if name != ".gitattributes"} == folder
    assert [path.name for path in (dataset.root / "tmp").iterdir()] == ["made"], "nothing is left beside the dataset"


def test_an_unchanged_export_makes_no_commit_and_a_changed_one_sends_what_is_new(hub, dataset):
    run(hub, dataset.root)
    repository, sent = hub.repositories["me/films"], shards_sent(hub)
    assert sent
    files = len(hub.sent)
    status, text = run(hub, dataset.root)
    assert (status, len(repository.commits), len(hub.sent)) == (0, 2, files), text
    add(dataset, [[Clip(0, 4000, b"more" * 20_000)]])
    old = set(repository.files)
    status, text = run(hub, dataset.root)
    assert (status, len(repository.commits)) == (0, 3), text
    assert set(repository.files) - old
    assert set(json.loads(repository.files["export.json"])["files"]) | {".gitattributes", "export.json"} == set(
        repository.files
    )
    assert shards_sent(hub) == sent + 1, "shards that were there are not sent again"


def test_who_commits_meanwhile_is_not_overwritten(hub, dataset):
    run(hub, dataset.root)
    add(dataset, [[Clip(0, 4000, b"more" * 20_000)]])
    repository = hub.repositories["me/films"]
    hub.before_commit = lambda: repository.commit(repository.files | {"NOTES.md": b"mine"})
    status, text = run(hub, dataset.root)
    assert (status, "somebody else has committed" in text) == (UsageError.exit_code, True), text
    assert repository.messages[-1] == "by hand"
    hub.before_commit = lambda: None
    assert run(hub, dataset.root)[0] == 0, "the same command again"
    assert repository.files["NOTES.md"] == b"mine"


def test_a_repository_of_others_files_is_left_alone(hub, dataset):
    run(hub, dataset.root)
    repository = hub.repositories["me/films"]
    repository.commit({"train.csv": b"1"})
    status, text = run(hub, dataset.root)
    assert (status, "holds other files, no export" in text) == (UsageError.exit_code, True), text
    assert repository.files == {"train.csv": b"1"}


def test_what_the_hub_refuses_is_said_with_the_next_step(hub, dataset):
    status, text = run(hub, dataset.root, HF_TOKEN="hf_another")
    assert (status, "hf auth login" in text) == (UsageError.exit_code, True), text
    hub.fail_uploads = True
    status, text = run(hub, dataset.root)
    assert (status, "run the same command again" in text) == (ResourceError.exit_code, True), text
    assert len(hub.repositories["me/films"].commits) == 1
    hub.fail_uploads = False
    assert run(hub, dataset.root)[0] == 0
    status, text = run(hub, dataset.root, place=f"{PLACE}@draft")
    assert (status, "no branch draft" in text) == (UsageError.exit_code, True), text


def test_a_take_down_names_the_repository(hub, dataset):
    run(hub, dataset.root)
    with dataset.manifest() as manifest:
        (video,) = manifest.rows("select video_id, source from videos limit 1")
    _, text = ask(hub, "forget", str(dataset.root), "--video", video["source"], "--dry-run")
    assert f"out of reach: {PLACE}, export of" in text


def test_links_to_the_hub_are_read_as_they_are_written_and_as_a_path_has_them():
    assert repository_of("hf:/datasets/me/films").link == PLACE
    assert repository_of(f"{PLACE}@draft").branch == "draft"
    assert repository_of("my-folder") is None
    for bad in ("hf://models/me/x", "hf://datasets/me", "hf://datasets/me/films/data", "hf://me/films"):
        with pytest.raises(UsageError, match="hf://datasets/NAME/SET"):
            repository_of(bad)
