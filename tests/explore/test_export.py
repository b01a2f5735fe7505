"""The panel that asks GenSR in a page: its files and, in node, its arithmetic against torch."""

from __future__ import annotations

import json
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from tokenizers import normalizers
from transformers import T5Config, T5ForConditionalGeneration

from gensr_lib.data.batches import merged_history
from gensr_lib.data.schema import cut_query
from gensr_lib.errors import ConfigError
from gensr_lib.explore import export
from gensr_lib.explore.events import Event, event_batch
from gensr_lib.explore.export import MODEL, WEIGHTS, export_page
from gensr_lib.explore.ranker import Ranker
from gensr_lib.models import build_model
from gensr_lib.models.gensr.prompt import query_tokens
from gensr_lib.show.modules import bundled
from tests.explore.test_ranker import long_sessions
from tests.models.test_contract import make, provided
from tests.worlds import pocket

USERS = 6
OPTIONS = {
    "default": {},
    "no CF view": {"cf_view": False},
    "no semantic view": {"semantic_view": False},
    "two layers, searches alone": {"layers": 2, "history_of": "src"},
    "one prompt for both tasks": {"task_prompts": False},
}
QUERIES = ["", "marble kennel", "  xyzzy PLUGH\n", "Ça? ｆｕｌｌ Σας", "kennel " * 300]
TEXTS = [
    *QUERIES, "a", " ", "▁", "Yes", "yes", "No way, Yes!", "Yesterday Nothing", "maYes", "Yes No", "Yes'No", "é Yes é",
    "<unk> </s>x<pad>", "a<extra_id_0>  b <extra_id_3>", "tea.cup,(two)…¿qué?", "100 % wool_coat $5 a+b=c ^`|~",
    "«ça» – “so”", "日本語の靴", "👟 shoe\U0001f3fd", "İSTANBUL straße ΟΔΟΣ", "a\tb\nc\u00a0d\u3000e\u2003f",
    "\ufeffshoe\u200b", "ﬁne ½ ﷺ", "e\u0301 n\u0303", "x" * 3000, "shoe" * 700, "ab " * 1200, "👟" * 2100,
    "\x1c shoe \x85", "don't re-use", "İ", "ǅ", "x" * 498 + " y z", " " + "x" * 600,
]  # fmt: skip


def node(code: str, *given: object, root: Path) -> object:
    """What an asynchronous function body returns in node; ``given`` is there, and the engine as `m`."""
    if not shutil.which("node"):
        pytest.skip("node is not installed: the panel is JavaScript")
    folder = (root / "book/widgets/ask").as_uri()
    script = f"""
        const m = {{}};
        for (const name of ["engine", "tokenizer", "panels", "ask"]) {{
          Object.assign(m, await import(`{folder}/${{name}}.mjs`));
        }}
        const {{ readFileSync }} = await import("node:fs");
        const file = (path) => new Uint8Array(readFileSync(path)).buffer;
        const read = (folder) => m.load(JSON.parse(readFileSync(folder + "/{MODEL}")), file(folder + "/{WEIGHTS}"));
        const given = {json.dumps(given)};
        const answer = await (async () => {{ {code} }})();
        console.log(JSON.stringify(answer));"""
    command = ["node", "--input-type=module", "-"]
    done = subprocess.run(command, input=script, capture_output=True, text=True, timeout=300, encoding="utf-8")
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def gensr(**options):
    """A small GenSR with random weights, norms and biases among them, and an item without text."""
    provided.cache_clear()
    needs = {"language_model": provided("language_model"), "lightgcn": provided("lightgcn")}
    torch.manual_seed(0)
    options = {"history": 8, "one_way": True, **options}
    model = build_model("gensr", pocket(), options, **needs).eval()
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.add_(0.2 * torch.randn_like(parameter))
    model.item_tokens[5] = model.tokenizer.pad_token_id
    return model


def run_of(model) -> SimpleNamespace:
    """As much of a run as the export looks at."""
    made = {"dataset": "pocket", "dataset_hash": pocket().hash, "seed": 0, "git_commit": "abc"}
    record = {"provenance": made, "workspace": {"profile_name": "smoke"}, "hash": "0123"}
    return SimpleNamespace(model=model, record=record)


@pytest.fixture(scope="module")
def ask(root, tmp_path_factory) -> SimpleNamespace:
    """The default tiny model, its ranker and the folder with its files."""
    model = gensr()
    folder = tmp_path_factory.mktemp("ask")
    export_page(run_of(model), pocket(), folder, pocket().user_ids[:USERS].tolist())
    return SimpleNamespace(model=model, ranker=Ranker(model, pocket()), folder=folder, root=root)


def histories() -> Iterator[list]:
    """Events of new users, for the library: nobody, one click, sessions, hundreds of clicks."""
    rng = np.random.default_rng(0)
    yield []
    yield [(5, "rec")]
    for length in (4, 30, 400):
        items = rng.integers(1, pocket().n_items + 1, length).tolist()
        queries = rng.choice(["", "kennel", "marble kennel"], length).tolist()
        yield [(i, "src", q) if q else (i, "rec") for i, q in zip(items, queries, strict=True)]


def for_page(events: list) -> list[list[int]]:
    """The same events as the page has them, with numbers for queries."""
    numbers = {"kennel": 0, "marble kennel": 1}
    return [[item, numbers[rest[0]] if rest else -1] for item, _, *rest in events]


# --- numbers ----------------------------------------------------------------------------------


@pytest.mark.parametrize("options", OPTIONS.values(), ids=OPTIONS)
def test_the_page_gives_the_scores_of_the_library(options, root, tmp_path):
    model = gensr(**options)
    ranker = Ranker(model, pocket())
    export_page(run_of(model), pocket(), tmp_path, users=[])
    cases = [(events, query) for events in histories() for query in QUERIES]
    code = """const page = read(given[0]);
        const all = page.items.ids.map((_, i) => i + 1);
        return given[1].map(([events, query]) => [...m.score(page, m.question(page, events, query), all)]);"""
    found = node(code, str(tmp_path), [(for_page(e), q) for e, q in cases], root=root)
    expected = [ranker.scores(events, query) for events, query in cases]
    assert np.ptp(expected, axis=1).min() > 0.05, "else the comparison says little"
    np.testing.assert_allclose(found, expected, atol=1e-4)


def test_known_users_get_the_lists_of_the_library(ask):
    users = pocket().user_ids[:USERS].tolist()
    code = """const page = read(given[0]);
        const all = page.items.ids.map((_, i) => i + 1);
        return page.users.map(({ events, query }) => {
          const scores = m.score(page, m.question(page, events, query), all);
          const best = m.ranked(scores, new Set(events.map(([item]) => item)));
          return [query, best.map((item) => page.items.ids[item - 1])];
        });"""
    for user, (query, found) in zip(users, node(code, str(ask.folder), root=ask.root), strict=True):
        table = ask.ranker.search(user, query, None) if query else ask.ranker.recommend(user, None)
        assert found == table["item_id"].tolist()


def test_equal_scores_stand_in_the_order_of_the_items(root):
    assert node("return m.ranked([1, 3, 1, 3], new Set([2]));", root=root) == [4, 1, 3]


def test_what_an_item_rests_on_is_what_the_library_explains(ask):
    cases = [(events, query) for events in histories() for query in ("", "marble kennel")]
    code = """const page = read(given[0]);
        return given[1].map(([events, query]) => given[2].map((item) => {
          const asked = m.question(page, events, query);
          const { score, yes, weights, parts } = m.explain(page, asked, item);
          const read = asked.read.map((at) => page.items.ids[events[at][0] - 1]);
          return { score, yes, parts, read, cf: [...weights.cf], semantic: [...weights.semantic] };
        }));"""
    items = [1, 5, 77]
    found = node(code, str(ask.folder), [(for_page(e), q) for e, q in cases], items, root=ask.root)
    for (events, query), answers in zip(cases, found, strict=True):
        expected = ask.ranker.explain(events, query, items)
        for row, answer in enumerate(answers):
            table = expected.contributions.iloc[row]
            assert answer["read"] == expected.history["item_id"].tolist()
            for view in ("cf", "semantic"):
                np.testing.assert_allclose(answer[view], expected.weights[view][row], atol=1e-5)
            parts = {"score": answer["score"], "P(Yes)": answer["yes"], **answer["parts"]}
            np.testing.assert_allclose(list(parts.values()), table[list(parts)].astype(float), atol=1e-4)


def test_long_sessions_are_cut_as_the_library_cuts_them(root):
    rng = np.random.default_rng(1)
    draw = lambda n: np.stack([rng.integers(1, 30, n), rng.integers(-1, 2, n)], axis=1).tolist()  # noqa: E731
    cases = [draw(n) for n in (0, 3, 20, 60)]
    for of in ("both", "rec", "src"):
        window = {"items": 9, "of": ["rec", "src"] if of == "both" else [of], "rec": 6, "src": 6, "clicks": 3}
        code = "return given[0].map((events) => m.readEvents(given[1], events).map((at) => events[at][0]));"
        found = node(code, cases, window, root=root)
        for events, read in zip(cases, found, strict=True):
            given = [Event(i, "src", "ab"[q]) if q >= 0 else Event(i) for i, q in events]
            items, _ = merged_history(event_batch(long_sessions(), "rec", given), 9, of)
            assert read == [int(item) for item in items[0] if item]


def test_queries_are_spelled_as_the_tokenizer_spells_them(ask):
    code = "const page = read(given[0]); return given[1].map((t) => m.queryTokens(page.tokenizer, t, page.query));"
    found = node(code, str(ask.folder), TEXTS, root=ask.root)
    for text, ids in zip(TEXTS, found, strict=True):
        assert ids == query_tokens(ask.model.tokenizer, [cut_query(text)])["input_ids"][0].tolist(), repr(text)
    stripped = node("return given[0].map(m.typed);", TEXTS, root=ask.root)
    assert stripped == [text.strip() for text in TEXTS]


# --- files ------------------------------------------------------------------------------------


def test_equal_runs_give_equal_bytes(ask, tmp_path):
    sizes = export_page(run_of(gensr()), pocket(), tmp_path, pocket().user_ids[:USERS].tolist())
    for name in (MODEL, WEIGHTS):
        assert (tmp_path / name).read_bytes() == (ask.folder / name).read_bytes()
        assert sizes[name] == (tmp_path / name).stat().st_size
    content = json.loads((tmp_path / MODEL).read_text(encoding="utf-8"))
    assert content["provenance"]["dataset_hash"] == pocket().hash
    assert [user["id"] for user in content["users"]] == pocket().user_ids[:USERS].tolist()


def test_by_default_users_with_a_test_event_of_each_task_are_there(tmp_path):
    export_page(run_of(gensr()), pocket(), tmp_path)
    content = json.loads((tmp_path / MODEL).read_text(encoding="utf-8"))
    assert 2 <= len(content["users"]) <= export.USERS
    assert all(user["query"] and user["events"] for user in content["users"])


def with_backbone(**shape):
    model = gensr()
    model.lm = T5ForConditionalGeneration(T5Config(**{**model.lm.config.to_dict(), **shape}))
    return model


def with_numbered_words():
    model = gensr()
    model.tokenizer.add_tokens(["w12"])
    return model


def with_another_normalizer():
    model = gensr()
    model.tokenizer.backend_tokenizer.normalizer = normalizers.Lowercase()
    return model


REFUSED = {
    "one_way": lambda: gensr(one_way=False),
    "reader": lambda: gensr(reader="mlp"),
    "history_slot": lambda: gensr(history_slot="mean"),
    "semantic_level": lambda: gensr(semantic_level="token"),
    "'popularity'": lambda: make("popularity"),
    "num_decoder_layers": lambda: with_backbone(num_decoder_layers=2),
    "feed_forward_proj": lambda: with_backbone(feed_forward_proj="gated-gelu"),
    "tokenizer": with_numbered_words,
    "not that of the pocket T5": with_another_normalizer,
}


@pytest.mark.parametrize("named", REFUSED)
def test_what_a_page_cannot_compute_is_refused(named, tmp_path):
    with pytest.raises(ConfigError, match=named):
        export_page(run_of(REFUSED[named]()), pocket(), tmp_path)
    assert not list(tmp_path.iterdir())


def test_files_too_large_for_a_page_are_refused(tmp_path, monkeypatch):
    monkeypatch.setattr(export, "MAX_BYTES", 1000)
    with pytest.raises(ConfigError, match="MB, more than"):
        export_page(run_of(gensr()), pocket(), tmp_path)
    assert not list(tmp_path.iterdir())


# --- what goes wrong in a page ----------------------------------------------------------------

BROKEN = {
    "not whole": ("text.slice(0, 500)", "weights", "200"),
    "has format 99": ("text.replace('\"format\":1', '\"format\":99')", "weights", "200"),
    "of the weights arrived": ("text", "weights.slice(0, 1000)", "200"),
    "damaged": ("text", "(weights[40] ^= 1, weights)", "200"),
    "says 404": ("text", "weights", "404"),
    "is there a network": ("text", "weights", "0"),
}


@pytest.mark.parametrize("said", BROKEN)
def test_files_that_do_not_arrive_whole_are_said_in_a_sentence(ask, said):
    text, weights, status = BROKEN[said]
    code = f"""const text = readFileSync(given[0] + "/{MODEL}", "utf-8");
        const weights = new Uint8Array(file(given[0] + "/{WEIGHTS}"));
        globalThis.fetch = async (address) => {{
          if (!{status}) throw new TypeError("Failed to fetch");
          return new Response(address.endsWith(".json") ? {text} : {weights}, {{ status: {status} || 200 }});
        }};
        const links = ["https://x.org/base/", "https://x.org/base/build/model-{"0a" * 16}.json", "https://x.org/base/build/weights.bin"];
        return m.loadFrom(links).then(() => "loaded", (error) => error.message);"""
    assert said in node(code, str(ask.folder), root=ask.root)


def test_files_are_found_among_the_links_of_a_page(root):
    links = ["/b/x-model.json", "/b/model-guide.json", f"/b/build/model-{'0a' * 16}.json?x#y", "/b/build/model.json"]
    code = "return [m.addressOf('model.json', given[0]), m.addressOf('weights.bin', given[0]) ?? 'none'];"
    assert node(code, links, root=root) == [links[2], "none"]
    missing = "return m.loadFrom([]).catch((error) => error.message);"
    assert "no link to model.json" in node(missing, root=root)


def test_titles_and_queries_are_text_and_never_html(ask):
    code = """const page = read(given[0]);
        const evil = "<img src=x onerror=alert(1)>";
        page.items.titles[0] = page.users[0].id = page.queries[0] = page.items.categories[0] = evil;
        page.items.category[0] = 0;
        const asked = m.question(page, [[1, 0]], evil);
        const answer = { query: evil, events: [[1, 0]], asked, items: [1], scores: [0] };
        const found = m.explain(page, asked, 1);
        return [m.frame(page), m.past(page, [[1, 0]], asked.read, found.weights), m.offers(page, "<img"),
          m.list(page, "src", answer, 10, 1), m.detail(page, answer, 1, found)];"""
    for html in node(code, str(ask.folder), root=ask.root):
        assert "<img" not in html
        assert "&#60;img" in html


# --- one file for a page ----------------------------------------------------------------------


def test_the_modules_become_one_file_that_imports_nothing(root, tmp_path):
    path = tmp_path / "ask.mjs"
    path.write_text(bundled(root / "book/widgets/ask/ask.mjs"), encoding="utf-8")
    code = f"const one = await import('{path.as_uri()}'); return [typeof one.default.render, Object.keys(one)];"
    kind, exports = node(code, root=root)
    assert kind == "function" and "load" not in exports
    assert "import {" not in path.read_text(encoding="utf-8")


@pytest.mark.parametrize("line", ['import x from "https://cdn.org/x.mjs";', 'export { x } from "./b.mjs";'])
def test_a_module_that_cannot_be_put_into_one_file_is_named(line, tmp_path):
    (tmp_path / "a.mjs").write_text(f'import {{ b }} from "./b.mjs";\n{line}\n')
    (tmp_path / "b.mjs").write_text("export const b = 1;\n")
    with pytest.raises(ConfigError, match=r"a\.mjs.*one file"):
        bundled(tmp_path / "a.mjs")
    (tmp_path / "b.mjs").unlink()
    with pytest.raises(ConfigError, match="no such module"):
        bundled(tmp_path / "a.mjs")
