"""The ledger counts every link once, by host, year and outcome."""

import io

from hdvg.dataset.intake import accept
from hdvg.reports.links import ledger, write_csv
from pipelines.perform import Job, commit


def fill(dataset, tmp_path, outcomes: dict[str, dict]) -> None:
    """Accept a link for each outcome, and write what its fetch came to; {} is not fetched yet."""
    (tmp_path / "links.txt").write_text("\n".join(outcomes))
    accept(dataset, str(tmp_path / "links.txt"))
    with dataset.manifest() as manifest:
        videos = manifest.rows("select video_id, unit, link from inputs where status = 'new'")
    for video in videos:
        row = outcomes[video["link"]]
        if row:
            commit(
                dataset,
                Job(dataset.root, dataset.store.run, "download", video["unit"]),
                [{"key": video["video_id"], "attempt": 0}],
                [{"video_id": video["video_id"], "status": "ok"} | row],
            )


def fetched(sha: str, **more: str) -> dict:
    return {"sha256": sha * 64, "bytes": 1, "fetched_at": "2026-03-01T00:00:00+00:00"} | more


def lost(reason: str, status: str = "failed", at: str | None = "2026-03-01T00:00:00+00:00") -> dict:
    return {"status": status, "reason": reason, "fetched_at": at}


OUTCOMES = {
    "https://a.org/1": fetched("1", upload_date="20190704"),
    "https://a.org/2": fetched("2", upload_date="20190101"),
    "https://a.org/3": fetched("3"),
    "https://a.org/4": lost("gone"),
    "https://a.org/5": lost("gone"),
    "https://a.org/6": lost("private", at=None),  # of an earlier version
    "https://a.org/7": lost("throttled", status="retry"),
    "https://a.org/8": {},
    "https://b.org/1": lost("geo"),
    "https://b.org/2": fetched("1", upload_date="20190704"),  # the same bytes as another
}


def test_every_link_is_counted_once_by_host_year_and_outcome(new_dataset, tmp_path):
    fill(new_dataset, tmp_path, OUTCOMES)
    with new_dataset.manifest() as manifest:
        rows = [tuple(row.values()) for row in ledger(manifest)]
    assert rows == [
        ("a.org", 2019, "upload", "ok", None, 2, 0.25),
        ("a.org", 2026, "fetch", "failed", "gone", 2, 0.25),
        ("a.org", 2026, "fetch", "ok", None, 1, 0.125),
        ("a.org", 2026, "fetch", "retry", "throttled", 1, 0.125),
        ("a.org", None, None, "failed", "private", 1, 0.125),
        ("a.org", None, None, "pending", None, 1, 0.125),
        ("b.org", 2019, "upload", "ok", None, 1, 0.5),
        ("b.org", 2026, "fetch", "failed", "geo", 1, 0.5),
    ]


def test_source_that_is_gone_when_it_is_fetched_again_is_lost(new_dataset, tmp_path):
    fill(new_dataset, tmp_path, {f"https://a.org/{sha}": fetched(sha) for sha in "12"})
    with new_dataset.manifest() as manifest:
        (one, other) = manifest.rows("select video_id, unit from videos order by video_id")
    for video, reason in ((one, "gone"), (other, "corrupt")):
        row = {"video_id": video["video_id"], "status": "failed", "reason": reason}
        job = Job(new_dataset.root, new_dataset.store.run, "split", video["unit"])
        commit(new_dataset, job, [{"key": video["video_id"], "attempt": 0}], [row])
    with new_dataset.manifest() as manifest:
        assert [(row["status"], row["reason"]) for row in ledger(manifest)] == [("failed", "gone"), ("ok", None)]


def test_csv_has_a_header_and_a_line_for_each_row(new_dataset, tmp_path):
    fill(new_dataset, tmp_path, {"https://a.org/1": lost("gone")})
    file = io.StringIO()
    with new_dataset.manifest() as manifest:
        write_csv(ledger(manifest), file)
    assert file.getvalue() == "host,year,year_of,status,reason,links,share\na.org,2026,fetch,failed,gone,1,1.0\n"
