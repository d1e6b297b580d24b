"""Who a shot shows, by the faces in its keyframes: a person, two people, several people.

The surest face of a keyframe is believed from `ALONE` on, and from `TOGETHER` on where another keyframe has one as well. Chosen
on the `tune` footage of tests/data/shown.toml, where nothing but people got 0.95, and on 674 pictures of a children's program
(GCompris): 20 of them had a face from `ALONE` on, 14 people, two statues, and wrongly a gibbon, a drawn sheep, a drawn coconut
and a piece of a painting.
"""

from __future__ import annotations

from collections.abc import Sequence

ALONE, TOGETHER = 0.98, 0.95
"""Least confidences, 0-1."""

WORDS = ("", "a person", "two people", "three people")
MANY = "several people"


def people(faces: Sequence[Sequence[float]]) -> str:
    """A noun phrase for the confidences of the faces, keyframe by keyframe; "" if there is nobody, as far as one can tell.

    How many: as many as the keyframe with most has believable faces.
    """
    surest = [max(each, default=0.0) for each in faces]
    together = sum(each >= TOGETHER for each in surest) > 1
    if not together and max(surest, default=0.0) < ALONE:
        return ""
    count = max(sum(one >= TOGETHER for one in each) for each in faces)
    return WORDS[count] if count < len(WORDS) else MANY


def noun_phrase(who: str, thing: str, *, worn: bool) -> str:
    """People and what else is seen, as one noun phrase; either may be "". What is only likely, or `worn`, goes unsaid."""
    if not who or not thing:
        return who or thing
    return who if worn or thing.startswith(("what looks like ", "a view of ")) else f"{who} and {thing}"
