"""Are tables wider than the page? Measured in a browser, where this machine has one.

A page of all tables, set as the theme sets them, is laid out by a headless Chromium, which needs
no network. A table that is too wide scrolls in its box; a reader sees that its end is missing.
"""

from __future__ import annotations

import json
import logging
import re
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path
from tempfile import TemporaryDirectory

LOG = logging.getLogger(__name__)
BROWSERS = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")
WIDTH = 727  # pixels of the theme's column of text on a screen of 1400
SECONDS = 60
TABLE = re.compile(r"(?:^:label: (\S+)\n)?(<table.*?</table>)", re.MULTILINE | re.DOTALL)
QUIET = ("background-networking", "component-update", "sync", "quic", "gpu")
PAGE = """\
<!doctype html><meta charset="utf-8"><style>
table {{ font: 14px/1.7 sans-serif; border-collapse: collapse; width: auto }}
td, th {{ padding: 0.3rem 0.6rem }}
.compact {{ font-size: 11.5px }}
.compact :is(td, th) {{ padding: 0.2rem 0.3rem }}
</style>{boxes}
<script>
const found = [...document.querySelectorAll("div")].map(box => box.scrollWidth)
document.body.innerHTML = "<pre>" + JSON.stringify(found) + "</pre>"
</script>
"""


def find_browser() -> str | None:
    """The first browser of `BROWSERS` that is installed."""
    return next(filter(None, map(shutil.which, BROWSERS)), None)


def wide_tables(folder: Path) -> list[str]:
    """The tables of a staged book's notebooks that are wider than the text; none without a browser.

    A browser that does not start, or does not finish, is none: the log says that nothing is known.
    """
    browser, tables = find_browser(), list(_tables(folder))
    widths = _widths(browser, [html for _, _, html in tables]) if browser and tables else []
    if len(widths) < len(tables):
        LOG.warning("no browser that starts: the widths of %d tables are not measured", len(tables))
    return [
        f"notebooks/{name}: a table ({label or 'no label'}) is {width} px wide, more than {WIDTH}"
        for (name, label, _), width in zip(tables, widths, strict=False)
        if width > WIDTH
    ]


def _tables(folder: Path) -> Iterator[tuple[str, str, str]]:
    """Notebook, label and HTML of each table."""
    for path in sorted(folder.glob("notebooks/*.ipynb")):
        for cell in json.loads(path.read_text(encoding="utf-8"))["cells"]:
            if cell["cell_type"] == "markdown":
                for label, html in TABLE.findall("".join(cell["source"])):
                    yield path.name, label, html


def _widths(browser: str, tables: list[str]) -> list[int]:
    boxes = "".join(f'<div style="width:{WIDTH}px;overflow:auto">{html}</div>' for html in tables)
    with TemporaryDirectory(prefix="gensr-browser-") as folder:
        page = Path(folder, "tables.html")
        page.write_text(PAGE.format(boxes=boxes), encoding="utf-8")
        options = [f"--disable-{name}" for name in QUIET]
        options += ["--headless", "--no-sandbox", "--no-first-run", f"--user-data-dir={folder}/me"]
        command = [browser, *options, "--dump-dom", page.as_uri()]
        try:
            done = subprocess.run(command, capture_output=True, text=True, timeout=SECONDS)
        except (OSError, subprocess.TimeoutExpired):
            return []
    found = re.search(r"<pre>(\[[\d,]*\])</pre>", done.stdout)
    return json.loads(found[1]) if found else []
