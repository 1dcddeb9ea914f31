"""RL²: a recurrent policy that learns within a trial by its memory alone.

Duan, Schulman, Chen, Bartlett, Sutskever and Abbeel 2016, "RL²: Fast Reinforcement Learning via Slow
Reinforcement Learning", https://arxiv.org/abs/1611.02779; the same idea at the same time in Wang et al. 2016,
"Learning to reinforcement learn", https://arxiv.org/abs/1611.05763.

One environment episode is a whole *trial*: several inner episodes of one hidden task, with the previous action,
reward and episode boundary in the observation. The recurrent state is cleared between trials only, so the policy must
keep there whatever it finds out about the task. The weights are trained over many tasks by PPO (Schulman et al. 2017,
https://arxiv.org/abs/1707.06347), where the paper used TRPO, on whole trials: every minibatch is a set of complete
trials, played through the network in one recurrent call from a zero state, with the gradient flowing back through the
entire trial. No hidden state is stored, so none is out of date.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Any, ClassVar

import numpy as np
import torch
from gymnasium.vector import VectorEnv
from numpy.typing import NDArray
from stable_baselines3.common.callbacks import BaseCallback
from torch import Tensor

from metaenv.agents.action_features import set_action_features
from metaenv.agents.base import Agent
from metaenv.agents.belief_learning import BeliefLearner
from metaenv.agents.config import anneal
from metaenv.agents.dims import EnvDims, episode_credit, find_attribute, resolve_dims
from metaenv.agents.imitation import Batch, add_loss_masks, assisted_actions, find_expert
from metaenv.agents.networks import Categorical, Mixed, RecurrentActorCritic, SquashedGaussian
from metaenv.agents.numerics import compressed, explained_variance, gae
from metaenv.agents.rl2_config import RL2Config
from metaenv.agents.rollouts import TrialBuffer
from metaenv.policies import NO_ADVICE

RETURN_SPREAD = 0.1
"""Standard deviation that returns are scaled to by default (chosen; 0.02 to 0.2 learn alike on bandits)."""


class RL2(Agent):
    """Recurrent PPO on whole trials, with the surface of a Stable-Baselines3 algorithm.

    Args:
        env: a vector env whose episodes are trials, with a flat float observation, `AutoresetMode.SAME_STEP`, and
            a discrete action or one in [-1, 1]^d, of which the last coordinates are drawn as choices where it has
            `action_choices`. It may tell features (k, d) of discrete actions as `action_features`. Its `trial_length`
            attribute gives the fixed length of trials; where it is None, trials of different lengths are padded and
            masked. Where it has an `action_masks()` method, (n, k) bool, forbidden actions are never taken. Where its
            episodes all have L steps, pay at their end, and their last observation tells what each step has earned,
            ``earned() -> (n, L)`` tells it of the last episode; each step is then credited with its own. None only for
            an agent that will not learn.
        config: settings.
        seed, verbose, tensorboard_log, dims, device: see `Agent`.

    Raises:
        ValueError: the env's spaces or its autoreset mode are not as above.

    The metrics `rollout/return` and `rollout/trial_length` are means over the trials that the policy played without the
    teacher's help; nan where there were none.

    The state that `predict` passes on is that of `RecurrentActorCritic`: the cell's, and in the last column the steps
    played. Before it stands the memory of the belief, where there is one.
    """

    checkpoint_kind: ClassVar[str] = "metaenv.RL2"
    title: ClassVar[str] = "RL²"
    config_class: ClassVar[type[RL2Config]] = RL2Config
    config: RL2Config

    def _build(self, env: VectorEnv[Any, Any, Any] | None) -> None:
        config, seen = self.config, self.dims
        self.belief = None
        if config.belief is not None:
            self.belief = BeliefLearner(self.dims, config.network, config.belief, self.device)
            seen = replace(seen, observation_size=self._shown_size)
        self.policy = RecurrentActorCritic(seen, config.network, config.task_prediction).to(self.device)
        if env is not None and self.dims.action_features:
            set_action_features(self.policy, find_attribute(env, "action_features"))
        self.optimizer = torch.optim.Adam(self.policy.parameters(), lr=config.learning_rate, eps=1e-5, fused=True)
        self._reward_scale = config.reward_scale
        self._buffer: TrialBuffer | None = None

    # ---------------------------------------------------------------- playing

    def _before_learning(self, env: VectorEnv[Any, Any, Any]) -> None:
        self._buffer = self._make_buffer(env)
        if self.config.teacher is not None:
            self._expert = find_expert(env, self.config.teacher.name, self.config.trials_per_env)

    def _play_and_update(self, env: VectorEnv[Any, Any, Any], callbacks: BaseCallback) -> dict[str, float] | None:
        assert self._buffer is not None, "made before learning"
        batch = self._collect(env, self._buffer, callbacks)
        return None if batch is None else self._update(batch)

    def _collect(self, env: VectorEnv[Any, Any, Any], buffer: TrialBuffer, callbacks: BaseCallback) -> Batch | None:
        """Play `trials_per_env` whole trials in every environment; None if a callback stopped it."""
        buffer.clear()
        # An iteration's tasks depend on the seed and its number alone, so that a resumed training goes on exactly.
        env_seed = np.random.SeedSequence([self.seed, self.iteration]).generate_state(1)[0]
        observations, ends, state = env.reset(seed=int(env_seed))[0], np.zeros(env.num_envs, np.bool_), None
        allowed, task_vector = find_attribute(env, "action_masks"), find_attribute(env, "task_vector")
        earned = find_attribute(env, "earned")
        expert, assistance = self._expert if self._imitation_coef > 0 else None, self._draw_assistance(env.num_envs)
        if expert is not None:
            expert.start(np.random.default_rng([self.seed, self.iteration]))
        while not self._collected(buffer):
            step: Batch = {**assistance}
            if self.dims.task_dim:
                step["task_vectors"] = task_vector()
            masks = np.asarray(allowed(), np.bool_) if allowed is not None and self.dims.n_actions else None
            if self._expert is not None:
                advice = expert.advise(observations, masks) if expert and masks is not None else NO_ADVICE
                step["advice"] = np.broadcast_to(advice, env.num_envs)
            actions, state = self._act(step, observations, masks, state, ends)
            if "assisted" in step:
                # "samples" stay the policy's own, so that probability ratios are finite where they do not count.
                actions = assisted_actions(actions, step["advice"], step["assisted"])
            observations, rewards, terminated, truncated, _ = env.step(actions)
            ends = terminated | truncated
            if expert is not None:
                expert.watch(actions, ends)
            if self.belief is not None:
                step["actions"] = actions
            buffer.add(ends, rewards=rewards, **step)
            if (credit := episode_credit(earned, len(buffer))) is not None:
                buffer.replace("rewards", credit)
            self.num_timesteps += env.num_envs
            callbacks.update_locals(locals())
            if not callbacks.on_step():
                return None
        callbacks.on_rollout_end()
        length = self.dims.trial_length
        batch = buffer.padded_trials(self.config.trials_per_env) if length is None else buffer.fixed_trials(length)
        return {**batch, "values": batch["values"].cpu().numpy()}

    def _draw_assistance(self, n: int) -> dict[str, NDArray[np.bool_]]:
        """The assistance mask "assisted" (n,): in which environments the expert plays in this iteration."""
        teacher = self.config.teacher
        if teacher is None or teacher.rollout_fraction == 0:
            return {}
        fraction = teacher.rollouts(self.num_timesteps, self._total_timesteps)
        return {"assisted": (torch.rand(n, generator=self._generator) < fraction).numpy()}

    @property
    def _imitation_coef(self) -> float:
        """Present weight of -log pi(the expert's action)."""
        teacher = self.config.teacher
        return 0.0 if teacher is None else teacher.imitation(self.num_timesteps, self._total_timesteps)

    def _collected(self, buffer: TrialBuffer) -> bool:
        if self.dims.trial_length is not None:
            return len(buffer) >= self.dims.trial_length * self.config.trials_per_env
        return bool((buffer.finished >= self.config.trials_per_env).all())

    @torch.no_grad()
    def _act(
        self,
        step: Batch,
        observations: NDArray[np.float32],
        masks: NDArray[np.bool_] | None,
        state: Tensor | None,
        ends: NDArray[np.bool_],
    ) -> tuple[NDArray[Any], Tensor]:
        """Sample the actions (n, ...) of one step, and note in `step` what the update needs to know of them."""
        if state is not None and ends.any():
            state = state * torch.from_numpy(~ends).to(self.device).unsqueeze(-1)
        if masks is not None:
            step["masks"] = torch.from_numpy(masks).to(self.device)
        allowed = None if masks is None else step["masks"][None]
        shown = torch.from_numpy(observations).to(self.device)[None]
        seen, dist, values, new_state = self._step(shown, state, allowed)
        step["observations"] = seen[0]
        samples = dist.sample(self._generator)
        step["samples"], step["log_probs"], step["values"] = samples[0], dist.log_prob(samples)[0], values[0]
        return dist.action(samples)[0].cpu().numpy(), new_state

    def _step(
        self, observations: Tensor, state: Tensor | None, masks: Tensor | None
    ) -> tuple[Tensor, Categorical | SquashedGaussian | Mixed, Tensor, Tensor]:
        """What the policy sees of observations (1, N, o), its distribution, the values (1, N) and the new state."""
        if self.belief is None:
            dist, values, _, new_state = self.policy(observations, state, masks)
            return observations, dist, values, new_state
        inferred, remembered = (None, None) if state is None else state.tensor_split([self.belief.model.state_size], -1)
        seen, inferred = self.belief.model.shown(observations, inferred)
        dist, values, _, remembered = self.policy(seen, remembered, masks)
        return seen, dist, values, torch.cat([inferred, remembered], -1)

    def _predict(
        self, observations: Tensor, state: Tensor, masks: Tensor | None, deterministic: bool
    ) -> tuple[Tensor, Tensor]:
        _, dist, _, state = self._step(observations[None], state, None if masks is None else masks[None])
        samples = dist.mode() if deterministic else dist.sample(self._predict_generator)
        return dist.action(samples)[0], state

    @property
    def _state_size(self) -> int:
        return self.policy.state_size + (0 if self.belief is None else self.belief.model.state_size)

    @property
    def _shown_size(self) -> int:
        """Length of what the policy sees: the observation, and mean and log variance of the belief."""
        belief = self.config.belief
        return self.dims.observation_size + (0 if belief is None else 2 * belief.latent_size)

    # ---------------------------------------------------------------- learning

    def _update(self, batch: Batch) -> dict[str, float]:
        """PPO on the batch; returns what is logged."""
        config, progress = self.config, min(1.0, self.num_timesteps / self._total_timesteps)
        learning_rate = anneal(config.learning_rate, config.learning_rate_final, progress)
        ent_coef = anneal(config.ent_coef, config.ent_coef_final, progress)
        gamma = config.gamma if config.gamma_final is None else anneal(config.gamma, config.gamma_final, progress)
        for group in self.optimizer.param_groups:
            group["lr"] = learning_rate
        if self.policy.task_head is not None:
            self.policy.task_head.check(batch["task_vectors"])
        on_policy = add_loss_masks(batch)
        self._add_advantages(batch, on_policy, gamma)
        tensors = {k: torch.as_tensor(x, device=self.device) for k, x in batch.items() if k not in _NOT_TRAINED_ON}
        metrics: list[dict[str, Tensor]] = []
        for trials in self._minibatches(batch["rewards"].shape[1]):
            loss, metric = self._loss({name: x.index_select(1, trials) for name, x in tensors.items()}, ent_coef)
            self.optimizer.zero_grad()
            loss.backward()
            torch.nn.utils.clip_grad_norm_(self.policy.parameters(), config.max_grad_norm)
            self.optimizer.step()
            metrics.append(metric)
        inferred = {} if self.belief is None else self.belief.update(batch, self._generator)
        return {
            **_trial_metrics(batch, on_policy),
            **inferred,
            **{f"train/{name}": float(torch.stack([m[name] for m in metrics]).mean()) for name in metrics[0]},
            "train/learning_rate": learning_rate,
        }

    def _add_advantages(self, batch: Batch, on_policy: NDArray[np.bool_], gamma: float) -> None:
        """Add "advantages" and "returns" (T, trials) to the batch, in scaled, perhaps compressed rewards.

        The end of the trial is the only terminal. Inner episodes end inside of it, but what was learnt in one
        earns rewards in the next, so neither discounting nor credit stops there (RL², section 2.2). Padding is
        zero in rewards and values, so a trial's last step is followed by nothing, as it should be.
        """
        config, rewards = self.config, batch["rewards"]
        if config.compress_rewards is not None:
            rewards = compressed(rewards, config.compress_rewards)
        nothing = np.zeros(rewards.shape[1], np.float32)
        goes_on = np.zeros_like(rewards, np.bool_)
        scale = self._fix_reward_scale(rewards, on_policy)
        batch["advantages"], batch["returns"] = gae(
            rewards * np.float32(scale), batch["values"], goes_on, nothing, gamma, config.gae_lambda
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
        for _ in range(self.config.n_epochs):
            order = torch.randperm(trials, generator=self._generator).to(self.device)
            yield from order.tensor_split(min(self.config.n_minibatches, trials))

    def _loss(self, batch: dict[str, Tensor], ent_coef: float) -> tuple[Tensor, dict[str, Tensor]]:
        """PPO's clipped objective (its equation 9, without clipping the value), averaged over the steps played."""
        dist, values, features, _ = self.policy(batch["observations"], masks=batch.get("masks"), keep_state=False)
        average = _average_over(batch.get("on_policy", batch.get("valid")))
        log_ratio = dist.log_prob(batch["samples"]) - batch["log_probs"]
        ratio, advantages = log_ratio.exp(), batch["advantages"]
        clip = self.config.clip_range
        clipped = ratio.clamp(1 - clip, 1 + clip)
        policy_loss = -average(torch.minimum(ratio * advantages, clipped * advantages))
        value_loss = average((values - batch["returns"]).square())
        entropy = average(dist.entropy())
        loss = policy_loss + self.config.vf_coef * value_loss - ent_coef * entropy
        metrics = {"policy_loss": policy_loss, "value_loss": value_loss, "entropy": entropy}
        for name, (weight, extra) in self._auxiliary_losses(batch, dist, features).items():
            loss, metrics[name] = loss + weight * extra, extra
        metrics["approx_kl"] = average(ratio - 1 - log_ratio)
        metrics["clip_fraction"] = average((ratio != clipped).float())
        return loss, {name: value.detach() for name, value in metrics.items()}

    def _auxiliary_losses(
        self, batch: dict[str, Tensor], dist: Categorical | SquashedGaussian | Mixed, features: Tensor
    ) -> dict[str, tuple[float, Tensor]]:
        """Weights and values of the losses beyond PPO's: prediction of the task, imitation of the expert."""
        losses: dict[str, tuple[float, Tensor]] = {}
        if self.config.task_prediction is not None and self.policy.task_head is not None:
            error = self.policy.task_head.error(features, batch["task_vectors"])
            losses["task_prediction_loss"] = self.config.task_prediction.coef, _average_over(batch.get("valid"))(error)
        if "advice" in batch and self._imitation_coef > 0:
            average = _average_over(batch.get("imitated", batch.get("valid")))
            losses["imitation_loss"] = self._imitation_coef, -average(dist.log_prob(batch["advice"].clamp(min=0)))
        return losses

    # ---------------------------------------------------------------- making and saving

    def _make_buffer(self, env: VectorEnv[Any, Any, Any]) -> TrialBuffer:
        dims, teacher = self.dims, self.config.teacher
        fields: dict[str, tuple[tuple[int, ...], Any]] = {
            "observations": ((self._shown_size,), torch.float32),
            "samples": ((), torch.int64) if dims.n_actions else ((dims.action_size,), torch.float32),
            **{name: ((), torch.float32) for name in ("log_probs", "values")},
            "rewards": ((), np.float32),
        }
        if self.belief is not None:
            fields["actions"] = ((), np.int64) if dims.n_actions else ((dims.action_size,), np.float32)
        if dims.n_actions and find_attribute(env, "action_masks") is not None:
            fields["masks"] = ((dims.n_actions,), torch.bool)
        if teacher is not None:
            fields["advice"] = ((), np.int64)
        if teacher is not None and teacher.rollout_fraction > 0:
            fields["assisted"] = ((), np.bool_)
        if dims.task_dim:
            fields["task_vectors"] = ((dims.task_dim,), np.float32)
        return TrialBuffer((dims.trial_length or 1) * self.config.trials_per_env, env.num_envs, fields, self.device)

    def _resolve_dims(self, env: VectorEnv[Any, Any, Any] | None, expected: EnvDims | None) -> EnvDims:
        config = self.config
        return resolve_dims(
            env,
            expected,
            predicts_task=config.task_prediction is not None,
            entities=config.network.entities,
            action_features=config.network.action_features,
            episodes=config.belief is not None,
        )

    def _learner_state(self) -> dict[str, Any]:
        return {
            "policy": self.policy.state_dict(),
            "optimizer": self.optimizer.state_dict(),
            "reward_scale": self._reward_scale,
            "generator": self._generator.get_state(),
            **({} if self.belief is None else {"belief": self.belief.state_dict()}),
        }

    def _set_learner_state(self, state: dict[str, Any]) -> None:
        self.policy.load_state_dict(state["policy"])
        self.optimizer.load_state_dict(state["optimizer"])
        self._reward_scale = state["reward_scale"]
        self._generator.set_state(state["generator"])
        if self.belief is not None:
            self.belief.load_state_dict(state["belief"])


_NOT_TRAINED_ON = ("rewards", "values", "assisted", "actions")


def _trial_metrics(batch: Batch, on_policy: NDArray[np.bool_]) -> dict[str, float]:
    """Metrics over unassisted trials; nan where there are none."""
    names = ("rollout/return", "rollout/trial_length", "train/explained_variance")
    metrics: dict[str, float] = dict.fromkeys(names, math.nan)
    unassisted = on_policy[0]  # every trial has a first step
    if unassisted.any():
        metrics["train/explained_variance"] = explained_variance(
            batch["values"][on_policy], batch["returns"][on_policy]
        )
        metrics["rollout/return"] = float(batch["rewards"][:, unassisted].sum(0).mean())
        metrics["rollout/trial_length"] = float(on_policy[:, unassisted].sum(0).mean())
    return metrics


def _average_over(mask: Tensor | None) -> Callable[[Tensor], Tensor]:
    """Mean over the steps in the mask (T, trials), or over all of them."""
    if mask is None:
        return torch.mean
    weights = mask / mask.sum().clamp(min=1)
    return lambda x: (x * weights).sum()
