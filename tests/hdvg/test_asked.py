"""A question to a model is a measure: its answer, how likely that is, and what becomes of answers that are none."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable, Iterator
from io import BytesIO
from pathlib import Path
from typing import Any

import pytest
import torch
from PIL import Image

from hdvg.config.described import as_text, described
from hdvg.config.recipe import parse_recipe
from hdvg.errors import ItemError, ResourceError, TransientError, UsageError
from hdvg.keyframes import Shot
from hdvg.learned import asked
from hdvg.learned.asked import Asked
from hdvg.learned.contents import with_contents
from hdvg.networks import chat
from hdvg.networks.answering import Limits, Model
from hdvg.networks.loading import Format
from tests.chat import ChatServer, first_picture, json_body, says
from tests.hdvg.test_openai import jpeg
from tests.servers import Answer, status
from tests.tools import need
from tests.vlms import MAKERS, folders, make

need("openai")

LOGO = "Is there a visible logo?"
YES = says("Yes", told=[{"Yes": 0.8, "No": 0.1, "yes": 0.1}])
NO = says("No.", told=[{"No": 0.75, "Yes": 0.25}, {".": 1.0}])


@pytest.fixture
def server() -> Iterator[ChatServer]:
    with ChatServer() as server:
        yield server


def shot(seed: int) -> Shot:
    return Shot(str(seed), {"first": jpeg(seed), "middle": jpeg(seed + 1000), "last": jpeg(seed + 2000)}, {})


def measure(server: ChatServer, *, asker: dict[str, Any] | None = None, **question: Any) -> Asked:
    """The measure `it` of a recipe."""
    put = {"by": "openai", "model": "tiny", "endpoint": {"url": server.url, "tries": 2}, **(asker or {})}
    told = {"asker": put, "ask": {"it": {"question": LOGO, **question}}, "preview": True}
    (one, _) = parse_recipe({"name": "test", "measure": told}).measure.taken
    return Asked(**one.options)


def test_yes_and_no_have_the_probability_of_their_tokens(server: ChatServer) -> None:
    server.plan(jpeg(0), YES)
    server.plan(jpeg(1), NO)
    nothing = Shot("none", {"middle": b"no picture"}, {})
    found = measure(server).measure([shot(0), nothing, shot(1)])
    assert found[1] == {"it": None, "it_p": None}
    assert found[0] == {"it": True, "it_p": pytest.approx(0.9)}
    assert found[2] == {"it": False, "it_p": pytest.approx(0.25)}


def test_request_shows_all_keyframes_and_asks_for_one_of_the_answers_and_its_likely_tokens(server: ChatServer) -> None:
    server.plan(jpeg(0), YES)
    measure(server).measure([shot(0)])
    (request,) = server.asked
    *pictures, text = request["messages"][0]["content"]
    assert len(pictures) == 3
    assert text["text"] == (
        "These are 3 frames of one video clip, in order of time. Is there a visible logo? "
        "Answer with yes or no, and nothing else."
    )
    assert request["logprobs"] is True
    assert request["top_logprobs"] == 20
    assert (request["temperature"], request["model"]) == (0, "tiny")


def test_a_choice_is_the_likeliest_of_its_words(server: ChatServer) -> None:
    words = ["wide shot", "close-up", "wide angle"]
    told = [{"wide": 0.7, "close": 0.3}, {" shot": 0.4, " angle": 0.6}]
    server.plan(jpeg(0), says("wide shot", told=told))
    found = measure(server, kind="choice", choices=words).measure([shot(0)])
    assert found == [{"it": "wide angle", "it_p": pytest.approx(0.42)}]


def test_a_score_is_the_mean_of_its_levels_by_their_probability(server: ChatServer) -> None:
    server.plan(jpeg(0), says("good", told=[{"good": 0.5, "excellent": 0.3, "fair": 0.2}]))
    server.plan(jpeg(1), says("Poor"))
    found = measure(server, kind="score").measure([shot(0), shot(1)])
    assert found[0] == {"it": pytest.approx(0.3 + 0.5 * 0.75 + 0.2 * 0.5), "it_p": pytest.approx(0.5)}
    assert found[1] == {"it": 0.25, "it_p": None}


def test_a_server_that_tells_no_probabilities_gives_the_answer_alone(server: ChatServer) -> None:
    """One says nothing of them, one refuses to be asked for them, and is then asked without."""
    refused = json_body({"error": {"message": "logprobs are not supported"}}, code=400)

    def only_without(handler: Any) -> None:
        (refused if "logprobs" in json.loads(handler.posted) else says("No"))(handler)

    server.plan(jpeg(0), says("yes"))
    server.plans |= dict.fromkeys((jpeg(1), jpeg(2)), only_without)
    one = measure(server)
    assert one.measure([shot(0), shot(1)]) == [{"it": True, "it_p": None}, {"it": False, "it_p": None}]
    assert one.measure([shot(2)]) == [{"it": False, "it_p": None}]
    assert server.tries == {jpeg(0): 1, jpeg(1): 2, jpeg(2): 1}


def test_an_answer_that_is_none_is_asked_for_again_and_then_costs_its_clip_alone(server: ChatServer) -> None:
    server.plan(jpeg(0), says("I see a street."), YES)
    server.plan(jpeg(1), says("I'm sorry, I cannot say."))
    server.plan(jpeg(2), NO)
    first, second, third = measure(server).measure([shot(0), shot(1), shot(2)])
    assert first == {"it": True, "it_p": pytest.approx(0.9)}
    assert isinstance(second, ItemError)
    assert (second.reason, second.detail) == ("caption", 'no usable answer in 3: "I\'m sorry, I cannot say."')
    assert third == {"it": False, "it_p": pytest.approx(0.25)}
    (again,) = [one["messages"] for one in server.asked if len(one["messages"]) > 1 and first_picture(one) == jpeg(0)]
    assert again[1] == {"role": "assistant", "content": "I see a street."}
    assert again[2]["content"] == "That was none of the answers. Answer with yes or no, and nothing else."


@pytest.mark.parametrize("bad", [status(500), status(429, Retry_After="0")], ids=["500", "429"])
def test_a_server_that_fails_is_no_answer_about_the_clip(server: ChatServer, bad: Answer) -> None:
    server.plan(jpeg(0), bad)
    server.plan(jpeg(1), YES)
    failed, fine = measure(server).measure([shot(0), shot(1)])
    assert isinstance(failed, TransientError)
    assert fine == {"it": True, "it_p": pytest.approx(0.9)}


def test_no_server_and_a_wrong_key_end_the_run_and_name_the_setting(server: ChatServer) -> None:
    server.plan(jpeg(0), status(401))
    with pytest.raises(UsageError, match=r"measure\.asker\.endpoint\.url = .* refuses every request"):
        measure(server).measure([shot(0)])
    nobody = {"endpoint": {"url": "http://127.0.0.1:9/v1", "tries": 1}}
    with pytest.raises(ResourceError, match=r"measure\.asker\.endpoint\.url = .* cannot be reached"):
        measure(server, asker=nobody).measure([shot(0), shot(1)])


def test_two_questions_are_put_to_one_model(server: ChatServer) -> None:
    assert measure(server)._talk is measure(server, question="Is it night?")._talk
    assert measure(server)._talk is measure(server, frames=3)._talk
    assert measure(server)._talk is not measure(server, model="other")._talk


# --- a model on this machine


@pytest.fixture(scope="module")
def tiny(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Path]:
    """Folders with random models, one a family."""
    return folders(tmp_path_factory)


@pytest.mark.parametrize("family", MAKERS)
def test_steps_are_the_networks_own_probabilities(family: str, tiny: Callable[[str], Path]) -> None:
    """Against plain transformers, token by token, for questions of several lengths in one batch."""
    folder = tiny(family)
    model = Model(str(folder), section="measure.asker", dtype="float32", batch=3, memory_gb=None)
    pictures = [asked.prompting.show(shot(seed), asked.Asker()) for seed in range(3)]
    questions = ["Why?", "Is there a logo in it?", "No?"]
    inputs = [model.inputs(one.pictures, text) for one, text in zip(pictures, questions, strict=True) if one]
    _, network = chat.load(str(folder), form=Format(torch.float32, int8=False), setting="x")
    for one, answer in zip(inputs, model.answer(inputs, Limits(4, told=5)), strict=True):
        assert 0 < len(answer.steps) <= 4
        with torch.inference_mode():
            expected = torch.log_softmax(network(**one).logits[0, -1], dim=-1)
        (_, written), *others = answer.steps[0]
        best = sorted(expected.topk(5).values.tolist(), reverse=True)
        known = sorted([written, *(chance for _, chance in others)], reverse=True)
        assert known[:4] == pytest.approx(best[:4], abs=1e-3)
        text = "".join(step[0][0] for step in answer.steps)
        assert text.strip() == answer.text.strip()


def test_a_model_here_is_asked_again_and_answers_in_batches(
    tiny: Callable[[str], Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Random weights say nothing of use, so its clips end as answers that are none: after three questions each."""
    told = {"asker": {"model": str(tiny("llava")), "batch": 2}, "ask": {"it": {"question": LOGO}}}
    recipe = parse_recipe({"name": "test", "measure": told})
    (one,) = with_contents(recipe.measure).taken
    made = Asked(**one.options)
    sizes: list[int] = []
    write = made._talk._model._write
    monkeypatch.setattr(
        made._talk._model, "_write", lambda some, limits: sizes.append(len(some)) or write(some, limits)
    )
    found = made.measure([shot(0), shot(1), shot(2)])
    assert [type(value) for value in found] == [ItemError] * 3
    assert sizes == [2, 1] * 3


def grey(level: int) -> bytes:
    file = BytesIO()
    Image.new("RGB", (32, 32), (level,) * 3).save(file, "JPEG")
    return file.getvalue()


def teach(folder: Path, question: str, answers: dict[int, str]) -> None:
    """Train a model in its folder until it gives these answers about grey pictures, by level."""
    processor, network = chat.load(str(folder), form=Format(torch.float32, int8=False), setting="x")
    rows = []
    for level, word in answers.items():
        told = chat.inputs(processor, pictures=[Image.open(BytesIO(grey(level)))], question=question)
        written = processor.tokenizer(word + "</s>", add_special_tokens=False, return_tensors="pt")["input_ids"]
        whole = torch.cat([told["input_ids"], written], dim=1)
        labels = torch.cat([torch.full_like(told["input_ids"], -100), written], dim=1)
        rows.append({**told, "input_ids": whole, "attention_mask": torch.ones_like(whole), "labels": labels})
    optimizer = torch.optim.Adam(network.parameters(), 3e-3)
    for _ in range(200):
        loss = torch.stack([network(**row).loss for row in rows]).sum()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        if loss.item() < 0.1:
            break
    network.generation_config.repetition_penalty = 1.0
    network.save_pretrained(folder)


def test_a_model_here_that_was_taught_the_answers_gives_them_with_its_probabilities(tmp_path: Path) -> None:
    make("llava", tmp_path)
    listed = asked.ASKED.format(shown="This is a frame of a video clip.", question="Is it bright?", answers="yes or no")
    teach(tmp_path, listed, {0: "no", 255: "yes"})
    told = {"asker": {"model": str(tmp_path), "keyframe": "middle"}, "ask": {"it": {"question": "Is it bright?"}}}
    (one,) = with_contents(parse_recipe({"name": "test", "measure": told}).measure).taken
    found = Asked(**one.options).measure([Shot(str(level), {"middle": grey(level)}, {}) for level in (255, 0, 255)])
    assert [value["it"] for value in found] == [True, False, True]
    assert [value["it_p"] for value in found] == [
        pytest.approx(1, abs=0.2),
        pytest.approx(0, abs=0.2),
        pytest.approx(found[0]["it_p"], abs=1e-5),
    ]


# --- what a recipe says


def version(measure: dict[str, Any], name: str = "it") -> str:
    return next(
        one.version for one in parse_recipe({"name": "t", "measure": measure}).measure.taken if one.name == name
    )


def test_question_model_and_frames_make_another_version_and_what_costs_does_not() -> None:
    base = {"asker": {"by": "openai", "model": "a"}, "ask": {"it": {"question": LOGO}}, "preview": True}
    known = version(base)
    for changed in (
        {"ask": {"it": {"question": "Is there text?"}}},
        {"ask": {"it": {"question": LOGO, "kind": "score"}}},
        {"ask": {"it": {"question": LOGO, "model": "b"}}},
        {"ask": {"it": {"question": LOGO, "frames": 4}}},
        {"asker": {"by": "openai", "model": "b"}},
        {"asker": {"by": "openai", "model": "a", "endpoint": {"url": "http://elsewhere/v1"}}},
        {"asker": {"by": "vlm", "model": "a"}},
        {"asker": {"by": "openai", "model": "a", "keyframe": "middle"}},
    ):
        assert version(base | changed) != known, changed
    for same in (
        {"asker": {"by": "openai", "model": "a", "batch": 7, "endpoint": {"concurrency": 3, "tries": 1}}},
        {"ask": {"it": {"question": LOGO}, "other": {"question": "Is it night?"}}},
        {"ask": {"it": {"question": f" {LOGO} ", "model": "a", "frames": 0}}},
    ):
        assert version(base | same) == known, same


def test_files_of_a_model_are_part_of_the_version_and_their_place_is_not(
    tiny: Callable[[str], Path], tmp_path: Path
) -> None:
    def noted(folder: Path) -> str:
        told = {"asker": {"model": str(folder)}, "ask": {"it": {"question": LOGO}}}
        return with_contents(parse_recipe({"name": "t", "measure": told}).measure).taken[0].version

    copy = Path(shutil.copytree(tiny("llava"), tmp_path / "moved"))
    assert noted(copy) == noted(tiny("llava"))
    (copy / "generation_config.json").write_text("{}")
    assert noted(copy) != noted(tiny("llava"))
    with pytest.raises(UsageError, match=r"measure\.asker\.model = .*: no such folder"):
        noted(tmp_path / "none")


@pytest.mark.parametrize(
    ("measure", "said"),
    [
        ({"ask": {"it": {"question": " "}}}, "nothing is asked"),
        ({"ask": {"it": {"question": LOGO, "qestion": ""}}}, r"`measure\.ask\.it\.qestion` is no setting; did you mean `question`"),
        ({"ask": {"it": {"question": LOGO, "kind": "choice"}}}, "it takes two to 20 different words"),
        ({"ask": {"it": {"question": LOGO, "kind": "score", "choices": ["good"]}}}, "it takes two to 20"),
        ({"ask": {"it": {"question": LOGO, "kind": "choice", "choices": ["a", "A"]}}}, "it takes two to 20"),
        ({"ask": {"it": {"question": LOGO, "choices": ["a", "b"]}}}, "they are yes and no"),
        ({"ask": {"It": {"question": LOGO}}}, "no name"),
        ({"ask": {"fps": {"question": LOGO}}}, "`fps` is there already, by hdvg"),
        ({"ask": {"it": {"question": LOGO}}, "quality": {"it": {"model": "m"}}}, r"measure\.quality\.it: a measure `it` is there already, by measure\.ask\.it"),
        ({"ask": {"it": {"question": LOGO}, "it_p": {"question": LOGO}}}, "a column `it_p` is there already"),
        ({"ask": {"it": {"question": LOGO, "frames": 4}}}, r"set measure\.preview = true"),
        ({"asker": {"frames": 4}, "ask": {"it": {"question": LOGO}}}, r"set measure\.preview = true"),
    ],
)  # fmt: skip
def test_what_cannot_be_asked_is_refused_with_the_next_step(measure: dict[str, Any], said: str) -> None:
    with pytest.raises(UsageError, match=said):
        parse_recipe({"name": "t", "measure": measure})


def test_settings_of_a_question_are_explained() -> None:
    told = parse_recipe({"name": "t", "measure": {"ask": {"it": {"question": LOGO}}}})
    lines = list(as_text(described(told)))
    assert f'measure.ask.it.question = "{LOGO}"' in lines
