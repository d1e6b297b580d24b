"""The page as one file: figures, numbers and pictures within it, nothing asked of any network, and only its own script may run."""

from __future__ import annotations

import base64
import hashlib
import html
import json
import math
from collections.abc import Mapping
from typing import Any

from hdvg.web import built

Row = dict[str, Any]

POLICY = (
    "default-src 'none'; script-src 'sha256-{script}'; style-src 'sha256-{style}'; img-src data:; "
    "base-uri 'none'; form-action 'none'; require-trusted-types-for 'script'; trusted-types 'none'"
)


def page(data: Mapping[str, Any], blocks: Mapping[str, str], strips: Mapping[str, bytes]) -> str:
    """The HTML. `data` is read first; `blocks` of numbers (`packed`) and `strips` by clip lie behind the script, so that the
    page is shown before they are read."""
    script, style = built("report.js"), built("report.css")
    policy = POLICY.format(script=_sha256(script), style=_sha256(style))
    title = html.escape(f"{_printable(data['figures']['dataset'])}: hdvg report")
    pictures = {clip: base64.b64encode(picture).decode() for clip, picture in strips.items()}
    return "".join(
        [
            '<!doctype html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n',
            f'<meta http-equiv="Content-Security-Policy" content="{policy}">\n',
            '<meta name="viewport" content="width=device-width, initial-scale=1">\n',
            '<meta name="referrer" content="no-referrer">\n<meta name="robots" content="noindex">\n',
            f"<title>{title}</title>\n<style>{style}</style>\n</head>\n<body>\n",
            f'<div id="page"><noscript>{_without_script(data["figures"])}</noscript></div>\n',
            f"{_data('data', data)}<script>{script}</script>\n",
            *(f'<script type="text/plain" id="rows-{name}">{text}</script>\n' for name, text in blocks.items()),
            _data("strips", pictures),
            "</body>\n</html>\n",
        ]
    )


def plain_json(value: Any) -> Any:
    """The value as JSON has it: numbers that it lacks are the texts `NaN`, `Infinity` and `-Infinity`."""
    if isinstance(value, float) and not math.isfinite(value):
        return "NaN" if math.isnan(value) else "Infinity" if value > 0 else "-Infinity"
    if isinstance(value, Mapping):
        return {str(key): plain_json(one) for key, one in value.items()}
    if isinstance(value, list | tuple):
        return [plain_json(one) for one in value]
    return value


def _data(name: str, value: Mapping[str, Any]) -> str:
    """JSON that a page holds: no text within it can end its element or begin another."""
    text = json.dumps(plain_json(value), ensure_ascii=True, allow_nan=False, separators=(",", ":"), default=str)
    safe = text.replace("<", "\\u003c")
    return f'<script type="application/json" id="{name}">{safe}</script>\n'


def _sha256(text: str) -> str:
    return base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()


def _printable(text: str) -> str:
    return "".join(one if one.isprintable() else "\N{REPLACEMENT CHARACTER}" for one in text)


def _without_script(figures: Mapping[str, Any]) -> str:
    totals = figures["totals"]
    return html.escape(
        f"{_printable(figures['dataset'])}: {totals['kept']} of {totals['clips']} clips kept, "
        f"{totals['kept_hours']:.2f} of {totals['hours']:.2f} hours. Figures and pictures are shown by the script in this "
        "file; it was not allowed to run. `hdvg report --card` writes a page without one."
    )
