"""Links come in: from files and folders as they are, from lists on sites by reading these first."""

from __future__ import annotations

import json
import shutil
import threading
from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager
from pathlib import Path

from rich.console import Console
from rich.status import Status

from hdvg.config.recipe import Recipe
from hdvg.dataset import intake
from hdvg.dataset.dataset import Dataset
from hdvg.dataset.intake import Accepted
from hdvg.sandbox import Sandbox
from hdvg.sources.canonical import masked
from hdvg.sources.columns import Columns
from hdvg.sources.gather import shown
from hdvg.sources.lists.filter import Choice, Chosen, choose_entries
from hdvg.sources.lists.listing import PRELOAD, Listing, list_folder, progress, read_site
from hdvg.sources.lists.source import ListSource, list_source
from pipelines.perform import make_gate

COUNT_S = 2.0
KEPT = "cache/lists"
"""Where lists are kept that broke off, below the dataset."""


def accept_all(
    dataset: Dataset,
    sources: Sequence[str],
    choice: Choice,
    console: Console,
    *,
    all_files: bool = False,
    columns: Columns = Columns(),  # noqa: B008 - frozen
) -> bool:
    """Take the links of all sources, one after the other; False if one is a list that broke off, or has no good link.

    Raises as `accept`.
    """
    with closing(Sandbox(PRELOAD)) as sandbox:  # starts with the first list
        whole = True
        for links in sources:
            if list_source(links) is None:
                accepted = intake.accept(dataset, links, all_files=all_files, columns=columns)
                whole &= _announce(accepted, shown(links), console)
            else:
                whole &= accept(dataset, links, choice, console, sandbox=sandbox)
    return whole


def accept(dataset: Dataset, links: str, choice: Choice, console: Console, *, sandbox: Sandbox) -> bool:
    """Take the links of a source, and say how many are new; False if it is a list that broke off.

    Of a list that broke off what came is taken, and the next run goes on with it. Raises UsageError as `intake.accept` and
    `listing.read_site` do.
    """
    source = list_source(links)
    if source is None:
        return _announce(intake.accept(dataset, links), shown(links), console)
    folder = list_folder(dataset.root / KEPT, source, choice)
    with counting(folder, console):
        found = look(source, choice, folder=folder, recipe=dataset.plan.recipe, sandbox=sandbox)
    chosen = choose_entries(found.rows, choice)
    for line in report(found, chosen, choice):
        console.print(f"{links}: {line}", highlight=False)
    if chosen.rows:
        with dataset.store.scratch() as scratch:
            path = scratch / "links.jsonl"
            path.write_text("".join(json.dumps({"url": row["url"]}) + "\n" for row in chosen.rows), encoding="utf-8")
            _announce(intake.accept(dataset, str(path), origin=source.origin), links, console)
    if found.broken is None:
        shutil.rmtree(folder, ignore_errors=True)
    return found.broken is None


def look(source: ListSource, choice: Choice, *, folder: Path, recipe: Recipe, sandbox: Sandbox) -> Listing:
    """Read a list into `folder`, as politely as the recipe says; raises as `listing.read_site` does."""
    gate = make_gate(recipe)
    return read_site(source, choice, folder=folder.absolute(), settings=recipe.fetch, sandbox=sandbox, gate=gate)


@contextmanager
def counting(folder: Path, console: Console) -> Iterator[None]:
    """Show how many entries and pages of a list came so far."""
    done = threading.Event()

    def count(status: Status) -> None:
        while not done.wait(COUNT_S):
            status.update(f"listing: {progress(folder)} entries and pages")

    with console.status("listing") as status:
        counter = threading.Thread(target=count, args=(status,), daemon=True)
        counter.start()
        try:
            yield
        finally:
            done.set()
            counter.join()


def report(found: Listing, chosen: Chosen, choice: Choice) -> list[str]:
    """What a list came to, in lines for people."""
    lines = [f"{len(found.rows)} videos listed, {len(chosen.rows)} taken"]
    lines += [f"{count} dropped by {text}" for text, count in chosen.dropped.items()]
    of = "of those dropped" if choice.strict else "of those taken"
    hint = "" if choice.strict else "; --strict drops them"
    lines += [f"{count} {of} do not say what {text} needs{hint}" for text, count in chosen.unknown.items()]
    lines += [f"{count} entries passed over: {why}" for why, count in found.found.skipped.items()]
    if found.end == "most":
        lines.append(f"stopped after {choice.most} entries, for the list may go on: --max-items raises it")
    if found.broken is not None:
        lines.append(f"broke off here, the same command goes on: {found.broken}")
    return lines


def _announce(accepted: Accepted, links: str, console: Console) -> bool:
    """Say what a source came to; whether it has one good link."""
    parts = [f"{accepted.new} new"]
    parts += [
        f"{count} {word}"
        for count, word in (
            (accepted.known, "known"),
            (accepted.duplicates, "duplicate"),
            (accepted.bad, "bad"),
            (accepted.forgotten, "forgotten (taken down: not stored, not fetched)"),
        )
        if count
    ]
    lines = [", ".join(parts)]
    if accepted.texts:
        lines.append(
            f"{accepted.texts} texts kept as given captions: each of these videos is one clip "
            "(--set split.given=ignore: shots, without the texts; --set caption.captioner=given: they are the captions)"
        )
    if accepted.passed_over:
        lines.append(accepted.passed_over)
    if accepted.only_bad:
        lines.append(f"every link is bad, the first: {accepted.only_bad}")
    for line in lines:
        console.print(f"{masked(links)}: {line}", highlight=False, markup=False, emoji=False)
    return not accepted.only_bad
