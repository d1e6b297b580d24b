"""An audit while people answer it: what is asked next, what was answered, and its end; rates stay hidden until then."""

from __future__ import annotations

import csv
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import IO, Any

from hdvg.dataset.annotations import AUTHOR_MOST, plain_line
from hdvg.dataset.connection import connect
from hdvg.dataset.dataset import Dataset
from hdvg.dataset.layout import files
from hdvg.dataset.tables import TABLES, newest, write_rows
from hdvg.dataset.tombstones import tombstone_files
from hdvg.errors import UsageError
from schemas.answers import ANSWERED

END = "end"
"""What stands for a question where an audit ends."""
DOUBLE = 5
"""One question in so many is asked of everyone, to see how far people agree; of the others one answer is enough."""

Row = dict[str, Any]


@dataclass(frozen=True)
class Sitting:
    """One audit: its questions in their order, and what was answered so far, by question and author."""

    audit: str
    questions: tuple[Row, ...]
    answers: Mapping[str, Mapping[str, str]]
    has_ended: bool
    uses: frozenset[str] = frozenset()
    """What its answers were used for, beside its rates: see `thresholds.SUGGESTED`."""

    @cached_property
    def by_id(self) -> Mapping[str, Row]:
        """Questions."""
        return {row["question"]: row for row in self.questions}

    def left(self, author: str) -> list[Row]:
        """The questions that are for this person, in order."""
        return [row for row in self.questions if self._is_for(row["question"], author)]

    def _is_for(self, question: str, author: str) -> bool:
        given = self.answers.get(question, {})
        return not given or (author not in given and int(question, 16) % DOUBLE == 0)

    @property
    def answered(self) -> int:
        """Questions that have an answer."""
        return sum(bool(given) for given in self.answers.values())

    def answer(self, question: str) -> str | None:
        """`yes` or `no`, what most say; the first to say so where as many say either; None if nobody does."""
        given = [one for one in self.answers.get(question, {}).values() if one in ("yes", "no")]
        return max(given, key=given.count) if given else None


def sittings(dataset: Dataset) -> list[Sitting]:
    """All audits of a dataset, the oldest first; questions about what was taken down are left out."""
    questions = _read(dataset, "questions", "audit, place")
    answers = _read(dataset, "answers", "written_at")
    by_audit: defaultdict[str, list[Row]] = defaultdict(list)
    for row in questions:
        by_audit[row["audit"]].append(row)
    return [_sitting(name, rows, answers) for name, rows in by_audit.items()]


def _read(dataset: Dataset, name: str, order: str) -> list[Row]:
    """The newest rows of a table; without the views, which take longer to make, where nothing is to be hidden."""
    if not files(dataset.root, "tables", of=name):
        return []
    if tombstone_files(dataset.root):
        with dataset.manifest() as manifest:
            return manifest.rows(f"select * from {name} order by {order}")
    with connect(dataset.root) as connection:
        rows: list[Row] = (
            connection.sql(f"from ({newest(TABLES[name], dataset.root)}) order by {order}").to_arrow_table().to_pylist()
        )
    return rows


def _sitting(audit: str, questions: list[Row], answers: Iterable[Row]) -> Sitting:
    given: dict[str, dict[str, str]] = {}
    ids = {row["question"] for row in questions}
    others: set[str] = set()
    for row in answers:
        if row["audit"] != audit or row["answer"] is None:
            continue
        if row["question"] not in ids:
            others.add(row["question"])
        else:
            given.setdefault(row["question"], {})[row["author"]] = row["answer"]
    return Sitting(audit, tuple(questions), given, END in others, frozenset(others - {END}))


def current(dataset: Dataset) -> Sitting | None:
    """The audit that takes answers: the newest, unless it has ended."""
    held = sittings(dataset)
    return held[-1] if held and not held[-1].has_ended else None


def record(dataset: Dataset, sitting: Sitting, author: str, given: Mapping[str, str | None]) -> int:
    """Store a person's answers, by question, durably, in one file; null takes one back. Returns how many there were.

    Raises UsageError for an unknown question or answer, and where the audit has ended.
    """
    name = plain_line(author, "author", AUTHOR_MOST)
    if sitting.has_ended:
        raise UsageError("this audit has ended, and its rates were shown: `hdvg audit DATASET --new` draws another")
    if not name:
        raise UsageError("an author has a name, such as --author ada")
    rows = []
    for question, answer in given.items():
        if question not in sitting.by_id:
            raise UsageError(f"no question {question[:40]!r} in audit {sitting.audit}")
        if answer is not None and answer not in ANSWERED:
            raise UsageError(f"question {question}: answer {answer[:40]!r}; would do: {', '.join(ANSWERED)}")
        asked = sitting.by_id[question]
        about = {name: asked[name] for name in ("audit", "question", "clip_id", "video_id")}
        rows.append({**about, "author": name, "answer": answer})
    if rows:
        write_rows(dataset.store, "answers", rows)
    return len(rows)


def end(dataset: Dataset, sitting: Sitting, author: str) -> None:
    """End the audit for good, so that its rates are shown."""
    if not sitting.answered:
        raise UsageError("nothing is answered yet")
    write_rows(dataset.store, "answers", [{"audit": sitting.audit, "question": END, "author": author, "answer": "yes"}])


CSV_COLUMNS = ("question", "clip_id", "asked", "look", "answer")


def write_questions(file: IO[str], rows: Iterable[Row], dataset: str) -> None:
    """A person's questions as CSV: fill the column `answer`. No verdict and no rule's name stands in it."""
    writer = csv.writer(file)
    writer.writerow(CSV_COLUMNS)
    for row in rows:
        asked = row["asked"] if row["asked"][:1] not in "=+-@" else f"'{row['asked']}"
        writer.writerow([row["question"], row["clip_id"], asked, f"hdvg play {dataset} {row['clip_id']}", ""])


def read_answers(file: Iterable[str]) -> Iterator[tuple[str, str]]:
    """Question and answer of each line that has one; y, n and u stand for yes, no and unsure. Raises UsageError without these columns."""
    reader = csv.DictReader(file)
    if not {"question", "answer"} <= set(reader.fieldnames or ()):
        raise UsageError("the file has no columns `question` and `answer`: fill in one that --questions wrote")
    short = {one[0]: one for one in ANSWERED}
    for row in reader:
        said = (row["answer"] or "").strip().lower()
        if said:
            yield row["question"], short.get(said, said)
