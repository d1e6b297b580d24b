"""The command that says of a clip what a person thinks of it."""

from __future__ import annotations

from typing import Annotated, Any

import typer

from hdvg.cli.arguments import Author, Folder, Json, author_of
from hdvg.cli.tables import plain, print_json, print_table
from hdvg.dataset.location import relative
from hdvg.errors import UsageError

commands = typer.Typer()

NOTHING = "none"
"""How the command line writes that something is taken back."""


@commands.command()
def annotate(
    dataset: Folder,
    clip_id: Annotated[str | None, typer.Argument(metavar="CLIP_ID", help="the clip's id, or how it starts; without it: what is said so far")] = None,
    mark: Annotated[str | None, typer.Option("--mark", metavar="keep|drop|flag|none", help="your mark; none takes it back")] = None,
    note: Annotated[str | None, typer.Option("--note", metavar="TEXT", help="anything else; none takes it back")] = None,
    caption: Annotated[str | None, typer.Option("--caption", metavar="TEXT", help="a better caption, kept beside the clip's; none takes it back")] = None,
    author: Author = None,
    as_json: Json = False,
) -> None:  # fmt: skip
    """Say of a clip what you think of it. Rules may use the marks, of all authors, at once: no run is needed.

    Example: hdvg annotate my-dataset 3f9a --mark drop --note 'a screen, filmed'

    To let marks decide: hdvg filter my-dataset --set 'keep.by_hand=not marked_drop'
    """
    from hdvg.dataset import annotations, marks
    from hdvg.dataset.dataset import Dataset

    opened = Dataset.open(dataset)
    given = {"mark": mark, "note": note, "caption": caption}
    said = {name: None if text == NOTHING else text for name, text in given.items() if text is not None}
    if clip_id is None:
        if said:
            raise UsageError("say of which clip: hdvg annotate DATASET CLIP_ID --mark drop")
        return _list(opened, as_json=as_json)
    if not said:
        raise UsageError("say what of the clip, with --mark keep|drop|flag|none, --note or --caption")
    with opened.manifest() as manifest:
        found = manifest.rows("select clip_id, video_id from clips where starts_with(clip_id, ?) limit 2", [clip_id])
    if len(found) != 1:
        what = "several clips" if found else "no clip"
        raise UsageError(
            f'{what} with an id that starts with {clip_id!r}; ids: hdvg query … "select clip_id from clips"'
        )
    (row,) = annotations.annotate(opened, [{**found[0], "author": author_of(author), **said}])
    if as_json:
        return print_json(row)
    typer.echo(f"{row['clip_id']}, by {plain(row['author'])}: {plain(row['mark'] or 'no mark')}")
    if mark is not None and not marks.are_named(opened.plan.recipe):
        name = relative(dataset)
        typer.echo(f"no rule uses marks yet: hdvg filter {name} --set 'keep.by_hand=not marked_drop'")


def _list(opened: Any, *, as_json: bool) -> None:
    with opened.manifest() as manifest:
        rows = manifest.rows("select * from annotations order by written_at")
    names = ["clip_id", "author", "mark", "caption", "note", "written_at"]
    if as_json:
        print_json(rows)
    else:
        print_table(names, ([row[name] for name in names] for row in rows))
