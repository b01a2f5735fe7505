"""The panel that asks GenSR, in a browser where this machine has one: what a reader sees while asking."""

from __future__ import annotations

import json
import re
import subprocess
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread

import pytest

from gensr_lib.book.table_widths import QUIET, find_browser
from gensr_lib.explore.export import MODEL, WEIGHTS, export_page
from gensr_lib.show.modules import bundled
from tests.explore.test_export import USERS, gensr, run_of
from tests.worlds import pocket

PAGE = f"""<!doctype html><meta charset="utf-8">
<a href="{MODEL}">model</a> <a href="{WEIGHTS}">weights</a> <div id="panel"></div>
<script type="module">
import panel from "./ask.mjs";
const place = document.querySelector("#panel");
const until = async (there) => {{ while (!there()) await new Promise((go) => setTimeout(go, 20)); }};
const isDone = () => place.querySelector("[data-item]") && !place.querySelector("[aria-busy=true]");
const seen = {{}};
const note = (when) => seen[when] = {{
  heads: [...place.querySelectorAll("h4")].map((head) => head.innerText.trim()),
  busy: [...place.querySelectorAll("[aria-busy]")].map((part) => part.getAttribute("aria-busy")),
  query: place.querySelector("[name=query]").value,
}};
const given = {{ query: "kennel" }};
const show = () => {{ place.innerHTML = ""; panel.render({{ model: {{ get: (name) => given[name] }}, el: place }}); }};
const type = (query) => {{
  const input = place.querySelector("[name=query]");
  input.value = query;
  input.dispatchEvent(new Event("input", {{ bubbles: true }}));
}};
show();
await until(isDone);
note("begun");
place.querySelector("[data-drop]").click();
note("dropped");
seen.next = document.activeElement === place.querySelector("[data-drop]");
await until(isDone);
note("answered");
seen.stays = document.activeElement === place.querySelector("[data-drop]");
type("marble");
note("typed");
await until(() => isDone() && /marble/.test(place.innerText));
await until(isDone);
note("searched");
show();
await until(isDone);
note("back");
type("");
await until(() => !/marble/.test(place.innerText));
await until(isDone);
note("cleared");
const adder = () => place.querySelector("[name=add]");
const press = (on, key) => on.dispatchEvent(new KeyboardEvent("keydown", {{ key, bubbles: true, cancelable: true }}));
const look = (text) => {{
  adder().value = text;
  adder().dispatchEvent(new Event("input", {{ bubbles: true }}));
}};
look("a");
press(adder(), "ArrowDown");
press(document.activeElement, "ArrowDown");
seen.second = document.activeElement.dataset.add === place.querySelectorAll("[data-add]")[1].dataset.add;
press(document.activeElement, "Escape");
seen.escaped = [adder().value, place.querySelectorAll("[data-add]").length, document.activeElement === adder()];
look("a");
press(adder(), "Enter");
await until(isDone);
note("added");
seen.focus = document.activeElement === adder();
seen.anew = place.querySelector(".anew").hidden;
place.querySelector(".anew").click();
await until(isDone);
note("own");
seen.own.anew = place.querySelector(".anew").hidden;
document.body.innerHTML = "<pre>" + JSON.stringify(seen).replaceAll("<", "&lt;") + "</pre>";
</script>
"""


@pytest.fixture(scope="module")
def seen(root, tmp_path_factory) -> dict[str, dict[str, list[str]]]:
    """What stands in the panel after each step."""
    if not (browser := find_browser()):
        pytest.skip("no browser: the panel is looked at where there is one")
    folder = tmp_path_factory.mktemp("panel")
    export_page(run_of(gensr()), pocket(), folder, pocket().user_ids[:USERS].tolist())
    (folder / "ask.mjs").write_text(bundled(root / "book/widgets/ask/ask.mjs"), encoding="utf-8")
    (folder / "index.html").write_text(PAGE, encoding="utf-8")
    server = ThreadingHTTPServer(("127.0.0.1", 0), partial(Silent, directory=folder))
    Thread(target=server.serve_forever, daemon=True).start()
    options = [f"--disable-{name}" for name in QUIET]
    options += ["--headless", "--no-sandbox", "--no-first-run", f"--user-data-dir={folder}/me"]
    options += ["--virtual-time-budget=300000", "--dump-dom", f"http://127.0.0.1:{server.server_port}/"]
    try:
        done = subprocess.run([browser, *options], capture_output=True, text=True, timeout=120)
    finally:
        server.shutdown()
    found = re.search(r"<pre>(.*)</pre>", done.stdout)
    assert found, done.stdout[-2000:] + done.stderr[-2000:]
    return json.loads(found[1].replace("&lt;", "<").replace("&gt;", ">").replace("&amp;", "&"))


class Silent(SimpleHTTPRequestHandler):
    """Serves files, and says nothing of it."""

    def log_message(self, *_args: object) -> None:
        """Nothing."""


def test_lists_of_another_history_are_marked_until_their_own_are_there(seen):
    assert seen["begun"]["busy"] == ["false"] * 3, "both lists and the look into an item"
    assert seen["dropped"]["busy"] == ["true"] * 3
    assert seen["answered"]["busy"] == ["false"] * 3
    clicks = [int(re.search(r"(\d+) click", seen[when]["heads"][0])[1]) for when in ("begun", "answered")]
    assert clicks[0] - clicks[1] == 1


def test_a_query_marks_the_list_of_search_alone_and_names_it_when_it_is_asked(seen):
    assert seen["typed"]["busy"] == ["false", "true", "true"], "recommendation has no query"
    assert "Search: kennel" in seen["typed"]["heads"] and "Search: marble" in seen["searched"]["heads"]
    assert seen["cleared"]["heads"][1:3] == ["Recommendation", "Search"]


def test_a_panel_that_is_made_anew_goes_on_where_the_reader_was(seen):
    assert seen["back"]["heads"][:3] == seen["searched"]["heads"][:3]
    assert seen["back"]["query"] == "marble" != seen["begun"]["query"] == "kennel"


def test_after_a_click_is_taken_out_the_next_one_has_the_focus(seen):
    assert seen["next"] and seen["stays"], "also when weights are drawn beside the clicks"


def test_an_item_is_added_by_keys_alone_and_the_own_history_comes_back(seen):
    assert seen["second"] and seen["escaped"] == ["", 0, True], "arrows go through the offers, Escape leaves them"
    clicks = {when: int(re.search(r"(\d+) click", seen[when]["heads"][0])[1]) for when in ("answered", "added", "own")}
    assert clicks["added"] == clicks["answered"] + 1 and seen["focus"], "and the next can be typed"
    assert clicks["own"] == clicks["added"] and not seen["anew"] and seen["own"]["anew"]
