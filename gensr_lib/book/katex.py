"""KaTeX's styles and fonts: with them the site sets mathematics and asks no other machine."""

from __future__ import annotations

import logging
import re
import tarfile
from pathlib import Path

import pooch

LOG = logging.getLogger(__name__)
VERSION = "0.15.2"  # the one that the theme's pages ask for
ASKED_FOR = f"https://cdn.jsdelivr.net/npm/katex@{VERSION}/dist/katex.min.css"
PACKAGE = f"https://registry.npmjs.org/katex/-/katex-{VERSION}.tgz"
CHECKSUM = (
    "sha512:15f67f7fa7fc6d074b989dcc7170cd4e429e9d09285e422da56d08f5bb06db08"
    "1bfbc2406396f0a5716d23c655ae0e61735c28d57fd422176454ca68938ead11"
)
NEEDED = re.compile(r"package/(?:LICENSE|dist/(katex\.min\.css|fonts/[\w-]+\.woff2))")


def fetch_katex(folder: Path, url: str = PACKAGE) -> bool:
    """Write KaTeX's style sheet, its fonts and its licence to a folder.

    The package is fetched once and kept in the user's cache.

    Returns:
        Whether it was to be had; without it (a message says so) the pages ask another machine.
    """
    try:
        path = pooch.retrieve(url, CHECKSUM, path=pooch.os_cache("gensr-book"), progressbar=False)
    except (OSError, ValueError) as error:
        LOG.warning("KaTeX stays external, since %s cannot be had: %s", url, error)
        return False
    with tarfile.open(path) as package:
        for member in package:
            # Only names of this form are written, so none can leave the folder.
            if member.isfile() and (match := NEEDED.fullmatch(member.name)):
                target = folder / (match[1] or "LICENSE")
                target.parent.mkdir(parents=True, exist_ok=True)
                target.write_bytes(package.extractfile(member).read())
    return True
