"""What the gate knows of hosts is written while a run goes, and kept beside that of the run's other stages."""

import json
import time

from hdvg.dataset.store import Store
from hdvg.reports.status import HOSTS
from hdvg.sources.hosts import HostGate
from hdvg.sources.hosts.host import Visit
from pipelines import hosts
from pipelines.hosts import published


def visited(gate: HostGate, host: str) -> HostGate:
    assert gate.ask(host) == 0.0
    gate.done(host, Visit())
    return gate


def written(root) -> dict[str, int]:
    """Fetches of each host, by the file."""
    said = json.loads((root / HOSTS).read_text())
    return {host: row["asked"] for host, row in said["hosts"].items()}


def test_figures_are_written_while_the_run_goes_and_at_its_end(tmp_path, monkeypatch):
    monkeypatch.setattr(hosts, "EVERY_S", 0.01)
    store = Store(tmp_path, run="one")
    store.begin()
    gate = HostGate(4, 0.0, 60.0)
    with published(tmp_path, "one", gate.figures):
        time.sleep(0.05)
        assert not (tmp_path / HOSTS).exists()  # nothing was fetched
        visited(gate, "a.org")
        deadline = time.monotonic() + 60
        while not (tmp_path / HOSTS).exists() and time.monotonic() < deadline:
            time.sleep(0.01)
        assert written(tmp_path) == {"a.org": 1}
        monkeypatch.setattr(hosts, "EVERY_S", 1000)
        visited(gate, "a.org")
    assert written(tmp_path) == {"a.org": 2}


def test_figures_of_one_run_stand_together_those_of_the_next_alone(tmp_path):
    for run, host, found in (
        ("one", "a.org", {"a.org": 1}),
        ("one", "b.org", {"a.org": 1, "b.org": 1}),
        ("two", "b.org", {"b.org": 1}),
    ):
        store = Store(tmp_path, run=run)
        store.begin()
        with published(tmp_path, run, visited(HostGate(4, 0.0, 60.0), host).figures):
            pass
        assert written(tmp_path) == found


def test_ghost_of_a_killed_run_writes_no_figures(tmp_path):
    Store(tmp_path, run="two").begin()
    with published(tmp_path, "one", visited(HostGate(4, 0.0, 60.0), "a.org").figures):
        pass
    assert not (tmp_path / HOSTS).exists()
