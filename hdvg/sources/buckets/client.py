"""The client of one object in a bucket, in the fetching child: it is given a signed address, and no credentials."""

from __future__ import annotations

import re
import urllib.parse
from pathlib import Path, PurePosixPath
from typing import Any

from yt_dlp.networking import Request
from yt_dlp.networking.exceptions import HTTPError, RequestError, TransportError

from hdvg.errors import HdvgError, ItemError, ResourceError, TransientError
from hdvg.sources.buckets.environment import CREDENTIALS
from hdvg.sources.buckets.spelling import place_of
from hdvg.sources.buckets.words import REFUSED, code_in
from hdvg.sources.client import NAME, Client
from hdvg.sources.formats import Preferences, choose
from hdvg.sources.ranges import try_excerpt

ANSWER_BYTES = 1 << 14
CHUNK = 1 << 20
REGION = re.compile(r"[a-z0-9-]{1,40}", re.ASCII)
BREAKS_MOST = 20
"""How often one try goes on after a broken connection, each time with more bytes than before."""


class ObjectClient(Client):
    """Fetches what a signed address leads to, as it is: no page is read, no host's rules are asked for, for the store is the
    user's own."""

    _scheme = ""
    _is_open = False
    """Whether the store has answered the address once."""

    def fetch(self, source: str) -> None:
        info = self._info(source)
        self.choice, self.taken = choose([info], Preferences.of(self._limits)), info
        if self._limits.get("as_excerpt"):
            self.excerpt, self.whole_because = try_excerpt(self, info, NAME)
        if self.excerpt is None:
            self._fetch_whole(info["url"])
        self._pace.pay()

    def look(self, source: str) -> None:
        info = self._info(source)
        response = self._open(info["url"], 0, None)
        length = str(response.headers.get("Content-Length", ""))
        response.close()
        self.taken = info | {"filesize": int(length) if length.isdecimal() else None}
        self.choice = choose([self.taken], Preferences.of(self._limits))

    def urlopen(self, req: Any) -> Any:
        try:
            response = super().urlopen(req)
        except HTTPError as error:
            if found := self._refusal(error):
                raise found from None
            raise
        self._is_open = True
        return response

    def _info(self, source: str) -> dict[str, Any]:
        """What yt-dlp would say of it."""
        place, address = place_of(source), self._limits["signed"]
        self._scheme = place.scheme
        return {
            "title": PurePosixPath(place.key).stem,
            "extractor": place.scheme,
            "webpage_url": source,
            "url": address,
            "protocol": urllib.parse.urlsplit(address).scheme,
        }

    def _open(self, address: str, start: int, etag: str | None) -> Any:
        """The answer with the bytes from `start` on, of the same version of the object."""
        headers = {"Accept-Encoding": "identity"} | ({"Range": f"bytes={start}-"} if start else {})
        try:
            response = self.urlopen(Request(address, headers=headers | ({"If-Match": etag} if start and etag else {})))
        except HTTPError as error:
            if start and error.status == 412:
                raise TransientError("short", "the object changed while it was fetched") from None
            raise
        if start and response.status != 206:
            raise TransientError("protocol", "the store does not send the rest of an object")
        return response

    def _fetch_whole(self, address: str) -> None:
        """All of it into `NAME`, on from where a connection broke; raises as `urlopen`."""
        etag: str | None = None
        start, breaks = 0, 0
        with Path(NAME).open("wb") as file:
            while True:
                try:
                    response = self._open(address, start, etag)
                    etag = etag or response.headers.get("ETag")
                    while data := response.read(CHUNK):
                        file.write(data)
                    return
                except TransportError:
                    breaks += 1
                    if file.tell() == start or breaks > BREAKS_MOST or etag is None:
                        raise
                    start = file.tell()

    def _refusal(self, error: HTTPError) -> HdvgError | None:
        """What the store's answer means that its status does not say."""
        try:
            code = code_in(error.response.read(ANSWER_BYTES).decode("utf-8", "replace"))
        except RequestError:
            code = ""
        status = int(error.status)
        if self._is_open and (code in REFUSED or status == 403):  # the next try gets a new signature
            return TransientError("network", f"{code or status}: what the store gave a moment ago it refuses now")
        if code in REFUSED:
            refused = f"the store refuses the credentials of this machine ({code})"
            return ResourceError(f"{refused}: {CREDENTIALS[self._scheme]}; then run the same command again")
        region = str(error.response.headers.get("x-amz-bucket-region") or "")
        if status in {301, 307, 400} and REGION.fullmatch(region):
            return TransientError("network", f"the bucket lies in {region}: AWS_REGION={region}")
        if status in {401, 403}:
            return ItemError("private", f"{code or status}: the credentials of this machine do not open it")
        return None
