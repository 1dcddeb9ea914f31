"""PEARL: an off-policy agent that infers the hidden task and acts on what it believes.

Rakelly, Zhou, Quillen, Finn and Levine 2019, "Efficient Off-Policy Meta-Reinforcement Learning via Probabilistic
Context Variables", https://arxiv.org/abs/1903.08254. A context encoder turns the steps seen of a task into a Gaussian
belief over a latent vector z; actor and critics of soft actor-critic (`metaenv.agents.soft_actor_critic`) see z beside
the observation. Acting is posterior sampling: z is drawn from the belief at the start of each episode and kept to its
end. Here actions may be discrete and masked as well as continuous.

Losses of one gradient step over b tasks with m steps each (all tasks in one batched computation):

* critics: 0.5 * sum over the two critics of the mean over b * m steps of (Q(s, a, z) - target)^2;
* encoder: that loss plus ``kl_coef`` * mean over the b tasks of KL(q(z | context) || N(0, I)), summed over z's
  coordinates. The paper's own code *sums* the KL over tasks, so that its 0.1 at 16 tasks is 1.6 here, and multiplies
  rewards by 5 to 100: coefficients do not carry over;
* actor, entropy weight and reward decoder: means over b * m steps, with z detached;
* with `PEARLConfig.mixture`, which is not in the paper: minus the log-density of hindsight's z after beginnings of the
  b contexts, for a second encoder alone.

So the encoder learns from critics and KL alone. What differs from the paper's code: no separate value network; the
belief includes the prior (`metaenv.agents.belief`); contexts are beginnings of a task's latest trials, from nothing to
all of one, as a policy meets them; the boundary flag is part of the context.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from typing import Any, ClassVar, Literal, Self, cast

import numpy as np
import torch
from gymnasium.vector import VectorEnv
from numpy.typing import NDArray
from stable_baselines3.common.callbacks import BaseCallback
from stable_baselines3.common.torch_layers import create_mlp
from torch import Tensor, nn

from metaenv.agents.base import Agent
from metaenv.agents.belief import Belief, ContextEncoder, Mixture, MixtureEncoder
from metaenv.agents.entities import ItemNetwork, ItemView
from metaenv.agents.imitation import Teacher, faded, find_teacher
from metaenv.agents.pearl_spaces import PEARLSpaces, pearl_spaces
from metaenv.agents.replay import TaskReplay
from metaenv.agents.soft_actor_critic import (
    ContinuousSoftActorCritic,
    DiscreteSoftActorCritic,
    SoftActorCritic,
)
from metaenv.agents.trial_spaces import check_binary, resolve_spaces
from metaenv.errors import nearest
from metaenv.policies import NO_ADVICE
from metaenv.runs.allocator import keep_freed_memory
from metaenv.tasks import TaskBatch
from metaenv.trial import Transition, VectorTrial
from metaenv.typing import Index

CONTINUOUS_TARGET_ENTROPY, DISCRETE_TARGET_ENTROPY = -1.0, 0.2
"""Defaults of `PEARLConfig.target_entropy`: SAC's own; chosen."""
TASK_STREAM, PLAY_STREAM, BATCH_STREAM = 0, 1, 2
"""Random streams grown from the seed: of the training tasks, of play, of batches."""

BEGINNINGS, HINTED, MOST_HINTS = 8, 0.25, 4
"""Of each context, beginnings that one update of a mixture learns from, which cost little more than one; the share of
them that are joined by steps of hindsight, and by how many at most. All chosen."""


@dataclass(frozen=True)
class PEARLConfig:
    """Settings of PEARL."""

    n_tasks: int = 100
    """Training tasks, drawn once; all members of a training split that has no more than that."""
    refresh_tasks: int = 0
    """Of the tasks played in an iteration, how many are replaced by newly drawn ones, oldest first."""
    replay_capacity: int = 10_000
    """Steps kept of each task."""
    initial_trials: int = 1
    """Trials of each task that are played at random before learning starts."""
    initial_hold: int = 1
    """Steps for which a random action is held in those trials. More reaches further: 20 goes straight for 20 steps."""
    gradient_steps: int = 100
    """Updates of all networks per iteration, each on `meta_batch` tasks."""
    meta_batch: int = 32
    """Tasks in one update."""
    batch_size: int = 32
    """Steps of each task in one update."""
    context_size: int = 128
    """Largest number of steps in a context while learning; when acting there is no limit."""
    shortest_context: float = 0.0
    """Contexts while learning are beginnings of a trial, of a length uniform from this fraction of it to all. The
    paper's are always long. From a short one that tells nothing, z is as good as drawn from the prior, and the critics
    learn that such a z means nothing: with sparse rewards the agent then never sets out for one goal. With 0 an agent
    that must do well from the first steps on learns what little evidence is worth."""
    context_trials: int = 1
    """Contexts come from this many latest trials of a task. More make it harder to know a task by heart from a
    context that tells nothing of it."""
    context_ends: bool = False
    """Whether contexts hold only how episodes ended, the last observation and reward: for tasks that pay at the end of
    an episode, and whose last observation tells of all of it. While learning they are random sets of at most
    `context_size` of all the episodes that are kept of a task. Latest trials alone would tell nothing as long as the
    policy does the same in each episode, and it does the same as long as contexts tell nothing."""
    latent_size: int = 5
    """Coordinates of the latent task z."""
    sample_latent: bool = True
    """Whether z is drawn from the belief, as in the paper, or is its mean (the paper's ablation "deterministic
    context"). A drawn z explores by posterior sampling, which takes many episodes: the exact Bayesian
    policy of MoleculeDesign earns 0.45 with the fifth molecule if it draws the objective it builds for, and 0.81 if it
    builds what is best on average over its belief. With the mean, z tells critics and actor what is known."""
    task_prediction_coef: float = 0.0
    """Weight of an auxiliary loss of the encoder: predict the hidden task's context vector from z. Actor and critics
    then see the prediction beside z, which is no path for their gradients. A privileged training signal, which needs an
    env with `task_vector()`; when acting, the prediction comes from what was seen."""
    task_prediction_loss: Literal["mse", "bce"] = "mse"
    """As in RL2Config."""
    encoder_sizes: tuple[int, ...] = (128, 128)
    """Widths of the context encoder's hidden layers."""
    mixture: int = 0
    """0: acting, critics and actor share one belief, as in the paper. Else critics, actor and encoder learn from the
    belief in hindsight, after `hindsight_steps`, and acting draws z from a mixture of so many Gaussians. It belongs to
    a second encoder, which predicts hindsight's z from beginnings of trials by maximum likelihood. One Gaussian cannot
    say that the task is none of those tried so far, and contexts without reward blur what the critics learn; where
    rewards are sparse, both matter. `context_size` should then be no less than the steps of a trial."""
    hindsight_steps: int = 32
    """With a mixture: steps that hindsight knows, from all that was played on a task and whose reward is not 0."""
    pool_size: int = 64
    """With a mixture: features of a step, which are pooled over all steps."""
    network_sizes: tuple[int, ...] = (128, 128)
    """Widths of the hidden layers of actor, critics and reward decoder."""
    items: bool = False
    """As in RL2Config: treat the list of items in the observation as a set. Contexts then hold the items that were
    picked, not the lists."""
    item_size: int = 48
    """Width of an item's embedding."""
    learning_rate: float = 1e-3
    """Adam's step size at the start of training."""
    learning_rate_final: float = 1e-4
    """Adam's step size at the end; linear in between."""
    gamma: float = 0.99
    """Discount per step within an episode."""
    tau: float = 0.005
    """Step of the slow critics towards the critics."""
    kl_coef: float = 0.01
    """Weight of the belief's KL divergence to the prior (a mean over tasks, a sum over coordinates), at the start."""
    kl_coef_final: float | None = None
    """The same at the end of training, None for the same as at the start; linear in between. Where rewards are sparse
    a small one at first lets beliefs differ at all, and a larger one later keeps them from being sure of nothing."""
    reward_scale: float = 1.0
    """Factor on rewards in the critics' targets."""
    critic_reward: str | None = None
    """Name of an entry of ``info`` that the critics learn from instead of the reward, such as "dense_reward": a
    privileged signal in training. The context holds the true reward, and so does every evaluation."""
    ent_coef: float | None = None
    """Weight of the entropy; None adapts it to `target_entropy`."""
    target_entropy: float | None = None
    """Continuous: nats per dimension, -1 by default. Discrete: fraction of the log of the number of allowed actions,
    0.2 by default."""
    teacher: str | None = None
    """Name of a baseline of the environment (`metaenv.baselines.baselines_of`) that plays some of the
    training trials. They show what a trial can tell of its task while the agent's own do not yet: contexts hold them,
    but critics and actor learn from the agent's own steps alone (what a better policy would go on to do misleads
    critics about all that it does not do). The teacher sees what the agent sees. For discrete actions."""
    teacher_acts: float = 0.5
    """With a teacher: the share of the trials that it plays, at the start of training."""
    teacher_share: float = 0.5
    """Share of the training in which that share falls linearly to 0."""
    prior_episodes: int = 1
    """Episodes at the start of each training trial whose z is drawn from the prior, whatever has been seen. `predict`
    trusts its belief from the second episode on, or with 0 at once."""
    resample_every: int | None = None
    """Steps after which z is drawn anew within an episode; None draws at the start of each episode only, as in the
    paper."""
    resample_in_training: bool = True
    """Whether training trials, too, draw z anew within an episode."""
    torch_threads: int = 1
    """Threads of torch while learning."""
    keep_freed_memory: bool = True
    """As in RL2Config."""


class PEARL(Agent):
    """Probabilistic embeddings for actor-critic RL, with the surface of a Stable-Baselines3 algorithm.

    Args:
        env: a `VectorTrial` in autoreset mode SAME_STEP, of a discrete action or one in [-1, 1]^d. In each iteration
            every sub-environment plays one trial of one of the training tasks. None only for an agent that will not
            learn.
        config: settings.
        seed: of weights, actions, batches and tasks; None draws one.
        verbose: 1 prints the log to the terminal.
        tensorboard_log: folder for TensorBoard.
        spaces: sizes of the environment, where there is no `env`; with one, they must agree.

    Raises:
        ValueError: the env is none of trials, or its sizes, its spaces or the settings do not fit.

    The state (n, d + E + L + 2) that `predict` passes on: last observation, the evidence, z, episodes finished, and
    steps of the present episode plus one. The evidence is the belief's precision (beyond the prior's) and weighted
    mean, E = 2 L; with a mixture the steps' features, E = `pool_size`.
    """

    checkpoint_kind: ClassVar[str] = "metaenv.PEARL"
    title: ClassVar[str] = "PEARL"
    config_class: ClassVar[type[PEARLConfig]] = PEARLConfig
    default_num_envs: ClassVar[int] = 20

    def __init__(
        self,
        env: VectorEnv[Any, Any, Any] | None,
        config: PEARLConfig | None = None,
        *,
        seed: int | None = None,
        verbose: int = 0,
        tensorboard_log: str | None = None,
        spaces: PEARLSpaces | None = None,
    ) -> None:
        self.config = config or PEARLConfig()
        super().__init__(env, seed, verbose, tensorboard_log, self.config.torch_threads)
        self.spaces = pearl_spaces(env, spaces, self.config.task_prediction_coef > 0, self.config.items)
        self._make_networks()
        self._generator = torch.Generator().manual_seed(self.seed)
        self._replay: TaskReplay | None = None
        self._tasks: TaskBatch | None = None
        self._stored: dict[str, Any] = {}
        self._played: list[Any] = []
        self._teacher: Teacher | None = None
        if env is not None:
            self._prepare(cast(VectorTrial, env))

    # ---------------------------------------------------------------- acting

    @property
    def _state_size(self) -> int:
        return self.spaces.observation_size + self._evidence_size + self.config.latent_size + 2

    @property
    def _evidence_size(self) -> int:
        return self.config.pool_size if self.config.mixture else 2 * self.config.latent_size

    def _predict(
        self, observations: Tensor, state: Tensor, masks: Tensor | None, deterministic: bool
    ) -> tuple[Tensor, Tensor]:
        config, generator = self.config, self._predict_generator
        prior_episodes = min(config.prior_episodes, 1)
        return self._act(observations, state, masks, generator, deterministic, prior_episodes, config.resample_every)

    @torch.no_grad()
    def posterior(self, context: NDArray[np.float32]) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        """What the agent believes of the hidden task after a context.

        Args:
            context: (t + 1, n, o) or (t + 1, o) the trial's observations from the one that `reset` returned on. One
                observation alone tells nothing: the belief is the prior.

        Returns:
            Mean and standard deviation of the latent task, each (n, L) or (L,); of the whole mixture, if it is one.
        """
        observations = torch.as_tensor(np.asarray(context, np.float32))
        single = observations.ndim == 2
        if single:
            observations = observations.unsqueeze(1)
        if observations.ndim != 3 or observations.shape[-1] != self.spaces.trial_size:
            raise ValueError(
                f"Expected a context of shape (t + 1, n, {self.spaces.trial_size}), the trial's observations from the "
                f"reset on; got {np.shape(context)}."
            )
        belief = self._prior(observations.shape[1])
        if len(observations) > 1 and not self.spaces.hide_history:
            news = self._seen(observations[1:])
            steps = self._experience(observations[:-1, :, : self.spaces.observation_size], news)
            counts = news[..., -1] > 0 if self.config.context_ends else torch.ones(news.shape[:-1], dtype=torch.bool)
            belief = self._belief_after(steps.transpose(0, 1), counts.T)
        mean, std = belief.mean.numpy(), belief.std.numpy()
        return (mean[0], std[0]) if single else (mean, std)

    @torch.no_grad()
    def predict_reward(
        self, observation: NDArray[np.float32], action: NDArray[Any], latent: NDArray[np.float32]
    ) -> NDArray[np.float32]:
        """The reward that the agent expects, were the hidden task `latent`: what it thinks the task rewards.

        Args:
            observation: (n, d) of the episode.
            action: (n,) or (n, d_a).
            latent: (n, L) or (L,).

        Returns:
            (n,) expected rewards of the step, as the trial's observation shows them (by default as they are paid).
        """
        seen = torch.as_tensor(np.atleast_2d(observation), dtype=torch.float32)
        z = torch.as_tensor(latent, dtype=torch.float32).expand(len(seen), -1)
        return self._expected_reward(seen, torch.as_tensor(np.asarray(action)), z).numpy()

    def _act(
        self,
        observations: Tensor,
        before: Tensor,
        masks: Tensor | None,
        generator: torch.Generator,
        deterministic: bool,
        prior_episodes: int,
        resample_every: int | None,
    ) -> tuple[Tensor, Tensor]:
        """Update the belief, draw z where it is due, and act."""
        d, latent = self.spaces.observation_size, self.config.latent_size
        last, evidence, z, episodes, age = before.split([d, self._evidence_size, latent, 1, 1], -1)
        started, news = age > 0, self._seen(observations)
        ended = started & (news[:, -1:] > 0)
        counts = (ended if self.config.context_ends else started) & (not self.spaces.hide_history)
        evidence, belief = self._updated(evidence, self._experience(last, news), counts)
        episodes, age = episodes + ended, torch.where(ended, 0.0, age)
        due = age == 0 if resample_every is None else age % resample_every == 0
        prior = self._prior(len(z))
        chosen = torch.where(episodes < prior_episodes, self._latent(prior, generator), self._latent(belief, generator))
        z = torch.where(due, chosen, z)
        current = observations[:, :d]
        actions = self.sac.act(torch.cat([current, self._told(z)], -1), masks, generator, deterministic)
        return actions, torch.cat([current, evidence, z, episodes, age + 1], -1)

    def _latent(self, belief: Belief | Mixture, generator: torch.Generator) -> Tensor:
        """z (..., L) as a belief has it: a draw, or its mean."""
        return belief.sample(generator) if self.config.sample_latent else belief.mean

    def _told(self, z: Tensor) -> Tensor:
        """What actor and critics see of the task for z (..., L): z, and what it tells of the task's context vector."""
        if self.predictor is None:
            return z
        predicted = self.predictor(z).detach()
        return torch.cat([z, predicted.sigmoid() if self.config.task_prediction_loss == "bce" else predicted], -1)

    def _updated(self, evidence: Tensor, step: Tensor, counts: Tensor) -> tuple[Tensor, Belief | Mixture]:
        """Evidence (n, E) and belief after a further step (n, i), where it counts (n, 1)."""
        if self.mixture is not None:
            evidence = self.mixture.merged(evidence, self.mixture.evidence(step) * counts)
            return evidence, self.mixture(evidence)
        precision, weighted = evidence.chunk(2, -1)
        belief = Belief(precision + 1, weighted).updated(self.encoder(step.unsqueeze(-2)), counts)
        return torch.cat([belief.precision - 1, belief.weighted_mean], -1), belief

    def _belief_after(self, steps: Tensor, counts: Tensor) -> Belief | Mixture:
        """What acting believes after steps (n, t, i), of which some count (n, t)."""
        if self.mixture is not None:
            whole, told = torch.full((len(steps), 1), steps.shape[1]), self.mixture.evidence(steps)
            return self.mixture(self.mixture.beginnings(told * counts.unsqueeze(-1), whole).squeeze(1))
        return Belief.prior(len(steps), self.config.latent_size).updated(self.encoder(steps), counts)

    def _prior(self, n: int) -> Belief | Mixture:
        """What acting believes before it has seen anything."""
        if self.mixture is not None:
            return self.mixture(torch.zeros(n, self._evidence_size))
        return Belief.prior(n, self.config.latent_size)

    def _seen(self, observations: Tensor) -> Tensor:
        """What a trial's observation tells of the step before it: what was seen next, done, paid, and the flag."""
        d, k = self.spaces.observation_size, self.spaces.action_vector
        report = d if self.spaces.reports_at_end else 0
        now, reported, done = observations[..., :d], observations[..., d : d + report], observations[..., d + report :]
        ended = done[..., k + 1 : k + 2]
        following = now * (1 - ended) + (reported * ended if report else 0)
        return torch.cat([following, done[..., : k + 2]], -1)

    def _experience(self, before: Tensor, news: Tensor) -> Tensor:
        """Steps (..., i) as encoders take them: what was seen before and what `_seen` tells, or how episodes ended.

        Of a list of items, the one that was picked alone.
        """
        d, view = self.spaces.observation_size, self.view
        if self.config.context_ends:
            return torch.cat([news[..., :d], news[..., -2:-1]], -1)
        if view is None:
            return torch.cat([before, news], -1)
        following, played, told = news.split([d, view.n_actions, 2], -1)
        return torch.cat([view.picked(view.listed(before), played), following[..., view.end :], told], -1)

    def _action_vector(self, actions: Tensor) -> Tensor:
        if self.spaces.n_actions is None:
            return actions.to(torch.float32)
        return nn.functional.one_hot(actions.long(), self.spaces.n_actions).to(torch.float32)

    # ---------------------------------------------------------------- learning

    def _before_learning(self, env: VectorEnv[Any, Any, Any]) -> None:
        cast(VectorTrial, env).keep_transition = True
        if self.config.keep_freed_memory:
            keep_freed_memory()

    def _play_and_update(self, env: VectorEnv[Any, Any, Any], callbacks: BaseCallback) -> dict[str, float] | None:
        """Learn from what has been played, then play one trial of some tasks; kept only when all of it succeeded."""
        trials, tasks, replay = cast(VectorTrial, env), self._training_tasks, self._training_replay
        rng = np.random.default_rng([self.seed, BATCH_STREAM, self.iteration])
        warm_up = bool(replay.trials.min() < self.config.initial_trials)
        metrics = {} if warm_up else self._update(replay, rng)
        slots, chosen = self._next_tasks(trials, tasks, replay, warm_up, rng)
        played = self._collect(trials, chosen, warm_up and self._updates == 0, callbacks)
        if played is None:
            return None
        *self._played, logged = slots, chosen, *played
        return {**logged, **metrics}

    def _end_iteration(self) -> None:
        """Keep what was played, in the places (slots) of the tasks that were chosen."""
        slots, chosen, steps, valid = self._played
        replay, tasks = self._training_replay, self._training_tasks
        replay.clear(slots[chosen.ids != tasks.ids[slots]])
        replay.add(slots, steps, valid)
        self._tasks = tasks.replaced(slots, chosen)
        self._played = []

    def _next_tasks(
        self, env: VectorTrial, tasks: TaskBatch, replay: TaskReplay, warm_up: bool, rng: np.random.Generator
    ) -> tuple[Index, TaskBatch]:
        """Slots of the training tasks to play now, all different, and the tasks, some of them new."""
        if warm_up:
            slots = np.argsort(replay.trials, kind="stable")[: env.num_envs]
            return slots, tasks.take(slots)
        fresh = min(self.config.refresh_tasks, env.num_envs)
        oldest = (self.iteration * fresh + np.arange(fresh)) % len(tasks)
        others = np.setdiff1d(np.arange(len(tasks)), oldest)
        slots = np.concatenate([oldest, rng.choice(others, env.num_envs - fresh, replace=False)])
        chosen = tasks.take(slots)
        if fresh:
            chosen = chosen.replaced(np.arange(fresh), env.distribution.sample(fresh, env.split, rng))
        return slots, chosen

    def _collect(
        self, env: VectorTrial, tasks: TaskBatch, at_random: bool, callbacks: BaseCallback
    ) -> tuple[dict[str, NDArray[Any]], NDArray[np.bool_], dict[str, float]] | None:
        """Play one trial of each task: (steps, n, ...) of each field, which belong to the trial, and what to log."""
        callbacks.on_rollout_start()
        rng = np.random.default_rng([self.seed, PLAY_STREAM, self.iteration])
        observations, _ = env.reset(seed=int(rng.integers(2**31)), options={"tasks": tasks})
        n = env.num_envs
        teacher, taught = self._teacher, self._lots(n, rng) & (not at_random)
        if teacher is not None:
            teacher.start(rng)
        state, over = torch.zeros(n, self._state_size), np.zeros(n, np.bool_)
        actions: NDArray[Any] | None = None
        steps: list[dict[str, NDArray[Any]]] = []
        valid: list[NDArray[np.bool_]] = []
        returns, episodes = np.zeros(n), np.zeros((n, env.episodes))
        while not over.all():
            masks = env.action_masks() if self.spaces.n_actions else None
            if at_random:
                actions = self._random_actions(masks, actions, len(steps), rng)
            else:
                actions, state = self._sampled_actions(observations, state, masks)
            if teacher is not None and masks is not None:
                advice = teacher.advise(observations, masks)
                actions = np.where(taught & (advice != NO_ADVICE), advice, actions)
            finished = np.minimum(env.trial_state.finished, env.episodes - 1).copy()
            seen = observations[:, : self.spaces.observation_size]
            observations, rewards, terminated, _, _ = env.step(actions)
            if teacher is not None:
                teacher.watch(actions, terminated)
            steps.append({"taught": taught} if teacher is not None else {})
            steps[-1].update(
                self._step(seen, actions, masks, cast(Transition, env.last_transition), env.trial_state.reward_scale)
            )
            valid.append(~over)
            returns += rewards * ~over
            episodes[np.arange(n), finished] += cast(Transition, env.last_transition).reward * ~over
            over |= terminated
            self.num_timesteps += n
            callbacks.update_locals(locals())
            if not callbacks.on_step():
                return None
        callbacks.on_rollout_end()
        own = ~taught if not taught.all() else taught
        logged = {
            "rollout/return": float(returns[own].mean()),
            "rollout/first_episode": float(episodes[own, 0].mean()),
            "rollout/last_episode": float(episodes[own, -1].mean()),
        }
        return {name: np.stack([s[name] for s in steps]) for name in steps[0]}, np.stack(valid), logged

    def _lots(self, n: int, rng: np.random.Generator) -> NDArray[np.bool_]:
        """(n,) which trials the teacher plays."""
        config = self.config
        if self._teacher is None:
            return np.zeros(n, np.bool_)
        share = faded(config.teacher_acts, self.num_timesteps, config.teacher_share * self._total_timesteps)
        return rng.random(n) < share

    @torch.no_grad()
    def _sampled_actions(
        self, observations: NDArray[np.float32], state: Tensor, masks: NDArray[np.bool_] | None
    ) -> tuple[NDArray[Any], Tensor]:
        allowed = None if masks is None else torch.from_numpy(masks)
        config, seen = self.config, torch.from_numpy(observations)
        every = config.resample_every if config.resample_in_training else None
        actions, state = self._act(seen, state, allowed, self._generator, False, config.prior_episodes, every)
        return actions.numpy(), state

    def _random_actions(
        self, masks: NDArray[np.bool_] | None, last: NDArray[Any] | None, step: int, rng: np.random.Generator
    ) -> NDArray[Any]:
        """Uniformly random allowed actions, or the last ones where they are still to be held and allowed."""
        rows = np.arange(cast(VectorTrial, self.env).num_envs)
        if masks is None:
            drawn = rng.uniform(-1, 1, (len(rows), self.spaces.action_size)).astype(np.float32)
            allowed = np.ones(len(rows), np.bool_)
        else:
            drawn = np.where(masks, rng.random(masks.shape), -1).argmax(1)
            allowed = masks[rows, drawn if last is None else last]
        if last is None or step % self.config.initial_hold == 0:
            return drawn
        return np.where(allowed.reshape(-1, *[1] * (drawn.ndim - 1)), last, drawn)

    def _step(
        self,
        seen: NDArray[np.float32],
        actions: NDArray[Any],
        masks: NDArray[np.bool_] | None,
        after: Transition,
        context_scale: float,
    ) -> dict[str, NDArray[Any]]:
        """One step of every row, as the replay keeps it."""
        name = self.config.critic_reward
        if name is not None and name not in after.report:
            raise ValueError(f"The env's info has no {name!r}.{nearest(name, after.report)}")
        step: dict[str, NDArray[Any]] = {
            "observations": seen,
            "actions": actions,
            "next_observations": after.observation,
            "rewards": after.reward if name is None else after.report[name],
            "context_rewards": after.reward * context_scale,
            "terminated": after.terminated,
            "ended": after.terminated | after.truncated,
        }
        if masks is not None and after.mask is not None:
            step |= {"masks": masks, "next_masks": after.mask.astype(np.bool_)}
        return step

    def _update(self, replay: TaskReplay, rng: np.random.Generator) -> dict[str, float]:
        """`gradient_steps` updates of all networks; returns the means of what is logged."""
        config = self.config
        progress = min(1.0, self.num_timesteps / self._total_timesteps)
        rate = _between(config.learning_rate, config.learning_rate_final, progress)
        final = config.kl_coef if config.kl_coef_final is None else config.kl_coef_final
        self._kl_coef = _between(config.kl_coef, final, progress)
        for optimizer in self._optimizers.values():
            for group in optimizer.param_groups:
                group["lr"] = rate
        vectors = self._task_vectors()
        metrics: list[dict[str, Tensor]] = []
        for _ in range(config.gradient_steps):
            tasks = rng.choice(len(replay.trials), min(config.meta_batch, len(replay.trials)), replace=False)
            steps = _tensors(replay.sample(tasks, config.batch_size, rng))
            if config.context_ends:
                context, counts = replay.ends(tasks, config.context_size, rng)
            else:
                context, counts = replay.contexts(tasks, config.context_size, config.shortest_context, rng)
            known = (_tensors(context), torch.from_numpy(counts))
            truth = None if vectors is None else vectors[tasks]
            if self.mixture is None:
                metrics.append(self._gradient_step(steps, *known, truth))
            else:
                hindsight = self._hindsight(replay, tasks, rng)
                metrics.append(self._gradient_step(steps, *hindsight, truth))
                metrics[-1] |= self._mixture_step(self.mixture, *known, *hindsight, rng)
        self._updates += config.gradient_steps
        averaged = {f"train/{k}": float(torch.stack([m[k] for m in metrics]).mean()) for k in metrics[0]}
        return {**averaged, "train/learning_rate": rate, "train/updates": self._updates}

    def _task_vectors(self) -> Tensor | None:
        """(n_tasks, c) the context vectors of the training tasks, if they are to be predicted."""
        if self.predictor is None:
            return None
        vectors = cast(VectorTrial, self.env).distribution.context(self._training_tasks)
        if self.config.task_prediction_loss == "bce":
            check_binary(vectors)
        return torch.from_numpy(vectors)

    def _gradient_step(
        self, steps: dict[str, Tensor], context: dict[str, Tensor], counts: Tensor, truth: Tensor | None = None
    ) -> dict[str, Tensor]:
        """One update of encoder and critics, then of the actor and the entropy's weight, on (b, m, ...) steps."""
        belief = self._infer(context, counts)
        z = self._latent(belief, self._generator)
        rows = {name: x.flatten(0, 1) for name, x in steps.items()}
        told = self._told(z).unsqueeze(1).expand(-1, steps["rewards"].shape[1], -1).flatten(0, 1)
        latent = told[:, : self.config.latent_size]
        x = torch.cat([rows["observations"], told], -1)
        critic_loss, value = self._critic_loss(x, rows, told.detach())
        kl = belief.kl_to_prior().mean()
        decoder_loss = self._decoder_loss(rows, latent.detach())
        loss = critic_loss + self._kl_coef * kl + decoder_loss
        prediction_loss = self._prediction_loss(z, truth)
        if prediction_loss is not None:
            loss = loss + self.config.task_prediction_coef * prediction_loss
        self._apply("critic", loss)
        with _frozen(self.sac.critic):
            actor_loss, entropy, target = self.sac.actor_loss(x.detach(), rows.get("masks"), self._generator)
        self._apply("actor", actor_loss)
        if self.sac.adapts:
            self._apply("ent_coef", self.sac.ent_coef_loss(entropy, target))
        self.sac.update_target(self.config.tau)
        metrics = {
            "critic_loss": critic_loss,
            "actor_loss": actor_loss,
            "kl": kl,
            "reward_error": decoder_loss,
            "value": value,
            "entropy": entropy.mean(),
            "ent_coef": self.sac.ent_coef,
            "belief_std": belief.std.mean(),
        }
        if prediction_loss is not None:
            metrics["task_prediction_loss"] = prediction_loss
        return {name: x.detach() for name, x in metrics.items()}

    def _hindsight(
        self, replay: TaskReplay, tasks: Index, rng: np.random.Generator
    ) -> tuple[dict[str, Tensor], Tensor]:
        """What is known of the tasks (b,) in hindsight: a context (b, m, ...), all of which counts (b, m)."""
        context = _tensors(replay.paid(tasks, self.config.hindsight_steps, rng))
        return context, torch.ones(context["rewards"].shape, dtype=torch.bool)

    def _mixture_step(
        self,
        mixture: MixtureEncoder,
        context: dict[str, Tensor],
        counts: Tensor,
        hindsight: dict[str, Tensor],
        all_count: Tensor,
        rng: np.random.Generator,
    ) -> dict[str, Tensor]:
        """One update of what acting believes after beginnings of contexts (b, w, ...), towards what hindsight believes.

        The share of a context that is a beginning is the square of a uniform number, since beliefs change most early.
        Some beginnings are joined by a few of the steps that hindsight knows, so that what rewards tell is learned even
        while few are found.
        """
        with torch.no_grad():
            believed = self._infer(hindsight, all_count).repeated(BEGINNINGS)
        told = mixture.evidence(self._steps_of(context)[counts])
        told = told.new_zeros(*counts.shape, told.shape[-1]).index_put((counts,), told)
        size, sees = (len(counts), BEGINNINGS), not self.spaces.hide_history
        share = torch.from_numpy(rng.random(size) ** 2)
        seen = mixture.beginnings(told, (share * (counts.sum(1, keepdim=True) + 1)).long() * sees)
        hints = np.where(rng.random(size) < HINTED, rng.integers(1, MOST_HINTS + 1, size), 0)
        hints = torch.from_numpy(np.minimum(hints, all_count.shape[1])) * sees
        seen = mixture.merged(seen, mixture.beginnings(mixture.evidence(self._steps_of(hindsight)), hints))
        loss = -mixture(seen).log_prob(believed.sample(self._generator)).mean()
        self._apply("mixture", loss)
        return {"mixture_loss": loss.detach()}

    def _infer(self, context: dict[str, Tensor], counts: Tensor) -> Belief:
        """The belief (b, L) after contexts (b, w, ...) of which `counts` (b, w) says what is there."""
        if self.spaces.hide_history:
            return Belief.prior(len(counts), self.config.latent_size)
        steps = self._steps_of(context)
        return Belief.prior(len(counts), self.config.latent_size).updated(self.encoder(steps), counts)

    def _steps_of(self, context: dict[str, Tensor]) -> Tensor:
        """The steps of contexts (b, w, ...) as encoders take them, (b, w, i)."""
        ended = context["ended"].unsqueeze(-1)
        following = context["next_observations"]
        if not self.spaces.reports_at_end:
            following = following * (1 - ended)
        played, paid = self._action_vector(context["actions"]), context["context_rewards"].unsqueeze(-1)
        return self._experience(context["observations"], torch.cat([following, played, paid, ended], -1))

    def _critic_loss(self, x: Tensor, rows: dict[str, Tensor], latent: Tensor) -> tuple[Tensor, Tensor]:
        following = torch.cat([rows["next_observations"], latent], -1)
        value = self.sac.soft_value(following, rows.get("next_masks"), self._generator)
        target = self.config.reward_scale * rows["rewards"] + self.config.gamma * (1 - rows["terminated"]) * value
        first, second = self.sac.q_values(x, rows["actions"])
        return 0.5 * ((first - target).square().mean() + (second - target).square().mean()), first.mean()

    def _decoder_loss(self, rows: dict[str, Tensor], latent: Tensor) -> Tensor:
        expected = self._expected_reward(rows["observations"], rows["actions"], latent)
        return (expected - rows["context_rewards"]).square().mean()

    def _expected_reward(self, observations: Tensor, actions: Tensor, latent: Tensor) -> Tensor:
        """(n,) what the decoder expects of actions (n,) or (n, d_a), were the task `latent` (n, L)."""
        played, view = self._action_vector(actions), self.view
        if view is not None:
            played, observations = view.picked(view.listed(observations), played), observations[..., view.end :]
        return self.decoder(torch.cat([observations, played, latent], -1)).squeeze(-1)

    def _prediction_loss(self, z: Tensor, truth: Tensor | None) -> Tensor | None:
        """How far the prediction from z (b, L) is from the context vectors (b, c), where there is one."""
        if self.predictor is None or truth is None:
            return None
        predicted = self.predictor(z)
        if self.config.task_prediction_loss == "bce":
            return nn.functional.binary_cross_entropy_with_logits(predicted, truth)
        return (predicted - truth).square().mean()

    def _apply(self, name: str, loss: Tensor) -> None:
        optimizer = self._optimizers[name]
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()

    # ---------------------------------------------------------------- saving

    @classmethod
    def _from_state(cls, state: dict[str, Any], env: VectorEnv[Any, Any, Any] | None, verbose: int) -> Self:
        config, spaces = PEARLConfig(**state["config"]), PEARLSpaces(**state["spaces"])
        return cls(env, config, seed=state["seed"], verbose=verbose, spaces=spaces)

    def _fixed_state(self) -> dict[str, Any]:
        """Settings, sizes, and while training is not complete the training tasks and all that was played on them."""
        state: dict[str, Any] = {"config": asdict(self.config), "spaces": asdict(self.spaces)}
        if self._stored:
            state |= self._stored
        elif self._tasks is not None and self._replay is not None and not self._is_trained:
            state["tasks"] = torch.from_numpy(self._tasks.matrix().copy())
            state["replay"] = {k: torch.from_numpy(v) for k, v in self._replay.state().items()}
        return state

    def _set_fixed_state(self, state: dict[str, Any]) -> None:
        self._stored = {k: state[k] for k in ("tasks", "replay") if k in state}
        self._use_stored()

    def _use_stored(self) -> None:
        """Take over the tasks and the replay of a checkpoint, as soon as there is an env to make room for."""
        if self._stored and self._tasks is not None and self._replay is not None:
            self._tasks = self._tasks.with_matrix(self._stored["tasks"].numpy())
            self._replay.set_state({k: v.numpy() for k, v in self._stored["replay"].items()})
            self._stored = {}

    def _learner_state(self) -> dict[str, Any]:
        return {
            **{name: network.state_dict() for name, network in self._networks.items()},
            "optimizers": {name: optimizer.state_dict() for name, optimizer in self._optimizers.items()},
            "generator": self._generator.get_state(),
            "updates": self._updates,
        }

    def _set_learner_state(self, state: dict[str, Any]) -> None:
        for name, network in self._networks.items():
            network.load_state_dict(state[name])
        for name, optimizer in self._optimizers.items():
            optimizer.load_state_dict(state["optimizers"][name])
        self._generator.set_state(state["generator"])
        self._updates = state["updates"]

    # ---------------------------------------------------------------- making

    @property
    def _networks(self) -> dict[str, nn.Module]:
        networks: dict[str, nn.Module] = {"sac": self.sac, "encoder": self.encoder, "decoder": self.decoder}
        extra = {"mixture": self.mixture, "predictor": self.predictor}
        return networks | {name: network for name, network in extra.items() if network is not None}

    def _make_networks(self) -> None:
        config, sizes = self.config, self.spaces
        d, k, latent = sizes.observation_size, sizes.action_vector, config.latent_size
        self.view = None if sizes.items is None else ItemView(sizes.items, k)
        seen = d + k if self.view is None else d - self.view.end + self.view.picked_size
        with self._initialising():
            self.sac = self._make_sac(d + latent + sizes.task_size)
            step = d + 1 if config.context_ends else 2 * d + k + 2 if self.view is None else seen + 2
            self.encoder = ContextEncoder(step, config.encoder_sizes, latent)
            self.decoder = nn.Sequential(*create_mlp(seen + latent, 1, list(config.network_sizes)))
            self.mixture = self._make_mixture(step)
            predicts = config.task_prediction_coef > 0
            self.predictor = nn.Linear(latent, sizes.task_size) if predicts else None
        taught: list[nn.Module] = [self.sac.critic, self.encoder, self.decoder]
        taught += [] if self.predictor is None else [self.predictor]
        learned = {
            "critic": [parameter for network in taught for parameter in network.parameters()],
            "actor": [*self.sac.actor.parameters()],
            "ent_coef": [self.sac.log_ent_coef],
        }
        if self.mixture is not None:
            learned["mixture"] = [*self.mixture.parameters()]
        self._optimizers = {k: torch.optim.Adam(v, lr=config.learning_rate, fused=True) for k, v in learned.items()}
        self._updates = 0
        self._kl_coef = config.kl_coef

    def _make_mixture(self, input_size: int) -> MixtureEncoder | None:
        config = self.config
        if not config.mixture:
            return None
        return MixtureEncoder(input_size, config.encoder_sizes, config.latent_size, config.pool_size, config.mixture)

    def _make_sac(self, input_size: int) -> SoftActorCritic:
        config, sizes, wanted = self.config, self.spaces, self.config.target_entropy
        if sizes.n_actions is not None:
            target = DISCRETE_TARGET_ENTROPY if wanted is None else wanted
            network = self._item_network(input_size)
            return DiscreteSoftActorCritic(
                input_size, sizes.n_actions, config.network_sizes, config.ent_coef, target, network
            )
        target = CONTINUOUS_TARGET_ENTROPY if wanted is None else wanted
        return ContinuousSoftActorCritic(input_size, sizes.action_size, config.network_sizes, config.ent_coef, target)

    def _item_network(self, input_size: int) -> Callable[[], ItemNetwork] | None:
        view, config = self.view, self.config
        return view and (lambda: ItemNetwork(view, input_size, config.network_sizes, config.item_size))

    def _prepare(self, env: VectorTrial) -> None:
        """Draw the training tasks and make room for what will be played on them."""
        config, sizes = self.config, self.spaces
        rng = np.random.default_rng([self.seed, TASK_STREAM])
        members = env.distribution.members(env.split)
        few = members is not None and len(members) <= config.n_tasks
        self._tasks = members if few else env.distribution.sample(config.n_tasks, env.split, rng)
        tasks = self._training_tasks
        _check_num_envs(env, tasks)
        if config.teacher is not None:
            self._teacher = find_teacher(env, resolve_spaces(env, None, False), config.teacher, 1)
        d = (sizes.observation_size,)
        fields: dict[str, tuple[tuple[int, ...], Any]] = {
            "observations": (d, np.float32),
            "next_observations": (d, np.float32),
            "actions": ((), np.int64) if sizes.n_actions else ((sizes.action_size,), np.float32),
            **{name: ((), np.float32) for name in ("rewards", "context_rewards", "terminated", "ended")},
        }
        if sizes.n_actions:
            fields |= {name: ((sizes.n_actions,), np.bool_) for name in ("masks", "next_masks")}
        if config.teacher is not None:
            fields["taught"] = ((), np.bool_)
        self._replay = TaskReplay(len(tasks), config.replay_capacity, fields, config.context_trials)

    @property
    def _training_tasks(self) -> TaskBatch:
        assert self._tasks is not None, "prepared with the env"
        return self._tasks

    @property
    def _training_replay(self) -> TaskReplay:
        assert self._replay is not None, "prepared with the env"
        return self._replay

    def _check_new_env(self, env: VectorEnv[Any, Any, Any]) -> None:
        pearl_spaces(env, self.spaces, self.config.task_prediction_coef > 0, self.config.items)
        if self._tasks is None:
            self._prepare(cast(VectorTrial, env))
            self._use_stored()
        _check_num_envs(env, self._training_tasks)


def _between(start: float, end: float, progress: float) -> float:
    return start + (end - start) * progress


def _check_num_envs(env: VectorEnv[Any, Any, Any], tasks: TaskBatch) -> None:
    if env.num_envs > len(tasks):
        raise ValueError(
            f"Expected at most as many sub-environments as there are training tasks ({len(tasks)}), got "
            f"{env.num_envs}. Make the env with a smaller num_envs, or set n_tasks higher."
        )


def _tensors(arrays: dict[str, NDArray[Any]]) -> dict[str, Tensor]:
    return {name: torch.from_numpy(array) for name, array in arrays.items()}


@contextmanager
def _frozen(module: nn.Module) -> Iterator[None]:
    """Let gradients flow through a module without computing those of its weights."""
    module.requires_grad_(False)
    try:
        yield
    finally:
        module.requires_grad_(True)
