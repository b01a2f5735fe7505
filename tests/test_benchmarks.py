"""The benchmark runs, says where it ran, and times what it claims to time."""

from __future__ import annotations

import gzip
import importlib
import json
import shutil
import zipfile

import numpy as np
import pytest
import torch

from gensr_lib.data.sources.amazon import find_files, read_amazon
from gensr_lib.data.sources.amazon.read import _release as release_of


@pytest.fixture(scope="module")
def load_benchmark(root):
    """Function that imports a benchmark by name; they import from each other, as scripts of one folder do."""
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(root / "benchmarks")
        yield importlib.import_module


@pytest.fixture(scope="module")
def throughput(load_benchmark):
    return load_benchmark("throughput")


@pytest.fixture(scope="module")
def bench(throughput, tmp_path_factory):
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("GENSR_HOME", str(tmp_path_factory.mktemp("home")))
        workspace = throughput.Workspace("pocket", "smoke")
        return throughput.make_bench(workspace, workspace.language_model("gensr"), throughput.Load(2, 3, 7, 1), "cpu")


def test_quick_run_writes_every_figure(throughput, tmp_path, monkeypatch, capsys):
    monkeypatch.setenv("GENSR_HOME", str(tmp_path))
    throughput.main(["--quick", "--out", str(tmp_path / "new" / "found.json")])
    found = json.loads((tmp_path / "new" / "found.json").read_text())
    assert found["quick"] is True and set(found["models"]) == {"pocket", "flan-t5-base"}
    assert {"device", "precision", "threads", "torch", "git_commit"} <= set(found["conditions"])
    for model in found["models"].values():
        for part, figure in (
            ("training", "rows_per_second"), ("training", "candidates_per_second"),
            ("training", "one_way_candidates_per_second"), ("scoring", "one_way_candidates_per_second"),
            ("scoring", "candidates_per_second"), ("scoring", "per_candidate_over_per_user"),
            ("scoring", "per_candidate_over_per_user_encoding_alone"), ("head", "full_over_two_logits"),
        ):  # fmt: skip
            assert model[part][figure] > 0
        assert model["training"]["candidates_per_second"] == pytest.approx(5 * model["training"]["rows_per_second"])
        assert model["scoring"]["share_outside_language_model"] < 1 and model["prompt_tokens"] > 10
        assert all(len(s) == model["load"]["repeats"] for s in model["scoring"]["seconds"].values())
    printed = capsys.readouterr().out
    assert "flan-t5-base" in printed and "training: rows per second" in printed


@torch.no_grad()
def test_the_language_model_alone_reads_what_it_reads_in_the_model(throughput, bench):
    """Else its share is of another amount of work."""
    bench.model.eval()
    prompts = throughput._prompts(bench, bench.score)
    log_probs = throughput.answer_log_probs(bench.model.lm, *prompts, bench.model.answers)
    read = []
    hook = bench.model.lm.get_encoder().register_forward_pre_hook(
        lambda module, args, given: read.append(given["inputs_embeds"].shape), with_kwargs=True
    )
    scores = bench.model.score(bench.score)
    hook.remove()
    assert read == [prompts[0].shape]
    assert torch.allclose(scores.flatten(), log_probs[:, 0] - log_probs[:, 1], atol=1e-5)


@torch.no_grad()
def test_once_per_candidate_is_the_same_work(throughput, bench):
    """Both ways of encoding give the same scores, else their times could not be compared."""
    spread = throughput.per_candidate(bench.score)
    assert spread.cand.shape == (3 * 7, 1)
    expected = bench.model.eval().score(bench.score)
    assert torch.allclose(bench.model.score(spread).reshape(3, 7), expected, atol=1e-5)


@torch.no_grad()
def test_the_full_head_gives_the_same_answer(throughput, bench):
    embeddings, mask = throughput._prompts(bench, bench.score)
    arguments = (bench.model.eval().lm, embeddings, mask, bench.model.answers)
    assert torch.allclose(
        throughput.full_head_log_probs(*arguments), throughput.answer_log_probs(*arguments), atol=1e-5
    )


def test_flan_t5_base_has_its_size(throughput, bench):
    """By hand: 2 vocabularies, 12 + 12 blocks of 4 (8 in the decoder) d x d and 3 d x d_ff, norms, positions."""
    d, ff, vocabulary = 768, 2048, 32128
    encoder = 12 * (4 * d * d + 3 * d * ff + 2 * d) + d
    decoder = 12 * (8 * d * d + 3 * d * ff + 3 * d) + d
    expected = 2 * vocabulary * d + encoder + decoder + 2 * 32 * 12
    with torch.device("meta"):
        model = throughput.shaped_t5(bench.model.tokenizer, throughput.FLAN_T5_BASE)
    assert sum(p.numel() for p in model.parameters()) == expected == 247_577_856


def test_ratios_are_medians_within_repeats(throughput):
    """A repeat in which the machine was busy slows both alike: 2, 2, 3 have the median 2."""
    assert throughput._ratio([2.0, 20.0, 3.0], [1.0, 10.0, 1.0]) == 2.0
    assert throughput._share_outside([1.0], [4.0]) == np.float64(0.75)


@pytest.fixture(scope="module")
def one_way(load_benchmark):
    return load_benchmark("one_way")


def test_one_way_quick_run_writes_every_figure(one_way, tmp_path, monkeypatch, capsys):
    monkeypatch.setenv("GENSR_HOME", str(tmp_path))
    one_way.main(["--quick", "--out", str(tmp_path / "new" / "found.json")])
    found = json.loads((tmp_path / "new" / "found.json").read_text())
    assert found["quick"] is True and found["conditions"]["threads"] == 1
    assert set(found["one_way"]) == {f"{part}, {task}" for part in ("training", "scoring") for task in ("rec", "src")}
    for part in found["one_way"].values():
        ratios = [a / b for a, b in zip(part["seconds"]["two-way"], part["seconds"]["one-way"], strict=True)]
        assert part["two_way_over_one_way"] == pytest.approx(np.median(ratios)) and len(ratios) == 2
    assert "scoring, src" in capsys.readouterr().out


def test_both_sides_have_the_same_weights_and_rows(one_way, tmp_path, monkeypatch):
    monkeypatch.setenv("GENSR_HOME", str(tmp_path))
    bench = one_way.make_bench(one_way.Workspace("pocket", "smoke"), one_way.Load(3, 3, 6, 1))
    two, one = (dict(bench.models[side].named_parameters()) for side in ("two-way", "one-way"))
    assert all(torch.equal(weight, one[name]) for name, weight in two.items()) and set(two) == set(one)
    assert [m.config.one_way for m in bench.models.values()] == [False, True]
    assert one_way.score(bench.models["one-way"], bench.score["src"]).shape == (3, 6)


@pytest.mark.slow
def test_loading_compares_two_checkouts(load_benchmark, root, tmp_path, capsys):
    loading = load_benchmark("loading")
    loading.main(["--quick", "--against", str(root), "--out", str(tmp_path / "found.json")])
    found = json.loads((tmp_path / "found.json").read_text())
    for form in loading.FORMATS:
        assert found[form]["same data"] and found[form]["this / other"]["cpu s"] > 0
        assert found[form]["loads"][0]["other"]["events"] > 1000
    assert "csv, ratio" in capsys.readouterr().out


def test_systems_times_every_system_that_is_trained(load_benchmark, tmp_path, monkeypatch, capsys):
    monkeypatch.setenv("GENSR_HOME", str(tmp_path))
    systems = load_benchmark("systems")
    systems.main(["--quick", "--out", str(tmp_path / "found.json")])
    found = json.loads((tmp_path / "found.json").read_text())["systems"]
    models = systems.available_models().items()
    trained = {name for name, cls in models if cls.loss.__qualname__ != "RankingModel.loss"}
    assert set(found) == trained >= {"gensr", "unisar", "lightgcn", "sasrec", "idgenrec"}
    printed = capsys.readouterr().out
    for name, figures in found.items():
        assert min(figures[key] for key in figures if key != "seconds") > 0
        assert f"\n{name} " in printed


@pytest.mark.parametrize("release", [2014, 2018, 2023])
def test_made_up_amazon_files_are_what_the_release_has(load_benchmark, tmp_path, release):
    """Every line is sound, everybody and everything has five reviews, a few items most, and texts their length."""
    raw_amazon = load_benchmark("raw_amazon")
    files = raw_amazon.write_amazon(tmp_path, 4000, 250, 300, release, seed=1)
    assert find_files(tmp_path) == files and release_of(*files).year == release
    tables = read_amazon(*files, max_bad_share=0)
    assert tables.counts[0]["rec events"] == 4000
    for column, n in (("user_id", 250), ("item_id", 300)):
        counts = tables.interactions[column].value_counts()
        assert len(counts) == n and counts.min() >= 4  # one may be there twice on one day
    assert counts.head(30).sum() > 0.25 * 4000
    assert len(tables.items) == 300 and tables.items["categories"].ne("").all()
    several = tables.items["categories"].str.contains("|", regex=False).mean()
    assert (0.5 < several < 0.9) if release == 2014 else several == 0
    reviews, meta = (gzip.decompress(path.read_bytes()).decode().splitlines() for path in files)
    assert len(meta) == 7 * 300
    field = "text" if release == 2023 else "reviewText"
    assert 500 < np.mean([len(json.loads(line)[field]) for line in reviews]) < 700
    again = raw_amazon.write_amazon(tmp_path / "again", 4000, 250, 300, release, seed=1)
    assert gzip.decompress(again[0].read_bytes()).decode().splitlines() == reviews


def test_made_up_amazon_files_are_written_in_parts(load_benchmark, tmp_path, monkeypatch):
    """However many lines are made at once, rounds go on and the last lines are there."""
    raw_amazon = load_benchmark("raw_amazon")
    monkeypatch.setattr(raw_amazon, "ROWS", 77)
    tables = read_amazon(*raw_amazon.write_amazon(tmp_path, 1000, 100, 120), max_bad_share=0)
    assert tables.counts[0]["rec events"] == 1000
    assert tables.interactions["user_id"].value_counts().min() >= 4 and len(tables.items) == 120


@pytest.mark.slow
def test_real_size_loads_every_release(load_benchmark, tmp_path, capsys):
    real_size = load_benchmark("real_size")
    real_size.main(["--quick", "--out", str(tmp_path / "found.json")])
    found = json.loads((tmp_path / "found.json").read_text())
    assert found["data"] == "amazon" and list(found["loads"]) == [f"Amazon {n}, 1%" for n in (2014, 2018, 2023)]
    for load in found["loads"].values():
        assert load["events"] > 15_000 and 0 < load["peak MB"] < load["process MB"]
        assert load["cpu ms per 1000 events"] == pytest.approx(1e6 * load["cpu s"] / load["events"])
    assert "Amazon 2018, 1%" in capsys.readouterr().out


def test_real_size_loads_kuaisar(load_benchmark, tmp_path):
    real_size = load_benchmark("real_size")
    real_size.main(["--quick", "--data", "kuaisar", "--out", str(tmp_path / "found.json")])
    (load,) = json.loads((tmp_path / "found.json").read_text())["loads"].values()
    assert load["events"] > 30_000 and load["again s"] > 0 and load["candidates per s"] > 1000


def test_kuaisars_rows_are_the_same_for_the_same_arguments(load_benchmark, tmp_path):
    made = load_benchmark("raw_kuaisar")
    sizes = made.Sizes().scaled(0.0005)
    places = {"a": 0, "b": 0, "c": 1}
    folders = [made.write_kuaisar(tmp_path / name, sizes, seed) for name, seed in places.items()]
    first, again, other = ([path.read_bytes() for path in sorted(folder.glob("*.csv"))] for folder in folders)
    assert first == again and first != other and len(first) == 5
    packed = made.write_kuaisar(tmp_path / "d", sizes, 0, packed=True)
    with zipfile.ZipFile(packed) as archive:
        assert archive.read("KuaiSAR_final/rec_inter.csv") == (tmp_path / "a" / "rec_inter.csv").read_bytes()


def test_lightgcn_steps_are_timed_on_all_sides(load_benchmark, tmp_path, capsys):
    lightgcn = load_benchmark("lightgcn")
    lightgcn.main(["--quick", "--out", str(tmp_path / "found.json")])
    found = json.loads((tmp_path / "found.json").read_text())["graphs"]
    assert set(found["a tenth"]["ours / theirs"]) == {lightgcn.MATRIX, lightgcn.EDGES}
    assert found["all"]["size"]["edges"] > 1000 and "an epoch" in capsys.readouterr().out


def test_lightgcn_and_the_other_side_begin_with_the_same_scores(load_benchmark):
    """Their graph is ours: from the same vectors both propagate to the same ones."""
    lightgcn = load_benchmark("lightgcn")
    size = lightgcn.Size(50, 80, 600, 64)
    edges = lightgcn.draw_edges(size)
    ours = lightgcn.LightGCN(lightgcn.LightGCNConfig(), size.users, size.items, edges)
    theirs = lightgcn.Geometric(len(ours.embedding), 64, num_layers=3)
    theirs.embedding.weight.data.copy_(ours.embedding.data)
    graph, weight = lightgcn.edge_list(edges, size.users, len(ours.embedding))
    for conv in theirs.convs:
        conv.normalize = False
    found = theirs.get_embedding(graph, weight)
    assert torch.allclose(found[: size.users], ours.propagate()[0], atol=1e-5)


def test_real_size_stops_at_the_largest_share(load_benchmark, monkeypatch):
    real_size = load_benchmark("real_size")
    loads = [real_size.Load(f"{share:.0%}", share, lambda folder: None) for share in (0.01, 0.1, 1)]
    monkeypatch.setitem(real_size.DATA, "amazon", lambda quick: loads)
    monkeypatch.setattr(real_size, "measure", lambda made, folder: made.share)
    assert real_size.run(False, most=0.1) == {"data": "amazon", "loads": {"1%": 0.01, "10%": 0.1}}
    assert real_size.amazon(False)[2].write.keywords == {"release": 2014, **real_size.KINDLE}


def test_gensr_is_asked_in_node_as_in_torch(load_benchmark, tmp_path, monkeypatch, capsys):
    if not shutil.which("node"):
        pytest.skip("node is not installed: the panel that asks GenSR is JavaScript")
    monkeypatch.setenv("GENSR_HOME", str(tmp_path))
    load_benchmark("ask").main(["--quick", "--out", str(tmp_path / "found.json")])
    found = json.loads((tmp_path / "found.json").read_text())["page"]
    assert found["answers"] == 6 and 0 < found["seconds"] <= found["longest_seconds"]
    assert found["largest_difference"] < 1e-3
    assert "largest difference" in capsys.readouterr().out
