"""Learners on devices. Without a GPU, losses run on torch's "meta" device, which has shapes and no numbers: an
operation there on a tensor that was made on the CPU fails, as it would on a GPU."""

import numpy as np
import pytest
import torch
from toy_problems import episodes_of

from metaenv.supervised.data.problem import Kind
from metaenv.supervised.learner import Learner
from metaenv.supervised.registry import BASELINES, LEARNERS, learner_class, make_learner

META = torch.device("meta")
SMALL: dict[str, dict[str, object]] = {
    "mann": {"slots": 8, "heads": 1, "controller": 8},
    "snail": {"embedding": 8, "filters": 4, "keys": (4, 4), "values": (4, 4), "span": 8},
}
READS_NUMBERS = ("deep-kernel", "pretrained")
"""Learners whose losses depend on comparisons, which "meta" cannot make; `deep-kernel` for GPyTorch."""
READS_LABELS = (*READS_NUMBERS, "matching", "prototypical", "neural-process")
"""Learners that count the classes of a support set, which on "meta" has no numbers."""
CASES: list[tuple[str, Kind]] = [
    *((name, "regression") for name in LEARNERS if name not in (*READS_NUMBERS, "reptile")),
    *((name, "classification") for name in LEARNERS if name not in (*READS_LABELS, "reptile")),
    *((name, "anomaly") for name in ("maml", "mann", "meta-lstm", "snail")),
]


def build(name: str, kind: Kind, device: str = "cpu", **settings: object) -> Learner:
    settings = {"sizes": (8,), "tasks_per_batch": 4, **SMALL.get(name, {}), **settings}
    return make_learner(name, episodes_of(kind).problem, seed=1, device=device, **settings)


@pytest.mark.parametrize(("name", "kind"), CASES)
def test_no_tensor_of_a_learner_is_made_on_another_device(name: str, kind: Kind) -> None:
    learner, batch = build(name, kind), episodes_of(kind).draw(3).to(META)
    learner.network.to(META)
    learner.scaling.to(META)
    loss = learner._meta_loss(learner.scaling.batch(batch))
    assert loss.device == META and loss.shape == (3,)
    loss.mean().backward()
    adapted = learner._adapt(batch.support_x, batch.support_y)(batch.query_x)
    assert getattr(adapted, "output", adapted).device == META


def test_reptile_stays_on_a_device() -> None:
    """Its inner loop reads its losses, so that its steps are taken one by one here."""
    learner, batch = build("reptile", "regression"), episodes_of("regression").draw(3).to(META)
    learner.network.to(META)
    weights = {name: w.detach().expand(3, *w.shape) for name, w in learner.network.named_parameters()}
    squares = {name: torch.zeros_like(w) for name, w in weights.items()}
    after = learner._step(weights, squares, weights, 0)  # type: ignore[attr-defined]
    output = torch.func.vmap(learner._output)(after, batch.support_x)  # type: ignore[attr-defined]
    assert output.device == META and output.shape == batch.support_y.shape


def test_a_learner_says_where_it_is(tmp_path: object) -> None:
    learner = build("maml", "regression")
    assert learner.device == torch.device("cpu")
    learner.save(f"{tmp_path}/learner.pt")
    for refused in (lambda: build("maml", "regression", "abacus"), lambda: load(learner, tmp_path, "abacus")):
        with pytest.raises(ValueError, match="got 'abacus'"):
            refused()
    assert load(learner, tmp_path, "cpu").device == torch.device("cpu")


def load(learner: Learner, folder: object, device: str) -> Learner:
    return type(learner).load(f"{folder}/learner.pt", device=device)


@pytest.mark.parametrize("name", BASELINES)
def test_baselines_compute_on_the_cpu(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("METAENV_DEVICE", "cuda")
    kind = learner_class(name).kinds[0]
    learner, batch = make_learner(name, episodes_of(kind).problem), episodes_of(kind).draw(2)
    assert learner.device == torch.device("cpu")
    if learner.trained:
        learner.meta_fit(episodes_of(kind), 2)
    assert learner.adapt(batch.support_x, batch.support_y)(batch.query_x).output.device == torch.device("cpu")


GPU_CASES = ("deep-kernel", "maml", "mann", "prototypical", "reptile", "transformer-process", "pretrained")


@pytest.mark.gpu
@pytest.mark.parametrize("kind", ["regression", "classification"])
@pytest.mark.parametrize("name", GPU_CASES)
def test_a_gpu_learns_the_same_up_to_rounding(name: str, kind: Kind, tmp_path: object) -> None:
    losses: dict[str, list[float]] = {"cpu": [], "cuda": []}
    learners = {device: build(name, kind, device) for device in losses}
    for device, learner in learners.items():
        learner.meta_fit(episodes_of(kind), 20, callback=lambda _, m, d=device: losses[d].append(m["loss"]))
    assert learners["cuda"].device.type == "cuda"
    np.testing.assert_allclose(losses["cuda"], losses["cpu"], rtol=0.02, atol=0.002)
    learners["cuda"].save(f"{tmp_path}/learner.pt")
    batch = episodes_of(kind, seed=5).draw(3)
    found = [
        each.adapt(batch.support_x, batch.support_y)(batch.query_x).output
        for each in (learners["cuda"], load(learners["cuda"], tmp_path, "cpu"))
    ]
    torch.testing.assert_close(*found, rtol=0.02, atol=0.01)
