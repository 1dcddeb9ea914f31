from dataclasses import replace

import numpy as np
import pytest
import torch
from toy_problems import episodes_of

from metaenv.supervised.data.datasets import Dataset
from metaenv.supervised.data.episodes import Episodes
from metaenv.supervised.learners.regrouping import regrouped
from metaenv.supervised.learners.snail import SNAIL, SNAILConfig

SMALL = {"embedding": 8, "filters": 4, "keys": (4, 4), "values": (4, 4), "span": 8, "sizes": (8,)}


def drawn(classes=40, shots=2, queries=3, tasks=6):
    y = np.repeat(np.arange(classes), 7)
    data = Dataset(np.arange(len(y), dtype=np.float32)[:, None], y)  # x is the number of the row
    return Episodes(data, shots, queries, n_way=4, seed=3).draw(tasks), y


def found(batch, times=8, seed=0):
    result = regrouped(batch, times, torch.Generator().manual_seed(seed))
    x = batch.samples()[0].flatten(0, 1)[:, 0].long()
    return result, x[result.support], x[result.query]


def test_every_task_has_different_classes_one_label_each_and_no_sample_twice():
    batch, y = drawn()
    result, support, query = found(batch)
    assert len(support) > 6 * 4  # of 48; the others had a class twice
    for rows, labels, asked, asked_labels in zip(support, result.support_y, query, result.query_y, strict=True):
        assert len(set(rows.tolist() + asked.tolist())) == 4 * 5
        of_label = {int(label): y[row] for row, label in zip(rows, labels, strict=True)}
        assert len(set(of_label.values())) == 4
        assert sorted(labels.tolist()) == [0, 0, 1, 1, 2, 2, 3, 3]
        assert sorted(asked_labels.tolist()) == [0, 0, 0, 1, 1, 1, 2, 2, 2, 3, 3, 3]
        assert all(y[row] == of_label[int(label)] for row, label in zip(rows, labels, strict=True))
        assert all(y[row] == of_label[int(label)] for row, label in zip(asked, asked_labels, strict=True))


def test_with_many_classes_all_tasks_are_kept():
    batch, _ = drawn(classes=5_000, tasks=3)
    assert len(np.unique(batch.task_ids)) == 3 * 4  # no class is in two of them
    assert len(found(batch, times=4)[1]) == 3 * 4 and len(found(batch, times=1)[1]) == 3


def test_first_come_the_tasks_that_were_drawn_with_their_support_sets():
    batch, _ = drawn()
    _, support, query = found(batch)
    assert torch.equal(support[:6].sort(1).values, batch.support_x[..., 0].long().sort(1).values)
    assert torch.equal(query[:6].sort(1).values, batch.query_x[..., 0].long().sort(1).values)


def test_a_dealt_task_mixes_classes_of_several_tasks_and_samples_of_both_sets():
    batch, y = drawn()
    _, support, _ = found(batch)
    before = [set(y[rows].tolist()) for rows in batch.support_x[..., 0].long().numpy()]
    assert any(set(y[rows].tolist()) not in before for rows in support[6:].numpy())
    asked = np.isin(support[6:].numpy(), batch.query_x[..., 0].long().numpy())
    assert 0.5 < asked.mean() < 0.75  # three of five samples of a class were queries
    assert not torch.equal(found(batch, seed=1)[1][6:12], support[6:12])


def test_with_as_many_classes_as_ways_dealt_tasks_are_few_and_whole():
    batch, y = drawn(classes=4)
    _, support, _ = found(batch, times=50)
    assert all(len(set(y[rows].tolist())) == 4 for rows in support.numpy())
    assert 6 <= len(support) < 6 * 25


def test_labels_with_a_meaning_are_not_dealt():
    batch, _ = drawn()
    with pytest.raises(ValueError, match="set regroupings=1"):
        regrouped(replace(batch, interchangeable=False), 2, torch.Generator())
    x = np.zeros((60, 1), np.float32)
    in_groups = Dataset(x, np.arange(60) % 2, groups=np.arange(60) // 20)
    by_group = Episodes(in_groups, 1, 1, kind="classification", by="group").draw(2)
    assert not by_group.interchangeable and not episodes_of("anomaly").draw(2).interchangeable
    with pytest.raises(ValueError, match="expected regroupings=1 for regression, got 2"):
        SNAIL(episodes_of("regression").problem, SNAILConfig(**SMALL, regroupings=2))
    with pytest.raises(ValueError, match="expected regroupings=1 with transductive=True"):
        SNAIL(episodes_of("classification").problem, SNAILConfig(**SMALL, regroupings=2, transductive=True))


def test_the_loss_of_a_regrouped_task_is_that_of_the_same_task_drawn():
    episodes = episodes_of("classification")
    learner = SNAIL(episodes.problem, SNAILConfig(**SMALL, regroupings=4, normalize="support"), seed=0)
    batch = episodes.draw(5)
    learner.generator.manual_seed(2)
    losses = learner._meta_loss(batch)
    result = regrouped(batch, 4, torch.Generator().manual_seed(2))
    x = batch.samples()[0].flatten(0, 1)
    drawn_so = replace(
        batch, support_x=x[result.support], support_y=result.support_y, query_x=x[result.query], query_y=result.query_y
    )
    plain = SNAIL(episodes.problem, SNAILConfig(**SMALL, normalize="support"), seed=0)
    torch.testing.assert_close(losses, plain._meta_loss(drawn_so))


def test_a_resumed_training_deals_the_same_tasks(tmp_path):
    def trained(path=None):
        learner = SNAIL(episodes_of("classification").problem, SNAILConfig(**SMALL, regroupings=3), seed=1)
        stop = (lambda i, _: i < 3) if path else None
        learner.meta_fit(episodes_of("classification"), 6, callback=stop)
        if path is None:
            return learner
        learner.save(path)
        return SNAIL.load(path).meta_fit(episodes_of("classification"), resume=True)

    whole, resumed = trained(), trained(tmp_path / "half.pt")
    assert resumed.iteration == 6
    for a, b in zip(whole.network.parameters(), resumed.network.parameters(), strict=True):
        assert torch.equal(a, b)
