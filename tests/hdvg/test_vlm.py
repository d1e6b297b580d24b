"""Any image-text-to-text model says what plain transformers would, of any keyframes, in any batch; its answer is read into texts."""

from __future__ import annotations

import dataclasses
import shutil
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

from hdvg.captioners import Written, clean, fingerprint, prompting
from hdvg.captioners.vlm import Vlm
from hdvg.config.caption import Writer
from hdvg.errors import ItemError, UsageError
from hdvg.keyframes import Shot
from hdvg.networks import chat
from hdvg.networks.loading import Format
from hdvg.networks.memory import memory_of
from tests.tools import eight_bits, need
from tests.vlms import MAKERS, folders

TOKENS = 8


@pytest.fixture(scope="session")
def tiny(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Path]:
    """Folders with random models, one a family."""
    return folders(tmp_path_factory)


def noise(seed: int, *, width: int = 64, height: int = 48) -> bytes:
    """A JPEG of coloured blocks, another for every seed."""
    blocks = np.random.default_rng(seed).integers(0, 256, (6, 8, 3), dtype=np.uint8)
    file = BytesIO()
    Image.fromarray(blocks).resize((width, height), Image.Resampling.NEAREST).save(file, "JPEG", quality=95)
    return file.getvalue()


def shots(count: int = 6) -> list[Shot]:
    """Of several shapes; the last lacks a keyframe."""
    sizes = [(64, 48), (48, 64), (96, 32), (64, 48), (32, 32), (64, 48)]
    made = []
    for number in range(count):
        width, height = sizes[number % len(sizes)]
        first, middle, last = (noise(10 * number + part, width=width, height=height) for part in range(3))
        made.append(Shot(str(number), {"last": last, "first": first, "middle": middle}, {}))
    made[-1] = dataclasses.replace(made[-1], keyframes={"first": noise(1), "middle": noise(2)})
    return made


def plain(
    folder: Path,
    pictures: Sequence[bytes | Image.Image],
    question: str,
    *,
    change: Callable[[torch.nn.Module], None] = lambda _: None,
) -> str:
    """The slow reference: transformers on one clip; the text after the question. `change` is done to the network before."""
    processor, network = chat.load(str(folder), form=Format(torch.float32, int8=False), setting="caption.model")
    change(network)
    opened = [one if isinstance(one, Image.Image) else Image.open(BytesIO(one)).convert("RGB") for one in pictures]
    mark = "<|vision_start|><|image_pad|><|vision_end|>" if "qwen" in folder.name else "<image>"
    inputs = processor(text=[f"{mark * len(opened)}{question} Answer:"], images=[opened], return_tensors="pt")
    tokens = network.generate(**inputs, max_new_tokens=TOKENS, do_sample=False)
    return processor.tokenizer.decode(tokens[0, inputs["input_ids"].shape[1] :], skip_special_tokens=True)


def settings(folder: Path, **values: object) -> Writer:
    return Writer.model_validate({"captioner": "vlm", "model": str(folder), "max_tokens": TOKENS, **values})


def answers(captioner: Vlm, some: Sequence[Shot]) -> list[dict[str, str]]:
    written = captioner.write([captioner.prepare(shot) for shot in some])
    assert all(isinstance(one, Written) for one in written)
    return [dict(one.texts) for one in written]


@pytest.mark.parametrize("family", MAKERS)
def test_batched_text_is_what_plain_generate_says_of_each_clip(family: str, tiny: Callable[[str], Path]) -> None:
    captioner = Vlm(settings(tiny(family), keyframe="all", prompt="what is this?", batch=4))
    some = shots()
    expected = []
    for shot in some:
        frames = [shot.keyframes[name] for name in ("first", "middle", "last") if name in shot.keyframes]
        texts = prompting.read(plain(tiny(family), frames, "what is this?"))
        expected.append({kind: clean(text, lower_case=True) for kind, text in texts.items()})
    assert answers(captioner, some) == expected
    assert [answers(captioner, [shot])[0] for shot in some] == expected
    assert answers(captioner, some[::-1]) == expected[::-1]
    assert len({str(one) for one in expected}) > 3


def test_padding_adds_no_word_that_the_question_lacks(tiny: Callable[[str], Path]) -> None:
    """A penalty on repetition looks at padding too, and would tell a batch from a clip alone."""
    captioner = Vlm(settings(tiny("qwen2_vl"), keyframe="all"))
    alone = [turn.made.inputs for shot in shots() if (turn := captioner.prepare(shot)) is not None]
    batch = chat.merged(alone)
    lengths = [one["input_ids"].shape[1] for one in alone]
    assert len(set(lengths)) > 1
    assert batch["attention_mask"].sum(1).tolist() == lengths
    for row, one, length in zip(batch["input_ids"], alone, lengths, strict=True):
        assert row[-length:].tolist() == one["input_ids"][0].tolist()
        assert set(row.tolist()) == set(one["input_ids"][0].tolist())


def test_keyframe_and_layout_choose_what_is_seen(tiny: Callable[[str], Path]) -> None:
    shot = shots(2)[0]
    first, middle, last = (Image.open(BytesIO(shot.keyframes[name])) for name in ("first", "middle", "last"))
    assert middle.size == (64, 48)
    column = Image.new("RGB", (64, 144))
    for number, picture in enumerate((first, middle, last)):
        column.paste(picture, (0, 48 * number))
    wanted: list[tuple[dict[str, str], list[Image.Image]]] = [
        ({}, [middle]),
        ({"keyframe": "last"}, [last]),
        ({"keyframe": "last", "layout": "grid"}, [last]),
        ({"keyframe": "all"}, [first, middle, last]),
        ({"keyframe": "all", "layout": "grid"}, [column]),
    ]
    folder = tiny("qwen2_vl")
    for values, pictures in wanted:
        texts = prompting.read(plain(folder, pictures, "what?"))
        expected = {kind: clean(text, lower_case=True) for kind, text in texts.items()}
        assert answers(Vlm(settings(folder, prompt="what?", **values)), [shot]) == [expected]


def test_upright_frames_stand_in_a_row() -> None:
    frames = [Image.new("RGB", (20, 30), colour) for colour in ("red", "green", "blue")]
    row = prompting.grid([*frames[:2], frames[2].resize((40, 60))])
    assert row.size == (60, 30)
    assert [row.getpixel((x, 15)) for x in (10, 30, 50)] == [(255, 0, 0), (0, 128, 0), (0, 0, 255)]


@pytest.mark.parametrize("family", MAKERS)
def test_shots_are_prepared_alike_in_many_threads(family: str, tiny: Callable[[str], Path]) -> None:
    captioner = Vlm(settings(tiny(family), keyframe="all"))
    some = shots() * 8
    alone = [captioner.prepare(shot) for shot in some]
    with ThreadPoolExecutor(8) as pool:
        together = list(pool.map(captioner.prepare, some))
    for one, other in zip(alone, together, strict=True):
        assert one is not None
        assert other is not None
        assert one.made.inputs.keys() == other.made.inputs.keys()
        assert all(torch.equal(one.made.inputs[name], other.made.inputs[name]) for name in one.made.inputs)


def test_clip_that_shows_nothing_gives_no_text(tiny: Callable[[str], Path]) -> None:
    captioner = Vlm(settings(tiny("llava"), keyframe="all"))
    good = shots()[0]
    empty = [Shot("a", {}, {}), Shot("b", {"middle": b"no picture", "last": noise(1)[:300]}, {})]
    assert answers(captioner, [empty[0], good, empty[1]]) == [{}, answers(captioner, [good])[0], {}]


def test_memory_that_runs_short_halves_the_batch(tiny: Callable[[str], Path]) -> None:
    captioner = Vlm(settings(tiny("llava"), batch=4))
    expected = answers(captioner, shots())
    whole = captioner._model._network.generate

    def narrow(**inputs: Any) -> Any:
        if len(inputs["input_ids"]) > 2:
            raise torch.OutOfMemoryError("as a GPU says it")
        return whole(**inputs)

    captioner._model._network.generate = narrow
    assert answers(captioner, shots()) == expected
    assert captioner.batch == 2


def test_models_that_cannot_be_asked_are_refused(tiny: Callable[[str], Path], tmp_path: Path) -> None:
    for model, said in ((str(tmp_path / "none"), "no such folder"), (str(tmp_path), "holds no config.json")):
        with pytest.raises(UsageError, match=said):
            Vlm(Writer(captioner="vlm", model=model))
    silent = tmp_path / "silent"
    shutil.copytree(tiny("llava"), silent)
    (silent / "chat_template.jinja").write_text("{{ messages[0]['role'] }}")
    with pytest.raises(UsageError, match=r"cannot be asked about a picture|no place for pictures"):
        Vlm(Writer(captioner="vlm", model=str(silent)))
    (silent / "chat_template.jinja").unlink()
    with pytest.raises(UsageError, match="has no chat template"):
        Vlm(Writer(captioner="vlm", model=str(silent)))


@pytest.mark.parametrize("family", MAKERS)
def test_weights_of_8_bits_say_what_rounded_weights_say(family: str, tiny: Callable[[str], Path]) -> None:
    need("torchao")
    some, folder = shots(), tiny(family)

    def expected(change: Callable[[torch.nn.Module], None]) -> list[dict[str, str]]:
        said = [prompting.read(plain(folder, [shot.keyframes["middle"]], "what?", change=change)) for shot in some]
        return [{kind: clean(text, lower_case=True) for kind, text in texts.items()} for texts in said]

    rounded = expected(eight_bits)
    assert answers(Vlm(settings(folder, prompt="what?", dtype="int8", batch=3)), some) == rounded
    assert rounded != expected(lambda _: None)


@pytest.mark.skipif(memory_of("cpu") is None, reason="needs Linux's /proc/self/clear_refs")
def test_batch_grows_by_itself_and_changes_no_text(tiny: Callable[[str], Path]) -> None:
    found, some = Vlm(settings(tiny("llava"), memory_gb=4.0)), shots(20)
    assert found.batch == 1
    texts = [text for start in range(0, 20, 10) for text in answers(found, some[start : start + 10])]
    assert texts == answers(Vlm(settings(tiny("llava"), batch=1)), some)
    assert found.batch > 2


def test_fingerprint_follows_the_weights(tiny: Callable[[str], Path], tmp_path: Path) -> None:
    copy = tmp_path / "copy"
    shutil.copytree(tiny("llava"), copy)
    assert fingerprint(settings(copy)) == fingerprint(settings(tiny("llava")))
    (copy / "generation_config.json").write_text("{}")
    assert fingerprint(settings(copy)) != fingerprint(settings(tiny("llava")))


# --- the question and the answer


def asked(frames: int, **values: object) -> str:
    shown = {name: noise(0) for name in ("first", "middle", "last")[:frames]}
    told = prompting.ask(Shot("a", shown, {}), Writer.model_validate({"keyframe": "all", **values}))
    assert told is not None
    return told.question


def test_question_tells_what_is_shown_unless_the_recipe_asks() -> None:
    assert asked(1).startswith("This is a frame of a video clip.")
    assert asked(1, layout="grid").startswith("This is a frame of a video clip.")
    assert asked(2).startswith("These are 2 frames of one video clip, in order of time.")
    assert asked(3, layout="grid").startswith("This picture holds 3 frames of one video clip")
    assert "ISO 639 code de" in asked(3, language="de")
    assert "ISO" not in asked(3)
    assert asked(3, prompt="Why {shown}?") == "Why {shown}?"


LONG = " ".join(["word"] * 30)


@pytest.mark.parametrize(
    ("answer", "expected"),
    [
        ("SHORT: A dog runs.\nDETAILED: A dog runs. It barks.", {"short": "A dog runs.", "detailed": "A dog runs. It barks."}),
        ("SHORT: a dog DETAILED: it runs", {"short": "a dog", "detailed": "it runs"}),
        ("Sure!\n\n**Short:** a dog\n\n**Detailed:**\nit runs\nand barks", {"short": "a dog", "detailed": "it runs\nand barks"}),
        ("1. Short caption: *a dog*\n2. Detailed description: it runs", {"short": "a dog", "detailed": "it runs"}),
        ("- **SHORT**: a dog\n- **DETAILED**: it runs", {"short": "a dog", "detailed": "it runs"}),
        ('```json\n{"short": "a dog", "DETAILED": "it runs", "other": 3}\n```', {"short": "a dog", "detailed": "it runs"}),
        ("SHORT: a dog\nDETAILED:", {"short": "a dog"}),
        ("SHORT: a dog\nDETAI", {"short": "a dog"}),
        ("DETAILED: it runs", {"detailed": "it runs"}),
        ("SHORT: one\nSHORT: two", {"short": "one"}),
        ("<think>SHORT: no\n</think>\nSHORT: yes", {"short": "yes"}),
        ("Hm, a dog.</think>SHORT: yes", {"short": "yes"}),
        ("<think>The user wants", {}),
        ("A dog runs over grass.", {"short": "A dog runs over grass."}),
        ("A detailed: view of a shorts: shop", {"short": "A detailed: view of a shorts: shop"}),
        (f"A dog runs. It {LONG}.", {"short": "A dog runs.", "detailed": f"A dog runs. It {LONG}."}),
        (f"Here is the caption:\nA dog runs. It {LONG}.", {"short": "A dog runs.", "detailed": f"A dog runs. It {LONG}."}),
        (f"{LONG} {LONG}.", {"detailed": f"{LONG} {LONG}."}),
        ("狗在跑。" * 60, {"short": "狗在跑。", "detailed": "狗在跑。" * 60}),
        ("[1, 2]", {"short": "[1, 2]"}),
        ("[" * 100_000, {}),
        ("SHORT: --\nDETAILED: ...", {}),
        ("", {}),
    ],
)  # fmt: skip
def test_answer_is_read_into_texts(answer: str, expected: dict[str, str]) -> None:
    assert prompting.read(answer) == expected


@pytest.mark.parametrize("family", MAKERS)
def test_an_answer_without_fields_is_asked_for_again_and_then_costs_its_clip(
    family: str, tiny: Callable[[str], Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Random weights never write JSON; a clip that shows nothing fails no other."""
    captioner = Vlm(settings(tiny(family), fields=True, batch=2))
    asked: list[int] = []
    write = captioner._model._write
    monkeypatch.setattr(captioner._model, "_write", lambda some, limits: asked.append(len(some)) or write(some, limits))
    answers = captioner.write([captioner.prepare(shot) for shot in [*shots(3), Shot("none", {}, {})]])
    assert [type(one) for one in answers] == [ItemError] * 3 + [Written]
    assert all("no usable answer in 3" in one.detail for one in answers[:3] if isinstance(one, ItemError))
    assert sum(asked) == 9
