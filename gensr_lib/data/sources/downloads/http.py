"""Files over HTTP that go on where they were cut off: a downloader for `pooch`, which has none.

The rules are those of RFC 9110: a range is asked for only if the bytes that are here can be told
from those of another version, by a strong ETag or the date of the last change (``If-Range``), or if
a published checksum will tell in the end.
"""

from __future__ import annotations

import json
import logging
import os
import re
import time
from http import HTTPStatus
from pathlib import Path
from urllib.parse import urlsplit

import requests
import urllib3
from tqdm.auto import tqdm

from ....errors import DataError
from ....files import sync, write_json

TIMEOUT = (10, 30)  # seconds for the connection, and for each next parcel of bytes
ATTEMPTS = 4
PAUSE = 1.0  # seconds before the second attempt; doubled before each one after it
BLOCK = 1 << 16  # bytes that are written at once: so many may be lost at most
LOCAL = ("127.0.0.1", "localhost", "::1")
BUSY = (HTTPStatus.REQUEST_TIMEOUT, HTTPStatus.TOO_MANY_REQUESTS)
RANGES = (HTTPStatus.PARTIAL_CONTENT, HTTPStatus.REQUESTED_RANGE_NOT_SATISFIABLE)
LOG = logging.getLogger(__name__)


class DownloadError(DataError):
    """A file that cannot be downloaded from an address."""


class Interrupted(requests.RequestException):
    """What came is not the file, or not all of it: another attempt may do better."""


class ResumingDownloader:
    """Downloads to a file of its own, and goes on with it if it was killed; for `pooch.retrieve`.

    Args:
        part: what has come so far. A small file beside it says of which version of the file it is.
        is_checked: whether a published checksum will be compared in the end.
    """

    def __init__(self, part: Path, is_checked: bool):
        self.part = part
        self._version = part.with_name(f"{part.name}.json")
        self._is_checked = is_checked

    def __call__(self, url: str, output_file: str, pooch, check_only: bool = False) -> None:
        """Bring the file at an address to ``output_file``, whole.

        Raises:
            DownloadError: it is not there, or could not be had after `ATTEMPTS` attempts.
        """
        with _Session() as session:
            self._insist(session, url)
        sync(self.part)
        os.replace(self.part, output_file)
        self._version.unlink()

    def _insist(self, session: requests.Session, url: str) -> None:
        """Try until all is here, or nothing more is to be hoped for."""
        for attempt in range(1, ATTEMPTS + 1):
            try:
                return self._receive(session, url)
            except (requests.RequestException, urllib3.exceptions.HTTPError) as error:
                reason = _reason(error)
                if not _may_pass(error):
                    raise DownloadError(f"{url}: {reason}") from error
                if attempt == ATTEMPTS:
                    said = f"{reason}, {ATTEMPTS} times{self._kept(url)}"
                    raise DownloadError(f"{url}: {said}") from error
                LOG.warning("%s: %s; trying again", url, reason)
            time.sleep(PAUSE * 2 ** (attempt - 1))

    def _kept(self, url: str) -> str:
        here, _ = self._begun(url)
        return f" ({here:,} bytes have come and are kept)" if here else ""

    def _receive(self, session: requests.Session, url: str) -> None:
        """One attempt: all bytes, or those that are missing."""
        here, version = self._begun(url)
        if here and here == version["size"]:
            return  # killed before it had its name
        headers = _headers(here, version)
        with session.get(url, headers=headers, stream=True, timeout=TIMEOUT) as answer:
            if answer.status_code in RANGES and not _continues(answer, here, version):
                self.part.unlink(missing_ok=True)
                raise Interrupted("the server has another version of the file than before")
            answer.raise_for_status()
            if answer.status_code not in (HTTPStatus.OK, HTTPStatus.PARTIAL_CONTENT):
                raise Interrupted(f"the server answers {answer.status_code} {answer.reason}")
            if answer.status_code == HTTPStatus.OK:
                here = 0
                self.part.unlink(missing_ok=True)  # first: it is of the version before
                write_json(self._version, _version_of(answer, url))
            self._write(answer, here)

    def _begun(self, url: str) -> tuple[int, dict]:
        """How many bytes are here with which one can go on, and of which version they are."""
        try:
            version = json.loads(self._version.read_text(encoding="utf-8"))
            here = self.part.stat().st_size
            can_tell = version["validator"] or self._is_checked
            is_of_it = version["url"] == url and here <= (version["size"] or here)
        except (OSError, ValueError, LookupError, TypeError):
            return 0, {}
        return (here, version) if can_tell and is_of_it else (0, {})

    def _write(self, answer: requests.Response, here: int) -> None:
        """Append the body of an answer to the ``here`` bytes that are kept."""
        length = answer.headers.get("Content-Length")
        size = here + int(length) if length else None
        bar = {"unit": "B", "unit_scale": True, "leave": False, "disable": None}
        with (
            self.part.open("ab" if here else "wb") as file,
            tqdm(desc=self.part.stem, total=size, initial=here, **bar) as progress,
        ):
            # As it is sent: what is decoded here could not be gone on with, and a .gz must stay so.
            for block in answer.raw.stream(BLOCK, decode_content=False):
                file.write(block)
                progress.update(len(block))
            if size is not None and file.tell() != size:
                raise Interrupted(f"{file.tell():,} of {size:,} bytes have come")


class _Session(requests.Session):
    """Requests by https only, also where a server sends them on; by http to this machine."""

    def get_adapter(self, url):
        """How an address is reached, each of those too that a server sends on to."""
        parts = urlsplit(url)
        if parts.scheme != "https" and parts.hostname not in LOCAL:
            raise requests.exceptions.InvalidSchema(f"leads to {url}, which is not https")
        return super().get_adapter(url)


def _headers(here: int, version: dict) -> dict[str, str]:
    """Of a request for what is missing; nothing is to be packed on the way."""
    headers = {"Accept-Encoding": "identity"}
    if here:
        headers["Range"] = f"bytes={here}-"
    if here and version["validator"]:
        headers["If-Range"] = version["validator"]
    return headers


def _version_of(answer: requests.Response, url: str) -> dict:
    """What tells this version of a file from others."""
    length = answer.headers.get("Content-Length")
    return {"url": url, "validator": _validator(answer), "size": int(length) if length else None}


def _validator(answer: requests.Response) -> str | None:
    """A weak ETag promises the same meaning, not the same bytes."""
    etag = answer.headers.get("ETag", "W/")
    return answer.headers.get("Last-Modified") if etag.startswith("W/") else etag


def _continues(answer: requests.Response, here: int, version: dict) -> bool:
    """Whether a partial answer goes on where the kept bytes of a version end."""
    found = re.fullmatch(r"bytes (\d+)-\d+/(\d+|\*)", answer.headers.get("Content-Range", ""))
    if answer.status_code != HTTPStatus.PARTIAL_CONTENT or not here:
        return False
    if not found or int(found[1]) != here:
        return False
    if version["size"] and found[2] not in ("*", str(version["size"])):
        return False
    return _validator(answer) in (None, version["validator"])


def _may_pass(error: Exception) -> bool:
    """Whether another attempt may succeed."""
    if isinstance(error, requests.HTTPError):
        code = error.response.status_code
        return code >= HTTPStatus.INTERNAL_SERVER_ERROR or code in BUSY
    if isinstance(error, requests.exceptions.SSLError):
        return False
    passing = (requests.ConnectionError, requests.Timeout, Interrupted)
    return isinstance(error, (*passing, urllib3.exceptions.HTTPError))


def _reason(error: Exception) -> str:
    """An error of the network in a few words."""
    if isinstance(error, requests.HTTPError):
        return f"the server answers {error.response.status_code} {error.response.reason}"
    if isinstance(error, (requests.ReadTimeout, urllib3.exceptions.ReadTimeoutError)):
        return f"nothing came for {TIMEOUT[1]} seconds"
    if isinstance(error, requests.exceptions.SSLError):
        return "the certificate of the server is not trusted"
    if isinstance(error, requests.ConnectionError):
        return "the server cannot be reached"
    if isinstance(error, urllib3.exceptions.HTTPError):
        return "the connection broke"
    return str(error)
