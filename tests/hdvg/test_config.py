"""Recipes: typed, frozen, and clear about what is wrong."""

import pytest

from hdvg.config.fetch import host_settings
from hdvg.config.recipe import Recipe, parse_recipe
from hdvg.errors import UsageError
from hdvg.planning import make_plan, wanted_measures
from pipelines.recipes import find_recipe, shipped


def test_unknown_key_is_an_error_with_a_suggestion():
    with pytest.raises(UsageError, match=r"`split.max_clips_s` is no setting; did you mean `max_clip_s`"):
        parse_recipe({"split": {"max_clips_s": 3}})


@pytest.mark.parametrize(
    "override", ["split.max_clip_s=-1", "cut.crf=99", "split.detector=magic", "shard.row_group_mb=65"]
)
def test_value_out_of_range_names_key_and_value(override):
    key, value = override.split("=")
    with pytest.raises(UsageError, match=key) as error:
        parse_recipe({}, [override])
    assert value in str(error.value)


def test_set_reaches_anywhere_and_null_takes_a_rule_away():
    recipe = parse_recipe(
        {"split": {"max_clip_s": 2.0, "guard_frames": 3}, "keep": {"short": "duration_s >= 2"}},
        ["split.max_clip_s=null", "keep.short=duration_s >= 3", "caption.prompt=a photo of"],
    )
    assert (recipe.split.max_clip_s, recipe.split.guard_frames, recipe.caption.prompt) == (None, 3, "a photo of")
    assert recipe.keep == {"short": "duration_s >= 3"}


@pytest.mark.parametrize("override", ["keep", "name.x=1"])
def test_malformed_set_is_a_usage_error(override):
    with pytest.raises(UsageError, match="--set"):
        parse_recipe({"name": "x"}, [override])


@pytest.mark.parametrize(
    ("caption", "said"),
    [
        ({"also": {"second": {"modle": "x"}}}, "`caption.also.second.modle` is no setting; did you mean `model`"),
        ({"also": {"main": {}}}, "caption.also.main: a name has small letters"),
        ({"also": {"a-b": {}}}, "caption.also.a-b: a name has small letters"),
        ({"also": {"b": {"where": "caption_wrods < 3"}}}, "no measure; did you mean `caption_words`"),
        ({"also": {"b": {"where": "caption_words < quantile(0.1)"}}}, "numbers, not quantiles"),
        ({"also": {"b": {"where": "caption_copies > 3"}}}, "only once all captions are written"),
        ({"where": "caption_words < 3"}, "the main writer is the first"),
        ({"best": ["simliarity"]}, "did you mean `similarity`"),
        ({"weights": {"long": 1.0}}, "kinds are short, detailed, title"),
        ({"weights": {"short": -1.0}}, "weights not negative"),
    ],
)
def test_bad_writer_is_an_error_that_says_what_would_be_fine(caption, said):
    with pytest.raises(UsageError) as error:
        parse_recipe({"caption": caption})
    assert said in str(error.value)


def test_settings_are_frozen():
    with pytest.raises(ValueError, match="frozen"):
        Recipe().name = "other"


@pytest.mark.parametrize("name", shipped())
def test_shipped_recipe_survives_its_own_toml(name, tmp_path):
    recipe = find_recipe(name)
    copy = tmp_path / "copy.toml"
    copy.write_text(recipe.to_toml())
    assert find_recipe(str(copy)) == recipe
    assert recipe.name == name
    assert recipe.about


def test_unknown_recipe_suggests_one():
    with pytest.raises(UsageError, match="did you mean `demo`"):
        find_recipe("demoo")


def test_hd_vg_recipe_has_the_settings_found_in_the_release_and_no_rule():
    recipe = find_recipe("hd_vg_130m")
    assert recipe.keep == {}
    found = recipe.split.model_dump(
        include={"detector", "adaptive_threshold", "min_scene_frames", "window_frames", "min_content_val"}
    )
    assert found == {
        "detector": "pyscenedetect-0.6.1",
        "adaptive_threshold": 3.0,
        "min_scene_frames": 15,
        "window_frames": 2,
        "min_content_val": 15.0,
    }


def test_a_rule_on_topics_asks_for_topics():
    recipe = parse_recipe({"keep": {"off_topic": "topic_similarity >= 0.3"}})
    with pytest.raises(UsageError, match=r"--set measure.topics=topics.txt"):
        wanted_measures(recipe)


def test_an_unknown_measure_is_named():
    with pytest.raises(UsageError, match="'tekst': no such measure; there are: watermark, nsfw, speech"):
        wanted_measures(parse_recipe({"measure": {"also": ["tekst"]}}))


HOSTS = {"example.org": {"interval_s": 2.0}, "cdn.example.org": {"concurrency": 1}, "127.0.0.1:80": {"interval_s": 3.0}}


@pytest.mark.parametrize(
    ("host", "found"),
    [
        ("example.org", (2.0, None)),
        ("www.example.org", (2.0, None)),
        ("WWW.Example.org:8080", (2.0, None)),
        ("a.b.cdn.example.org", (None, 1)),
        ("notexample.org", (None, None)),
        ("org", (None, None)),
        ("127.0.0.1:80", (3.0, None)),
        ("127.0.0.1:81", (None, None)),
    ],
)
def test_settings_of_a_host_are_those_of_the_nearest_name(host, found):
    settings = host_settings(parse_recipe({"fetch": {"hosts": HOSTS}}).fetch, host)
    assert (settings.interval_s, settings.concurrency) == found


@pytest.mark.parametrize(
    ("hosts", "said"),
    [
        ({"https://example.org": {}}, "`https://example.org` is no host; write its name alone"),
        ({"Example.org": {}}, "in small letters: example.org"),
        (
            {"example.org": {"intervall_s": 1}},
            "`fetch.hosts.example.org.intervall_s` is no setting; did you mean `interval_s`",
        ),
    ],
)
def test_bad_settings_of_a_host_are_an_error_that_says_what_would_be_fine(hosts, said):
    with pytest.raises(UsageError) as error:
        parse_recipe({"fetch": {"hosts": hosts}})
    assert said in str(error.value)


def test_manners_towards_hosts_are_no_new_work():
    fetch = {"throttle_wait_s": 1, "blocked_wait_s": 1, "max_wait_s": 1, "max_mb_s": 1, "hosts": HOSTS}
    assert make_plan(parse_recipe({"fetch": fetch})).fingerprints == make_plan(Recipe()).fingerprints


def test_settings_of_hosts_survive_their_own_toml(tmp_path):
    (tmp_path / "mine.toml").write_text(parse_recipe({"fetch": {"hosts": HOSTS}}).to_toml())
    assert find_recipe(str(tmp_path / "mine.toml")).fetch.hosts == parse_recipe({"fetch": {"hosts": HOSTS}}).fetch.hosts
