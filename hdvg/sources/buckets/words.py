"""What object stores say when they refuse: the codes in their answers, of which some are about this machine's credentials."""

from __future__ import annotations

import re
import urllib.parse
from collections.abc import Iterator
from contextlib import contextmanager

from hdvg.errors import ItemError

CODE = re.compile(r"<(?:Code|code)>\s*([A-Za-z]{3,60})\s*</|\(code: ([A-Za-z]{3,60})\)")
"""As a store writes it, or as the library says it of one of several objects."""
CODES = """
    InvalidAccessKeyId SignatureDoesNotMatch ExpiredToken InvalidToken InvalidSecurity RequestTimeTooSkewed TokenRefreshRequired
    NotSignedUp AuthorizationQueryParametersError AuthenticationFailed InvalidAuthenticationInfo AccountIsDisabled UnauthorizedAccess
    AuthenticationRequired MissingSecurityHeader MissingSecurityElement RequestExpired
"""
REFUSED = frozenset(CODES.split())
"""Said of whoever asks, whatever is asked for: no object's fault."""


def code_in(text: str) -> str:
    """The code in a store's answer; "" if there is none."""
    found = CODE.search(text)
    return (found[1] or found[2]) if found else ""


@contextmanager
def unsigned(address: str | None, link: str) -> Iterator[None]:
    """Takes a signed address, if there is one, out of what an error says: the link stands there instead."""
    try:
        yield
    except ItemError as error:
        if address is None:
            raise
        error.detail = _unsigned(error.detail, address, link)
        error.args = (f"{error.reason}: {error.detail}" if error.detail else error.reason,)
        raise


def _unsigned(text: str, address: str, link: str) -> str:
    plain, _, query = address.partition("?")
    path = urllib.parse.urlsplit(plain).path
    text = re.sub(rf"(?:https?://[^\s/'\"]*)?{re.escape(path)}(?:\?[^\s'\"<>)]*)?", lambda _: link, text)
    for value in {value for _, value in urllib.parse.parse_qsl(query) if len(value) >= 16}:
        text = text.replace(value, "***").replace(urllib.parse.quote(value, safe=""), "***")
    return text
