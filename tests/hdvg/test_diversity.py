"""Every beginning of the diverse order is spread over all kinds of clips, and it is the same however clips come."""

import numpy as np
import pytest

from hdvg.filtering import diversity


@pytest.fixture
def clips() -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Ten kinds, from 1 clip to 512 of a kind: kinds, unit embeddings near the kind's own direction, draws."""
    random = np.random.default_rng(0)
    kinds = np.repeat(np.arange(10), 2 ** np.arange(10))
    embeddings = np.eye(10, 16)[kinds] + random.normal(0, 0.02, (len(kinds), 16))
    embeddings /= np.linalg.norm(embeddings, axis=1, keepdims=True)
    return kinds, embeddings.astype(np.float32), random.random(len(kinds))


def diverse_draw(embeddings: np.ndarray, draws: np.ndarray) -> np.ndarray:
    """The places, from embeddings that come in blocks of 100."""
    return diversity.diverse_draw(draws, clusters(embeddings, draws)[0])


def clusters(embeddings: np.ndarray, draws: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    blocks = (embeddings[start : start + 100] for start in range(0, len(draws), 100))
    return diversity.clusters(embeddings[np.argsort(draws)][: diversity.FITTED], blocks, count=len(draws))


def test_a_beginning_holds_rare_kinds_as_often_as_common_ones(clips):
    kinds, embeddings, draws = clips
    places = diverse_draw(embeddings, draws)
    assert sorted(places.tolist()) == [number / len(kinds) for number in range(len(kinds))]
    tenth = np.bincount(kinds[places < 0.1], minlength=10) / np.bincount(kinds)
    assert tenth.min() > 0  # each kind, though two of them have a clip or two of a thousand
    assert tenth[:5].min() > 2 * tenth[9]


def test_the_order_is_the_same_however_clips_come(clips):
    _, embeddings, draws = clips
    mixed = np.random.default_rng(1).permutation(len(draws))
    assert diverse_draw(embeddings[mixed], draws[mixed]).tolist() == diverse_draw(embeddings, draws)[mixed].tolist()


@pytest.mark.parametrize("count", [0, 1, 2])
def test_few_clips_have_an_order_too(count, clips):
    _, embeddings, draws = clips
    assert sorted(diverse_draw(embeddings[:count], draws[:count]).tolist()) == [n / count for n in range(count)]
