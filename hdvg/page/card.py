"""The report as a Markdown card: the same figures, for a repository or a mail."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from hdvg.exporting.markdown import code, table, words
from hdvg.exporting.summary import RIGHTS

Row = Mapping[str, Any]

COUNTED = ("clips", "hours", "kept", "kept_hours")
PERCENT = frozenset(
    {"share", "keeps", "published", "hd_vg_figure", "hd_vg_sample", "model_busy_share", "best_share", "even_share"}
)


def card(found: Row, compared: Row | None = None) -> str:
    """The Markdown of a report's figures."""
    totals, provenance = found["totals"], found["provenance"]
    about = f": {words(found['about'])}" if found["about"] else ""
    parts = [
        f"# {words(found['dataset'])}",
        f"{totals['kept']} of {totals['clips']} clips kept ({_share(totals['kept'], totals['clips'])}), "
        f"{totals['kept_hours']:.2f} of {totals['hours']:.2f} hours, from {totals['videos']} of {totals['links']} links. "
        f"Recipe {code(found['recipe'])}{about}. Written {found['made_at']} by hdvg {provenance['hdvg']}.",
        *_compared(compared),
        "## Funnel",
        _rows(found["funnel"], "stage", "items", "hours"),
        "What is left after each rule, in the recipe's order:",
        _rules(found["rules"]),
        *_titled("Dropped for (a clip may have several reasons):", _rows(found["dropped"], "reason", "clips")),
        *_titled("Waiting:", _rows(found["pending"], "stage", "items")),
        *_titled("## How right it is, by audit", "\n".join(f"- {words(rate['sentence'])}" for rate in found["audits"])),
        "## What failed",
        _rows(found["failures"], "stage", "status", "reason", "host", "items") or "Nothing failed.",
        *_contents(found),
        *_titled(
            "What kept clips are of, and how often:",
            _rows(found["concepts"], "kind", "name", "clips", "share", "even_share"),
        ),
        "## Copies found",
        _rows(found["copies"], "how", "better_copy", "clips", "hours") or "None were found.",
        "## What the last run took",
        _rows(found["stages"], "stage", "units", "ok", "failed", "retry", "spent_s", "share", "limiting")
        or "Not known.",
        "## Rights",
        RIGHTS,
        *_provenance(provenance),
    ]
    return "\n\n".join(part for part in parts if part) + "\n"


def _contents(found: Row) -> list[str]:
    captions = found["captions"]
    beside = ("hd_vg_figure", "hd_vg_sample")
    shares = [row for row in found["durations"] if not row["duration"].startswith(("mean", "median"))]
    means = [row for row in found["durations"] if row["duration"].startswith(("mean", "median"))]
    parts = [
        "## What is in it",
        "Clip durations, beside the figure of HD-VG-130M's release and its first 100 videos:",
        _shares(shares, "duration", "clips", "kept", *beside),
        _rows(means, "duration", "clips", "kept", "hd_vg_sample", percent=frozenset()),
        "Share that each rule keeps, beside published ones:",
        _rows(found["keep_rates"], "rule", "keeps", "clips", "published", "of"),
    ]
    if captions:
        parts += [
            f"Captions: {captions['captions']}, {captions['distinct_captions']} of them different, "
            f"{captions['mean_words'] or 0:.1f} words on average (HD-VG: {captions['hd_vg_sample']['mean_words']}).",
            _rows(captions["words"], "words", "share", *beside),
            _rows(captions["writers"], "writer", "captioner", "model", "kind", "texts", "best_share"),
        ]
    for name, key in (("resolutions", "shorter_side"), ("licences", "licence_class"), ("categories", "category")):
        parts += _titled(f"{name.capitalize()}:", _rows(found[name], key, *COUNTED))
    return [*parts, *_titled("Hosts:", _rows(found["hosts_of_clips"], "host", "videos", *COUNTED))]


def _compared(compared: Row | None) -> list[str]:
    if compared is None:
        return []
    return [
        f"## Compared: A is {words(compared['a'])}, B is {words(compared['b'])}",
        words(compared["by"]),
        _rows(compared["sides"], "name", "clips", "hours"),
        table(
            ["rule", "A", "B"], ([code(row["rule"]), *(_code(row[side]) for side in "ab")] for row in compared["rules"])
        ),
    ]


def _rules(rules: Sequence[Row]) -> str:
    names = ("left", "left_hours", "breaks", "alone", "unmeasured")
    heads = ["rule", "asks", "clips left", "hours left", "break it", "break nothing else", "cannot be judged"]
    return table(heads, ([code(row["rule"]), code(row["asks"]), *(row[name] for name in names)] for row in rules))


def _provenance(provenance: Row) -> list[str]:
    rows = [
        (name, provenance[name]) for name in ("hdvg", "schema", "recipe_digest", "state", "first_fetch", "last_fetch")
    ]
    rows += [(f"model of {name}", ", ".join(models)) for name, models in provenance["models"].items()]
    rows += [(f"quantile {name}", value) for name, value in provenance["quantiles"].items()]
    rows += [(f"settings of {stage}", mark) for stage, mark in provenance["fingerprints"].items()]
    return [
        "## What it was made with",
        table(["", ""], ([words(str(name)), words(str(value))] for name, value in rows if value is not None)),
        f"```toml\n{provenance['recipe_toml'].replace('```', '')}```",
    ]


def _titled(title: str, text: str) -> list[str]:
    return [title, text] if text else []


def _shares(rows: Iterable[Row], first: str, *names: str) -> str:
    return _rows(rows, first, *names, percent=PERCENT | {"clips", "kept"})


def _rows(rows: Iterable[Row], *names: str, percent: frozenset[str] = PERCENT) -> str:
    """These columns of rows as a table; nothing of none."""
    listed = [[_cell(row.get(name), name in percent) for name in names] for row in rows]
    return table([name.replace("_", " ") for name in names], listed) if listed else ""


def _cell(value: Any, is_share: bool) -> Any:
    if value is None:
        return ""
    if isinstance(value, bool):
        return "yes" if value else ""
    if isinstance(value, float) and is_share:
        return f"{value:.1%}"
    return words(value) if isinstance(value, str) else value


def _code(text: str | None) -> str:
    return "" if text is None else code(text)


def _share(part: int, whole: int) -> str:
    return f"{part / whole:.1%}" if whole else "none"
