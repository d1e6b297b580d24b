"""Captioner `lavis` keeps its promises over a pipe whatever the far end does; LAVIS itself is behind a `slow` mark."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from io import BytesIO
from pathlib import Path

import numpy as np
import pytest

from hdvg.captioners import Written, clean, lavis_env
from hdvg.captioners.lavis import Lavis
from hdvg.config.caption import Writer
from hdvg.errors import ItemError, ResourceError, TransientError, UsageError
from hdvg.keyframes import Shot
from tests.lavis_models import environment
from tests.tools import need

need("torch", "PIL")

ROOT = Path(__file__).parents[2]
PALETTE = [(192, 192, 64), (192, 64, 0), (64, 192, 128), (0, 192, 192), (192, 0, 64), (64, 64, 192), (192, 192, 0)]
BLACK, CRASH, HANG, FAIL = (0, 0, 0), (128, 0, 0), (0, 128, 0), (0, 0, 128)

Make = Callable[..., Lavis]


def jpeg(colour: tuple[int, int, int]) -> bytes:
    from PIL import Image

    buffer = BytesIO()
    Image.new("RGB", (64, 48), colour).save(buffer, "JPEG", quality=95)
    return buffer.getvalue()


def blocks(seed: int) -> bytes:
    """A JPEG of coloured blocks, another for every seed."""
    from PIL import Image

    colours = np.random.default_rng(seed).integers(0, 256, (6, 8, 3), dtype=np.uint8)
    buffer = BytesIO()
    Image.fromarray(colours).resize((64, 48), Image.Resampling.NEAREST).save(buffer, "JPEG", quality=95)
    return buffer.getvalue()


def shot(picture: bytes) -> Shot:
    return Shot("clip", {"first": jpeg(CRASH), "middle": picture, "last": jpeg(CRASH)}, {})


def texts(captioner: Lavis, pictures: list[bytes]) -> list[str]:
    written = captioner.write([captioner.prepare(shot(picture)) for picture in pictures])
    return [answer.texts.get("short", "") for answer in written if isinstance(answer, Written)]


def said(colour: tuple[int, int, int], *, how: str = "of 5 30") -> str:
    return f"{' '.join(map(str, colour))} {how}"


def pid(captioner: Lavis) -> int:
    return int(texts(captioner, [jpeg(BLACK)])[0].split()[-1])


@pytest.fixture(scope="module")
def stand_in(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return environment(tmp_path_factory.mktemp("standin") / "env", python=Path(sys.executable), function="stand_in")


@pytest.fixture
def make(stand_in: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Make]:
    monkeypatch.setenv(lavis_env.VARIABLE, str(stand_in))
    made: list[Lavis] = []

    def make(model: str = "standin/plain", **settings: object) -> Lavis:
        made.append(Lavis(Writer.model_validate({"captioner": "lavis", "model": model, **settings})))
        return made[-1]

    yield make
    for captioner in made:
        captioner.close()


# --- texts


def test_every_picture_gets_its_own_text_whatever_batch_it_is_in_and_whatever_libraries_print(make: Make) -> None:
    captioner = make()
    pictures = [jpeg(colour) for colour in PALETTE]
    expected = [said(colour) for colour in PALETTE]
    assert texts(captioner, pictures) == expected
    assert [texts(captioner, [picture])[0] for picture in pictures] == expected
    captioner.batch = 3
    assert texts(captioner, pictures[::-1]) == expected[::-1]


def test_broken_and_absent_pictures_get_no_text_and_cost_no_other_its_own(make: Make) -> None:
    captioner = make()
    good = jpeg(PALETTE[1])
    shots = [Shot("clip", {"first": good}, {}), *map(shot, (good, b"", good[: len(good) // 2], b"no JPEG", good))]
    answers = captioner.write([captioner.prepare(each) for each in shots])
    assert [bool(answer.texts) for answer in answers if isinstance(answer, Written)] == [
        *(False, True, False, False, False, True)
    ]
    assert captioner.write([captioner.prepare(each) for each in shots[2:5]]) == [Written({})] * 3
    assert captioner.write([]) == []


def test_settings_reach_the_model(make: Make) -> None:
    captioner = make(prompt="A  Prompt.", beams=2, max_tokens=7, keyframe="last", lower_case=False)
    pictures = {"middle": jpeg(CRASH), "last": jpeg(PALETTE[2])}
    answer = captioner.write([captioner.prepare(Shot("clip", pictures, {}))])[0]
    assert isinstance(answer, Written)
    assert answer.texts["short"] == said(PALETTE[2], how="A Prompt. 2 7")


# --- what goes wrong


def test_crash_costs_its_batch_and_the_next_gets_a_new_process(make: Make) -> None:
    captioner = make()
    first = pid(captioner)
    with pytest.raises(ItemError, match="crash: LAVIS ended with -11") as caught:
        texts(captioner, [jpeg(PALETTE[1]), jpeg(CRASH)])
    assert not isinstance(caught.value, TransientError)
    assert texts(captioner, [jpeg(PALETTE[1])]) == [said(PALETTE[1])]
    second = pid(captioner)
    assert second != first
    os.kill(second, signal.SIGKILL)
    with pytest.raises(TransientError, match="crash: LAVIS was killed from outside"):
        texts(captioner, [jpeg(PALETTE[1])])
    assert pid(captioner) not in {first, second}


def test_silence_ends_and_an_error_is_the_batchs(make: Make) -> None:
    captioner = make()
    first = pid(captioner)
    with pytest.raises(ItemError, match=r"(?s)error: Traceback.*ValueError: no blue, please") as caught:
        texts(captioner, [jpeg(PALETTE[1]), jpeg(FAIL)])
    assert caught.value.reason == "error"
    assert pid(captioner) == first
    captioner.picture_s = 1.0
    start = time.monotonic()
    with pytest.raises(TransientError, match="timeout: no answer from LAVIS within 1 s"):
        texts(captioner, [jpeg(HANG)])
    assert time.monotonic() - start < 20
    with pytest.raises(ProcessLookupError):
        os.kill(first, 0)


def test_short_memory_halves_the_batch_and_loses_nothing(make: Make) -> None:
    captioner = make("standin/roomy", batch=8)
    assert captioner.batch == 8
    expected = [said(colour) for colour in PALETTE]
    assert texts(captioner, [jpeg(colour) for colour in PALETTE]) == expected
    assert captioner.batch == 1  # 7, then 3, then 1, as two fit and no more


def test_picture_or_model_that_does_not_fit_alone_stops_the_run(make: Make) -> None:
    captioner = make("standin/short_of_memory")
    with pytest.raises(ResourceError, match=r"memory ran short on a single picture.*out of memory"):
        texts(captioner, [jpeg(PALETTE[1])] * 2)
    with pytest.raises(ResourceError, match="memory ran short while it loaded standin/too_large"):
        make("standin/too_large")


def test_model_that_cannot_be_loaded_is_named_with_what_would_do(make: Make) -> None:
    with pytest.raises(
        UsageError, match=r"caption.model = 'odd/one': LAVIS cannot load it \(AttributeError: .*it takes"
    ):
        make("odd/one")
    for model in ("blip2_opt", "blip2_opt/", "/caption"):
        with pytest.raises(UsageError, match=r"it takes LAVIS's name/type such as blip2_opt/caption_coco_opt2.7b"):
            make(model)
    with pytest.raises(UsageError, match="no such file or folder; it takes a checkpoint"):
        make("standin/plain@absent.pth")
    for settings in ({"keyframe": "all"}, {"dtype": "int8"}):
        with pytest.raises(UsageError, match="sees one keyframe and leaves the dtype to LAVIS"):
            make(**settings)


def test_process_does_not_outlive_the_one_that_asked(stand_in: Path) -> None:
    """The parent is killed while the worker is in the middle of a caption that never ends."""
    program = (
        "from tests.hdvg.test_lavis import *\n"
        "captioner = Lavis(Writer(captioner='lavis', model='standin/plain'))\n"
        "print(pid(captioner), flush=True)\n"
        "texts(captioner, [jpeg(HANG)])\n"
    )
    variables = {**os.environ, lavis_env.VARIABLE: str(stand_in)}
    with subprocess.Popen(
        [sys.executable, "-c", program], cwd=ROOT, env=variables, stdout=subprocess.PIPE, text=True
    ) as parent:
        assert parent.stdout is not None
        worker = int(parent.stdout.readline())
        time.sleep(0.5)
        parent.kill()
    assert ended(worker)


def test_process_ends_with_its_captioner(make: Make) -> None:
    captioner = make()
    worker = pid(captioner)
    captioner.close()
    with pytest.raises(ProcessLookupError):
        os.kill(worker, 0)


def ended(worker: int) -> bool:
    """Whether a process that is no child of ours is gone, or only waits to be reaped, within 20 s."""
    for _ in range(200):
        try:
            state = Path(f"/proc/{worker}/stat").read_text().rpartition(")")[2].split()[0]
        except (FileNotFoundError, ProcessLookupError):
            return True
        if state == "Z":
            return True
        time.sleep(0.1)
    return False


# --- the model's name and the environment


def test_fingerprint_follows_model_and_checkpoint(make: Make, tmp_path: Path) -> None:
    checkpoint = tmp_path / "own.pth"
    checkpoint.write_bytes(b"weights")
    names = (None, "blip2_opt/caption_coco_opt6.7b", f"standin/plain@{checkpoint}")
    seen = [Lavis.fingerprint(Writer(captioner="lavis", model=name)) for name in names]
    assert seen[0] == Lavis.fingerprint(Writer(captioner="lavis", model="blip2_opt/caption_coco_opt2.7b", beams=2))
    checkpoint.write_bytes(b"WEIGHTS")
    seen.append(Lavis.fingerprint(Writer(captioner="lavis", model=names[2])))
    assert len(set(seen)) == 4
    assert {len(digits) for digits in seen} == {16}
    plain = make()
    assert (
        plain.model == f"lavis standin/plain {Lavis.fingerprint(Writer(captioner='lavis', model='standin/plain'))[:8]}"
    )


def test_missing_environment_is_told_with_the_command_that_builds_it(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.delenv(lavis_env.VARIABLE, raising=False)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    grown = lavis_env.place()
    assert grown.parent == tmp_path / "hdvg"
    (grown.with_name(f"{grown.name}.growing") / "bin").mkdir(parents=True)
    (grown.with_name(f"{grown.name}.growing") / "bin" / "python").touch()
    with pytest.raises(UsageError, match="needs its own environment: hdvg doctor --build-lavis"):
        Lavis.fingerprint(Writer(captioner="lavis"))
    monkeypatch.setenv(lavis_env.VARIABLE, str(tmp_path / "absent"))
    with pytest.raises(UsageError, match=r"--build-lavis; HDVG_LAVIS = .*absent' holds no Python"):
        Lavis(Writer(captioner="lavis"))


def test_python_without_lavis_is_told_by_the_module_it_lacks(monkeypatch: pytest.MonkeyPatch) -> None:
    """This Python, as it is: no stand-in."""
    monkeypatch.setenv(lavis_env.VARIABLE, sys.executable)
    with pytest.raises(UsageError, match=r"LAVIS cannot load it .ModuleNotFoundError: No module named 'lavis'"):
        Lavis(Writer(captioner="lavis"))


def test_failed_build_leaves_nothing_and_takes_nobodys_folder(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.setenv("PIP_CONFIG_FILE", os.devnull)
    monkeypatch.setenv(lavis_env.VARIABLE, str(tmp_path / "env"))
    lines: list[str] = []
    with pytest.raises(UsageError, match=r"-m pip install failed: ERROR: .*No matching distribution"):
        lavis_env.build(say=lines.append)
    assert lines == [f"new environment in {tmp_path / 'env'}: minutes, and gigabytes"]
    assert [path.name for path in tmp_path.iterdir()] == ["env.lock"]
    (tmp_path / "env").mkdir()
    (tmp_path / "env" / "letter.txt").write_text("mine")
    with pytest.raises(UsageError, match="holds something else"):
        lavis_env.build(say=lines.append)
    assert (tmp_path / "env" / "letter.txt").read_text() == "mine"


# --- LAVIS itself

PLAIN = """
import json, sys
from io import BytesIO
from pathlib import Path
sys.path += sys.argv[1:3]  # behind the packages, as a `lavis` of another kind lies there too
from lavis_worker import mend_torchvision
mend_torchvision()
from PIL import Image
from lavis_models import tiny, tiny_weights
import torch
model, processors, _ = tiny(name="blip2_opt", model_type="tiny", is_eval=True, device="cpu")
texts = []
for other in (False, True):
    if other:
        torch.save({"model": tiny_weights(seed=1)}, Path(sys.argv[3]) / "other.pth")
        model.load_checkpoint(str(Path(sys.argv[3]) / "other.pth"))
    for path in sorted(Path(sys.argv[3]).glob("*.jpg")):
        picture = processors["eval"](Image.open(path).convert("RGB"))[None]
        for beams in (1, 3):
            texts += model.generate({"image": picture}, num_beams=beams, max_length=12)
print("\\n" + json.dumps(texts))
"""
"""Plain LAVIS, one picture at a time: with the model as it loads, then with another checkpoint; by 1 and 3 beams."""


@pytest.mark.slow
def test_built_environment_captions_as_plain_lavis_does(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Builds the environment (minutes, 2.3 GB) unless one stands in `HDVG_TEST_LAVIS` or the default folder."""
    monkeypatch.delenv(lavis_env.VARIABLE, raising=False)
    if named := os.environ.get("HDVG_TEST_LAVIS"):
        monkeypatch.setenv(lavis_env.VARIABLE, named)
    start = time.monotonic()
    python = lavis_env.build(say=print)
    print(f"environment: {time.monotonic() - start:.0f} s")
    folder = tmp_path / "pictures"
    folder.mkdir()
    pictures = [blocks(seed) for seed in range(7)]
    for number, picture in enumerate(pictures):
        (folder / f"{number}.jpg").write_bytes(picture)
    plain = subprocess.run(
        [python, "-I", "-c", PLAIN, lavis_env.WORKER.parent, ROOT / "tests", folder], capture_output=True, text=True
    )
    assert plain.returncode == 0, plain.stderr
    expected = [clean(text, lower_case=True) for text in json.loads(plain.stdout.splitlines()[-1])]
    greedy, three, other = expected[:14:2], expected[1:14:2], expected[14::2]
    assert len({*greedy}) > 3
    assert greedy != three
    assert greedy != other
    monkeypatch.setenv(lavis_env.VARIABLE, str(environment(tmp_path / "env", python=python, function="tiny")))
    for beams, model, wanted in (
        *((1, "blip2_opt/tiny", greedy), (3, "blip2_opt/tiny", three)),
        (1, f"blip2_opt/tiny@{folder / 'other.pth'}", other),
    ):
        captioner = Lavis(Writer(captioner="lavis", model=model, beams=beams, max_tokens=12))
        assert str(folder) not in captioner.model
        print(f"beams {beams}, {captioner.model}: {wanted}")
        assert texts(captioner, pictures) == wanted
        assert [texts(captioner, [picture])[0] for picture in pictures] == wanted
        assert texts(captioner, [pictures[0], b"broken", *pictures[1:3]]) == [wanted[0], "", *wanted[1:3]]
        captioner.close()
    monkeypatch.setenv(lavis_env.VARIABLE, str(python))
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    with pytest.raises(UsageError, match=r"LAVIS cannot load it.*it takes LAVIS's name/type"):
        Lavis(Writer(captioner="lavis"))
