"""What a step must cost: equal to torch's counter op by op, and to the counts and times of the specification."""

from __future__ import annotations

import math
import time
from typing import Any

import pytest

from tests.tools import need

# ruff: noqa: E402 - what follows cannot be imported where `need` skips the file
need("torch")

import torch
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_flatten
from torch.utils.flop_counter import FlopCounterMode

from hdvg.model.config import ARMS, MODELSCOPE, SIZES, ModelConfig, arm
from hdvg.model.unet import UNet
from hdvg.training.flops import Counts, count
from hdvg.training.roofline import PUBLISHED, Machine, floor, machine

FULL = SIZES["sd21"]
GRID, TOKENS = (16, 24, 43), 77  # the specification's


@pytest.fixture(autouse=True)
def _one_thread() -> None:
    torch.set_num_threads(1)


def micro(**changes: Any) -> ModelConfig:
    told = {"widths": (16, 32), "attention": (True, False), "head_width": 8, "text_width": 12, "groups": 4}
    swap = {"window_tokens": 12} | changes.pop("swap", {})
    return ModelConfig.model_validate({**told, "layers": 1, "swap": swap, **changes})


MICRO = {
    "three levels": micro(widths=(16, 32, 32), attention=(True, True, False)),
    "ModelScope's": micro(temporal=MODELSCOPE.model_dump()),
    "per layer, feed-forward, shift": micro(layers=2, swap={"placement": "layer", "feed_forward": 2, "shift": True}),
    "query's residual, no positions": micro(swap={"residual": "query", "positions": "none", "windows": "full"}),
    "one level, five channels": micro(widths=(16,), attention=(True,), channels=5),
}
GRIDS = [(3, 5, 7), (5, 9, 13), (1, 6, 5)]


def passed(config: ModelConfig, grid: tuple[int, int, int], *, tokens: int, clips: int, device: str = "meta") -> None:
    with torch.device(device), torch.no_grad():
        given = torch.zeros(clips, config.channels, *grid), torch.zeros(clips)
        UNet(config)(*given, torch.zeros(clips, tokens, config.text_width))


def counter_flop(config: ModelConfig, grid: tuple[int, int, int], *, tokens: int, clips: int = 1) -> int:
    with FlopCounterMode(display=False) as counter:
        passed(config, grid, tokens=tokens, clips=clips)
    return int(counter.get_total_flops())


@pytest.mark.parametrize("grid", GRIDS)
@pytest.mark.parametrize("name", MICRO)
def test_flops_are_those_of_torchs_counter(name: str, grid: tuple[int, int, int]) -> None:
    told = count(MICRO[name], grid, tokens=6, clips=3)
    assert told.flop == counter_flop(MICRO[name], grid, tokens=6, clips=3) > 0


@pytest.mark.parametrize("name", ARMS)
def test_flops_of_every_arm_are_those_of_torchs_counter(name: str) -> None:
    config, grid = arm(MICRO["three levels"], name), (5, 9, 13)  # padded windows at each level
    assert count(config, grid, tokens=6).flop == counter_flop(config, grid, tokens=6)


class Moved(TorchDispatchMode):
    """Counts the numbers that go in and out of products, convolutions and attention: the slow truth."""

    OPS = ("mm", "addmm", "convolution", "_scaled_dot_product_flash_attention_for_cpu")

    def __init__(self) -> None:
        super().__init__()
        self.moved = 0

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        made = func(*args, **(kwargs or {}))
        name = func._overloadpacket.__name__
        assert "attention" not in name or name in self.OPS, name
        if name in self.OPS:
            out = made[0] if isinstance(made, tuple) else made
            given = [value for value in tree_flatten(args)[0] if isinstance(value, torch.Tensor)]
            self.moved += out.numel() + sum(value.numel() for value in given)
        if name in ("add", "add_") and [getattr(value, "ndim", 0) for value in args] in ([2, 1], [3, 1], [5, 1]):
            self.moved += args[1].numel()  # the bias of a linear layer whose input is not contiguous
        return made


@pytest.mark.parametrize("grid", [(5, 9, 13), (1, 6, 5)])
@pytest.mark.parametrize("name", MICRO)
def test_bytes_are_those_that_ops_take_and_give(name: str, grid: tuple[int, int, int]) -> None:
    with Moved() as counter:
        passed(MICRO[name], grid, tokens=6, clips=2, device="cpu")
    assert count(MICRO[name], grid, tokens=6, clips=2).moved_bytes(4) == 4 * counter.moved > 0


def test_parameters_are_the_networks_by_kind_and_flops_add_up() -> None:
    config = MICRO["ModelScope's"]
    model, told = UNet(config), count(config, (4, 8, 8), tokens=6)
    assert told.parameters == sum(weight.numel() for weight in model.parameters())
    exchanges = sum(weight.numel() for name, weight in model.named_parameters() if ".swap." in name)
    assert told.params["swap"] == exchanges > 0
    assert sum(told.by_kind().values()) == told.flop
    image = count(config, (1, 8, 8), tokens=6).by_kind()
    assert [image[kind] for kind in ("swap", "temporal conv", "temporal attention")] == [0, 0, 0]


def paper(name: str) -> Counts:
    return count(arm(FULL, name), GRID, tokens=TOKENS)


def test_full_size_is_the_specifications_table() -> None:
    """Section 3.1. There the text's K and V are made once a frame, here once a clip: 15 times fewer, 0.06 TFLOP."""
    once_a_frame = 15 * 2 * TOKENS * 1024 * 2 * (5 * (320 + 640 + 1280) + 1280)  # tokens, widths of all transformers
    wanted = {"none": (866, 2.978), "temporal": (1074, 3.645), "swap": (1111, 3.780)}
    for name, (parameters_m, tflop) in wanted.items():
        told = paper(name)
        assert told.parameters == pytest.approx(parameters_m * 1e6, rel=0.001)
        assert name == "none" or told.flop == pytest.approx(tflop * 1e12, rel=0.02)
        assert told.flop + once_a_frame == pytest.approx(tflop * 1e12, rel=0.001)
    blocks = {"residual": 1.42, "space": 1.25, "temporal conv": 0.35, "resampling": 0.30, "temporal attention": 0.32}
    by_kind = paper("swap").by_kind()
    by_kind["space"] += once_a_frame
    assert by_kind["swap"] / 1e12 == pytest.approx(0.135, abs=0.0005)
    for kind, tflop in blocks.items():
        assert by_kind[kind] / 1e12 == pytest.approx(tflop, abs=0.005), kind


@pytest.mark.parametrize(
    ("batch", "wanted_ms", "checkpointing"),
    [(1, 25.7, False), (4, 68.8, False), (8, 126, False), (16, 241, False), (32, 624, True)],
)
def test_floor_is_the_specifications_table(batch: int, wanted_ms: float, checkpointing: bool) -> None:
    """Section 3.4, of an H200: its 3.780 TFLOP a clip and 1111 M parameters in, its milliseconds out."""
    flop_s, byte_s = next((flop_s, byte_s) for name, flop_s, byte_s in PUBLISHED if name == "H200")
    card = Machine("H200", flop_s, byte_s, measured=False)
    found = floor(round(batch * 3.780e12), 1_111_000_000, card, number_bytes=2, emas=1, checkpointing=checkpointing)
    assert found.seconds * 1e3 == pytest.approx(wanted_ms, rel=0.003)
    assert found.reached(2 * found.seconds) == 0.5


def test_measured_machine_is_one_that_a_step_cannot_outrun() -> None:
    """A step whose math alone is known takes longer than its floor, and the machine is known in a second."""
    began = time.process_time()
    found = machine(torch.device("cpu"), torch.float32)
    assert time.process_time() - began < 2
    a_MM, b_MM = torch.randn(2, 640, 640)
    outrun = []
    for _ in range(3):  # what was measured while the machine was busy may be outrun when it is not
        spent = []
        for _ in range(5):
            began = time.perf_counter()
            a_MM @ b_MM
            spent.append(time.perf_counter() - began)
        outrun.append(2 * 640**3 / min(spent) >= 1.5 * found.flop_s)
        found = machine(torch.device("cpu"), torch.float32)
    assert found.measured
    assert not all(outrun)
    assert 1e8 < found.byte_s < 1e13
    assert math.isfinite(found.flop_s)
