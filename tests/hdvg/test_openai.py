"""Captioner `openai` asks many at once, tries again on each request's own clock, and lets a bad answer cost only its clip."""

from __future__ import annotations

import base64
import json
import time
from collections.abc import Iterator, Sequence
from io import BytesIO

import numpy as np
import pytest
from PIL import Image

from hdvg.captioners import Written, fingerprint, prompting
from hdvg.captioners.endpoint import MAX_WAIT_S, pause_s
from hdvg.captioners.openai import OpenAi
from hdvg.config.caption import Writer
from hdvg.errors import ItemError, ResourceError, TransientError, UsageError
from hdvg.keyframes import Shot
from tests.chat import ChatServer, json_body, says
from tests.servers import Answer, body, http_date, raw, short, silence, status

KEY = "sk-very-secret"


@pytest.fixture
def server() -> Iterator[ChatServer]:
    with ChatServer() as server:
        yield server


def jpeg(seed: int) -> bytes:
    """A JPEG of noise, another for every seed."""
    noise = np.random.default_rng(seed).integers(0, 256, (24, 32, 3), dtype=np.uint8)
    file = BytesIO()
    Image.fromarray(noise).save(file, "JPEG")
    return file.getvalue()


def shot(seed: int) -> Shot:
    return Shot(str(seed), {"first": jpeg(seed + 1000), "middle": jpeg(seed), "last": jpeg(seed + 2000)}, {})


def make(server: ChatServer, *, batch: int = 0, **endpoint: object) -> OpenAi:
    told = {"url": server.url, "tries": 2, **endpoint}
    return OpenAi(Writer.model_validate({"captioner": "openai", "model": "tiny", "batch": batch, "endpoint": told}))


def write(captioner: OpenAi, shots: Sequence[Shot]) -> list[Written | ItemError]:
    return captioner.write([captioner.prepare(one) for one in shots])


def texts(answers: Sequence[Written | ItemError]) -> list[str]:
    return [one.texts.get("short", "") if isinstance(one, Written) else one.reason for one in answers]


# --- what is asked and answered


def test_answers_keep_the_order_of_the_shots(server: ChatServer) -> None:
    for seed in range(40):
        server.captions[jpeg(seed)] = f"SHORT: clip {seed}\nDETAILED: This is clip {seed}. It is noise."
    nothing = Shot("none", {"middle": b"no picture"}, {})
    answers = write(make(server, concurrency=5), [nothing, *map(shot, range(40)), nothing])
    assert answers[0] == answers[-1] == Written({})
    expected = [{"short": f"clip {seed}", "detailed": f"this is clip {seed}. it is noise"} for seed in range(40)]
    assert [one.texts for one in answers[1:-1] if isinstance(one, Written)] == expected


def test_request_holds_the_stored_picture_and_asks_for_the_likeliest_text(server: ChatServer) -> None:
    write(make(server), [shot(3)])
    request = server.asked[0]
    picture, question = request.pop("messages")[0]["content"]
    assert request == {"model": "tiny", "max_tokens": 200, "temperature": 0, "seed": 0}
    assert picture["image_url"]["url"] == "data:image/jpeg;base64," + base64.b64encode(jpeg(3)).decode()
    assert question["text"].startswith("This is a frame of a video clip.")
    assert "SHORT:" in question["text"]


@pytest.mark.parametrize("layout", ["sequence", "grid"])
def test_several_keyframes_go_in_order_of_time(server: ChatServer, layout: str) -> None:
    told = {"captioner": "openai", "model": "tiny", "keyframe": "all", "layout": layout}
    write(OpenAi(Writer.model_validate({**told, "endpoint": {"url": server.url}})), [shot(3)])
    *pictures, _ = server.asked[0]["messages"][0]["content"]
    sent = [base64.b64decode(one["image_url"]["url"].partition(",")[2]) for one in pictures]
    frames = [jpeg(1003), jpeg(3), jpeg(2003)]
    if layout == "sequence":
        assert sent == frames
    else:
        (whole,) = sent
        column = np.vstack([np.asarray(Image.open(BytesIO(frame))) for frame in frames])
        seen = np.asarray(Image.open(BytesIO(whole)))
        assert seen.shape == column.shape
        assert np.corrcoef(seen.ravel(), column.ravel())[0, 1] > 0.8


@pytest.mark.parametrize(
    ("answer", "expected"),
    [
        (says(None, tokens=(9, 1)), Written({}, 9, 1)),
        (says("", tokens=(9, 1)), Written({}, 9, 1)),
        (says("half a text", ended="content_filter", tokens=(9, 1)), Written({}, 9, 1)),
        (says("A dog.\x00\u202e", tokens=None), Written({"short": "a dog"})),
        (says("A \ud800 dog"), Written({"short": "a dog"}, 100, 7)),
        (says("word " * 2000), Written({"detailed": ("word " * 200).strip()}, 100, 7)),
    ],
)
def test_refusals_say_nothing_and_texts_are_clean(server: ChatServer, answer: Answer, expected: Written) -> None:
    server.plan(jpeg(0), answer)
    assert write(make(server), [shot(0)]) == [expected]
    assert server.tries == {jpeg(0): 1}


# --- many at once


@pytest.mark.parametrize("concurrency", [1, 6])
def test_concurrency_is_reached_and_never_exceeded(concurrency: int) -> None:
    """The server answers nobody before as many have come as may, and takes its time."""
    with ChatServer(wait_for=concurrency, hold_s=0.03) as server:
        for seed in range(0, 24, 5):
            server.plan(jpeg(seed), status(500), says("again"))
        answers = write(make(server, concurrency=concurrency), list(map(shot, range(24))))
        assert server.most == concurrency
        assert all(isinstance(one, Written) for one in answers)


def test_batch_gives_every_slot_several_requests(server: ChatServer) -> None:
    assert make(server, concurrency=8).batch >= 16
    assert make(server, batch=3).batch == 3


def test_requests_that_wait_hold_no_slot(server: ChatServer) -> None:
    """One slot: nine are answered while the first waits a second for its next try."""
    server.plan(jpeg(0), status(429, Retry_After="1"), says("late"))
    assert texts(write(make(server, concurrency=1), list(map(shot, range(10)))))[0] == "late"
    second_try = server.times[jpeg(0)][1]
    assert all(server.times[jpeg(seed)][0] < second_try for seed in range(1, 10))


# --- failures


GARBLED = {
    "no JSON": body(b"<html>busy</html>", "application/json"),
    "a page": body(b"<html>busy</html>", "text/html"),
    "half of JSON": body(b'{"choices": [{"mess', "application/json"),
    "deep JSON": body(b"[" * 100_000, "application/json"),
    "a list": json_body([1]),
    "no choices": json_body({"choices": []}),
    "choices of another kind": json_body({"choices": {"message": "x"}}),
    "no message": json_body({"choices": [{"message": None}]}),
    "a number": json_body({"choices": [{"message": {"content": 3}}]}),
    "odd bytes": body(b"\xff\xfe\x00", "application/json"),
}
BROKEN = {
    "cut body": short(b'{"choices": [', 5000, "application/json"),
    "cut head": raw(b"HTTP/1.1 200 OK\r\nContent-"),
    "noise": raw(b"\x16\x03\x01 noise\r\n\r\n"),
    "bad gzip": body(b"no gzip", "application/json", Content_Encoding="gzip"),
    "error 500": status(500),
    "error 502": status(502),
}
OTHERS = {
    "silence": (silence(), "timeout"),
    "error 429": (status(429), "throttled"),
    "error 503": (status(503), "throttled"),
    "a loop": (status(307, Location="/v1/chat/completions"), "network"),
}
FAILURES = {name: (answer, "protocol") for name, answer in GARBLED.items()}
FAILURES |= {name: (answer, "network") for name, answer in BROKEN.items()} | OTHERS


def test_bad_answers_are_tried_again_and_then_cost_only_their_clip(server: ChatServer) -> None:
    """Of each kind of failure one that passes, one that stays, and a good answer, all in one batch."""
    shots = list(map(shot, range(3 * len(FAILURES))))
    expected = []
    for number, (answer, reason) in enumerate(FAILURES.values()):
        server.plan(jpeg(3 * number), answer, says("at last"))
        server.plan(jpeg(3 * number + 1), answer)
        expected += ["at last", reason, f"a picture of {len(jpeg(3 * number + 2))} bytes"]
    answers = write(make(server, timeout_s=2), shots)
    assert texts(answers) == expected
    assert all(isinstance(answer, TransientError) for answer in answers[1::3])
    tries = {
        name: [server.tries[jpeg(3 * number + place)] for place in range(3)] for number, name in enumerate(FAILURES)
    }
    assert tries.pop("a loop")[2] == 1  # which is followed some way within each try
    assert tries == {name: [2, 2, 1] for name in tries}


@pytest.mark.parametrize("code", [400, 413, 422])
def test_a_refused_request_is_not_tried_again_and_costs_only_its_clip(server: ChatServer, code: int) -> None:
    server.plan(jpeg(1), json_body({"error": {"message": "the picture is too odd"}}, code=code))
    answers = write(make(server), [shot(0), shot(1), shot(2)])
    refused = answers[1]
    assert isinstance(refused, ItemError)
    assert not isinstance(refused, TransientError)
    assert refused.reason == "caption"
    assert "the picture is too odd" in refused.detail
    assert isinstance(answers[0], Written)
    assert isinstance(answers[2], Written)
    assert server.tries[jpeg(1)] == 1


@pytest.mark.parametrize(
    "answer",
    [
        json_body({"error": {"message": "wrong key"}}, code=401),
        json_body({"error": {"message": "no money"}}, code=402),
        json_body({"error": {"message": "not for you"}}, code=403),
        json_body({"error": {"message": "no such model"}}, code=404),
        json_body({"error": {"message": "no money", "code": "insufficient_quota"}}, code=429),
    ],
)
def test_what_is_wrong_for_all_stops_the_run(server: ChatServer, answer: Answer) -> None:
    server.plan(jpeg(7), answer)
    captioner = make(server, concurrency=2)
    with pytest.raises(UsageError, match=r"refuses every request .*(wrong key|no money|not for you|no such model)"):
        write(captioner, list(map(shot, range(50))))
    assert len(server.tries) < 50
    assert texts(write(captioner, [shot(1)])) == [f"a picture of {len(jpeg(1))} bytes"]


def test_a_server_that_is_not_there_fails_one_clip_and_stops_several() -> None:
    with ChatServer() as server:
        captioner = make(server)
    (alone,) = write(captioner, [shot(0)])
    assert isinstance(alone, TransientError)
    assert alone.reason == "network"
    with pytest.raises(ResourceError, match=r"cannot be reached .*; start the server, then run again"):
        write(captioner, [shot(0), shot(1)])


def test_tokens_of_garbled_tries_are_counted(server: ChatServer) -> None:
    garbled = json_body({"choices": [], "usage": {"prompt_tokens": 50, "completion_tokens": 3}})
    server.plan(jpeg(0), garbled, status(500), says("a dog", tokens=(50, 4)))
    server.plan(jpeg(1), json_body({"choices": [{"message": {"content": "a cat"}}], "usage": {"prompt_tokens": "x"}}))
    server.plan(jpeg(2), says("a cow", tokens=(-1, 1 << 70)))
    answers = write(make(server, tries=3), [shot(0), shot(1), shot(2)])
    assert answers == [Written({"short": "a dog"}, 100, 7), Written({"short": "a cat"}), Written({"short": "a cow"})]


# --- clocks


def test_retry_after_is_kept_to_in_seconds_and_as_a_date(server: ChatServer) -> None:
    server.plan(jpeg(0), status(429, Retry_After="2"), says("late"))
    server.plan(jpeg(1), status(503, Retry_After=http_date(4)), says("late"))
    server.plan(jpeg(2), status(429), says("soon"))
    assert texts(write(make(server), [shot(0), shot(1), shot(2)])) == ["late", "late", "soon"]
    waits = [second - first for first, second in (server.times[jpeg(seed)] for seed in range(3))]
    assert 2 <= waits[0] < 20
    assert 2 <= waits[1] < 20  # a date has whole seconds
    assert 0.5 <= waits[2] < 20


def test_a_server_that_asks_for_too_long_a_wait_is_not_asked_again(server: ChatServer) -> None:
    server.plan(jpeg(0), status(429, Retry_After="3600"))
    start = time.monotonic()
    (answer,) = write(make(server, tries=20), [shot(0)])
    assert isinstance(answer, TransientError)
    assert (answer.reason, answer.retry_after_s) == ("throttled", 3600)
    assert time.monotonic() - start < 30
    assert server.tries[jpeg(0)] == 1


def test_pauses_grow_are_bounded_and_differ() -> None:
    failed = TransientError("network")
    for trial in range(40):
        pauses = [pause_s(failed, trial=trial) or 0 for _ in range(20)]
        least = min(0.5 * 2**trial, MAX_WAIT_S)
        assert all(least <= pause <= 1.5 * least for pause in pauses)
        assert len(set(pauses)) > 1
    asked = pause_s(TransientError("throttled", retry_after_s=20), trial=0)
    assert asked is not None
    assert 20 <= asked <= 30
    assert pause_s(ItemError("caption"), trial=0) is None


def test_time_runs_for_each_try_on_its_own(server: ChatServer) -> None:
    server.plan(jpeg(0), silence())
    start = time.monotonic()
    answers = write(make(server, timeout_s=0.5, tries=2, concurrency=4), [shot(0), shot(1)])
    assert texts(answers)[0] == "timeout"
    assert 1.5 <= time.monotonic() - start < 30  # two times half a second, and a pause of at least as long
    assert server.tries[jpeg(0)] == 2


# --- key, model, address


def test_the_key_is_sent_and_never_told(monkeypatch: pytest.MonkeyPatch) -> None:
    with ChatServer(key=KEY) as server:
        monkeypatch.setenv("HDVG_MY_KEY", f"{KEY}\n")
        good = make(server, key_env="HDVG_MY_KEY")
        server.plan(jpeg(1), json_body({"error": {"message": f"odd request with {KEY}"}}, code=400))
        server.plan(jpeg(2), json_body({"error": {"message": f"busy, {KEY}"}}, code=500))
        answers = write(good, [shot(0), shot(1), shot(2)])
        assert isinstance(answers[0], Written)
        for answer in answers[1:]:
            assert isinstance(answer, ItemError)
            assert "***" in answer.detail
            assert KEY not in f"{answer!r} {answer} {json.dumps(answer.detail)}"
        monkeypatch.setenv("HDVG_MY_KEY", wrong := "sk-another-secret")
        with pytest.raises(UsageError, match="the key in HDVG_MY_KEY") as caught:
            write(make(server, key_env="HDVG_MY_KEY"), [shot(0)])
        assert wrong not in str(caught.value)
    monkeypatch.setenv("HDVG_MY_KEY", "sk-…")
    with pytest.raises(UsageError, match="HDVG_MY_KEY holds characters that no key has") as caught:
        make(server, key_env="HDVG_MY_KEY")
    assert "sk-" not in str(caught.value)


def test_model_is_the_only_one_served_if_none_is_named(server: ChatServer) -> None:
    settings = Writer.model_validate({"captioner": "openai", "endpoint": {"url": server.url, "tries": 1}})
    server.serve("org/one")
    captioner = OpenAi(settings)
    assert captioner.model == f"org/one @ {fingerprint(settings)[:8]}"
    assert texts(write(captioner, [shot(0)])) == [f"a picture of {len(jpeg(0))} bytes"]
    assert server.asked[0]["model"] == "org/one"
    server.serve("org/one", "org/two")
    with pytest.raises(UsageError, match="serves org/one, org/two; set it to one"):
        OpenAi(settings)


def test_a_server_without_a_list_of_models_is_told_so(server: ChatServer) -> None:
    settings = Writer.model_validate({"captioner": "openai", "endpoint": {"url": server.url, "tries": 1}})
    with pytest.raises(UsageError, match="refuses every request"):
        OpenAi(settings)
    server.serve()
    with pytest.raises(UsageError, match="serves none"):
        OpenAi(settings)
    gone = Writer.model_validate({"captioner": "openai", "endpoint": {"url": "http://127.0.0.1:9/v1", "tries": 1}})
    with pytest.raises(UsageError, match=r"does not tell its models .*start the server, or set"):
        OpenAi(gone)


def test_fingerprint_follows_address_model_and_question(monkeypatch: pytest.MonkeyPatch) -> None:
    def digits(url: str, model: str | None, **endpoint: object) -> str:
        told = {"captioner": "openai", "model": model, "endpoint": {"url": url, **endpoint}}
        return fingerprint(Writer.model_validate(told))

    seen = {
        digits("http://a/v1", "m"),
        digits("http://b/v1", "m"),
        digits("http://a/v1", "n"),
        digits("http://a/v1", None),
    }
    assert len(seen) == 4
    assert digits("http://a/v1", "m", concurrency=3, timeout_s=9) in seen
    monkeypatch.setattr(prompting, "PROMPT", "What?")
    assert digits("http://a/v1", "m") not in seen


def test_what_it_cannot_do_is_refused(server: ChatServer) -> None:
    with pytest.raises(UsageError, match="no beam search"):
        OpenAi(Writer.model_validate({"captioner": "openai", "beams": 4, "endpoint": {"url": server.url}}))
    with pytest.raises(ValueError, match="url"):
        Writer.model_validate({"endpoint": {"url": "localhost:8000/v1"}})
