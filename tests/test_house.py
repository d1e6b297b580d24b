"""The rules of the house that a linter cannot know: which way imports point, what must not be in the repository."""

from __future__ import annotations

import ast
import re
import shutil
import subprocess
import sys
import tomllib
from functools import cache
from pathlib import Path

import pytest

from tests.dear import SECONDS
from tests.house import circles, layers, read_house, room_imports

ROOT = Path(__file__).parent.parent
PACKAGES = ("schemas", "hdvg", "pipelines")  # each may import those before it
BANNED_NAMES = {"utils", "util", "common", "core", "base", "managers", "manager", "helpers", "misc"}
BUNDLE_MB = 10
LAYERS_MOST, ROOMS_MOST = 12, 36
FILE_LINES_MOST, FUNCTION_LINES_MOST = 300, 60
COMMANDS = ("hdvg/cli/", "hdvg/api.py")
"""Whose functions may look up to `pipelines`."""

CATCHES_ALL = {
    ("hdvg/sandbox/child.py", "Exception"): "the child's boundary: what a library raises must cross it as data",
    ("pipelines/work.py", "Exception"): "the runner: an unknown failure becomes a row with its traceback",
    ("hdvg/captioners/lavis_worker.py", "Exception"): "a worker's boundary: what LAVIS raises must cross it as data",
    (
        "hdvg/sandbox/__init__.py",
        "Exception",
    ): "the child's boundary, both ways: what a library raises must cross it as data",
    (
        "hdvg/sandbox/child.py",
        "BaseException",
    ): "the child's very end: it must leave by _exit, never return into the parent's code",
    (
        "hdvg/cli/__init__.py",
        "Exception",
    ): "looked at for what the machine lacks, which ends with 75; all else is raised again",
    ("pipelines/repair_packs.py", "Exception"): "a measure of the user's own: what it raises is why a pack is left",
    ("hdvg/sources/solver.py", "Exception"): "noted and raised again: yt-dlp goes on behind a solver that failed",
}
"""Where anything may be caught, and why."""

# with a letter in brackets, so that this file does not find itself
MACHINE_PATHS = re.compile(r"/[w]ork/(?:main|shared|\.)|/[o]pt/(?:pypi|wheels)|/[r]oot/|/[t]mp/w/|/[h]ome/\w+/")
REGISTRIES = re.compile(r"[p]ypi\.org|[p]ythonhosted|[d]ownload\.pytorch|[r]egistry\.npmjs|[d]eb\.debian\.org")


@cache
def tracked_files() -> tuple[Path, ...]:
    """Files that git tracks or would track; all but the ignored ones."""
    if shutil.which("git") is None or not (ROOT / ".git").exists():
        pytest.skip("needs a git checkout")
    listed = subprocess.run(
        ["git", "ls-files", "-coz", "--exclude-standard"], cwd=ROOT, check=True, capture_output=True
    )
    paths = [ROOT / name for name in listed.stdout.decode().split("\0") if name]
    return tuple(path for path in paths if path.is_file())


@cache
def modules_of(package: str) -> tuple[tuple[str, ast.Module], ...]:
    paths = sorted((ROOT / package).rglob("*.py"))
    return tuple((path.relative_to(ROOT).as_posix(), ast.parse(path.read_text(encoding="utf-8"))) for path in paths)


def modules(*packages: str) -> list[tuple[str, ast.Module]]:
    """Path below the root and syntax tree of every module of the packages."""
    return [one for package in packages for one in modules_of(package)]


@cache
def nodes(tree: ast.Module) -> tuple[ast.AST, ...]:
    return tuple(ast.walk(tree))


@cache
def imports(tree: ast.Module) -> tuple[tuple[str, bool], ...]:
    """Top name of every import, and whether it stands inside a function's body."""
    found: list[tuple[str, bool]] = []
    waiting: list[tuple[ast.AST, bool]] = [(tree, False)]
    while waiting:
        node, is_inside = waiting.pop()
        if isinstance(node, ast.Import):
            found += [(alias.name.split(".")[0], is_inside) for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"line {node.lineno}: relative import"
            found.append(((node.module or "").split(".")[0], is_inside))
        elif not isinstance(node, ast.expr):
            is_inside |= isinstance(node, ast.FunctionDef)
            waiting += [(child, is_inside) for child in ast.iter_child_nodes(node)]
    return tuple(found)


def test_imports_point_one_way() -> None:
    wrong = []
    for number, package in enumerate(PACKAGES):
        above = set(PACKAGES[number + 1 :])
        for path, tree in modules(package):
            for name, in_function in imports(tree):
                allowed = path.startswith(COMMANDS) and name == "pipelines" and in_function
                if name in above and not allowed:
                    wrong.append(f"{path} imports {name}")
    assert wrong == []


def test_modules_import_each_other_in_no_circle_and_stand_on_few_layers() -> None:
    house = read_house(ROOT)
    both = {name: found | house.inside[name] for name, found in house.at_top.items()}
    between_rooms = room_imports(house)
    floors = layers(between_rooms)
    highest = max(floors.values())
    print(f"{len(house.at_top)} modules, {len(house.rooms)} rooms in hdvg, {highest} layers:")
    for floor in range(highest, 0, -1):
        print(f"{floor:4d}  {', '.join(sorted(name for name, at in floors.items() if at == floor))}")
    assert circles(house.at_top) == []
    assert circles(between_rooms) == []
    print("by imports in functions:", [group for group in circles(both) if group not in circles(house.at_top)])
    assert highest <= LAYERS_MOST
    assert len(house.rooms) <= ROOMS_MOST, sorted(house.rooms)


def test_files_and_functions_are_short() -> None:
    house = read_house(ROOT)
    longest = sorted(house.lines, key=lambda name: -house.lines[name])[:3]
    print("longest files:", {name: house.lines[name] for name in longest})
    assert {name: lines for name, lines in house.lines.items() if lines > FILE_LINES_MOST} == {}
    assert {name: lines for name, lines in house.functions.items() if lines > FUNCTION_LINES_MOST} == {}


def test_circles_and_layers_are_seen(tmp_path: Path) -> None:
    for name, text in {
        "hdvg/a/one.py": "import hdvg.b\n",
        "hdvg/b.py": "from hdvg.c import x\ndef f():\n    from hdvg.a import one\n",
        "hdvg/c.py": "from schemas import y\n",
        "schemas/y.py": "",
        "hdvg/a/__init__.py": "",
    }.items():
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(text)
    house = read_house(tmp_path)
    both = {name: found | house.inside[name] for name, found in house.at_top.items()}
    assert circles(house.at_top) == []
    assert circles(both) == [["hdvg.a.one", "hdvg.b"]]
    assert layers(room_imports(house)) == {"schemas": 1, "hdvg.c": 2, "hdvg.b": 3, "hdvg.a": 4}


def test_schemas_import_pyarrow_only() -> None:
    allowed = {"pyarrow", "schemas"} | set(sys.stdlib_module_names)
    assert [(path, name) for path, tree in modules("schemas") for name, _ in imports(tree) if name not in allowed] == []


def test_only_pipelines_say_ray() -> None:
    assert [path for path, tree in modules("hdvg", "schemas") if "ray" in {name for name, _ in imports(tree)}] == []


def test_no_module_is_a_drawer_for_everything() -> None:
    names = [
        path for path, _ in modules(*PACKAGES, "tests") if {Path(path).stem, *Path(path).parts[:-1]} & BANNED_NAMES
    ]
    assert names == []


def test_every_folder_of_code_is_a_package() -> None:
    folders = {path.parent for package in PACKAGES for path in (ROOT / package).rglob("*.py")}
    assert [str(folder.relative_to(ROOT)) for folder in folders if not (folder / "__init__.py").exists()] == []


def test_files_that_workers_begin_with_are_there() -> None:
    assert [name for name in SECONDS if not (ROOT / name).exists()] == []


def test_every_module_opens_with_a_docstring() -> None:
    def silent(path: str, tree: ast.Module) -> bool:
        empty_package = path.startswith("tests/") and not tree.body
        return not ast.get_docstring(tree) and not empty_package

    assert [path for path, tree in modules(*PACKAGES, "tests") if silent(path, tree)] == []


SHELLS = {"system": "os", "popen": "os", "getoutput": "subprocess", "getstatusoutput": "subprocess"}


def test_no_command_goes_through_a_shell() -> None:
    found = []
    for path, tree in modules(*PACKAGES):
        for node in nodes(tree):
            if not isinstance(node, ast.Call):
                continue
            shell = [word for word in node.keywords if word.arg == "shell" and ast.unparse(word.value) != "False"]
            is_shell = isinstance(node.func, ast.Attribute) and node.func.attr in SHELLS
            if shell or (is_shell and ast.unparse(node.func) in {f"{home}.{name}" for name, home in SHELLS.items()}):
                found.append(f"{path}:{node.lineno}: {ast.unparse(node.func)}")
    assert found == []


def test_everything_is_caught_only_where_the_list_says_so() -> None:
    found: list[tuple[str, str]] = []
    for path, tree in modules(*PACKAGES):
        for node in nodes(tree):
            if isinstance(node, ast.ExceptHandler):
                caught = {"BaseException"} if node.type is None else set(re.findall(r"\w+", ast.unparse(node.type)))
                found += [(path, name) for name in sorted(caught & {"Exception", "BaseException"})]
    assert set(found) == set(CATCHES_ALL)


def test_nothing_names_this_machine_or_a_registry() -> None:
    found = []
    for path in tracked_files():
        text = path.read_bytes()
        if b"\0" in text:
            continue
        for number, line in enumerate(text.decode("utf-8").splitlines(), start=1):
            if MACHINE_PATHS.search(line) or REGISTRIES.search(line):
                found.append(f"{path.relative_to(ROOT)}:{number}: {line.strip()[:100]}")
    assert found == []


def test_bundled_media_are_small_and_attributed() -> None:
    folder = ROOT / "pipelines/demo/media"
    files = [path for path in folder.iterdir() if path.is_file()]
    assert sum(path.stat().st_size for path in files) <= BUNDLE_MB * 1_000_000
    readme = (folder / "README.md").read_text(encoding="utf-8")
    assert [path.name for path in files if path.name not in readme and path.name != "README.md"] == []


def test_constraints_pin_every_dependency_exactly() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    extras = project["optional-dependencies"]
    wanted = [*project["dependencies"], *(need for extra in extras.values() for need in extra)]
    lines = (ROOT / "constraints.txt").read_text(encoding="utf-8").splitlines()
    pins = [line for line in lines if line and not line.startswith("#")]
    assert [line for line in pins if not re.fullmatch(r"[\w.-]+==[\w.]+", line)] == []
    pinned = {plain_name(line.split("==")[0]) for line in pins}
    assert [need for need in wanted if plain_name(re.split(r"[<>=!~\[; ]", need)[0]) not in pinned] == []
    assert "torchvision" not in pinned


def plain_name(name: str) -> str:
    """A package's name as the index compares it."""
    return re.sub(r"[-_.]+", "-", name).lower()
