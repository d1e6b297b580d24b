"""The command that finds out how right a dataset is: questions to people, and rates with intervals."""

from __future__ import annotations

import shlex
import sys
from contextlib import nullcontext
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from hdvg.cli.arguments import Author, Folder, Json, author_of
from hdvg.cli.tables import plain, print_json, print_table
from hdvg.dataset.location import relative
from hdvg.errors import UsageError

if TYPE_CHECKING:
    from hdvg.audit.sitting import Sitting
    from hdvg.dataset.dataset import Dataset

commands = typer.Typer()

SIMULATED = 2000


@commands.command()
def audit(
    dataset: Folder,
    topics: Annotated[str | None, typer.Option("--topics", metavar="A,B", help="cut, caption, or rules by name; default all that an eye can judge")] = None,
    clips: Annotated[int, typer.Option("--clips", min=1, help="questions of a new audit")] = 300,
    author: Author = None,
    new: Annotated[bool, typer.Option("--new", help="draw another audit, though one is open or has ended")] = False,
    questions: Annotated[Path | None, typer.Option("--questions", metavar="FILE", help="write your questions as CSV (-: standard output)")] = None,
    answers: Annotated[Path | None, typer.Option("--answers", metavar="FILE", help="read your answers from the CSV file")] = None,
    end: Annotated[bool, typer.Option("--end", help="end the audit for good and show its rates")] = False,
    result: Annotated[bool, typer.Option("--result", help="the rates of the last audit that has ended")] = False,
    until: Annotated[float | None, typer.Option("--until", min=0.001, max=1, metavar="WIDTH", help="a new audit, to stop once intervals are so narrow")] = None,
    suggest: Annotated[str | None, typer.Option("--suggest", metavar="RULE", help="a threshold of this rule, from the answers")] = None,
    most: Annotated[float, typer.Option("--most", min=0.001, max=0.5, metavar="SHARE", help="with --suggest: faults among kept clips, at most")] = 0.02,
    simulate: Annotated[bool, typer.Option("--simulate", help="try the method on made-up audits with known truth; asks nothing of the dataset")] = False,
    port: Annotated[int, typer.Option("--port", min=0, max=65535, help="listen here; by default on a free port")] = 0,
    browser: Annotated[bool, typer.Option("--browser/--no-browser", help="open the link in this machine's browser")] = True,
    as_json: Json = False,
) -> None:  # fmt: skip
    """Find out how right the dataset is: a few hundred clips, one question each, answered by keys in a page, and rates with intervals.

    Example: hdvg audit my-dataset

    Without a browser: hdvg audit my-dataset --questions q.csv, fill it in, hdvg audit my-dataset --answers q.csv
    """
    from hdvg.audit import sitting as open_one
    from hdvg.dataset.dataset import Dataset

    if simulate:
        return _simulate(as_json=as_json)
    opened = Dataset.open(dataset)
    if result or suggest:
        return (
            _suggest(opened, suggest, most, author_of(author), as_json=as_json)
            if suggest
            else _result(opened, as_json=as_json)
        )
    sitting = _sitting(opened, topics, clips, until, is_new=new)
    name = author_of(author)
    if questions is not None:
        return _write(opened, sitting, name, questions)
    if answers is not None:
        sitting = _read(opened, sitting, name, answers)
    if end:
        open_one.end(opened, sitting, name)
        return _result(opened, as_json=as_json)
    if answers is None:
        return _serve(opened, name, port, browser=browser)
    _stand(opened, sitting, name, as_json=as_json)


def _sitting(dataset: Dataset, topics: str | None, clips: int, until: float | None, *, is_new: bool) -> Sitting:
    """The audit that takes answers; a new one where there is none. Raises UsageError where all have ended, without --new."""
    from hdvg.audit.draw import Drawing, draw
    from hdvg.audit.sitting import sittings

    held = sittings(dataset)
    if held and not is_new:
        if not held[-1].has_ended:
            if topics or until:
                raise UsageError(f"audit {held[-1].audit} is open: go on with it, --end it, or add --new for another")
            return held[-1]
        raise UsageError(f"audit {held[-1].audit} has ended: --result shows it, --new draws another")
    names = [name.strip() for name in topics.split(",") if name.strip()] if topics else None
    draw(dataset, names, Drawing(clips, until=until))
    return sittings(dataset)[-1]


def _write(dataset: Dataset, sitting: Sitting, author: str, path: Path) -> None:
    from hdvg.audit.sitting import write_questions

    rows = sitting.left(author)
    try:
        with nullcontext(sys.stdout) if str(path) == "-" else path.open("w", encoding="utf-8", newline="") as file:
            write_questions(file, rows, shlex.quote(relative(dataset.root)))
    except OSError as error:
        raise UsageError(f"--questions {path}: {error.strerror}; name a file in a folder that is there") from error
    typer.echo(f"{len(rows)} questions for {plain(author)}: fill the column `answer` with y, n or u", err=True)


def _read(dataset: Dataset, sitting: Sitting, author: str, path: Path) -> Sitting:
    from hdvg.audit.sitting import read_answers, record, sittings

    try:
        with path.open(encoding="utf-8-sig", newline="") as file:
            given = dict(read_answers(file))
    except (OSError, UnicodeDecodeError) as error:
        raise UsageError(f"--answers {path}: cannot be read: {error}") from error
    record(dataset, sitting, author, given)
    typer.echo(f"{len(given)} answers of {plain(author)} are stored", err=True)
    return next(one for one in sittings(dataset) if one.audit == sitting.audit)


def _stand(dataset: Dataset, sitting: Sitting, author: str, *, as_json: bool) -> None:
    """How far the audit has come; rates stay hidden."""
    from hdvg.audit.results import standing

    stands = standing(dataset, sitting, author)
    if as_json:
        return print_json(stands)
    typer.echo(
        f"audit {sitting.audit}: {stands['answered']} of {stands['questions']} questions are answered, {stands['left']} left for {plain(author)}"
    )
    if stands["enough"] or not stands["left"]:
        why = "every interval is narrow enough" if stands["enough"] else "nothing is left for you"
        typer.echo(f"{why}: --end ends the audit and shows its rates")


def _result(dataset: Dataset, *, as_json: bool) -> None:
    from dataclasses import asdict

    from hdvg.audit.results import agreement, results
    from hdvg.audit.sitting import sittings

    ended = [one for one in sittings(dataset) if one.has_ended]
    if not ended:
        raise UsageError("no audit has ended: rates are hidden until then; --end ends the one that is open")
    found, agreed = results(dataset), agreement(ended[-1])
    if as_json:
        return print_json({"audit": ended[-1].audit, "rates": found, "agreement": asdict(agreed)})
    names = ["topic", "side", "share", "low", "high", "how", "errors", "asked", "unsure", "clips"]
    print_table(names, ([_cell(name, row[name]) for name in names] for row in found))
    for row in found:
        typer.echo(plain(row["sentence"]))
    typer.echo(_agreed(asdict(agreed)))


def _cell(name: str, value: Any) -> Any:
    return f"{value:.1%}" if name in ("share", "low", "high") and value is not None else value


def _agreed(found: dict[str, Any]) -> str:
    if found["kappa"] is None:
        return f"{found['doubles']} questions were answered by two people; from 50 their agreement is told"
    kappa = f"kappa {found['kappa']:.2f} ({found['low']:.2f} to {found['high']:.2f})"
    return f"{found['doubles']} questions were answered by two people: {kappa}, {found['agreed']:.0%} alike"


def _suggest(dataset: Dataset, rule: str, most: float, author: str, *, as_json: bool) -> None:
    from dataclasses import asdict

    from hdvg.audit.sitting import sittings
    from hdvg.audit.thresholds import suggest

    ended = [one for one in sittings(dataset) if one.has_ended]
    if not ended:
        raise UsageError("no audit has ended; a threshold is suggested from one that has")
    found = suggest(dataset, ended[-1], rule, most=most, author=author)
    if as_json:
        return print_json(asdict(found))
    typer.echo(found.sentence)
    if found.threshold is not None:
        text = f"keep.{found.rule}={found.measure} {found.bound} {found.threshold!r}"
        typer.echo(
            "to look first: "
            + shlex.join(
                [
                    "hdvg",
                    "filter",
                    relative(dataset.root),
                    "--set",
                    text,
                    "--what-if",
                    f"{found.measure} {found.bound} {found.threshold!r}",
                ]
            )
        )


def _simulate(*, as_json: bool) -> None:
    from dataclasses import asdict

    from hdvg.audit.simulate import settings, simulate, summary

    tried = []
    for one in simulate(SIMULATED, settings()):
        tried.append(one)
    if as_json:
        return print_json({"settings": [asdict(one) | {"narrower": one.narrower} for one in tried], **summary(tried)})
    names = ["errors", "rho", "blind", "coverage", "truth above", "width", "plain", "narrower", "exact"]
    print_table(
        names,
        (
            [
                one.setting.errors,
                one.setting.rho,
                one.setting.blind,
                one.coverage,
                one.above,
                one.width,
                one.plain_width,
                one.narrower,
                one.exact,
            ]
            for one in tried
        ),
    )
    for name, value in summary(tried).items():
        typer.echo(f"{name}: {value:.4g}")


def _serve(dataset: Dataset, author: str, port: int, *, browser: bool) -> None:
    from hdvg.cli.see import NEEDS, open_link
    from hdvg.cli.signals import interruptible
    from hdvg.registry import require

    require(NEEDS, called="the page of hdvg audit", extra="explore")
    from hdvg.explore.serving import Place, Started, serve

    def ready(started: Started) -> None:
        typer.echo(f"audit {dataset.name}: {started.link}")
        typer.echo(
            "the link opens one browser, once; answers are kept as they are given; Ctrl-C ends the server", err=True
        )
        if browser:
            open_link(started.link)

    with interruptible():
        serve(dataset.root, Place(port=port, page="audit"), author=author, folder=Path.cwd(), ready=ready)
