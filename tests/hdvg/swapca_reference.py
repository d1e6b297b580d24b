"""Swap-CA told word for word, window by window and token by token: slow, and the truth that the fast one is held to.

Written from the equation in `hdvg.model.swapca.SwapCA` with loops, neighbours and rotations of complex numbers; it shares
weights with the fast module and no code. Windows are lists of places; a place outside of the grid does not exist here.
"""

from __future__ import annotations

import cmath
import itertools
import math

import torch
from torch import Tensor

from hdvg.model.swapca import SwapCA

Place = tuple[int, int, int]


def swap_ca(module: SwapCA, s_BTHWC: Tensor, t_BTHWC: Tensor, *, window: Place, shift: Place = (0, 0, 0)) -> Tensor:
    """What `module(s, t)` should be, in double precision."""
    weights = {name: weight.detach().double() for name, weight in module.state_dict().items()}
    streams = {"space": s_BTHWC.double(), "time": t_BTHWC.double(), "sum": (s_BTHWC + t_BTHWC).double()}
    asked = streams[module.query]
    told = streams[{"space": "time", "time": "space", "sum": "sum"}[module.query]]
    out = streams["time"].clone()
    grid = tuple(s_BTHWC.shape[1:4])
    for clip, places in itertools.product(range(len(s_BTHWC)), windows(grid, window, shift)):
        for place in places:
            out[clip, *place] += attend(module, weights, asked[clip], told[clip], place, places, window, shift)
    return out


def windows(grid: Place, window: Place, shift: Place) -> list[list[Place]]:
    """The places of every window: those that share a cell once the grid is moved by `shift`. Nothing wraps around."""
    cells: dict[Place, list[Place]] = {}
    for place in itertools.product(*(range(side) for side in grid)):
        cell = tuple((at - by) // side for at, by, side in zip(place, shift, window, strict=True))
        cells.setdefault(cell, []).append(place)
    return list(cells.values())


def attend(
    module: SwapCA,
    weights: dict[str, Tensor],
    asked: Tensor,
    told: Tensor,
    place: Place,
    places: list[Place],
    window: Place,
    shift: Place,
) -> Tensor:
    """W_o of the attention of one place to the places of its window, (C,)."""
    width, head = asked.shape[-1], module.head_width
    w_k, w_v = weights["to_k.weight"], weights["to_v.weight"]
    query = weights["to_q.weight"] @ normed(asked[place], weights["norm_q.weight"], weights["norm_q.bias"])
    others = [normed(told[other], weights["norm_c.weight"], weights["norm_c.bias"]) for other in places]
    heads = []
    for first in range(0, width, head):
        part = slice(first, first + head)
        scores = []
        for other, x in zip(places, others, strict=True):
            away = tuple(
                (a - by) % side - (b - by) % side for a, b, by, side in zip(place, other, shift, window, strict=True)
            )
            key = (w_k @ x)[part]
            if module.swap.positions == "rope":
                scores.append(rotated_product(query[part], key, away) / math.sqrt(head))
            else:
                scores.append(float(query[part] @ key) / math.sqrt(head))
        highest = max(scores)
        shares = [math.exp(score - highest) for score in scores]
        mixed = sum(share / sum(shares) * (w_v @ x)[part] for share, x in zip(shares, others, strict=True))
        heads.append(mixed)
    return weights["to_out.weight"] @ torch.cat(heads) + weights["to_out.bias"]


def normed(x_C: Tensor, weight_C: Tensor, bias_C: Tensor) -> Tensor:
    """Layer norm of one token."""
    spread = ((x_C - x_C.mean()) ** 2).mean()
    return (x_C - x_C.mean()) / torch.sqrt(spread + 1e-5) * weight_C + bias_C


def rotated_product(query_D: Tensor, key_D: Tensor, away: Place) -> float:
    """Re Σ q k* e^(iθ·away): neighbours in a head as complex numbers, a third of them for each axis (height rounds up)."""
    pairs = len(query_D) // 2
    frames = pairs // 3
    height = math.ceil((pairs - frames) / 2)
    total = 0.0
    for pair in range(pairs):
        axis, number, share = (0, pair, frames) if pair < frames else (1, pair - frames, height)
        if pair >= frames + height:
            axis, number, share = 2, pair - frames - height, pairs - frames - height
        angle = away[axis] * 100.0 ** (-number / share)
        query = complex(query_D[2 * pair], query_D[2 * pair + 1])
        key = complex(key_D[2 * pair], key_D[2 * pair + 1])
        total += (query * key.conjugate() * cmath.exp(1j * angle)).real
    return total
