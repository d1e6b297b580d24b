"""Put the answers of commands on the terminal."""

from __future__ import annotations

import shlex
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import typer

from hdvg.cli.tables import WHOLE, plain, print_json, print_table
from hdvg.dataset.location import relative, shown
from hdvg.errors import UsageError

if TYPE_CHECKING:
    from rich.console import Console

    from hdvg.dataset.dataset import Dataset


def console() -> Console:
    """Where progress and notes go: standard error, and the log of a run."""
    from rich.console import Console

    from hdvg.dataset.run_log import LOGGER

    class Logged(Console):
        """What is printed as text is logged too; bars are not."""

        def print(self, *objects: Any, **how: Any) -> None:
            if objects and all(isinstance(one, str) for one in objects):
                LOGGER.info("%s", " ".join(map(plain, objects)))
            super().print(*(shown(one) if isinstance(one, str) else one for one in objects), **how)

    width = None if sys.stderr.isatty() else WHOLE
    return Logged(stderr=True, width=width, markup=False, emoji=False)  # links and folders are shown as they are


def note(text: str) -> None:
    """A word on standard error about how an answer was found."""
    typer.echo(f"note: {shown(text)}", err=True)


def status(dataset: Dataset, *, as_json: bool, histograms: bool = False, concepts: bool = False) -> None:
    """The funnel, the reasons, what is pending, and how fast a run goes; with `histograms` those of the rules' measures, with `concepts`
    what kept clips are of."""
    from dataclasses import asdict

    from hdvg.reports.status import status as find

    report = asdict(find(dataset)) | {"dataset": shown(str(dataset.root))}
    if histograms:
        from hdvg.cli.charts import BARS
        from hdvg.filtering.histograms import BINS, spread

        found = spread(dataset, bins=BINS if as_json else BARS, say=note)
        report["histograms"] = [asdict(one) for one in found.histograms]
    if concepts:
        report["concepts"] = _counted(dataset)
    if as_json:
        return print_json(report)
    typer.echo(f"{report['dataset']} (recipe {report['recipe']})")
    for name in report["damaged"]:
        typer.echo(f"lost or damaged, and left out here: {name}; hdvg verify {relative(dataset.root)} --repair")
    print_table(["stage", "items", "hours"], (row.values() for row in report["funnel"]))
    for title, key in (("dropped for", "dropped"), ("failures", "failures"), ("pending", "pending")):
        if report[key]:
            print_table(
                [title if index == 0 else name for index, name in enumerate(report[key][0])],
                (row.values() for row in report[key]),
            )
    if report["not_taken"]:
        lacked = ", ".join(f"{row['measure']} ({row['clips']} clips)" for row in report["not_taken"])
        typer.echo(f"measures not taken, or of an older version: {lacked}; hdvg measure {relative(dataset.root)}")
    if report["decode_passes"]["mean"] is not None:
        mean, most = report["decode_passes"]["mean"], report["decode_passes"]["max"]
        typer.echo(f"decode passes per source, split and cut together: {mean:.2f} on average, {most:.2f} at most")
    if (parts := report["sections"])["videos"] or parts["whole"]:
        saved = f", {parts['saved_bytes'] / 1e6:.1f} MB saved ({1 - parts['share']:.0%})" if parts["sized"] else ""
        typer.echo(f"fetched in part: {parts['videos']} videos{saved}; whole all the same: {parts['whole']}")
    if report["last_run"]:
        names = ["units", "ok", "failed", "retry", "spent_s", "model_busy_share", "batches_ahead"]
        rows = ([stage, *(row.get(name) for name in names)] for stage, row in report["last_run"]["stages"].items())
        print_table(["last run", *names], rows)
    if report["hosts"]:
        _hosts(report["hosts"])
    _beside_published(report)
    if report["captions"] is not None:
        _captions(report["captions"])
    if report["running"]:
        speed, eta = report["videos_per_min"], report["eta_s"]
        typer.echo(
            f"running: {speed:.1f} videos/min, about {eta:.0f} s left" if speed and eta is not None else "running"
        )
    elif report["pending"]:
        typer.echo(f"to go on: hdvg run {relative(dataset.root)}")
    if concepts:
        _concepts(report["concepts"])
    if histograms:
        from hdvg.cli.charts import print_histograms

        print_histograms(found)


def links(dataset: Dataset, *, as_json: bool, csv_file: Path | None) -> None:
    """The ledger of links: as a table, JSON, or CSV into a file (`-`: standard output)."""
    from hdvg.reports.links import ledger, write_csv

    with dataset.manifest() as manifest:
        rows = ledger(manifest)
    if csv_file is not None and str(csv_file) != "-":
        try:
            with csv_file.open("w", encoding="utf-8", newline="") as file:
                write_csv(rows, file)
        except OSError as error:
            raise UsageError(f"--csv {csv_file}: {error.strerror}; name a file in a folder that is there") from error
    elif csv_file is not None:
        write_csv(rows, sys.stdout)
    elif as_json:
        print_json(rows)
    else:
        names = ["host", "year", "of", "status", "reason", "links", "share of host"]
        print_table(names, ([*list(row.values())[:-1], _percent(row["share"])] for row in rows))


def _hosts(report: Mapping[str, Any]) -> None:
    """How the last run that fetched anything fared with each host."""
    names = ["asked", "ok", "refused", "fetches_per_min", "limit_per_min", "mb_s"]
    rows = []
    for host, row in report["hosts"].items():
        refused = ", ".join(f"{count} {reason}" for reason, count in row["refused"].items())
        state = f"{row['closed_for']}: asked again in {row['closed_s']} s" if row.get("closed_for") else ""
        rows.append([host, *(refused if name == "refused" else row.get(name) for name in names), state])
    print_table([f"hosts, {report['at']}", "asked", "ok", "refused", "fetches/min", "limit/min", "MB/s", ""], rows)


def _beside_published(report: Mapping[str, Any]) -> None:
    """Clip durations and keep rates beside published ones; nothing of a dataset without clips."""
    if report["durations"][0]["clips"] is None:
        return
    names = ("clips", "kept", "hd_vg_figure", "hd_vg_sample")
    say = {"mean s": plain, "median s": plain}
    rows = [
        [row["duration"], *(say.get(row["duration"], _percent)(row[name]) for name in names)]
        for row in report["durations"]
    ]
    print_table(["clip duration", "all here", "kept here", "HD-VG's figure", "HD-VG, 100 videos"], rows)
    rates = [
        [row["rule"], row["asks"], row["clips"], _percent(row["keeps"]), _percent(row["published"]), row["of"]]
        for row in report["keep_rates"]
    ]
    print_table(["keeps", "asks", "of clips", "here", "published", "of"], rates)


def _captions(report: Mapping[str, Any]) -> None:
    """What captions are like beside HD-VG-130M's, and who wrote them."""
    rows = [
        [row["words"], *(_percent(row[name]) for name in ("share", "hd_vg_figure", "hd_vg_sample"))]
        for row in report["words"]
    ]
    published = report["hd_vg_sample"]
    rows.append(["starts with `a`", _percent(report["starts_with_a"]), "", _percent(published["starts_with_a"])])
    rows += [[name.replace("_", " "), report[name], "", published[name]] for name in ("mean_words", "median_words")]
    rows.append(["distinct", f"{report['distinct_captions']} of {report['captions']}", "", ""])
    print_table(["caption words", "here", "HD-VG's figure", "HD-VG, 100 videos"], rows)
    filled = [name for name in report["writers"][0] if any(row[name] is not None for row in report["writers"])]
    print_table(filled, ([row[name] for name in filled] for row in report["writers"]))


def _counted(dataset: Dataset) -> list[dict[str, Any]]:
    """What the kept clips are of."""
    from hdvg.reports.concepts import concepts

    with dataset.manifest() as manifest:
        return concepts(manifest.rows, "(from dataset where keep)")


def _concepts(rows: Sequence[Mapping[str, Any]]) -> None:
    """What clips are of, and how often."""
    shown = [
        [row["kind"], row["name"], row["clips"], _percent(row["share"]), _percent(row["even_share"])] for row in rows
    ]
    print_table(["what kept clips are of", "", "clips", "share", "drawn by balance_weight"], shown)


def _percent(share: float | None) -> str:
    return "" if share is None else f"{share:.1%}"


def what_if(report: Mapping[str, Any], *, as_json: bool) -> None:
    """What verdicts would be by other rules, and how to make it so."""
    if as_json:
        return print_json(report)
    name = relative(report["dataset"])
    typer.echo(f"{name} (recipe {report['recipe']}), what if; nothing is changed")
    if "tuned" in report:
        _tuned(report["tuned"])
    rows = [("all clips", "all"), ("kept now", "before"), ("kept then", "after")]
    rows += [("newly kept", "newly_kept"), ("newly dropped", "newly_dropped"), ("still to measure", "to_measure")]
    totals = [(title, report[key]) for title, key in rows]
    print_table(
        ["", "clips", "share", "hours"],
        ((title, total["clips"], f"{total['share']:.2%}", total["hours"]) for title, total in totals),
    )
    if report["to_measure"]["clips"]:
        typer.echo(f"still to measure, by measure: {plain(report['to_measure']['measures'])}")
    if report["rules"]:
        _rules(report)
    if report["nearest"]:
        names = ["clip_id", "rule", "value", "margin", "distance", "kept", "kept_before"]
        print_table(names, ([near[name] for name in names] for near in report["nearest"]))
        typer.echo("distance: the margin in standard deviations of the measure")
    for line in report["notes"]:
        typer.echo(f"note: {line}")
    if report["sets"]:
        sets = (word for text in report["sets"] for word in ("--set", text))
        flags = ["--new-rule"] * report["new_rule"]
        typer.echo("to make it so: " + shlex.join(["hdvg", "filter", name, *sets, *flags]))


def _tuned(tuned: Mapping[str, Any]) -> None:
    typer.echo(
        f"asked: {tuned['target']:.2%} of all clips, {tuned['target_clips']}; found: {tuned['kept']}, "
        f"with bounds that drop about {tuned['strictness']:.2%} each of {tuned['pool']} clips that pass the other rules"
    )
    names = ["measure", "bound", "threshold", "drops_of_pool", "unmeasured"]
    print_table(names, ([bound[name] for name in names] for bound in tuned["bounds"]))


def _rules(report: Mapping[str, Any]) -> None:
    """What each rule does, and which rules drop the same clips."""
    names = ["rule", "asks", "threshold", "was", "breaks", "share", "alone", "alone_so_far", "unmeasured", "not_taken"]
    rows = [{**rule, "share": f"{rule['share']:.2%}"} for rule in report["rules"]]
    for row in rows:
        row["was"] = "" if row["was"] == row["asks"] else row["was"] or "no such rule"
        row["threshold"] = ", ".join(plain(value) for value in row["threshold"])
    print_table([name.replace("_", " ") for name in names], ([row[name] for name in names] for row in rows))
    print_table(
        ["breaks both", *(str(number) for number, _ in enumerate(rows, 1))],
        (
            [f"{number} {row['rule']}", *both]
            for number, (row, both) in enumerate(zip(rows, report["overlap"], strict=True), 1)
        ),
    )
