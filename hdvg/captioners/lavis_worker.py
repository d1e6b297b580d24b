"""The far end of the pipe: captions pictures with LAVIS, in an environment that holds LAVIS and not hdvg.

`hdvg.captioners.lavis` runs this file by its path (`python -I lavis_worker.py`). One JSON object a line, both ways:

    {"name", "type", "checkpoint", "prompt", "beams", "max_tokens", "memory_gb"}
                                         ->  {"ready": "cpu" or "cuda"}
    {"jpegs": [base64, ...], "size": 8}  ->  {"texts": [text or null, ...], "size": 4}

The first line is the first of these, all others are the second. `size` is the most pictures at a time, and what of it
memory allowed; the text of a picture that does not decode is null. What fails answers {"error": one line, "trace",
"kind": "memory" or "other"}, and the next request is as good as before. Standard output belongs to these answers: what
libraries print there comes out on standard error. The worker ends as soon as its input does, whatever it is doing.

`--check` imports LAVIS, prints versions and ends. `--loader FILE.py:FUNCTION` is the seam for tests: a function that
takes the place of `lavis.models.load_model_and_preprocess`.
"""

from __future__ import annotations

import argparse
import base64
import contextlib
import glob
import importlib
import importlib.metadata
import importlib.util
import json
import os
import queue
import threading
import traceback
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from io import BytesIO
from typing import Any, BinaryIO

DECODERS = 4
SHORT = ("out of memory", "can't allocate memory", "CUBLAS_STATUS_ALLOC_FAILED")


class Captions:
    """One model in memory, on the GPU if there is one."""

    def __init__(self, order: dict[str, Any], loader: str | None) -> None:
        mend_torchvision()
        import torch

        self.device = "cuda" if torch.cuda.is_available() else "cpu"
        if self.device == "cuda" and order["memory_gb"]:
            whole = torch.cuda.get_device_properties(0).total_memory
            torch.cuda.set_per_process_memory_fraction(min(order["memory_gb"] * 1e9 / whole, 1.0))
        load = _function(loader) if loader else importlib.import_module("lavis.models").load_model_and_preprocess
        self._model, processors, _ = load(
            name=order["name"], model_type=order["type"], is_eval=True, device=self.device
        )
        if order["checkpoint"]:
            strange = self._model.load_checkpoint(order["checkpoint"]).unexpected_keys
            if strange:
                raise ValueError(f"{order['checkpoint']} holds weights that the model has not: {strange[0]}")
        self._process = processors["eval"]
        self._samples = {} if order["prompt"] is None else {"prompt": order["prompt"]}
        self._how = {"use_nucleus_sampling": False, "num_beams": order["beams"], "max_length": order["max_tokens"]}
        self._pool = ThreadPoolExecutor(DECODERS)

    def write(self, jpegs: list[str], *, size: int) -> dict[str, Any]:
        """A text or None a picture, and the size of batch that memory allowed."""
        import torch

        pictures = list(self._pool.map(self._picture, jpegs))
        shown = [picture for picture in pictures if picture is not None]
        texts: list[str] = []
        while len(texts) < len(shown):
            batch = shown[len(texts) : len(texts) + size]
            try:
                texts += self._generate(torch.stack(batch).to(self.device))
                continue
            except (MemoryError, RuntimeError) as error:
                if len(batch) == 1 or not _short(error):
                    raise
            torch.cuda.empty_cache()  # outside of `except`, where the traceback still holds the tensors
            size = len(batch) // 2
        written = iter(texts)
        return {"texts": [None if picture is None else next(written) for picture in pictures], "size": size}

    def _picture(self, coded: str) -> Any:
        """base64 of a JPEG -> (3, H, W) as the model wants it; None if it does not decode."""
        from PIL import Image

        try:
            picture = Image.open(BytesIO(base64.b64decode(coded)), formats=["JPEG"]).convert("RGB")
        except (OSError, Image.DecompressionBombError):
            return None
        return self._process(picture)

    def _generate(self, pictures_BCHW: Any) -> list[str]:
        texts: list[str] = self._model.generate({"image": pictures_BCHW, **self._samples}, **self._how)
        if len(texts) != len(pictures_BCHW):
            raise ValueError(f"{len(texts)} texts for {len(pictures_BCHW)} pictures")
        return texts


def mend_torchvision() -> None:
    """Declare the operators without which torchvision does not import, if its own library does not load.

    It is built for CUDA and does not load beside a torch for CPUs. Where it does load, declaring them a second time
    would abort the process.
    """
    spec = importlib.util.find_spec("torchvision")
    if spec is None or not spec.submodule_search_locations:
        return
    import torch

    for library in glob.glob(os.path.join(spec.submodule_search_locations[0], "_C*.so")):
        try:
            torch.ops.load_library(library)  # type: ignore[no-untyped-call]  # torch leaves it untyped
            return
        except OSError:
            pass
    for name in ("nms", "qnms"):
        with contextlib.suppress(RuntimeError):
            torch.library.define(f"torchvision::{name}", "(Tensor dets, Tensor scores, float iou_threshold) -> Tensor")


def main() -> None:
    """Answer until the input ends."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--check", action="store_true")
    parser.add_argument("--loader")
    options = parser.parse_args()
    answers = os.fdopen(os.dup(1), "w", encoding="utf-8")
    if options.check:
        os.dup2(2, 1)
        mend_torchvision()
        importlib.import_module("lavis.models")
        names = ("salesforce-lavis", "torch", "torchvision", "transformers")
        answers.write(" ".join(f"{name}=={importlib.metadata.version(name)}" for name in names) + "\n")
        return
    requests: queue.SimpleQueue[bytes] = queue.SimpleQueue()
    threading.Thread(target=_listen, args=(os.fdopen(os.dup(0), "rb"), requests), daemon=True).start()
    os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
    os.dup2(2, 1)
    captions: Captions | None = None
    while True:
        request = json.loads(requests.get())
        try:
            if captions is None:
                captions = Captions(request, options.loader)
                answer: dict[str, Any] = {"ready": captions.device}
            else:
                answer = captions.write(request["jpegs"], size=request["size"])
        except Exception as error:  # the process boundary: whatever a library raises must cross it as data
            first = (str(error).strip().splitlines() or [""])[0]
            answer = {"error": f"{type(error).__name__}: {first}", "kind": "memory" if _short(error) else "other"}
            answer["trace"] = "".join(traceback.format_exception(type(error), error, error.__traceback__))
        answers.write(json.dumps(answer) + "\n")
        answers.flush()


def _listen(pipe: BinaryIO, requests: queue.SimpleQueue[bytes]) -> None:
    """Queue the lines of a pipe; end the process with the pipe, even in the middle of a caption."""
    for line in pipe:
        requests.put(line)
    os._exit(0)


def _short(error: BaseException) -> bool:
    """Whether memory ran short, on whatever device."""
    return isinstance(error, MemoryError) or any(words in str(error) for words in SHORT)


def _function(where: str) -> Callable[..., Any]:
    """The function that FILE.py:FUNCTION names."""
    path, _, name = where.rpartition(":")
    spec = importlib.util.spec_from_file_location("lavis_loader", path)
    if spec is None or spec.loader is None:
        raise ImportError(f"{path} is no Python file")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    function: Callable[..., Any] = getattr(module, name)
    return function


if __name__ == "__main__":
    main()
