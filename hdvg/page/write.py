"""`hdvg report` from the dataset's folder to the files: a page, a Markdown card, or figures alone."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from hdvg.config.recipe import Recipe
from hdvg.dataset.dataset import Dataset
from hdvg.dataset.snapshot import measures
from hdvg.errors import UsageError
from hdvg.page.card import card as card_of
from hdvg.page.compare import of_datasets, of_recipes
from hdvg.page.figures import Row, figures
from hdvg.page.html import plain_json
from hdvg.page.report import page_of
from hdvg.reports.beside import note_written

PAGES, CARDS = (".html", ".htm"), (".md", ".markdown")


def written(
    dataset: Dataset,
    *,
    out: Path | None = None,
    card: Path | None = None,
    compare: Dataset | Recipe | None = None,
    say: Callable[[str], None],
) -> Row:
    """Write the report's files and return its figures, ready for JSON.

    `out` is a page or a card, by how its name ends; `compare`: another dataset, or a recipe whose rules judge the same clips.
    Raises UsageError if a file cannot be written.
    """
    pages = [out] if out is not None and out.suffix.lower() in PAGES else []
    cards = [path for path in (out, card) if path is not None and path.suffix.lower() in CARDS]
    for path in (out, card):
        if path is not None and path not in (*pages, *cards):
            raise UsageError(f"{path}: a report is FILE.html, a card FILE.md")
        if path is not None and not path.absolute().parent.is_dir():
            raise UsageError(f"{path}: no such folder; name a file in a folder that is there")
    recipe = dataset.plan.recipe
    named = recipe.named_columns | (compare.named_columns if isinstance(compare, Recipe) else set())
    with measures(dataset, named & set(recipe.measure.columns.types), say) as connection:
        compared: Row | None = None
        pictures: dict[str, bytes] = {}
        if isinstance(compare, Recipe):
            compared, pictures = of_recipes(dataset, connection, compare)
        elif compare is not None:
            compared, pictures = of_datasets(dataset, compare)
        found = figures(dataset, connection)
        for path in pages:
            _save(path, page_of(dataset, connection, found, compared=compared, pictures=pictures))
    for path in cards:
        _save(path, card_of(found, compared))
    for one in [dataset, *([compare] if isinstance(compare, Dataset) else [])]:
        note_written(one, "report", {*pages, *cards})
    result: Row = plain_json(found | {"compared": compared})
    return result


def _save(path: Path, text: str) -> None:
    try:
        path.write_text(text, encoding="utf-8")
    except OSError as error:
        raise UsageError(f"{path}: {error.strerror}; name a file in a folder that is there") from error
