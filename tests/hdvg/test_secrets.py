"""A recipe or a list that a stranger wrote cannot send secrets of this machine, nor reach its private network, by default."""

from __future__ import annotations

import pytest

from hdvg.captioners.endpoint import Service
from hdvg.config.fetch import Fetch
from hdvg.config.recipe import Recipe, parse_recipe
from hdvg.config.secrets import allow, check_key_name, refuse_secrets, shown_address
from hdvg.errors import ItemError, UsageError
from hdvg.sources.calls import fetch_settings
from hdvg.sources.ytdlp import _reach
from tests.test_cli import hdvg

TAKEN = ("OPENAI_API_KEY", "HDVG_VLLM_KEY", "HDVG_KEY")
REFUSED = ("AWS_SECRET_ACCESS_KEY", "HF_TOKEN", "PATH", "HDVG_PROXY", "XHDVG_A_KEY", "HDVG_A_KEY2", "hdvg_a_key", "")


def with_endpoint(**endpoint: object) -> Recipe:
    return parse_recipe({"name": "t", "caption": {"captioner": "openai", "model": "m", "endpoint": endpoint}})


@pytest.mark.parametrize("name", TAKEN)
def test_variables_of_the_pattern_may_be_named_as_keys(name):
    refuse_secrets(with_endpoint(key_env=name))


@pytest.mark.parametrize("name", REFUSED)
def test_other_variables_are_refused_before_anything_is_sent(name, monkeypatch):
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "AKIA-secret")
    recipe = with_endpoint(key_env=name)  # a dataset that has it stays readable
    with pytest.raises(UsageError, match="--allow-env") as refusal:
        refuse_secrets(recipe)
    with pytest.raises(UsageError, match="--allow-env"):
        Service(recipe.caption.endpoint)
    assert "AKIA" not in str(refusal.value)


def test_variable_that_the_user_allows_is_taken(monkeypatch):
    monkeypatch.setenv("HDVG_ALLOW_ENV", "MINE")
    with pytest.raises(UsageError):
        check_key_name("TEAM_TOKEN", setting="caption.endpoint")
    allow(("TEAM_TOKEN",))
    check_key_name("TEAM_TOKEN", setting="caption.endpoint")
    check_key_name("MINE", setting="caption.endpoint")
    with pytest.raises(UsageError):
        check_key_name("TEAM", setting="caption.endpoint")


@pytest.mark.parametrize(
    "url",
    ["https://me:hunter2@e.com/v1", "https://hunter2@e.com/v1", "https://e.com/v1?api_key=hunter2", "https://e.com/v1?a=b&token=hunter2"],
)  # fmt: skip
def test_address_with_a_password_or_key_is_refused_and_not_repeated(url):
    with pytest.raises(UsageError, match=r"endpoint\.url = .*\*\*\*.* holds a password or key") as refusal:
        refuse_secrets(with_endpoint(url=url))
    assert "hunter2" not in str(refusal.value)


def test_plain_addresses_pass_as_they_are():
    for url in ("http://127.0.0.1:8000/v1", "https://e.com/v1?model=a&b=&c", "https://[::1]:8000/v1"):
        assert shown_address(url) == url
        refuse_secrets(with_endpoint(url=url))


def test_further_writers_are_looked_at_too():
    table = {
        "name": "t",
        "caption": {"captioner": "none", "also": {"x": {"captioner": "openai", "endpoint": {"key_env": "HOME"}}}},
    }
    with pytest.raises(UsageError, match="HOME"):
        refuse_secrets(parse_recipe(table))


def test_the_model_that_is_asked_questions_is_looked_at_too():
    asker = {"by": "openai", "endpoint": {"key_env": "HOME"}}
    with pytest.raises(UsageError, match=r"measure\.asker\.endpoint\.key_env = 'HOME'"):
        refuse_secrets(parse_recipe({"name": "t", "measure": {"asker": asker}}))


def test_run_with_a_foreign_key_or_password_makes_no_dataset(tmp_path):
    for setting in (
        "caption.endpoint.key_env=AWS_SECRET_ACCESS_KEY",
        "caption.endpoint.url=https://me:hunter2@e.com/v1",
    ):
        arguments = (
            "run",
            "demo",
            "--links",
            "https://e.com/1.mp4",
            "--out",
            str(tmp_path / "d"),
            "--runner",
            "serial",
        )
        said = hdvg(*arguments, "--set", setting, "--set", "caption.captioner=openai", code=2)
        assert "hunter2" not in said.stdout + said.stderr
        assert not (tmp_path / "d").exists()


def test_validate_refuses_what_a_run_would_refuse():
    for setting in ("key_env=AWS_SECRET_ACCESS_KEY", "url=https://me:hunter2@e.com/v1"):
        sets = ("--set", "caption.captioner=openai", "--set", f"caption.endpoint.{setting}")
        said = hdvg("recipe", "validate", "demo", *sets, code=2)
        assert "caption.endpoint" in said.stderr
        assert "hunter2" not in said.stderr
    sets = ("--set", "caption.captioner=openai", "--set", "caption.endpoint.key_env=TEAM_TOKEN")
    assert "fine" in hdvg("recipe", "validate", "demo", *sets, "--allow-env", "TEAM_TOKEN").stdout


def test_private_links_are_refused_unless_allowed(monkeypatch):
    monkeypatch.delenv("HDVG_PRIVATE_LINKS")
    assert Fetch().private_links == "refuse"
    assert parse_recipe({"name": "t"}).fetch.private_links == "refuse"
    for link in (
        "http://127.0.0.1:80/x.mp4",
        "http://localhost/x",
        "http://192.168.1.1/",
        "https://10.0.0.1/",
        "http://172.16.0.9/",
    ):
        with pytest.raises(ItemError, match="--allow-private") as refusal:
            _reach(link, fetch_settings(Fetch().model_dump(), {"proxy": None, "ca_pem": None}))
        assert refusal.value.reason == "forbidden_address"
    allowed = fetch_settings(Fetch(private_links="allow").model_dump(), {"proxy": None, "ca_pem": None})
    assert _reach("http://127.0.0.1:81/x", allowed).pairs == {("127.0.0.1", 81)}
