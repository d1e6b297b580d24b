"""A source's title becomes a phrase or nothing; a text's language is told or left open."""

from __future__ import annotations

import random
import time

import pytest

from hdvg.captioners import Written, fingerprint, load
from hdvg.captioners.language import language, words
from hdvg.captioners.title import Title, clean_title
from hdvg.config.caption import Writer
from hdvg.errors import UsageError
from hdvg.keyframes import Shot

TITLES = {
    # packaging, platforms, channels
    "Adele - Hello (Official Music Video)": "Adele - Hello",
    "Daft Punk: Around the world (Official Video HD) [1080p]": "Daft Punk: Around the world",
    "Walking in Tokyo at night [4K 60fps]": "Walking in Tokyo at night",
    "4K Drone Footage of Iceland": "Drone Footage of Iceland",
    "New York City - 4K": "New York City",
    "【MV】 My song of summer": "My song of summer",
    "Zürich bei Nacht 🌃 (UHD) ": "Zürich bei Nacht",
    "Mr. Bean goes to town (2007)": "Mr. Bean goes to town",
    "Live at Wembley (Live)": "Live at Wembley (Live)",
    "Sunset over the sea - YouTube": "Sunset over the sea",
    "Rocket launch on Vimeo": "Rocket launch",
    "How to Cook Pasta | Italian Kitchen": "How to Cook Pasta",
    "Best goals of 2018 | Premier League | Sky Sports": "Best goals of 2018",
    "Iceland | A film by John": "Iceland, A film by John",
    "Song of Someone™ © 2020": "Song of Someone 2020",
    "The 3D printer clip": "The 3D printer clip",
    "Clip of the day: puppies": "Clip of the day: puppies",
    # addresses, handles, hashtags
    "Check out https://t.co/abc my new video": "Check out my new video",
    "Write to foo@bar.com for bookings": "Write for bookings",
    "www.example.com presents the big race": "presents the big race",
    "I came home.It was late": "I came home.It was late",
    "A rocket lands with @spacex": "A rocket lands",
    "Funny Cats Compilation 2019 🐱😂 #cats #funny #shorts": "Funny Cats Compilation 2019",
    "I love my #golden retriever so much": "I love my golden retriever so much",
    "The #1 trick to peel garlic": "The #1 trick to peel garlic",
    "Guitar lesson by <name>": "Guitar lesson",
    "Tom &amp; Jerry at home": "Tom & Jerry at home",
    # episodes
    "Minecraft Let's Play Episode 12": "Minecraft Let's Play",
    "Ep. 5 - The lost temple": "The lost temple",
    "S01E02 The dog returns": "The dog returns",
    "Cooking show — Part 3/10": "Cooking show",
    "Teil 5: Der Hund im Garten": "Der Hund im Garten",
    "Day 3 of our trip to Peru": "Day 3 of our trip to Peru",
    "50/50 movie scene": "50/50 movie scene",
    # loudness
    "MY DOG CAN TALK!!! (NOT CLICKBAIT)": "My dog can talk! (not clickbait)",
    "ПРИВЕТ МИР КОТИКИ": "Привет мир котики",
    "How to FIX a BICYCLE wheel": "How to FIX a Bicycle wheel",
    "What?!?! A bird ate my sandwich???": "What? A bird ate my sandwich?",
    "A sunset ~~~ timelapse ***": "A sunset timelapse",
    "C++ tutorial for beginners": "C++ tutorial for beginners",
    "AC/DC - Thunderstruck": "AC/DC - Thunderstruck",
    # letters
    "𝗕𝗼𝗹𝗱 𝘁𝗲𝘅𝘁 here": "Bold text here",
    "Beach day 🏖️👨‍👩‍👧 with family": "Beach day with family",
    "می‌خواهم بروم به خانه": "می‌خواهم بروم به خانه",
    "東京の夜を歩く 4K": "東京の夜を歩く",
    "It is 30° in Rome": "It is 30° in Rome",
    "\u202eabc\u200f def\x00 ghi\x1b": "abc def ghi",
    # nothing worth a caption
    **dict.fromkeys(
        [
            *(
                "",
                "  ",
                "猫",
                "Untitled",
                "a b",
                "Trailer HD",
                "Music video",
                "[Official Video]",
                "Part 2",
                "#cat",
                "12345",
            ),
            *(
                "IMG_1234",
                "VID-20200101-WA0001.mp4",
                "DSC_0042.MOV",
                "00001.MTS",
                "Video (1)",
                "😂😂😂",
                "https://x.org/y",
            ),
            *("2019-05-04 12.30.11", "WhatsApp Video 2020-01-01 at 12.30.11", "GOPR0123.MP4", "!!! ??? ..."),
        ],
        "",
    ),
    "my_cat_playing_piano.mp4": "my cat playing piano",
}


@pytest.mark.parametrize("title", TITLES)
def test_titles_become_phrases_and_stay_so(title: str) -> None:
    assert clean_title(title) == TITLES[title]
    assert clean_title(TITLES[title]) == TITLES[title]


def test_cleaning_twice_is_cleaning_once_whatever_the_title() -> None:
    pieces = [
        *TITLES,
        *"()[]【】|#@!?.,-_~*&;:<>/\\ \u200d\u202e\x00éÉ猫🐱",
        "HD",
        "4K",
        "official",
        "&amp;",
        "ep 3",
        "a.com",
    ]
    some = random.Random(5)
    made = 0
    for _ in range(1500):
        title = some.choice(["", " "]).join(some.choices(pieces, k=some.randint(1, 8)))
        once = clean_title(title)
        assert clean_title(once) == once, title
        assert not once or words(once) >= 2
        made += bool(once)
    assert made > 500


@pytest.mark.parametrize(
    "piece",
    [
        *(
            "a",
            "(",
            "[HD ",
            "#a",
            "@a",
            "a@",
            "a.",
            "! ",
            "- ",
            "|",
            "a b|",
            "&amp;",
            "amp;",
            "\u200d",
            "\u202e",
            "4k ",
        ),
        *("part 1 ", "http://", "(video ", "e\u0301", "\ud800", "<name>", "1/", "a_", "\x00"),
    ],
)
def test_hostile_titles_are_quick_and_short(piece: str) -> None:
    start = time.process_time()
    text = clean_title("&" + piece * (10_000 // len(piece)))
    assert time.process_time() - start < 1
    assert len(text) <= 1000
    text.encode()
    assert text.isprintable()
    assert clean_title(text) == text


def test_captioner_writes_the_title_as_a_text_of_its_own_kind() -> None:
    captioner = load(Writer(captioner="title"))
    assert captioner.batch == 256
    shots = [Shot("a", {}, {"title": "A dog in Rome (4K)."}), Shot("b", {}, {"title": None}), Shot("c", {}, {})]
    assert captioner.write([captioner.prepare(shot) for shot in shots]) == [
        Written({"title": "a dog in rome"}),
        Written({"title": ""}),
        Written({"title": ""}),
    ]
    cased = load(Writer(captioner="title", lower_case=False))
    assert cased.write([cased.prepare(shots[0])]) == [Written({"title": "A dog in Rome."})]
    assert captioner.model == f"title-cleaner-1 {fingerprint(Writer(captioner='title'))[:8]}"
    with pytest.raises(UsageError, match="has no model; leave it out"):
        Title(Writer(model="some/thing"))


@pytest.mark.parametrize(
    ("text", "count"),
    [
        ("", 0),
        ("a dog runs", 3),
        ("12 34 - !", 0),
        ("don't stop", 2),
        ("東京の夜を歩く", 2),
        ("猫 cat", 1),
        ("เที่ยวกรุงเทพ", 3),
    ],
)
def test_words_are_counted_in_scripts_without_spaces_too(text: str, count: int) -> None:
    assert words(text) == count


@pytest.mark.parametrize(
    ("code", "text"),
    [
        ("en", "How to make a paper boat"),
        ("en", "a dog is running through the snow"),
        ("de", "Der Hund läuft durch den Garten"),
        ("fr", "Un chien court dans la neige"),
        ("es", "Cómo hacer un barco de papel"),
        ("ru", "Собака быстро бежит по белому снегу в лесу"),
        ("ja", "紙のボートの作り方を教えます"),
        ("ko", "종이배를 만드는 방법"),
        ("ar", "كيف تصنع قاربا من الورق"),
        (None, "a dog"),
        (None, "Zyx qwv"),
        (None, "Hans Anna Tokyo"),
        (None, "1234 5678 91011"),
        (None, ""),
    ],
)
def test_language_is_told_where_there_is_enough_to_tell(code: str | None, text: str) -> None:
    pytest.importorskip("py3langid")
    assert language(text) == code
