"""`questions` and `answers`: what an audit asks of a dataset's clips, and what people answered; see docs/audit.md."""

from schemas.columns import INT, REAL, STR, column, table

ANSWERED = ("yes", "no", "unsure")
"""What a question may be answered by."""

QUESTIONS = table(
    [
        column("audit", STR, "the audit, by the time at which its questions were drawn and a number drawn for it"),
        column("question", STR, "the question's id: 12 hex digits, from which no verdict can be read"),
        column("place", INT, "its place in the audit's order, from 0"),
        column("clip_id", STR, "the clip that is asked about"),
        column("video_id", STR, "its video"),
        column("topic", STR, "what is asked: `cut`, `caption`, or the name of a rule"),
        column("side", STR, "`kept` or `dropped`: where the clip stood as the question was drawn; not shown"),
        column("asked", STR, "the question as a person reads it"),
        column("wrong", STR, "the answer that says that hdvg is wrong, `yes` or `no`"),
        column("rule", STR, "what the rule asked for then; null for `cut` and `caption`"),
        column("value", REAL, "the clip's value of the measure that the rule bounds; null without one"),
        column("stratum", INT, "the group of clips, by predicted error, that it was drawn from, from 0"),
        column("stratum_clips", INT, "clips of that group"),
        column("predicted", REAL, "mean predicted share of errors of that group, 0-1"),
        column(
            "ahead",
            STR,
            "how the order was drawn: `fixed`, or `until <width>` for an audit that ends once intervals are so narrow",
        ),
    ]
)

ANSWERS = table(
    [
        column("audit", STR, "the audit"),
        column(
            "question", STR, "the question; `end`: from here on the audit's rates are shown, and it takes no answers"
        ),
        column("author", STR, "who answered, as they call themselves"),
        column("clip_id", STR, "the clip; null for `end`"),
        column("video_id", STR, "its video; null for `end`"),
        column("answer", STR, "`yes`, `no` or `unsure`; null: taken back"),
    ]
)
