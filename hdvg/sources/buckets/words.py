"""What object stores say when they refuse: the codes in their answers, of which some are about this machine's credentials."""

from __future__ import annotations

import re

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
