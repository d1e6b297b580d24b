"""The table of measures in docs/measures.md, made from the schema. Write it anew: python -m tests.readme"""

from __future__ import annotations

import re
from pathlib import Path

import pyarrow as pa

from schemas.columns import doc
from schemas.measures import ALL_MEASURED, DERIVED, HOMES, POOL

PAGE = Path(__file__).parent.parent / "docs/measures.md"
BEGIN, END = "<!-- measures: python -m tests.readme -->", "<!-- end of measures -->"


def measures_table() -> str:
    """One row a measure: its name, who tells it, and what it is; columns that only name a model are left out."""
    rows = ["| measure | told by | what it is |", "|---|---|---|"]
    for field in ALL_MEASURED:
        if not field.name.endswith("_model"):
            rows.append(f"| `{field.name}`{_kind(field.type)} | {_teller(field.name)} | {doc(field)} |")
    return "\n".join(rows)


def _kind(kind: pa.DataType) -> str:
    return " (list)" if pa.types.is_list(kind) else " (true or false)" if pa.types.is_boolean(kind) else ""


def _teller(name: str) -> str:
    if name in DERIVED:
        return "query"
    home = HOMES[name]
    return "the pass" if home == "split" else "the pool" if home == POOL else f"`{home}`"


def with_table(page: str) -> str:
    """The page with the table of today between its marks."""
    return re.sub(
        f"{re.escape(BEGIN)}.*?{re.escape(END)}",
        lambda _: f"{BEGIN}\n{measures_table()}\n{END}",
        page,
        flags=re.DOTALL,
    )


if __name__ == "__main__":
    PAGE.write_text(with_table(PAGE.read_text(encoding="utf-8")), encoding="utf-8")
