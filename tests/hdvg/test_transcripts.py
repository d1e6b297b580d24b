"""What is said in a clip, written down: by a tiny Whisper of random weights, and by a service that answers well, badly and not at all."""

from __future__ import annotations

import io
import wave

import numpy as np
import pytest

from hdvg.captioners import fingerprint, load
from hdvg.captioners.whisper import WINDOW_S
from hdvg.config.caption import Writer
from hdvg.config.own_measures import SOUND_HZ
from hdvg.errors import ItemError, ResourceError, TransientError, UsageError
from hdvg.keyframes import Shot
from tests import whispers
from tests.chat import ChatServer, hears, json_body
from tests.servers import short
from tests.tools import need
from tests.voices import melody, noise, speech

need("torch", "transformers", "openai")


def shot(sound):
    return Shot("clip", {}, {}, sound=sound)


def say(captioner, *sounds):
    return captioner.write([captioner.prepare(shot(sound)) for sound in sounds])


SILENCE = np.full(SOUND_HZ, 5e-4, np.float32)


# Whisper


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    where = tmp_path_factory.mktemp("whisper")
    whispers.make(where)
    return where


@pytest.fixture(scope="module")
def whisper(folder):
    return load(Writer(captioner="whisper", model=str(folder), max_tokens=8))


def test_text_and_language_are_what_plain_transformers_says(folder, whisper):
    import torch
    import transformers

    network = transformers.WhisperForConditionalGeneration.from_pretrained(folder).eval()
    processor = transformers.AutoProcessor.from_pretrained(folder)
    for sound in (melody(3), noise(3)):
        features = processor(sound, sampling_rate=SOUND_HZ, return_tensors="pt").input_features
        (language,) = processor.batch_decode(network.detect_language(features)[:, None])
        with torch.inference_mode():
            tokens = network.generate(features, language=language, task="transcribe", max_length=8, do_sample=False)
        (written,) = say(whisper, sound)
        assert written.texts == {"speech": processor.batch_decode(tokens, skip_special_tokens=True)[0].strip()}
        assert f"<|{written.language}|>" == language
    assert len({str(one.texts) for one in say(whisper, melody(3), noise(3))}) == 2


def test_longer_clips_are_heard_half_a_minute_at_a_time(whisper):
    whole = np.concatenate([melody(WINDOW_S), noise(4)])
    one, two, both = (next(iter(written.texts.values())) for written in say(whisper, whole[: WINDOW_S * SOUND_HZ], noise(4), whole))  # fmt: skip
    assert both == f"{one} {two}"


@pytest.mark.parametrize("sound", [None, np.zeros(0, np.float32), SILENCE])
def test_silent_clip_is_asked_of_no_one_and_has_nothing_said(whisper, sound):
    (written,) = say(whisper, sound)
    assert (written.texts, written.silent, written.language) == ({"speech": ""}, True, None)


def test_model_that_hears_nothing_is_refused(tmp_path):
    (tmp_path / "config.json").write_text('{"model_type": "llama"}')
    with pytest.raises(UsageError, match="Whisper-like"):
        load(Writer(captioner="whisper", model=str(tmp_path)))
    with pytest.raises(UsageError, match="no such folder"):
        fingerprint(Writer(captioner="whisper", model=str(tmp_path / "none")))


# A service


@pytest.fixture
def server():
    with ChatServer() as running:
        yield running


def transcriber(server, **settings):
    endpoint = {"url": server.url, "tries": 2, "timeout_s": 5} | settings.pop("endpoint", {})
    return load(Writer.model_validate({"captioner": "transcribe", "model": "tiny", "endpoint": endpoint} | settings))


def test_service_is_sent_the_sound_and_says_text_and_language(server):
    captioner, sound = transcriber(server, lower_case=False), speech(2)
    wav = captioner.prepare(shot(sound))
    server.plan(wav, hears(" Guten Tag,\nalle! ", language="german", duration=2.0))
    (written,) = captioner.write([wav])
    assert (written.texts, written.language) == ({"speech": "Guten Tag, alle!"}, "de")
    (asked,) = server.asked
    assert (asked["model"], asked["response_format"]) == ("tiny", "verbose_json")
    with wave.open(io.BytesIO(asked["file"])) as held:
        assert (held.getframerate(), held.getnchannels()) == (SOUND_HZ, 1)
        sent = np.frombuffer(held.readframes(held.getnframes()), "<i2") / 32767
    assert np.abs(sent - sound).max() < 1e-4


def test_model_without_languages_is_asked_for_the_text_alone_from_then_on(server):
    captioner = transcriber(server)
    refused = json_body({"error": {"message": "response_format verbose_json is not supported"}}, code=400)
    wavs = [captioner.prepare(shot(speech(1, seed=seed))) for seed in range(2)]
    server.plan(wavs[0], refused, hears("this is a sentence in plain english about the weather"))
    server.plan(wavs[1], hears("Das ist ein Satz."))
    first, second = captioner.write(wavs[:1]), captioner.write(wavs[1:])
    assert (first[0].texts["speech"].split()[0], first[0].language) == ("this", "en")
    assert second[0].texts == {"speech": "das ist ein satz"}
    assert [one["response_format"] for one in server.asked] == ["verbose_json", "json", "json"]


BAD = {
    "no json": lambda handler: json_body("Hello.")(handler),
    "no text": hears(None),
    "a list": json_body([{"text": "hello"}]),
    "an overload": json_body({"error": {"message": "busy"}}, code=503),
    "half an answer": short(b'{"text": "hel', 100, "application/json"),
}


@pytest.mark.parametrize("name", BAD)
def test_bad_answer_is_asked_for_again_and_is_a_retry_if_it_stays_bad(server, name):
    captioner = transcriber(server)
    wavs = [captioner.prepare(shot(speech(1, seed=seed))) for seed in range(3)]
    server.plan(wavs[0], BAD[name], hears("hello there"))
    server.plan(wavs[1], BAD[name])
    mended, bad, good = captioner.write(wavs)
    assert mended.texts == {"speech": "hello there"}
    assert isinstance(bad, TransientError)
    assert good.texts["speech"].startswith("words of")


def test_nothing_said_is_no_failure_and_a_refusal_is_the_clips_own(server):
    captioner = transcriber(server)
    wavs = [captioner.prepare(shot(speech(1, seed=seed))) for seed in range(2)]
    server.plan(wavs[0], hears("", language="english"))
    server.plan(wavs[1], json_body({"error": {"message": "audio too short"}}, code=400))
    silent, refused = captioner.write(wavs)
    assert (silent.silent, silent.texts) == (True, {"speech": ""})
    assert isinstance(refused, ItemError)
    assert refused.reason == "caption"
    assert say(captioner, SILENCE)[0].silent
    assert len(server.asked) == 3


def test_server_that_is_not_there_stops_the_run(server):
    captioner = transcriber(server, endpoint={"url": "http://127.0.0.1:9/v1", "tries": 1})
    with pytest.raises(ResourceError, match="cannot be reached"):
        say(captioner, speech(1), speech(1, seed=1))


def test_wrong_key_is_the_users_to_mend():
    with ChatServer(key="secret") as server, pytest.raises(UsageError, match="refuses every request"):
        say(transcriber(server), speech(1))
