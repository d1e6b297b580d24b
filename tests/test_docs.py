"""README and docs tell the truth: every command, flag and setting in them exists, and every command stands in the README."""

import re
import subprocess
import sys
import tomllib
from pathlib import Path

import typer
from typer.main import get_command

from hdvg.cli import app
from hdvg.config.recipe import Recipe, parse_recipe
from hdvg.sources.settings import Fetch
from hdvg.training.settings import TrainRecipe
from pipelines.recipes import find_recipe, find_train_recipe, shipped
from tests.readme import with_table

ROOT = Path(__file__).parents[1]
README = ROOT.joinpath("README.md").read_text(encoding="utf-8")
PAGES = "\n".join([README, *(page.read_text(encoding="utf-8") for page in sorted(ROOT.glob("docs/*.md")))])
COMMANDS = get_command(app).commands
RECIPE_COMMANDS = COMMANDS["recipe"].commands


def flags_of(command: object) -> set[str]:
    below = [flags_of(inner) for inner in getattr(command, "commands", {}).values()]
    return {flag for param in command.params for flag in param.opts}.union({"--help"}, *below)


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
    assert set(re.findall(r"(?<![\w-])--[a-z][a-z-]+", PAGES)) <= known


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


def test_the_readmes_recipe_is_one():
    (toml,) = re.findall(r"```toml\n(.*?)```", README, re.DOTALL)
    assert parse_recipe(tomllib.loads(toml)).keep


def test_every_setting_of_the_fetch_that_is_named_exists():
    assert set(re.findall(r"`fetch\.([a-z_]+)", PAGES)) <= set(Fetch.model_fields)


def test_every_recipe_in_the_docs_is_one():
    for page in sorted(ROOT.glob("docs/*.md")):
        for toml in re.findall(r"```toml\n(.*?)```", page.read_text(encoding="utf-8"), re.DOTALL):
            assert parse_recipe(tomllib.loads(toml))


def test_the_readmes_table_of_measures_is_todays():
    assert with_table(README) == README, "python -m tests.readme writes it anew"


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
