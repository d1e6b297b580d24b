"""LAVIS, the library that BLIP-2 came out in: one keyframe in, a short caption out, written by a process of its own.

Paper: Li et al., BLIP-2 (arXiv:2301.12597), by salesforce-lavis, in the environment of `hdvg.captioners.lavis_env`.
"""

from __future__ import annotations

import base64
import contextlib
import hashlib
import json
import signal
import subprocess
import threading
import weakref
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any, ClassVar

from hdvg.captioners import Written, clean
from hdvg.captioners.lavis_env import WORKER, find, pins_digest
from hdvg.errors import ItemError, ResourceError, TransientError, UsageError
from hdvg.keyframes import Shot
from hdvg.networks import files

if TYPE_CHECKING:
    from hdvg.config.caption import Writer

DEFAULT_MODEL = "blip2_opt/caption_coco_opt2.7b"
BEAMS, MAX_TOKENS = 5, 30  # LAVIS's own
BATCH = {"cuda": 32, "cpu": 8}  # to begin with; memory that runs short halves it
LOAD_S = 6 * 3600.0  # the first time LAVIS downloads 15 GB
TAIL_BYTES = 2000
SHORT = "captioner `lavis`: memory ran short on a single picture; try caption.beams=1 or a smaller model"
HINT = f"it takes LAVIS's name/type such as {DEFAULT_MODEL} (cached, or its host in reach), or name/type@checkpoint.pth"


class Lavis:
    """BLIP-2, or another captioning model of LAVIS, on the GPU if there is one.

    On a CPU it computes in float32, and a text does not depend on its batch; on a GPU LAVIS itself chooses float16.
    A process that dies or hangs costs the batch it had; the next batch gets a new one.
    """

    name = "lavis"
    needs: ClassVar[Mapping[str, str]] = {}  # but an environment, which `fingerprint` looks for

    def __init__(self, settings: Writer) -> None:
        name, checkpoint = _model(settings)
        spoken = f"{name}@{checkpoint.name}" if checkpoint else name  # of a path only the end: rows are published
        self.model = f"lavis {spoken} {self.fingerprint(settings)[:8]}"
        self.picture_s = 900.0  # longest time that a batch may take, for each of its pictures
        self._settings = settings
        self._worker: _Worker | None = None
        device = self._start(find())
        self.batch = settings.batch or BATCH[device]

    @staticmethod
    def fingerprint(settings: Writer) -> str:
        """See `hdvg.captioners.fingerprint`: the environment's pins, the model's name, a checkpoint's content.

        Raises UsageError if there is no environment, or a setting that LAVIS has no say in.
        """
        name, checkpoint = _model(settings)
        if settings.keyframe == "all" or settings.dtype != "auto":
            raise UsageError(
                f"caption.keyframe = {settings.keyframe!r}, caption.dtype = {settings.dtype!r}: captioner `lavis` sees one"
                " keyframe and leaves the dtype to LAVIS; leave them out, or take `blip2`"
            )
        find()
        content = files.digest(checkpoint) if checkpoint else ""
        return hashlib.sha256("\0".join((pins_digest(), name, content)).encode()).hexdigest()[:16]

    def prepare(self, shot: Shot) -> bytes | None:
        """The JPEG of the keyframe: the process at the other end decodes it."""
        return shot.keyframes.get(self._settings.keyframe)

    def write(self, prepared: Sequence[bytes | None]) -> list[Written | ItemError]:
        """See `Captioner.write`.

        Raises ItemError `crash` if the process died on them, TransientError `crash` if it was killed, TransientError
        `timeout` if it did not answer, ItemError `error` if LAVIS failed, ResourceError if not one picture fits into
        memory.
        """
        jpegs = [jpeg for jpeg in prepared if jpeg]
        texts = iter(self._texts(jpegs) if jpegs else [])
        return [self._written(next(texts)) if jpeg else Written({}) for jpeg in prepared]

    def close(self) -> None:
        """End the process; the next `write` starts another."""
        if self._worker is not None:
            self._worker.end()
            self._worker = None

    def _written(self, text: str | None) -> Written:
        cleaned = clean(text or "", lower_case=self._settings.lower_case)
        return Written({"short": cleaned} if cleaned else {})

    def _texts(self, jpegs: Sequence[bytes]) -> list[str | None]:
        """A text for each JPEG, None for those that do not decode."""
        if self._worker is None:
            self._start(find())
        assert self._worker is not None
        request = {"jpegs": [base64.b64encode(jpeg).decode() for jpeg in jpegs], "size": self.batch}
        try:
            answer = self._worker.ask(request, wall_s=self.picture_s * len(jpegs))
        except ItemError:
            self.close()
            raise
        if "error" in answer:
            if answer["kind"] == "memory":
                raise ResourceError(f"{SHORT} ({answer['error']})")
            raise ItemError("error", answer["trace"])
        self.batch = min(self.batch, answer["size"])
        texts: list[str | None] = answer["texts"]
        return texts

    def _start(self, python: Path) -> str:
        """A process with the model in memory; says on which device."""
        settings, where = self._settings, self._settings.model or DEFAULT_MODEL
        model, checkpoint = _model(settings)
        name, _, kind = model.partition("/")
        order: dict[str, Any] = {
            "name": name,
            "type": kind,
            "checkpoint": checkpoint and str(checkpoint),
            "prompt": settings.prompt,
        }
        order |= {"beams": settings.beams or BEAMS, "max_tokens": settings.max_tokens or MAX_TOKENS}
        worker = _Worker(python)
        try:
            answer = worker.ask({**order, "memory_gb": settings.memory_gb}, wall_s=LOAD_S)
        except TransientError as error:
            worker.end()
            raise ResourceError(f"captioner `lavis`: {error.detail} while it loaded {where}") from error
        except ItemError as error:
            worker.end()
            raise UsageError(f"captioner `lavis` does not start with {python}: {error.detail}") from error
        if "error" not in answer:
            self._worker = worker
            return str(answer["ready"])
        worker.end()
        if answer["kind"] == "memory":
            raise ResourceError(f"captioner `lavis`: memory ran short while it loaded {where} ({answer['error']})")
        raise UsageError(f"caption.model = {where!r}: LAVIS cannot load it ({answer['error']}); {HINT}")


class _Worker:
    """The process of `lavis_worker`: it ends when this object, or this process, does."""

    def __init__(self, python: Path) -> None:
        self._process = subprocess.Popen(
            [python, "-I", WORKER],  # -I: Python must not look for modules beside the worker, where a `lavis` lies
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            start_new_session=True,  # a Ctrl-C is the runner's to handle
        )
        self._said = bytearray()
        self._listener = threading.Thread(target=_listen, args=(self._process.stderr, self._said), daemon=True)
        self._listener.start()
        self.end = weakref.finalize(self, _end, self._process)

    def ask(self, message: Mapping[str, Any], *, wall_s: float) -> dict[str, Any]:
        """The answer to a message. Raises ItemError `crash`, TransientError `crash` or `timeout` if there is none."""
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        overdue = threading.Event()

        def stop() -> None:
            overdue.set()
            self._process.kill()

        watch = threading.Timer(wall_s, stop)
        watch.daemon = True
        watch.start()
        line = b""
        try:
            with contextlib.suppress(BrokenPipeError):
                self._process.stdin.write(json.dumps(message).encode() + b"\n")
                self._process.stdin.flush()
            line = self._process.stdout.readline()
        finally:
            watch.cancel()
        if line.endswith(b"\n"):
            answer: dict[str, Any] = json.loads(line)
            return answer
        code = self._process.wait()
        if overdue.is_set():
            raise TransientError("timeout", f"no answer from LAVIS within {wall_s:.0f} s")
        if code == -signal.SIGKILL:
            raise TransientError("crash", "LAVIS was killed from outside (out of memory?)")
        self._listener.join(1)
        last = self._said.decode(errors="replace").strip()
        raise ItemError("crash", f"LAVIS ended with {code}: {last}")


def _listen(pipe: IO[bytes], said: bytearray) -> None:
    """Keep the last words of a process, so that it never waits for a reader."""
    with pipe:
        while some := pipe.read1(1 << 16):  # type: ignore[attr-defined]  # a pipe's is a BufferedReader
            said += some
            del said[:-TAIL_BYTES]


def _end(process: subprocess.Popen[bytes]) -> None:
    """The end of its input is the worker's end."""
    with contextlib.suppress(BrokenPipeError):
        process.stdin.close()  # type: ignore[union-attr]  # it was made with a pipe
    try:
        process.wait(10)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()
    process.stdout.close()  # type: ignore[union-attr]


def _model(settings: Writer) -> tuple[str, Path | None]:
    """LAVIS's name/type, and the checkpoint behind the @. Raises UsageError if they are none."""
    name, _, checkpoint = (settings.model or DEFAULT_MODEL).partition("@")
    if not all(name.partition("/")[::2]):
        raise UsageError(f"caption.model = {settings.model!r}: captioner `lavis`: {HINT}")
    if not checkpoint:
        return name, None
    return name, files.local_path(
        checkpoint, setting="caption.model, behind the @", wanted="a checkpoint of LAVIS"
    ).absolute()
