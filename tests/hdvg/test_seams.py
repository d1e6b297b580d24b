"""Every call into a limited child is declared once, served by the function it names, and its result is held to its type."""

from __future__ import annotations

import ast
import functools
import importlib
import inspect
import json
import pickle
import subprocess
import sys
from pathlib import Path
from typing import Annotated, Any, NotRequired, get_args, get_origin, get_type_hints

import pytest
from pydantic import TypeAdapter
from typing_extensions import TypedDict, is_typeddict

from hdvg.config.child_settings import CutSettings, SplitSettings
from hdvg.config.cut import Cut
from hdvg.config.fetch import Fetch
from hdvg.config.sections import Split
from hdvg.errors import ItemError
from hdvg.sandbox import Limits, Sandbox
from hdvg.sandbox.paths import Paths
from hdvg.sandbox.seam import Seam, closed, in_child, open_ended, seam, served
from hdvg.sources.calls import FetchSettings

ROOT = Path(__file__).parents[2]
DECLARED = (
    "hdvg.latents.calls",
    "hdvg.media.calls",
    "hdvg.media.measure_calls",
    "hdvg.media.viewing_calls",
    "hdvg.sources.calls",
)
SEAMS = {
    one.target: one for name in DECLARED for one in vars(importlib.import_module(name)).values() if type(one) is Seam
}
HEAVY = {"av", "cv2", "torch", "yt_dlp", "scenedetect", "numpy", "pyarrow", "pydantic"}


class Inner(TypedDict):
    size: int


class Plain(TypedDict):
    name: str
    share: float | None
    inner: list[Inner]
    more: NotRequired[int]


@open_ended
class Open(TypedDict):
    name: str
    strict: list[Strict]


@closed
class Strict(TypedDict):
    size: int


@in_child
def give(text: str) -> Plain:
    found: Plain = json.loads(text)
    return found


@in_child
def give_open(text: str) -> Open:
    found: Open = json.loads(text)
    return found


def not_served() -> None:
    """No seam."""


@pytest.fixture(scope="module")
def sandbox():
    lock = Sandbox()
    yield lock
    lock.close()


@functools.cache
def trees() -> list[tuple[str, ast.Module]]:
    paths = [path for package in ("hdvg", "pipelines") for path in sorted((ROOT / package).rglob("*.py"))]
    return [(str(path.relative_to(ROOT)), ast.parse(path.read_text(encoding="utf-8"))) for path in paths]


def test_there_are_seams():
    assert {"hdvg.media.scan:scan", "hdvg.media.cut:cut", "hdvg.sources.ytdlp:download"} <= set(SEAMS)


@pytest.mark.parametrize("target", sorted(SEAMS))
def test_each_seam_is_served_by_a_function_of_its_signature(target):
    asked, there = (inspect.signature(one).parameters.values() for one in (SEAMS[target].declared, served(target)))
    assert [(one.name, one.kind, one.default) for one in asked] == [(one.name, one.kind, one.default) for one in there]
    assert get_type_hints(served(target)) == get_type_hints(SEAMS[target].declared)


def test_every_declared_seam_is_in_the_list_above():
    made = [
        path
        for path, tree in trees()
        for node in ast.walk(tree)
        if isinstance(node, ast.ImportFrom) and node.module == "hdvg.sandbox.seam"
        if any(name.name == "seam" for name in node.names)
    ]
    assert sorted(made) == sorted(f"{name.replace('.', '/')}.py" for name in DECLARED)


def not_json(kind: Any, where: str) -> list[str]:
    """Where a type says what JSON does not hold, or anything at all."""
    if is_typeddict(kind):
        return [bad for name, part in get_type_hints(kind).items() for bad in not_json(part, f"{where}.{name}")]
    origin, parts = get_origin(kind), get_args(kind)
    if origin is None:
        return [] if kind in (str, int, float, bool, type(None)) else [f"{where}: {kind}"]
    if str(origin).endswith("Literal"):
        return []
    if origin in (tuple, set) or (origin is dict and parts[0] is not str):
        return [f"{where}: {kind}"]
    return [bad for part in parts for bad in not_json(part, where)]


@pytest.mark.parametrize("target", sorted(SEAMS))
def test_seams_are_of_what_json_holds(target):
    kinds = get_type_hints(SEAMS[target].declared)
    assert [bad for name, kind in kinds.items() for bad in not_json(kind, name) if bad not in ALLOWED] == []


PATHS = {"path", "out", "video", "sound", "target", "folder", "made_by", "file"}
"""Names of arguments that are paths."""


@pytest.mark.parametrize("target", sorted(SEAMS))
def test_each_path_of_a_seam_is_marked_for_its_walls(target):
    hints = get_type_hints(SEAMS[target].declared, include_extras=True)
    assert [name for name, hint in hints.items() if name in PATHS and get_origin(hint) is not Annotated] == []


def test_paths_are_found_wherever_they_stand():
    seen = [{"folder": "/a/1"}, {"folder": "/a/2"}]
    call = SEAMS["hdvg.media.scan:assemble"]("/in", "/out", {}, 1, seen, n_frames=2)
    assert call.paths == Paths(reads=("/in", "/a/1", "/a/2"), writes=("/out",))
    wanted = {"mine": {"made_by": "/m.py:Mine", "options": {"weights": "/w.npz", "size": 3, "kind": "fast"}}}
    call = SEAMS["hdvg.media.clip_inputs:listen"]("/in", [], "1/25", wanted)
    assert call.paths == Paths(reads=("/in", "/w.npz"), code=("/m.py:Mine",))
    assert call.needs == "files"
    assert SEAMS["hdvg.sources.ytdlp:download"]("http://a", "/out", {}).needs == "network"


ALLOWED = {
    "settings.hosts: typing.Any",  # the table of hosts is made a `Fetch` again by who reads it
    "measures.options: typing.Any",  # what a user's class is made with
    "return: typing.Any",  # what it gives, which its declaration is held against
    "settings.spans: tuple[int, int]",  # added by the child itself
}


def test_nobody_calls_a_child_by_a_text():
    """`sandbox.call("module:function", …)`, or a `Call` that is put together by hand."""
    wrong = []
    for path, tree in trees():
        for node in ast.walk(tree):
            if not isinstance(node, ast.Call) or path == "hdvg/sandbox/seam.py":
                continue
            name = ast.unparse(node.func)
            is_text = bool(node.args) and isinstance(node.args[0], ast.Constant | ast.JoinedStr)
            if name == "Call" or (name.rpartition(".")[2] == "call" and is_text and "sandbox" in name.lower()):
                wrong.append(f"{path}:{node.lineno}")
    assert wrong == []


def test_naming_a_childs_function_brings_nothing_heavy():
    asked = f"import sys; import {', '.join(DECLARED)}; print(*sorted(set(sys.modules) & {HEAVY!r}))"
    run = subprocess.run([sys.executable, "-c", asked], capture_output=True, text=True, cwd=ROOT, check=True)
    assert run.stdout.split() == []


@pytest.mark.parametrize(
    ("fields", "settings", "added"),
    [
        (Split, SplitSettings, {"scenes", "blocked", "spans", "layer", "interlaced", "max_frames", "max_decoded_gb"}),
        (Cut, CutSettings, set()),
        (Fetch, FetchSettings, {"ca_pem", "as_excerpt", "signed"}),
    ],
)
def test_settings_of_children_are_the_recipes(fields, settings, added):
    assert set(settings.__annotations__) == set(fields.model_fields) | added
    dumped = json.loads(fields().model_dump_json())
    hints = get_type_hints(settings)
    for name, value in dumped.items():
        TypeAdapter(hints[name]).validate_python(value, strict=True)


# What a child returns


GOOD = {"name": "a", "share": 0.5, "inner": [{"size": 1}]}


@pytest.mark.parametrize("given", [GOOD, GOOD | {"share": None, "inner": []}, GOOD | {"more": 1}, GOOD | {"share": 1}])
def test_result_of_its_type_comes_back(sandbox, tmp_path, given):
    assert sandbox.call(give(json.dumps(given)), tmp_path, Limits()) == given


@pytest.mark.parametrize(
    ("given", "where"),
    [
        (GOOD | {"name": 1}, "name: "),
        (GOOD | {"share": "0.5"}, "share: "),
        (GOOD | {"share": True}, "share: "),
        (GOOD | {"inner": [{"size": 1.5}]}, "inner.0.size: "),
        (GOOD | {"inner": [{"size": 1, "x": 1}]}, "inner.0.x: "),
        (GOOD | {"x": 1}, "x: "),
        ({"name": "a"}, "inner: "),
        ([GOOD], ""),
        (None, ""),
        ("text", ""),
    ],
)
def test_result_of_another_type_is_an_error_of_the_item(sandbox, tmp_path, given, where):
    with pytest.raises(ItemError, match="returned what it may not") as failed:
        sandbox.call(give(json.dumps(given)), tmp_path, Limits())
    assert failed.value.reason == "error"
    assert where in failed.value.detail


def test_open_ended_result_keeps_further_keys_and_the_closed_one_in_it_has_none(sandbox, tmp_path):
    given = {"name": "a", "motion": 0.5, "strict": [{"size": 1}]}
    assert sandbox.call(give_open(json.dumps(given)), tmp_path, Limits()) == given
    with pytest.raises(ItemError, match=r"strict\.0\.x"):
        sandbox.call(give_open(json.dumps(given | {"strict": [{"size": 1, "x": 2}]})), tmp_path, Limits())


def test_what_is_wrong_is_told_without_what_the_child_said(sandbox, tmp_path):
    given = GOOD | {"inner": [{"size": "x" * 10_000}] * 1000}
    with pytest.raises(ItemError) as failed:
        sandbox.call(give(json.dumps(given)), tmp_path, Limits())
    assert len(failed.value.detail) < 1100
    assert "xx" not in failed.value.detail


def test_call_travels_to_another_process():
    call = pickle.loads(pickle.dumps(SEAMS["hdvg.media.cut:cut"]("a.mp4", "out", [], {}, max_pixels=1)))
    assert call.arguments == {"path": "a.mp4", "out": "out", "spans": [], "settings": {}, "max_pixels": 1}
    assert call.checked([]) == []


# What a child may run


def test_child_runs_only_what_serves_a_seam(sandbox, tmp_path):
    @seam(f"{__name__}:not_served")
    def not_served() -> None:
        raise NotImplementedError

    with pytest.raises(ItemError, match="serves no seam"):
        sandbox.call(not_served(), tmp_path, Limits())


def test_function_serves_only_the_seam_that_names_it():
    @seam("hdvg.elsewhere:not_served")
    def declared() -> None:
        raise NotImplementedError

    with pytest.raises(TypeError, match=r"cannot serve hdvg\.elsewhere:not_served"):
        declared.serves(not_served)
