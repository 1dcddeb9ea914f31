"""Settings of RL², with what each of them does."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from metaenv.agents.networks import Cell


@dataclass(frozen=True)
class RL2Config:
    """Settings of RL². The defaults learn bandits (discrete) and recipe search (continuous) on one CPU core."""

    trials_per_env: int = 1
    """Whole trials every environment plays per iteration; the batch is this times the number of environments."""
    epochs: int = 4
    """Passes over the batch per iteration."""
    minibatches: int = 4
    """Parts the batch's trials are split into, in each pass."""
    learning_rate: float = 2e-3
    """Adam's step size at the start of training."""
    learning_rate_final: float = 1e-4
    """Adam's step size at the end; linear in between."""
    gamma: float = 0.99
    """Discount per step. 1 is the undiscounted return of the trial, which is finite."""
    gae_lambda: float = 0.95
    """Weight of longer returns in the advantages (GAE)."""
    clip_range: float = 0.2
    """PPO's limit on the change of an action's probability ratio per iteration."""
    ent_coef: float = 0.01
    """Weight of the entropy bonus at the start of training."""
    entropy_coef_final: float = 0.0
    """Weight of the entropy bonus at the end; linear in between."""
    vf_coef: float = 0.5
    """Weight of the value function's loss."""
    max_grad_norm: float = 0.5
    """Limit on the norm of the gradient of all parameters together."""
    normalize_advantage: bool = True
    """Whether advantages are standardised over the batch."""
    reward_scale: float | None = None
    """Factor on rewards inside the learner. None: 0.1 over the standard deviation of the returns of the first
    iteration that has any, kept from then on. Small, so that in the shared, clipped gradient the value function's
    part does not drown the policy's: 1 over it learns the 10-pull bandit far worse (measured)."""
    embedding_sizes: tuple[int, ...] = (64,)
    """Widths of the layers before the memory."""
    hidden_size: int = 64
    """Width of the recurrent memory."""
    head_sizes: tuple[int, ...] = ()
    """Widths of the layers between memory and outputs."""
    cell: Cell = "lstm"
    """Memory: "lstm", "gru" or "attention". Torch's LSTM is fused on CPUs (oneDNN) and its GRU is not: on trials of 100
    steps learning is 2.5 times as fast, and it learned the toy bandit and point search at least as well (measured)."""
    half_precision: bool = False
    """Whether the LSTM's products are computed with bfloat16 (torch's autocast); its weights and all else stay float32.
    On a processor with bfloat16 instructions (`avx512_bf16`) learning is faster, 1.5 times with 256 units; on others
    it is slower. It learned the bandit of 10 pulls as well: 6.66, of 6.660 possible (3 seeds)."""
    shared: bool = True
    """Whether policy and value share embedding and memory."""
    skip: bool = True
    """Whether the outputs see the embedded observation as well as the memory."""
    items: bool = False
    """Treat the list of items in the observation as a set: the same layer for each, and an action's logit from its
    item's embedding (`metaenv.agents.entities`). Needs an env that says how it lists items, by ``item_layout``; there
    it learns where a flat network does not (measured on TargetSelection)."""
    item_size: int = 48
    """Width of an item's embedding."""
    memory: bool = True
    """False cuts the memory: the same network, which must treat every step as the first of a trial. The previous
    action and reward in its observation remain: on the 5-armed bandit of 10 pulls that alone is worth 6.45 (stay
    after a win, else take the next arm), of 6.66 possible."""
    log_std_init: float = -0.7
    """Log standard deviation of continuous actions before squashing, at the start of training."""
    log_std_rows: int | None = None
    """Stages of the trial with an exploration noise of their own (continuous actions). None: one per step of the
    trial up to 32; 1 where the length of trials varies."""
    task_prediction_coef: float = 0.0
    """Weight of an auxiliary loss: predict the hidden task's context vector from the memory at each step. A
    privileged training signal, which needs an env with `task_vector()`; never used when acting."""
    task_prediction_loss: Literal["mse", "bce"] = "mse"
    """Its kind. "mse": squared error. "bce": binary cross entropy, for contexts in [0, 1] that are indicators; the
    prediction is then a probability for each of them."""
    belief: bool = False
    """Whether policy and value are also given that prediction, as it is made from the memory so far, when acting as in
    training. It is no path for their gradients. Needs task_prediction_coef > 0."""
    reveal_share: float = 0.0
    """Share of the training trials in which they are given the true context instead: a privileged start, in which the
    policy learns what to do about a task before it can know it. It is the share at the start, and falls linearly.
    Environments are drawn anew each iteration; all trials that one plays in the iteration share its lot. Needs belief;
    never used by `predict`."""
    reveal_until: float = 0.5
    """Share of the training in which that share falls to 0."""
    teacher: str | None = None
    """Name of a baseline of the environment (`metaenv.baselines.baselines_of`) whose actions the policy is
    also taught to take, in the situations that the policy itself gets into. The teacher sees what the policy sees, no
    hidden task, and in training only. For discrete actions. An action of -1 is no advice: nothing is taught there.
    Where trials vary in length, or `trials_per_env` is not 1, the policy needs a method `restart(rows)`, see
    `metaenv.agents.imitation.RestartingPolicy`."""
    teacher_coef: float = 1.0
    """Weight of -log pi(the teacher's action) at the start of training."""
    teacher_share: float = 0.5
    """Share of the training in which that weight falls linearly to 0; after it, PPO learns alone."""
    teacher_acts: float = 0.0
    """Share of the trials that the teacher plays, where it has advice, instead of the policy, which is so taught in
    situations that only the teacher gets into. It is the share at the start, and falls with the weight. The trials'
    rewards are none of the policy's doing: PPO and the value function do not learn from them. Environments are drawn
    anew each iteration; all trials that one plays in the iteration share its lot."""
    reseed_each_iteration: bool = True
    """Reset the env at each iteration with a seed made of the agent's seed and the iteration's number. Training
    then resumes from a checkpoint to the same result, bit for bit. False: the env goes on by itself."""
    torch_threads: int = 1
    """Threads of torch while learning. More than one rarely pays for networks this small."""
    keep_freed_memory: bool = True
    """Let the process keep freed memory for reuse (Linux with glibc; it stays so after learning). Otherwise each large
    temporary array is fetched from the system page by page: learning with 128 to 256 memory units is a third slower."""


def check_settings(config: RL2Config) -> None:
    """Raise ValueError for settings that contradict each other."""
    if config.half_precision and config.cell != "lstm":
        raise ValueError(f'Expected cell="lstm", because half_precision is True; got "{config.cell}".')
    for name in ("teacher_acts", "reveal_share"):
        if not 0 <= (share := getattr(config, name)) <= 1:
            raise ValueError(f"Expected {name} in [0, 1], got {share}; it is a share of the trials.")
    if config.teacher_acts > 0 and (config.teacher is None or config.teacher_coef <= 0):
        raise ValueError("Expected a teacher and teacher_coef > 0, because teacher_acts > 0. Set teacher_acts to 0.")
    if config.belief and config.task_prediction_coef <= 0:
        raise ValueError("Expected task_prediction_coef > 0, because belief is True. Set belief to False.")
    if config.reveal_share > 0 and not config.belief:
        raise ValueError("Expected belief=True, because reveal_share > 0. Set reveal_share to 0.")
