"""README and docs tell the truth: every command, flag and setting in them exists, and every command stands in the README."""

import re
import subprocess
import sys
import tomllib
from pathlib import Path
from xml.etree import ElementTree

import typer
from typer.main import get_command

from hdvg.cli import app
from hdvg.config.fetch import Fetch
from hdvg.config.recipe import Recipe, parse_recipe
from hdvg.filtering.tune import parse_axes
from hdvg.reports.wants import wants
from hdvg.training.settings import TrainRecipe
from pipelines.recipes import find_recipe, find_train_recipe, shipped
from tests.readme import with_table

ROOT = Path(__file__).parents[1]
FILES = [ROOT / "README.md", *sorted(ROOT.glob("docs/*.md"))]
TEXTS = {path: path.read_text(encoding="utf-8") for path in FILES}
README = TEXTS[ROOT / "README.md"]
PAGES = "\n".join(TEXTS.values())
COMMANDS = get_command(app).commands
RECIPE_COMMANDS = COMMANDS["recipe"].commands


def flags_of(command: object) -> set[str]:
    below = [flags_of(inner) for inner in getattr(command, "commands", {}).values()]
    return {flag for param in command.params for flag in (*param.opts, *param.secondary_opts)}.union({"--help"}, *below)


def test_every_command_that_is_named_exists_with_its_flags():
    lines = re.findall(r"hdvg (?!--)([a-z|\\-]+)((?: [^`\n]*)?)", PAGES)
    assert len(lines) > 15
    for names, rest in lines:
        for name in names.replace("\\", "").split("|"):
            if name not in COMMANDS:
                assert not re.match(r"[a-z]+$", name) or f"`hdvg {name}" not in PAGES, f"`hdvg {name}` is named"
                continue
            known = flags_of(COMMANDS[name])
            assert set(re.findall(r"--[a-z-]+", rest.split("#")[0])) <= known, f"hdvg {name}{rest}"


def test_every_flag_that_is_named_belongs_to_some_command():
    known = set().union(
        *(flags_of(command) for command in [*COMMANDS.values(), *RECIPE_COMMANDS.values()]), {"--version"}
    )
    others = {"--no-deps", "--require-hashes", "--slice"}  # of pip and tests.faults
    others |= {
        "--head",
        "--port",
        "--node-ip-address",
        "--generate",
        "--build-arg",
        "--nodes",
    }  # of ray, docker and Slurm
    assert set(re.findall(r"(?<![\w-])--[a-z][a-z-]+", PAGES)) <= known | others


def test_every_command_stands_in_the_readme_and_has_help():
    for name, command in COMMANDS.items():
        assert re.search(rf"hdvg [a-z|\\]*\b{name}\b", README), name
        assert command.help
        for param in command.params:
            assert isinstance(param, typer.core.TyperArgument) or param.help, f"{name} {param.name}"


def test_every_setting_that_is_named_exists():
    for section, setting in re.findall(r"--set '?([a-z]+)\.([a-z_]+)=", PAGES):
        kinds = [type(getattr(recipe, section, None)) for recipe in (Recipe(), TrainRecipe())]
        assert section == "keep" or any(setting in getattr(kind, "model_fields", ()) for kind in kinds), setting


def test_readme_is_read_in_five_minutes():
    assert len(README.encode()) < 10_000


def anchors(page):
    """The anchors of its headings, as they are made from their text on the site that shows them."""
    headings = re.findall(r"^#+ (.*)$", page, re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


def test_every_link_between_pages_leads_to_a_heading_that_is_there():
    links = [(path, link) for path, text in TEXTS.items() for link in re.findall(r"\]\(([^)]+)\)", text)]
    assert len(links) > 40
    for path, link in links:
        file, _, anchor = link.partition("#")
        if not link.startswith("https://"):
            target = (path.parent / file).resolve() if file else path
            assert target.is_file(), f"{path.name}: {link}"
            assert not anchor or anchor in anchors(target.read_text(encoding="utf-8")), f"{path.name}: {link}"


def test_every_page_is_linked_from_the_readme():
    assert all(f"](docs/{path.name})" in README for path in FILES[1:])


def test_every_test_that_is_named_exists():
    named = set(re.findall(r"(tests/[\w/]+\.py)::(\w+)", PAGES))
    assert len(named) > 40
    for path, name in named:
        assert f"\ndef {name}(" in (ROOT / path).read_text(encoding="utf-8"), f"{path}::{name}"


def test_python_in_the_pages_compiles():
    for path, text in TEXTS.items():
        for code in re.findall(r"```python\n(.*?)```", text, re.DOTALL):
            compile(code, str(path), "exec")


def test_bounds_to_tune_are_plain_with_the_rules_of_the_recipe_that_is_used_everywhere():
    tuned = re.findall(r"--tune '([^']+)'", PAGES)
    assert tuned
    for text in tuned:
        assert parse_axes(text, find_recipe("demo").keep)


def test_what_each_shipped_recipe_wants_is_said_in_its_row():
    text = TEXTS[ROOT / "docs/recipes.md"]
    for name in shipped():
        (cell,) = re.findall(rf"^\| `{name}` \| .* \| (.*) \|$", text, re.MULTILINE)
        assert re.findall("`([^`]+)`", cell) == wants(find_recipe(name)), name


def test_the_picture_is_small_and_well_formed():
    picture = ROOT / "docs/picture.svg"
    assert picture.stat().st_size < 200_000
    assert ElementTree.parse(picture).getroot().tag.endswith("svg")


def test_every_setting_of_the_fetch_that_is_named_exists():
    assert set(re.findall(r"`fetch\.([a-z_]+)", PAGES)) <= set(Fetch.model_fields)


def test_every_recipe_in_the_pages_is_one():
    found = [toml for text in TEXTS.values() for toml in re.findall(r"```toml\n(.*?)```", text, re.DOTALL)]
    assert found
    assert all(parse_recipe(tomllib.loads(toml)) for toml in found)


def test_the_table_of_measures_is_todays():
    page = TEXTS[ROOT / "docs/measures.md"]
    assert with_table(page) == page, "python -m tests.readme writes it anew"


def test_shipped_recipes_are_fine():
    assert all(find_recipe(name).about for name in shipped())
    assert all(find_train_recipe(name).about for name in shipped("train"))


def test_help_loads_nothing_heavy():
    code = (
        "import sys; sys.argv = ['hdvg', '--help']\ntry:\n import hdvg.cli; hdvg.cli.main()\nexcept SystemExit: pass\n"
    )
    code += "print(sorted({'ray', 'torch', 'cv2', 'pyarrow', 'duckdb', 'av', 'yt_dlp', 'pydantic'} & set(sys.modules)))"
    said = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert said.stdout.splitlines()[-1] == "[]"
