import numpy as np
import pytest
import torch
from toy_problems import episodes_of

from metaenv.supervised.data.problem import Problem
from metaenv.supervised.learners.snail import (
    PAPER,
    SNAIL,
    AttentionBlock,
    DenseBlock,
    SNAILConfig,
    temporal_convolutions,
)


def blocks():
    torch.manual_seed(0)
    return {"convolution": DenseBlock(5, 2, 3), "attention": AttentionBlock(5, 4, 3)}


def sequence(steps=7, size=5):
    return torch.randn(2, steps, size, generator=torch.Generator().manual_seed(1))


@pytest.mark.parametrize("name", ["convolution", "attention"])
def test_a_later_step_does_not_change_an_earlier_one(name):
    block, h = blocks()[name], sequence()
    before = block(h)
    h[:, 4] += 1.0
    after = block(h)
    assert torch.equal(before[:, :4], after[:, :4])
    assert (before[:, 4, 5:] != after[:, 4, 5:]).any()
    later = before[:, 5:, 5:] != after[:, 5:, 5:]
    assert later.any(-1).all() if name == "attention" else later.any(-1)[0].tolist() == [False, True]


@pytest.mark.parametrize("name", ["convolution", "attention"])
@pytest.mark.parametrize("steps", [1, 2, 7])
def test_a_query_is_the_last_step_of_the_sequence(name, steps):
    block, h, queries = blocks()[name], sequence(steps), sequence(4)
    together = block.after(queries, h)
    for i in range(4):
        whole = block(torch.cat([h, queries[:, i : i + 1]], 1))
        torch.testing.assert_close(together[:, i], whole[:, -1], rtol=1e-5, atol=1e-6)


def test_attention_by_hand():
    block = AttentionBlock(2, 1, 1)
    with torch.no_grad():
        for layer, weight in ((block.query, [1.0, 0.0]), (block.key, [1.0, 0.0]), (block.value, [0.0, 1.0])):
            layer.weight.copy_(torch.tensor([weight]))
            layer.bias.zero_()
    h = torch.tensor([[[1.0, 10.0], [2.0, 20.0], [3.0, 30.0]]])
    scores = np.exp([2.0 * 1, 2.0 * 2])  # the second step's query is 2, and it sees keys 1 and 2
    expected = (scores @ [10.0, 20.0]) / scores.sum()
    assert block(h)[0, 0].tolist() == [1.0, 10.0, 10.0]
    assert block(h)[0, 1].tolist() == pytest.approx([2.0, 20.0, expected], rel=1e-5)


def test_convolution_against_torch():
    block, h = blocks()["convolution"], sequence()
    conv = torch.nn.Conv1d(5, 6, 2, dilation=2)
    with torch.no_grad():
        conv.weight.copy_(torch.stack([block.before.weight, block.now.weight], -1))
        conv.bias.copy_(block.now.bias)
        signal, gate = conv(torch.nn.functional.pad(h.transpose(1, 2), (2, 0))).chunk(2, 1)
        expected = torch.cat([h, (signal.tanh() * gate.sigmoid()).transpose(1, 2)], -1)
        torch.testing.assert_close(block(h), expected)


@pytest.mark.parametrize("span", [2, 5, 8])
def test_convolutions_reach_as_far_as_said(span):
    torch.manual_seed(0)
    stack = torch.nn.Sequential(*temporal_convolutions(3, 4, span))
    h = sequence(span + 8, 3).requires_grad_()
    stack(h)[0, -1].sum().backward()
    reached = np.flatnonzero(h.grad[0].abs().sum(-1).numpy())
    steps = 1 << (span - 1).bit_length()  # the next power of two
    assert reached.tolist() == list(range(span + 8 - steps, span + 8))


def test_a_sorted_support_set_is_read_in_mixed_order():
    episodes = episodes_of("classification")
    batch = episodes.draw(1)
    seen = []
    learner = SNAIL(episodes.problem, SNAILConfig(sizes=(8,)))
    learner.network.read = lambda tokens: seen.append(tokens) or []
    learner.network.ask = lambda tokens, past: tokens[..., :3]
    labels = torch.arange(3).repeat_interleave(5)[None]
    learner.adapt(batch.support_x, labels)
    read = seen[0][0, :, 64:67].argmax(-1).tolist()
    assert sorted(read) == labels[0].tolist() and read != labels[0].tolist()
    assert (seen[0][..., 67] == 0).all()  # flag of the support set


def test_sizes_of_the_paper_and_sizes_that_do_not_fit():
    learner = SNAIL(Problem("classification", (1, 8, 8), 5), SNAILConfig(**PAPER, span=26))
    attention = [b for b in learner.network.blocks if isinstance(b, AttentionBlock)]
    assert [(b.key.out_features, b.value.out_features) for b in attention] == [(64, 32), (256, 128), (512, 256)]
    assert learner.network.head.in_features == 64 + 5 + 1 + 32 + 5 * 128 + 128 + 5 * 128 + 256
    with pytest.raises(ValueError, match="as many keys as values"):
        SNAIL(Problem("regression", (1,)), SNAILConfig(keys=(8,)))
