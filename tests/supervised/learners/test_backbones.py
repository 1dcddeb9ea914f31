import pytest
import torch
from torch import nn

from metaenv.supervised.data.problem import Problem
from metaenv.supervised.learners.backbones import (
    MLP,
    ConvNet,
    ConvNet1d,
    backbone_for,
    check_no_batch_statistics,
    n_features,
)
from metaenv.supervised.learners.maml import MAML, MAMLConfig


@pytest.mark.parametrize(
    ("shape", "kind", "features"), [((7,), MLP, 16), ((3, 40), ConvNet1d, 16), ((1, 28, 28), ConvNet, 16)]
)
def test_the_shape_decides(shape, kind, features):
    backbone = backbone_for(shape, (32, 16))
    assert isinstance(backbone, kind) and n_features(backbone, shape) == features
    x = torch.randn(5, *shape)
    torch.testing.assert_close(backbone(x)[2:3], backbone(x[2:3]), rtol=1e-4, atol=1e-5)


def test_parameters_of_maml_s_sinusoid_network():
    """1-40-40-1: 80 + 1640 + 41 numbers."""
    learner = MAML(Problem("regression", (1,)), MAMLConfig(sizes=(40, 40)))
    assert sum(p.numel() for p in learner.network.parameters()) == 1761


def test_conv4_of_vinyals_has_its_size():
    """Four blocks of 64 channels, 3 x 3: 111,936 weights and biases with normalisation, 64 features from 28 x 28."""
    conv = 1 * 9 * 64 + 64 + 3 * (64 * 9 * 64 + 64)
    assert sum(p.numel() for p in ConvNet((1, 28, 28)).parameters()) == conv + 4 * 2 * 64
    assert n_features(ConvNet((1, 28, 28)), (1, 28, 28)) == 64
    assert n_features(ConvNet((3, 5, 4)), (3, 5, 4)) == 64  # fewer blocks for a small image
    assert n_features(ConvNet((3, 1, 5)), (3, 1, 5)) == 64 * 5  # a line of pixels is not pooled


def test_backbones_that_do_not_fit_are_refused():
    with pytest.raises(ValueError, match="fails on them"):
        n_features(nn.Linear(3, 4), (5,))
    with pytest.raises(ValueError, match=r"add nn\.Flatten"):
        n_features(nn.Conv2d(1, 4, 3), (1, 8, 8))
    with pytest.raises(ValueError, match="one, two or three axes"):
        backbone_for((1, 2, 3, 4))


def test_batch_statistics_only_if_asked_for():
    network = ConvNet((1, 8, 8), batch_norm=True)
    with pytest.raises(ValueError, match="transductive=True"):
        check_no_batch_statistics(network, False)
    check_no_batch_statistics(network, True)
    with pytest.raises(ValueError, match="track_running_stats=False"):
        check_no_batch_statistics(nn.BatchNorm1d(3), True)
    learner = MAML(Problem("classification", (1, 8, 8), 2), MAMLConfig(transductive=True), backbone=network)
    x = torch.randn(2, 4, 1, 8, 8, generator=torch.Generator().manual_seed(0))
    predictor = learner.adapt(x, torch.tensor([[0, 1, 0, 1]] * 2))
    together, alone = predictor(x).output[:, :2], predictor(x[:, :2]).output
    assert (together - alone).abs().max() > 1e-3  # what transduction means
