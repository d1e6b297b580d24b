"""Requests to a service in the strictest of several forms that it takes."""

from __future__ import annotations

from collections.abc import Sequence

from hdvg.captioners.endpoint import Reply, Request, Service
from hdvg.errors import ItemError, TransientError


class Forms:
    """Asks a service; `forms` are added to requests, the strictest first, the last one plain."""

    def __init__(self, service: Service, forms: tuple[Request, ...]) -> None:
        self._service, self._forms = service, forms

    def ask(self, requests: Sequence[Request]) -> list[Reply | ItemError]:
        """The answers; see `Service.ask`. A server that refuses one form is asked in the next, and so from then on.

        Of what it refuses in every form the request itself is at fault, and the next ones are asked as before.
        """
        forms = self._forms
        replies = self._service.ask([{**request, **forms[0]} for request in requests])
        for number, form in enumerate(forms[1:], start=1):
            refused = [place for place, reply in enumerate(replies) if _is_refused(reply)]
            again = self._service.ask([{**requests[place], **form} for place in refused]) if refused else []
            for place, reply in zip(refused, again, strict=True):
                replies[place] = reply
            if self._forms is forms and any(isinstance(reply, Reply) for reply in again):
                self._forms = forms[number:]
        return replies


def _is_refused(reply: Reply | ItemError) -> bool:
    """Whether the request itself was refused, by no fault of the moment."""
    return isinstance(reply, ItemError) and not isinstance(reply, TransientError)
