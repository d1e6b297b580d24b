"""The library that speaks to object stores, in the process that has the user's credentials: it signs addresses and lists folders."""

from __future__ import annotations

import functools
import re
import urllib.parse
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager, suppress
from datetime import timedelta
from pathlib import Path
from typing import Any, NamedTuple

from hdvg.errors import HdvgError, ItemError, TransientError, UsageError
from hdvg.sources.buckets.environment import (
    CREDENTIALS,
    endpoint_is_plain,
    is_public,
    profile,
    require_obstore,
    variables,
)
from hdvg.sources.buckets.spelling import Place, place_of
from hdvg.sources.buckets.words import REFUSED, code_in

SIGNED_MOST_S = 7 * 24 * 3600
"""The longest that stores let a signed address hold."""
NO_PROXY = {"proxy_url": "http://127.0.0.1:1", "proxy_excludes": "*,0.0.0.0/0,::/0"}
"""Keeps the library from the environment's HTTP_PROXY, which the rest of a fetch does not use either."""
ROLE_SERVICES = "169.254.169.254,169.254.170.2,169.254.170.23,metadata.google.internal,metadata"
"""Where machines and containers ask for their role; never by a proxy."""
NOBODY = {
    "s3": {"access_key_id": "nobody", "secret_access_key": "nobody"},
    "az": {"account_key": "bm9ib2R5"},
}
"""Keys that sign an address whose signature is then dropped: of public buckets."""
STATUS = re.compile(r"non-2xx status code: (\d{3})")
STATUSES = {"NotFoundError": 404, "FileNotFoundError": 404, "PermissionDeniedError": 403, "UnauthenticatedError": 401}
ASKED = re.compile(
    r"(?:Error performing (?:list request|GET|HEAD|PUT|POST|DELETE)|DeleteObjects request)"
    r"(?!.*(?:169\.254\.169\.254|169\.254\.170\.|metadata\.google|token request))",
    re.IGNORECASE,
)
"""In the first line of an error, where the store itself was asked: not the machine for its role."""
LARGE_BYTES, PATIENT_S = 16 * 2**20, 1800.0
"""From that size on a transfer may take so long."""
PARTS, PARTS_AT_ONCE = 9_000, 4
"""Of an object that is put in parts, the most that there may be (S3 allows 10,000), and how many are in memory."""
GOOGLE = "https://storage.googleapis.com"


def signed_address(link: str, way: Mapping[str, Any], *, seconds: float) -> str:
    """The http(s) address of the object behind a canonical link, which anybody may GET for so long.

    `way` is what a child is given of the way out (`egress.WayOut.as_settings`). Raises UsageError without the library or
    credentials, ItemError("bad_input") for a name that the library cannot sign.
    """
    import obstore

    place = place_of(link)
    if place.scheme == "gs" and is_public("gs"):
        return f"{GOOGLE}/{place.bucket}/{urllib.parse.quote(place.key, safe='/')}"
    store = _open(place, way, signs=True)
    holds = timedelta(seconds=min(seconds, SIGNED_MOST_S))
    with _worded(place):
        address = str(obstore.sign(store, "GET", place.key, holds))
    if way.get("proxy"):
        _refuse_private(address)
    path = urllib.parse.unquote(urllib.parse.urlsplit(address).path)
    if not path.endswith(f"/{place.key}"):  # else another object would be fetched
        raise ItemError("bad_input", "obstore cannot sign the name of this object; give it a plainer one")
    return address.partition("?")[0] if is_public(place.scheme) else address


def _refuse_private(address: str) -> None:
    """Raise UsageError for a store that a proxy is not asked for."""
    from hdvg.sources.hops import private_target  # brings yt-dlp

    if refusal := private_target(address):
        raise UsageError(
            f"the store at {urllib.parse.urlsplit(address).netloc} is on your own network ({refusal}), which a proxy is not asked for: "
            "unset HDVG_PROXY or leave fetch.proxy away"
        )


Version = dict[str, str]
"""What a store calls one version of an object."""


class Object(NamedTuple):
    """An object as a listing has it: its name from the folder on, bytes, version, and when it was put, seconds since 1970."""

    name: str
    size: int
    version: str
    touched: float


class Bucket:
    """A folder of a bucket. Raises as `signed_address`, and ItemError gone or private, TransientError network."""

    def __init__(self, place: Place, way: Mapping[str, Any]) -> None:
        self.place = place
        self._store = _open(place, way)
        self._patient = _open(place, way, timeout_s=PATIENT_S)

    def objects(self) -> Iterator[Object]:
        """Each object below the folder; in the order of the store."""
        import obstore

        with _worded(self.place):
            for some in obstore.list(self._store, self.place.key or None):
                for one in some:
                    name, touched = str(one["path"]).removeprefix(self.place.key), one["last_modified"]
                    yield Object(name, int(one["size"]), str(one["e_tag"] or touched), touched.timestamp())

    def names_from(self, folder: str, start: str) -> Iterator[str]:
        """The names of objects in a folder of the folder that begin with `start`."""
        import obstore

        first = self.place.key + folder + start
        with _worded(self.place):
            for some in obstore.list(self._store, self.place.key + folder, offset=first):
                for one in some:
                    if not one["path"].startswith(first):
                        return
                    yield str(one["path"]).removeprefix(self.place.key)

    def read(self, name: str) -> Iterator[bytes]:
        """An object's bytes, in pieces."""
        import obstore

        with _worded(self.place):
            yield from map(bytes, obstore.get(self._patient, self.place.key + name))

    def read_range(self, name: str, start: int, size: int) -> bytes:
        """`size` bytes of an object, from `start` on."""
        import obstore

        with _worded(self.place):
            return bytes(obstore.get_range(self._patient, self.place.key + name, start=start, length=size))

    def read_version(self, name: str) -> tuple[bytes, Version] | None:
        """A small object and its version; None if there is none."""
        import obstore

        with _worded(self.place):
            try:
                found = obstore.get(self._store, self.place.key + name)
                return bytes(found.bytes()), _version(found.meta)
            except FileNotFoundError:
                return None

    def version(self, name: str) -> Version | None:
        """The version of an object; None if there is none."""
        import obstore

        with _worded(self.place):
            try:
                return _version(obstore.head(self._store, self.place.key + name))
            except FileNotFoundError:
                return None

    def create(self, name: str, content: bytes | Path) -> Version | None:
        """Put an object, whole; None, with nothing changed, if there is one of that name."""
        return self._put(name, content, "create")

    def put_in_parts(self, name: str, content: Path) -> Version:
        """Put an object, whole, in the place of what there may be; a part of it is in memory at a time.

        No store's library has a condition for that (obstore 0.12), so it is for names that say their bytes.
        """
        import obstore

        size = max(LARGE_BYTES, -(-content.stat().st_size // PARTS))
        with _worded(self.place):
            return _version(
                obstore.put(
                    self._patient,
                    self.place.key + name,
                    content,
                    use_multipart=True,
                    chunk_size=size,
                    max_concurrency=PARTS_AT_ONCE,
                )
            )

    def swap(self, name: str, content: bytes | Path, version: Version | None) -> Version | None:
        """Put an object in the place of that version, or of none; None, with nothing changed, if there is another by now."""
        return self._put(name, content, version or "create")

    def delete(self, names: Iterable[str]) -> None:
        """Take objects away; fine if they are gone."""
        import obstore

        keys = [self.place.key + name for name in names]
        with _worded(self.place):
            try:
                obstore.delete(self._store, keys)
            except FileNotFoundError:  # not every store says nothing of that
                for key in keys if len(keys) > 1 else ():
                    with suppress(FileNotFoundError):
                        obstore.delete(self._store, key)

    def _put(self, name: str, content: bytes | Path, mode: Any) -> Version | None:
        import obstore
        from obstore.exceptions import AlreadyExistsError, PreconditionError

        size = len(content) if isinstance(content, bytes) else content.stat().st_size
        store = self._store if size < LARGE_BYTES else self._patient
        with _worded(self.place):
            try:
                return _version(obstore.put(store, self.place.key + name, content, mode=mode, use_multipart=False))
            except (AlreadyExistsError, PreconditionError):
                return None
            except FileNotFoundError:
                if mode == "create":
                    raise
                return None


def _version(found: Any) -> Version:
    """What the library gives of an object, as it takes it back."""
    return {name: str(found[name]) for name in ("e_tag", "version") if found.get(name)}


def listed(folder: Place, way: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    """Each object below a folder: its link, and its name from the folder on. Raises as `Bucket`."""
    for one in Bucket(folder, way).objects():
        yield folder._replace(key=folder.key + one.name).link, one.name


@contextmanager
def _worded(place: Place) -> Iterator[None]:
    """What the library raises, as what it means."""
    from obstore.exceptions import BaseError

    try:
        yield
    except (BaseError, FileNotFoundError, TypeError, ValueError) as error:  # the last two of what cannot be asked for
        raise _failure(error, place) from None


def _open(place: Place, way: Mapping[str, Any], *, signs: bool = False, timeout_s: float = 60.0) -> Any:
    """obstore's store of a bucket. Raises UsageError."""
    require_obstore()
    options: dict[str, Any] = dict(profile(place.scheme))
    if signs and is_public(place.scheme):
        options |= {**NOBODY[place.scheme], "skip_signature": "false"}
    client = _client_options(way, options) | {"timeout": timedelta(seconds=timeout_s)}
    seen = tuple(sorted(variables(place.scheme).items()))  # another environment is another store
    return _opened(place.scheme, place.bucket, tuple(client.items()), tuple(sorted(options.items())), seen)


def _client_options(way: Mapping[str, Any], options: dict[str, Any]) -> dict[str, Any]:
    """How the library is to speak to a store."""
    proxy, ca_pem = way.get("proxy"), way.get("ca_pem")
    client: dict[str, Any] = {"proxy_url": proxy, "proxy_excludes": ROLE_SERVICES} if proxy else dict(NO_PROXY)
    client |= {"allow_http": endpoint_is_plain(options)}
    return client | ({"root_certificate": ca_pem} if ca_pem else {})


@functools.lru_cache(maxsize=64)
def _opened(
    scheme: str, bucket: str, client: tuple[tuple[str, Any], ...], options: tuple[tuple[str, str], ...], _: object
) -> Any:
    from obstore.store import AzureStore, GCSStore, S3Store

    made: Any = {"s3": S3Store, "gs": GCSStore, "az": AzureStore}[scheme]
    retry = {"max_retries": 4, "retry_timeout": timedelta(seconds=60)}
    with _worded(Place(scheme, bucket, "")):
        return made(bucket, client_options=dict(client), retry_config=retry, **dict(options))


def _failure(error: Exception, place: Place) -> HdvgError:
    """What an error of the library means. Its own text is not passed on: it may repeat what was sent."""
    name, text = type(error).__name__, str(error)
    code, shown = code_in(text), f"{place.scheme}://{place.bucket}"
    status = int(found[1]) if (found := STATUS.search(text)) else STATUSES.get(name, 0)
    if code in REFUSED or (status == 401 and not code):
        refused = f"its store refuses the credentials of this machine ({code or status})"
        return UsageError(f"{shown}: {refused}: {CREDENTIALS[place.scheme]}")
    if status == 404:
        return ItemError("gone", code or "there is no such bucket")
    if code and (status == 403 or code == "AccessDenied"):
        return ItemError("private", f"{code}: the credentials of this machine do not open {shown}")
    if not ASKED.search(text.partition("\n")[0]):
        return UsageError(f"{shown}: no credentials that open a store: {CREDENTIALS[place.scheme]}")
    return TransientError("network", code or text.partition("\n")[0].rpartition(" - ")[2][:200])
