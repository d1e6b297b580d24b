"""`written`: the pages, cards and sheets that were written of a dataset, so that a take-down can say which may show a video."""

from schemas.columns import STR, column, table

WRITTEN = table(
    [
        column("path", STR, "the file, as this machine names it"),
        column("what", STR, "the command that wrote it: `report` or `sheet`"),
        column("state", STR, "the state of the dataset that it shows, as in the provenance of a report"),
    ]
)
