"""Row blocks: every row once, and a triangle mirrored block by block."""

import pytest
import torch

from ntkif.blocks import mirror_upper_, row_blocks


@pytest.mark.parametrize("size", [1, 3, 7, 8])
def test_blocks_cover_every_row_once(size):
    blocks = list(row_blocks(7, size))
    assert [row for rows in blocks for row in range(7)[rows]] == list(range(7))
    assert max(rows.stop - rows.start for rows in blocks) == min(size, 7)


@pytest.mark.parametrize("size", [0, -1, 1.5])
def test_half_a_row_and_no_row(size):
    with pytest.raises(ValueError, match=f"expected 1 or more, got {size}"):
        row_blocks(3, size)


@pytest.mark.parametrize("block_size", [1, 3, 7, 100])
def test_the_upper_triangle_is_mirrored_in_place(block_size):
    matrix = torch.arange(49.0).reshape(7, 7)
    wanted = matrix.triu() + matrix.triu(1).T
    assert mirror_upper_(matrix, block_size) is matrix and torch.equal(matrix, wanted)
