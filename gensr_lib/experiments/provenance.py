"""Where a number comes from: which data, code, versions and machine made it."""

from __future__ import annotations

import hashlib
import platform
import resource
import sys
import time
from collections.abc import Mapping
from functools import lru_cache
from importlib import metadata
from pathlib import Path, PurePath
from typing import Any

import torch

from .. import NUMBERS
from ..data.dataset import Dataset
from ..files import git_commit

PACKAGE = Path(__file__).resolve().parents[1]
PACKAGES = ("torch", "transformers", "accelerate", "numpy", "pandas", "scikit-learn", "tokenizers")


def code_hash(package: Path = PACKAGE) -> str:
    """SHA-256 (first 16 digits) of all source files of the library.

    It is recorded beside each result, never compared: `gensr_lib.NUMBERS` decides what is made
    anew.
    """
    paths = package.rglob("*.py")
    return hash_of_sources({path.relative_to(package): path.read_bytes() for path in paths})


def hash_of_sources(sources: Mapping[PurePath, bytes]) -> str:
    """The hash that `code_hash` is, of files by their paths within the library."""
    sha = hashlib.sha256()
    for path in sorted(sources):
        sha.update(path.as_posix().encode() + sources[path])
    return sha.hexdigest()[:16]


def versions() -> dict[str, str]:
    """The installed versions of `PACKAGES`."""
    return {name: metadata.version(name) for name in PACKAGES}


@lru_cache(maxsize=1)
def digits() -> str:
    """A mark of how this machine rounds: equal where the same sums end in the same last digits.

    Two processors of one name may add up in another order. This adds up a little of what training
    does, on one thread, and hashes the bits.
    """
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        x = torch.rand(96, 64, generator=torch.Generator().manual_seed(0)).requires_grad_()
        rows = torch.nn.functional.layer_norm(x @ x.T, (96,))
        mixed = torch.bmm(rows.softmax(dim=1).view(8, 12, 96), x.expand(8, -1, -1))
        mixed.tanh().logsumexp(dim=1).sum().backward()
    finally:
        torch.set_num_threads(threads)
    found = torch.cat([mixed.detach().flatten(), x.grad.flatten()])
    return hashlib.sha256(found.numpy().tobytes()).hexdigest()[:8]


def provenance(dataset: Dataset, seed: int, processes: int = 1) -> dict[str, Any]:
    """Which data, code, versions and machine a result comes from; how many processes made it."""
    cuda = torch.cuda.is_available()
    kilobyte = 2**20 if sys.platform == "darwin" else 2**10  # macOS counts bytes, Linux kilobytes
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / kilobyte
    return {
        "dataset": dataset.name,
        "dataset_hash": dataset.hash,
        "dataset_config": dataset.config.model_dump(mode="json"),
        "seed": seed,
        "numbers": NUMBERS,
        "code_hash": code_hash(),
        "git_commit": git_commit(PACKAGE),
        "python": platform.python_version(),
        "versions": versions(),
        "device": torch.cuda.get_device_name()
        if cuda
        else f"CPU, {torch.get_num_threads()} threads",
        "machine": platform.machine(),
        "digits": digits(),
        "processes": processes,
        "peak_memory_mb": round(peak),
        "peak_gpu_mb": round(torch.cuda.max_memory_allocated() / 2**20) if cuda else 0,
        "finished": time.strftime("%Y-%m-%dT%H:%M:%S%z"),
    }
