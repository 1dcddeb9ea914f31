"""Actions of which some coordinates are drawn as one choice each: the distribution, and RL² that learns with it."""

from dataclasses import replace

import numpy as np
import torch

from metaenv import make_trials
from metaenv.agents.networks import Categorical, Mixed, SquashedGaussian
from metaenv.agents.rl2 import RL2
from metaenv.experiments.settings import preset


def mixed(n: int = 1) -> Mixed:
    generator = torch.Generator().manual_seed(0)
    mean, logits = torch.randn(n, 2, generator=generator), torch.randn(n, 5, generator=generator)
    choices = tuple(Categorical(torch.log_softmax(part, -1)) for part in logits.split([3, 2], -1))
    return Mixed(SquashedGaussian(mean, torch.full((n, 2), -0.5)), choices)


def test_density_and_entropy_are_those_of_independent_parts():
    dist = mixed()
    sample = dist.sample(torch.Generator().manual_seed(1))
    assert sample.shape == (1, 7) and sample[0, 2:5].sum() == 1 and sample[0, 5:].sum() == 1
    normal = torch.distributions.Normal(dist.numbers.mean, dist.numbers.log_std.exp())
    parts = [torch.distributions.Categorical(logits=choice.log_probs) for choice in dist.choices]
    chosen = [sample[:, 2:5].argmax(-1), sample[:, 5:].argmax(-1)]
    expected = normal.log_prob(sample[:, :2]).sum(-1) + sum(p.log_prob(c) for p, c in zip(parts, chosen, strict=True))
    torch.testing.assert_close(dist.log_prob(sample), expected)
    torch.testing.assert_close(dist.entropy(), normal.entropy().sum(-1) + sum(p.entropy() for p in parts))


def test_choices_are_drawn_as_often_as_they_are_likely():
    one = mixed()
    wide = Mixed(
        SquashedGaussian(one.numbers.mean.expand(20_000, 2), one.numbers.log_std.expand(20_000, 2)),
        tuple(Categorical(choice.log_probs.expand(20_000, -1)) for choice in one.choices),
    )
    drawn = wide.sample(torch.Generator().manual_seed(2)).mean(0)
    expected = torch.cat([choice.log_probs.exp()[0] for choice in one.choices])
    torch.testing.assert_close(drawn[2:], expected, atol=0.015, rtol=0)
    mode = one.mode()[0]
    assert mode[2:5].argmax() == one.choices[0].log_probs.argmax() and mode[:2].equal(one.numbers.mean[0])
    action = one.action(one.mode())
    assert action[0, :2].equal(one.numbers.mean[0].tanh()) and set(action[0, 2:].tolist()) == {-1.0, 1.0}


def test_rl2_draws_choices_where_an_environment_has_them(tmp_path):
    config = replace(preset("MaterialsSynthesis"), num_envs=4, steps=4 * 12 * 2)
    agent = config.make_agent(config.make_env())
    assert agent.dims.choices == (5, 5, 5, 3) and agent.policy.log_std.shape == (12, 4)
    before = [p.clone() for p in agent.policy.parameters()]
    agent.learn(config.steps)
    assert any(not a.equal(b) for a, b in zip(before, agent.policy.parameters(), strict=True))
    env = make_trials("MaterialsSynthesis", 4, variant="system")
    observation, _ = env.reset(seed=0)
    action, _ = agent.predict(observation, deterministic=True)
    groups = np.split(action[:, 4:], np.cumsum((5, 5, 5)), axis=1)
    assert all((np.sort(group, axis=1)[:, -2:] == [-1, 1]).all() for group in groups)
    loaded = RL2.load(agent.save(tmp_path / "agent.pt") or tmp_path / "agent.pt")
    assert np.array_equal(loaded.predict(observation, deterministic=True)[0], action)
    other = preset("materials-recipe-short")
    assert other.make_agent(replace(other, num_envs=2).make_env()).dims.choices == ()
