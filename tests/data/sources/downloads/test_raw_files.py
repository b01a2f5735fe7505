"""Downloads against a server on this machine: whole, cut off, changed, refused, killed, two at once."""

from __future__ import annotations

import gzip
import hashlib
import io
import json
import logging
import os
import resource
import signal
import subprocess
import sys
import time
import zipfile
from pathlib import Path

import pooch
import pytest
import requests

from gensr_lib.book.cli import main
from gensr_lib.data.sources import load
from gensr_lib.data.sources.downloads import fetch, http, raw_files
from gensr_lib.data.sources.source import Offer, Remote
from gensr_lib.errors import ConfigError, DataError
from tests.data.sources.downloads.server import Served, serving

CONTENT = bytes(range(256)) * 2000  # 512,000 bytes: several of the blocks that are written at once
OTHER = CONTENT[::-1]
TAG = {"ETag": '"one"'}


@pytest.fixture
def server():
    with serving() as running:
        yield running


@pytest.fixture(autouse=True)
def home(tmp_path, monkeypatch) -> Path:
    """A project of its own, without proxies; attempts follow each other at once."""
    monkeypatch.setenv("GENSR_HOME", str(tmp_path))
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    monkeypatch.setattr(http, "PAUSE", 0)
    monkeypatch.setattr(http, "TIMEOUT", (2, 0.5))
    return tmp_path


@pytest.fixture
def folder(home) -> Path:
    """Where the raw files of the data set `big` are to be."""
    return home / "data" / "raw" / "big"


@pytest.fixture
def offer(monkeypatch):
    """Function that offers routes as the data set `big`."""

    def make(*routes: tuple[Remote, ...]) -> None:
        there_are = {"big": Offer(routes, "0.5 MB", "none", "Do as you like.")}
        monkeypatch.setattr(raw_files, "offers", lambda: there_are)
        monkeypatch.setattr(load, "offers", lambda: there_are)

    return make


def sha(content: bytes) -> str:
    return f"sha256:{hashlib.sha256(content).hexdigest()}"


def one(server, served: Served, checksum: str | None = None, name: str = "big.bin") -> tuple[Remote, ...]:
    """A route of a single file, which the server has."""
    server.files[f"/{name}"] = served
    return (Remote(f"{server.address}/{name}", name, checksum),)


def names(folder: Path) -> set[str]:
    return {path.name for path in folder.rglob("*")}


# ---- what comes ----------------------------------------------------------------------------------


@pytest.mark.parametrize("checksum", [None, sha(CONTENT), f"md5:{hashlib.md5(CONTENT).hexdigest()}"])
def test_a_file_comes_whole_and_is_recorded(server, folder, offer, checksum):
    offer(one(server, Served(CONTENT), checksum))
    (found,) = fetch("big")
    assert found.path == folder / "big.bin" and found.path.read_bytes() == CONTENT
    assert found.origin == f"{server.address}/big.bin"
    assert names(folder) == {"big.bin", "checksums.json"}
    entry = json.loads((folder / "checksums.json").read_text())["big.bin"]
    assert entry == {"sha256": sha(CONTENT)[7:], "bytes": len(CONTENT), "from": found.origin}
    assert fetch("big") == [found] and len(server.asked["/big.bin"]) == 1  # here, and not asked for again


@pytest.mark.parametrize("headers", [TAG, {"Last-Modified": "Mon, 02 Nov 2026 10:00:00 GMT"}])
def test_a_file_that_was_cut_off_is_gone_on_with(server, folder, offer, headers, caplog):
    offer(one(server, Served(CONTENT, headers, faults=[300_000])))
    (found,) = fetch("big")
    assert found.path.read_bytes() == CONTENT
    first, second = server.ranges("/big.bin")
    # What is not written yet when the connection breaks, less than a block, is asked for again.
    begun = int(second.removeprefix("bytes=").rstrip("-"))
    assert first is None and 300_000 - http.BLOCK <= begun <= 300_000
    assert server.asked["/big.bin"][1]["If-Range"] in headers.values()
    assert "trying again" in caplog.text


def test_what_failed_in_the_end_is_gone_on_with_by_the_next_command(server, folder, offer):
    served = Served(CONTENT, TAG, faults=[300_000, "503", "503", "503"])
    offer(one(server, served))
    with pytest.raises(DataError, match=r"answers 503 .*, 4 times \([\d,]+ bytes have come and are kept\)"):
        fetch("big")
    assert not (folder / "big.bin").exists() and "big.bin.part" in names(folder)
    assert fetch("big")[0].path.read_bytes() == CONTENT
    assert len(server.ranges("/big.bin")) == 5 and server.ranges("/big.bin")[-1] is not None
    assert names(folder) == {"big.bin", "checksums.json"}


def test_all_that_had_come_before_a_kill_is_not_asked_for_again(server, folder, offer):
    offer(one(server, Served(CONTENT, TAG, faults=["503"])))
    staging = folder / raw_files.UNDER_WAY
    staging.mkdir(parents=True)
    (staging / "big.bin.part").write_bytes(CONTENT)
    version = {"url": f"{server.address}/big.bin", "validator": '"one"', "size": len(CONTENT)}
    (staging / "big.bin.part.json").write_text(json.dumps(version))
    assert fetch("big")[0].path.read_bytes() == CONTENT and "/big.bin" not in server.asked


@pytest.mark.parametrize(
    "second",
    [
        Served(OTHER, {"ETag": '"two"'}),
        Served(OTHER, {"ETag": '"two"'}, checks=False),
        Served(OTHER[:100], {"ETag": '"two"'}, checks=False),
        Served(OTHER + b"more", {"ETag": '"one"'}, checks=False),
        Served(OTHER, {}, ranges=False),
    ],
    ids=["heeds If-Range", "does not", "smaller", "of another size", "sends no parts"],
)
def test_a_file_that_changed_on_the_server_is_begun_anew(server, folder, offer, second):
    route = one(server, Served(CONTENT, TAG, faults=[300_000, "404"]))
    offer(route)
    with pytest.raises(DataError, match="404"):
        fetch("big")
    offer(one(server, second))
    assert fetch("big")[0].path.read_bytes() == second.content


def test_a_part_of_another_place_is_not_put_behind_what_is_here(server, folder, offer):
    offer(one(server, Served(CONTENT, TAG, faults=[300_000], shift=7)))
    assert fetch("big")[0].path.read_bytes() == CONTENT
    assert server.ranges("/big.bin")[1] is not None is server.ranges("/big.bin")[2]


@pytest.mark.parametrize("headers", [{}, {"ETag": 'W/"weak"'}])
def test_without_a_way_to_tell_versions_apart_a_file_is_begun_anew(server, folder, offer, headers):
    offer(one(server, Served(CONTENT, headers, faults=[300_000])))
    assert fetch("big")[0].path.read_bytes() == CONTENT
    assert server.ranges("/big.bin") == [None, None]


def test_nothing_is_said_to_be_kept_that_is_begun_anew(server, offer):
    offer(one(server, Served(CONTENT, faults=[300_000] * 4)))
    with pytest.raises(DataError, match=r"connection broke, 4 times\. Get"):
        fetch("big")


def test_a_published_checksum_is_such_a_way(server, folder, offer):
    offer(one(server, Served(CONTENT, faults=[300_000]), sha(CONTENT)))
    assert fetch("big")[0].path.read_bytes() == CONTENT
    assert server.ranges("/big.bin")[1] is not None


def test_what_a_server_calls_packed_on_the_way_stays_packed(server, folder, offer):
    """Some say of a .gz that its content is encoded; what is unpacked on the way is not the file."""
    content = gzip.compress(CONTENT)
    offer(one(server, Served(content, {"Content-Encoding": "gzip"}), name="big.json.gz"))
    assert fetch("big")[0].path.read_bytes() == content
    assert server.asked["/big.json.gz"][0]["Accept-Encoding"] == "identity"


def test_a_redirect_is_followed(server, folder, offer):
    server.files["/moved.bin"] = Served(CONTENT, TAG, faults=[300_000])
    offer(one(server, Served(to=f"{server.address}/moved.bin")))
    assert fetch("big")[0].path.read_bytes() == CONTENT
    assert server.ranges("/moved.bin")[1] is not None


# ---- what does not come --------------------------------------------------------------------------


@pytest.mark.parametrize("to", ["http://example.org/big.bin", "http://localhost:80@example.org/big.bin"])
def test_a_redirect_to_plain_http_elsewhere_is_refused(server, folder, offer, to):
    offer(one(server, Served(to=to)))
    with pytest.raises(DataError, match="not https"):
        fetch("big")
    assert len(server.asked["/big.bin"]) == 1


def test_an_address_by_plain_http_is_refused(offer):
    offer((Remote("http://example.org/big.bin", "big.bin"),))
    with pytest.raises(DataError, match="not https"):
        fetch("big")


def test_a_missing_file_is_an_error_that_says_how_to_get_it_by_hand(server, folder, offer):
    offer((*one(server, Served(CONTENT), name="a.bin"), Remote(f"{server.address}/b.bin", "b.bin")))
    with pytest.raises(DataError) as caught:
        fetch("big")
    said = str(caught.value)
    assert f"{server.address}/b.bin: the server answers 404" in said and "4 times" not in said
    assert f"Get {server.address}/b.bin by hand, put what you have into {folder}, and" in said
    assert len(server.asked["/b.bin"]) == 1  # to ask again is of no use
    assert names(folder) == {"a.bin", "checksums.json"}  # what has come is kept
    (folder / "b.bin").write_bytes(OTHER)
    assert [found.origin for found in fetch("big")] == [f"{server.address}/a.bin", "was there"]


def test_a_connection_that_goes_silent_is_tried_again(server, folder, offer):
    offer(one(server, Served(CONTENT, TAG, faults=[-200_000])))
    began = time.monotonic()
    assert fetch("big")[0].path.read_bytes() == CONTENT
    assert time.monotonic() - began < 5 and server.ranges("/big.bin")[1] is not None


def test_a_server_that_is_always_silent_is_an_error_in_the_end(server, folder, offer):
    offer(one(server, Served(CONTENT, TAG, faults=[-1] * 4)))
    with pytest.raises(DataError, match=r"nothing came for 0\.5 seconds, 4 times.* by hand"):
        fetch("big")
    assert len(server.asked["/big.bin"]) == 4


def test_a_server_that_is_not_there(server, folder, offer, monkeypatch):
    offer((Remote("http://127.0.0.1:1/big.bin", "big.bin"),))
    with pytest.raises(DataError, match="cannot be reached, 4 times"):
        fetch("big")
    assert not folder.exists()  # an empty one would be taken for the data


def test_waits_grow_between_attempts(server, offer, monkeypatch):
    waits = []
    monkeypatch.setattr(http, "PAUSE", 1.0)
    monkeypatch.setattr(http.time, "sleep", waits.append)
    offer(one(server, Served(CONTENT, faults=["500"] * 9)))
    with pytest.raises(DataError, match="4 times"):
        fetch("big")
    assert waits == [1, 2, 4]


def test_an_answer_without_a_file_is_no_file(server, folder, offer):
    offer(one(server, Served(CONTENT, faults=["204"])))
    assert fetch("big")[0].path.read_bytes() == CONTENT and len(server.asked["/big.bin"]) == 2


@pytest.mark.parametrize("text", ["{", "[]", "{}", '{"url": "x", "validator": "y"}'])
def test_a_damaged_note_on_what_has_come_is_no_note(server, folder, offer, text):
    offer(one(server, Served(CONTENT, TAG)))
    staging = folder / raw_files.UNDER_WAY
    staging.mkdir(parents=True)
    (staging / "big.bin.part").write_bytes(OTHER[:1000])
    (staging / "big.bin.part.json").write_text(text)
    assert fetch("big")[0].path.read_bytes() == CONTENT and server.ranges("/big.bin") == [None]


def test_bytes_of_an_old_version_never_stand_beside_the_note_on_a_new_one(server, folder, offer, monkeypatch):
    """A kill between the two would mix them."""
    offer(one(server, Served(CONTENT, TAG, faults=[300_000, "404"])))
    with pytest.raises(DataError, match="404"):
        fetch("big")
    offer(one(server, Served(OTHER, {"ETag": '"two"'})))
    part = folder / raw_files.UNDER_WAY / "big.bin.part"
    monkeypatch.setattr(http, "write_json", lambda path, content: 1 / part.exists())
    with pytest.raises(ZeroDivisionError):
        fetch("big")


def test_an_untrusted_certificate_is_not_tried_again(offer, monkeypatch):
    asked = []

    def refuse(self, url, **options):
        asked.append(url)
        raise requests.exceptions.SSLError("self-signed")

    monkeypatch.setattr(requests.Session, "get", refuse)
    offer((Remote("https://example.org/big.bin", "big.bin"),))
    with pytest.raises(DataError, match="certificate"):
        fetch("big")
    assert len(asked) == 1


@pytest.mark.parametrize("checksum", [sha(OTHER), "md5:" + "0" * 32])
def test_a_file_with_another_checksum_is_thrown_away(server, folder, offer, checksum):
    offer(one(server, Served(CONTENT), checksum))
    with pytest.raises(DataError, match=rf"big\.bin: .*{checksum}, and was thrown away.* by hand"):
        fetch("big")
    assert not folder.exists()


@pytest.mark.parametrize("name", ["big.json.gz", "big.zip"])
def test_a_page_in_place_of_a_file_is_thrown_away(server, folder, offer, name):
    offer(one(server, Served(b"<html>Please log in</html>"), name=name))
    with pytest.raises(DataError, match="perhaps a page"):
        fetch("big")
    assert not folder.exists()


def test_a_disk_without_room_is_one_line_and_nothing_has_the_name(server, folder, offer):
    offer(one(server, Served(CONTENT, TAG)))
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (300_000, before[1]))
    try:
        with pytest.raises(ConfigError, match=r"big\.bin: cannot be written .*Make room"):
            fetch("big")
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
    assert not (folder / "big.bin").exists()
    assert fetch("big")[0].path.read_bytes() == CONTENT
    assert server.ranges("/big.bin")[1] is not None  # it goes on


def test_an_unknown_name_is_answered_with_the_closest(offer):
    offer()
    with pytest.raises(ConfigError, match="did you mean 'big'"):
        fetch("bug")


# ---- several ways --------------------------------------------------------------------------------


def test_the_second_address_is_taken_where_the_first_fails(server, folder, offer, caplog):
    offer((Remote(f"{server.address}/gone.bin", "gone.bin"),), one(server, Served(CONTENT)))
    (found,) = fetch("big")
    assert found.origin == f"{server.address}/big.bin"
    assert "gone.bin: the server answers 404" in caplog.text and "another address" in caplog.text


def test_where_all_fail_all_are_named(server, folder, offer):
    offer(*((Remote(f"{server.address}/{name}", name),) for name in ("a.bin", "b.bin")))
    with pytest.raises(DataError) as caught:
        fetch("big")
    assert f"Get {server.address}/a.bin, or {server.address}/b.bin by hand" in str(caught.value)


def test_the_way_of_which_most_is_there_is_taken_first(server, folder, offer):
    folder.mkdir(parents=True)
    (folder / "b.bin").write_bytes(OTHER)
    offer(*((Remote(f"{server.address}/{name}", name),) for name in ("a.bin", "b.bin")))
    assert [found.path.name for found in fetch("big")] == ["b.bin"] and not server.asked


# ---- by hand, and ever after ---------------------------------------------------------------------


def test_a_file_put_there_by_hand_is_taken_and_recorded(server, folder, offer):
    folder.mkdir(parents=True)
    (folder / "big.bin").write_bytes(OTHER)
    offer(one(server, Served(CONTENT)))
    (found,) = fetch("big")
    assert found.path.read_bytes() == OTHER and found.origin == "was there" and not server.asked
    (folder / "big.bin").write_bytes(CONTENT)
    with pytest.raises(DataError, match=r"big\.bin: its SHA-256 is \w+, and that of .* delete .*checksums\.json"):
        fetch("big")
    assert (folder / "big.bin").read_bytes() == CONTENT


def test_a_file_put_there_by_hand_is_held_against_the_published_checksum(server, folder, offer):
    folder.mkdir(parents=True)
    (folder / "big.bin").write_bytes(OTHER)
    offer(one(server, Served(CONTENT), sha(CONTENT)))
    with pytest.raises(DataError, match=rf"sha256 is {sha(OTHER)[7:]}, and {sha(CONTENT)[7:]} is published; delete"):
        fetch("big")
    assert (folder / "big.bin").read_bytes() == OTHER  # never replaced


def test_what_was_half_downloaded_goes_when_the_file_is_there_by_hand(server, folder, offer):
    offer(one(server, Served(CONTENT, TAG, faults=[300_000, "404"])))
    with pytest.raises(DataError, match="404"):
        fetch("big")
    (folder / "big.bin").write_bytes(CONTENT)
    fetch("big")
    assert names(folder) == {"big.bin", "checksums.json"}


def test_what_killed_processes_left_is_removed(offer, folder, server):
    offer((Remote(f"{server.address}/gone.bin", "gone.bin"),))
    (folder / raw_files.UNDER_WAY).mkdir(parents=True)
    for name in (f"{raw_files.UNDER_WAY}/tmpabcd", ".gone.bin.123.part"):
        (folder / name).write_bytes(CONTENT)
    with pytest.raises(DataError, match="404"):
        fetch("big")
    assert not folder.exists()


def test_a_new_version_is_not_taken_for_the_recorded_one(server, folder, offer):
    offer(one(server, Served(CONTENT)))
    fetch("big")[0].path.unlink()
    server.files["/big.bin"] = Served(OTHER)
    with pytest.raises(DataError, match=r"checksums\.json"):
        fetch("big")


@pytest.mark.parametrize("text", ["{", "[]", '{"big.bin": 3}', '{"big.bin": {"sha256": 1}}'])
def test_a_damaged_record_is_an_error_that_names_it(server, folder, offer, text):
    folder.mkdir(parents=True)
    (folder / "checksums.json").write_text(text)
    offer(one(server, Served(CONTENT)))
    with pytest.raises(DataError, match=r"checksums\.json: this is no record"):
        fetch("big")


# ---- archives ------------------------------------------------------------------------------------


def zipped(**members: str) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, text in members.items():
            archive.writestr(f"in/{name}", text)
    return buffer.getvalue()


@pytest.fixture
def archive(server, offer) -> bytes:
    """What the server has under big.zip, of which two files are wanted."""
    content = zipped(a="first", b="second", c="third")
    server.files["/big.zip"] = Served(content)
    offer((Remote(f"{server.address}/big.zip", "big.zip", sha(content), ("in/a", "in/b")),))
    return content


def test_an_archive_is_unpacked_and_thrown_away(server, folder, archive):
    found = fetch("big")
    assert [(file.path.name, file.path.read_text()) for file in found] == [("a", "first"), ("b", "second")]
    assert names(folder) == {"a", "b", "checksums.json"}
    assert {file.origin for file in fetch("big")} == {f"{server.address}/big.zip"}


def test_an_archive_put_there_by_hand_is_unpacked_and_stays(server, folder, archive):
    folder.mkdir(parents=True)
    (folder / "big.zip").write_bytes(archive)
    (folder / "a").write_text("mine")
    assert [file.path.read_text() for file in fetch("big")] == ["mine", "second"] and not server.asked
    assert names(folder) == {"a", "b", "big.zip", "checksums.json"}


def test_members_put_there_by_hand_need_no_archive(server, folder, archive):
    folder.mkdir(parents=True)
    for name in "ab":
        (folder / name).write_text("mine")
    assert {file.origin for file in fetch("big")} == {"was there"} and not server.asked


# ---- kills, and two at once ----------------------------------------------------------------------

FETCH = """
import sys
from gensr_lib.data.sources.downloads import raw_files
from gensr_lib.data.sources.source import Offer, Remote
raw_files.offers = lambda: {"big": Offer(((Remote(sys.argv[1], "big.bin"),),), "", "", "")}
print(raw_files.fetch("big")[0].origin)
"""


def start(server, root) -> subprocess.Popen:
    env = {**os.environ, "PYTHONPATH": str(root), "OMP_NUM_THREADS": "1"}
    command = [sys.executable, "-c", FETCH, f"{server.address}/big.bin"]
    return subprocess.Popen(command, env=env, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


def test_a_killed_download_is_gone_on_with(server, folder, offer, root):
    offer(one(server, Served(CONTENT, TAG, pace=0.02)))
    process = start(server, root)
    part = folder / raw_files.UNDER_WAY / "big.bin.part"
    end = time.monotonic() + 60
    while not (part.exists() and part.stat().st_size) and time.monotonic() < end:
        time.sleep(0.01)
    os.kill(process.pid, signal.SIGKILL)
    process.communicate()
    assert 0 < part.stat().st_size < len(CONTENT) and not (folder / "big.bin").exists()
    had = part.stat().st_size
    server.files["/big.bin"].pace = 0
    assert fetch("big")[0].path.read_bytes() == CONTENT
    assert server.ranges("/big.bin")[1] == f"bytes={had}-"
    assert names(folder) == {"big.bin", "checksums.json"}


def test_two_processes_download_a_file_once(server, folder, root):
    server.files["/big.bin"] = Served(CONTENT, TAG, pace=0.006)  # three seconds
    processes = [start(server, root) for _ in range(2)]
    said = [process.communicate(timeout=100) for process in processes]
    assert [process.returncode for process in processes] == [0, 0], said
    assert [out.strip() for out, _ in said] == [f"{server.address}/big.bin"] * 2
    assert any("another process is downloading" in err for _, err in said)
    assert server.ranges("/big.bin") == [None] and (folder / "big.bin").read_bytes() == CONTENT


# ---- the command ---------------------------------------------------------------------------------


def test_get_shows_the_terms_before_it_downloads(server, folder, offer, capsys, monkeypatch):
    offer(one(server, Served(CONTENT)))
    seen = []
    monkeypatch.setattr(raw_files, "_downloaded", lambda *args: seen.append(capsys.readouterr().out) or 1 / 0)
    with pytest.raises(ZeroDivisionError):
        main(["data", "get", "big"])
    assert seen == ["Do as you like.\n"]


def test_get_says_what_came_from_where(server, folder, offer, capsys, monkeypatch):
    offer(one(server, Served(CONTENT)))
    logger = pooch.get_logger()
    monkeypatch.setattr(logger, "level", logging.INFO)  # as pooch has it
    for handler in logger.handlers:
        monkeypatch.setattr(handler, "stream", sys.stderr)
    assert main(["data", "get", "big"]) == 0
    captured = capsys.readouterr()
    assert f"{folder / 'big.bin'}: 512,000 bytes, {server.address}/big.bin" in captured.out
    assert captured.err == ""  # no progress bar without a terminal, and no log of pooch


def test_get_lists_what_there_is_without_a_name_or_with_an_unknown_one(capsys):
    assert main(["data", "get"]) == 0
    listed = capsys.readouterr().out
    assert "amazon-kindle" in listed and "982,619 reviews" in listed
    assert "movielens-100k" in listed and "not to be passed on" in listed
    assert main(["data", "get", "amazon-kindel"]) == 2
    captured = capsys.readouterr()
    assert captured.out == listed and "did you mean 'amazon-kindle'" in captured.err


def test_get_that_fails_is_one_line(server, folder, offer, capsys):
    offer((Remote(f"{server.address}/big.bin", "big.bin"),))
    assert main(["data", "get", "big"]) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith("error: big cannot be downloaded") and str(folder) in line


# ---- what is offered -----------------------------------------------------------------------------


def test_each_offer_can_be_loaded_by_its_name_and_is_reached_by_https():
    there_are = load.offers()
    for name, offer in there_are.items():
        source = load.find(name, must_exist=False)
        assert name in source.kind.remote and offer.size and offer.licence and "https://" in offer.terms
        for remote in (remote for route in offer.routes for remote in route):
            assert remote.url.startswith("https://") and remote.url.endswith(f"/{remote.file}")
    assert sum(name.startswith("amazon-") for name in there_are) == 24


def test_the_files_of_a_category_are_those_that_its_page_lists():
    (files,) = load.offers()["amazon-kindle"].routes
    home = "https://snap.stanford.edu/data/amazon/productGraph/categoryFiles"
    assert [file.url for file in files] == [
        f"{home}/reviews_Kindle_Store_5.json.gz",
        f"{home}/meta_Kindle_Store.json.gz",
    ]


def test_a_name_whose_files_are_missing_names_the_command():
    with pytest.raises(DataError, match="`gensr data get movielens-1m` downloads it"):
        load.find("movielens-1m")
    with pytest.raises(DataError, match="no such folder") as caught:
        load.find("amazon-no-such-category")
    assert "data get" not in str(caught.value)
