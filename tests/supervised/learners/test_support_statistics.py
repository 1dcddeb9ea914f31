import numpy as np
import pytest
import torch
from toy_problems import blobs

from metaenv.supervised.data.episodes import Episodes, frozen_episodes
from metaenv.supervised.learners.support_statistics import LEAST_SPREAD, normaliser
from metaenv.supervised.registry import make_learner

SMALL = {
    "mann": {"slots": 20, "heads": 1, "controller": 64},
    "snail": {"embedding": 24, "filters": 16, "keys": (16, 16), "values": (16, 16), "span": 16},
}


def test_features_are_standardised_by_those_of_the_support_set_alone():
    rng = np.random.default_rng(0)
    support, query = rng.normal(3, 2, size=(2, 6, 4)), rng.normal(3, 2, size=(2, 5, 4))
    normal = normaliser("support", torch.tensor(support))
    spread = support.std(1, keepdims=True) + LEAST_SPREAD
    expected = (query - support.mean(1, keepdims=True)) / spread
    np.testing.assert_allclose(normal(torch.tensor(query)), expected)
    one = torch.tensor(support[:, :1])
    assert not normaliser("support", one)(one).any(), "one sample is its own mean"
    assert normaliser("none", one)(one) is one
    with pytest.raises(ValueError, match="'support' or 'none'"):
        normaliser("batch", one)  # type: ignore[arg-type]


@pytest.mark.parametrize("name", SMALL)
def test_a_learner_that_normalises_is_not_transductive(name: str, tmp_path):
    episodes = Episodes(blobs(), 5, 6, n_way=3)
    learner = make_learner(name, episodes.problem, normalize="support", **SMALL[name]).meta_fit(episodes, 3)
    batch = episodes.draw(2)
    predictor = learner.adapt(batch.support_x, batch.support_y)
    together = predictor(batch.query_x).output
    torch.testing.assert_close(predictor(batch.query_x[:, 3:4]).output, together[:, 3:4], rtol=1e-4, atol=1e-4)
    plain = make_learner(name, episodes.problem, **SMALL[name])
    plain.network.load_state_dict(learner.network.state_dict())
    plain.scaling.load_state_dict(learner.scaling.state_dict())
    assert not torch.allclose(plain.adapt(batch.support_x, batch.support_y)(batch.query_x).output, together)


@pytest.mark.parametrize("name", SMALL)
def test_a_common_part_that_is_large_does_not_hide_the_classes(name: str):
    """What convolutions do to pictures: features that are nearly alike for all samples, far from zero."""

    class Shifted(torch.nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.layer = torch.nn.Linear(6, 16)

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return 0.1 * self.layer(x) + 20

    parts = blobs(60, noise=0.3).split_by_class({"train": 0.7, "test": 0.3}, np.random.default_rng(0))
    train, test = (Episodes(parts[k], 2, 4, n_way=3) for k in ("train", "test"))
    found = {}
    for how in ("none", "support"):
        torch.manual_seed(0)
        settings = {**SMALL[name], "normalize": how, "learning_rate": 3e-3}
        learner = make_learner(name, train.problem, backbone=Shifted(), **settings).meta_fit(train, 60)
        batch = frozen_episodes(test, 100)
        accuracy = [
            (learner.adapt(b.support_x, b.support_y)(b.query_x).labels == b.query_y).float().mean()
            for b in batch.batches()
        ]
        found[how] = float(accuracy[0])
    assert found["support"] > found["none"] + 0.1, found


def test_samples_that_come_one_by_one_have_no_support_set():
    episodes = Episodes(blobs(), 5, 6, n_way=3)
    with pytest.raises(ValueError, match="no support set"):
        make_learner("mann", episodes.problem, labels="shifted", normalize="support")
    learner = make_learner("mann", episodes.problem, normalize="support", **SMALL["mann"])
    with pytest.raises(ValueError, match="no support set"):
        learner.by_presentation(frozen_episodes(episodes, 2))  # type: ignore[attr-defined]
