"""What of a clip decides how often it is drawn, and at which noise: read once from the dataset, for the clips of a feed."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from hdvg import balance
from hdvg.errors import UsageError
from hdvg.training.settings import Draw

if TYPE_CHECKING:
    from hdvg.dataset.dataset import Dataset

QUANTA = 1 << 16
"""Shares are whole numbers, this one for a clip that is drawn once an epoch: the same on every machine."""

Ints = NDArray[np.int64]


@dataclass(frozen=True)
class Traits:
    """Of the clips of a feed, in its order, (N,) each; -1 is none."""

    cluster: Ints
    group: Ints

    def shares(self, trained: Ints, draw: Draw) -> tuple[int, ...]:
        """Of the clips of these numbers, how often each is drawn, in proportion; none if nothing is evened out."""
        if not draw.balance:
            return ()
        found = balance.weights(
            self.cluster[trained], self.group[trained], strength=draw.balance, most=draw.repeats_most
        )
        return tuple(np.maximum(np.rint(found * QUANTA), 1).astype(np.int64).tolist())

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


def read(dataset: Dataset, clip_ids: Sequence[str], draw: Draw) -> Traits | None:
    """Of these clips, sorted by id; None if the settings ask for nothing. Raises UsageError if no clip is in a cluster."""
    if not draw.balance:
        return None
    with dataset.manifest() as manifest:
        manifest.connection.register("asked", pa.table({"clip_id": pa.array(clip_ids, pa.string())}))
        rows = manifest.connection.sql(
            "select coalesce(cluster, -1) as cluster, coalesce(cluster_group, -1) as cluster_group "
            "from asked left join dataset using (clip_id) order by clip_id"
        ).to_arrow_table()
    cluster, group = (rows[name].to_numpy().astype(np.int64) for name in ("cluster", "cluster_group"))
    if not (cluster >= 0).any():
        raise UsageError(
            f"draw.balance = {draw.balance:g}: no clip of {dataset.place} is in a cluster; they follow from embeddings: "
            f'hdvg run {dataset.place} --set \'measure.also=["semantics", "pool"]\''
        )
    return Traits(cluster, group)
