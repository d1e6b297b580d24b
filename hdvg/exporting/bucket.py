"""A folder of a bucket as the target of an export: each file is put there under its name once, whole, and leaves this machine."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

from hdvg.dataset.far import Far, bucket_of
from hdvg.dataset.location import called
from hdvg.errors import ItemError, UsageError
from hdvg.exporting import Wanted, export

if TYPE_CHECKING:
    from rich.console import Console

    from hdvg.dataset.dataset import Dataset


class FarExport(Far):
    """The folder of the bucket: of an export no name says its bytes, and all files go there."""

    local = ("tmp/",)
    by_bytes = ()


def export_to_bucket(dataset: Dataset, wanted: Wanted, link: str, console: Console) -> dict[str, Any]:
    """Make the folder of the bucket hold exactly what is wanted; what is there already stays. The report, as `export` gives it.

    It is worked beside the dataset, with room for one file. Raises as `export`; UsageError for a link that cannot be, or if
    its store cannot be spoken to; ResourceError if that does not answer, or lets a second one create what is there.
    """
    if wanted.format == "lance":
        raise UsageError(
            "--to lance writes files of random names into a folder, and its own versions: export into a folder, and copy that to "
            f"{link} (aws s3 sync), where Lance opens it"
        )
    with dataset.store.aside() as store, store.scratch() as scratch:
        try:
            far = FarExport(scratch / "export", bucket_of(link))
        except ItemError as error:
            raise UsageError(f"--out {link}: {error.detail}") from None
        far.root.mkdir()
        called(far.root, far.link)
        return export(dataset, replace(wanted, out=far.root), console, far=far) | {"out": far.link}
