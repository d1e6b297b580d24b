"""What a recipe may not do with secrets, as strangers write recipes too: name any variable as a key, hold a password itself."""

from __future__ import annotations

import os
import re
import urllib.parse
from collections.abc import Iterator
from typing import TYPE_CHECKING

from hdvg.config.addresses import SECRET
from hdvg.errors import UsageError

if TYPE_CHECKING:
    from hdvg.config.endpoint import Endpoint
    from hdvg.config.recipe import Recipe

KEYS = re.compile(r"HDVG_([A-Z0-9_]+_)?KEY|OPENAI_API_KEY")
"""Variables of the environment that a recipe may name, for nothing else is kept in them."""
ALLOWED = "HDVG_ALLOW_ENV"
"""The variable that says which others, parted by commas; `--allow-env` adds to it."""


def allow(names: tuple[str, ...]) -> None:
    """Let recipes name these variables, in this process and those that it starts."""
    if names:
        os.environ[ALLOWED] = ",".join(filter(None, [os.environ.get(ALLOWED, ""), *names]))


def key_of(endpoint: Endpoint, *, setting: str) -> str:
    """The key in the variable that the endpoint names, "" if there is none. Raises UsageError for a variable of another use."""
    check_key_name(endpoint.key_env, setting=setting)
    return os.environ.get(endpoint.key_env, "").strip()


def check_key_name(name: str, *, setting: str) -> None:
    """Raise UsageError unless the endpoint that is called `setting` in a recipe may name this variable."""
    if KEYS.fullmatch(name) or name in filter(None, re.split(r"[,\s]+", os.environ.get(ALLOWED, ""))):
        return
    raise UsageError(
        f"{setting}.key_env = {name!r}: what is in it would be sent to the endpoint; a recipe names OPENAI_API_KEY or "
        f"HDVG_…_KEY, such as HDVG_VLLM_KEY; if this is your own recipe: --allow-env {name}"
    )


def refuse_secrets(recipe: Recipe) -> None:
    """Raise UsageError if a run by this recipe could send, or store, a secret: see `check_key_name`, `shown_address`."""
    for where, endpoint, is_used in _endpoints(recipe):
        if shown_address(endpoint.url) != endpoint.url:
            raise UsageError(
                f"{where}.url = {shown_address(endpoint.url)!r} holds a password or key, which would be stored with the dataset "
                f"and in every shard; put it into a variable, and name that: --set {where}.key_env=HDVG_VLLM_KEY"
            )
        if is_used:
            check_key_name(endpoint.key_env, setting=where)


def _endpoints(recipe: Recipe) -> Iterator[tuple[str, Endpoint, bool]]:
    writers = {"caption": recipe.caption, **{f"caption.also.{name}": one for name, one in recipe.caption.also.items()}}
    for where, writer in writers.items():
        yield f"{where}.endpoint", writer.endpoint, writer.captioner != "none"
    yield "measure.asker.endpoint", recipe.measure.asker.endpoint, recipe.measure.asker.by == "openai"


def shown_address(url: str) -> str:
    """An address without user, password and the values of parameters that are called as secrets are."""
    parts = urllib.parse.urlsplit(url)
    host = parts.netloc.rpartition("@")[2]
    pairs = [pair.partition("=") for pair in parts.query.split("&")]
    query = "&".join(
        f"{name}=***" if same and SECRET.search(name.lower()) else name + same + value for name, same, value in pairs
    )
    netloc = f"***@{host}" if "@" in parts.netloc else host
    return urllib.parse.urlunsplit(parts._replace(netloc=netloc, query=query))
