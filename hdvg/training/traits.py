"""What of a clip decides how often it is drawn, and at which noise: read once from the dataset, for the clips of a feed.

Which noise: Luo et al., arXiv:2603.25527, skew the times at which clips with much motion are drawn towards high noise, where motion is
learnt, and those of good pictures towards low noise. Their very distributions are not ours: a line of the density, by ranks.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import duckdb
import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from hdvg.config.conditions import check_expression
from hdvg.errors import UsageError, first_line
from hdvg.filtering import balance
from hdvg.training.settings import Draw

if TYPE_CHECKING:
    from hdvg.dataset.dataset import Dataset
    from hdvg.dataset.manifest import Manifest

QUANTA = 1 << 16
"""Shares are whole numbers, this one for a clip that is drawn once an epoch: the same on every machine."""

BITS = 1 << 24
"""As of `hdvg.draws.uniform`: so that float32 holds it."""

Ints = NDArray[np.int64]
Reals = NDArray[np.float64]


@dataclass(frozen=True)
class Traits:
    """Of the clips of a feed, in its order, (N,) each; -1 and NaN are none. `high` and `low` are what `Draw` names."""

    cluster: Ints
    group: Ints
    high: Reals
    low: Reals

    def shares(self, trained: Ints, draw: Draw) -> tuple[int, ...]:
        """Of the clips of these numbers, how often each is drawn, in proportion; none if nothing is evened out."""
        if not draw.balance:
            return ()
        found = balance.weights(
            self.cluster[trained], self.group[trained], strength=draw.balance, most=draw.repeats_most
        )
        return tuple(np.maximum(np.rint(found * QUANTA), 1).astype(np.int64).tolist())

    def tilts(self, trained: Ints, draw: Draw) -> Ints | None:
        """(N,): how far the noise of each clip is drawn towards high (`QUANTA`) or low (-`QUANTA`) levels, by the difference of its
        ranks among those that are trained on; 0 for others and where a value is missing. None if nothing is tilted.

        Over all clips the differences cancel out: each level of noise is drawn as often as without.
        """
        if not draw.by_noise:
            return None
        found = np.zeros(len(self.high), np.int64)
        ranks = _ranks(self.high[trained]) - _ranks(self.low[trained])
        found[trained] = np.rint(draw.by_noise * ranks * QUANTA)
        return found

    def said(self, trained: Ints, shares: Sequence[int]) -> str:
        """A line about what evening out does."""
        weights = np.array(shares) / QUANTA
        groups, clusters = self.group[trained], self.cluster[trained]
        largest = np.bincount(groups[groups >= 0]).argmax() if (groups >= 0).any() else -1
        share = float((groups == largest).mean()), float(weights[groups == largest].sum() / weights.sum())
        without = int((clusters < 0).sum())
        return (
            f"drawn evenly over {len(np.unique(clusters[clusters >= 0]))} clusters in {len(np.unique(groups[groups >= 0]))} groups: a clip "
            f"{weights.min():.2g} to {weights.max():.2g} times an epoch, the largest group {share[1]:.0%} of the draws, not {share[0]:.0%}"
            + (f"; {without} clips are in no cluster" if without else "")
        )


def tilted(uniform: float, tilt: int) -> float:
    """A number in [0, 1), of 24 bits, from a uniform one: with the density 1 + t (2 x - 1), t = tilt / QUANTA from -1 to 1.

    The inverse of its distribution function (1 - t) x + t x^2.
    """
    if not tilt:
        return uniform
    t = tilt / QUANTA
    x = 2 * uniform / (1 - t + math.sqrt((1 - t) ** 2 + 4 * t * uniform)) if uniform else 0.0
    return min(int(x * BITS), BITS - 1) / BITS


def _ranks(values: Reals) -> Reals:
    """The place of each value among all, 0-1, the mean place of equal ones; 0.5 for NaN."""
    found = np.full(len(values), 0.5)
    known = np.flatnonzero(~np.isnan(values))
    if len(known) > 1:
        _, place, counts = np.unique(values[known], return_inverse=True, return_counts=True)
        ends = np.cumsum(counts)
        found[known] = ((ends - (counts + 1) / 2) / (len(known) - 1))[place]
    return found


def read(dataset: Dataset, clip_ids: Sequence[str], draw: Draw) -> Traits | None:
    """Of these clips, sorted by id; None if the settings ask for nothing.

    Raises UsageError if no clip is in a cluster, or `high_noise` or `low_noise` is no number of a clip.
    """
    if not (draw.balance or draw.by_noise):
        return None
    with dataset.manifest() as manifest:
        manifest.connection.register("asked", pa.table({"clip_id": pa.array(clip_ids, pa.string())}))
        rows = manifest.table(
            "select coalesce(cluster, -1) as cluster, coalesce(cluster_group, -1) as cluster_group "
            "from asked left join dataset using (clip_id) order by clip_id"
        )
        high, low = (
            _values(manifest, draw, name) if draw.by_noise else np.empty(len(rows))
            for name in ("high_noise", "low_noise")
        )
    cluster, group = (rows[name].to_numpy().astype(np.int64) for name in ("cluster", "cluster_group"))
    if draw.balance and not (cluster >= 0).any():
        raise UsageError(
            f"draw.balance = {draw.balance:g}: no clip of {dataset.place} is in a cluster; they follow from embeddings: "
            f'hdvg run {dataset.place} --set \'measure.also=["semantics", "pool"]\''
        )
    return Traits(cluster, group, high, low)


def _values(manifest: Manifest, draw: Draw, setting: str) -> Reals:
    """What a setting names, of the clips that are asked for."""
    expression = getattr(draw, setting)
    try:
        check_expression(expression, example="local_px_s")
        asked = f"select coalesce(({expression})::double, 'nan') as value from asked left join dataset using (clip_id) order by clip_id"
        values = manifest.table(asked)["value"].to_numpy()
    except (ValueError, duckdb.Error) as error:
        raise UsageError(
            f"draw.{setting} = {expression!r}: {first_line(error)}; it takes a number of `dataset`, such as local_px_s"
        ) from error
    return np.asarray(values, np.float64)
