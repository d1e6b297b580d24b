"""The child of a sandbox that answers one query: it reads the dataset's folder alone, and writes its answer and what spills."""

from __future__ import annotations

import os
from pathlib import Path

from typing_extensions import TypedDict

from hdvg.sandbox.paths import Reads, Writes
from hdvg.sandbox.seam import in_child

HEAVY = ("hdvg.dataset.dataset", "pyarrow.feather")
MEMORY = "1GB"
SPILL = "512MB"
EXPLAINED = "explain "


class Answered(TypedDict):
    """Rows that were written, or why there are none."""

    rows: int
    refused: str | None


@in_child
def answer_query(root: Reads, out: Writes, sql: str, most: int, limit_s: float) -> Answered:
    """Write at most `most` rows of the answer to `out`, as Arrow; runs in the sandbox's child."""
    import duckdb
    import pyarrow as pa
    import pyarrow.feather as feather

    from hdvg.config.deadline import OverError
    from hdvg.dataset.connection import refuse_other
    from hdvg.dataset.dataset import Dataset
    from hdvg.errors import UsageError

    text = sql.strip().rstrip(";").strip()
    explained = text.casefold().startswith(EXPLAINED)
    query = text[len(EXPLAINED) :].strip() if explained else text
    try:
        with Dataset.open(root).manifest() as manifest:
            spill = str(Path(os.getcwd()) / "spill").replace("'", "''")
            manifest.connection.execute(f"set temp_directory = '{spill}'; set max_temp_directory_size = '{SPILL}'")
            manifest.guard(MEMORY)
            refuse_other(manifest.connection, query)
            table: pa.Table
            if explained:
                table = manifest.connection.execute(f"explain {query}").to_arrow_table()
            else:
                table = manifest.select(f"select * from (\n{query}\n) limit {int(most)}", limit_s=limit_s)
    except OverError:
        return {"rows": 0, "refused": f"the query ran longer than {limit_s:g} s; narrow it, or ask `hdvg query`"}
    except (UsageError, duckdb.Error) as error:
        return {"rows": 0, "refused": str(error)}
    feather.write_feather(table, out, compression="uncompressed")
    return {"rows": len(table), "refused": None}
