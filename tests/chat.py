"""A loopback server that speaks OpenAI's chat completions about the pictures it knows, and misbehaves by plan."""

from __future__ import annotations

import json
import math
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
    """The JPEG of the first picture of a request; the question of one without pictures."""
    content = request["messages"][0]["content"]
    if isinstance(content, str):
        return content.encode()
    address = content[0]["image_url"]["url"]
    assert address.startswith("data:image/jpeg;base64,")
    return b64decode(address.partition(",")[2], validate=True)


def json_body(said: object, *, code: int = 200) -> Answer:
    """This as JSON, with this status."""
    data = json.dumps(said).encode()

    def answer(handler: Any) -> None:
        handler.head(code, {"Content-Type": "application/json", "Content-Length": str(len(data))})
        handler.send(data)

    return answer


Told = list[dict[str, float]]
"""At each place of an answer the likely tokens and their probabilities, the one that was written first."""


def says(
    text: str | None, *, ended: str = "stop", tokens: tuple[int, int] | None = (100, 7), told: Told | None = None
) -> Answer:
    """A chat completion; `tokens`: sent and received, as it counts them; `told`: how likely its tokens were."""
    message = {"role": "assistant", "content": text}
    said: dict[str, Any] = {"id": "x", "object": "chat.completion", "created": 0, "model": "tiny"}
    said["choices"] = [{"index": 0, "message": message, "finish_reason": ended}]
    if told is not None:
        places = [[{"token": token, "logprob": math.log(share)} for token, share in place.items()] for place in told]
        said["choices"][0]["logprobs"] = {"content": [{**place[0], "top_logprobs": place} for place in places]}
    if tokens:
        said["usage"] = {"prompt_tokens": tokens[0], "completion_tokens": tokens[1], "total_tokens": sum(tokens)}
    return json_body(said)


GOOD = {
    "subject": "a brown dog",
    "action": "runs over the grass",
    "place": "in a park",
    "light": "soft light",
    "style": "documentary footage",
    "shot_size": "wide shot",
    "angle": "eye level",
    "camera": "pan left",
    "text": None,
    "people": 2,
    "short": "A brown dog runs over the grass in a park.",
    "detailed": "A brown dog runs over the grass. Two people watch it from a bench. The trees behind them are green.",
}
"""A good answer to a question for fields."""


def _without_last_brace(said: Mapping[str, Any]) -> str:
    return json.dumps(said).removesuffix("}")


def _in_python(said: Mapping[str, Any]) -> str:
    return repr(dict(said))


def _in_curly_quotes(said: Mapping[str, Any]) -> str:
    return "".join("“”"[place % 2] + part for place, part in enumerate(json.dumps(said).split('"')))[1:]


def _without_quotes(said: Mapping[str, Any]) -> str:
    return "{" + ", ".join(f"{name}: {json.dumps(value)}" for name, value in said.items()) + "}"


def _of_other_types(said: Mapping[str, Any]) -> str:
    types = {
        "people": "two people",
        "subject": ["a brown dog"],
        "light": {"kind": "soft light"},
        "camera": "Camera pans left.",
    }
    return json.dumps(
        {**said, **types, "shot_size": "Wide shot (establishing)", "angle": "at eye-level", "text": "none"}
    )


BADLY: dict[str, Any] = {
    "prose around": lambda said: (
        f"Sure! Here is the JSON you asked for:\n\n{json.dumps(said, indent=2)}\n\nLet me know!"
    ),
    "a fence": lambda said: f"```json\n{json.dumps(said, indent=1)}\n```",
    "thoughts": lambda said: f"<think>It could be {{'short': 'a cat'}}.</think>\n{json.dumps(said)}",
    "a list of one": lambda said: json.dumps([said]),
    "extra keys": lambda said: json.dumps({"confidence": 0.9, **said, "notes": ["none"]}),
    "keys in capitals": lambda said: json.dumps({name.upper(): value for name, value in said.items()}),
    "other types": _of_other_types,
    "a comma too many": lambda said: json.dumps(said).removesuffix("}") + ",}",
    "no last brace": _without_last_brace,
    "no first brace": lambda said: json.dumps(said).removeprefix("{"),
    "line breaks in a text": lambda said: json.dumps(
        {**said, "detailed": said["detailed"].replace(". ", ".\n")}
    ).replace("\\n", "\n"),
    "Python's dictionary": _in_python,
    "curly quotes": _in_curly_quotes,
    "keys without quotes": _without_quotes,
    "broken off after the texts": lambda said: json.dumps({**said, "z": "this will never en"})[:-6],
}
"""How a server answers badly, but so that what it means is there: name -> what it makes of a good answer."""

USELESS: dict[str, Any] = {
    "a refusal": lambda said: "I'm sorry, but I can't describe people in this video.",
    "nothing": lambda said: "",
    "prose": lambda said: said["detailed"],
    "broken off early": lambda said: json.dumps(said)[:60],
    "no short text": lambda said: json.dumps({**said, "short": None}),
    "another language": lambda said: json.dumps(
        {
            **said,
            "short": "Ein brauner Hund läuft über die Wiese im Park.",
            "detailed": "Zwei Menschen sehen ihm von einer Bank aus zu.",
        }
    ),
    "another object": lambda said: json.dumps({"error": "no pictures were given"}),
}
"""How it answers so badly that it must be asked again."""
