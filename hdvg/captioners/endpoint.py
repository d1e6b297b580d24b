"""One endpoint of OpenAI's chat completions, or transcriptions: many requests at once, each tried again on its own clock, answers read as data."""

from __future__ import annotations

import asyncio
import json
import random
import threading
import weakref
from collections.abc import Awaitable, Callable, Coroutine, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TypeVar

from hdvg.config.endpoint import Endpoint
from hdvg.config.secrets import key_of, shown_address
from hdvg.errors import ItemError, ResourceError, TransientError, UsageError
from hdvg.networks.answering import Step

if TYPE_CHECKING:
    import openai

Value = TypeVar("Value")
Request = Mapping[str, Any]
"""The body of a request, as JSON has it."""
Ask = Callable[[Request, asyncio.Semaphore], Coroutine[Any, Any, "Value | ItemError"]]
"""What gets one answer."""

BACKOFF_S, MAX_WAIT_S = 0.5, 60.0
"""First pause before a request is tried again, twice as long each time; the longest pause, also on a server's word."""

WRONG_FOR_ALL = frozenset({401, 402, 403, 404, 405})
"""What a server says of the key, the account, the model or the address: true of every request."""

DETAIL_CHARACTERS = 300
MOST_TOKENS = 1 << 40
"""A count beyond it is none."""


@dataclass(frozen=True)
class Reply:
    """The text of an answer, "" for a refusal, and the tokens that the server counted, tries with garbled answers too.

    `steps`: how likely its tokens were, if that was asked for and told.
    """

    text: str
    prompt_tokens: int | None = None
    output_tokens: int | None = None
    steps: tuple[Step, ...] = ()


@dataclass(frozen=True)
class Heard:
    """What was said in a sound, and in which language as the server calls it, "" if it does not say."""

    text: str
    language: str


class UnreachableError(TransientError):
    """No connection came about, which says nothing of the item."""


class GarbledError(Exception):
    """An answer that cannot be read."""


class Service:
    """An endpoint, with connections that stay open from call to call. No message holds the key; `section` of the recipe has
    its settings, and the model's."""

    def __init__(self, endpoint: Endpoint, *, section: str = "caption") -> None:
        import openai

        self._endpoint, self._section = endpoint, section
        self._key = key_of(endpoint, setting=f"{section}.endpoint")
        if not (self._key.isascii() and self._key.isprintable()):
            raise UsageError(f"environment variable {endpoint.key_env} holds characters that no key has; set it anew")
        self._client = openai.AsyncOpenAI(
            base_url=endpoint.url, api_key=self._key or "none", max_retries=0, timeout=endpoint.timeout_s
        )
        self._loop = asyncio.new_event_loop()
        threading.Thread(target=_turn, args=(self._loop, self._client), daemon=True).start()
        weakref.finalize(self, self._loop.call_soon_threadsafe, self._loop.stop)

    def model(self, named: str | None) -> str:
        """The model of that name, else the only one that is served. Raises UsageError if there is no such one."""
        if named:
            return named
        names = self._wait(self._tried(self._list, read=_names, slots=asyncio.Semaphore()))
        setting = f"{self._section}.model"
        if isinstance(names, ItemError):
            raise UsageError(f"{self._named} does not tell its models ({names}); start the server, or set {setting}")
        if len(names) != 1:
            listed = ", ".join(names) or "none"
            raise UsageError(f"{setting} is not set, and {self._endpoint.url} serves {listed}; set it to one")
        return names[0]

    def ask(self, requests: Sequence[Request]) -> list[Reply | ItemError]:
        """An answer for each request, in order, or why there is none.

        Raises UsageError if the server refuses the key or does not know the model, and ResourceError if there are
        several requests and it could be reached for none.
        """
        return self._answers(requests, self._reply)

    def transcribe(self, requests: Sequence[Request]) -> list[Heard | ItemError]:
        """The same of transcriptions; a request's `file` is (name, bytes, MIME type)."""
        return self._answers(requests, self._heard)

    def _answers(self, requests: Sequence[Request], ask: Ask[Value]) -> list[Value | ItemError]:
        replies = self._wait(self._all(requests, ask))
        lost = [reply for reply in replies if isinstance(reply, UnreachableError)]
        if len(lost) == len(replies) > 1:
            raise ResourceError(f"{self._named} cannot be reached ({lost[0].detail}); start the server, then run again")
        return replies

    def _wait(self, work: Coroutine[Any, Any, Value]) -> Value:
        return asyncio.run_coroutine_threadsafe(work, self._loop).result()

    @property
    def _named(self) -> str:
        return f"{self._section}.endpoint.url = {shown_address(self._endpoint.url)!r}"

    async def _all(self, requests: Sequence[Request], ask: Ask[Value]) -> list[Value | ItemError]:
        slots = asyncio.Semaphore(self._endpoint.concurrency)
        try:
            async with asyncio.TaskGroup() as group:  # the first that raises ends the others
                tasks = [group.create_task(ask(request, slots)) for request in requests]
        except BaseExceptionGroup as several:
            raise several.exceptions[0] from None
        return [task.result() for task in tasks]

    async def _reply(self, request: Request, slots: asyncio.Semaphore) -> Reply | ItemError:
        spent: list[tuple[int, int]] = []

        async def send() -> bytes:
            create: Any = self._client.chat.completions.with_raw_response.create  # typed for each combination of keys
            response = await create(**request)
            content: bytes = response.content
            return content

        said = await self._tried(send, read=lambda content: _said(content, spent), slots=slots)
        if isinstance(said, ItemError):
            return said
        text, steps = said
        sent, got = (sum(some) for some in zip(*spent, strict=True)) if spent else (None, None)
        return Reply(text, sent, got, steps)

    async def _heard(self, request: Request, slots: asyncio.Semaphore) -> Heard | ItemError:
        async def send() -> bytes:
            create: Any = self._client.audio.transcriptions.with_raw_response.create
            content: bytes = (await create(**request)).content
            return content

        return await self._tried(send, read=_spoken, slots=slots)

    async def _list(self) -> bytes:
        listed: bytes = (await self._client.models.with_raw_response.list()).content
        return listed

    async def _tried(
        self, send: Callable[[], Awaitable[bytes]], *, read: Callable[[bytes], Value], slots: asyncio.Semaphore
    ) -> Value | ItemError:
        """What `read` makes of an answer, or the last failure; who waits for its next try holds none of the slots."""
        import openai

        failure = ItemError("error")
        for trial in range(self._endpoint.tries):
            try:
                async with slots, asyncio.timeout(self._endpoint.timeout_s):
                    return read(await send())
            except (openai.OpenAIError, TimeoutError, GarbledError) as error:
                failure = self._failure(error)
            wait_s = pause_s(failure, trial=trial)
            if wait_s is None or trial + 1 == self._endpoint.tries:
                break
            await asyncio.sleep(wait_s)
        return failure

    def _failure(self, error: Exception) -> ItemError:
        """What went wrong, as an outcome of one item. Raises UsageError if it is true of all items."""
        import openai

        said = " ".join(str(error.__cause__ or error).split())[:DETAIL_CHARACTERS]
        detail = said.replace(self._key, "***") if self._key else said
        if isinstance(error, openai.APIStatusError):
            return self._by_status(error, detail)
        if isinstance(error, TimeoutError | openai.APITimeoutError):
            return TransientError("timeout", f"no answer within {self._endpoint.timeout_s:g} s")
        if isinstance(error, openai.APIConnectionError):
            met = type(error.__cause__).__name__ != "ConnectError"
            return (TransientError if met else UnreachableError)("network", detail)
        return TransientError("protocol", detail)

    def _by_status(self, error: openai.APIStatusError, detail: str) -> ItemError:
        from hdvg.sources.failures import retry_after_s

        status = error.status_code
        if status < 400 or status in WRONG_FOR_ALL or error.code == "insufficient_quota":
            raise UsageError(
                f"{self._named} refuses every request ({detail}); "
                f"see {self._section}.model, {self._section}.endpoint.url and the key in {self._endpoint.key_env}"
            )
        wait_s = retry_after_s(error.response.headers.get("Retry-After"))
        if status in {408, 409}:
            return TransientError("timeout", detail, retry_after_s=wait_s)
        if status in {425, 429, 503}:
            return TransientError("throttled", detail, retry_after_s=wait_s)
        return (
            TransientError("network", detail, retry_after_s=wait_s) if status >= 500 else ItemError("caption", detail)
        )


def _turn(loop: asyncio.AbstractEventLoop, client: openai.AsyncOpenAI) -> None:
    """Run the loop until it is stopped, then close the connections."""
    loop.run_forever()
    loop.run_until_complete(client.close())
    loop.close()


def pause_s(failure: ItemError, *, trial: int) -> float | None:
    """How long to wait after the failure of try `trial` (from 0); None if trying again does not help.

    A server's word counts if it asks for more than our own pause; one that asks for more than `MAX_WAIT_S` is not asked
    again. Pauses are up to a half longer by chance, so that requests that failed together do not come back together.
    """
    retry_after_s = getattr(failure, "retry_after_s", None) or 0.0
    if not isinstance(failure, TransientError) or retry_after_s > MAX_WAIT_S:
        return None
    own_s = min(BACKOFF_S * 2**trial, MAX_WAIT_S)
    return float(max(own_s, retry_after_s) * random.uniform(1, 1.5))


def _table(content: bytes) -> dict[str, Any]:
    """JSON bytes -> the object they hold. Raises GarbledError."""
    try:
        body = json.loads(content)
    except (ValueError, RecursionError) as error:
        raise GarbledError(f"the answer is no JSON ({error})") from None
    if not isinstance(body, dict):
        raise GarbledError("the answer is no JSON object")
    return body


def _said(content: bytes, spent: list[tuple[int, int]]) -> tuple[str, tuple[Step, ...]]:
    """What a chat completion says, "" for a refusal, and its steps; tokens sent and received are added to `spent`.

    Raises GarbledError.
    """
    body = _table(content)
    usage = body.get("usage")
    counts = [usage.get(name) if isinstance(usage, dict) else None for name in ("prompt_tokens", "completion_tokens")]
    if all(type(count) is int and 0 <= count < MOST_TOKENS for count in counts):
        spent.append((counts[0], counts[1]))  # type: ignore[arg-type]  # they are whole numbers, as the line above says
    try:
        choice = body["choices"][0]
        text = choice["message"].get("content")
        ended = choice.get("finish_reason")
    except (KeyError, IndexError, TypeError, AttributeError):
        raise GarbledError("the answer holds no message") from None
    if text is not None and not isinstance(text, str):
        raise GarbledError("the answer's message is no text")
    if text is None or ended == "content_filter":
        return "", ()
    return text, _steps(choice.get("logprobs"))


def _steps(logprobs: Any) -> tuple[Step, ...]:
    """The steps of an answer; none where the server tells none, or not as OpenAI does."""
    try:
        return tuple(
            (
                (str(one["token"]), float(one["logprob"])),
                *(
                    (str(other["token"]), float(other["logprob"]))
                    for other in one.get("top_logprobs") or []
                    if other["token"] != one["token"]
                ),
            )
            for one in logprobs["content"]
        )
    except (KeyError, TypeError, ValueError, AttributeError):
        return ()


def _spoken(content: bytes) -> Heard:
    """What a transcription says. Raises GarbledError."""
    body = _table(content)
    if not isinstance(text := body.get("text"), str):
        raise GarbledError("the answer holds no text")
    return Heard(text, language if isinstance(language := body.get("language"), str) else "")


def _names(content: bytes) -> list[str]:
    """The names in a list of models. Raises GarbledError."""
    try:
        return [str(one["id"]) for one in _table(content)["data"]]
    except (KeyError, TypeError):
        raise GarbledError("the answer is no list of models") from None
