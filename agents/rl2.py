"""RL²: a recurrent policy whose memory does the learning.

Duan, Schulman, Chen, Bartlett, Sutskever and Abbeel 2016, "RL²: Fast Reinforcement Learning via Slow
Reinforcement Learning", https://arxiv.org/abs/1611.02779; the same idea at the same time in Wang et al. 2016,
"Learning to reinforcement learn", https://arxiv.org/abs/1611.05763.

One environment episode is a whole *trial*: several inner episodes of one hidden task, with the previous action,
reward and episode boundary in the observation. The recurrent state is cleared between trials only, so whatever
the policy finds out about the task it must keep there. The weights are trained over many tasks by PPO (Schulman
et al. 2017, https://arxiv.org/abs/1707.06347), where the paper used TRPO, on whole trials: every minibatch is a
set of complete trials, played through the network in one recurrent call from a zero state, with the gradient
flowing back through the entire trial. No hidden state is stored and none goes stale.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from dataclasses import asdict
from typing import Any, ClassVar, Self

import numpy as np
import torch
from gymnasium.vector import VectorEnv
from numpy.typing import NDArray
from stable_baselines3.common.callbacks import BaseCallback
from torch import Tensor

from metaenv.agents.base import Agent
from metaenv.agents.imitation import Teacher, faded, find_teacher, note_what_counts, played
from metaenv.agents.networks import Categorical, RecurrentActorCritic, SquashedGaussian
from metaenv.agents.numerics import explained_variance, gae
from metaenv.agents.rl2_config import RL2Config, check_settings
from metaenv.agents.rollouts import TrialBuffer
from metaenv.agents.trial_spaces import TrialSpaces, check_binary, find_attribute, resolve_spaces
from metaenv.policies import NO_ADVICE
from metaenv.runs.allocator import keep_freed_memory

MAX_LOG_STD_ROWS = 32
"""Stages of a long trial that get an exploration noise of their own by default (chosen)."""

RETURN_SPREAD = 0.1
"""Standard deviation that returns are scaled to by default (chosen; 0.02 to 0.2 learn alike on bandits)."""


class RL2(Agent):
    """Recurrent PPO on whole trials, with the surface of a Stable-Baselines3 algorithm.

    Args:
        env: a vector env whose episodes are trials, with a flat float observation, `AutoresetMode.SAME_STEP`, and
            a discrete action or one in [-1, 1]^d. Its `trial_length` attribute gives the fixed length of trials;
            None or missing, trials of different lengths are padded and masked. Where it has an `action_masks()`
            method, (n, k) bool, forbidden actions are never taken. None only for an agent that will not learn.
        config: settings.
        seed: of weights, actions, minibatches and tasks; None draws one.
        verbose: 1 prints the log to the terminal.
        tensorboard_log: folder for TensorBoard.
        trial_spaces: sizes of the environment, where there is no `env`; with one, they must agree.

    Raises:
        ValueError: the env's spaces or its autoreset mode are not as above, or settings contradict each other.

    What it logs of trials, `rollout/return` and the like, is of those that the policy played without help: not by the
    teacher, and not with the task revealed. nan where there were none.

    The state that `predict` passes on is that of `RecurrentActorCritic`: the memory's, and in the last column the steps
    played.
    """

    checkpoint_kind: ClassVar[str] = "metaenv.RL2"
    title: ClassVar[str] = "RL²"
    config_class: ClassVar[type[RL2Config]] = RL2Config

    def __init__(
        self,
        env: VectorEnv[Any, Any, Any] | None,
        config: RL2Config | None = None,
        *,
        seed: int | None = None,
        verbose: int = 0,
        tensorboard_log: str | None = None,
        trial_spaces: TrialSpaces | None = None,
    ) -> None:
        self.config = config or RL2Config()
        check_settings(self.config)
        super().__init__(env, seed, verbose, tensorboard_log, self.config.torch_threads)
        self.spaces = resolve_spaces(env, trial_spaces, self.config.task_prediction_coef > 0, self.config.items)
        self.policy = self._make_network()
        self.optimizer = torch.optim.Adam(self.policy.parameters(), lr=self.config.learning_rate, eps=1e-5, fused=True)
        self._reward_scale = self.config.reward_scale
        self._generator = torch.Generator().manual_seed(self.seed)
        self._observations: NDArray[np.float32] | None = None
        self._buffer: TrialBuffer | None = None
        self._teacher: Teacher | None = None

    # ---------------------------------------------------------------- learning

    def _before_learning(self, env: VectorEnv[Any, Any, Any]) -> None:
        self._observations = None
        self._buffer = self._make_buffer(env)
        if self.config.teacher is not None:
            self._teacher = find_teacher(env, self.spaces, self.config.teacher, self.config.trials_per_env)
        if self.config.keep_freed_memory:
            keep_freed_memory()

    def _play_and_update(self, env: VectorEnv[Any, Any, Any], callbacks: BaseCallback) -> dict[str, float] | None:
        assert self._buffer is not None, "made before learning"
        batch = self._collect(env, self._buffer, callbacks)
        return None if batch is None else self._update(batch)

    def _collect(
        self, env: VectorEnv[Any, Any, Any], buffer: TrialBuffer, callbacks: BaseCallback
    ) -> dict[str, NDArray[Any]] | None:
        """Play `trials_per_env` whole trials in every environment; None if a callback stopped it."""
        callbacks.on_rollout_start()
        buffer.clear()
        allowed, context = find_attribute(env, "action_masks"), find_attribute(env, "task_vector")
        observations, ends, state = self._first_observations(env), np.zeros(env.num_envs, np.bool_), None
        teacher, lots = self._teacher if self._teacher_coef > 0 else None, self._draw_lots(env.num_envs)
        if teacher is not None:
            teacher.start(np.random.default_rng([self.seed, self.iteration]))
        while not self._collected(buffer):
            step: dict[str, NDArray[Any]] = {"observations": observations, **lots}
            if self.spaces.context_size:
                step["contexts"] = context()
            if allowed is not None and self.spaces.n_actions:
                step["masks"] = np.asarray(allowed(), np.bool_)
            if self._teacher is not None:
                advice = teacher.advise(observations, step["masks"]) if teacher else NO_ADVICE
                step["taught"] = np.broadcast_to(advice, env.num_envs)
            choices, state = self._act(step, state, ends)
            actions = played(choices, step)
            observations, rewards, terminated, truncated, _ = env.step(actions)
            ends = terminated | truncated
            if teacher is not None:
                teacher.watch(actions, ends)
            buffer.add(ends, rewards=rewards, **step)
            self.num_timesteps += env.num_envs
            callbacks.update_locals(locals())
            if not callbacks.on_step():
                return None
        self._observations = observations
        callbacks.on_rollout_end()
        if self.spaces.trial_length is None:
            return buffer.padded_trials(self.config.trials_per_env)
        return buffer.fixed_trials(self.spaces.trial_length)

    def _draw_lots(self, n: int) -> dict[str, NDArray[np.bool_]]:
        """Which of the n environments get which help in this iteration, (n,) each."""
        lots: dict[str, NDArray[np.bool_]] = {}
        if self.config.teacher_acts > 0:
            lots["played_by_teacher"] = self._draw(self._fade(self.config.teacher_acts, self.config.teacher_share), n)
        if self.config.reveal_share > 0:
            lots["revealed"] = self._draw(self._fade(self.config.reveal_share, self.config.reveal_until), n)
        return lots

    def _draw(self, share: float, n: int) -> NDArray[np.bool_]:
        return (torch.rand(n, generator=self._generator) < share).numpy()

    def _fade(self, start: float, share: float) -> float:
        """`start`, falling linearly to 0 in that share of the training."""
        return faded(start, self.num_timesteps, self._total_timesteps * share)

    @torch.no_grad()
    def _act(
        self, step: dict[str, NDArray[Any]], state: Tensor | None, ends: NDArray[np.bool_]
    ) -> tuple[NDArray[Any], Tensor]:
        """Sample the actions (n, ...) of one step, and note in `step` what the update needs to know of them."""
        if state is not None and ends.any():
            state = state * torch.from_numpy(~ends).unsqueeze(-1)
        inputs = {name: torch.from_numpy(step[name])[None] for name in _OPTIONAL_INPUTS if name in step}
        law, values, _, new_state = self.policy(torch.from_numpy(step["observations"])[None], state, **inputs)
        samples = law.sample(self._generator)
        step["samples"], step["log_probs"] = samples[0].numpy(), law.log_prob(samples)[0].numpy()
        step["values"] = values[0].numpy()
        return law.action(samples)[0].numpy(), new_state

    def _update(self, batch: dict[str, NDArray[Any]]) -> dict[str, float]:
        """PPO on the batch; returns what is logged."""
        config, remaining = self.config, max(0.0, 1 - self.num_timesteps / self._total_timesteps)
        learning_rate = _anneal(config.learning_rate, config.learning_rate_final, remaining)
        ent_coef = _anneal(config.ent_coef, config.entropy_coef_final, remaining)
        for group in self.optimizer.param_groups:
            group["lr"] = learning_rate
        if config.task_prediction_loss == "bce" and "contexts" in batch:
            check_binary(batch["contexts"])
        on_policy = note_what_counts(batch)
        self._add_advantages(batch, on_policy)
        tensors = {name: torch.from_numpy(array) for name, array in batch.items() if name not in _NOT_TRAINED_ON}
        metrics: list[dict[str, Tensor]] = []
        for trials in self._minibatches(batch["rewards"].shape[1]):
            loss, metric = self._loss({name: x[:, trials] for name, x in tensors.items()}, ent_coef)
            self.optimizer.zero_grad()
            loss.backward()
            torch.nn.utils.clip_grad_norm_(self.policy.parameters(), config.max_grad_norm)
            self.optimizer.step()
            metrics.append(metric)
        return {
            **_trial_metrics(batch, on_policy),
            **{f"train/{name}": float(torch.stack([m[name] for m in metrics]).mean()) for name in metrics[0]},
            "train/learning_rate": learning_rate,
        }

    def _add_advantages(self, batch: dict[str, NDArray[Any]], on_policy: NDArray[np.bool_]) -> None:
        """Add "advantages" and "returns" (T, trials) to the batch, in scaled rewards.

        The end of the trial is the only terminal. Inner episodes end inside of it, but what was learnt in one
        earns rewards in the next, so neither discounting nor credit stops there (RL², section 2.2). Padding is
        zero in rewards and values, so a trial's last step is followed by nothing, as it should be.
        """
        config, rewards = self.config, batch["rewards"]
        nothing = np.zeros(rewards.shape[1], np.float32)
        goes_on = np.zeros_like(rewards, np.bool_)
        scale = self._fix_reward_scale(rewards, on_policy)
        batch["advantages"], batch["returns"] = gae(
            rewards * np.float32(scale), batch["values"], goes_on, nothing, config.gamma, config.gae_lambda
        )
        if config.normalize_advantage and on_policy.any():
            kept = batch["advantages"][on_policy]
            batch["advantages"] = (batch["advantages"] - kept.mean()) / (kept.std() + np.float32(1e-8))

    def _fix_reward_scale(self, rewards: NDArray[np.float32], on_policy: NDArray[np.bool_]) -> float:
        if self._reward_scale is None:
            nothing = np.zeros_like(rewards)
            returns = gae(rewards, nothing, nothing.astype(np.bool_), nothing[0], self.config.gamma, 1.0)[1]
            spread = float(returns[on_policy].std()) if on_policy.any() else 0.0
            if spread == 0.0:
                return 1.0
            self._reward_scale = RETURN_SPREAD / spread
        return self._reward_scale

    def _minibatches(self, trials: int) -> Iterator[Tensor]:
        for _ in range(self.config.epochs):
            order = torch.randperm(trials, generator=self._generator)
            yield from order.tensor_split(min(self.config.minibatches, trials))

    def _loss(self, batch: dict[str, Tensor], ent_coef: float) -> tuple[Tensor, dict[str, Tensor]]:
        """PPO's clipped objective (its equation 9, without clipping the value), averaged over the steps played."""
        inputs = {name: batch[name] for name in _OPTIONAL_INPUTS if name in batch}
        law, values, features, _ = self.policy(batch["observations"], keep_state=False, **inputs)
        average = _average_over(batch.get("on_policy", batch.get("valid")))
        log_ratio = law.log_prob(batch["samples"]) - batch["log_probs"]
        ratio, advantages = log_ratio.exp(), batch["advantages"]
        clip = self.config.clip_range
        clipped = ratio.clamp(1 - clip, 1 + clip)
        policy_loss = -average(torch.minimum(ratio * advantages, clipped * advantages))
        value_loss = average((values - batch["returns"]).square())
        entropy = average(law.entropy())
        loss = policy_loss + self.config.vf_coef * value_loss - ent_coef * entropy
        metrics = {"policy_loss": policy_loss, "value_loss": value_loss, "entropy": entropy}
        for name, (weight, extra) in self._lesson_losses(batch, law, features).items():
            loss, metrics[name] = loss + weight * extra, extra
        metrics["approx_kl"] = average(ratio - 1 - log_ratio)
        metrics["clip_fraction"] = average((ratio != clipped).float())
        return loss, {name: value.detach() for name, value in metrics.items()}

    def _lesson_losses(
        self, batch: dict[str, Tensor], law: Categorical | SquashedGaussian, features: Tensor
    ) -> dict[str, tuple[float, Tensor]]:
        """Weights and values of the losses beyond PPO's."""
        losses: dict[str, tuple[float, Tensor]] = {}
        if self.policy.context_head is not None:
            average = _average_over(batch.get("valid"))
            error = self.policy.context_error(features, batch["contexts"])
            losses["task_prediction_loss"] = self.config.task_prediction_coef, average(error)
        if "taught" in batch and self._teacher_coef > 0:
            average = _average_over(batch.get("advised", batch.get("valid")))
            losses["teacher_loss"] = self._teacher_coef, -average(law.log_prob(batch["taught"].clamp(min=0)))
        return losses

    # ---------------------------------------------------------------- acting

    @property
    def _state_size(self) -> int:
        return self.policy.state_size

    def _predict(
        self, observations: Tensor, state: Tensor, masks: Tensor | None, deterministic: bool
    ) -> tuple[Tensor, Tensor]:
        law, _, _, state = self.policy(observations[None], state, None if masks is None else masks[None])
        samples = law.mode() if deterministic else law.sample(self._predict_generator)
        return law.action(samples)[0], state

    # ---------------------------------------------------------------- saving

    @classmethod
    def _from_state(cls, state: dict[str, Any], env: VectorEnv[Any, Any, Any] | None, verbose: int) -> Self:
        config, trial_spaces = RL2Config(**state["config"]), TrialSpaces(**state["spaces"])
        return cls(env, config, seed=state["seed"], verbose=verbose, trial_spaces=trial_spaces)

    def _fixed_state(self) -> dict[str, Any]:
        return {"config": asdict(self.config), "spaces": asdict(self.spaces)}

    def _learner_state(self) -> dict[str, Any]:
        return {
            "policy": self.policy.state_dict(),
            "optimizer": self.optimizer.state_dict(),
            "reward_scale": self._reward_scale,
            "generator": self._generator.get_state(),
        }

    def _set_learner_state(self, state: dict[str, Any]) -> None:
        self.policy.load_state_dict(state["policy"])
        self.optimizer.load_state_dict(state["optimizer"])
        self._reward_scale = state["reward_scale"]
        self._generator.set_state(state["generator"])

    def _check_new_env(self, env: VectorEnv[Any, Any, Any]) -> None:
        resolve_spaces(env, self.spaces, self.config.task_prediction_coef > 0, self.config.items)

    # ---------------------------------------------------------------- making

    def _make_network(self) -> RecurrentActorCritic:
        config, rows = self.config, self.config.log_std_rows
        if rows is None:
            rows = min(self.spaces.trial_length or 1, MAX_LOG_STD_ROWS)
        with self._initialising():
            return RecurrentActorCritic(
                self.spaces,
                config.embedding_sizes,
                config.hidden_size,
                config.head_sizes,
                config.cell,
                config.shared,
                config.skip,
                config.memory,
                rows,
                config.log_std_init,
                config.belief,
                config.task_prediction_loss == "bce",
                config.item_size,
                config.half_precision,
            )

    @property
    def _teacher_coef(self) -> float:
        """Weight of the teacher's lesson now."""
        config = self.config
        return 0.0 if config.teacher is None else self._fade(config.teacher_coef, config.teacher_share)

    def _make_buffer(self, env: VectorEnv[Any, Any, Any]) -> TrialBuffer:
        sizes, n_actions = self.spaces, self.spaces.n_actions
        layout: dict[str, tuple[tuple[int, ...], Any]] = {
            "observations": ((sizes.observation_size,), np.float32),
            "samples": ((), np.int64) if n_actions else ((sizes.action_size,), np.float32),
            **{name: ((), np.float32) for name in ("log_probs", "values", "rewards")},
        }
        if n_actions and find_attribute(env, "action_masks") is not None:
            layout["masks"] = ((n_actions,), np.bool_)
        if self.config.teacher is not None:
            layout["taught"] = ((), np.int64)
        if self.config.teacher_acts > 0:
            layout["played_by_teacher"] = ((), np.bool_)
        if self.config.reveal_share > 0:
            layout["revealed"] = ((), np.bool_)
        if sizes.context_size:
            layout["contexts"] = ((sizes.context_size,), np.float32)
        return TrialBuffer((sizes.trial_length or 1) * self.config.trials_per_env, env.num_envs, layout)

    def _collected(self, buffer: TrialBuffer) -> bool:
        if self.spaces.trial_length is not None:
            return len(buffer) >= self.spaces.trial_length * self.config.trials_per_env
        return bool((buffer.finished >= self.config.trials_per_env).all())

    def _first_observations(self, env: VectorEnv[Any, Any, Any]) -> NDArray[np.float32]:
        if self.config.reseed_each_iteration:
            sequence = np.random.SeedSequence([self.seed, self.iteration])
            return env.reset(seed=int(sequence.generate_state(1)[0]))[0]
        if self._observations is None:
            return env.reset(seed=self.seed)[0]
        return self._observations if self.spaces.trial_length is not None else env.reset()[0]


_OPTIONAL_INPUTS = ("masks", "contexts", "revealed")
_NOT_TRAINED_ON = ("rewards", "values", "played_by_teacher")


def _trial_metrics(batch: dict[str, NDArray[Any]], on_policy: NDArray[np.bool_]) -> dict[str, float]:
    """How the trials went that the policy played without help; nan if there are none."""
    names = ("rollout/return", "rollout/trial_length", "train/explained_variance")
    metrics: dict[str, float] = dict.fromkeys(names, math.nan)
    if on_policy.any():
        metrics["train/explained_variance"] = explained_variance(
            batch["values"][on_policy], batch["returns"][on_policy]
        )
    unaided = on_policy[0]  # every trial has a first step
    if "revealed" in batch:
        unaided = unaided & ~batch["revealed"][0]
    if unaided.any():
        metrics["rollout/return"] = float(batch["rewards"][:, unaided].sum(0).mean())
        metrics["rollout/trial_length"] = float(on_policy[:, unaided].sum(0).mean())
    return metrics


def _average_over(valid: Tensor | None) -> Callable[[Tensor], Tensor]:
    """Mean over the steps that were played, not over padding."""
    if valid is None:
        return torch.mean
    weights = valid / valid.sum().clamp(min=1)
    return lambda x: (x * weights).sum()


def _anneal(start: float, end: float, remaining: float) -> float:
    return end + (start - end) * remaining
