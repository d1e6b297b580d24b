"""The aesthetic score is the head's formula over CLIP's unit vector, for both layouts of heads."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import pytest
import torch
import transformers
from PIL import Image
from safetensors.torch import save_file

from hdvg.config.sections import Measure
from hdvg.errors import UsageError
from hdvg.keyframes import Shot
from hdvg.measures.aesthetic import Aesthetic
from schemas.measures import AESTHETIC
from tests.drawings import Interface, ground, keyframe, shot

WIDTH = 24
"""Of the tiny CLIP's vectors."""

MLP = {0: (16, WIDTH), 2: (8, 16), 4: (8, 8), 6: (4, 8), 7: (1, 4)}
"""Index of each linear layer of LAION's MLP -> shape of its weight, here small."""

PICTURES = [Interface(seed, kind="page").over(ground((0, 0, 0))) for seed in range(3)]


def linear_state() -> dict[str, torch.Tensor]:
    torch.manual_seed(1)
    return {"weight": torch.randn(1, WIDTH), "bias": torch.randn(1)}


def mlp_state() -> dict[str, torch.Tensor]:
    torch.manual_seed(2)
    state = {}
    for index, shape in MLP.items():
        state[f"layers.{index}.weight"] = torch.randn(shape) / 3
        state[f"layers.{index}.bias"] = torch.randn(shape[0])
    return state


def settings(clip: Path | None, head: Path | None) -> Measure:
    return Measure(
        aesthetic_path=None if clip is None else str(clip), aesthetic_head=None if head is None else str(head)
    )


@pytest.fixture(scope="module")
def vectors(tiny_clip: Path) -> list[torch.Tensor]:
    """The reference: plain transformers, one picture at a time, scaled to unit length."""
    network = transformers.CLIPModel.from_pretrained(tiny_clip).eval()
    processor = transformers.CLIPProcessor.from_pretrained(tiny_clip)
    found = []
    for picture in PICTURES:
        bgr = cv2.imdecode(np.frombuffer(keyframe(picture), np.uint8), cv2.IMREAD_COLOR)
        inputs = processor(images=Image.fromarray(bgr[:, :, ::-1].copy()), return_tensors="pt")
        with torch.inference_mode():
            vector = network.get_image_features(**inputs).pooler_output[0]
        found.append(vector / vector.norm())
    return found


@pytest.mark.parametrize("suffix", [".pth", ".safetensors"])
def test_linear_head_scores_as_on_paper(
    tiny_clip: Path, tmp_path: Path, vectors: list[torch.Tensor], suffix: str
) -> None:
    head, state = tmp_path / f"head{suffix}", linear_state()
    torch.save(state, head) if suffix == ".pth" else save_file(state, head)
    measure = Aesthetic(settings(tiny_clip, head))
    row = measure.measure([shot(PICTURES)], [])[0]
    scores = [float(state["weight"][0] @ vector + state["bias"][0]) for vector in vectors]
    assert np.ptp(scores) > 0.01  # pictures differ at all
    assert row["aesthetic"] == pytest.approx(np.mean(scores), abs=1e-5)
    assert row["aesthetic_model"] == measure.model
    assert list(row) == [field.name for field in AESTHETIC] == list(Aesthetic.columns)


def test_mlp_head_scores_as_torch_modules_do(tiny_clip: Path, tmp_path: Path, vectors: list[torch.Tensor]) -> None:
    """The truth: the published module, `nn.Sequential` of linear layers and dropout, loaded from the same file."""
    torch.save(mlp_state(), tmp_path / "head.pth")
    layers = [torch.nn.Dropout(0.2) for _ in range(8)]
    for index, (outer, inner) in MLP.items():
        layers[index] = torch.nn.Linear(inner, outer)
    network = torch.nn.ModuleDict({"layers": torch.nn.Sequential(*layers)}).eval()
    network.load_state_dict(torch.load(tmp_path / "head.pth", weights_only=True))
    with torch.inference_mode():
        scores = [float(network["layers"](vector)) for vector in vectors]
    row = Aesthetic(settings(tiny_clip, tmp_path / "head.pth")).measure([shot(PICTURES)], [])[0]
    assert row["aesthetic"] == pytest.approx(np.mean(scores), abs=1e-5)


def test_rows_do_not_depend_on_the_split_and_unreadable_keyframes_tell_nothing(tiny_clip: Path, tmp_path: Path) -> None:
    torch.save(linear_state(), tmp_path / "head.pth")
    measure = Aesthetic(settings(tiny_clip, tmp_path / "head.pth"))
    clips = [shot(PICTURES), Shot("none", {"first": b"no picture"}, {}), shot(PICTURES[:1]), shot(PICTURES[1:])]
    together = measure.measure(clips, [])
    assert together[1] == {"aesthetic": None, "aesthetic_model": None}
    for clip, row in zip(clips, together, strict=True):
        assert row["aesthetic"] == pytest.approx(measure.measure([clip], clips)[0]["aesthetic"], abs=1e-5)
    assert measure.measure([], clips) == []


def test_missing_paths_are_named_with_what_to_put(tiny_clip: Path, tmp_path: Path) -> None:
    torch.save(linear_state(), tmp_path / "head.pth")
    for act in (Aesthetic, Aesthetic.fingerprint):
        with pytest.raises(UsageError, match=r"measure\.aesthetic_path is not set; it takes the folder of the CLIP"):
            act(settings(None, tmp_path / "head.pth"))
        with pytest.raises(UsageError, match=r"measure\.aesthetic_head is not set; it takes the head's file"):
            act(settings(tiny_clip, None))
        with pytest.raises(UsageError, match=r"measure\.aesthetic_head = .*absent.*no such file or folder"):
            act(settings(tiny_clip, tmp_path / "absent.pth"))
        with pytest.raises(UsageError, match=r"measure\.aesthetic_head = .*a folder"):
            act(settings(tiny_clip, tmp_path))


class Opens:
    """What a hostile file would have unpickled."""

    def __init__(self, path: Path) -> None:
        self._path = path

    def __reduce__(self) -> tuple[object, tuple[str, str]]:
        return open, (str(self._path), "w")


def test_files_that_are_no_head_are_refused_and_their_code_never_runs(tiny_clip: Path, tmp_path: Path) -> None:
    head = tmp_path / "head.pth"

    def refused(match: str) -> None:
        with pytest.raises(UsageError, match=match):
            Aesthetic(settings(tiny_clip, head))

    head.write_bytes(b"no head")
    refused("cannot be read")
    torch.save({"weight": Opens(tmp_path / "ran")}, head)
    refused("cannot be read")
    assert not (tmp_path / "ran").exists()
    torch.save([1, 2], head)
    refused("no state dict")
    torch.save({"weight": torch.zeros(1, WIDTH)}, head)
    refused("do not fit together")
    torch.save({**mlp_state(), "layers.6.weight": torch.zeros(4, 9)}, head)
    refused("do not fit together")
    torch.save({key: value for key, value in mlp_state().items() if ".7." not in key}, head)
    refused("no known head")
    torch.save({"weight": torch.zeros(1, 768), "bias": torch.zeros(1)}, head)
    refused(f"takes 768 numbers, but .* gives {WIDTH}")


def test_fingerprint_and_model_follow_tower_and_head(tiny_clip: Path, tmp_path: Path) -> None:
    seen = []
    for name, state in (("a.pth", linear_state()), ("b.pth", mlp_state())):
        torch.save(state, tmp_path / name)
        seen.append(Aesthetic.fingerprint(settings(tiny_clip, tmp_path / name)))
    assert len(set(seen)) == 2
    assert {len(digits) for digits in seen} == {16}
    assert Aesthetic(settings(tiny_clip, tmp_path / "a.pth")).model.startswith(f"{tiny_clip.name}@")
