"""Objects in buckets are sources as files and links are; their credentials stay with the user, and no link says where a store is."""

from __future__ import annotations

import json
import random
import re
import socket
import sys
import urllib.parse

import pytest

from hdvg.config.fetch import Fetch
from hdvg.errors import ItemError, ResourceError, TransientError, UsageError
from hdvg.sandbox import Sandbox
from hdvg.sources.buckets.environment import profile
from hdvg.sources.buckets.store import signed_address
from hdvg.sources.buckets.words import unsigned
from hdvg.sources.canonical import canonical, masked
from hdvg.sources.fetch import PRELOAD, fetch, look
from hdvg.sources.hosts import HostGate
from hdvg.sources.links import Folders, read_links
from hdvg.sources.lists.entry_file import Entries
from hdvg.sources.wanted import Wanted
from tests import servers as web
from tests.object_store import CLOSED, GUEST_KEY, GUEST_SECRET, KEY, OPEN, SECRET
from tests.proxy import LoopbackProxy, TestCA
from tests.test_cli import SMALL, ask, hdvg
from tests.tools import need
from tests.videos import draw_scenes

need("obstore")

import obstore  # noqa: E402

MEDIA = b"\0\0\0\x18ftypmp42" + random.Random(0).randbytes(3_000_000)
SETTINGS = Fetch(silence_s=15, wall_s=60, tries=1, max_mb=8, max_wait_s=1, throttle_wait_s=0, private_links="refuse")
SECRETS = (KEY, SECRET, GUEST_KEY, GUEST_SECRET, "X-Amz", "Signature")


@pytest.fixture(scope="module")
def store(s3_server):
    return s3_server


@pytest.fixture(autouse=True)
def nobody(monkeypatch, tmp_path):
    """An environment without any store."""
    for name in (
        "AWS_ENDPOINT_URL",
        "AWS_ACCESS_KEY_ID",
        "AWS_SECRET_ACCESS_KEY",
        "AWS_REGION",
        "AWS_PROFILE",
        "HDVG_PRIVATE_LINKS",
    ):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("HOME", str(tmp_path))


@pytest.fixture
def guest(monkeypatch, store):
    """The store's second user, who may read one bucket."""
    for name, value in store.environment(guest=True).items():
        monkeypatch.setenv(name, value)
    return store


@pytest.fixture
def other(monkeypatch):
    """A store that misbehaves."""
    with web.HostileServer() as running:
        for name, value in zip(
            ("ENDPOINT_URL", "ACCESS_KEY_ID", "SECRET_ACCESS_KEY"), (running.url(""), KEY, SECRET), strict=True
        ):
            monkeypatch.setenv(f"AWS_{name}", value)
        yield running


@pytest.fixture(scope="module")
def sandbox():
    lock = Sandbox(preload=(*PRELOAD, "hdvg.media.coverage"))
    yield lock
    lock.close()


@pytest.fixture
def take(sandbox, tmp_path):
    def run(source, *, wanted=None, **changed):
        settings = SETTINGS.model_copy(update=changed)
        gate = HostGate(4, 0, 2)
        return fetch(
            canonical(source, base=None), scratch=tmp_path, settings=settings, sandbox=sandbox, gate=gate, wanted=wanted
        )

    return run


def fails(take, source, kind=ItemError, **changed):
    with pytest.raises(kind) as failed:
        take(source, **changed)
    assert not [secret for secret in SECRETS if secret in str(failed.value).replace("SignatureDoesNotMatch", "")]
    return failed.value


def answered_by(code, status=403):
    return web.status(status) if code is None else xml(code, status)


def xml(code, status):
    def answer(handler):
        text = f"<?xml version='1.0'?><Error><Code>{code}</Code><Key>{KEY}</Key></Error>".encode()
        handler.head(status, {"Content-Type": "application/xml", "Content-Length": str(len(text))})
        handler.send(text)

    return answer


def cut_off(data, at, etag='"1"'):
    """The first bytes of what was promised, then the end of the connection."""

    def answer(handler):
        handler.head(200, {"Content-Type": "video/mp4", "Content-Length": str(len(data)), "ETag": etag})
        handler.send(data[:at])
        handler.close_connection = True

    return answer


# How they are written


@pytest.mark.parametrize(
    "text", ["s3://films/a b/ü?.mp4", "S3://films/a b/ü?.mp4", "s3a://films/a b/ü?.mp4", " s3n://films/a b/ü?.mp4\n"]
)
def test_one_object_has_one_spelling(text):
    assert canonical(text, base=None) == "s3://films/a b/ü?.mp4"


def test_a_key_is_taken_as_it_stands():
    keys = ["a.mp4", "A.mp4", "a%2Emp4", "a.mp4#t=1", "ü.mp4", "u\u0308.mp4"]
    assert len({canonical(f"gcs://films/{key}", base=None) for key in keys}) == len(keys)
    assert canonical("azure://films/a.mp4", base=None) == "az://films/a.mp4"


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("s3://someone:hunter22@films/a.mp4", "password"),
        ("s3://hunter22@films/a.mp4", "password"),
        ("s3://localhost:9000/films/a.mp4", "AWS_ENDPOINT_URL"),
        ("s3://films/a.mp4?X-Amz-Signature=hunter22", "query"),
        ("az://films/a.mp4?sv=1&sig=hunter22", "query"),
        ("s3://films?endpoint=http://evil.example/a.mp4", "query"),
        ("s3://fi%6cms/a.mp4", "bucket"),
        ("s3://fi\\lms/a.mp4", "bucket"),
        ("s3://a..b/a.mp4", "bucket"),
        ("s3:///a.mp4", "bucket"),
        ("s3://films/a/../b.mp4", "`..`"),
        ("s3://films//a.mp4", "`//`"),
        ("s3://films/a\tb.mp4", "control"),
        ("s3://films/" + "a" * 1025, "1024"),
        ("s3://films/folder/", "folder"),
        ("s3://films", "folder"),
        ("r2://films/a.mp4", "only http"),
    ],
)
def test_link_that_names_more_than_an_object_is_refused(text, said):
    with pytest.raises(ItemError) as failed:
        canonical(text, base=None)
    assert failed.value.reason == "bad_input"
    assert said in failed.value.detail
    assert "hunter22" not in failed.value.detail + masked(text)


def test_list_of_a_site_cannot_name_buckets(tmp_path):
    entries = Entries(tmp_path, 10)
    assert not entries.add("s3://films.example.org/a.mp4", {})
    assert entries.add("https://films.example.org/a.mp4", {})


# Where they lie


@pytest.mark.parametrize("bucket", ["films", "evil.example", "127.0.0.1", "metadata.google.internal"])
def test_address_is_on_the_store_of_the_environment_whatever_a_link_says(monkeypatch, bucket):
    monkeypatch.setenv("AWS_ENDPOINT_URL", "http://127.0.0.1:4444")
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", KEY)
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", SECRET)
    monkeypatch.setenv("AWS_BUCKET", "others")
    parts = urllib.parse.urlsplit(signed_address(f"s3://{bucket}/a b#.mp4", {}, seconds=60))
    assert (parts.netloc, parts.path) == ("127.0.0.1:4444", f"/{bucket}/a%20b%23.mp4")
    assert "X-Amz-Expires=60" in parts.query
    assert SECRET not in urllib.parse.unquote(parts.query)


def test_public_bucket_is_asked_without_a_signature(monkeypatch):
    for prefix in ("AWS", "GOOGLE", "AZURE"):
        monkeypatch.setenv(f"{prefix}_SKIP_SIGNATURE", "true")
    monkeypatch.setenv("AZURE_STORAGE_ACCOUNT_NAME", "films")
    assert signed_address("s3://films/a b.mp4", {}, seconds=60) == "https://s3.us-east-1.amazonaws.com/films/a%20b.mp4"
    assert signed_address("gs://films/a b.mp4", {}, seconds=60) == "https://storage.googleapis.com/films/a%20b.mp4"
    assert signed_address("az://films/a b.mp4", {}, seconds=60) == "https://films.blob.core.windows.net/films/a%20b.mp4"


def test_google_and_azure_sign_with_the_keys_of_the_environment(monkeypatch):
    from cryptography.hazmat.primitives import serialization
    from cryptography.hazmat.primitives.asymmetric import rsa

    made = rsa.generate_private_key(65537, 2048).private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    account = {
        "type": "service_account",
        "private_key": made.decode(),
        "private_key_id": "1",
        "client_email": "a@b.example",
    }
    monkeypatch.setenv("GOOGLE_SERVICE_ACCOUNT_KEY", json.dumps(account | {"disable_oauth": False}))
    monkeypatch.setenv("AZURE_STORAGE_ACCOUNT_NAME", "films")
    monkeypatch.setenv("AZURE_STORAGE_ACCOUNT_KEY", "aHVudGVyMjI=")
    google = signed_address("gs://films/a b.mp4", {}, seconds=60)
    assert re.match(r"https://storage\.googleapis\.com/films/a%20b\.mp4\?.*X-Goog-Signature=", google)
    azure = signed_address("az://films/a b#.mp4", {}, seconds=60)
    assert re.match(r"https://films\.blob\.core\.windows\.net/films/a%20b%23\.mp4\?.*sig=", azure)
    with pytest.raises(ItemError, match="cannot sign"):  # obstore 0.12 would sign `a b`
        signed_address("gs://films/a b#.mp4", {}, seconds=60)


def test_keys_region_and_endpoint_come_from_a_profile(monkeypatch, tmp_path):
    (tmp_path / ".aws").mkdir()
    (tmp_path / ".aws/credentials").write_text(f"[lab]\naws_access_key_id={KEY}\naws_secret_access_key={SECRET}\n")
    (tmp_path / ".aws/config").write_text(
        "[profile lab]\nregion=eu-west-1\nendpoint_url=http://127.0.0.1:5\n[profile sso]\nsso_session=x\n"
    )
    monkeypatch.setenv("AWS_PROFILE", "lab")
    address = signed_address("s3://films/a.mp4", {}, seconds=60)
    assert address.startswith("http://127.0.0.1:5/films/a.mp4?")
    assert f"{KEY}%2F" in address
    assert "eu-west-1" in address
    monkeypatch.setenv("AWS_REGION", "us-west-2")
    monkeypatch.setenv("AWS_ENDPOINT_URL", "http://127.0.0.1:6")
    assert profile("s3").keys() == {"access_key_id", "secret_access_key"}
    for name, said in (("sso", "holds no keys"), ("none", "no such profile")):
        monkeypatch.setenv("AWS_PROFILE", name)
        with pytest.raises(UsageError, match=said):
            signed_address("s3://films/a.mp4", {}, seconds=60)


def test_a_container_signs_by_its_role(other, take, monkeypatch, tmp_path):
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.delenv(name)
    role = {"AccessKeyId": KEY, "SecretAccessKey": SECRET, "Token": GUEST_SECRET, "Expiration": "2099-01-01T00:00:00Z"}
    (tmp_path / "token").write_text("mine")
    monkeypatch.setenv("AWS_CONTAINER_CREDENTIALS_FULL_URI", other.add("/role", web.body(json.dumps(role).encode())))
    monkeypatch.setenv("AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE", str(tmp_path / "token"))
    address = signed_address("s3://films/a.mp4", {}, seconds=60)
    assert f"X-Amz-Credential={KEY}%2F" in address
    assert urllib.parse.parse_qs(urllib.parse.urlsplit(address).query)["X-Amz-Security-Token"] == [GUEST_SECRET]
    assert other.heads["/role"]["Authorization"] == "mine"
    other.add("/films/a.mp4", xml("AccessDenied", 403))
    fails(take, "s3://films/a.mp4")


def test_missing_package_is_named(monkeypatch, tmp_path):
    monkeypatch.setitem(sys.modules, "obstore", None)
    (tmp_path / "l.txt").write_text("s3://films/a.mp4\n")
    for links in ("s3://films/a.mp4", "s3://films/", str(tmp_path / "l.txt")):
        with pytest.raises(UsageError, match="obstore"):
            list(read_links(links))


def test_signature_is_taken_out_of_what_an_error_says():
    address = "http://h:1/films/a%20b.mp4?X-Amz-Credential=AKIDAKIDAKIDAKID%2F1&X-Amz-Signature=" + "f" * 64
    for said in (
        f"url: {address} (x)",
        f"with url: {address[10:]} (x)",
        "f" * 64,
        "AKIDAKIDAKIDAKID%2F1",
        "AKIDAKIDAKIDAKID/1",
    ):
        with pytest.raises(ItemError) as failed, unsigned(address, "s3://films/a b.mp4"):
            raise ItemError("error", f"got {said}")
        assert not re.search("AKID|ffff|X-Amz", str(failed.value))


# What comes


def test_object_comes_whole_by_a_user_who_may_read_it(guest, take, tmp_path):
    link = guest.put("in a folder/ü b?.mp4", MEDIA)
    got = take("S3" + link.removeprefix("s3"))
    assert got.path.read_bytes() == MEDIA
    assert got.path.is_relative_to(tmp_path)
    said = (got.info["title"], got.info["extractor"], got.info["webpage_url"], got.info["licence"])
    assert said == ("ü b?", "s3", link, None)
    assert not [secret for secret in SECRETS if secret in str(got.info) + str(got.choice)]


def test_only_wanted_parts_of_an_object_are_asked_for(guest, take, tmp_path):
    draw_scenes(tmp_path / "long.mp4", scene_frames=(60, 60, 60, 60), size=(640, 360))
    link, size = guest.put("long.mp4", tmp_path / "long.mp4"), (tmp_path / "long.mp4").stat().st_size
    span = dict.fromkeys(("parent", "parent_start_ms", "parent_end_ms", "start_frame", "end_frame"))
    got = take(link, wanted=Wanted([span | {"start_ms": 200, "end_ms": 600}], "published", 10**7))
    assert got.whole_because is None
    assert got.excerpt is not None
    assert got.excerpt["size"] == size
    assert sum(end - start for start, end in got.excerpt["ranges"]) < size


def test_size_is_asked_for_without_the_object(guest, sandbox, tmp_path):
    link = guest.put("b.mp4", MEDIA)
    said = look(link, scratch=tmp_path, settings=SETTINGS, sandbox=sandbox, gate=HostGate(4, 0, 2))
    assert said == {"duration_s": None, "bytes": len(MEDIA)}


@pytest.mark.parametrize(
    ("link", "reason"),
    [(f"s3://{OPEN}/nothing.mp4", "gone"), (f"s3://{CLOSED}/ready", "private"), (f"s3://{OPEN}/large.mp4", "too_big"),
     (f"s3://{OPEN}/page.mp4", "not_media"), (f"s3://{OPEN}/empty.mp4", "not_media")],
)  # fmt: skip
def test_each_way_to_fail_has_its_reason(guest, take, link, reason):
    guest.put("large.mp4", MEDIA)
    guest.put("page.mp4", b"<html>a page with a <video src='https://example.org/a.mp4'></html>")
    guest.put("empty.mp4", b"")
    assert fails(take, link, max_mb=1).reason == reason


@pytest.mark.parametrize("name", ["AWS_SECRET_ACCESS_KEY", "AWS_ACCESS_KEY_ID"])
def test_refused_credentials_stop_the_run_and_no_video_pays(guest, take, monkeypatch, name):
    link = guest.put("b.mp4", MEDIA)
    monkeypatch.setenv(name, "wrong")
    assert "AWS_PROFILE" in str(fails(take, link, ResourceError))
    with pytest.raises(UsageError, match="AWS_PROFILE"):
        read_links(f"s3://{OPEN}/")


def test_a_broken_connection_goes_on_where_it_broke(other, take):
    whole = web.body(MEDIA, ETag='"1"')
    other.add("/films/a.mp4", cut_off(MEDIA, 1_500_000), whole)
    assert take("s3://films/a.mp4").path.read_bytes() == MEDIA
    assert other.heads["/films/a.mp4"]["Range"].startswith("bytes=1")
    assert other.heads["/films/a.mp4"]["If-Match"] == '"1"'
    assert other.hits["/films/a.mp4"] == 2


def test_an_object_that_changes_meanwhile_is_not_mixed(other, take):
    other.add("/films/a.mp4", cut_off(MEDIA, 1_500_000), web.status(412))
    assert fails(take, "s3://films/a.mp4", TransientError).reason == "short"


@pytest.mark.parametrize(
    ("code", "status", "reason"),
    [("SlowDown", 503, "throttled"), ("InternalError", 500, "network"), ("AccessDenied", 403, "private"), (None, 403, "private"),
     ("NoSuchBucket", 404, "gone"), ("InvalidObjectState", 403, "private")],
)  # fmt: skip
def test_what_a_store_answers_has_its_reason(other, take, code, status, reason):
    other.add("/films/a.mp4", answered_by(code, status))
    assert fails(take, "s3://films/a.mp4").reason == reason


def test_a_bucket_elsewhere_is_said_with_its_region(other, take):
    other.add("/films/a.mp4", web.status(301, x_amz_bucket_region="eu-west-1"))
    error = fails(take, "s3://films/a.mp4", TransientError)
    assert "AWS_REGION=eu-west-1" in error.detail


def test_a_store_leads_to_no_private_address(other, take):
    with web.HostileServer("127.0.0.2") as inner:
        other.add("/films/a.mp4", web.redirect(inner.add("/secret.mp4", web.body(MEDIA))))
        assert fails(take, "s3://films/a.mp4").reason == "forbidden_address"
        assert not inner.hits


LISTED = (
    "<ListBucketResult><Name>films</Name><KeyCount>1</KeyCount><IsTruncated>false</IsTruncated><Contents><Key>a.mp4</Key>"
    "<LastModified>2026-01-01T00:00:00.000Z</LastModified><ETag>x</ETag><Size>1</Size></Contents></ListBucketResult>"
)


def test_a_store_is_asked_by_the_proxy_and_with_the_certificates_of_the_fetch(other, take, monkeypatch, tmp_path):
    ca = TestCA()
    monkeypatch.setenv("AWS_ENDPOINT_URL", "https://store.example.org")
    other.add("/films/a.mp4", web.body(MEDIA))
    other.add("/films", web.body(LISTED.encode(), "application/xml"))
    with LoopbackProxy({"store.example.org": other}, ca=ca) as proxy:
        ways = SETTINGS.model_copy(update={"proxy": proxy.url(), "ca_file": ca.write(tmp_path / "ca.pem")})
        (link,) = read_links("s3://films/", folders=Folders(ways=ways))
        assert take(link.source, proxy=ways.proxy, ca_file=ways.ca_file).path.read_bytes() == MEDIA
        assert proxy.asked == ["CONNECT store.example.org:443"] * 2
        monkeypatch.setenv("AWS_ENDPOINT_URL", other.url(""))
        with pytest.raises(UsageError, match="your own network"):
            take(link.source, proxy=ways.proxy)


def test_a_store_is_reached_by_its_name(other, take, monkeypatch):
    monkeypatch.setenv("AWS_ENDPOINT_URL", f"http://{socket.gethostname()}:{other.port}")
    if socket.gethostbyname(socket.gethostname()) != "127.0.0.1":
        monkeypatch.setenv("AWS_ENDPOINT_URL", f"http://localhost:{other.port}")
    other.add("/films/a.mp4", web.body(MEDIA))
    assert take("s3://films/a.mp4").path.read_bytes() == MEDIA


# Folders of them


@pytest.fixture
def folder(guest):
    for name in ("a.mp4", "deep/b.webm", "notes.txt", ".hidden/c.mp4", "x?y=1.mp4"):
        guest.put(f"folder/{name}", b"1")
    guest.put("folder2/z.mp4", b"1")
    return f"s3://{OPEN}/folder/"


def test_folder_of_a_bucket_is_a_list_of_videos(folder):
    folders = Folders()
    links = list(read_links(folder.replace("s3:", "S3A:"), folders=folders))
    assert [link.source for link in links] == [f"{folder}a.mp4", f"{folder}deep/b.webm", None]
    assert folders.passed == {".txt": 1, "hidden": 1}
    assert "query" in (links[2].error or "")
    assert [link.source for link in read_links(folder, folders=Folders(all_files=True))][2] == f"{folder}notes.txt"


def test_folder_without_its_slash_is_told_from_an_object(guest, folder):
    with pytest.raises(UsageError, match=rf"with a slash at its end.*{folder}$"):
        read_links(folder.removesuffix("/"))
    link = guest.put("folder", b"1")
    try:
        assert [one.source for one in read_links(link)] == [link]
    finally:
        obstore.delete(guest.store(OPEN), "folder")
    assert [one.source for one in read_links(f"{folder}gone.mp4")] == [f"{folder}gone.mp4"]


def test_folder_of_a_bucket_may_stand_in_a_list(folder, tmp_path):
    (tmp_path / "l.jsonl").write_text("".join(json.dumps({"url": url}) + "\n" for url in (
        "https://example.org/1", folder, f"s3://{CLOSED}/x/", f"s3://{OPEN}/nothing/", f"s3://{OPEN}/folder2/z.mp4")))  # fmt: skip
    links = list(read_links(str(tmp_path / "l.jsonl")))
    assert [link.line for link in links] == [1, 2, 2, 2, 3, 4, 5]
    assert [bool(link.source) for link in links] == [True, True, True, False, False, False, True]
    assert "AccessDenied" in (links[4].error or "")
    assert "no video file" in (links[5].error or "")


@pytest.mark.parametrize(
    ("name", "said"), [(f"{OPEN}/nothing/", "it is empty"), (CLOSED, "AccessDenied"), ("a:b@c/", "password")]
)
def test_folder_that_gives_nothing_is_said_before_anything_is_made(guest, tmp_path, name, said):
    told = hdvg("run", "demo", "--links", f"s3://{name}", "--out", tmp_path / "d", *SMALL, code=2)
    assert said in told.stderr
    assert not (tmp_path / "d").exists()


def test_dataset_from_a_bucket_knows_its_videos_again_and_holds_no_secret(guest, tmp_path):
    draw_scenes(tmp_path / "v.mp4", scene_frames=(20, 16))
    link = guest.put("run/v.mp4", tmp_path / "v.mp4")
    guest.put("run/w.mp4", b"no video")
    data = tmp_path / "d"
    hdvg("download", "demo", "--links", f"s3://{OPEN}/run/", "--out", data, *SMALL)
    (video,) = ask(
        data,
        "select source, title, extractor, origin from videos join inputs using (video_id, source) where videos.reason is null",
    )
    assert video == {"source": link, "title": "v", "extractor": "s3", "origin": f"s3://{OPEN}/run/"}
    assert ask(data, "select reason from failures") == [{"reason": "not_media"}]
    hosts = json.loads(hdvg("status", data, "--links", "--json").stdout)
    assert OPEN in json.dumps(hosts)
    assert "1 duplicate" in hdvg("download", data, "--links", f"S3A://{OPEN}/run/v.mp4").stderr
    hdvg("forget", data, "--video", f"s3a://{OPEN}/run/v.mp4", "--purge")
    assert "1 forgotten" in hdvg("download", data, "--links", link).stderr
    held = b"".join(path.read_bytes() for path in data.rglob("*") if path.is_file())
    assert not [secret for secret in SECRETS if secret.encode() in held]
