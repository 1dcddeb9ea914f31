"""What the agents share: the surface of a Stable-Baselines3 algorithm, and training that can be cut off anywhere."""

from __future__ import annotations

import copy
import os
import time
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict
from typing import Any, ClassVar, Self, TypeVar, cast

import numpy as np
import torch
from gymnasium.vector import AutoresetMode, VectorEnv
from numpy.typing import NDArray
from stable_baselines3.common.base_class import BaseAlgorithm
from stable_baselines3.common.callbacks import BaseCallback, CallbackList, ConvertCallback, ProgressBarCallback
from stable_baselines3.common.logger import Logger
from stable_baselines3.common.utils import configure_logger
from torch import Tensor

from metaenv.agents.config import settings_from_dict
from metaenv.agents.dims import EnvDims
from metaenv.agents.imitation import Expert
from metaenv.checkpoints import load_checkpoint, save_checkpoint
from metaenv.devices import device_name, resolve_device
from metaenv.interrupts import stops_deferred
from metaenv.threads import torch_threads_of, weights_drawn_from
from metaenv.vector import BatchedEnv

Env = TypeVar("Env", bound=VectorEnv[Any, Any, Any] | None)
Callback = BaseCallback | list[BaseCallback] | Callable[[dict[str, Any], dict[str, Any]], bool]
"""What Stable-Baselines3 takes as a callback."""


class Agent(ABC):
    """Learns on a vector env of trials, with the surface of a Stable-Baselines3 algorithm.

    Training goes in iterations. Checkpoints always hold the state at the end of one: a `save` in the middle, such as
    `CheckpointCallback` makes, writes the state before it, and an iteration that is interrupted is undone. So an
    agent can be saved after Ctrl-C, and resumes exactly from its last whole iteration.

    Args:
        env: what to learn on; None only for an agent that will not learn. An environment of this package resets in the
            same step from then on.
        config: settings, an instance of `config_class`; its defaults if None.
        seed: of weights, actions, minibatches and tasks; None draws one.
        verbose: 1 prints the log to the terminal.
        tensorboard_log: folder for TensorBoard.
        dims: sizes of the environment, where there is no `env`; with one, they must agree.
        device: where the networks live, and what is learned from: "cpu", "cuda", or "auto", which is a GPU where there
            is one. `metaenv.devices` says what is the same on all of them.

    Raises:
        ValueError: the environment is not one that the agent can learn on, or there is no such device.
    """

    checkpoint_kind: ClassVar[str]
    """What its checkpoints are marked with, such as "metaenv.RL2"."""
    title: ClassVar[str]
    """Its name in tables, such as "RL²"."""
    config_class: ClassVar[type[Any]]
    """The dataclass of its settings, which has a field `torch_threads`: threads of torch while learning."""
    default_num_envs: ClassVar[int] = 1024
    """Trials that `metaenv train` plays at once where no settings say otherwise."""

    def __init__(
        self,
        env: VectorEnv[Any, Any, Any] | None,
        config: Any = None,
        *,
        seed: int | None = None,
        verbose: int = 0,
        tensorboard_log: str | None = None,
        dims: EnvDims | None = None,
        device: str | torch.device = "auto",
    ) -> None:
        self.config = config or self.config_class()
        self.device = resolve_device(device)
        self.seed = int(np.random.SeedSequence(seed).generate_state(1)[0]) if seed is None else int(seed)
        self.verbose = verbose
        self.tensorboard_log = tensorboard_log
        self.env = _same_step(env)
        self.run: dict[str, Any] = {}
        """Settings of the run that the agent belongs to, as plain values; a checkpoint keeps them."""
        self.num_timesteps = 0
        self.iteration = 0
        self._total_timesteps = 0
        self._before_iteration: dict[str, Any] | None = None
        self._logger: Logger | None = None
        self._custom_logger = False
        # Acting outside of training, say in a callback, must not change the course of training.
        self._predict_generator = torch.Generator().manual_seed(self.seed + 1)
        self._generator = torch.Generator().manual_seed(self.seed)
        self._expert: Expert | None = None
        self.dims = self._resolve_dims(env, dims)
        with weights_drawn_from(self.seed):
            self._build(env)

    # WHAT AN AGENT WRITES

    @abstractmethod
    def _resolve_dims(self, env: VectorEnv[Any, Any, Any] | None, expected: EnvDims | None) -> EnvDims:
        """The sizes of the env, by `metaenv.agents.dims.resolve_dims`; those expected where there is none."""

    @abstractmethod
    def _build(self, env: VectorEnv[Any, Any, Any] | None) -> None:
        """Make networks, optimizers and whatever else learning needs, for `self.dims` and `self.config`.

        Weights are drawn on the CPU, and moved to `self.device` before an optimizer is made of them.
        """

    @abstractmethod
    def _play_and_update(self, env: VectorEnv[Any, Any, Any], callbacks: BaseCallback) -> dict[str, float] | None:
        """One iteration, after ``callbacks.on_rollout_start()``; returns what is logged, or None if a callback stopped
        it."""

    @abstractmethod
    def _learner_state(self) -> dict[str, Any]:
        """What an iteration changes step by step, and its undoing must restore: numbers, strings, tensors."""

    @abstractmethod
    def _set_learner_state(self, state: dict[str, Any]) -> None:
        """Put back what `_learner_state` returned."""

    def _fixed_state(self) -> dict[str, Any]:
        """Settings and sizes, and what changes only at the very end of an iteration."""
        return {"config": asdict(self.config), "dims": asdict(self.dims)}

    def _set_fixed_state(self, state: dict[str, Any]) -> None:  # noqa: B027 (optional)
        """Put back what `_fixed_state` returned beyond settings and sizes."""

    def _end_iteration(self) -> None:  # noqa: B027 (optional)
        """Take over what `_play_and_update` has left for the end of the iteration; it is not interrupted."""

    def _before_learning(self, env: VectorEnv[Any, Any, Any]) -> None:  # noqa: B027 (optional)
        """Called once in `learn`, before the first iteration."""

    def _check_new_env(self, env: VectorEnv[Any, Any, Any]) -> None:
        """Raise ValueError if the agent was not made for such an environment."""
        self._resolve_dims(env, self.dims)

    @property
    @abstractmethod
    def _state_size(self) -> int:
        """Size of the recurrent state, which is initially zero."""

    @abstractmethod
    def _predict(
        self, observations: Tensor, state: Tensor, masks: Tensor | None, deterministic: bool
    ) -> tuple[Tensor, Tensor]:
        """Actions (n, ...) and the next state for trials (n, o); `state` (n, state_size) may be written to."""

    # ACTING

    @torch.no_grad()
    def predict(
        self,
        observation: NDArray[Any],
        state: NDArray[np.float32] | Tensor | None = None,
        episode_start: NDArray[np.bool_] | None = None,
        deterministic: bool = False,
        action_masks: NDArray[Any] | None = None,
    ) -> tuple[NDArray[Any], Any]:
        """Choose actions, and remember.

        Args:
            observation: (n, o) of trials, or (o,) of a single one.
            state: what the previous call returned; None at the start of a trial. An array is left as it is. A tensor
                (see `zero_state`) is used up: it stays on the agent's device, is not searched for numbers that are not
                finite, and may be changed in place, so that a long memory is not copied in every step.
            episode_start: (n,), True where a new *trial* starts: that row's state is cleared.
            deterministic: the most likely action instead of a sample. PEARL still draws the latent task that it acts on
                from its belief: that is how it explores.
            action_masks: (n, k) or (k,), nonzero where an action is allowed.

        Returns:
            Actions (n,) int64 or (n, d) float32 in [-1, 1], without the leading axis for a single observation,
            and the state (n, state_size), which each agent's class describes.

        Raises:
            ValueError: an observation or a state of another length, or with a number that is not finite.
        """
        single = np.ndim(observation) == 1
        observations = torch.as_tensor(np.atleast_2d(observation), dtype=torch.float32)
        self._check_seen("observation", observations, self.dims.observation_size)
        if state is None:
            memory = self.zero_state(len(observations))
        elif isinstance(state, Tensor):
            self._check_shape("state", state, self._state_size)
            memory = state.to(self.device)
        else:
            given = torch.as_tensor(np.asarray(state))
            self._check_seen("state", given, self._state_size)
            memory = given.to(self.device, copy=True)
        if episode_start is not None and np.any(episode_start):
            memory[torch.as_tensor(np.atleast_1d(episode_start), dtype=torch.bool, device=self.device)] = 0
        masks = None if action_masks is None else torch.as_tensor(np.atleast_2d(action_masks), dtype=torch.bool)
        masks = None if masks is None else masks.to(self.device)
        actions, memory = self._predict(observations.to(self.device), memory, masks, deterministic)
        chosen = actions.cpu().numpy()
        return (chosen[0] if single else chosen), memory if isinstance(state, Tensor) else memory.cpu().numpy()

    def zero_state(self, n: int) -> Tensor:
        """The state (n, state_size) at the start of n trials. `predict` keeps it, and those after it, on the device."""
        return torch.zeros(n, self._state_size, device=self.device)

    @staticmethod
    def _check_shape(what: str, given: Tensor, size: int) -> None:
        if given.ndim != 2 or given.shape[1] != size:
            raise ValueError(
                f"expected {what}s (n, {size}) of trials as this agent was made for, got shape {tuple(given.shape)}"
            )

    def _check_seen(self, what: str, given: Tensor, size: int) -> None:
        self._check_shape(what, given, size)
        if not bool(given.isfinite().all()):
            row, column = (int(k) for k in torch.nonzero(~given.isfinite())[0])
            raise ValueError(
                f"expected a finite {what}, got {float(given[row, column])} in column {column} of row {row}; an agent "
                "that has seen it would choose and remember nothing else"
            )

    @contextmanager
    def drawing_from(self, source: int | torch.Generator) -> Iterator[torch.Generator]:
        """Let `predict` draw from a stream of its own within the block, and go on with its usual one afterwards.

        Args:
            source: the seed of a new stream, or the stream itself, as an earlier block has yielded it.
        """
        stream = torch.Generator().manual_seed(source) if isinstance(source, int) else source
        kept, self._predict_generator = self._predict_generator, stream
        try:
            yield stream
        finally:
            self._predict_generator = kept

    def get_vec_normalize_env(self) -> None:  # noqa: B027 (there is nothing to give)
        """There is no `VecNormalize`; Stable-Baselines3's EvalCallback asks. On an environment with masks use the
        EvaluationCallback of `metaenv.runs` instead, because EvalCallback lets an agent play forbidden actions, and
        MaskableEvalCallback of sb3-contrib does not hand its memory from one step to the next."""

    # LEARNING

    def learn(
        self,
        total_timesteps: int,
        callback: Callback | None = None,
        log_interval: int = 1,
        tb_log_name: str | None = None,
        reset_num_timesteps: bool = True,
        progress_bar: bool = False,
    ) -> Self:
        """Train for `total_timesteps` steps, counted over all environments and rounded up to whole iterations.

        What is annealed is annealed over `total_timesteps`. To resume a loaded agent to where its
        training was going to end: `agent.learn(agent.remaining_timesteps, reset_num_timesteps=False)`.

        Args:
            total_timesteps: steps to train for; added to those already made if `reset_num_timesteps` is False.
            callback: as in Stable-Baselines3. `on_step` is called once per step of the vector env; its
                returning False ends training before the current iteration.
            log_interval: iterations between log entries.
            tb_log_name: name of the run for TensorBoard, by default the agent's.
            reset_num_timesteps: start counting, and annealing, from zero. Weights are kept.
            progress_bar: show one (needs tqdm and rich).
        """
        env = self._require_env()
        self._undo_iteration()
        name = tb_log_name or type(self).__name__
        callbacks = self._setup_learn(total_timesteps, callback, name, reset_num_timesteps, progress_bar)
        total_timesteps = self._total_timesteps  # ProgressBarCallback reads this local
        callbacks.on_training_start(locals(), globals())
        self._before_learning(env)
        with torch_threads_of(self.config.torch_threads), _progress_bars_closed(callbacks):
            while self.num_timesteps < self._total_timesteps and self._iterate(env, callbacks, log_interval):
                pass
        callbacks.on_training_end()
        return self

    @property
    def remaining_timesteps(self) -> int:
        """Steps left of the training that `learn` was last asked for."""
        return max(0, self._total_timesteps - self.num_timesteps)

    @property
    def _is_trained(self) -> bool:
        """Whether the last whole iteration completed the training."""
        played = self._before_iteration["num_timesteps"] if self._before_iteration else self.num_timesteps
        return played >= self._total_timesteps

    def _iterate(self, env: VectorEnv[Any, Any, Any], callbacks: BaseCallback, log_interval: int) -> bool:
        """Play and learn: wholly, or not at all. Returns whether to go on."""
        started, played_before = time.perf_counter(), self.num_timesteps
        self._before_iteration = copy.deepcopy(self._changing_state())
        try:
            callbacks.on_rollout_start()
            metrics = self._play_and_update(env, callbacks)
        except BaseException:
            self._undo_iteration()
            raise
        if metrics is None:
            self._undo_iteration()
            return False
        with stops_deferred():
            self._end_iteration()
            self.iteration += 1
            self._before_iteration = None
            speed = (self.num_timesteps - played_before) / (time.perf_counter() - started)
            self._log(metrics, speed, log_interval)
        return True

    def _undo_iteration(self) -> None:
        """Go back to the end of the last whole iteration, if one is under way.

        What was before is kept until all of it is put back, so that an interruption of the undoing loses nothing.
        """
        if self._before_iteration is not None:
            with stops_deferred():
                self._set_changing_state(self._before_iteration)
                self._before_iteration = None

    # SAVING

    def save(self, path: str | os.PathLike[str]) -> None:
        """Write a checkpoint, atomically; `.pt` is appended to a path without suffix."""
        changing = self._before_iteration or self._changing_state()
        save_checkpoint(path, self.checkpoint_kind, {**self._fixed_state(), **changing, "run": self.run})

    @classmethod
    def load(
        cls,
        path: str | os.PathLike[str],
        env: VectorEnv[Any, Any, Any] | None = None,
        verbose: int = 0,
        device: str | torch.device = "auto",
    ) -> Self:
        """Read an agent back, to act with, or with an `env` to train on, whatever device it was saved on.

        Raises:
            FileNotFoundError: there is no such file.
            ValueError: the file is no whole checkpoint of this kind of agent, it is of another kind of environment, or
                there is no such device.
        """
        state = load_checkpoint(path, cls.checkpoint_kind)
        try:
            config, dims = settings_from_dict(cls.config_class, state["config"]), EnvDims(**state["dims"])
            agent = cls(env, config, seed=state["seed"], verbose=verbose, dims=dims, device=device)
            agent._set_fixed_state(state)
            agent._set_changing_state(state)
            agent.run = state["run"]
        except (KeyError, TypeError, RuntimeError) as error:
            raise ValueError(
                f"Expected a {cls.checkpoint_kind} checkpoint of this version, but the contents of {path} do not fit: "
                f"{error}. Load it with the version of metaenv that saved it, or train again."
            ) from error
        return agent

    def _changing_state(self) -> dict[str, Any]:
        return {
            "seed": self.seed,
            "num_timesteps": self.num_timesteps,
            "total_timesteps": self._total_timesteps,
            "iteration": self.iteration,
            "predict_generator": self._predict_generator.get_state(),
            **self._learner_state(),
        }

    def _set_changing_state(self, state: dict[str, Any]) -> None:
        self._set_learner_state(state)
        self.num_timesteps = state["num_timesteps"]
        self._total_timesteps = state["total_timesteps"]
        self.iteration = state["iteration"]
        self._predict_generator.set_state(state["predict_generator"])

    # THE SURFACE OF STABLE-BASELINES3

    @property
    def logger(self) -> Logger:
        """The logger that `learn` or `set_logger` has set up."""
        if self._logger is None:
            raise RuntimeError("Expected a logger, but there is none yet: call learn() or set_logger() first.")
        return self._logger

    def set_logger(self, logger: Logger) -> None:
        """Use this logger instead of the one `learn` would make."""
        self._logger, self._custom_logger = logger, True

    def get_env(self) -> VectorEnv[Any, Any, Any] | None:
        """The environment to learn on."""
        return self.env

    def set_env(self, env: VectorEnv[Any, Any, Any]) -> None:
        """Train on this env from now on; its spaces must be those of the present one."""
        self._check_new_env(_same_step(env))
        self.env = env

    def _setup_learn(
        self, total_timesteps: int, callback: Callback | None, tb_log_name: str, reset: bool, progress_bar: bool
    ) -> BaseCallback:
        if total_timesteps < 1:
            raise ValueError(f"Expected total_timesteps >= 1, got {total_timesteps}.")
        if reset:
            self.num_timesteps = 0
        self._total_timesteps = self.num_timesteps + total_timesteps
        if not self._custom_logger:
            self._logger = configure_logger(self.verbose, self.tensorboard_log, tb_log_name, reset)
        if isinstance(callback, list):
            callback = CallbackList(callback)
        elif not isinstance(callback, BaseCallback):
            callback = ConvertCallback(callback) if callback is not None else CallbackList([])
        if progress_bar:
            callback = CallbackList([callback, ProgressBarCallback()])
        callback.init_callback(cast(BaseAlgorithm, self))
        return callback

    def _log(self, values: dict[str, float], steps_per_second: float, log_interval: int) -> None:
        for name, value in values.items():
            self.logger.record(name, value)
        self.logger.record("time/fps", int(steps_per_second))
        self.logger.record("time/iterations", self.iteration)
        self.logger.record("time/total_timesteps", self.num_timesteps, exclude="tensorboard")
        self.logger.record("time/device", device_name(self.device), exclude="tensorboard")
        if self.iteration % log_interval == 0:
            self.logger.dump(step=self.num_timesteps)

    def _require_env(self) -> VectorEnv[Any, Any, Any]:
        if self.env is None:
            raise ValueError(
                f"Expected an env to learn on, but this agent has none: {type(self).__name__}.load(path, env=env)."
            )
        return self.env


def _same_step(env: Env) -> Env:
    """The env, which resets in the same step from now on, if it is one of this package."""
    if isinstance(env, BatchedEnv):
        env.use_autoreset_mode(AutoresetMode.SAME_STEP)
    return env


@contextmanager
def _progress_bars_closed(callbacks: BaseCallback) -> Iterator[None]:
    """Close progress bars on an error; one that is left open prints a traceback of its own when Python ends."""
    try:
        yield
    except BaseException:
        for each in callbacks.callbacks if isinstance(callbacks, CallbackList) else [callbacks]:
            if isinstance(each, ProgressBarCallback):
                each.on_training_end()
        raise
