"""What the captions of a dataset are like, beside what is published of HD-VG-130M's, and what they cost."""

from __future__ import annotations

from typing import Any

from hdvg.dataset.manifest import Manifest
from hdvg.dataset.plan import Plan
from hdvg.published.figures import (
    FIGURE_WORDS,
    SAMPLE_MEAN_WORDS,
    SAMPLE_MEDIAN_WORDS,
    SAMPLE_STARTS_WITH_A,
    SAMPLE_WORDS,
    WORD_BINS,
)

WRITERS = """
select writer, captioner, model, kind, count(*) as texts, avg(best::int) as best_share, avg(sound::int) as sound_share,
    avg(words) as words, avg(similarity) as similarity, avg(agreement) as agreement,
    sum(prompt_tokens)::bigint as prompt_tokens, sum(output_tokens)::bigint as output_tokens
from captions group by all order by writer, captioner, model, kind
"""


def caption_stats(manifest: Manifest, plan: Plan) -> dict[str, Any] | None:
    """The figures of the kept clips' captions and of every writer's texts, ready for JSON; None if there are none."""
    bins = ", ".join(
        f'avg((caption_words between {least} and {most if most is not None else "caption_words"})::int) as "{name}"'
        for name, (least, most) in WORD_BINS.items()
    )
    (found,) = manifest.rows(
        f"select count(*) as captions, count(distinct caption) as distinct_captions, avg(caption_words) as mean_words, "
        f"median(caption_words) as median_words, avg(starts_with(lower(caption), 'a ')::int) as starts_with_a, {bins} "
        "from dataset where keep and caption is not null"
    )
    writers = manifest.rows(WRITERS)
    if not writers:
        return None
    words = [
        {
            "words": name,
            "share": found.pop(name),
            "hd_vg_figure": FIGURE_WORDS[name],
            "hd_vg_sample": SAMPLE_WORDS[name],
        }
        for name in WORD_BINS
    ]
    published = {
        "mean_words": SAMPLE_MEAN_WORDS,
        "median_words": SAMPLE_MEDIAN_WORDS,
        "starts_with_a": SAMPLE_STARTS_WITH_A,
    }
    return found | {"words": words, "hd_vg_sample": published, "writers": [row | _cost(row, plan) for row in writers]}


def _cost(row: dict[str, Any], plan: Plan) -> dict[str, Any]:
    """What a writer's tokens cost by the prices of its endpoint; None if no service counted any."""
    prices = plan.recipe.caption.writers[row["writer"]].endpoint
    if row["prompt_tokens"] is None and row["output_tokens"] is None:
        return {"cost": None}
    sent, received = row["prompt_tokens"] or 0, row["output_tokens"] or 0
    return {"cost": (sent * prices.prompt_price + received * prices.output_price) / 1e6}
