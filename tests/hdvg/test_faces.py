"""Faces are found where they are, as the weights that a package ships have it, and people are told by them."""

from __future__ import annotations

import os
import pickle
from pathlib import Path

import cv2
import joblib
import numpy as np
import pyarrow as pa
import pytest
import torch
from torch import Tensor
from torch.nn import functional as F

from hdvg.captioners.people import ALONE, noun_phrase, people
from hdvg.networks import mtcnn_onnx
from hdvg.networks.files import mtcnn_folder
from hdvg.networks.joblib_pickle import read_arrays
from hdvg.networks.mtcnn import FaceFinder, distinct
from hdvg.networks.onnx import CPU, Network
from tests.footage import BUNDLED, SHARED

NETWORKS = {"pnet": mtcnn_onnx.PROPOSE, "rnet": mtcnn_onnx.REFINE, "onet": mtcnn_onnx.DECIDE}


def frame(name: str, index: int, folder: Path = BUNDLED) -> np.ndarray:
    video = cv2.VideoCapture(str(folder / name))
    for _ in range(index):
        assert video.grab()
    return video.read()[1]


@pytest.fixture(scope="module")
def finder() -> FaceFinder:
    return FaceFinder(mtcnn_folder())


# --- the weights


def stored(folder: Path, value: object) -> Path:
    """As joblib writes with LZ4."""
    joblib.dump(value, folder / "plain")
    with pa.CompressedOutputStream(pa.OSFile(str(folder / "stored.lz4"), "wb"), "lz4") as out:
        out.write((folder / "plain").read_bytes())
    return folder / "stored.lz4"


def test_arrays_are_those_that_joblib_wrote(tmp_path: Path) -> None:
    wrote = [np.random.default_rng(0).random(shape, dtype=np.float32) for shape in ((3, 3, 2), (7,), (1, 1, 4))]
    read = read_arrays(stored(tmp_path, wrote))
    assert all(np.array_equal(mine, theirs) for mine, theirs in zip(read, wrote, strict=True))


def test_pickle_that_names_anything_but_arrays_is_refused_and_runs_nothing(tmp_path: Path) -> None:
    class Evil:
        def __reduce__(self) -> tuple[object, ...]:
            return os.mkdir, (str(tmp_path / "made"),)

    with pytest.raises(ValueError, match=r"stored.lz4 holds no arrays .*: it names posix.mkdir"):
        read_arrays(stored(tmp_path, [np.zeros(3, np.float32), Evil()]))
    assert not (tmp_path / "made").exists()


@pytest.mark.parametrize("value", [[np.zeros(3)], [np.array([{}])], ["a"], {"a": 1}])
def test_anything_but_a_list_of_float32_is_refused(value: object, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="holds no arrays as joblib writes them"):
        read_arrays(stored(tmp_path, value))


def test_file_that_ends_early_or_is_none_is_refused(tmp_path: Path) -> None:
    path = stored(tmp_path, [np.zeros(4000, np.float32)])
    for content in (path.read_bytes()[:-40], b"", pickle.dumps([])):
        path.write_bytes(content)
        with pytest.raises(ValueError, match="holds no arrays"):
            read_arrays(path)


def test_weights_of_another_network_are_refused() -> None:
    with pytest.raises(ValueError, match="is no network of MTCNN"):
        mtcnn_onnx.graph(mtcnn_folder() / "pnet.lz4", mtcnn_onnx.DECIDE)
    with pytest.raises(ValueError, match="is no network of MTCNN"):
        mtcnn_onnx.graph(mtcnn_folder() / "onet.lz4", mtcnn_onnx.REFINE)


# --- the networks


def by_torch(name: str, x_BCHW: Tensor) -> Tensor:
    """The network as its paper draws it, layer by layer in torch."""
    left = [torch.from_numpy(array.copy()) for array in read_arrays(mtcnn_folder() / f"{name}.lz4")]
    x = x_BCHW
    for kernel, _, pool, padding in NETWORKS[name].convolutions:
        x = F.prelu(F.conv2d(x, left.pop(0).permute(3, 2, 0, 1), left.pop(0)), left.pop(0).flatten())
        assert kernel in (2, 3)
        if pool:
            high, wide = x.shape[2:]
            more = [max((-(-side // 2) - 1) * 2 + pool - side, 0) for side in (wide, high)]
            x = F.pad(x, (0, more[0], 0, more[1]), value=-torch.inf) if padding == "SAME_UPPER" else x
            x = F.max_pool2d(x, pool, 2)
    if name == "pnet":
        offsets, odds = (F.conv2d(x, left.pop(0).permute(3, 2, 0, 1), left.pop(0)) for _ in range(2))
        return torch.cat([odds.softmax(1), offsets], 1)
    x = x.permute(0, 3, 2, 1).flatten(1)  # column by column
    x = F.prelu(x @ left.pop(0) + left.pop(0), left.pop(0))
    heads = [x @ left.pop(0) + left.pop(0) for _ in range(len(left) // 2)]
    return torch.cat([heads[-1].softmax(1), heads[0]], 1)


@pytest.mark.parametrize(("name", "size"), [("pnet", (37, 50)), ("rnet", (24, 24)), ("onet", (48, 48))])
def test_network_is_what_torch_makes_of_the_same_weights(name: str, size: tuple[int, int]) -> None:
    pictures = np.random.default_rng(0).uniform(-1, 1, (2, 3, *size)).astype(np.float32)
    network = Network(mtcnn_onnx.graph(mtcnn_folder() / f"{name}.lz4", NETWORKS[name]), threads=1, providers=(CPU,))
    assert network(pictures) == pytest.approx(by_torch(name, torch.from_numpy(pictures)).numpy(), abs=1e-4)


# --- where faces are


@pytest.mark.parametrize(
    ("name", "index", "place"),  # looked at
    [
        ("bigbuckbunny_720p.mp4", 120, (370, 125, 515, 285)),  # a rabbit, drawn with a face like a man's
        ("screencast_hello_720p.mp4", 30, (190, 120, 255, 215)),
    ],
)
def test_face_is_found_where_it_is_in_a_picture_its_mirror_and_a_smaller_one(
    name: str, index: int, place: tuple[int, ...], finder: FaceFinder
) -> None:
    folder = BUNDLED if (BUNDLED / name).exists() else SHARED
    if not (folder / name).exists():
        pytest.skip(f"{name} is not here")
    picture = frame(name, index, folder)
    for look in (picture, picture[:, ::-1], cv2.resize(picture, None, fx=0.6, fy=0.6, interpolation=cv2.INTER_AREA)):
        (box_5,) = finder.faces(np.ascontiguousarray(look))
        left, top, right, bottom = box_5[:4] * picture.shape[1] / look.shape[1]
        if look.strides[1] < 0:
            left, right = 1280 - right, 1280 - left
        assert (left, top, right, bottom) == pytest.approx(place, abs=(place[2] - place[0]) / 4)
        assert box_5[4] >= ALONE


@pytest.mark.parametrize(
    ("name", "index"), [("cockatoo.mp4", 20), ("cockatoo.mp4", 250), ("oa4_launch.webm", 100), ("birds_720p.mp4", 10)]
)
def test_no_face_is_believed_where_there_is_none(name: str, index: int, finder: FaceFinder) -> None:
    assert people([finder.faces(frame(name, index))[:, 4].tolist()] * 3) == ""


@pytest.mark.parametrize("size", [(1, 1), (11, 900), (12, 12), (900, 11)])
def test_picture_too_small_for_a_face_has_none(size: tuple[int, int], finder: FaceFinder) -> None:
    assert finder.faces(np.full((*size, 3), 127, np.uint8)).shape == (0, 5)


def test_distinct_keeps_the_surest_of_those_that_overlap() -> None:
    boxes = np.array([[0, 0, 10, 10, 0.8], [1, 0, 11, 10, 0.9], [50, 50, 60, 60, 0.7], [2, 2, 6, 6, 0.6]])
    assert distinct(boxes, 0.7)[:, 4].tolist() == [0.9, 0.7, 0.6]
    assert distinct(boxes, 0.7, of_smaller=True)[:, 4].tolist() == [0.9, 0.7]
    assert distinct(np.empty((0, 5)), 0.5).shape == (0, 5)


# --- who is seen


@pytest.mark.parametrize(
    ("faces", "expected"),
    [
        ([[], [], []], ""),
        ([], ""),
        ([[], [0.99], []], "a person"),
        ([[], [0.96], []], ""),
        ([[0.96], [0.96], []], "a person"),
        ([[0.96], [0.94], []], ""),
        ([[0.99, 0.97], [0.99], []], "two people"),
        ([[0.99, 0.9], [0.99], []], "a person"),
        ([[0.99] * 3], "three people"),
        ([[0.99] * 4], "several people"),
        ([[0.99] * 40], "several people"),
    ],
)
def test_people_are_told_by_believable_faces(faces: list[list[float]], expected: str) -> None:
    assert people(faces) == expected


@pytest.mark.parametrize(
    ("who", "thing", "worn", "expected"),
    [
        ("", "", False, ""),
        ("", "a dog", False, "a dog"),
        ("a person", "", False, "a person"),
        ("two people", "a dog", False, "two people and a dog"),
        ("a person", "what looks like a dog", False, "a person"),
        ("a person", "a view of a valley", False, "a person"),
        ("a person", "a suit", True, "a person"),
        ("", "a suit", True, "a suit"),
    ],
)
def test_people_and_a_thing_are_joined_if_both_are_sure(who: str, thing: str, worn: bool, expected: str) -> None:
    assert noun_phrase(who, thing, worn=worn) == expected
