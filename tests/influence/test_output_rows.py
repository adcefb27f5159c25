"""Rows of outputs, by hand."""

import torch

from ntkif.influence.output_rows import blocks_of, flattened, own_blocks, rows_of

BLOCKS = torch.arange(3 * 3 * 2 * 2).reshape(3, 3, 2, 2)


def test_entries_are_where_they_belong():
    matrix = flattened(BLOCKS)
    assert matrix.shape == (6, 6) and matrix[2 * 1 + 0, 2 * 2 + 1] == BLOCKS[1, 2, 0, 1]
    assert torch.equal(own_blocks(matrix, 2), torch.stack([BLOCKS[i, i] for i in range(3)]))
    group = torch.tensor([2, 0])
    assert rows_of(group, 2).tolist() == [4, 5, 0, 1]
    assert torch.equal(matrix[rows_of(group, 2)][:2, :2], BLOCKS[2, 0])


def test_a_single_output_has_no_blocks():
    plain = BLOCKS[:, :, 0, 0]
    assert flattened(plain) is plain and blocks_of(plain).shape == (3, 3, 1, 1) and blocks_of(BLOCKS) is BLOCKS
    assert torch.equal(own_blocks(plain, 1)[:, 0, 0], plain.diagonal()) and rows_of(torch.tensor([2]), 1).tolist() == [
        2
    ]
