"""How an object in a bucket is written as a link, and a folder of objects as a source of links."""

from __future__ import annotations

import re
from typing import NamedTuple

from hdvg.errors import ItemError

SCHEMES = {"s3": "s3", "s3a": "s3", "s3n": "s3", "gs": "gs", "gcs": "gs", "az": "az", "azure": "az"}
"""As they are written -> as they are stored: Amazon's S3 and what speaks like it, Google's, Azure's."""

SPELT = re.compile(rf"({'|'.join(SCHEMES)})://(.*)", re.IGNORECASE | re.DOTALL)
BUCKET = re.compile(r"\$root|\$web|[A-Za-z0-9](?:[A-Za-z0-9_-]|\.(?!\.)){1,220}[A-Za-z0-9]", re.ASCII)
QUERY = re.compile(r"\?[\w.-]+=", re.ASCII)
"""Where something begins that is no part of an object's name, but may hold a signature or a key."""

KEY_BYTES = 1024


class Place(NamedTuple):
    """An object, or a folder of objects whose key ends with a slash or is empty. A key stands for itself: nothing in it is
    percent-encoded."""

    scheme: str
    bucket: str
    key: str

    @property
    def is_folder(self) -> bool:
        """Whether it is no single object."""
        return not self.key or self.key.endswith("/")

    @property
    def link(self) -> str:
        """The canonical spelling."""
        return f"{self.scheme}://{self.bucket}/{self.key}"


def is_bucket(text: str) -> bool:
    """Whether a link is written as one into a bucket."""
    return SPELT.match(text) is not None


def is_folder(text: str) -> bool:
    """Whether a link is written as a folder of objects."""
    found = SPELT.fullmatch(text.strip())
    return found is not None and (found[2].endswith("/") or "/" not in found[2])


def place_of(text: str) -> Place:
    """What a link into a bucket names. Raises ItemError("bad_input"); its detail repeats nothing that may be a secret."""
    found = SPELT.fullmatch(text.strip())
    if found is None:
        raise ItemError(
            "bad_input", f"no link into a bucket: s3://bucket/folder/video.mp4 would be fine; so would {_others()}"
        )
    scheme, (bucket, _, key) = SCHEMES[found[1].lower()], found[2].partition("/")
    if QUERY.search(found[2]):
        raise ItemError(
            "bad_input",
            "a query in the link, which may hold a signature or a key: take it out, the name of the object is enough",
        )
    if "@" in bucket or ":" in bucket:
        raise ItemError(
            "bad_input",
            "a user name, password or address in the link: it would be stored with every clip; take it out: credentials and "
            "the store's address (AWS_ENDPOINT_URL) come from the environment",
        )
    if not BUCKET.fullmatch(bucket):
        raise ItemError("bad_input", f"no name of a bucket: {bucket[:100]!r}")
    _check_key(key.removesuffix("/"))
    return Place(scheme, bucket, key)


def object_link(text: str) -> str:
    """The canonical link of an object. Raises ItemError("bad_input"), for a folder too."""
    place = place_of(text)
    if place.is_folder:
        raise ItemError("bad_input", "a folder of a bucket, not a video: it may stand among the --links")
    return place.link


def without_query(text: str) -> str:
    """A link into a bucket as it can be stored and shown, whatever was appended to it."""
    found = QUERY.search(text) if is_bucket(text) else None
    return text[: found.start()] + "?***" if found else text


def _check_key(key: str) -> None:
    """Raise ItemError for a name that the library could not ask for as it stands."""
    if re.search(r"[\x00-\x1f\x7f]", key):
        raise ItemError("bad_input", "a control character in the name of the object")
    if key and {"", ".", ".."} & set(key.split("/")):
        raise ItemError("bad_input", "`//`, `.` or `..` in the name of the object: it cannot be asked for")
    try:
        too_long = len(key.encode()) > KEY_BYTES
    except UnicodeEncodeError:
        raise ItemError("bad_input", "the name of the object is no UTF-8") from None
    if too_long:
        raise ItemError("bad_input", f"the name of the object is longer than {KEY_BYTES} bytes")


def _others() -> str:
    return "gs:// and az://"
