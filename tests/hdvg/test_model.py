"""The U-Net and Swap-CA: equal to diffusers where they overlap, to a literal reference where nobody else is."""

from __future__ import annotations

import json
import time
from pathlib import Path
from typing import Any

import pytest

from tests.tools import need, stir

# ruff: noqa: E402 - what follows cannot be imported where `need` skips the file
need("torch", "diffusers", "safetensors")

import diffusers
import torch
from torch import Tensor
from torch.nn import functional as F
from torch.utils.flop_counter import FlopCounterMode

from hdvg.errors import UsageError
from hdvg.model import weights
from hdvg.model.config import ARMS, MODELSCOPE, SIZES, ModelConfig, Process, Swap, Temporal, arm
from hdvg.model.diffusion import Diffusion
from hdvg.model.swapca import SwapCA
from hdvg.model.unet import Layer, UNet
from tests.hdvg import swapca_reference

TINY = SIZES["tiny"].model_copy(update={"text_width": 24})
ODD = (3, 5, 7)  # frames, height, width


@pytest.fixture(autouse=True)
def _same_numbers_each_time() -> None:
    torch.set_num_threads(1)
    torch.manual_seed(0)


def sized(**changes: Any) -> ModelConfig:
    return ModelConfig.model_validate({**TINY.model_dump(), **changes})


def inputs(grid: tuple[int, int, int] = ODD, clips: int = 2) -> tuple[Tensor, Tensor, Tensor]:
    return torch.randn(clips, 4, *grid), torch.tensor([3.0, 700.0])[:clips], torch.randn(clips, 6, TINY.text_width)


def exchange(
    swap: Swap | None = None, *, width: int = 16, head_width: int = 8, number: int = 0, window: Any = (2, 2, 3)
) -> SwapCA:
    swap = (swap or Swap()).model_copy(update={"windows": (window,)} if window else {})
    module = SwapCA(width, swap=swap, number=number, level=0, head_width=head_width)
    stir(module)
    return module.double()


def streams(grid: tuple[int, int, int] = ODD, *, clips: int = 1, width: int = 16) -> tuple[Tensor, Tensor]:
    return tuple(torch.randn(clips, *grid, width, dtype=torch.double) for _ in range(2))


# --- Swap-CA on its own


@pytest.mark.parametrize("query", ["time", "space", "sum"])
@pytest.mark.parametrize(("grid", "window"), [((3, 5, 7), (2, 2, 3)), ((4, 4, 6), (2, 2, 3)), ((2, 3, 5), (4, 3, 2))])
@pytest.mark.parametrize("positions", ["rope", "none"])
def test_fast_swap_ca_is_the_reference(query: str, grid: Any, window: Any, positions: str) -> None:
    module = exchange(Swap(query=query, positions=positions), window=window)
    s, t = streams(grid)
    fitted = tuple(min(pair) for pair in zip(grid, window, strict=True))
    slow = swapca_reference.swap_ca(module, s, t, window=fitted)
    assert (slow - t).abs().max() > 0.1
    torch.testing.assert_close(module(s, t), slow, atol=1e-6, rtol=0)


@pytest.mark.parametrize(("grid", "window", "shift"), [(ODD, (2, 2, 3), (1, 1, 1)), ((2, 6, 5), (2, 3, 4), (0, 1, 2))])
def test_fast_shifted_swap_ca_is_the_reference(grid: Any, window: Any, shift: Any) -> None:
    module = exchange(Swap(shift=True), window=window, number=1)
    s, t = streams(grid)
    slow = swapca_reference.swap_ca(module, s, t, window=window, shift=shift)
    torch.testing.assert_close(module(s, t), slow, atol=1e-6, rtol=0)
    assert (module(s, t) - swapca_reference.swap_ca(module, s, t, window=window)).abs().max() > 0.01


@pytest.mark.parametrize("windows", ["full", ((9, 9, 9),)])
def test_window_that_covers_the_grid_is_full_attention(windows: Any) -> None:
    module = exchange(Swap(windows=windows, positions="none"), window=None)
    s, t = streams(clips=2)
    q = module.to_q(module.norm_q(t)).reshape(2, -1, 2, 8)
    k, v = (make(module.norm_c(s)).reshape(2, -1, 2, 8) for make in (module.to_k, module.to_v))
    shares = (torch.einsum("bqhd,bkhd->bhqk", q, k) / 8**0.5).softmax(-1)
    full = module.to_out(torch.einsum("bhqk,bkhd->bqhd", shares, v).reshape(t.shape))
    torch.testing.assert_close(module(s, t), t + full)


def test_roles_are_symmetric() -> None:
    """Who asks is all that differs: with the streams exchanged as well, the same attention comes out."""
    by_time, by_space = exchange(Swap(query="time")), exchange(Swap(query="space"))
    by_space.load_state_dict(by_time.state_dict())
    s, t = streams()
    torch.testing.assert_close(by_time(s, t) - t, by_space(t, s) - s)
    assert (by_time(s, t) - by_space(s, t)).abs().max() > 0.01


def test_clip_moved_by_whole_windows_gives_the_result_moved() -> None:
    module = exchange(window=(2, 2, 3))
    s, t = streams((4, 6, 6))
    by, axes = (2, -4, 3), (1, 2, 3)
    torch.testing.assert_close(module(s.roll(by, axes), t.roll(by, axes)), module(s, t).roll(by, axes))
    assert (module(s.roll(1, 2), t.roll(1, 2)) - module(s, t).roll(1, 2)).abs().max() > 0.01


def test_windows_do_not_see_each_other() -> None:
    module = exchange(window=(2, 2, 3))
    s, t = streams((4, 4, 6))
    other = s.clone()
    other[0, 0, 0, 0] += torch.randn(16)
    changed = (module(other, t) - module(s, t)).abs().amax(-1)[0] > 1e-12
    assert changed[:2, :2, :3].all()
    assert int(changed.sum()) == 12


@pytest.mark.parametrize("feed_forward", [0, 2])
@pytest.mark.parametrize("residual", ["time", "query"])
def test_exchange_starts_as_the_stream_it_carries(residual: str, feed_forward: int) -> None:
    s, t = streams()
    for number, query in enumerate(("time", "space")):
        module = SwapCA(
            16, swap=Swap(residual=residual, feed_forward=feed_forward), number=number, level=0, head_width=8
        )
        assert module.query == query
        carried = s if residual == "query" and query == "space" else t
        assert torch.equal(module.double()(s, t), carried)


def test_gradients_of_an_exchange_are_right() -> None:
    module = exchange(Swap(shift=True, feed_forward=1), width=4, head_width=4, window=(2, 2, 2), number=1)
    s, t = streams((3, 2, 3), width=4)
    assert torch.autograd.gradcheck(module, (s.requires_grad_(), t.requires_grad_()))


def test_gradients_of_a_layer_are_right() -> None:
    config = sized(widths=(4, 8), head_width=4, groups=2, text_width=3, temporal=MODELSCOPE.model_dump())
    swap = SwapCA(8, swap=Swap(windows=((2, 2, 2), (2, 2, 2))), number=0, level=1, head_width=4)
    layer = Layer(4, 8, attention=True, swap=swap, config=config).double()
    stir(layer)
    x = torch.randn(1, 2, 2, 3, 4, dtype=torch.double, requires_grad=True)
    e, text = (torch.randn(shape, dtype=torch.double, requires_grad=True) for shape in ((1, 16), (1, 2, 3)))
    assert torch.autograd.gradcheck(layer, (x, e, text), fast_mode=True)


# --- the U-Net and its arms


@pytest.mark.parametrize("name", [name for name in ARMS if name not in ("none", "temporal")])
@pytest.mark.parametrize("placement", ["block", "layer"])
def test_new_exchanges_leave_a_network_unchanged(name: str, placement: str) -> None:
    config = arm(sized(swap={**TINY.swap.model_dump(), "placement": placement}), name)
    plain, swapped = UNet(arm(TINY, "temporal")), UNet(config)
    stir(plain)
    missing = swapped.load_state_dict(plain.state_dict(), strict=False)
    assert missing.missing_keys
    assert all(".swap." in key for key in missing.missing_keys)
    given = inputs()
    with torch.no_grad():
        assert torch.equal(swapped(*given), plain(*given))


def exchanges(config: ModelConfig) -> list[SwapCA]:
    """In the order in which a clip passes them."""
    passed: list[SwapCA] = []
    model = UNet(config)
    for module in model.modules():
        if isinstance(module, SwapCA):
            module.register_forward_hook(lambda module, *_: passed.append(module))
    with torch.no_grad():
        model(*inputs())
    return passed


def test_roles_alternate_in_the_order_of_the_network() -> None:
    assert [module.query for module in exchanges(TINY)] == ["time", "space", "time", "space", "time"]
    first = sized(swap={"query": "space-first", "placement": "layer"})
    assert [module.query for module in exchanges(first)] == ["space", "time"] * 3 + ["space"]
    fixed = sized(swap={"query": "space", "places": ["mid", "up"]})
    assert [module.query for module in exchanges(fixed)] == ["space"] * 3
    assert [module.shift for module in exchanges(arm(TINY, "swap-shift"))] == [False, True, False, True, False]


def test_placement_counts_are_those_of_the_full_model() -> None:
    with torch.device("meta"):
        count = {
            placement: sum(isinstance(module, SwapCA) for module in UNet(sd21(placement)).modules())
            for placement in ("block", "layer")
        }
    assert count == {"block": 9, "layer": 21}


def sd21(placement: str) -> ModelConfig:
    return ModelConfig(swap=Swap.model_validate({"placement": placement}))


def test_one_frame_is_an_image_and_temporal_parts_are_silent() -> None:
    model, image = UNet(TINY), UNet(arm(TINY, "none"))
    stir(model)
    image.load_state_dict({name: weight for name, weight in model.state_dict().items() if name in image.state_dict()})
    x, t, text = inputs()
    with torch.no_grad():
        assert torch.equal(model(x[:, :, :1], t, text), image(x[:, :, :1], t, text))
        assert (model(x, t, text) - image(x, t, text)).abs().max() > 0.01


@pytest.mark.parametrize(("name", "alone"), [("none", True), ("temporal", False), ("swap", False)])
def test_frames_are_alone_only_without_a_temporal_part(name: str, alone: bool) -> None:
    model = UNet(arm(TINY, name))
    stir(model)
    x, t, text = inputs(clips=1)
    other = x.clone()
    other[:, :, 0] += 1
    with torch.no_grad():
        moved = (model(other, t, text) - model(x, t, text)).abs().amax((0, 1, 3, 4)) > 1e-4
    assert moved.tolist() == [True, not alone, not alone]


def test_odd_sizes_come_out_as_they_went_in() -> None:
    config = sized(widths=(16, 16, 16, 16), attention=(True, True, True, False))
    x, t, text = inputs((2, 24, 43), clips=1)
    with torch.no_grad():
        assert UNet(config)(x, t, text).shape == x.shape


def test_model_learns_eight_random_latents_by_heart() -> None:
    config = sized(widths=(16, 32), groups=4, swap={"windows": ((2, 2, 2), (2, 2, 2))})
    model, process = UNet(config), Diffusion(Process(predicts="v"))
    x0, noise, text = torch.randn(8, 4, 2, 4, 4), torch.randn(8, 4, 2, 4, 4), torch.randn(8, 2, 24)
    times = process.times(torch.arange(8) / 8)
    learner = torch.optim.AdamW(model.parameters(), lr=3e-3)
    losses, began = [], time.process_time()
    for _ in range(60):
        loss = process.losses(model, x0, noise=noise, time_B=times, text=text).mean()
        learner.zero_grad()
        loss.backward()
        learner.step()
        losses.append(loss.item())
    assert losses[0] > 0.5
    assert losses[-1] < 0.05
    assert time.process_time() - began < 30
    assert all(module.to_out.weight.abs().max() > 0 for module in model.modules() if isinstance(module, SwapCA))


def cost(config: ModelConfig, grid: tuple[int, int, int]) -> tuple[int, int]:
    """Parameters, and FLOPs of one forward pass of one clip and 77 text tokens, a multiplication and an addition being two."""
    with torch.device("meta"):
        model = UNet(config)
        x, t, text = torch.empty(1, 4, *grid), torch.empty(1), torch.empty(1, 77, config.text_width)
        with FlopCounterMode(display=False) as counter:
            model(x, t, text)
    return sum(weight.numel() for weight in model.parameters()), int(counter.get_total_flops())


def test_full_size_has_the_parameters_and_flops_of_the_paper_count() -> None:
    """The count was made by hand, on paper, except that there the text's K and V are made once a frame, here once a clip."""
    grid, full = (16, 24, 43), SIZES["sd21"]
    counts = {name: cost(arm(full, name), grid) for name in ("none", "temporal", "swap")}
    saved = 15 * 2 * 77 * 1024 * 2 * (5 * (320 + 640 + 1280) + 1280)  # frames, tokens, widths of all transformers
    wanted = {"none": (866e6, 2.978e12), "temporal": (1074e6, 3.645e12), "swap": (1111e6, 3.780e12)}
    for name, (weights_wanted, flops_wanted) in wanted.items():
        assert counts[name][0] == pytest.approx(weights_wanted, rel=0.001)
        assert counts[name][1] == pytest.approx(flops_wanted - saved, rel=0.002)


@pytest.mark.parametrize(
    ("size", "grid"), [pytest.param("sd21", (16, 24, 43), marks=pytest.mark.slow), ("small", (16, 16, 16))]
)
def test_arms_differ_in_what_they_see_not_in_what_they_cost(size: str, grid: tuple[int, int, int]) -> None:
    full = SIZES[size]
    parameters, flops = cost(full, grid)
    for name in ("temporal-matched", "window-self", "query-space", "query-time", "swap", "swap-shift"):
        parameters_here, flops_here = cost(arm(full, name), grid)
        assert parameters_here == parameters
        assert flops_here == pytest.approx(flops, rel=0.02)


def test_arm_nobody_knows_is_refused() -> None:
    with pytest.raises(UsageError, match="no arm `swapp`; there are none, temporal"):
        arm(TINY, "swapp")


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"temporal": None}, "no second stream"),
        ({"attention": (True,)}, "levels"),
        ({"head_width": 10}, "no multiple"),
        ({"swap": {"windows": ((2, 2, 2),)}}, "levels"),
    ],
)
def test_config_that_cannot_be_built_is_refused(changes: dict[str, Any], said: str) -> None:
    with pytest.raises(ValueError, match=said):
        sized(**changes)


# --- weights


def theirs(config: ModelConfig) -> Any:
    """diffusers' network of the same size, with random weights large enough to matter."""
    told = weights.diffusers_config(config)
    del told["hdvg"]
    network = getattr(diffusers, told.pop("_class_name"))(**told).eval()
    for name, parameter in network.named_parameters():
        scale = 0.1 if parameter.ndim > 1 else 0.3
        torch.nn.init.normal_(parameter, mean=float("norm" in name and name.endswith("weight")), std=scale)
    return network


LAYOUTS = [
    TINY,
    sized(widths=(16, 32, 32), attention=(True, True, False), layers=2, head_width=8, swap=None),
]


@pytest.mark.parametrize("config", LAYOUTS)
def test_network_with_modelscope_weights_is_diffusers_network(config: ModelConfig) -> None:
    config = config.model_copy(update={"temporal": MODELSCOPE})
    network, model = theirs(config), UNet(config).eval()
    new = weights.from_diffusers(model, network.state_dict())
    assert all(".swap." in name for name in new)
    x, t, text = inputs()
    with torch.no_grad():
        wanted = network(x, t, text).sample
        assert wanted.abs().max() > 0.5
        torch.testing.assert_close(model(x, t, text), wanted, atol=1e-5, rtol=0)


@pytest.mark.parametrize("config", LAYOUTS)
def test_network_with_inflated_2d_weights_is_the_2d_network_frame_by_frame(config: ModelConfig) -> None:
    network, model = theirs(arm(config, "none")), UNet(config)
    new = weights.from_diffusers(model, network.state_dict())
    assert any(".conv." in name for name in new)
    x, t, text = inputs()
    with torch.no_grad():
        frames = torch.stack([network(x[:, :, frame], t, text).sample for frame in range(ODD[0])], dim=2)
        assert frames.abs().max() > 0.5
        torch.testing.assert_close(model(x[:, :, :1], t, text), frames[:, :, :1], atol=1e-5, rtol=0)
        torch.testing.assert_close(model(x, t, text), frames, atol=1e-5, rtol=0)


@pytest.mark.parametrize("name", ["none", "swap"])
def test_diffusers_loads_what_is_exported(tmp_path: Path, name: str) -> None:
    config = arm(TINY.model_copy(update={"temporal": MODELSCOPE}), name)
    model = UNet(config).eval()
    stir(model)
    weights.export(model, tmp_path)
    kind = diffusers.UNet2DConditionModel if name == "none" else diffusers.UNet3DConditionModel
    network, report = kind.from_pretrained(tmp_path, output_loading_info=True, local_files_only=True)
    assert not report["missing_keys"]
    assert not report["unexpected_keys"]
    for module in model.modules():
        if isinstance(module, SwapCA):
            torch.nn.init.zeros_(module.to_out.weight)
    x, t, text = inputs(clips=1)
    with torch.no_grad():
        said = network(x[:, :, 0], t, text).sample if name == "none" else network(x, t, text).sample
        ours = model(x[:, :, :1], t, text)[:, :, 0] if name == "none" else model(x, t, text)
        torch.testing.assert_close(ours, said, atol=1e-4, rtol=1e-5)


@pytest.mark.parametrize("temporal", [MODELSCOPE, Temporal()])
def test_exported_folder_loads_as_it_was(tmp_path: Path, temporal: Temporal) -> None:
    config = TINY.model_copy(update={"temporal": temporal})
    model = UNet(config)
    stir(model)
    weights.export(model, tmp_path / "unet")
    assert ModelConfig.model_validate(json.loads((tmp_path / "unet/config.json").read_text())["hdvg"]) == config
    again, new = weights.load(tmp_path, config)
    assert new == []
    assert all(torch.equal(weight, again.state_dict()[name]) for name, weight in model.state_dict().items())


def test_2d_folder_loads_inflated_and_names_what_is_new(tmp_path: Path) -> None:
    theirs(arm(TINY, "none")).save_pretrained(tmp_path)
    _, new = weights.load(tmp_path, TINY)
    assert {name.split(".")[4] if name.startswith(("down", "up")) else name.split(".")[2] for name in new} == {
        "conv",
        "time",
        "swap",
    }


def test_weights_that_do_not_fit_are_refused_by_name(tmp_path: Path) -> None:
    network = theirs(TINY.model_copy(update={"temporal": MODELSCOPE}))
    network.save_pretrained(tmp_path)
    with pytest.raises(UsageError, match=r"block_out_channels \[32, 64\], not \[320"):
        weights.load(tmp_path, SIZES["modelscope"])
    with pytest.raises(UsageError, match="head width"):
        weights.load(tmp_path, sized(head_width=8))
    with pytest.raises(UsageError, match=r"has .*temp_"):
        weights.load(tmp_path, TINY)
    state = network.state_dict()
    del state["down_blocks.0.attentions.0.transformer_blocks.0.attn1.to_k.weight"]
    with pytest.raises(UsageError, match="attn1"):
        weights.from_diffusers(UNet(TINY.model_copy(update={"temporal": MODELSCOPE})), state)
    (tmp_path / "diffusion_pytorch_model.safetensors").write_bytes(b"nothing")
    with pytest.raises(UsageError, match="cannot be read"):
        weights.load(tmp_path, TINY.model_copy(update={"temporal": MODELSCOPE}))
    with pytest.raises(UsageError, match="it takes a folder"):
        weights.load(tmp_path / "none", TINY)


def test_silu_of_the_time_embedding_is_shared_not_repeated() -> None:
    """The time embedding of two clips differs, that of a clip's frames does not."""
    model = UNet(arm(TINY, "none"))
    stir(model)
    x, _, text = inputs()
    same = torch.cat((x[:1], x[:1]))
    with torch.no_grad():
        early, late = model(same, torch.tensor([1.0, 900.0]), torch.cat((text[:1], text[:1])))
    assert not F.mse_loss(early, late) < 1e-4


@pytest.mark.parametrize(
    ("held", "process", "said"),
    [
        (
            {"prediction_type": "v_prediction", "beta_schedule": "scaled_linear"},
            {"predicts": "eps"},
            "process.predicts",
        ),
        ({"beta_schedule": "squaredcos_cap_v2"}, {}, "process.schedule"),
        ({"beta_schedule": "scaled_linear", "num_train_timesteps": 500}, {}, "process.steps"),
        ({"prediction_type": "flow_prediction"}, {}, "process.predicts"),
        (
            {"prediction_type": "v_prediction", "beta_schedule": "scaled_linear"},
            {"predicts": "v", "zero_snr": True},
            "",
        ),
        ({"beta_schedule": "scaled_linear"}, {}, ""),
    ],
)
def test_weights_made_for_another_process_are_refused(tmp_path: Path, held: Any, process: Any, said: str) -> None:
    (tmp_path / "scheduler").mkdir()
    (tmp_path / "scheduler" / "scheduler_config.json").write_text(json.dumps(held))
    if said:
        with pytest.raises(UsageError, match=said):
            weights.refuse_other_process(tmp_path, Process(**process))
    else:
        weights.refuse_other_process(tmp_path, Process(**process))
