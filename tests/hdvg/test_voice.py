"""How much of a clip somebody speaks in: a rendered voice between what is none, and what is heard of a file."""

import av
import numpy as np
import pytest

from hdvg.config.own_measures import SOUND_HZ
from hdvg.keyframes import Shot
from hdvg.measures.speech import GOES_ON, Speech, stretches
from hdvg.media.clip_inputs import hear
from tests.footage import BUNDLED
from tests.tools import need
from tests.voices import film_with, melody, noise, speech

need("onnxruntime", "silero_vad")

NONE = {"silence": lambda seconds: np.zeros(round(seconds * SOUND_HZ), np.float32), "noise": noise, "melody": melody}


@pytest.fixture(scope="module")
def detector():
    return Speech()


def share(detector, sound):
    (row,) = detector.measure([Shot("clip", {}, {}, sound=sound)], [])
    assert row["speech_model"] == detector.model
    return row["speech_share"]


def sound_of(path, folder, *spans_s):
    """Of each span, in seconds of the file's clock, what is heard."""
    with av.open(str(path)) as container:
        base = container.streams.video[0].time_base
    spans = [{"start_pts": round(start / base), "end_pts": round(end / base)} for start, end in spans_s]
    counts = hear(str(path), str(folder / "heard"), spans, str(base))
    whole = np.fromfile(folder / "heard", "<i2").astype(np.float32) / 32767
    assert len(whole) == sum(counts)
    return np.split(whole, np.cumsum(counts)[:-1])


@pytest.mark.parametrize("around", NONE)
@pytest.mark.parametrize("seconds", [1.0, 3.0])
def test_share_is_that_of_the_planted_voice(detector, around, seconds):
    made = NONE[around]
    sound = np.concatenate([made(3), speech(seconds), made(5 - seconds)])
    assert share(detector, sound) == pytest.approx(seconds / 8, abs=0.05)


@pytest.mark.parametrize("other", [*NONE, "cockatoo"])
def test_what_is_no_voice_is_no_speech(detector, tmp_path, other):
    if other == "cockatoo":
        (sound,) = sound_of(BUNDLED / "cockatoo.mp4", tmp_path, (0, 14))
    else:
        sound = NONE[other](8)
    assert share(detector, sound) < 0.03


def test_a_voice_is_heard_over_a_melody(detector):
    assert share(detector, np.concatenate([melody(4), melody(4) * 0.5 + speech(4)])) == pytest.approx(0.5, abs=0.05)


def test_clip_without_sound_has_no_speech(detector):
    assert share(detector, None) == share(detector, np.zeros(100, np.float32)) == 0


@pytest.mark.parametrize(
    ("chances", "found"),
    [
        ([0.4] * 20, []),  # nowhere does it begin
        ([0.9] * 4, []),  # too short
        ([0.0, *[0.9] * 10, 0.0], [(1, 11)]),
        ([*[0.9] * 5, *[0.0] * 9, *[0.9] * 5], [(0, 19)]),  # a pause of less than 0.3 s
        ([*[0.9] * 10, *[0.0] * 11, *[0.9] * 10], [(0, 10), (21, 31)]),
        ([*[0.4] * 3, 0.6, *[GOES_ON] * 10, 0.3], [(3, 14)]),
    ],
)
def test_speech_begins_at_one_probability_and_goes_on_to_another(chances, found):
    assert stretches(np.array(chances)) == found


@pytest.mark.parametrize("codec", ["aac", "libopus", "libmp3lame", "pcm_s16le"])
@pytest.mark.parametrize("offset_s", [0, 100])
def test_heard_is_what_the_clip_has_at_its_time(tmp_path, codec, offset_s):
    voice = np.concatenate([speech(2), np.zeros(SOUND_HZ, np.float32), speech(2, seed=1)])
    film = film_with(tmp_path / "a.mkv", voice, "-output_ts_offset", str(offset_s), codec=("-c:a", codec))
    first, late = sound_of(film, tmp_path, (offset_s, offset_s + 2.5), (offset_s + 2.5, offset_s + 4.5))
    for heard, wanted in ((first, voice[:40_000]), (late, voice[40_000:72_000])):
        assert len(heard) == len(wanted)
        shifted = [np.corrcoef(wanted[400:-400], np.roll(heard, by)[400:-400])[0, 1] for by in range(-160, 161)]
        assert max(shifted) > 0.9
        assert abs(int(np.argmax(shifted)) - 160) <= 32, "2 ms"


def test_silence_stands_where_the_sound_begins_late_and_where_it_is_damaged(tmp_path):
    film = film_with(tmp_path / "a.mkv", speech(4), "-af", "atrim=start=2", codec=("-c:a", "libopus"))
    content = bytearray(film.read_bytes())
    content[len(content) * 7 // 8 :] = bytes(len(content) - len(content) * 7 // 8)
    film.write_bytes(content)
    (heard,) = sound_of(film, tmp_path, (0, 4))
    assert len(heard) == 4 * SOUND_HZ
    levels = np.abs(heard).reshape(8, -1).max(axis=1)
    assert levels[:3].max() < 0.01 < levels[4:6].min()


def test_a_file_without_a_track_or_with_none_there_gives_nothing(tmp_path):
    mute = film_with(tmp_path / "mute.mp4", speech(1), "-an")
    late = film_with(tmp_path / "late.mkv", speech(3), "-af", "atrim=start=2")
    assert len(sound_of(mute, tmp_path, (0, 1))[0]) == 0
    assert [len(one) for one in sound_of(late, tmp_path, (0, 1), (2, 3))] == [0, SOUND_HZ]
