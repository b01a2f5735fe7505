"""Zip archives that were made to do harm, or are damaged."""

from __future__ import annotations

import stat
import zipfile
from pathlib import Path

import pytest

from gensr_lib.data.sources.formats import archives, content
from gensr_lib.data.sources.formats.archives import paths_in, unpack
from gensr_lib.errors import ConfigError, DataError


@pytest.fixture
def folder(tmp_path) -> Path:
    made = tmp_path / "outer" / "raw"
    made.mkdir(parents=True)
    return made


def zipped(folder: Path, *members: tuple[str | zipfile.ZipInfo, str]) -> Path:
    """An archive beside the folder, with these files."""
    path = folder.parent / "some.zip"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, text in members:
            archive.writestr(name, text)
    return path


def refused(archive: Path, folder: Path, words: str, *members: str) -> None:
    """The archive is an error that names it, and nothing of it is written anywhere."""
    before = set(folder.parent.rglob("*"))
    with pytest.raises(DataError, match=words) as caught:
        unpack(archive, members or ("in/a",), folder)
    assert str(archive) in str(caught.value)
    assert set(folder.parent.rglob("*")) == before


def test_members_are_laid_side_by_side_and_no_others(folder):
    unpack(zipped(folder, ("in/a", "1"), ("in/deep/b", "2"), ("in/c", "3")), ("in/a", "in/deep/b"), folder)
    assert {path.name: path.read_text() for path in folder.rglob("*")} == {"a": "1", "b": "2"}


def test_a_file_that_is_there_stays(folder):
    (folder / "a").write_text("mine")
    unpack(zipped(folder, ("in/a", "1")), ("in/a",), folder)
    assert (folder / "a").read_text() == "mine"


@pytest.mark.parametrize("path", ["../evil", "in/../../evil", "/evil", "..\\evil", "\\evil", "C:\\evil", "c:evil"])
@pytest.mark.parametrize("is_wanted", [True, False])
def test_a_path_that_leads_out_of_its_folder_spoils_the_archive(folder, path, is_wanted):
    members = (path,) if is_wanted else ()
    refused(zipped(folder, ("in/a", "1"), (path, "2")), folder, "leads out", *members)


def test_a_link_spoils_the_archive(folder):
    link = zipfile.ZipInfo("in/link")
    link.external_attr = (stat.S_IFLNK | 0o777) << 16
    refused(zipped(folder, ("in/a", "1"), (link, "/etc/passwd")), folder, "in/link is a link")


def test_an_archive_that_grows_without_end_is_refused(folder, monkeypatch):
    monkeypatch.setattr(content, "FREE", 10**5)
    archive = zipped(folder, ("in/a", "\0" * 10**6), ("in/b", "fine"))
    assert content.MAX_GROWTH * archive.stat().st_size < 10**6
    refused(archive, folder, r"unpack to 1,000,000, more than .*MAX_GROWTH")
    unpack(archive, ("in/b",), folder)  # what is not taken does no harm
    assert (folder / "b").read_text() == "fine"


def test_an_archive_that_lies_about_a_size_is_damaged(folder):
    archive = zipped(folder, ("in/a", "\0" * 10**6))
    stated = (10**6).to_bytes(4, "little")
    data = archive.read_bytes()
    assert data.count(stated) == 2  # in front of the file, and in the list at the end
    archive.write_bytes(data.replace(stated, (10).to_bytes(4, "little")))
    refused(archive, folder, "damaged or cut short")


@pytest.mark.parametrize("text", [b"", b"<html>", b"PK\x03\x04 and no more"])
def test_what_is_no_archive(folder, text):
    archive = folder.parent / "some.zip"
    archive.write_bytes(text)
    refused(archive, folder, "damaged or cut short")


def test_an_archive_cut_short(folder):
    archive = zipped(folder, ("in/a", "first" * 99), ("in/b", "second"))
    archive.write_bytes(archive.read_bytes()[:-30])
    refused(archive, folder, "damaged or cut short")


def test_a_damaged_member_does_not_get_its_name(folder):
    archive = folder.parent / "some.zip"
    with zipfile.ZipFile(archive, "w") as stored:
        stored.writestr("in/a", "first")
    archive.write_bytes(archive.read_bytes().replace(b"first", b"worst"))
    refused(archive, folder, "damaged or cut short")


def test_a_member_that_needs_a_password(folder):
    archive = zipped(folder, ("in/a", "first"))
    data = bytearray(archive.read_bytes())
    data[6] |= 1  # the flag in front of the file
    data[data.index(b"PK\x01\x02") + 8] |= 1  # and in the list at the end
    archive.write_bytes(bytes(data))
    refused(archive, folder, "password|damaged")


def test_a_missing_member_is_named_before_any_other_is_taken(folder):
    refused(zipped(folder, ("in/a", "1")), folder, "there is no in/b", "in/a", "in/b")


def test_the_paths_of_an_archive_are_those_of_its_files(folder):
    assert paths_in(zipped(folder, ("in/", ""), ("in/a", "1"), ("b", "2"))) == ["in/a", "b"]
    (folder.parent / "some.zip").write_bytes(b"<html>")
    with pytest.raises(DataError, match="damaged or cut short"):
        paths_in(folder.parent / "some.zip")


def test_an_archive_that_does_not_fit_on_the_disk(folder, monkeypatch):
    """What is there already needs no room."""
    archive = zipped(folder, ("in/a", "1" * 600), ("in/b", "2" * 401))
    monkeypatch.setattr(archives.shutil, "disk_usage", lambda path: type("Usage", (), {"free": 1000}))
    with pytest.raises(ConfigError, match=r"some\.zip: unpacked it takes 1,001 bytes, and 1,000 are free"):
        unpack(archive, ("in/a", "in/b"), folder)
    assert not list(folder.iterdir())
    (folder / "a").write_text("mine")
    unpack(archive, ("in/a", "in/b"), folder)
    assert (folder / "b").read_text() == "2" * 401


@pytest.mark.parametrize("method", [zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA, zipfile.ZIP_DEFLATED])
def test_a_damaged_member_of_any_method_is_no_matter_of_the_disk(folder, method):
    archive = folder.parent / "some.zip"
    with zipfile.ZipFile(archive, "w", method) as made:
        made.writestr("in/a", bytes(range(256)) * 40)
    content = bytearray(archive.read_bytes())
    for place in range(45, 80):
        content[place] ^= 0xFF
    archive.write_bytes(bytes(content))
    refused(archive, folder, "damaged or cut short")
