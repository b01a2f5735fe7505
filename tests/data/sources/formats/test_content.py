"""The guards on raw bytes: blocks of whole lines, and files that grow."""

import gzip
import random

import pytest

from gensr_lib.data.sources.formats import content
from gensr_lib.data.sources.formats.content import check_growth, line_blocks
from gensr_lib.errors import DataError


@pytest.mark.parametrize("packed", [True, False])
@pytest.mark.parametrize("end", [b"", b"\n", b"\n\n"])
def test_blocks_are_whole_lines_and_lose_nothing(tmp_path, monkeypatch, packed, end):
    monkeypatch.setattr(content, "LINES", 100)
    draw = random.Random(0)
    text = b"\n".join(b"x" * draw.choice([0, 1, 30, 99, 100, 250]) for _ in range(200)) + end
    path = tmp_path / "text"
    path.write_bytes(gzip.compress(text) if packed else text)
    blocks = list(line_blocks(path))
    assert b"".join(blocks) == text and len(blocks) > 50
    assert all(block.endswith(b"\n") for block in blocks[:-1])


@pytest.mark.parametrize("before", [0, 1, 7])
def test_a_line_of_a_block_that_is_too_long_is_named(tmp_path, monkeypatch, before):
    monkeypatch.setattr(content, "LINES", 100)
    monkeypatch.setattr(content, "MAX_LINE", 150)
    path = tmp_path / "text"
    path.write_bytes(b"x" * 149 + b"\n" + b"short\n" * before + b"x" * 151 + b"\nshort\n")
    with pytest.raises(DataError, match=rf"line {before + 2} has more than 150 bytes"):
        list(line_blocks(path))


def test_growth_is_looked_for_at_the_start_alone(tmp_path):
    """Half a megabyte of a file may unpack to 100 MB, and no more of it is read before the parser reads it."""
    noise = random.Random(0).randbytes(2_000_000)
    path = tmp_path / "text.gz"
    path.write_bytes(gzip.compress(noise)[:-1000])  # cut short, far behind the start
    check_growth(path)
    with pytest.raises(DataError, match="cut short"):
        list(line_blocks(path))
    path.write_bytes(gzip.compress(b"\n" * (content.FREE + 10**7)))
    with pytest.raises(DataError, match="MAX_GROWTH"):
        check_growth(path)
