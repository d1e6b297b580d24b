"""Fixtures that several test files share."""

from __future__ import annotations

import functools
import os
import pickle
import resource
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
import typer.main
import typer.testing

from hdvg.config.recipe import parse_recipe
from hdvg.dataset.dataset import Dataset
from hdvg.planning import make_plan
from tests.captioned import TINY, random_blip2
from tests.dear import SECONDS
from tests.footage import BUNDLED_SPANS, Footage
from tests.machines import Turn, machines
from tests.object_store import S3Server
from tests.once import once
from tests.tools import stir
from tests.truth import Sequence, make_suite

os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")  # as the command line does, before torch is loaded

SIDE_PX = 32
"""Of the tiny BLIP-2's pictures."""

TEXTS = ["a dog runs over the grass", "two people talk in a room", "a photo of a red car on a street"]


def pytest_configure() -> None:
    """Make the commands of their signatures once: that takes longer than many of them do."""
    made = functools.cache(typer.main.get_command)
    for name in ("typer.main.get_command", "typer.testing._get_command"):
        pytest.MonkeyPatch().setattr(name, made)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Begin with the dearest files: workers take whole files in this order, and none is left with a long one at the end."""
    items.sort(key=lambda item: -SECONDS.get(item.nodeid.partition("::")[0], 0))


@pytest.fixture(autouse=True)
def ordinary_priority() -> Iterator[None]:
    """As root, SVT-AV1 makes the thread that opens it real-time, for good: it would starve all other threads and children."""
    yield
    if os.sched_getscheduler(0) != os.SCHED_OTHER:
        os.sched_setscheduler(0, os.SCHED_OTHER, os.sched_param(0))


@pytest.fixture(autouse=True)
def unbounded_memory() -> Iterator[None]:
    """`hdvg query` bounds the memory of its process for good; a browser that a later test starts would inherit the bound."""
    held = resource.getrlimit(resource.RLIMIT_AS)
    yield
    resource.setrlimit(resource.RLIMIT_AS, held)


@pytest.fixture
def new_dataset(tmp_path: Path) -> Dataset:
    """A dataset without links, as a run that has begun has it."""
    (tmp_path / "d").mkdir()
    made = Dataset(tmp_path / "d", make_plan(parse_recipe({"caption": {"captioner": "none"}})))
    made.store.begin()
    made.prepare()
    return made


@pytest.fixture(scope="session")
def seen_dataset(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Of real videos; nobody changes what a run made of them."""
    from tests.seen import make_seen

    return make_seen(tmp_path_factory.mktemp("seen"))


@pytest.fixture(scope="session")
def suite(tmp_path_factory: pytest.TempPathFactory, bundled_footage: Footage) -> list[Sequence]:
    """The small part of the truth suite."""

    def make(folder: Path) -> None:
        (folder / "suite.pickle").write_bytes(pickle.dumps(make_suite(folder, bundled=bundled_footage)))

    made: list[Sequence] = pickle.loads((once(tmp_path_factory, "truth", make) / "suite.pickle").read_bytes())
    return made


@pytest.fixture(scope="session")
def bundled_footage(tmp_path_factory: pytest.TempPathFactory) -> Footage:
    """The frames of the bundled spans."""

    def make(folder: Path) -> None:
        (folder / "footage.pickle").write_bytes(pickle.dumps(Footage(BUNDLED_SPANS)))

    held: Footage = pickle.loads((once(tmp_path_factory, "footage", make) / "footage.pickle").read_bytes())
    return held


@pytest.fixture(scope="session")
def tiny_blip2(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a random BLIP-2 of 80 thousand weights; large enough weights that pictures change the text."""
    import tokenizers
    import torch
    import transformers

    folder = tmp_path_factory.mktemp("blip2")
    bpe = tokenizers.Tokenizer(tokenizers.models.BPE())
    bpe.pre_tokenizer = tokenizers.pre_tokenizers.ByteLevel(add_prefix_space=False)
    bpe.decoder = tokenizers.decoders.ByteLevel()
    special = ["<pad>", "</s>", "<image>"]
    bpe.train_from_iterator(TEXTS, tokenizers.trainers.BpeTrainer(vocab_size=120, special_tokens=special))
    tokenizer = transformers.PreTrainedTokenizerFast(
        tokenizer_object=bpe, bos_token="</s>", eos_token="</s>", pad_token="<pad>", padding_side="left"
    )
    processor, network = random_blip2(replace(TINY, words=len(tokenizer)), tokenizer)
    stir(network)
    with torch.no_grad():
        network.query_tokens.mul_(10)
        network.language_projection.weight.mul_(20)
    network.save_pretrained(folder)
    processor.save_pretrained(folder)
    return folder


@pytest.fixture(scope="session")
def tiny_clip(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a random CLIP of 24 numbers a vector; large enough weights that pictures and texts change it."""
    import tokenizers
    import torch
    import transformers

    folder = tmp_path_factory.mktemp("clip")
    bpe = tokenizers.Tokenizer(tokenizers.models.BPE(unk_token="<end>"))
    bpe.pre_tokenizer = tokenizers.pre_tokenizers.ByteLevel(add_prefix_space=False)
    special = ["<pad>", "<start>", "<end>"]
    bpe.train_from_iterator(TEXTS, tokenizers.trainers.BpeTrainer(vocab_size=120, special_tokens=special))
    bpe.post_processor = tokenizers.processors.TemplateProcessing(
        single="<start> $A <end>", special_tokens=[("<start>", 1), ("<end>", 2)]
    )
    tokenizer = transformers.PreTrainedTokenizerFast(
        tokenizer_object=bpe, bos_token="<start>", eos_token="<end>", pad_token="<pad>"
    )
    shape = {"hidden_size": 32, "intermediate_size": 64, "num_hidden_layers": 2, "num_attention_heads": 4}
    text = {**shape, "vocab_size": len(tokenizer), "max_position_embeddings": 20}
    text |= {"pad_token_id": 0, "bos_token_id": 1, "eos_token_id": 2}
    vision = {**shape, "image_size": SIDE_PX, "patch_size": 8}
    torch.manual_seed(0)
    network = transformers.CLIPModel(transformers.CLIPConfig(text_config=text, vision_config=vision, projection_dim=24))
    stir(network)
    network.save_pretrained(folder)
    pixels = transformers.CLIPImageProcessor(
        size={"shortest_edge": SIDE_PX}, crop_size={"height": SIDE_PX, "width": SIDE_PX}
    )
    transformers.CLIPProcessor(pixels, tokenizer).save_pretrained(folder)
    return folder


@pytest.fixture(scope="module")
def s3_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[S3Server]:
    """A real S3 server on loopback."""
    with S3Server(tmp_path_factory.mktemp("s3")) as running:
        yield running


@pytest.fixture
def turn(s3_server: S3Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Turn:
    """What follows in a test happens on the machine of the name that is given; the first one is `here`."""
    return machines(s3_server, tmp_path, monkeypatch)
