"""Lists as other tools write them give their links and texts, whatever parts their cells, and what is no list is not read as one."""

import json
import os
import time

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from hdvg.errors import ItemError, UsageError
from hdvg.sources.held import take_out
from hdvg.sources.links import Columns, kind_of, local_path, read_links
from tests.videos import draw_scenes

WEB = ["https://e.com/1.mp4", "https://e.com/2.mp4"]


@pytest.fixture
def films(tmp_path):
    (tmp_path / "films").mkdir()
    for name in ("a.mp4", "it's b.mp4"):
        (tmp_path / "films" / name).write_bytes(b"x")
    return tmp_path


def told(path, **columns):
    """What is read of a list: source, or the file's name below the folder, and the text."""
    links = list(read_links(str(path), columns=Columns(**columns)))
    assert not [link.error for link in links if link.error]
    return [
        (local_path(link.source).name if link.source.startswith("file:") else link.source, link.text) for link in links
    ]


TABLES = {
    "webvid": ("videoid,contentUrl,duration,page_dir,name\n1,{0},PT01S,x,A dog runs\n2,{1},PT02S,x,A cat, asleep\n".replace(
        "A cat, asleep", '"A cat, asleep"'), True),
    "open-sora": ("path,text\n{0},A dog runs\n{1},\"A cat, asleep\"\n", True),
    "open-sora with a relative path": ("id,path,relpath,num_frames,text\n1,/other/machine/1.mp4,{0},9,A dog runs\n2,/o/2.mp4,{1},9,\"A cat, asleep\"\n", True),
    "ltx": ("caption,media_path\nA dog runs,{0}\n\"A cat, asleep\",{1}\n", True),
    "videofolder": ("file_name,text\n{0},A dog runs\n{1},\"A cat, asleep\"\n", True),
    "semicolons": ("url;caption\n{0};A dog runs\n{1};A cat, asleep\n", True),
    "tabs": ("url\tcaption\n{0}\tA dog runs\n{1}\tA cat, asleep\n", True),
    "bars": ("url|caption\n{0}|A dog runs\n{1}|A cat, asleep\n", True),
    "source is another set's name": ("source,path,text\nwebvid,{0},A dog runs\nwebvid,{1},\"A cat, asleep\"\n", True),
    "semicolons, no header": ("{0};one\n{1};two\n", False),
}  # fmt: skip
ENDS = {"lf": "\n", "crlf": "\r\n", "cr": "\r"}


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "utf-16-le", "utf-16-be"])
@pytest.mark.parametrize("ends", ENDS)
def test_encodings_and_line_ends_of_a_table_change_nothing(tmp_path, encoding, ends):
    text = TABLES["webvid"][0].format(*WEB).replace("\n", ENDS[ends])
    (tmp_path / "l.csv").write_bytes(text.encode(encoding))
    assert told(tmp_path / "l.csv") == [(WEB[0], "A dog runs"), (WEB[1], "A cat, asleep")]


@pytest.mark.parametrize("suffix", [".csv", ".txt", ".tsv", ""])
@pytest.mark.parametrize("shape", TABLES)
def test_tables_of_other_tools_give_links_and_texts(tmp_path, shape, suffix):
    written, has_text = TABLES[shape]
    local = "relpath" in written or "source" in written
    for name in ("1.mp4", "2.mp4") if local else ():
        (tmp_path / name).write_bytes(b"x")
    files = ["1.mp4", "2.mp4"] if local else WEB
    (tmp_path / f"l{suffix}").write_text(written.format(*files))
    texts = ["A dog runs", "A cat, asleep"] if has_text else [None, None]
    assert told(tmp_path / f"l{suffix}") == list(zip(files, texts, strict=True))


@pytest.mark.parametrize("suffix", [".json", ".jsonl", ".txt"])
@pytest.mark.parametrize("is_array", [True, False])
def test_objects_of_json_give_links_and_texts_in_an_array_or_in_lines(films, suffix, is_array):
    rows = [{"file_path": "films/a.mp4", "text": "A", "type": "video"}, {"file_path": "films/it's b.mp4", "text": "B"}]
    path = films / f"l{suffix}"
    path.write_text(json.dumps(rows, indent=1) if is_array else "\n".join(map(json.dumps, rows)))
    assert told(path) == [("a.mp4", "A"), ("it's b.mp4", "B")]


def test_metadata_of_a_videofolder_names_files_beside_it(films):
    path = films / "films" / "metadata.jsonl"
    path.write_text('{"file_name": "a.mp4", "text": "A"}\n{"file_name": "it\'s b.mp4", "text": "B"}\n')
    assert told(path) == [("a.mp4", "A"), ("it's b.mp4", "B")]


@pytest.mark.parametrize("line", ["\n", "\r", " \n", "#\n", " # x\r\n", "\t"])
def test_lists_that_begin_with_many_blank_lines_or_comments_are_read_at_once(tmp_path, line):
    path = tmp_path / "l.txt"
    path.write_bytes((line * 28 + "\nhttps://a.org/1.mp4\n").encode())
    began = time.process_time()
    found = list(read_links(str(path)))
    assert time.process_time() - began < 5  # it was 18 s, and twice that for each line more
    assert [one.source for one in found if one.source] == ["https://a.org/1.mp4"]


def test_scripts_of_ffconcat_name_files(films):
    written = "ffconcat version 1.0\n# films\nfile films/a.mp4\nduration 2\nfile 'films/it'\\''s b.mp4'\ninpoint 1\n"
    for name, text in (("l.txt", written), ("l.ffconcat", written), ("m.txt", written.partition("\n")[2])):
        (films / name).write_text(text)
        assert [name for name, _ in told(films / name)] == ["a.mp4", "it's b.mp4"]


def test_lines_in_quotes_are_links(films):
    (films / "l.txt").write_text(f'"{WEB[0]}"\n\'films/a.mp4\'\n"films/it\'s b.mp4"\n')
    assert [name for name, _ in told(films / "l.txt")] == [WEB[0], "a.mp4", "it's b.mp4"]


def test_columns_are_named_by_the_user_where_none_is_known(tmp_path):
    (tmp_path / "l.csv").write_text(f"nr,where,what\n1,{WEB[0]},A\n2,{WEB[1]},B\n")
    with pytest.raises(UsageError, match=r"first row: nr,where,what; name the column: --link-column"):
        read_links(str(tmp_path / "l.csv"))
    assert told(tmp_path / "l.csv", link="where", text="what") == [(WEB[0], "A"), (WEB[1], "B")]
    with pytest.raises(UsageError, match=r"--text-column 'whta'.*did you mean `what`"):
        read_links(str(tmp_path / "l.csv"), columns=Columns(link="where", text="whta"))


def test_bytes_of_parquet_that_are_no_text_cost_only_their_cell(tmp_path):
    links = [b"https://x.example/a\xff.mp4", b"https://x.example/b.mp4"]
    column = pa.array(links, pa.binary()).view(pa.string())
    pq.write_table(pa.table({"url": column, "caption": ["A", "B"]}), tmp_path / "l.parquet")
    found = list(read_links(str(tmp_path / "l.parquet")))
    assert found[1].source == "https://x.example/b.mp4"
    assert len(found) == 2


@pytest.mark.parametrize("name", ["l.jsonl", "l.json", "l.parquet"])
def test_unknown_columns_of_objects_and_parquet_are_an_error_with_the_first_row(tmp_path, name):
    rows = [{"nr": 1, "where": "no link"}]
    if name.endswith("parquet"):
        pq.write_table(pa.Table.from_pylist(rows), tmp_path / name)
    else:
        (tmp_path / name).write_text(json.dumps(rows) if name == "l.json" else json.dumps(rows[0]))
    with pytest.raises(UsageError, match=r"first row: .*no link.*--link-column"):
        read_links(str(tmp_path / name))


def test_texts_of_spans_are_not_taken_for_those_of_videos(tmp_path):
    (tmp_path / "l.csv").write_text(f"url,start_s,end_s,caption\n{WEB[0]},0,5,A\n{WEB[0]},5,9,B\n")
    assert told(tmp_path / "l.csv") == [(WEB[0], None), (WEB[0], None)]


@pytest.mark.parametrize("shape", ["bytes", "struct", "paths in structs"])
def test_videos_in_the_cells_of_parquet_are_taken_out_of_them(films, shape):
    bodies = [b"\0film one", b"\0film two"]
    cells = {
        "bytes": bodies,
        "struct": [{"bytes": body, "path": None} for body in bodies],
        "paths in structs": [{"bytes": None, "path": f"films/{name}"} for name in ("a.mp4", "it's b.mp4")],
    }[shape]
    pq.write_table(pa.table({"video": cells, "caption": ["A", "B"]}), films / "l.parquet", row_group_size=1)
    links = list(read_links(str(films / "l.parquet")))
    assert [link.text for link in links] == ["A", "B"]
    if shape == "paths in structs":
        assert [local_path(link.source).name for link in links] == ["a.mp4", "it's b.mp4"]
        return
    assert [take_out(link.source, films / f"{n}.bin") for n, link in enumerate(links)] == [
        films.resolve() / "l.parquet"
    ] * 2
    assert [(films / f"{n}.bin").read_bytes() for n in range(2)] == bodies
    with pytest.raises(ItemError, match="no bytes in row 9"):
        take_out(links[0].source.replace("row=1", "row=9"), films / "x.bin")


def test_list_cannot_name_a_cell_of_a_file_as_its_own(films):
    pq.write_table(pa.table({"video": [b"\0secret"]}), films / "l.parquet")
    (cell,) = read_links(str(films / "l.parquet"))
    (films / "l.txt").write_text(f"{cell.source}\n")
    (link,) = read_links(str(films / "l.txt"))
    assert link.source is None


@pytest.mark.parametrize("name", ["disc.vob", "film.txt", "film.csv", "film", "film.bin", "film.jsonl"])
def test_media_of_any_suffix_is_a_video_and_no_list(tmp_path, name):
    draw_scenes(tmp_path / "x.ts", scene_frames=(5,), codec="mpeg2video", options={})
    os.rename(tmp_path / "x.ts", tmp_path / name)
    (link,) = read_links(str(tmp_path / name))
    assert local_path(link.source).name == name


@pytest.mark.parametrize(
    "head",
    [b"DKIF\0\0 \0VP80", b"YUV4MPEG2 W2 H2 F25:1\nFRAME\n....", b"GIF89a\1\0\1\0", b".RMF\0\0\0\x12", b"\0\0\0\1gB\xc0\x1e",
     b"\x06\x0e\x2b\x34\x02\x05", bytes(range(256))],
)  # fmt: skip
def test_streams_and_containers_begin_as_no_text(tmp_path, head):
    (tmp_path / "x.dat").write_bytes(head)
    assert kind_of(str(tmp_path / "x.dat")) == "file"


@pytest.mark.parametrize("head", [b"PK\3\4sheet", b"\x1f\x8b\x08\0", b"%PDF-1.7"])
def test_archives_and_documents_are_refused_with_what_to_do(tmp_path, head):
    (tmp_path / "list.xlsx").write_bytes(head)
    with pytest.raises(UsageError, match="unpack it, or save it as CSV"):
        read_links(str(tmp_path / "list.xlsx"))


def test_list_is_read_from_a_pipe(tmp_path):
    read, write = os.pipe()
    with os.fdopen(write, "wb") as file:
        file.write(b"\xff\xfe" + f"{WEB[0]}\r\n{WEB[1]}".encode("utf-16-le"))
    assert [name for name, _ in told(f"/dev/fd/{read}")] == WEB
    os.close(read)


def test_linked_folders_are_followed_and_loops_end(tmp_path):
    (tmp_path / "top").mkdir()
    (tmp_path / "elsewhere" / "deep").mkdir(parents=True)
    (tmp_path / "elsewhere" / "deep" / "b.mp4").write_bytes(b"x")
    (tmp_path / "top" / "a.mp4").write_bytes(b"x")
    (tmp_path / "top" / "linked").symlink_to(tmp_path / "elsewhere")
    (tmp_path / "elsewhere" / "back").symlink_to(tmp_path / "top")
    (tmp_path / "elsewhere" / "deep" / "round").symlink_to(tmp_path / "elsewhere")
    (tmp_path / "top" / "dead").symlink_to(tmp_path / "nowhere")
    assert [local_path(link.source).name for link in read_links(str(tmp_path / "top"))] == ["a.mp4", "b.mp4"]


def test_password_in_a_link_is_refused_and_not_kept(tmp_path):
    (tmp_path / "l.txt").write_text("https://me:hunter2@e.com/1.mp4\nhttps://e.com/2.mp4\n")
    bad, good = read_links(str(tmp_path / "l.txt"))
    assert "user name or password" in bad.error
    assert good.source
    assert "hunter2" not in repr(bad)
