"""Fields of a clip are asked for as JSON and taken out of whatever a server answers, or it is asked again, or the clip fails."""

from __future__ import annotations

import json
from collections.abc import Iterator

import jsonschema
import pytest

from hdvg.captioners import Written, facts, fields, fingerprint, prompting
from hdvg.captioners.composing import composed
from hdvg.captioners.openai import OpenAi
from hdvg.captioners.repair import object_in
from hdvg.captioners.rewrite import Rewrite
from hdvg.config.caption import Caption, Writer
from hdvg.errors import ItemError, UsageError
from hdvg.keyframes import Shot
from tests.chat import BADLY, GOOD, USELESS, ChatServer, json_body, says
from tests.hdvg.test_openai import jpeg, make, shot, write
from tests.servers import status

GOOD_COLUMNS = {
    "said_subject": "a brown dog", "said_action": "runs over the grass", "said_place": "in a park",
    "said_light": "soft light", "said_style": "documentary footage", "said_shot_size": "wide shot",
    "said_angle": "eye level", "said_camera": "pan left", "said_text": None, "said_people": 2,
}  # fmt: skip


@pytest.fixture
def server() -> Iterator[ChatServer]:
    with ChatServer() as server:
        yield server


def settings(server: ChatServer | None = None, **told: object) -> Writer:
    url = server.url if server else "http://127.0.0.1:9/v1"
    endpoint = {"url": url, "tries": 1, "concurrency": 4}
    return Writer.model_validate({"captioner": "openai", "model": "tiny", "fields": True, "endpoint": endpoint, **told})


def one(captioner: OpenAi, some: Shot) -> Written | ItemError:
    (answer,) = captioner.write([captioner.prepare(some)])
    return answer


def said(answer: Written | ItemError) -> Written:
    assert isinstance(answer, Written), answer
    return answer


# --- what is taken of an answer


@pytest.mark.parametrize("how", BADLY)
def test_a_bad_answer_is_repaired_to_what_it_means(how: str) -> None:
    answer = prompting.spoken(BADLY[how](GOOD))
    found = fields.read(answer, settings(), duration_s=5.0)
    assert found.problem == ""
    wanted = GOOD_COLUMNS | {"said_how": found.columns["said_how"]}
    assert found.columns == wanted
    assert found.texts == {"short": GOOD["short"], "detailed": GOOD["detailed"]}
    as_asked = {"thoughts", "extra keys", "keys in capitals", "other types"}
    assert found.columns["said_how"] == ("asked" if how in as_asked else "repaired")


@pytest.mark.parametrize("how", USELESS)
def test_what_cannot_be_used_is_said(how: str) -> None:
    problem = fields.read(USELESS[how](GOOD), settings(), duration_s=5.0).problem
    wanted = {"no short text": "`short` is missing", "another language": "code de, not en"}
    early = "`short` is missing" if how == "broken off early" else "no JSON object"
    assert wanted.get(how, early) in problem


def test_an_answer_cut_anywhere_is_never_made_up() -> None:
    """Every value that a cut answer still gives is the whole one's."""
    whole = json.dumps(GOOD)
    for end in range(len(whole)):
        found = object_in(whole[:end], keys=GOOD)
        assert found is None or found[0].items() <= GOOD.items(), whole[:end]
    assert object_in(whole, keys=GOOD) == (GOOD, True)


def test_nothing_hostile_takes_long_or_raises() -> None:
    for text in (
        "{" * 200_000,
        "[" * 200_000,
        '{"short": ' * 20_000,
        '"' * 100_000,
        '{"a": 1,' * 50_000,
        "{'short': " + "(" * 5000,
    ):
        assert fields.read(text, settings(), duration_s=1.0).problem


@pytest.mark.parametrize(
    ("value", "count"),
    [(3, 3), (2.0, 2), ("two people", 2), ("12", 12), ("a crowd", None), (["a man", "a child"], 2), (None, None),
     ("none", 0), ("nobody", 0), (-1, None), (True, None), ("1.5", None), (1e9, None)],
)  # fmt: skip
def test_people_are_a_count_or_unknown(value: object, count: int | None) -> None:
    found = fields.read(json.dumps({**GOOD, "people": value}), settings(), duration_s=1.0)
    assert found.columns["said_people"] == count


@pytest.mark.parametrize(
    ("name", "value", "word"),
    [("camera", "The camera is fixed on a tripod", "static"), ("camera", "ZOOM_IN", "zoom in"), ("camera", "it dances", None),
     ("shot_size", "Extreme close-up of a face", "extreme close-up"), ("shot_size", "closeup", "close-up"),
     ("angle", "bird's eye", "overhead"), ("angle", 7, None)],
)  # fmt: skip
def test_words_of_a_list_are_one_of_it(name: str, value: object, word: str | None) -> None:
    found = fields.read(json.dumps({**GOOD, name: value}), settings(), duration_s=1.0)
    assert found.columns[f"said_{name}"] == word


def test_events_are_in_order_and_within_the_clip() -> None:
    told = [
        {"at_s": 2.5, "text": "it jumps"}, {"at_s": "0:01", "text": "it runs"}, {"at_s": 9, "text": "too late"},
        {"at_s": "soon", "text": "x"}, "no event", {"at_s": 1, "text": ""},
    ]  # fmt: skip
    found = fields.read(json.dumps({**GOOD, "events": told}), settings(frames=8), duration_s=5.0)
    assert found.columns["said_events"] == [{"at_s": 1.0, "text": "it runs"}, {"at_s": 2.5, "text": "it jumps"}]


def test_the_schema_takes_a_good_answer_and_no_other() -> None:
    for told in ({}, {"frames": 4}, {"compose": True}):
        schema = fields.schema(settings(**told))
        jsonschema.Draft202012Validator.check_schema(schema)
        answer = {
            name: value
            for name, value in {**GOOD, "events": [{"at_s": 1, "text": "x"}]}.items()
            if name in schema["properties"]
        }
        jsonschema.validate(answer, schema)
        assert set(schema["required"]) == set(schema["properties"]) == set(fields.names(settings(**told)))
        for bad in ({**answer, "more": 1}, {**answer, "people": "two"}, {**answer, "camera": "dances"}):
            with pytest.raises(jsonschema.ValidationError):
                jsonschema.validate(bad, schema)


@pytest.mark.parametrize(
    ("language", "short", "detailed"),
    [
        ("ar", "كلب بني يركض على العشب في الحديقة", "يركض كلب بني على العشب. يراقبه شخصان من مقعد خشبي قريب."),
        ("he", "כלב חום רץ על הדשא בפארק", "כלב חום רץ על הדשא. שני אנשים צופים בו מספסל בגן."),
        ("zh", "一只棕色的狗在公园的草地上奔跑", "一只棕色的狗在草地上奔跑。两个人坐在长椅上看着它。🐕"),
    ],
)
def test_texts_of_other_scripts_are_taken_as_they_are(language: str, short: str, detailed: str) -> None:
    answer = json.dumps({**GOOD, "short": short, "detailed": detailed}, ensure_ascii=False)
    found = fields.read(answer, settings(language=language), duration_s=1.0)
    assert (found.problem, found.texts) == ("", {"short": short, "detailed": detailed})
    assert "ISO 639" in fields.read(answer, settings(), duration_s=1.0).problem


# --- what was measured


def test_what_was_measured_is_told_and_an_answer_against_it_is_marked(server: ChatServer) -> None:
    measures = {"luma_mean": 20.0, "text_boxes": 0, "text_area": 0.0, "camera_px_s": 0.5, "duration_s": 5.0}
    server.captions[jpeg(0)] = json.dumps({**GOOD, "light": "bright daylight", "text": "EXIT"})
    answer = said(one(OpenAi(settings(server)), Shot("0", {"middle": jpeg(0)}, measures)))
    assert answer.columns["said_against"] == "light, text, camera"
    (asked,) = server.asked
    question = asked["messages"][0]["content"][-1]["text"]
    for fact in (
        "the picture is dark",
        "no text stands in the picture",
        "the camera does not move",
        "its main colours are",
    ):
        assert fact in question


@pytest.mark.parametrize(
    ("columns", "measures", "wrong"),
    [
        ({"said_light": "a dark room"}, {"luma_mean": 20.0}, None),
        ({"said_light": "bright lamps in a dark room"}, {"luma_mean": 20.0}, None),
        ({"said_light": "night"}, {"luma_mean": 200.0}, "light"),
        ({"said_camera": "static"}, {"camera_px_s": 40.0}, "camera"),
        ({"said_camera": "zoom in"}, {"camera_px_s": 0.0}, None),
        ({"said_camera": "zoom in"}, {"camera_px_s": 0.0, "camera_moves": "static"}, "camera"),
        ({"said_camera": "pan left"}, {"camera_moves": "pan right, zoom in"}, "camera"),
        ({"said_camera": "pan right"}, {"camera_moves": "pan right, zoom in"}, None),
        ({"said_camera": "tilt up"}, {"camera_moves": "pan right"}, None),
        ({"said_camera": "static"}, {"camera_moves": "pan right"}, "camera"),
        ({"said_camera": "static"}, {"camera_moves": "handheld"}, None),
        ({"said_camera": "handheld"}, {"camera_moves": "static"}, None),
        ({"said_text": None}, {"text_boxes": 5, "text_area": 0.2}, "text"),
        ({"said_camera": "pan left", "said_text": "x", "said_light": "dim"}, {}, None),
        ({"said_light": "dim"}, {"luma_mean": float("nan")}, None),
    ],
)
def test_a_measure_speaks_against_what_it_excludes_alone(columns, measures, wrong) -> None:
    assert facts.against(columns, measures) == wrong
    assert facts.sentence({}) == ""
    told = {share: facts.sentence({"speech_share": share}) for share in (0.0, 0.2, 0.9)}
    assert told == {0.0: " It was measured that nobody speaks in it.", 0.2: "", 0.9: " It was measured that somebody speaks in it."}  # fmt: skip


# --- asking


def test_the_server_is_asked_to_decode_by_the_schema(server: ChatServer) -> None:
    server.captions[jpeg(0)] = json.dumps(GOOD)
    answer = said(one(OpenAi(settings(server, lower_case=False)), shot(0)))
    assert answer.texts == {"short": GOOD["short"], "detailed": GOOD["detailed"]}
    assert answer.columns == GOOD_COLUMNS | {"said_how": "asked", "said_against": None}
    (asked,) = server.asked
    form = asked["response_format"]
    assert (form["type"], form["json_schema"]["strict"]) == ("json_schema", True)
    assert form["json_schema"]["schema"] == fields.schema(settings())
    assert asked["max_tokens"] > 1000


@pytest.mark.parametrize(
    ("takes", "forms"), [("json_object", ["json_schema", "json_object"]), (None, ["json_schema", "json_object", None])]
)
def test_a_server_that_refuses_the_form_is_asked_in_a_looser_one_and_so_from_then_on(server, takes, forms) -> None:
    def answer(handler) -> None:
        form = json.loads(handler.posted).get("response_format", {}).get("type")
        good = form == takes
        refused = json_body({"error": {"message": f"response_format {form} is not supported"}}, code=400)
        (says(json.dumps(GOOD)) if good else refused)(handler)

    for seed in range(3):
        server.plans[jpeg(seed)] = answer
    captioner = OpenAi(settings(server))
    assert said(one(captioner, shot(0))).columns["said_how"] == "asked"
    assert [one.get("response_format", {}).get("type") for one in server.asked] == forms
    assert all(said(one).texts for one in write(captioner, [shot(1), shot(2)]))
    assert len(server.asked) == len(forms) + 2


def test_a_request_that_is_refused_in_every_form_costs_its_clip_alone(server: ChatServer) -> None:
    for seed in (0, 2):
        server.captions[jpeg(seed)] = json.dumps(GOOD)
    server.plan(jpeg(1), json_body({"error": {"message": "the picture is too odd"}}, code=400))
    captioner = OpenAi(settings(server))
    answers = write(captioner, [shot(0), shot(1)])
    assert isinstance(answers[1], ItemError)
    assert "too odd" in answers[1].detail
    said(answers[0])
    said(one(captioner, shot(2)))
    assert server.asked[-1]["response_format"]["type"] == "json_schema"


@pytest.mark.parametrize("how", USELESS)
def test_after_a_useless_answer_it_is_asked_again_and_told_why(server: ChatServer, how: str) -> None:
    useless = USELESS[how](GOOD)
    server.plan(jpeg(0), says(useless, tokens=(100, 7)), says(json.dumps(GOOD), tokens=(150, 9)))
    answer = said(one(OpenAi(settings(server)), shot(0)))
    assert answer.columns == GOOD_COLUMNS | {"said_how": "again", "said_against": None}
    assert (answer.prompt_tokens, answer.output_tokens) == (250, 16)
    first, second = server.asked
    assert second["messages"][0] == first["messages"][0]
    assert second["messages"][1] == {"role": "assistant", "content": useless}
    assert fields.read(useless, settings(), duration_s=None).problem in second["messages"][2]["content"]


def test_a_server_that_never_answers_well_fails_the_clip_after_three(server: ChatServer) -> None:
    server.plan(jpeg(0), says("I am sorry."))
    server.plan(jpeg(1), status(500))
    server.captions[jpeg(2)] = json.dumps(GOOD)
    answers = write(OpenAi(settings(server)), [shot(0), shot(1), shot(2)])
    assert isinstance(answers[0], ItemError)
    assert answers[0].reason == "caption"
    assert "no usable answer in 3" in answers[0].detail
    assert server.tries[jpeg(0)] == 3
    assert isinstance(answers[1], ItemError)
    assert answers[1].reason == "network"
    said(answers[2])


def test_texts_without_fields_are_asked_for_as_ever(server: ChatServer) -> None:
    answer = said(one(make(server), shot(0)))
    assert answer.columns == {}
    assert "response_format" not in server.asked[0]


# --- dense


def test_frames_of_the_preview_are_shown_with_their_seconds(server: ChatServer) -> None:
    preview = [(0.5 * number, jpeg(100 + number)) for number in range(11)]
    events = [{"at_s": 0.0, "text": "it runs"}]
    answer = {**GOOD, "events": events}
    captioner = OpenAi(settings(server, frames=5))
    some = Shot("0", {"middle": jpeg(0)}, {"duration_s": 5.5}, preview)
    asked = captioner.prepare(some)
    assert asked is not None
    *pictures, question = asked.made["messages"][0]["content"]
    assert len(pictures) == 5
    assert question["text"].startswith(
        "These are 5 frames of one video clip, in order of time, at 0.0, 1.0, 2.5, 4.0, 5.0 seconds."
    )
    assert "- `events`" in question["text"]
    without = captioner.prepare(Shot("0", {name: jpeg(0) for name in ("first", "middle", "last")}, {}))
    assert without is not None
    assert without.made["messages"][0]["content"][-1]["text"].startswith(
        "These are 3 frames of one video clip, in order of time. "
    )
    found = fields.read(json.dumps(answer), settings(frames=5), duration_s=5.5)
    assert found.columns["said_events"] == events


# --- composing, rewriting


def test_a_detailed_text_is_put_together_of_fields(server: ChatServer) -> None:
    server.captions[jpeg(0)] = json.dumps({name: value for name, value in GOOD.items() if name != "detailed"})
    answer = said(one(OpenAi(settings(server, compose=True, lower_case=False)), shot(0)))
    assert answer.texts["detailed"] == (
        "A brown dog runs over the grass in a park. The light: soft light. The style: documentary footage. "
        "Shot: wide shot, eye level. Camera: pan left."
    )
    assert "`detailed`" not in server.asked[0]["messages"][0]["content"][-1]["text"]


def test_a_composed_text_says_what_there_is() -> None:
    assert composed({"said_subject": "a dog.", "said_text": "STOP {x}"}) == "A dog. Text to be read: STOP {x}."
    assert composed({"said_angle": "overhead", "said_people": 3}) == "Angle: overhead."
    assert composed({}) == ""


def test_texts_of_another_writer_are_written_anew(server: ChatServer) -> None:
    told = {"captioner": "rewrite", "model": "tiny", "endpoint": {"url": server.url, "tries": 1}}
    captioner = Rewrite(Writer.model_validate(told))
    written = [
        {"writer": "main", "kind": "short", "text": "a dog"},
        {"writer": "main", "kind": "detailed", "text": "a dog runs."},
    ]
    turn = captioner.prepare(Shot("0", {}, {"written": written, "luma_mean": 200.0}))
    assert turn is not None
    question = turn.made["messages"][0]["content"]
    assert "- a dog\n- a dog runs." in question
    assert "the picture is bright" in question
    server.captions[question.encode()] = "SHORT: a dog runs\nDETAILED: A dog runs over the grass."
    answers = captioner.write([turn, captioner.prepare(Shot("1", {}, {"written": None}))])
    assert answers == [Written({"short": "a dog runs", "detailed": "a dog runs over the grass"}, 100, 7), Written({})]


# --- settings


def test_what_cannot_be_is_refused_with_the_next_step() -> None:
    for told, said_ in (
        ({"captioner": "tags", "frames": 4}, "take `vlm` or `openai`"),
        ({"captioner": "title", "frames": 3}, "take `vlm` or `openai`"),
        ({"captioner": "vlm", "compose": True}, "set caption.fields = true"),
        ({"captioner": "rewrite"}, "say it of one in caption.also"),
        (
            {"also": {"a": {"captioner": "rewrite", "rewrites": "b"}, "b": {"captioner": "title"}}},
            "no writer before it; there are: main",
        ),
    ):
        with pytest.raises(ValueError, match=said_):
            Caption.model_validate(told)
    with pytest.raises(UsageError, match="sees no clip"):
        Rewrite(Writer.model_validate({"captioner": "rewrite", "model": "x", "fields": True}))


def test_new_settings_name_no_old_text_anew_and_the_prompt_counts(monkeypatch: pytest.MonkeyPatch) -> None:
    plain = settings(fields=False)
    assert not {"fields", "compose", "frames", "rewrites"} & plain.shaping().keys()
    assert settings().shaping()["fields"] is True
    before = fingerprint(settings())
    assert fingerprint(plain) != before
    assert fingerprint(settings(frames=3)) != before
    monkeypatch.setattr(prompting, "prompt_file", lambda name: "another question")
    assert fingerprint(settings()) != before
    assert fingerprint(plain) == fingerprint(settings(fields=False))
