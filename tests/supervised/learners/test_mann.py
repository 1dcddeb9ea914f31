import numpy as np
import pytest
import torch
from toy_problems import blobs, episodes_of, sines

from metaenv.supervised.data.episodes import Episodes, frozen_episodes
from metaenv.supervised.learners.mann import (
    MANN,
    MANNConfig,
    least_used,
    next_usage,
    presentation,
    read_weights,
    write_weights,
    written,
)

SMALL = {"slots": 20, "width": 8, "heads": 2, "controller": 32, "sizes": (16,)}


def test_reading_by_hand():
    """Key (3, 4) at strength 2: cosines 0.6 and 0.8 with the axes, 0 with an empty slot, -1 with the opposite."""
    memory = torch.tensor([[[5.0, 0.0], [0.0, 0.1], [0.0, 0.0], [-6.0, -8.0]]])
    expected = np.exp([1.2, 1.6, 0.0, -2.0])
    found = read_weights(torch.tensor([[[3.0, 4.0]]]), memory, torch.tensor([[2.0]]))
    assert found[0, 0].tolist() == pytest.approx(expected / expected.sum(), rel=1e-5)


def test_one_step_of_least_recently_used_access_by_hand():
    usage = torch.tensor([[0.9, 0.2, 0.5]])
    least = least_used(usage, 1)
    assert least.tolist() == [[[0.0, 1.0, 0.0]]]
    writes = write_weights(torch.tensor([[0.25]]), torch.tensor([[[0.6, 0.4, 0.0]]]), least)
    assert writes[0, 0].tolist() == pytest.approx([0.15, 0.1 + 0.75, 0.0])
    memory = torch.tensor([[[1.0, 2.0], [7.0, 7.0], [3.0, 4.0]]])
    after = written(memory, writes, torch.tensor([[[10.0, -10.0]]]), least)
    np.testing.assert_allclose(after[0], [[1 + 1.5, 2 - 1.5], [8.5, -8.5], [3, 4]], rtol=1e-6)
    usage = next_usage(usage, torch.tensor([[[0.1, 0.1, 0.8]]]), writes, 0.5)
    assert usage[0].tolist() == pytest.approx([0.45 + 0.1 + 0.15, 0.1 + 0.1 + 0.85, 0.25 + 0.8])


def test_each_head_has_a_least_used_slot_of_its_own_and_the_first_of_equals_comes_first():
    assert least_used(torch.tensor([[0.0, 3.0, 0.0, -1.0]]), 3).argmax(-1).tolist() == [[3, 0, 2]]


def test_what_was_written_is_found_again():
    """Eight random keys go to eight slots; each key, at a high strength, then reads itself."""
    generator = torch.Generator().manual_seed(0)
    keys = torch.randn(1, 8, 16, generator=generator)
    memory, usage, nowhere = torch.zeros(1, 8, 16), torch.zeros(1, 8), torch.zeros(1, 1, 8)
    for t in range(8):
        least = least_used(usage, 1)
        writes = write_weights(torch.zeros(1, 1), nowhere, least)
        memory = written(memory, writes, keys[:, t : t + 1], least)
        usage = next_usage(usage, nowhere, writes, 0.99)
    found = read_weights(keys, memory, torch.full((1, 8), 100.0)) @ memory
    torch.testing.assert_close(found, keys, rtol=1e-3, atol=1e-3)


@pytest.mark.parametrize("labels", ["together", "shifted"])
def test_a_query_is_asked_as_the_next_sample_would_be(labels):
    """Stepping to a sample, with no label of its own, says what asking for it says."""
    problem = sines().problem
    learner = MANN(problem, MANNConfig(labels=labels, **SMALL))
    batch = sines(n_shot=4, n_query=3).draw(2)
    memory, z = learner.network, learner._embed(batch.query_x)
    state = memory.empty(2)
    for t in range(4):
        _, state = memory.step(torch.cat([learner._embed(batch.support_x)[:, t], torch.ones(2, 2)], -1), state)
    last = torch.full((2, 1), 0.5)
    asked = learner._ask(z, state, last)
    label, flag = (0.0, 1.0) if labels == "together" else (0.5, 0.0)
    stepped, _ = memory.step(torch.cat([z[:, 2], torch.tensor([[label, flag]] * 2)], -1), state)
    torch.testing.assert_close(asked[:, 2], stepped)


def test_with_shifted_labels_a_sample_is_not_told_its_own():
    learner = MANN(sines().problem, MANNConfig(labels="shifted", **SMALL))
    batch = sines().draw(1)
    before = learner._as_it_comes(batch.support_x, batch.support_y)
    batch.support_y[:, 4] += 1.0
    after = learner._as_it_comes(batch.support_x, batch.support_y)
    assert torch.equal(before[:, :5], after[:, :5]) and (before[:, 5:] != after[:, 5:]).all()


def test_presentations_are_counted():
    assert presentation(torch.tensor([[0, 1, 0, 0, 2, 1]])).tolist() == [[1, 1, 2, 3, 1, 2]]


def test_accuracy_grows_with_presentations_and_the_first_is_a_guess():
    """With labels together: 150 updates are too few for shifted ones."""
    parts = blobs(60, noise=0.3).split_by_class({"train": 0.7, "test": 0.3}, np.random.default_rng(0))
    train = Episodes(parts["train"], 5, 1, n_way=2)
    config = MANNConfig(learning_rate=5e-3, **SMALL)
    learner = MANN(train.problem, config).meta_fit(train, 150)
    test = frozen_episodes(Episodes(parts["test"], 5, 1, n_way=2), 300)
    accuracy = learner.by_presentation(test, at=(1, 2, 5))
    assert list(accuracy) == [1, 2, 5]
    # The first sample is a coin toss; of a second class the first sample is known not to be the first class.
    assert 0.4 < accuracy[1] < 0.85
    assert accuracy[5] > 0.75 and accuracy[5] > accuracy[1] + 0.1


def test_bad_settings_and_questions_are_refused():
    episodes = episodes_of("classification")
    with pytest.raises(ValueError, match="'together' or 'shifted'"):
        MANN(episodes.problem, MANNConfig(labels="apart"))
    with pytest.raises(ValueError, match="slot for each of 4 heads"):
        MANN(episodes.problem, MANNConfig(slots=2))
    learner = MANN(episodes.problem, MANNConfig(**SMALL))
    with pytest.raises(ValueError, match="from 1 to 11, got \\(12,\\)"):
        learner.by_presentation(frozen_episodes(episodes, 2), at=(12,))
    with pytest.raises(ValueError, match="expected a classifier"):
        MANN(sines().problem).by_presentation(frozen_episodes(sines(), 2))
