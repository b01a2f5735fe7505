"""What holds for every test: no network, no figures on a screen, and nothing left behind for the next test."""

from __future__ import annotations

import os
import random
from pathlib import Path

# Before torch, transformers, tokenizers and matplotlib are imported: they read these at import.
os.environ.update(
    HF_HUB_OFFLINE="1",
    TRANSFORMERS_OFFLINE="1",
    HF_HUB_DISABLE_TELEMETRY="1",
    TOKENIZERS_PARALLELISM="false",
    MPLBACKEND="Agg",
)
# Two test processes of one thread each are quicker on 2 cores than one process of two threads.
os.environ.setdefault("OMP_NUM_THREADS", "1")
for name in ("GENSR_PROFILE", "GENSR_DATASET", "GENSR_HOME"):  # a shell's settings are not the tests'
    os.environ.pop(name, None)

import nbformat
import numpy as np
import pytest
import torch

ROOT = Path(__file__).resolve().parents[1]


@pytest.fixture(autouse=True)
def clean_slate():
    """Same seeds before each test; torch's dtype, threads and determinism as they were after it."""
    before = torch.get_default_dtype(), torch.get_num_threads(), torch.are_deterministic_algorithms_enabled()
    random.seed(0)
    np.random.seed(0)  # noqa: NPY002 - the global state is what is reset here
    torch.manual_seed(0)
    yield
    torch.set_default_dtype(before[0])
    torch.set_num_threads(before[1])
    if torch.are_deterministic_algorithms_enabled() != before[2]:  # the call itself takes a second, the first time
        torch.use_deterministic_algorithms(before[2])
    torch.set_grad_enabled(True)


@pytest.fixture(scope="session")
def root() -> Path:
    """The repository's root."""
    return ROOT


@pytest.fixture(scope="session")
def write_chapter():
    """Function that writes a small chapter: a title, the parameters cell, and the given code cells."""

    def write(path: Path, *code: str, parameters: str = 'DATASET = "pocket"\nPROFILE = "pocket"\nSEED = 0') -> Path:
        cells = [nbformat.v4.new_markdown_cell(f"# {path.stem}")]
        cells.append(nbformat.v4.new_code_cell(parameters, metadata={"tags": ["parameters"]}))
        cells += [nbformat.v4.new_code_cell(source) for source in code]
        kernel = {"name": "python3", "display_name": "Python 3", "language": "python"}
        notebook = nbformat.v4.new_notebook(cells=cells, metadata={"kernelspec": kernel})
        path.parent.mkdir(parents=True, exist_ok=True)
        nbformat.write(notebook, path)
        return path

    return write


@pytest.fixture(scope="session")
def shared() -> Path:
    """Folder with samples of real data sets, where a checkout has one beside it; else the test is skipped."""
    folder = ROOT.parent / "shared" / "data"
    if not folder.is_dir():
        pytest.skip(f"no samples of real data: {folder} does not exist")
    return folder
