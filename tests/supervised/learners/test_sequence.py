import torch

from metaenv.supervised.data.problem import Problem
from metaenv.supervised.learners.sequence import label_input, reading_order


def test_a_support_set_is_read_in_an_order_that_the_seed_alone_draws():
    order = reading_order(12, 3)
    assert sorted(order.tolist()) == list(range(12))
    assert order.tolist() == reading_order(12, 3).tolist()
    assert order.tolist() != reading_order(12, 4).tolist()
    assert order.tolist() != list(range(12)), "support sets of users are often sorted by class"


def test_labels_are_one_hot_and_numbers_are_themselves():
    classes = label_input(Problem("classification", (2,), 3), torch.tensor([[2, 0]]))
    assert classes.tolist() == [[[0, 0, 1], [1, 0, 0]]]
    numbers = label_input(Problem("regression", (2,)), torch.tensor([[1.5, -2.0]]))
    assert numbers.tolist() == [[[1.5], [-2.0]]]
