"""What a shot shows, in the finest words that the classifier's probabilities bear: a class, a category of classes, or a group.

Categories and groups are sets of the 1000 ImageNet classes by index, as everyday words divide them; they may overlap.

Calibration: a class of probability p is right as often as sigmoid(a logit(p) + b) (Platt 1999), fitted on 280 labelled
pictures. For a set of classes the share q of all classes that it holds counts too: sigmoid(a logit(p) + b logit(q) + c).
Where a picture shows none of the 1000 classes each gets a little, so 0.45 for "an animal", which holds 398 of them, says
nothing, and 0.45 for "a car", which holds ten, much. Fitted on 35 spans of footage and 22 pictures of tests/data/shown.toml.
`tests/bench/bench_naming.py` prints how often what is said is right; docs/captioners.md has its figures.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from hdvg.networks.efficientnet import CLASSES

CATEGORIES: dict[str, Sequence[int]] = {
    "a fish": (*range(7), *range(389, 398)),
    "a shark": range(2, 5),
    "a bird": (*range(7, 25), *range(80, 101), *range(127, 147)),
    "a chicken": (7, 8),
    "a bird of prey": range(21, 24),
    "a parrot": range(87, 91),
    "a duck or goose": range(97, 100),
    "a stork or heron": (*range(127, 130), *range(131, 135)),
    "a salamander": range(25, 30),
    "a frog": range(30, 33),
    "a turtle": range(33, 38),
    "a lizard": range(38, 49),
    "a crocodile or alligator": (49, 50),
    "a snake": range(52, 69),
    "a reptile": (*range(33, 51), *range(52, 69)),
    "a spider": range(72, 78),
    "a crab": range(118, 122),
    "a crab or lobster": range(118, 126),
    "a whale": (147, 148),
    "a spaniel": (156, *range(215, 222)),
    "a terrier": (*range(179, 195), *range(199, 204)),
    "a husky": range(248, 251),
    "a poodle": range(265, 268),
    "a dog": range(151, 269),
    "a wolf": range(269, 272),
    "a dog or wolf": (*range(151, 276),),
    "a fox": range(277, 281),
    "a cat": range(281, 286),
    "a big cat": range(286, 294),
    "a bear": range(294, 298),
    "a beetle": range(300, 308),
    "a butterfly": range(321, 327),
    "an insect": range(300, 327),
    "a rabbit or hare": range(330, 333),
    "a rodent": range(333, 339),
    "a cow or buffalo": range(345, 348),
    "a sheep or goat": range(348, 351),
    "an antelope": range(351, 354),
    "a hoofed animal": range(339, 356),
    "an ape": range(365, 370),
    "a monkey": range(370, 383),
    "a monkey or ape": range(365, 383),
    "an elephant": (101, 385, 386),
    "a car": (407, 436, 468, 511, 609, 627, 656, 661, 751, 817),
    "a truck": (555, 569, 675, 717, 864, 867),
    "a bus": (654, 779, 874),
    "a bicycle": (444, 671),
    "a motorbike": (665, 670),
    "a boat": (472, 484, 554, 576, 625, 780, 814, 871, 914),
    "a ship": (403, 510, 628, 724),
    "a boat or ship": (403, 472, 484, 510, 554, 576, 625, 628, 724, 780, 814, 871, 914),
    "an aircraft": (404, 405, 895),
    "a train": (466, 547, 565, 705, 820, 829),
    "a guitar": (402, 546),
    "a clock or watch": (409, 530, 531, 604, 826, 835, 892),
    "a lamp": (619, 846),
    "a ball": (429, 430, 522, 574, 722, 768, 805, 852, 890),
    "a hat": (439, 515, 667, 808),
    "a bag": (414, 636, 728, 748),
    "a bottle": (440, 737, 898, 907),
    "a drink": (441, 504, 966, 967, 968, 969),
    "a screen": (527, 620, 664, 681, 782, 851, 916),
    "a shop": (415, 424, 454, 467, 509, 582, 788, 860, 865),
    "a bridge": (821, 839, 888),
    "a tower": (437, 900),
    "a shore": range(975, 979),
    "a mountain landscape": (970, 972, 979, 980),
    "a landscape": (970, 972, *range(974, 981)),
    "fruit": range(948, 958),
    "vegetables": range(936, 947),
    "a flower": (985, 986),
    "a mushroom": (947, *range(991, 998)),
}
"""Noun phrase -> classes."""

GROUPS: dict[str, Sequence[int]] = {
    "an animal": range(398),
    "a vehicle": (
        *(403, 404, 405, 407, 408, 436, 444, 450, 466, 468, 472, 484, 510, 511, 547, 554, 555, 561, 565, 569, 573, 575),
        *(576, 586, 595, 603, 609, 612, 625, 627, 628, 654, 656, 661, 665, 670, 671, 675, 690, 705, 717, 724, 734, 751),
        *(757, 779, 780, 802, 803, 812, 814, 817, 820, 829, 833, 847, 856, 864, 866, 867, 870, 871, 874, 880, 895, 914),
    ),
    "a musical instrument": (
        *(401, 402, 420, 432, 486, 513, 541, 546, 558, 566, 577, 579, 593, 594, 641, 642, 683, 684, 687, 699, 776, 822),
        *(875, 881, 889),
    ),
    "a building": (425, 437, 449, 483, 497, 498, 538, 624, 634, 660, 663, 668, 698, 727, 743, 762, 832, 853, 858),
    "a building or other structure": (
        *(425, 437, 449, 483, 497, 498, 500, 517, 525, 538, 540, 562, 580, 624, 634, 649, 660, 663, 668, 682, 698, 708),
        *(718, 727, 743, 762, 821, 825, 832, 839, 853, 858, 873, 884, 888, 900, 863),
    ),
    "a device": (
        *(481, 482, 485, 487, 508, 527, 528, 530, 531, 590, 592, 605, 620, 632, 650, 662, 664, 673, 681, 688, 707, 713),
        *(732, 742, 745, 754, 759, 761, 782, 848, 851),
    ),
    "a piece of furniture": (
        *(423, 431, 453, 493, 495, 516, 520, 526, 532, 548, 553, 559, 564, 703, 736, 765, 831, 857, 894),
    ),
    "clothing": (
        *(399, 400, 411, 439, 445, 451, 452, 457, 459, 465, 474, 501, 502, 514, 515, 568, 578, 601, 608, 610, 614, 617),
        *(630, 638, 639, 652, 655, 658, 667, 689, 697, 735, 770, 774, 775, 796, 806, 808, 824, 834, 841, 842, 869, 887),
        906,
    ),
    "a tool": (462, 473, 499, 512, 587, 596, 600, 623, 726, 731, 740, 772, 783, 784, 792),
    "a weapon": (413, 456, 471, 597, 657, 763, 764, 744),
    "kitchenware": (
        *(469, 473, 499, 503, 504, 505, 544, 550, 567, 618, 647, 651, 659, 725, 738, 766, 809, 813, 827, 828, 849, 859),
        *(868, 891, 899, 909, 910, 968),
    ),
    "food": (*range(923, 970), 987, 998),
}
"""The same, coarser."""

SCENES = frozenset({"a shore", "a mountain landscape", "a landscape"})
SCENE_CLASSES = frozenset({970, 972, *range(975, 981)})
"""Categories and classes that are the whole picture and no thing in it."""

UNSAID = frozenset({916})
"""Classes too broad for their name: ImageNet's "web site" is any picture of a computer's screen."""

SURE, LIKELY = 0.7, 0.5
"""Least calibrated probabilities to name something, and to say "what looks like"."""

CLASS_FIT, SET_FIT = (1.2, 0.0, -0.4), (1.04, -0.46, -0.91)
"""(a, b, c), see above."""

LEAST = 0.15
"""Smaller probabilities were not looked at when the fit was made."""

CLEAR = 1.5
"""How many times as likely as any other thing that may be named, which shares no class with it, one must be."""


@dataclass(frozen=True)
class _Candidate:
    """A class or set of classes that may be named: its probability, and how often that is right."""

    members: frozenset[int]
    share: float
    chance: float
    phrase: str


def subject(shares: Sequence[float], *, labels: Sequence[str]) -> str:
    """What the shot shows, as a noun phrase; "" if the classifier cannot say.

    `shares`: the probability of each class, mean over the shot; `labels`: their names. Of all classes, categories and
    groups that are sure enough, the one of fewest classes is the finest; of equals, the likeliest.
    """
    known = _candidates(shares, labels=labels)
    plain = [one for one in known if not any(_rivals(one, other) for other in known)]
    for least, hedge in ((SURE, ""), (LIKELY, "what looks like ")):
        likely = [(len(one.members), -one.chance, one.phrase) for one in plain if one.chance >= least]
        if likely:
            return hedge + min(likely)[2]
    return ""


def calibrated(share: float, *, classes: int) -> float:
    """How often a class, or a set of so many classes, is right that has the probability `share` (0-1); 0-1."""
    slope, of_size, offset = CLASS_FIT if classes == 1 else SET_FIT
    return 1 / (1 + math.exp(-slope * _logit(share) - of_size * _logit(classes / CLASSES) - offset))


def _logit(share: float) -> float:
    inside = min(max(share, 1e-6), 1 - 1e-6)
    return math.log(inside / (1 - inside))


def _rivals(one: _Candidate, other: _Candidate) -> bool:
    """Whether `other` is another thing, and nearly as likely."""
    return other.share * CLEAR > one.share and not one.members & other.members


def _candidates(shares: Sequence[float], *, labels: Sequence[str]) -> list[_Candidate]:
    """Everything that is likely enough to be looked at."""
    named = [((index,), labels[index]) for index in range(len(shares)) if index not in UNSAID]
    found = []
    for members, phrase in (*named, *((members, phrase) for phrase, members in (CATEGORIES | GROUPS).items())):
        share = sum(shares[index] for index in members)
        if share >= LEAST:
            view = "a view of " if phrase in SCENES or SCENE_CLASSES.issuperset(members) else ""
            chance = calibrated(share, classes=len(members))
            found.append(_Candidate(frozenset(members), share, chance, view + phrase))
    return found
