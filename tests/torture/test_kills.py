"""A run that is killed at any operation on its files ends, when it is run again, as if nothing had happened."""

from __future__ import annotations

import json
import os
import subprocess
import sys

import pytest


@pytest.mark.slow
@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="half written files are made by Linux's means")
def test_a_run_that_is_killed_at_any_operation_loses_nothing(root, tmp_path):
    command = [sys.executable, "-m", "tests.torture.kills", "every", str(tmp_path), "lightgcn"]
    env = {**os.environ, "PYTHONPATH": str(root), "OMP_NUM_THREADS": "1"}
    done = subprocess.run(command, cwd=root, env=env, capture_output=True, text=True, timeout=500)
    assert done.returncode == 0, done.stderr[-2000:]
    found = json.loads(done.stdout)
    assert found["lost"] == []
    assert found["tried"] > 60 and len(found["outcome"]["files"]) > 12, "it did write, and was killed meanwhile"
