"""A source's file as FFmpeg reads it through Python: an error of the machine is seen, which FFmpeg takes for the file's end."""

from __future__ import annotations

import io
from typing import Any

from hdvg.errors import ResourceError


class SourceFile(io.FileIO):
    """A file to read; `failed` holds the machine's error, if a read failed."""

    failed: OSError | None = None

    def read(self, size: int | None = -1, /) -> bytes:
        try:
            return super().read(-1 if size is None else size) or b""
        except OSError as error:
            self.failed = error
            raise


def file_of(container: Any) -> Any:
    """The Python file that an opened container reads, None if it has none."""
    return container.file.file if container.file is not None else None


def check_was_read(file: Any) -> None:
    """Raise ResourceError if the machine could not read what FFmpeg asked of this file, if it is a SourceFile."""
    failed = getattr(file, "failed", None)
    if failed is not None:
        raise ResourceError(f"{file.name}: cannot read: {failed.strerror or failed}; look at the disk, then run again")
