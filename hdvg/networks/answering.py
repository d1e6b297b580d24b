"""A vision-language model that is asked in a chat, in batches that fit: answers as texts, and how likely their tokens were."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from hdvg.networks import chat
from hdvg.networks.batches import Batches
from hdvg.networks.loading import device, named, number_format

if TYPE_CHECKING:
    from PIL import Image

Step = tuple[tuple[str, float], ...]
"""A place of an answer: the token that was written and its log-probability, then the likeliest others and theirs."""


@dataclass(frozen=True)
class Limits:
    """How an answer is written: its most tokens, the width of the beam search, and how many tokens a step tells (0: no steps)."""

    tokens: int
    beams: int = 1
    told: int = 0


@dataclass(frozen=True)
class Answered:
    """What a model wrote; `steps` token by token, if they were asked for."""

    text: str
    steps: tuple[Step, ...] = ()


class Model:
    """Any image-text-to-text model of transformers, on the GPU if there is one; `section` of the recipe names its settings.

    In float32 an answer does not depend on its batch; in fewer bits rounding may now and then tip the choice of a word.
    """

    def __init__(self, where: str, *, section: str, dtype: str, batch: int, memory_gb: float | None) -> None:
        """`batch`: 0 finds it, see `Batches`. Raises UsageError, which names the settings, if it cannot be loaded or asked."""
        self._where, self._device = where, device()
        self._form = number_format(dtype, setting=f"{section}.dtype")
        self._processor, network = chat.load(where, form=self._form, setting=f"{section}.model")
        self._network = network.to(self._device)
        short = f"{section}: GPU memory ran short on a single clip; try {section}.keyframe, {section}.dtype or a smaller model"
        self._batches = Batches(fixed=batch, device=self._device, memory_gb=memory_gb, short=short)

    @property
    def batch(self) -> int:
        """How many questions it takes at once by now."""
        return self._batches.size

    def named(self, digits: str) -> str:
        """How it stands in a row: see `hdvg.networks.loading.named`."""
        return named(self._where, self._network, digits=digits)

    def inputs(self, pictures: Sequence[Image.Image], question: str, said: Sequence[chat.Exchange] = ()) -> chat.Inputs:
        """What `answer` takes of one clip; see `chat.inputs`."""
        return chat.inputs(self._processor, pictures=pictures, question=question, said=said)

    def answer(self, several: Sequence[chat.Inputs], limits: Limits) -> list[Answered]:
        """Their answers, those that fit into one batch together. Raises ResourceError if not even one fits into memory."""
        groups: dict[object, list[int]] = defaultdict(list)
        for place, one in enumerate(several):
            groups[chat.shape(one)].append(place)
        answers: dict[int, Answered] = {}
        for places in groups.values():
            alike = [several[place] for place in places]
            answers |= zip(places, self._batches.over(alike, lambda some: self._write(some, limits)), strict=True)
        return [answers[place] for place in range(len(several))]

    def _write(self, several: Sequence[chat.Inputs], limits: Limits) -> list[Answered]:
        """One forward pass."""
        import torch

        batch = {name: tensor.to(self._device) for name, tensor in chat.merged(several).items()}
        batch = {
            name: tensor.to(self._form.compute) if tensor.is_floating_point() else tensor
            for name, tensor in batch.items()
        }
        with torch.inference_mode():
            made = self._network.generate(
                **batch,
                do_sample=False,
                num_beams=limits.beams,
                max_new_tokens=limits.tokens,
                return_dict_in_generate=True,
                output_logits=limits.told > 0,
            )
        start = 0 if self._network.config.is_encoder_decoder else batch["input_ids"].shape[1]
        tokens_BT = made.sequences[:, start:]
        texts = self._processor.batch_decode(tokens_BT, skip_special_tokens=True)
        steps = self._steps(tokens_BT, made.logits, limits.told) if limits.told else [()] * len(texts)
        return [Answered(text, told) for text, told in zip(texts, steps, strict=True)]

    def _steps(self, tokens_BT: Any, logits: Sequence[Any], most: int) -> list[tuple[Step, ...]]:
        """Of each answer its steps, by the network's own logits: (B, words) a step."""
        import torch

        told: list[list[Step]] = [[] for _ in tokens_BT]
        for tokens_B, logits_BV in zip(tokens_BT.T, logits, strict=False):
            logs_BV = torch.log_softmax(logits_BV.float(), dim=-1)
            best = logs_BV.topk(min(most, logs_BV.shape[-1]), dim=-1)
            for row, chosen in enumerate(tokens_B.tolist()):
                others = [one for one in best.indices[row].tolist() if one != chosen]
                told[row].append(tuple((self._word(one), float(logs_BV[row, one])) for one in (chosen, *others)))
        return [tuple(steps) for steps in told]

    def _word(self, token: int) -> str:
        """A token's text, "" for one that stands for none, such as the answer's end."""
        text: str = self._processor.batch_decode([[token]], skip_special_tokens=True)[0]
        return text
