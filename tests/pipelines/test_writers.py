"""Several writers over one dataset: their texts stand side by side, one is best by rule, and rules may look at it."""

from __future__ import annotations

import shutil
from pathlib import Path

import pyarrow.parquet as pq
import pytest

from hdvg.captioners.quality import wording
from hdvg.config.caption import name_in_errors
from hdvg.config.recipe import Recipe, parse_recipe
from hdvg.dataset.dataset import Dataset
from hdvg.dataset.store import Store
from hdvg.errors import ResourceError, UsageError
from hdvg.planning import make_plan
from hdvg.reports.status import status
from hdvg.reports.verify import verify
from pipelines.perform import Job, commit
from pipelines.run import decide, new_run
from tests.pipelines.test_run import ask, go
from tests.tools import need
from tests.videos import draw_frames

need("torch")

SECOND = {"captioner": "tags", "where": "caption_similarity < 0.5"}


def recipe(caption: dict | None = None, keep: dict[str, str] | None = None) -> Recipe:
    return parse_recipe({"name": "test", "caption": caption or {}, "keep": keep or {}, "cut": {"preset": "ultrafast"}})


@pytest.fixture(scope="module")
def split_only(tmp_path_factory) -> Path:
    """Four plain clips, decoded and nothing else."""
    import numpy as np

    folder, root = tmp_path_factory.mktemp("videos"), tmp_path_factory.mktemp("done") / "dataset"
    for level in (60, 100, 140, 180):
        frames = [np.full((48, 64, 3), (level, number * 7 % 255, 30), np.uint8) for number in range(24)]
        draw_frames(folder / f"{level}.mp4", frames, lossless=False)
    for stage in ("download", "split"):
        go(root, recipe(), links=[str(folder)] if stage == "download" else [], stage=stage)
    return root


@pytest.fixture
def clips(split_only, tmp_path) -> Path:
    shutil.copytree(split_only, tmp_path / "d")
    return tmp_path / "d"


def told(root: Path, made: Recipe, stage: str, rows: list[dict]) -> Dataset:
    """The dataset with these words of a stage; rows name clips by their place."""
    before = Dataset.open(root)
    dataset = Dataset(before.root, make_plan(made, known=before.plan), Store(before.root, run=new_run()))
    dataset.store.begin()
    dataset.prepare()
    names = ask(root, "select video_id, clip_id, unit from clips join videos using (video_id) order by clip_id")
    for place, (video, clip, unit) in enumerate(names):
        key = {"video_id": video, "clip_id": clip}
        some = [{"status": "ok", "attempt": 1} | row | key for row in rows if row["clip"] == place]
        for row in some:
            del row["clip"]
        if some:
            commit(dataset, Job(dataset.root, dataset.store.run, stage, unit), [], some)
    dataset.store.end()
    return dataset


def text(clip: int, said: str, kind: str = "short") -> dict:
    row = {"clip": clip, "kind": kind, "text": said, "language": "en", "captioner": "t", "model": "t 1"}
    return row | wording(said)


def match(clip: int, similarity: float | None, vector: list[float], kind: str = "short") -> dict:
    return {"clip": clip, "kind": kind, "similarity": similarity, "text_embedding": vector, "match_model": "m"}


def semantics(clip: int) -> dict:
    return {"clip": clip, "embedding": [1.0, 0.0], "semantics_model": "m"}


TWO = recipe({"captioner": "tags", "also": {"second": SECOND}})
TEXTS = ["a dog runs on grass", "a cat sits still", "sorry i cannot see it, i am sorry", "a dog runs on grass"]


@pytest.fixture
def written(clips) -> Path:
    """Four clips with a text each; the second and third fit badly, and a second writer has written for the second."""
    told(clips, TWO, "semantics", [semantics(clip) for clip in range(4)])
    told(clips, TWO, "caption", [text(clip, said) for clip, said in enumerate(TEXTS)])
    fits = [0.9, 0.1, 0.2, 0.6]
    told(clips, TWO, "match", [match(clip, fit, [1.0, 0.0]) for clip, fit in enumerate(fits)])
    told(clips, TWO, "caption-second", [text(1, "a grey cat on a chair")])
    return clips


def test_second_writer_is_asked_for_the_clips_of_its_condition_only(written):
    wanted = ask(
        written,
        "select stage, count(*), count(old_status) from wanted where stage like '%second' group by all order by all",
    )
    assert wanted == [("caption-second", 2, 1), ("match-second", 1, 0)]
    told(written, TWO, "match-second", [match(1, 0.8, [0.6, 0.8])])
    (fits,) = ask(written, "select count(*) from measures where caption_similarity >= 0.5")
    assert fits == (3,)
    wanted = (
        "select stage, count(*), count(old_status) from wanted where stage like '%second' group by all order by all"
    )
    assert ask(written, wanted) == [("caption-second", 2, 1), ("match-second", 1, 1)]


def test_both_texts_stay_and_the_better_stands_for_the_clip(written):
    told(written, TWO, "match-second", [match(1, 0.8, [0.6, 0.8])])
    assert ask(
        written,
        "select writer, text, best, round(agreement, 6) from captions where text like '% cat %' order by writer",
    ) == [("main", "a cat sits still", False, 0.6), ("second", "a grey cat on a chair", True, 0.6)]
    rows = "select caption, caption_words, caption_similarity from dataset where caption like '%cat%'"
    assert ask(written, rows) == [("a grey cat on a chair", 6, 0.8)]
    worse = recipe({"captioner": "tags", "also": {"second": SECOND}, "best": ["words"], "min_words": 1})
    fewer = recipe({"captioner": "tags", "also": {"second": SECOND}, "best": ["place"]})
    for other in (worse, fewer):
        assert (
            make_plan(other, known=Dataset.open(written).plan).fingerprints == Dataset.open(written).plan.fingerprints
        )


@pytest.mark.parametrize("main", ["tags", "given"])
def test_a_later_writer_without_similarity_displaces_no_text(clips, main):
    """Nothing was compared with pictures: the main writer's stand, a published set's among them, unless a rule says otherwise."""
    later = {"captioner": main, "also": {"second": {"captioner": "tags"}}}
    both = recipe(later)
    told(clips, both, "caption", [text(clip, said) for clip, said in enumerate(TEXTS)])
    told(clips, both, "caption-second", [text(clip, f"a boat on a lake, number {clip}") for clip in range(4)])
    best = "select writer, count(*) from captions where best group by all order by all"
    assert ask(clips, best) == [("main", 3), ("second", 1)], "one of the main writer's is a refusal"
    told(clips, recipe(later | {"best": ["place"]}), "caption-second", [])
    assert ask(clips, best) == [("second", 4)]


def test_unsound_text_loses_to_a_sound_one_even_if_it_fits(written):
    told(written, TWO, "caption-second", [text(2, "a boat on a lake")])
    told(written, TWO, "match-second", [match(2, 0.1, [0.0, 1.0])])
    assert ask(written, "select text from captions where best and sound and text like '%boat%'") == [
        ("a boat on a lake",)
    ]


def test_copies_are_counted_over_clips(written):
    assert ask(written, "select caption_copies, count(*) from measures group by all order by all") == [(1, 2), (2, 2)]


def test_copies_are_of_the_texts_that_stand_for_clips(written):
    titled = recipe({"captioner": "tags", "also": {"title": {"captioner": "title"}}})
    told(written, titled, "caption-title", [text(0, TEXTS[0], "title"), text(2, TEXTS[1], "title")])
    assert ask(written, "select caption_copies, count(*) from measures group by all order by all") == [(1, 2), (2, 2)]


def test_clip_that_breaks_a_rule_on_captions_is_still_cut_and_measured(clips):
    short = recipe({"captioner": "tags"}, {"long": "caption_words >= 50"})
    told(clips, short, "caption", [text(clip, said) for clip, said in enumerate(TEXTS)])
    assert ask(clips, "select count(*) from pending where stage = 'cut'") == [(4,)]
    assert ask(clips, "select count(*) from needed") == [(4,)]
    told(clips, recipe(TWO.caption.model_dump(), short.keep), "cut", [])
    waiting = ask(clips, "select stage, count(*) from pending group by all order by all")
    assert waiting == [("cut", 4), ("semantics", 4)]


@pytest.mark.parametrize(("model", "said"), [("absent", "no such folder"), ("", "holds no config.json")])
def test_writer_whose_folder_is_no_model_is_named_and_changes_nothing(written, tmp_path, model, said):
    need("transformers", "PIL")
    (tmp_path / "empty").mkdir()
    before = (written / "dataset.toml").read_bytes()
    odd = {"captioner": "blip2", "model": str(tmp_path / "empty" / model)}
    with pytest.raises(
        UsageError, match=rf"caption\.also\.odd: caption\.model = .*{said}.*--set caption\.also\.odd=null"
    ):
        go(written, recipe({"captioner": "tags", "also": {"odd": odd}}))
    assert (written / "dataset.toml").read_bytes() == before


@pytest.mark.parametrize("kind", [UsageError, ResourceError])
def test_what_stops_a_writer_names_it_and_stays_of_its_kind(kind):
    with (
        pytest.raises(kind, match=r"^caption\.also\.deaf: no answer; `--set caption\.also\.deaf=null` takes"),
        name_in_errors("deaf"),
    ):
        raise kind("no answer")
    with pytest.raises(kind, match=r"^no answer$"), name_in_errors("main"):
        raise kind("no answer")


def test_rule_on_captions_is_open_until_they_are_written_and_holds_nothing_back_before(clips):
    rules = {"fits": "caption_similarity >= 0.5", "long": "caption_words >= 5"}
    made = recipe({"captioner": "tags"}, rules)
    assert make_plan(made).writing == ("caption", "match")
    told(clips, made, "semantics", [semantics(clip) for clip in range(4)])
    told(clips, made, "caption", [text(clip, said) for clip, said in enumerate(TEXTS)])
    reasons = [["unmeasured:fits"], ["long"], ["unmeasured:fits"], ["unmeasured:fits"]]
    assert ask(clips, "select reasons from verdicts order by clip_id") == [(some,) for some in reasons]
    pending = ask(clips, "select stage, count(*) from pending group by all order by all")
    assert pending == [("cut", 4), ("match", 4)]
    told(clips, made, "match", [match(clip, fit, [1.0, 0.0]) for clip, fit in enumerate([0.9, 0.1, 0.2, None])])
    reasons = [[], ["fits", "long"], ["fits"], ["unmeasured:fits"]]
    assert ask(clips, "select reasons from verdicts order by clip_id") == [(some,) for some in reasons]
    assert ask(clips, "select count(*) from wanted where stage = 'cut'") == [(4,)]


def test_quantile_of_captions_is_over_those_there_are(written):
    half = recipe(TWO.caption.model_dump(), {"better_half": "caption_similarity >= quantile(0.5)"})
    told(written, TWO, "match-second", [match(1, 0.8, [0.6, 0.8])])
    dataset = decide(written, half)
    assert dataset.plan.quantiles == {"caption_similarity:0.5": pytest.approx(0.7)}  # of .9 .8 .2 .6
    assert ask(written, "select count(*) from verdicts where keep") == [(2,)]
    rules = {"better_half": "caption_similarity >= quantile(0.5)", "long": "caption_words >= 5"}
    dataset = decide(written, recipe(TWO.caption.model_dump(), rules))
    assert dataset.plan.quantiles == {"caption_similarity:0.5": pytest.approx(0.7)}  # all four texts are long
    decide(written, recipe(TWO.caption.model_dump(), rules | {"long": "caption_words = 5"}))
    assert Dataset.open(written).plan.quantiles == {"caption_similarity:0.5": pytest.approx(0.75)}  # of .9 .6


def test_kinds_are_weighed_over_those_a_clip_has(written):
    three = recipe({"captioner": "tags", "also": {"second": {"captioner": "tags"}, "long": {"captioner": "tags"}}})
    told(written, three, "caption-second", [text(0, "Dog Days", "title")])
    told(
        written,
        three,
        "caption-long",
        [text(0, "a brown dog runs over wet grass", "detailed"), text(0, "dog", "short")],
    )
    rows = ask(
        written,
        "select kind, text, weight from captions where clip_id = (select min(clip_id) from clips) and best order by 1",
    )
    assert rows == [
        ("detailed", "a brown dog runs over wet grass", 0.25),
        ("short", "a dog runs on grass", 0.5),
        ("title", "Dog Days", 0.25),
    ]
    assert ask(written, "select caption, len(texts) from dataset order by clip_id limit 2")[0] == (TEXTS[0], 3)
    some = "select kind, weight from captions where clip_id <> (select min(clip_id) from clips) and best group by all"
    assert ask(written, some) == [("short", 1.0)]


def test_failed_text_is_a_failure_that_no_rule_passes(clips):
    one = recipe({"captioner": "tags"}, {"long": "caption_words >= 1"})
    bad = {"clip": 0, "status": "failed", "reason": "caption", "detail": "empty text"}
    told(clips, one, "caption", [bad, text(1, "a dog")])
    assert ask(clips, "select reasons from verdicts order by clip_id")[:2] == [(["unmeasured:long"],), ([],)]
    assert ask(clips, "select stage, reason from failures") == [("caption", "caption")]
    assert ask(clips, "select count(*) from pending where stage = 'caption'") == [(2,)]
    redone = recipe({"captioner": "tags", "also": {"second": {"captioner": "tags", "where": "caption_words is null"}}})
    told(clips, redone, "caption", [])
    first = ask(clips, "select clip_id from clips order by 1")[0]
    assert ask(clips, "select key from wanted where stage = 'caption-second'") == [first]


def test_status_sets_captions_beside_the_published_ones(clips):
    priced = {"endpoint": {"prompt_price": 2.0, "output_price": 8.0}}
    one = recipe({"captioner": "tags", **priced})
    spent = {"prompt_tokens": 1000, "output_tokens": 50}
    said = ["a dog", "a b c d e f g", "x b c d e f g h i j k", "a b c d e f g h i j k l"]
    told(clips, one, "caption", [text(clip, words) | spent for clip, words in enumerate(said)])
    found = status(Dataset.open(clips)).captions
    assert [(row["words"], row["share"]) for row in found["words"]] == [
        *(("under 7", 0.25), ("7-9", 0.25), ("10-11", 0.25), ("over 11", 0.25)),
    ]
    assert (found["mean_words"], found["median_words"], found["starts_with_a"]) == (8, 9, 0.75)
    (writer,) = found["writers"]
    assert (writer["prompt_tokens"], writer["output_tokens"]) == (4000, 200)
    assert writer["cost"] == pytest.approx((4000 * 2 + 200 * 8) / 1e6)


def test_two_real_writers_coexist_and_the_shards_hold_both_kinds(clips, capsys):
    both = recipe({"captioner": "tags", "also": {"title": {"captioner": "title"}}})
    go(clips, both)
    assert verify(Dataset.open(clips)) == []
    assert ask(clips, "select count(*) from failures") == [(0,)]  # `60` is no title, and that is no failure
    assert ask(clips, "select writer, count(*) from captions group by all") == [("main", 4)]
    assert ask(clips, "select count(*) from wanted where stage = 'caption-title' and old_status = 'ok'") == [(4,)]
    table = pq.read_table(next((clips / "shards").glob("*.parquet")), columns=["caption", "texts"]).to_pylist()
    assert len(table) == 4
    assert all(row["caption"] == row["texts"][0]["text"] for row in table)
    assert go(clips, both) == []
