"""PEARL: an off-policy agent that infers the hidden task and acts on what it believes.

Rakelly, Zhou, Quillen, Finn and Levine 2019, "Efficient Off-Policy Meta-Reinforcement Learning via Probabilistic
Context Variables", https://arxiv.org/abs/1903.08254. A context encoder turns the steps seen of a task into a Gaussian
belief over a latent vector z; actor and critics of soft actor-critic (`metaenv.agents.soft_actor_critic`) see z beside
the observation. Acting is posterior sampling: z is drawn from the belief at the start of each episode and kept to its
end. Here actions may be discrete and masked as well as continuous.

Losses of one gradient step over b tasks with m steps each (all tasks in one batched computation):

* critics: 0.5 * sum over the two critics of the mean over b * m steps of (Q(s, a, z) - target)^2;
* encoder: that loss plus ``kl_coef`` * mean over the b tasks of KL(q(z | context) || N(0, I)), summed over z's
  coordinates. The paper's code *sums* the KL over tasks (its 0.1 at 16 tasks is 1.6 here) and multiplies rewards;
* actor, entropy weight and reward decoder: means over b * m steps, with z detached. With ``reward_coef`` the encoder
  learns from the decoder, too.

What differs from the paper's code: there is no separate value network; the belief includes the prior; contexts are
beginnings of a task's latest trials, as a policy meets them, with the boundary flag. Other strategies than the paper's
are in `metaenv.agents.context` and `metaenv.agents.belief`.
"""

from __future__ import annotations

from typing import Any, ClassVar, cast

import numpy as np
import torch
from gymnasium.vector import VectorEnv
from numpy.typing import NDArray
from stable_baselines3.common.callbacks import BaseCallback
from torch import Tensor, nn

from metaenv.agents.action_features import set_action_features
from metaenv.agents.base import Agent
from metaenv.agents.belief import GaussianBelief, MixtureBelief, PooledBelief, TaskBelief
from metaenv.agents.config import anneal
from metaenv.agents.context import Context, make_sampler
from metaenv.agents.dims import EnvDims, episode_credit, find_attribute, resolve_dims
from metaenv.agents.entities import EntityLayout
from metaenv.agents.imitation import assisted_actions, find_expert
from metaenv.agents.numerics import frozen
from metaenv.agents.pearl_config import PEARLConfig
from metaenv.agents.replay import TaskReplay
from metaenv.agents.reward_decoder import RewardDecoder
from metaenv.agents.soft_actor_critic import make_soft_actor_critic
from metaenv.agents.task_prediction import TaskHead
from metaenv.agents.training_tasks import TrainingTasks, replay_row
from metaenv.tasks import TaskBatch
from metaenv.trial import Transition, VectorTrial

TASK_STREAM, PLAY_STREAM, BATCH_STREAM = 0, 1, 2
"""Random streams grown from the seed: of the training tasks, of play, of batches."""


class PEARL(Agent):
    """Probabilistic embeddings for actor-critic RL, with the surface of a Stable-Baselines3 algorithm.

    Args:
        env: a `VectorTrial` in autoreset mode SAME_STEP, of a discrete action or one in [-1, 1]^d. In each iteration
            each of its rows plays one trial of a training task. Where it has ``earned()``, as `metaenv.agents.rl2.RL2`
            explains, critics learn from what each step has earned, and contexts hold what was paid, when it was paid.
            None only for an agent that will not learn.
        config: settings.
        seed, verbose, tensorboard_log, dims, device: see `Agent`.

    Raises:
        ValueError: env is not a `VectorTrial`, or its sizes, its spaces or the settings do not fit.

    The state (n, d + E + L + 2) that `predict` passes on: last observation, the evidence of the belief
    (`metaenv.agents.belief`), z, episodes finished, and steps of the present episode plus one.
    """

    checkpoint_kind: ClassVar[str] = "metaenv.PEARL"
    title: ClassVar[str] = "PEARL"
    config_class: ClassVar[type[PEARLConfig]] = PEARLConfig
    default_num_envs: ClassVar[int] = 20
    config: PEARLConfig

    def _build(self, env: VectorEnv[Any, Any, Any] | None) -> None:
        self._make_networks()
        self._training: TrainingTasks | None = None
        self._stored: dict[str, Any] = {}
        self._played: list[Any] = []
        if env is not None:
            if self.dims.action_features:
                set_action_features(self.sac, find_attribute(env, "action_features"))
            self._prepare(cast(VectorTrial, env))

    # ---------------------------------------------------------------- acting

    def _predict(
        self, observations: Tensor, state: Tensor, masks: Tensor | None, deterministic: bool
    ) -> tuple[Tensor, Tensor]:
        return self._act(observations, state, masks, self._predict_generator, deterministic, training=False)

    @torch.no_grad()
    def _act(
        self,
        observations: Tensor,
        state: Tensor,
        masks: Tensor | None,
        generator: torch.Generator,
        deterministic: bool,
        training: bool,
    ) -> tuple[Tensor, Tensor]:
        """Update the belief, draw z where it is due, and act: actions (n, ...) and the next state."""
        d, latent_size = self.dims.episode_size, self.config.belief.latent_size
        last, evidence, z, episodes, age = state.split([d, self.belief.evidence_size, latent_size, 1, 1], -1)
        started = age > 0
        step, counts, ended = self._contexts.observed(last, observations)
        evidence, belief = self.belief.updated(evidence, step, started[:, 0] & counts)
        ended = started & ended.unsqueeze(-1)
        episodes, age = episodes + ended, torch.where(ended, 0.0, age)
        prior = self.belief.latent(self.belief.prior(len(z)), generator)
        posterior = self.belief.latent(belief, generator)
        drawn = self.config.exploration.choose(episodes, prior, posterior, training)
        z = torch.where(self.config.exploration.is_due(age), drawn, z)
        current = observations[:, :d]
        actions = self.sac.act(torch.cat([current, self._policy_input(z)], -1), masks, generator, deterministic)
        return actions, torch.cat([current, evidence, z, episodes, age + 1], -1)

    def _policy_input(self, z: Tensor) -> Tensor:
        """What actor and critics see beside the observation: z (..., L), with the task vector predicted from it, if
        any."""
        prediction = self.config.task_prediction
        if self.task_head is None or prediction is None or not prediction.feed_to_policy:
            return z
        return torch.cat([z, self.task_head.predict(z)], -1)

    @property
    def _state_size(self) -> int:
        return self.dims.episode_size + self.belief.evidence_size + self.config.belief.latent_size + 2

    @torch.no_grad()
    def posterior(self, context: NDArray[np.float32]) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        """What the agent believes of the hidden task after a context.

        Args:
            context: (t + 1, n, o) or (t + 1, o) the trial's observations from the one that `reset` returned on. After
                one observation alone the belief is the prior.

        Returns:
            Mean and standard deviation of the latent task, each (n, L) or (L,); of the whole mixture, if it is one.
        """
        observations = torch.as_tensor(np.asarray(context, np.float32)).to(self.device)
        single = observations.ndim == 2
        if single:
            observations = observations.unsqueeze(1)
        if observations.ndim != 3 or observations.shape[-1] != self.dims.observation_size:
            raise ValueError(
                f"Expected a context of shape (t + 1, n, {self.dims.observation_size}), the trial's observations from "
                f"the reset on; got {np.shape(context)}."
            )
        belief = self.belief.prior(observations.shape[1])
        if len(observations) > 1:
            before = observations[:-1, :, : self.dims.episode_size]
            steps, counts, _ = self._contexts.observed(before, observations[1:])
            belief = self.belief.after(Context(steps.transpose(0, 1), counts.T))
        mean, std = belief.mean.cpu().numpy(), belief.std.cpu().numpy()
        return (mean[0], std[0]) if single else (mean, std)

    @torch.no_grad()
    def predict_reward(
        self, observation: NDArray[np.float32], action: NDArray[Any], latent: NDArray[np.float32]
    ) -> NDArray[np.float32]:
        """The reward that the agent expects if the hidden task is `latent`.

        Args:
            observation: (n, d) of the episode.
            action: (n,) or (n, d_a).
            latent: (n, L) or (L,).

        Returns:
            (n,) expected rewards of the step, as the trial's observation shows them (by default as they are paid).
        """
        seen = torch.as_tensor(np.atleast_2d(observation), dtype=torch.float32).to(self.device)
        z = torch.as_tensor(latent, dtype=torch.float32).to(self.device).expand(len(seen), -1)
        expected = self.decoder(seen, torch.as_tensor(np.asarray(action)).to(self.device), z)
        return self.decoder.rewards(expected).cpu().numpy()

    # ---------------------------------------------------------------- playing

    def _before_learning(self, env: VectorEnv[Any, Any, Any]) -> None:
        cast(VectorTrial, env).keep_transition = True

    def _play_and_update(self, env: VectorEnv[Any, Any, Any], callbacks: BaseCallback) -> dict[str, float] | None:
        """Learn from what has been played, then play one trial of some tasks; kept only when all of it succeeded."""
        trials, training = cast(VectorTrial, env), self._training_tasks
        rng = np.random.default_rng([self.seed, BATCH_STREAM, self.iteration])
        warm_up = training.warm_up
        metrics = {} if warm_up else self._update(training.replay, rng)
        slots, chosen = training.next(trials, self.iteration, rng)
        played = self._collect(trials, chosen, warm_up and self._updates == 0, callbacks)
        if played is None:
            return None
        *self._played, logged = slots, chosen, *played
        return {**logged, **metrics}

    def _end_iteration(self) -> None:
        """Keep what was played, in the places (slots) of the tasks that were chosen."""
        self._training_tasks.keep(*self._played)
        self._played = []

    def _collect(
        self, env: VectorTrial, tasks: TaskBatch, at_random: bool, callbacks: BaseCallback
    ) -> tuple[dict[str, NDArray[Any]], NDArray[np.bool_], dict[str, float]] | None:
        """Play one trial of each task: (T, n, ...) of each field, which steps belong to the trial, and what to log."""
        rng, n = np.random.default_rng([self.seed, PLAY_STREAM, self.iteration]), env.num_envs
        observations, _ = env.reset(seed=int(rng.integers(2**31)), options={"tasks": tasks})
        expert, assisted = self._expert, self._draw_assistance(n, rng) & (not at_random)
        if expert is not None:
            expert.start(rng)
        state, over, critic_reward = self.zero_state(n), np.zeros(n, np.bool_), self.config.critic_reward
        earned = find_attribute(env, "earned") if critic_reward is None else None
        actions: NDArray[Any] | None = None
        steps: list[dict[str, NDArray[Any]]] = []
        valid: list[NDArray[np.bool_]] = []
        returns, episodes = np.zeros(n), np.zeros((n, env.episodes))
        while not over.all():
            masks = env.action_masks() if self.dims.n_actions else None
            if at_random:
                explore = self.config.exploration.random_actions
                actions = explore(n, self.dims.action_size, masks, actions, len(steps), rng)
            else:
                allowed = None if masks is None else torch.from_numpy(masks).to(self.device)
                seen = torch.from_numpy(observations).to(self.device)
                sampled, state = self._act(seen, state, allowed, self._generator, deterministic=False, training=True)
                actions = sampled.cpu().numpy()
            if expert is not None and masks is not None:
                actions = assisted_actions(actions, expert.advise(observations, masks), assisted)
            finished = np.minimum(env.trial_state.finished, env.episodes - 1).copy()
            before = observations[:, : self.dims.episode_size]
            observations, rewards, terminated, _, _ = env.step(actions)
            if expert is not None:
                expert.watch(actions, terminated)
            after = cast(Transition, env.last_transition)
            steps.append(replay_row(before, actions, masks, after, critic_reward))
            if (credit := episode_credit(earned, len(steps))) is not None:
                for step, own in zip(steps[-len(credit) :], credit, strict=True):
                    step["rewards"] = own
            valid.append(~over)
            returns += rewards * ~over
            episodes[np.arange(n), finished] += after.reward * ~over
            over |= terminated
            self.num_timesteps += n
            callbacks.update_locals(locals())
            if not callbacks.on_step():
                return None
        callbacks.on_rollout_end()
        played = {name: np.stack([s[name] for s in steps]) for name in steps[0]}
        if expert is not None:
            played["assisted"] = np.broadcast_to(assisted, (len(steps), n))
        own = ~assisted if not assisted.all() else assisted
        logged = {
            "rollout/return": float(returns[own].mean()),
            "rollout/first_episode": float(episodes[own, 0].mean()),
            "rollout/last_episode": float(episodes[own, -1].mean()),
        }
        return played, np.stack(valid), logged

    def _draw_assistance(self, n: int, rng: np.random.Generator) -> NDArray[np.bool_]:
        """The assistance mask (n,): which trials the expert plays."""
        teacher = self.config.teacher
        if teacher is None:
            return np.zeros(n, np.bool_)
        return rng.random(n) < teacher.rollouts(self.num_timesteps, self._total_timesteps)

    # ---------------------------------------------------------------- learning

    def _update(self, replay: TaskReplay, rng: np.random.Generator) -> dict[str, float]:
        """`gradient_steps` updates of all networks; returns the means of what is logged."""
        config, belief = self.config, self.config.belief
        progress = min(1.0, self.num_timesteps / self._total_timesteps)
        learning_rate = anneal(config.learning_rate, config.learning_rate_final, progress)
        self._kl_coef = anneal(belief.kl_coef, belief.final_kl_coef, progress)
        for optimizer in self._optimizers.values():
            for group in optimizer.param_groups:
                group["lr"] = learning_rate
        vectors = None
        if self.task_head is not None:
            found = cast(VectorTrial, self.env).distribution.task_vector(self._training_tasks.tasks)
            self.task_head.check(found)
            vectors = torch.from_numpy(found).to(self.device)
        metrics: list[dict[str, Tensor]] = []
        for _ in range(config.gradient_steps):
            tasks = rng.choice(len(replay.trials), min(config.meta_batch, len(replay.trials)), replace=False)
            steps = replay.sample(tasks, config.batch_size, rng)
            context = self._contexts.sample(replay, tasks, rng)
            truth = None if vectors is None else vectors[tasks]
            if not isinstance(self.belief, MixtureBelief):
                metrics.append(self._gradient_step(steps, context, truth))
                continue
            hindsight = self._contexts.hindsight(replay, tasks, self.belief.hindsight_steps, rng)
            metrics.append(self._gradient_step(steps, hindsight, truth))
            mixture_loss = self.belief.loss(context, hindsight, rng, self._generator)
            self._apply("mixture", mixture_loss)
            metrics[-1]["mixture_loss"] = mixture_loss.detach()
        self._updates += config.gradient_steps
        averaged = {f"train/{k}": float(torch.stack([m[k] for m in metrics]).mean()) for k in metrics[0]}
        return {**averaged, "train/learning_rate": learning_rate, "train/updates": self._updates}

    def _gradient_step(
        self, steps: dict[str, Tensor], context: Context, truth: Tensor | None = None
    ) -> dict[str, Tensor]:
        """One update of encoder and critics, then of the actor and the entropy's weight, on (b, m, ...) steps."""
        belief = self.belief.infer(context)
        z = self.belief.latent(belief, self._generator)
        rows = {name: x.flatten(0, 1) for name, x in steps.items()}
        policy_input = self._policy_input(z).unsqueeze(1).expand(-1, steps["rewards"].shape[1], -1).flatten(0, 1)
        latent = policy_input[:, : self.config.belief.latent_size]
        x = torch.cat([rows["observations"], policy_input], -1)
        critic_loss, value = self._critic_loss(x, rows, policy_input.detach())
        kl = belief.kl_to_prior().mean()
        coef = self.config.belief.reward_coef
        decoder_loss = self._decoder_loss(rows, latent if coef else latent.detach())
        loss = critic_loss + self._kl_coef * kl + (coef or 1.0) * decoder_loss
        metrics = {"critic_loss": critic_loss, "kl": kl, "reward_error": decoder_loss, "value": value}
        if self.task_head is not None and self.config.task_prediction is not None and truth is not None:
            metrics["task_prediction_loss"] = prediction_loss = self.task_head.mean_error(z, truth)
            loss = loss + self.config.task_prediction.coef * prediction_loss
        self._apply("critic", loss)
        with frozen(self.sac.critic):
            actor_loss, entropy, target = self.sac.actor_loss(x.detach(), rows.get("masks"), self._generator)
        self._apply("actor", actor_loss)
        if self.sac.adapts:
            self._apply("ent_coef", self.sac.ent_coef_loss(entropy, target))
        self.sac.update_target(self.config.tau)
        metrics |= {"actor_loss": actor_loss, "entropy": entropy.mean(), "ent_coef": self.sac.ent_coef}
        metrics["belief_std"] = belief.std.mean()
        return {name: x.detach() for name, x in metrics.items()}

    def _critic_loss(self, x: Tensor, rows: dict[str, Tensor], policy_input: Tensor) -> tuple[Tensor, Tensor]:
        """Half the squared errors of both critics, and the first one's mean value."""
        following = torch.cat([rows["next_observations"], policy_input], -1)
        value = self.sac.soft_value(following, rows.get("next_masks"), self._generator)
        target = self.config.reward_scale * rows["rewards"] + self.config.gamma * (1 - rows["terminated"]) * value
        first, second = self.sac.q_values(x, rows["actions"])
        return 0.5 * ((first - target).square().mean() + (second - target).square().mean()), first.mean()

    def _decoder_loss(self, rows: dict[str, Tensor], latent: Tensor) -> Tensor:
        expected = self.decoder(rows["observations"], rows["actions"], latent)
        told = rows["rewards" if self.config.critic_reward is None else "context_rewards"]
        return (expected - self.decoder.target(told)).square().mean()

    def _apply(self, name: str, loss: Tensor) -> None:
        optimizer = self._optimizers[name]
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()

    # ---------------------------------------------------------------- making and saving

    def _resolve_dims(self, env: VectorEnv[Any, Any, Any] | None, expected: EnvDims | None) -> EnvDims:
        predicts_task, entities = self.config.task_prediction is not None, self.config.network.entities
        features = self.config.network.action_features
        return resolve_dims(
            env, expected, predicts_task=predicts_task, entities=entities, action_features=features, replays=True
        )

    def _make_networks(self) -> None:
        config, dims = self.config, self.dims
        latent, sizes, prediction = config.belief.latent_size, config.network.sizes, config.task_prediction
        layout = None if dims.entities is None else EntityLayout(dims.entities, dims.action_vector_size)
        self._contexts = make_sampler(config.context, dims, layout)
        step_size = self._contexts.step_size
        input_size = dims.episode_size + latent
        if prediction is not None and prediction.feed_to_policy:
            input_size += dims.task_dim
        self.sac = make_soft_actor_critic(dims, input_size, config.network, config.ent_coef, config.target_entropy)
        pooled = config.belief.pooling == "sum"
        belief = (PooledBelief if pooled else GaussianBelief)(step_size, config.belief)
        scale = config.reward_scale if config.belief.reward_coef else None
        self.decoder = RewardDecoder(dims, layout, latent, sizes, scale)
        mixture = config.belief.mixture
        self.belief: TaskBelief = belief
        if mixture is not None and isinstance(belief, GaussianBelief):
            self.belief = MixtureBelief(step_size, belief, mixture)
        self.task_head = None if prediction is None else TaskHead(latent, dims.task_dim, prediction.loss)
        for network in self._networks.values():
            network.to(self.device)
        through_critics = [self.sac.critic, self.belief.encoder, self.decoder, self.task_head]
        learned = {
            "critic": [parameter for part in through_critics if part is not None for parameter in part.parameters()],
            "actor": [*self.sac.actor.parameters()],
            "ent_coef": [self.sac.log_ent_coef],
        }
        if isinstance(self.belief, MixtureBelief):
            learned["mixture"] = [*self.belief.mixture.parameters()]
        self._optimizers = {k: torch.optim.Adam(v, lr=config.learning_rate, fused=True) for k, v in learned.items()}
        self._updates = 0
        self._kl_coef = config.belief.kl_coef

    @property
    def _networks(self) -> dict[str, nn.Module]:
        networks: dict[str, nn.Module] = {"sac": self.sac, "belief": self.belief, "decoder": self.decoder}
        return networks if self.task_head is None else {**networks, "task_head": self.task_head}

    def _prepare(self, env: VectorTrial) -> None:
        """Draw the training tasks and make room for what will be played on them."""
        rng = np.random.default_rng([self.seed, TASK_STREAM])
        self._training = TrainingTasks(env, self.dims, self.config, rng, self.device)
        if self.config.teacher is not None:
            self._expert = find_expert(env, self.config.teacher.name)

    @property
    def _training_tasks(self) -> TrainingTasks:
        assert self._training is not None, "prepared with the env"
        return self._training

    def _check_new_env(self, env: VectorEnv[Any, Any, Any]) -> None:
        super()._check_new_env(env)
        if self._training is None:
            self._prepare(cast(VectorTrial, env))
            self._use_stored()
        self._training_tasks.check(cast(VectorTrial, env))

    def _fixed_state(self) -> dict[str, Any]:
        """Settings, sizes, and while training is not complete the training tasks and all that was played on them."""
        training: dict[str, Any] = self._stored
        if not training and self._training is not None and not self._is_trained:
            training = self._training.state()
        return {**super()._fixed_state(), **training}

    def _set_fixed_state(self, state: dict[str, Any]) -> None:
        self._stored = {k: state[k] for k in ("tasks", "replay") if k in state}
        self._use_stored()

    def _use_stored(self) -> None:
        """Take over the tasks and the replay of a checkpoint, as soon as there is an env to make room for."""
        if self._stored and self._training is not None:
            self._training.set_state(self._stored)
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
