"""Prepared data sets: what is loaded is what was stored, and a spoilt folder is made anew."""

from __future__ import annotations

import json
import shutil
from dataclasses import fields, replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch

from gensr_lib.config import DataConfig
from gensr_lib.data import prepared
from gensr_lib.data.dataset import Dataset
from gensr_lib.data.histories import Ragged
from gensr_lib.data.prepared import load_prepared, save_prepared
from gensr_lib.data.schema import BEHAVIORS
from gensr_lib.data.sources import load
from gensr_lib.data.sources.load import load_dataset
from gensr_lib.data.sources.source import Source
from gensr_lib.data.split import SPLITS
from gensr_lib.errors import ConfigError
from gensr_lib.files import project_root
from tests.worlds import pocket


@pytest.fixture
def dataset() -> Dataset:
    """A simulated log without its truth, as if it were data from files."""
    return replace(pocket(), truth=None, notes=["a note"])


@pytest.fixture
def stored(dataset, tmp_path) -> Path:
    save_prepared(dataset, tmp_path / "stored")
    return tmp_path / "stored"


def assert_same(found, expected, where: str = "") -> None:
    """Whether two values are equal down to their arrays, and arrays down to their types."""
    assert type(found) is type(expected), where
    if isinstance(expected, np.ndarray):
        assert found.dtype == expected.dtype, where
        np.testing.assert_array_equal(found, expected, err_msg=where)
    elif isinstance(expected, pd.DataFrame):
        pd.testing.assert_frame_equal(found, expected)
    elif isinstance(expected, pd.Index):
        pd.testing.assert_index_equal(found, expected)
    elif isinstance(expected, dict):
        assert list(found) == list(expected)
        for key, value in expected.items():
            assert_same(found[key], value, f"{where}.{key}")
    elif isinstance(expected, list | str | int | bool | DataConfig) or expected is None:
        assert found == expected, where
    else:
        for name in vars(expected):
            assert_same(getattr(found, name), getattr(expected, name), f"{where}.{name}")


def test_every_field_comes_back(dataset, stored):
    found = load_prepared(stored)
    for field in fields(Dataset):
        assert_same(getattr(found, field.name), getattr(dataset, field.name), field.name)
    assert found.hash == dataset.hash and not list(stored.parent.glob(".*.part"))


def test_its_hash_is_stored_and_is_that_of_its_content(dataset, stored):
    found = load_prepared(stored)
    assert found.hash == dataset.hash
    del found.hash
    assert found.hash == dataset.hash


def test_batches_are_the_same(dataset, stored):
    found = load_prepared(stored)
    for split in SPLITS[1:]:
        for task in BEHAVIORS:
            for one, other in zip(found.batches(split, task, 7), dataset.batches(split, task, 7), strict=True):
                for name, value in vars(other).items():
                    same = torch.equal if isinstance(value, torch.Tensor) else lambda a, b: a == b
                    assert same(getattr(one, name), value), name
    draws = [data.training_negatives("rec", 3, seed=(1,)) for data in (found, dataset)]
    np.testing.assert_array_equal(*draws)


def test_a_change_in_memory_does_not_reach_the_disk(stored):
    found = load_prepared(stored)
    found.time[:] = 0
    assert load_prepared(stored).time.any()


def test_nothing_is_read_that_nobody_looks_at(stored, monkeypatch):
    """Arrays are mapped: their files may be far larger than memory."""
    found = load_prepared(stored)
    base = found.histories.rec_items.values
    while base.base is not None and not isinstance(base, np.memmap):
        base = base.base
    assert isinstance(base, np.memmap)
    assert isinstance(found.histories.rec_items, Ragged)


@pytest.mark.parametrize(
    "damage", ["cut array", "lost array", "lost limits", "lost negatives", "cut texts", "no json", "other format"]
)
def test_a_folder_that_cannot_be_read_is_removed(stored, damage, caplog):
    meta = stored / "dataset.json"
    if damage == "cut array":
        path = stored / "time.npy"
        path.write_bytes(path.read_bytes()[:200])
    elif damage == "lost array":
        (stored / "touched.npy").unlink()
    elif damage == "lost limits":
        (stored / "limit-train-rec.npy").unlink()
    elif damage == "lost negatives":
        (stored / "negatives-test-src.npy").unlink()
    elif damage == "cut texts":
        path = stored / "items.arrow"
        path.write_bytes(path.read_bytes()[:-100])
    elif damage == "no json":
        meta.write_text("{")
    else:
        meta.write_text(json.dumps(json.loads(meta.read_text()) | {"format": 0}))
    assert load_prepared(stored) is None
    assert "prepared again" in caplog.text and not stored.exists()
    assert load_prepared(stored) is None  # there is none


def test_a_disk_that_fills_up_leaves_no_half_folder(dataset, tmp_path, monkeypatch):
    def full(*_, **__):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(prepared, "_write_table", full)
    with pytest.raises(ConfigError, match="is the disk full"):
        save_prepared(dataset, tmp_path / "stored")
    assert not list(tmp_path.iterdir())


def test_what_a_killed_process_left_is_removed_by_the_next(dataset, tmp_path):
    left = tmp_path / ".stored.part"
    left.mkdir()
    (left / "other.npy").touch()
    save_prepared(dataset, tmp_path / "stored")
    assert [path.name for path in tmp_path.iterdir()] == ["stored"]
    assert not (tmp_path / "stored" / "other.npy").exists()


# --- in load_dataset ------------------------------------------------------------------------------


@pytest.fixture
def shop(tmp_path, monkeypatch) -> Path:
    """A folder of tables, worth keeping however small."""
    monkeypatch.setenv("GENSR_HOME", str(tmp_path / "home"))
    monkeypatch.setattr(load, "WORTH_KEEPING", 1)
    folder = tmp_path / "shop"
    folder.mkdir()
    events = [f"{user},{(5 * user + n) % 20},{n},rec" for user in range(6) for n in range(8)]
    items = [f"{item},thing {item}" for item in range(120)]
    (folder / "interactions.csv").write_text("\n".join(["user_id,item_id,time,behavior", *events]))
    (folder / "items.csv").write_text("\n".join(["item_id,title", *items]))
    return folder


CONFIG = DataConfig(min_interactions=1, eval_negatives=2)


def opened(folder: Path, **options) -> Dataset:
    return load_dataset(folder, "smoke", data_config=CONFIG.replace(**options))


def kept() -> list[Path]:
    return sorted((project_root() / "data" / "processed" / "shop").glob("prepared-*/"))


def test_files_are_read_once(shop, monkeypatch):
    first = opened(shop)
    monkeypatch.setattr(Source, "read", lambda *_: pytest.fail("the files were read again"))
    again = opened(shop)
    assert again.hash == first.hash and again.notes == first.notes
    pd.testing.assert_frame_equal(again.count_table(), first.count_table())


def test_other_files_options_seeds_or_numbers_are_read_anew(shop, monkeypatch):
    opened(shop)
    found = [len(kept())]
    for change in (
        lambda: opened(shop, twins="visible"),
        lambda: load_dataset(shop, "smoke", seed=1, data_config=CONFIG),
        lambda: (shop / "items.csv").write_text((shop / "items.csv").read_text() + "\nnew,new") and opened(shop),
        lambda: monkeypatch.setattr(load, "NUMBERS", 10**6) or opened(shop),
    ):
        change()
        found.append(len(kept()))
    assert found == [1, 2, 3, 4, 5]


def test_a_spoilt_folder_is_prepared_again(shop):
    first = opened(shop)
    (folder,) = kept()
    (folder / "user.npy").unlink()
    assert opened(shop).hash == first.hash and kept() == [folder]


def test_small_data_and_simulations_are_not_kept(shop, monkeypatch):
    monkeypatch.setattr(load, "WORTH_KEEPING", 10**6)
    opened(shop)
    load_dataset("pocket", "smoke")
    assert not list((project_root() / "data" / "processed").rglob("prepared-*/"))
    shutil.rmtree(project_root() / "data")
