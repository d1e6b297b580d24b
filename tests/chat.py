"""A loopback server that speaks OpenAI's chat completions about the pictures it knows, and misbehaves by plan."""

from __future__ import annotations

import json
import threading
import time
from base64 import b64decode
from collections import Counter
from collections.abc import Mapping
from types import TracebackType
from typing import Any, Self

from tests.servers import Answer, HostileServer, body, in_turn

PATH = "/v1/chat/completions"


class ChatServer:
    """`with ChatServer() as server:` says of every picture what `captions` (JPEG -> text) holds, else its size in bytes.

    `plans` (JPEG -> answer) go first. `most` is how many requests were in work at once, `tries` counts them by picture
    and `asked` holds them; `wait_for` requests must come together before any is answered, 5 s at most,
    and each is held for `hold_s` seconds.
    """

    def __init__(self, *, key: str = "", wait_for: int = 1, hold_s: float = 0) -> None:
        self.captions: dict[bytes, str] = {}
        self.plans: dict[bytes, Answer] = {}
        self.tries: Counter[bytes] = Counter()
        self.times: dict[bytes, list[float]] = {}
        self.asked: list[dict[str, Any]] = []
        self.most = 0
        self._key, self._wait_for, self._hold_s = key, wait_for, hold_s
        self._working = 0
        self._change = threading.Condition()
        self._http = HostileServer()
        self._http.routes[PATH] = self._answer
        self.url = self._http.url("/v1")

    def __enter__(self) -> Self:
        self._http.__enter__()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self._http.__exit__(kind, error, at)

    def plan(self, picture: bytes, *answers: Answer) -> None:
        """Answer requests about a picture with each of these in turn, then always with the last."""
        self.plans[picture] = in_turn(*answers)

    def serve(self, *names: str) -> None:
        """List these models."""
        listed = {"object": "list", "data": [{"id": name, "object": "model"} for name in names]}
        self._http.add("/v1/models", body(json.dumps(listed).encode(), "application/json"))

    def _answer(self, handler: Any) -> None:
        with self._change:
            self._working += 1
            self.most = max(self.most, self._working)
            self._change.notify_all()
            self._change.wait_for(lambda: self.most >= self._wait_for, timeout=5)
        time.sleep(self._hold_s)
        with self._change:
            self._working -= 1  # before the client can know of the answer, and ask again
        self._say(handler)

    def _say(self, handler: Any) -> None:
        if self._key and handler.headers["Authorization"] != f"Bearer {self._key}":
            said = {"error": {"message": f"wrong key: {handler.headers['Authorization']}", "code": "invalid_api_key"}}
            return json_body(said, code=401)(handler)
        request = json.loads(handler.posted)
        picture = first_picture(request)
        with self._change:
            self.asked.append(request)
            self.tries[picture] += 1
            self.times.setdefault(picture, []).append(time.monotonic())
        text = self.captions.get(picture, f"a picture of {len(picture)} bytes")
        return self.plans.get(picture, says(text))(handler)


def first_picture(request: Mapping[str, Any]) -> bytes:
    """The JPEG of the first picture of a request."""
    address = request["messages"][0]["content"][0]["image_url"]["url"]
    assert address.startswith("data:image/jpeg;base64,")
    return b64decode(address.partition(",")[2], validate=True)


def json_body(said: object, *, code: int = 200) -> Answer:
    """This as JSON, with this status."""
    data = json.dumps(said).encode()

    def answer(handler: Any) -> None:
        handler.head(code, {"Content-Type": "application/json", "Content-Length": str(len(data))})
        handler.send(data)

    return answer


def says(text: str | None, *, ended: str = "stop", tokens: tuple[int, int] | None = (100, 7)) -> Answer:
    """A chat completion; `tokens`: sent and received, as it counts them."""
    message = {"role": "assistant", "content": text}
    said: dict[str, Any] = {"id": "x", "object": "chat.completion", "created": 0, "model": "tiny"}
    said["choices"] = [{"index": 0, "message": message, "finish_reason": ended}]
    if tokens:
        said["usage"] = {"prompt_tokens": tokens[0], "completion_tokens": tokens[1], "total_tokens": sum(tokens)}
    return json_body(said)
