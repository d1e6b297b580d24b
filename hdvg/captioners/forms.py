"""Requests to a service in the strictest of several forms that it takes."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Generic, TypeVar

from hdvg.captioners.endpoint import Request
from hdvg.errors import ItemError, TransientError

Answer = TypeVar("Answer")


class Forms(Generic[Answer]):
    """Asks a service; `forms` are added to requests, the strictest first, the last one plain. `send`: `Service.ask` or the like."""

    def __init__(
        self, send: Callable[[Sequence[Request]], list[Answer | ItemError]], forms: tuple[Request, ...]
    ) -> None:
        self._send, self._forms = send, forms

    def ask(self, requests: Sequence[Request]) -> list[Answer | ItemError]:
        """The answers; see `Service.ask`. A server that refuses one form is asked in the next, and so from then on.

        Of what it refuses in every form the request itself is at fault, and the next ones are asked as before.
        """
        forms = self._forms
        replies = self._send([{**request, **forms[0]} for request in requests])
        for number, form in enumerate(forms[1:], start=1):
            refused = [place for place, reply in enumerate(replies) if _is_refused(reply)]
            again = self._send([{**requests[place], **form} for place in refused]) if refused else []
            for place, reply in zip(refused, again, strict=True):
                replies[place] = reply
            if self._forms is forms and any(not isinstance(reply, ItemError) for reply in again):
                self._forms = forms[number:]
        return replies


def _is_refused(reply: object) -> bool:
    """Whether the request itself was refused, by no fault of the moment."""
    return isinstance(reply, ItemError) and not isinstance(reply, TransientError)
