"""Slips on the command line are refused with what was meant, before anything is made."""

from __future__ import annotations

import json

import pytest

from tests.test_cli import hdvg

TYPO = "keep.toshort=duration_s >= 3"


def test_a_rule_called_almost_as_one_that_exists_is_taken_for_a_slip():
    said = hdvg("recipe", "show", "demo", "--set", TYPO, code=2).stderr
    assert "no recipe knows a rule `toshort`; did you mean `too_short`?" in said
    assert "--new-rule" in said


def test_a_new_rule_is_taken_if_it_is_said_so_or_is_called_like_no_other():
    for arguments in (["--set", TYPO, "--new-rule"], ["--set", "keep.wide=aspect > 2"]):
        recipe = json.loads(hdvg("recipe", "show", "demo", *arguments, "--json").stdout)
        assert recipe["keep"].keys() & {"toshort", "wide"}


def test_a_rule_of_another_recipe_is_no_slip():
    hdvg("recipe", "validate", "hd_vg_130m", "--set", "keep.too_short=duration_s >= 3")
    hdvg("recipe", "validate", "hd_vg_130m", "--set", "keep.too_short=null")


def test_a_rule_that_is_nowhere_cannot_be_taken_away():
    said = hdvg("recipe", "validate", "demo", "--set", "keep.nosuch=null", code=2).stderr
    assert "no rule is called `nosuch`; known are: " in said


@pytest.mark.parametrize(
    "arguments",
    [
        ["run", "demo", "--links", "list.txt", "--out", "hdfs://name/ds"],
        ["split", "sftp://host/ds"],
        ["query", "hdfs://name/ds", "from videos"],
        ["gc", "hdfs://name/ds"],
        ["import", "hd-vg", "a.json", "--out", "hdfs://name/ds"],
        ["export", "ds", "--to", "hd-vg", "--out", "sftp://host/out"],
        ["train", "hdfs://name/ds"],
        ["train", "ds", "--out", "s3://bucket/run"],
    ],
)
def test_a_place_that_is_no_folder_of_this_machine_is_refused(arguments, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "list.txt").write_text("https://example.org/a.mp4\n")
    said = hdvg(*arguments, code=2).stderr
    assert "is not supported" in said
    assert [path.name for path in tmp_path.iterdir()] == ["list.txt"]


def test_a_file_url_is_answered_with_its_path():
    assert "give the path of the folder itself: /data/ds" in hdvg("status", "file:///data/ds", code=2).stderr


@pytest.mark.parametrize("links", [[], ["--links", "missing.txt"], ["--links", "empty"]])
def test_a_new_dataset_without_a_link_to_take_is_not_made(links, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "empty").mkdir()
    hdvg("run", "demo", *links, "--out", "ds", code=2)
    assert not (tmp_path / "ds").exists()


def test_a_reason_is_answered_with_the_one_most_like_it(tmp_path):
    assert "did you mean `throttled`?" in hdvg("retry", tmp_path, "--reason", "throtled", code=2).stderr
