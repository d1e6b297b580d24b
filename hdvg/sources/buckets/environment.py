"""What the user's environment says of object stores: credentials, endpoint, region; nothing else says it, no link and no recipe."""

from __future__ import annotations

import configparser
import importlib.util
import os
from pathlib import Path
from typing import Any

from hdvg.environment import install_command
from hdvg.errors import UsageError

PREFIXES = {"s3": "AWS_", "gs": "GOOGLE_", "az": "AZURE_"}
ENDPOINTS = (
    *("AWS_ENDPOINT_URL_S3", "AWS_ENDPOINT_URL", "AWS_ENDPOINT"),
    *("AZURE_STORAGE_ENDPOINT", "AZURE_ENDPOINT"),
)
ROLES = (
    "AWS_WEB_IDENTITY_TOKEN_FILE",
    "AWS_CONTAINER_CREDENTIALS_RELATIVE_URI",
    "AWS_CONTAINER_CREDENTIALS_FULL_URI",
)
"""Variables by which a container is given a role."""

PROFILE_KEYS = {
    "aws_access_key_id": "access_key_id",
    "aws_secret_access_key": "secret_access_key",
    "aws_session_token": "session_token",
    "region": "region",
    "endpoint_url": "endpoint",
}
"""What is read of a profile -> what obstore calls it."""

REGIONS = ("AWS_REGION", "AWS_DEFAULT_REGION")
CREDENTIALS = {
    "s3": "set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, or AWS_PROFILE, or run where the machine has a role; of a public bucket "
    "AWS_SKIP_SIGNATURE=true",
    "gs": "set GOOGLE_APPLICATION_CREDENTIALS to the file of a service account; of a public bucket GOOGLE_SKIP_SIGNATURE=true",
    "az": "set AZURE_STORAGE_ACCOUNT_NAME and AZURE_STORAGE_ACCOUNT_KEY; of a public container AZURE_SKIP_SIGNATURE=true",
}
"""Where credentials may come from, by scheme."""


def require_obstore() -> None:
    """Raise UsageError if the library that speaks to object stores is not installed."""
    if importlib.util.find_spec("obstore") is None:
        raise UsageError(
            f"links into buckets (s3://, gs://, az://) need the package obstore: {install_command('bucket')}"
        )


def variables(scheme: str) -> dict[str, str]:
    """The variables that are about stores of that kind."""
    return {name: value for name, value in os.environ.items() if name.startswith(PREFIXES[scheme])}


def is_public(scheme: str) -> bool:
    """Whether the environment says to ask without credentials."""
    return os.environ.get(f"{PREFIXES[scheme]}SKIP_SIGNATURE", "").lower() in {"1", "true", "yes", "on"}


def endpoints(scheme: str) -> list[str]:
    """Where stores of that kind are, as far as the environment and the profile say."""
    named = [os.environ.get(name, "") for name in ENDPOINTS if name.startswith(PREFIXES[scheme])]
    account = os.environ.get("AZURE_STORAGE_ACCOUNT_NAME", "") if scheme == "az" else ""
    return [*named, account, profile(scheme).get("endpoint", "")]


def endpoint_is_plain(options: dict[str, Any]) -> bool:
    """Whether the endpoint that is named is spoken to without TLS."""
    named = [os.environ.get(name, "") for name in ENDPOINTS] + [str(options.get("endpoint", ""))]
    return any(address.lower().startswith("http://") for address in named)


def profile(scheme: str) -> dict[str, str]:
    """What obstore is told of the profile in the files of Amazon's tools, for it reads none itself; the variables win.

    Raises UsageError if AWS_PROFILE names one that is not there, or that holds no keys (a login, a role of another).
    """
    if scheme != "s3" or is_public(scheme):
        return {}
    has_keys = bool(os.environ.get("AWS_ACCESS_KEY_ID"))
    asked = os.environ.get("AWS_PROFILE")
    found = _read_profile(asked or "default")
    if asked and not has_keys and "access_key_id" not in (found or {}):
        raise UsageError(
            f"AWS_PROFILE={asked}: {'there is no such profile' if found is None else 'it holds no keys'}; of one with a login or a role, put what it "
            f'gives into the environment: eval "$(aws configure export-credentials --profile {asked} --format env)"'
        )
    found = found or {}
    if has_keys or (not asked and any(name in os.environ for name in ROLES)):
        found = {name: value for name, value in found.items() if name in {"region", "endpoint"}}
    if any(name in os.environ for name in REGIONS):
        found.pop("region", None)
    if any(os.environ.get(name) for name in ENDPOINTS[:3]):
        found.pop("endpoint", None)
    return found


def _read_profile(name: str) -> dict[str, str] | None:
    """What is known of a profile; None if there is none of that name."""
    home = Path("~/.aws").expanduser()
    credentials = Path(os.environ.get("AWS_SHARED_CREDENTIALS_FILE") or home / "credentials").expanduser()
    config = Path(os.environ.get("AWS_CONFIG_FILE") or home / "config").expanduser()
    found: dict[str, str] | None = None
    for path, section in ((config, name if name == "default" else f"profile {name}"), (credentials, name)):
        parser = configparser.RawConfigParser()
        try:
            parser.read(path, encoding="utf-8")
        except (configparser.Error, UnicodeDecodeError):  # its text may hold a secret
            raise UsageError(f"{path}: not readable as a file of Amazon's tools (`aws configure` writes one)") from None
        if parser.has_section(section):
            given = dict(parser.items(section))
            found = (found or {}) | {ours: given[theirs] for theirs, ours in PROFILE_KEYS.items() if given.get(theirs)}
    return found
