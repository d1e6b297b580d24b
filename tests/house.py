"""What the house is measured by: its import graph, layers, circles, rooms, and the longest files and functions."""

from __future__ import annotations

import ast
import functools
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path

PACKAGES = ("schemas", "hdvg", "pipelines")
FACE_LINES = 60
"""An `__init__.py` shorter than this that defines nothing, or only `__getattr__`, hands names on: it is no module of the graph."""

Graph = Mapping[str, set[str]]


@dataclass
class House:
    """The modules of a tree, by dotted name, and what each imports."""

    at_top: dict[str, set[str]] = field(default_factory=dict)
    """Modules imported as it is imported; `if TYPE_CHECKING` counts too."""
    inside: dict[str, set[str]] = field(default_factory=dict)
    """Modules imported in functions alone."""
    lines: dict[str, int] = field(default_factory=dict)
    """Of each file, by its path."""
    functions: dict[str, int] = field(default_factory=dict)
    """Lines of each function, by path and name."""

    @property
    def rooms(self) -> set[str]:
        """Packages and loose files at the top of `hdvg/`."""
        return {name.split(".")[1] for name in self.at_top if name.startswith("hdvg.")}


@functools.cache
def read_house(root: Path) -> House:
    """The house at the root of a tree."""
    house, trees, faces = House(), dict[str, ast.Module](), set[str]()
    for path in sorted(path for package in PACKAGES for path in (root / package).rglob("*.py")):
        text, place = path.read_text(encoding="utf-8"), path.relative_to(root)
        tree = ast.parse(text)
        house.lines[str(place)] = text.count("\n")
        house.functions |= {f"{place}:{name}": lines for name, lines in _functions(tree)}
        if path.name == "__init__.py" and text.count("\n") < FACE_LINES and not _defines(tree):
            faces.add(".".join(place.parts[:-1]))
            continue
        trees[".".join(place.with_suffix("").parts).removesuffix(".__init__")] = tree
    for name, tree in trees.items():
        top, inner = _imported(tree, trees.keys(), faces)
        house.at_top[name], house.inside[name] = top - {name}, inner - top - {name}
    return house


def circles(graph: Graph) -> list[list[str]]:
    """Groups of modules that import each other in a loop (Tarjan's strongly connected components of more than one)."""
    return sorted(sorted(group) for group in _groups(graph) if len(group) > 1)


def room_imports(house: House) -> Graph:
    """Which rooms every room imports from; pipelines and schemas are a room each."""
    graph: dict[str, set[str]] = {}
    for name, found in house.at_top.items():
        graph.setdefault(room(name), set()).update(room(other) for other in found if room(other) != room(name))
    return graph


def layers(graph: Graph) -> dict[str, int]:
    """The floor of every room of a graph without circles: 1 for the ground, else one above the highest that it imports."""
    floors: dict[str, int] = {}
    for group in _groups(graph):  # what is imported comes first
        floors |= {name: 1 + max((floors[other] for other in graph[name] - group), default=0) for name in group}
    return floors


def room(module: str) -> str:
    """The room of a module: `hdvg.dataset`, `pipelines`, `schemas`."""
    parts = module.split(".")
    return ".".join(parts[:2]) if parts[0] == "hdvg" else parts[0]


def _groups(graph: Graph) -> list[set[str]]:
    index: dict[str, int] = {}
    low: dict[str, int] = {}
    stack: list[str] = []
    found: list[set[str]] = []

    def visit(name: str) -> None:
        index[name] = low[name] = len(index)
        stack.append(name)
        for other in sorted(graph.get(name, ())):
            if other not in index:
                visit(other)
                low[name] = min(low[name], low[other])
            elif other in stack:
                low[name] = min(low[name], index[other])
        if low[name] == index[name]:
            place = stack.index(name)
            found.append(set(stack[place:]))
            del stack[place:]

    for name in sorted(graph):
        if name not in index:
            visit(name)
    return found


def _imported(tree: ast.Module, known: Collection[str], faces: set[str]) -> tuple[set[str], set[str]]:
    """The modules that a module imports as it is imported, and those that its functions do."""
    top: set[str] = set()
    inner: set[str] = set()
    waiting: list[tuple[ast.AST, set[str]]] = [(tree, top)]
    while waiting:
        node, found = waiting.pop()
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names if alias.name in known}
        elif isinstance(node, ast.ImportFrom) and node.module:
            named = {f"{node.module}.{alias.name}" for alias in node.names} - faces
            found |= {name if name in known else node.module for name in named} & set(known)
        elif not isinstance(node, ast.expr):
            mine = inner if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef) else found
            waiting += [(child, mine) for child in ast.iter_child_nodes(node)]
    return top, inner


def _defines(tree: ast.Module) -> bool:
    made = [node.name for node in tree.body if isinstance(node, ast.FunctionDef | ast.ClassDef)]
    return bool(set(made) - {"__getattr__", "__dir__"})


def _functions(tree: ast.Module) -> Iterator[tuple[str, int]]:
    for node in ast.walk(tree):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            yield node.name, (node.end_lineno or node.lineno) - node.lineno + 1
