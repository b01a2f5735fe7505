"""The last touch to the built site: what the builder cannot know, or takes from other machines."""

from __future__ import annotations

import json
import os
import re
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import urlsplit

from .katex import ASKED_FOR, fetch_katex

# Styles that the theme loads on each page for widgets of a running kernel, which no page has.
UNUSED = (
    "https://cdn.jsdelivr.net/npm/jupyter-matplotlib@0.11.3/css/mpl_widget.css",
    "https://cdnjs.cloudflare.com/ajax/libs/font-awesome/4.7.0/css/font-awesome.css",
)
IMAGE = re.compile(r'(<meta (?:name|property)="(?:image|og:image)" content=")(/[^"]+)')
LIBRARY = "/gensr-lib-"  # how the addresses of the library's pages begin
LOST = """\
<!doctype html>
<html lang="en"><head><meta charset="utf-8"><title>No such page</title>
<meta name="viewport" content="width=device-width,initial-scale=1">
<meta name="robots" content="noindex">
<style>
:root {{ color-scheme: light dark }}
body {{ font: 1.1rem/1.6 system-ui; max-width: 36rem; margin: 15vh auto; padding: 0 1rem }}
</style>
</head><body><h1>No such page</h1>
<p>The book has no page at this address; it may have moved. Begin at
<a href="{start}">the first page</a>, whose contents and search lead to all others.</p>
</body></html>
"""


def finish(html: Path, address: str = "") -> None:
    """Make the built site whole, in place.

    Mathematics is set by files of the site itself, widgets' styles are not asked for, the search
    finds the library by names only, and there is a page for addresses that do not exist.

    Args:
        address: where the site will be, without a slash at the end. Without one there is no list
            of pages for search engines, since that needs it.
    """
    base = os.environ.get("BASE_URL", "").rstrip("/")
    local = dict.fromkeys(UNUSED, "data:text/css,")
    if fetch_katex(html / "build" / "katex"):
        local[ASKED_FOR] = f"{base}/build/katex/katex.min.css"
    for path in [*html.rglob("*.html"), *html.glob("build/**/*.js")]:
        _rewrite(path, local, address)
    _list_pages(html, address)
    _shorten_search(html / "myst.search.json")
    (html / "404.html").write_text(LOST.format(start=f"{base}/"), encoding="utf-8")


def address_of(repository: str) -> str:
    """Where GitHub publishes the site of a repository ``owner/name``; '' for none.

    >>> address_of("Me/book"), address_of("me/me.github.io"), address_of("")
    ('https://me.github.io/book', 'https://me.github.io', '')
    """
    owner, _, name = repository.partition("/")
    host = f"{owner.lower()}.github.io"
    if not name:
        return ""
    return f"https://{host}" + ("" if name.lower() == host else f"/{name}")


def _rewrite(path: Path, local: dict[str, str], address: str) -> None:
    before = text = path.read_text(encoding="utf-8")
    for url, own in local.items():
        text = text.replace(url, own)
    if address and path.suffix == ".html":  # pictures of shared pages are asked for from elsewhere
        origin = "{0.scheme}://{0.netloc}".format(urlsplit(address))
        text = IMAGE.sub(lambda match: f"{match[1]}{origin}{match[2]}", text)
    if text != before:
        path.write_text(text, encoding="utf-8")


def _list_pages(html: Path, address: str) -> None:
    """``sitemap.xml`` and ``robots.txt``; the builder's name the machine that it ran on."""
    robots = "User-agent: *\nAllow: /\n"
    for name in ("sitemap.xml", "sitemap_style.xsl"):
        (html / name).unlink(missing_ok=True)
    if address:
        pages = "".join(f"<url><loc>{address}{page}</loc></url>\n" for page in _pages(html))
        space = "http://www.sitemaps.org/schemas/sitemap/0.9"
        text = (
            f'<?xml version="1.0" encoding="UTF-8"?>\n<urlset xmlns="{space}">\n{pages}</urlset>\n'
        )
        (html / "sitemap.xml").write_text(text, encoding="utf-8")
        robots += f"Sitemap: {address}/sitemap.xml\n"
    (html / "robots.txt").write_text(robots, encoding="utf-8")


def _pages(html: Path) -> Iterator[str]:
    for path in sorted(html.rglob("index.html")):
        place = path.parent.relative_to(html).as_posix()
        yield "/" if place == "." else f"/{place}"


def _shorten_search(path: Path) -> None:
    """Of the library's pages keep the names: their texts would hide those of the chapters."""
    if not path.exists():
        return
    index = json.loads(path.read_text(encoding="utf-8"))
    index["records"] = [
        record
        for record in index["records"]
        if not (record["url"].startswith(LIBRARY) and record["type"] == "content")
    ]
    path.write_text(json.dumps(index), encoding="utf-8")
