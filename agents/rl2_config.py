"""Settings of RL²."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, get_args

from metaenv.agents.config import TaskPrediction, Teacher, check_one_head
from metaenv.limits import Count, Finite, NotNegative, Positive, Share, check_limits

Cell = Literal["lstm", "gru", "attention"]
Heads = Literal["fixed", "hypernetwork"]


@dataclass(frozen=True)
class Network:
    """The recurrent actor-critic of RL²."""

    embedding_sizes: tuple[Count, ...] = (64,)
    """Widths of the layers before the recurrent cell; with none the observation goes in directly."""
    hidden_size: Count = 64
    """Width of the recurrent cell."""
    head_sizes: tuple[Count, ...] = ()
    """Widths of the layers between the cell and each output; with none the outputs are linear."""
    cell: Cell | str = "lstm"
    """The LSTM is fused on CPUs (oneDNN) and torch's GRU is not: on trials of 100 steps it learns 2.5 times as fast,
    and on the toy bandit and the point search at least as well (measured). "attention" needs trials of a fixed
    length. "module:Class" is a memory of your own, `metaenv.agents.memory.Memory`."""
    recurrent: bool = True
    """False is the control without memory: every step is treated as the first of a trial. The observation still shows
    the previous action and reward, which on the 5-armed bandit of 10 pulls is worth 6.45 of 6.66 (win-stay,
    lose-shift)."""
    shared: bool = True
    """Whether policy and value share embedding and cell."""
    skip: bool = True
    """Whether the outputs see the embedded observation beside the cell's output."""
    entities: bool = False
    """Whether the list of entities in the observation is encoded as a set (`metaenv.agents.entities`), which needs an
    environment with ``entity_layout``. On TargetSelection a set encoder learns where a flat network does not."""
    entity_size: Count = 48
    """Width of an entity's embedding."""
    action_features: bool = False
    """Whether the logit of a discrete action is also made of the features that the environment tells of it
    (`metaenv.agents.action_features`), which needs an environment with ``action_features``. In MoleculeDesign an
    agent that is told the task earns 5 a trial in two thirds of the steps; after 1.5 M steps both are nearly level."""
    log_std_init: Finite = -0.7
    """Initial log standard deviation of continuous actions before squashing."""
    heads: Heads = "fixed"
    """"hypernetwork": the cell's output makes the weights of the outputs, which act on the embedded observation
    (`metaenv.agents.hypernetwork`). Each output then costs as much as a layer from the embedding to the cell."""

    def __post_init__(self) -> None:
        check_limits(self)
        if self.cell not in get_args(Cell) and ":" not in self.cell:
            raise ValueError(
                f"Expected cell to be one of {', '.join(map(repr, get_args(Cell)))}, or 'module:Class' for a memory of "
                f"your own; got {self.cell!r}."
            )
        check_one_head(self.entities, self.action_features)
        if self.heads == "hypernetwork" and not self.skip:
            raise ValueError(
                'Expected skip=True with heads="hypernetwork", which acts on the embedded observation; got skip=False.'
            )


@dataclass(frozen=True)
class VariationalBelief:
    """A belief about the hidden task that the agent infers without being told it (`metaenv.agents.variational_belief`).

    Policy and value see its mean and log variance beside the observation, without gradient.
    """

    latent_size: Count
    """Length of the latent vector; "None" trains without a belief."""
    kl_coef: NotNegative = 0.1
    """Weight of the divergence of a belief from the one before it; that of the paper's own code."""
    outcome_coef: NotNegative = 1.0
    """Weight of the error of predicted outcomes, beside that of predicted rewards."""
    learning_rate: NotNegative = 1e-3
    """Step size of the belief's own Adam."""
    n_epochs: Count = 2
    """Passes over the trials of an iteration."""
    batch_size: Count = 16
    """Trials in a minibatch. A memory takes some thousands of steps of its optimiser to learn what to keep."""
    decoder_sizes: tuple[Count, ...] = (64, 64)
    """Widths of the decoder's hidden layers."""

    def __post_init__(self) -> None:
        check_limits(self)
        if not self.decoder_sizes:
            raise ValueError("Expected at least one hidden layer in decoder_sizes; got none.")


@dataclass(frozen=True)
class RL2Config:
    """Settings of RL². The defaults learn bandits (discrete) and recipe search (continuous) on one CPU core."""

    trials_per_env: Count = 1
    """Whole trials that each environment plays per iteration."""
    n_epochs: Count = 4
    """Passes over the batch per iteration."""
    n_minibatches: Count = 4
    """Parts into which each pass splits the trials of the batch."""
    learning_rate: NotNegative = 2e-3
    """Adam's step size at the start of training."""
    learning_rate_final: NotNegative = 1e-4
    """Adam's step size at the end; linear in between."""
    gamma: Share = 0.99
    """Discount per step at the start of training. 1 is the undiscounted return of the trial, which is finite."""
    gamma_final: Share | None = None
    """Discount per step at the end of training, linear in between; None keeps `gamma`."""
    gae_lambda: Share = 0.95
    """Weight of longer returns in the advantages (GAE)."""
    clip_range: Positive = 0.2
    """PPO's limit on the change of an action's probability ratio per iteration."""
    ent_coef: NotNegative = 0.01
    """Weight of the entropy bonus at the start of training."""
    ent_coef_final: NotNegative = 0.0
    """Weight of the entropy bonus at the end; linear in between."""
    vf_coef: NotNegative = 0.5
    """Weight of the value loss."""
    max_grad_norm: Positive = 0.5
    """Limit on the norm of the gradient of all parameters together."""
    normalize_advantage: bool = True
    """Whether advantages are standardised over the batch."""
    reward_scale: NotNegative | None = None
    """Factor on rewards inside the learner. None: 0.1 over the standard deviation of the first iteration's returns,
    kept from then on. It is small so that, in the shared and clipped gradient, the value loss does not drown the
    policy's: with 1 instead of 0.1 the 10-pull bandit is learned far worse (measured)."""
    compress_rewards: Positive | None = None
    """A size τ of rewards, in the environment's unit, above which the learner sees little more than their logarithm:
    sign(r) τ ln(1 + |r| / τ) instead of r. For heavy-tailed rewards, a few of which would decide an update. Where
    outcomes are uncertain, it also changes what is maximised: rare large rewards count for less. None: as they are."""
    network: Network = Network()
    """The recurrent actor-critic."""
    teacher: Teacher | None = None
    """A baseline whose actions the policy imitates in the situations that the policy itself gets into. Where trials
    vary in length, or `trials_per_env` is not 1, it must be a `metaenv.agents.imitation.RestartingPolicy`."""
    task_prediction: TaskPrediction | None = None
    """Predict the hidden task's vector from the memory at each step."""
    belief: VariationalBelief | None = None
    """Infer a belief about the task and act on it. VariBAD is a belief with ``network.recurrent=False``: the policy
    then has no other memory."""
    torch_threads: Count = 1
    """Threads of torch while learning. More than one rarely pays for networks this small."""

    def __post_init__(self) -> None:
        check_limits(self)
