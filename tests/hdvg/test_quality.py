"""Models of quality by local path: each slot gives what its model, run plainly, gives of the clip's stored pictures."""

from __future__ import annotations

from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
import torch
import transformers
from PIL import Image

from hdvg.config.recipe import parse_recipe
from hdvg.errors import UsageError
from hdvg.keyframes import Shot
from hdvg.learned.contents import with_contents
from hdvg.plugins import load_named
from hdvg.testing import check_measure
from tests.hdvg.test_openai import jpeg
from tests.vlms import make

SHOT = Shot("a", {"first": jpeg(0), "middle": jpeg(1), "last": jpeg(2)}, {})
NOTHING = Shot("b", {"middle": b"no picture"}, {})


def taken(**quality: Any) -> Any:
    """The measure `it`, as a run takes it."""
    (one, *_) = with_contents(parse_recipe({"name": "t", "measure": {"quality": {"it": quality}}}).measure).taken
    return one


def measure(shots: list[Shot], **quality: Any) -> list[Any]:
    one = taken(**quality)
    answers = load_named(one.made_by)(**one.options).measure(shots)
    return [one.checked(answer) for answer in answers]


def opened(stored: bytes) -> Image.Image:
    return Image.open(BytesIO(stored)).convert("RGB")


def test_clip_iqa_is_the_softmax_between_the_prompts_as_plain_transformers_gives_it(tiny_clip: Path) -> None:
    prompts = [["a dog", "grass"], ["people", "a room"]]
    network = transformers.CLIPModel.from_pretrained(tiny_clip).eval()
    processor = transformers.CLIPProcessor.from_pretrained(tiny_clip)
    shares = []
    for pair in prompts:
        texts = processor.tokenizer(pair, padding="max_length", max_length=20, truncation=True, return_tensors="pt")
        texts.pop("token_type_ids", None)
        pixels = processor.image_processor([opened(one) for one in SHOT.keyframes.values()], return_tensors="pt")
        with torch.inference_mode():
            logits = network(**texts, **pixels).logits_per_image
        shares.append(logits.softmax(dim=1)[:, 0].mean().item())
    found, nothing = measure([SHOT, NOTHING], model=str(tiny_clip), prompts=prompts)
    assert found == {"it": pytest.approx(float(np.mean(shares)), abs=1e-4)}
    assert abs(shares[0] - shares[1]) > 1e-3
    assert nothing == {"it": None}


def ramp(shape: list[Any]) -> np.ndarray:
    """Weights that no two places share, so that what lies where matters."""
    sizes = [size if isinstance(size, int) else 8 for size in shape]
    return np.linspace(-1, 1, int(np.prod(sizes)), dtype=np.float32).reshape(sizes)


def network(file: Path, shape: list[Any]) -> Path:
    """An ONNX file that gives the weighted mean of its input."""
    given = onnx.helper.make_tensor_value_info("clip", onnx.TensorProto.FLOAT, shape)
    score = onnx.helper.make_tensor_value_info("score", onnx.TensorProto.FLOAT, [1])
    weights = onnx.numpy_helper.from_array(ramp(shape), "weights")
    weighted = onnx.helper.make_node("Mul", ["clip", "weights"], ["weighted"])
    node = onnx.helper.make_node("ReduceMean", ["weighted"], ["score"], keepdims=0)
    graph = onnx.helper.make_graph([weighted, node], "mean", [given], [score], [weights])
    onnx.save(onnx.helper.make_model(graph, opset_imports=[onnx.helper.make_opsetid("", 18)], ir_version=10), file)
    return file


@pytest.mark.parametrize("shape", [[1, 3, 8, 24, 24], [1, 8, 3, 24, 24]], ids=["channels first", "frames first"])
def test_a_network_sees_the_frames_in_order_over_the_clip_scaled_as_it_was_trained(
    tmp_path: Path, shape: list[int]
) -> None:
    mean, deviation = np.array([0.485, 0.456, 0.406]), np.array([0.229, 0.224, 0.225])
    grey = {
        name: Image.new("RGB", (24, 24), (level, 0, 255))
        for name, level in zip(("first", "middle", "last"), (0, 90, 255), strict=True)
    }
    stored = {}
    for name, picture in grey.items():
        file = BytesIO()
        picture.save(file, "JPEG", quality=100, subsampling=0)
        stored[name] = file.getvalue()
    frames = [np.asarray(opened(stored[name])) for name in ("first", "middle", "last")]
    places = [0, 0, 1, 1, 1, 1, 2, 2]
    clip = np.stack([(frames[place] / 255 - mean) / deviation for place in places])
    clip = clip.transpose((3, 0, 1, 2) if shape[1] == 3 else (0, 3, 1, 2))
    expected = np.mean(clip[None] * ramp(shape))
    found, nothing = measure(
        [Shot("a", stored, {}), NOTHING], kind="onnx", model=str(network(tmp_path / "n.onnx", shape))
    )
    assert found == {"it": pytest.approx(expected, abs=1e-4)}
    assert nothing == {"it": None}


@pytest.mark.parametrize("shape", [[1, 3, 24, 24], [1, 3, "T", 24, 24], [1, 4, 8, 24, 24], [1, 3, 8, 24, 32]], ids=str)
def test_a_network_of_another_input_is_refused_with_what_would_do(tmp_path: Path, shape: list[Any]) -> None:
    with pytest.raises(UsageError, match=r"measure\.quality\.it\.model = .*: its input is .*; it takes an ONNX file"):
        measure([SHOT], kind="onnx", model=str(network(tmp_path / "n.onnx", shape)))


def test_q_align_is_a_question_for_the_level_by_a_model_of_its_own(tmp_path: Path) -> None:
    make("llava", tmp_path)
    one = taken(kind="q-align", model=str(tmp_path))
    assert list(one.columns) == ["it", "it_p"]
    assert one.options["answers"] == ("excellent", "good", "fair", "poor", "bad")
    assert one.options["asker"]["model"] == str(tmp_path)
    assert one.options["asker"]["by"] == "vlm"
    assert load_named(one.made_by)(**one.options).measure([NOTHING]) == [{"it": None, "it_p": None}]


def test_files_and_prompts_are_part_of_the_version_and_the_place_is_not(tiny_clip: Path, tmp_path: Path) -> None:
    here = taken(model=str(tiny_clip)).version
    moved = tmp_path / "moved"
    moved.symlink_to(tiny_clip)
    assert taken(model=str(moved)).version == here
    assert taken(model=str(tiny_clip), prompts=[["sharp", "blurred"]]).version != here
    one = taken(kind="onnx", model=str(network(tmp_path / "a.onnx", [1, 3, 8, 24, 24]))).version
    assert taken(kind="onnx", model=str(network(tmp_path / "a.onnx", [1, 3, 16, 24, 24]))).version != one


def test_a_class_of_the_users_own_keeps_the_same_contract(tmp_path: Path) -> None:
    file = tmp_path / "several.py"
    file.write_text(
        "class Several:\n    version = 1\n    input = 'shots'\n    columns = {'several': ('number', 'keyframes')}\n"
        "    def measure(self, shots):\n        return [{'several': len(shot.keyframes)} for shot in shots]\n"
    )
    assert check_measure(f"{file}:Several", SHOT) == {"several": 3.0}
    file.write_text(file.read_text().replace("'number'", "'series'"))
    with pytest.raises(ValueError, match="a measure of shots has no series"):
        check_measure(f"{file}:Several", SHOT)


@pytest.mark.parametrize(
    ("quality", "said"),
    [
        ({}, "model is not set"),
        ({"kind": "dover", "model": "x"}, "clip-iqa"),
        ({"model": "/nowhere"}, r"measure\.quality\.it\.model = '/nowhere': no such file or folder"),
        ({"kind": "q-align", "model": "/nowhere"}, r"measure\.quality\.it\.model = '/nowhere': no such folder"),
        ({"model": "x", "frames": 8}, r"set measure\.preview = true"),
    ],
)
def test_what_cannot_be_is_refused_with_the_setting(quality: dict[str, Any], said: str) -> None:
    with pytest.raises(UsageError, match=said):
        taken(**quality)
