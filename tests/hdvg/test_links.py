"""Every spelling of a link has one canonical form, and a bad line of a list costs that line only."""

import json
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet
import pytest

from hdvg.errors import ItemError, UsageError
from hdvg.sources.links import SOURCES, canonical, local_path, read_links

WATCH = "https://www.youtube.com/watch?v=dQw4w9WgXcQ"


@pytest.mark.parametrize(
    ("raw", "expected"),
    [
        ("HTTP://Example.COM:80/A?b=1#frag", "http://example.com/A?b=1"),
        ("https://example.com", "https://example.com/"),
        ("https://example.com:443", "https://example.com/"),
        ("https://example.com:8443/x", "https://example.com:8443/x"),
        ("https://example.com./x", "https://example.com/x"),
        ("  https://example.com/x \t", "https://example.com/x"),
        ("https://e.com/v?utm_source=a&id=7&fbclid=x&UTM_Medium=b&gclid=1", "https://e.com/v?id=7"),
        ("https://e.com/v?id=7&si=z&feature=share", "https://e.com/v?id=7&si=z&feature=share"),
        ("https://www.youtube.com/clip/Ug?si=z&feature=share", "https://www.youtube.com/clip/Ug"),
        ("https://e.org/#/video/1", "https://e.org/#/video/1"),
        ("https://e.org/a?b=1#!/video/2", "https://e.org/a?b=1#!/video/2"),
        ("https://e.com/v?&&b=2&a=1", "https://e.com/v?b=2&a=1"),
        ("https://e.com/v?sid=1&features=2", "https://e.com/v?sid=1&features=2"),
        ("https://e.com/%7euser/%2f%c3%a9 é?q=%41+b", "https://e.com/~user/%2F%C3%A9%20%C3%A9?q=A+b"),
        ("https://e.com/100%", "https://e.com/100%25"),
        ("https://e.com/a/./b/../c/..", "https://e.com/a/"),
        ("https://e.com/../../etc", "https://e.com/etc"),
        ("https://bücher.example/ü", "https://xn--bcher-kva.example/%C3%BC"),
        ("https://例え。jp/x", "https://xn--r8jz45g.jp/x"),
        ("http://2130706433/x", "http://127.0.0.1/x"),
        ("http://0x7f.1/x", "http://127.0.0.1/x"),
        ("http://１２７.0.0.1/x", "http://127.0.0.1/x"),
        ("http://[0:0::1]:80/x", "http://[::1]/x"),
        (WATCH + "&t=42s&list=PL123", WATCH),
        ("http://m.youtube.com/watch?app=desktop&v=dQw4w9WgXcQ", WATCH),
        ("https://youtu.be/dQw4w9WgXcQ?si=abc", WATCH),
        ("https://www.youtube.com/shorts/dQw4w9WgXcQ", WATCH),
        ("https://www.youtube-nocookie.com/embed/dQw4w9WgXcQ?start=1", WATCH),
        ("https://music.youtube.com/watch?v=dQw4w9WgXcQ", WATCH),
        ("https://www.youtube.com/playlist?list=PL1", "https://www.youtube.com/playlist?list=PL1"),
        ("https://notyoutube.com/watch?v=dQw4w9WgXcQ", "https://notyoutube.com/watch?v=dQw4w9WgXcQ"),
    ],
)
def test_link_has_one_canonical_spelling(raw, expected):
    assert canonical(raw, base=None) == expected
    assert canonical(expected, base=None) == expected


@pytest.mark.parametrize(
    ("raw", "said"),
    [
        ("ftp://example.com/x", "ftp"),
        ("rtsp://example.com/x", "rtsp"),
        ("javascript:alert(1)", "javascript"),
        ("file:///etc/passwd", "file"),
        ("FILE:/etc/passwd", "file"),
        ("data:video/mp4;base64,AAAA", "data"),
        ("concat:/etc/passwd|/etc/hosts", "concat"),
        ("https://user:secret@example.com/", "user name"),
        ("https://good.example@evil.example/", "user name"),
        ("https://good.example\\@evil.example/", "user name"),
        ("https:///path", "host"),
        ("https://exa mple.com/", "host"),
        ("https://-bad-.example/", "host"),
        ("https://a..b/", "host"),
        ("http://1.2.3.4.5/", "host"),
        ("http://999.1.1.1/", "host"),
        ("http://[fe80::1%25eth0]/", "host"),
        ("http://[::1/", "IPv6"),
        ("https://example.com:99999/", "ort"),
        ("https://example.com:0/", "port"),
        ("https://example.com/a\nb", "control"),
        ("https://example.com/" + "a" * 5000, "longer"),
        ("example.com/x", "neither"),
        ("-rf", "neither"),
        ("", "empty"),
    ],
)
def test_what_is_no_web_link_is_refused_by_name(raw, said):
    with pytest.raises(ItemError, match=said) as refusal:
        canonical(raw, base=Path("/"))
    assert refusal.value.reason == "bad_input"


def test_local_file_is_known_by_its_resolved_path(tmp_path):
    video = tmp_path / "a b#é%.mp4"
    video.write_bytes(b"x")
    (tmp_path / "alias.mp4").symlink_to(video)
    for raw in (str(video), "a b#é%.mp4", "./sub/../a b#é%.mp4", "alias.mp4"):
        source = canonical(raw, base=tmp_path)
        assert source.startswith("file:///")
        assert local_path(source) == video.resolve()
    with pytest.raises(ItemError):
        canonical(str(video), base=None)
    with pytest.raises(ItemError):
        canonical(str(tmp_path), base=tmp_path)  # a folder is no video


def test_bad_lines_of_a_list_cost_only_themselves(tmp_path):
    (tmp_path / "v.mp4").write_bytes(b"x")
    lines = [
        b"\xef\xbb\xbfhttps://e.com/1\r\n",
        b"# a comment\r\n",
        b"\r\n",
        b"https://e.com/\x00\n",
        b"https://e.com/\xff\xfe\n",
        b"https://e.com/" + b"a" * 200_000 + b"\n",
        b"v.mp4\n",
        b"nope.mp4\n",
        b"https://e.com/2",
    ]
    path = tmp_path / "list.txt"
    path.write_bytes(b"".join(lines))
    links = list(read_links(str(path)))
    assert [(link.line, link.source) for link in links if link.source] == [
        (1, "https://e.com/1"),
        (7, (tmp_path / "v.mp4").resolve().as_uri()),
        (9, "https://e.com/2"),
    ]
    assert {link.line: link.error for link in links if link.error} == {
        4: "line 4: holds a NUL",
        5: "line 5: not UTF-8",
        6: "line 6: longer than 4096 bytes",
        8: "line 8: neither an http(s) link nor an existing file: 'nope.mp4'",
    }
    assert all((link.source is None) != (link.error is None) and len(link.raw) <= 4096 for link in links)


def test_longest_line_is_read_whole(tmp_path):
    url = "https://e.com/" + "a" * (4096 - 14)
    (tmp_path / "list.txt").write_bytes(
        b"\xef\xbb\xbf" + url.encode() + b"\r\n" + url.encode() + b"\nhttps://e.com/2\n"
    )
    assert [link.source for link in read_links(str(tmp_path / "list.txt"))][1:] == [url, "https://e.com/2"]


def test_table_column_is_found_by_name_else_the_first(tmp_path):
    table = tmp_path / "t.csv"
    table.write_text('\ufeffid,Title,URL\r\n1,"a, ""b""\nc",https://e.com/1\r\n2,x\r\n\r\n3,y,https://e.com/3\r\n')
    links = list(read_links(str(table)))
    assert [link.source for link in links] == ["https://e.com/1", None, "https://e.com/3"]
    assert links[1].error == "line 4: the row has no link"
    (tmp_path / "t.tsv").write_text("https://e.com/1\tx,y\nhttps://e.com/2\tz\n")
    assert [link.source for link in read_links(str(tmp_path / "t.tsv"))] == ["https://e.com/1", "https://e.com/2"]


def test_open_quote_is_reported_not_swallowed(tmp_path):
    table = tmp_path / "t.csv"
    table.write_text('url,title\nhttps://e.com/1,"open\nhttps://e.com/2,x\nhttps://e.com/3,y\n')
    links = list(read_links(str(table)))
    assert [link.source for link in links] == [None]
    assert "not closed" in links[0].error


def test_jsonl_takes_strings_and_objects(tmp_path):
    rows = ['"https://e.com/1"', '{"href": "https://e.com/2", "x": 1}', "{", '{"x": 1}', "17", "[" * 100_000, ""]
    (tmp_path / "l.jsonl").write_text("\n".join([*rows, json.dumps({"url": "https://e.com/3", "link": "no"})]))
    links = list(read_links(str(tmp_path / "l.jsonl")))
    assert [link.source for link in links if link.source] == [f"https://e.com/{n}" for n in (1, 2, 3)]
    assert [link.line for link in links if link.error] == [3, 4, 5, 6]


def test_parquet_column_is_found_by_name_else_the_first(tmp_path):
    path = str(tmp_path / "l.parquet")
    table = pa.table({"id": [1, 2, 3], "video_url": ["https://e.com/1", None, "https://e.com/3"]})
    pa.parquet.write_table(table, path)
    links = list(read_links(path))
    assert [(link.line, link.source) for link in links] == [(1, "https://e.com/1"), (2, None), (3, "https://e.com/3")]
    pa.parquet.write_table(pa.table({"x": ["https://e.com/9"]}), path)
    assert [link.source for link in read_links(path)] == ["https://e.com/9"]


def test_folder_gives_its_video_files_in_order(tmp_path):
    for name in ("b/2.MP4", "a.webm", "b/1.mkv", "notes.txt", "b/c/3.ts"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_bytes(b"x")
    links = list(read_links(str(tmp_path)))
    found = [str(local_path(link.source).relative_to(tmp_path.resolve())) for link in links]
    assert found == ["a.webm", "b/1.mkv", "b/2.MP4", "b/c/3.ts"]


def test_file_name_that_is_no_text_is_still_found(tmp_path):
    path = tmp_path / "caf\udce9.mp4"
    path.write_bytes(b"x")
    (link,) = read_links(str(tmp_path))
    assert local_path(link.source) == path.resolve()
    link.raw.encode()  # can be stored


def test_one_link_and_one_file_are_sources_too(tmp_path):
    (tmp_path / "v.mp4").write_bytes(b"x")
    assert [link.source for link in read_links("https://e.com/1")] == ["https://e.com/1"]
    assert [link.source for link in read_links(str(tmp_path / "v.mp4"))] == [(tmp_path / "v.mp4").resolve().as_uri()]


@pytest.mark.parametrize("name", ["missing.txt", "empty.txt", "comments.txt", "folder", "broken.parquet", "a\0b"])
def test_source_without_links_says_what_would_do(tmp_path, name):
    (tmp_path / "empty.txt").write_bytes(b"")
    (tmp_path / "comments.txt").write_bytes(b"# nothing\n\n")
    (tmp_path / "folder").mkdir()
    (tmp_path / "broken.parquet").write_bytes(b"PAR1 no")
    with pytest.raises(UsageError, match=r"give a list of links"):
        read_links(str(tmp_path / name))


def test_every_source_has_a_reader():
    assert set(SOURCES) == {"text", "table", "json", "jsonl", "concat", "parquet", "folder", "bucket", "file", "link"}
