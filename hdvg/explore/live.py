"""The run that works on the dataset, as its files tell: units done by stage, their rate, hosts, the log; and figures for Prometheus."""

from __future__ import annotations

import time
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from starlette.requests import Request
from starlette.responses import Response

from hdvg.dataset.dataset import Dataset
from hdvg.dataset.run_log import FILE
from hdvg.errors import HdvgError
from hdvg.explore.arrays import dumps
from hdvg.explore.state import Explorer
from hdvg.ids import digest
from hdvg.reports.status import HOSTS, WINDOW_S, read_json, read_report

TAIL_BYTES = 64_000
LINES = 40
FAILURES = 20
TELLING = ("failed", " WARNING ", " ERROR ")


def state_of_run(explorer: Explorer, request: Request) -> Response:
    """Where the run stands; 304 if nothing has changed."""
    said = look(explorer)
    tag = f'"{digest("live", {key: value for key, value in said.items() if key != "clock"})[:16]}"'
    if request.headers.get("if-none-match") == tag:
        return Response(status_code=304, headers={"etag": tag})
    return Response(dumps(said), headers={"etag": tag}, media_type="application/json")


def look(explorer: Explorer) -> dict[str, Any]:
    """What the files say now."""
    dataset = Dataset.open(explorer.root)
    running = dataset.store.is_locked()
    lines = _tail(explorer.root / FILE)
    shown = explorer.state
    return {
        "running": running,
        "changed": shown is not None and explorer.is_stale(shown),
        "clock": datetime.now(UTC).isoformat(timespec="seconds"),
        "stages": _stages(explorer, dataset, running=running),
        "hosts": read_json(dataset.root / HOSTS),
        "last_run": read_report(dataset.root),
        "log": lines[-LINES:],
        "failures": [line for line in lines if any(word in line for word in TELLING)][-FAILURES:],
    }


def metrics(explorer: Explorer) -> str:
    """The same in Prometheus's text format."""
    try:
        said = look(explorer)
    except HdvgError:
        return "hdvg_up 0\n"
    state = explorer.state
    lines = ["# TYPE hdvg_up gauge", "hdvg_up 1", "# TYPE hdvg_running gauge", f"hdvg_running {int(said['running'])}"]
    if state is not None:
        lines += ["# TYPE hdvg_clips gauge", f"hdvg_clips {len(state.sidecar.lengths_s)}"]
        lines += ["# TYPE hdvg_hours gauge", f"hdvg_hours {float(state.sidecar.lengths_s.sum()) / 3600:.6f}"]
    for name, key in (("hdvg_units_done", "done"), ("hdvg_units", "of"), ("hdvg_units_per_minute", "per_min")):
        lines.append(f"# TYPE {name} gauge")
        lines += [f'{name}{{stage="{stage["stage"]}"}} {stage[key]}' for stage in said["stages"]]
    return "\n".join(lines) + "\n"


def _stages(explorer: Explorer, dataset: Dataset, *, running: bool) -> list[dict[str, Any]]:
    """Units done of each stage, of all there are, and how many a minute over the last ten minutes; the slowest limits."""
    units = explorer.progress.units(dataset)
    now = time.time()
    found: list[dict[str, Any]] = []
    for stage in dataset.plan.stages:
        done, fresh = explorer.progress.done(dataset, stage, window_s=WINDOW_S)
        minutes = max((now - min(fresh, default=now)) / 60, 1 / 60)
        found.append({"stage": stage, "done": done, "of": units, "per_min": round(len(fresh) / minutes, 2)})
    open_ = [stage for stage in found if running and int(stage["done"]) < units]
    slowest = min(open_, key=lambda stage: (stage["per_min"], stage["done"]), default=None)
    return [stage | {"limiting": stage is slowest} for stage in found]


def _tail(path: Path) -> list[str]:
    """The last lines of a log; a line that is cut off at the front is left out."""
    try:
        with path.open("rb") as file:
            file.seek(0, 2)
            size = file.tell()
            file.seek(max(size - TAIL_BYTES, 0))
            lines = file.read().decode("utf-8", "replace").splitlines()
    except OSError:
        return []
    return lines[1:] if size > TAIL_BYTES else lines
