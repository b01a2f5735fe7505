"""The checksums of raw files: those that are published, and a small JSON for the others.

What nobody has published is recorded when a file is first seen, and checked from then on.
"""

from __future__ import annotations

import json
from pathlib import Path

import pooch

from ....errors import DataError
from ....files import write_json
from ..source import Remote

RECORD = "checksums.json"  # beside the raw files
FOUND = "was there"


def check_published(path: Path, remote: Remote) -> None:
    """Raise `DataError` if a file is not the one whose checksum was published."""
    if remote.checksum is None:
        return
    kind, _, digest = remote.checksum.partition(":")
    found = pooch.file_hash(str(path), kind)
    if found != digest:
        said = f"its {kind} is {found}, and {digest} is published"
        raise DataError(f"{path}: {said}; delete it, and get it again from {remote.url}")


class Record:
    """What is known of the files in a folder: SHA-256, size, and where each is from.

    Raises:
        DataError: its file is there and damaged.
    """

    def __init__(self, folder: Path):
        self.path = folder / RECORD
        self._entries: dict[str, dict] = {}
        if self.path.exists():
            self._entries = self._read()

    def _read(self) -> dict[str, dict]:
        try:
            entries = json.loads(self.path.read_text(encoding="utf-8"))
            if all(
                isinstance(entry["sha256"], str) and entry["from"] for entry in entries.values()
            ):
                return entries
        except (ValueError, LookupError, TypeError, AttributeError):
            pass
        advice = "delete it, and the checksums of the files beside it are recorded anew"
        raise DataError(f"{self.path}: this is no record of checksums; {advice}")

    def add(self, path: Path, origin: str = FOUND) -> str:
        """Record a file, or compare it with what is recorded; where it is from.

        Raises:
            DataError: it is another one than was here first.
        """
        sha = pooch.file_hash(str(path), "sha256")
        known = self._entries.get(path.name)
        if known and known["sha256"] != sha:
            found = (
                f"its SHA-256 is {sha}, and that of the file that was here first {known['sha256']}"
            )
            advice = f"get it again, or, if this is the one you want, delete {self.path}"
            raise DataError(f"{path}: {found}; {advice}")
        if not known:
            entry = {"sha256": sha, "bytes": path.stat().st_size, "from": origin}
            self._entries[path.name] = entry
            write_json(self.path, self._entries)
        return self._entries[path.name]["from"]
