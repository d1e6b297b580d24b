"""What clips are of, and how often: topics, words of their captions, groups of clusters; before draws are evened out, and after."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

Row = dict[str, Any]

MOST = 20
"""Of each kind, the most frequent first."""
SAMPLE = 50_000
"""Clips that are looked at, about: which is told by `draw`, so by their ids alone."""
SILENT = (
    "about above across after against all along also and another any are around away because been before behind being below beside "
    "between both but can could did does down during each few for from front had has have having her here hers him his how into its "
    "just like little many may more most much near nor not off one only onto other our out over own rather same she should some "
    "such than that the their them then there these they this those through too toward towards two under until upon very was were "
    "what when where which while who whom whose why will with within without would you your camera clip clips footage frame image "
    "picture scene shot shots shown shows showing video videos view seen appears appear"
)
"""Words that say nothing of what is shown."""

SQL = """
select * from (
with counted as (select count(*) as clips from {source}),
chosen as (
    select caption, topic, cluster_group, coalesce(balance_weight, 1) as weight, balance_weight is not null as is_even
    from {source}, counted where draw * counted.clips < {sample}
),
named as (
    select 'topic' as kind, topic as name, weight from chosen where topic is not null
    union all select 'group of clusters', cluster_group::varchar, weight from chosen where cluster_group is not null
    union all select 'word', unnest(list_distinct(regexp_extract_all(lower(caption), '\\p{{L}}{{3,}}'))), weight from chosen
),
totals as (select count(*) as every, sum(weight) as whole, bool_or(is_even) as is_even from chosen)
select kind, name, count(*) as clips, count(*) / any_value(totals.every) as share,
    case when any_value(totals.is_even) then sum(named.weight) / any_value(totals.whole) end as even_share
from named, totals where kind != 'word' or not list_contains(string_split('{silent}', ' '), name)
group by kind, name
qualify row_number() over (partition by kind order by count(*) desc, name) <= {most}
) order by kind, clips desc, name
"""


def concepts(rows: Callable[[str], list[Row]], source: str) -> list[Row]:
    """`kind` (`topic`, `word`, `group of clusters`), `name`, `clips`, their `share`, and `even_share`, what it is if each clip is drawn by its
    `balance_weight` (null where no clip has one): of at most about `SAMPLE` clips of `source`, a view with the columns of `dataset`.
    """
    return rows(SQL.format(source=source, sample=SAMPLE, silent=SILENT, most=MOST))
