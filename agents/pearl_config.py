"""Settings of PEARL. The defaults are the algorithm of the paper; each group of settings is one way to depart from
it."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal

from metaenv.agents.config import TaskPrediction, Teacher, check_one_head
from metaenv.agents.exploration import Exploration
from metaenv.limits import Count, CountOrZero, Finite, NotNegative, Positive, Share, check_limits


@dataclass(frozen=True)
class ContextConfig:
    """Which steps of a task the context encoder learns from (`metaenv.agents.context`)."""

    size: Count = 128
    """Largest number of steps in a context while learning; when acting there is no limit."""
    latest_trials: Count = 1
    """A context is the beginning of one of this many latest trials of a task. With more trials it is harder to know a
    task by heart from a context that tells nothing of it."""
    min_fraction: Share = 0.0
    """Smallest length of a context, as a fraction of its trial; lengths are uniform from there to the whole trial. The
    paper's contexts are always long. With 0 an agent that must do well from the first steps on learns what little
    evidence is worth. With sparse rewards, however, a short context tells nothing, the critics learn that z means
    nothing there, and the agent never sets out for one goal."""
    episode_ends: bool = False
    """Whether contexts hold only how episodes ended, the last observation and reward: for tasks that pay at the end of
    an episode and whose last observation tells of all of it. While learning they are random sets of at most `size` of
    all the episodes kept of a task, because latest trials tell nothing as long as the policy does the same in each
    episode."""

    def __post_init__(self) -> None:
        check_limits(self)


@dataclass(frozen=True)
class MixtureConfig:
    """A mixture of Gaussians as the belief when acting; not in the paper.

    Critics, actor and encoder then learn from the belief in hindsight, and a second encoder learns to predict
    hindsight's z from beginnings of trials by maximum likelihood. One Gaussian cannot say that the task is none of
    those tried so far, and contexts without reward blur what the critics learn; where rewards are sparse, both matter.
    `ContextConfig.size` should then be no less than the steps of a trial.
    """

    n_mixture_components: Count
    """Number of Gaussians, such as 16; "None" has acting and learning share one Gaussian, as in the paper."""
    hindsight_steps: Count = 32
    """Steps that hindsight knows, drawn from all that was played on a task and whose reward is not 0."""
    pool_size: Count = 64
    """Features of a step, which are pooled over all steps."""

    def __post_init__(self) -> None:
        check_limits(self)


@dataclass(frozen=True)
class BeliefConfig:
    """The belief about the hidden task, a distribution over the latent vector z (`metaenv.agents.belief`)."""

    latent_size: Count = 5
    """Coordinates of z."""
    encoder_sizes: tuple[Count, ...] = (128, 128)
    """Widths of the context encoder's hidden layers."""
    pooling: Literal["product", "sum"] = "product"
    """How the steps of a context are put together: as the paper's product of Gaussians, or by a network that sees the
    sum of their features (`metaenv.agents.belief.PooledBelief`)."""
    sample: bool = True
    """Whether z is drawn from the belief, as in the paper, or is its mean (the paper's ablation "deterministic
    context"). A drawn z explores by posterior sampling, which takes many episodes: with the fifth molecule of
    MoleculeDesign's variant "windows-3" the exact Bayesian policy earns 0.45 if it draws an objective, and 0.81 if it
    averages over its belief."""
    kl_coef: NotNegative = 0.01
    """Weight of the belief's KL divergence to the prior (mean over tasks, sum over coordinates) at the start."""
    kl_coef_final: NotNegative | None = None
    """The same at the end of training, None for the same as at the start; linear in between. Where rewards are sparse a
    small weight at first lets beliefs differ at all, and a larger one later keeps them from overconfidence."""
    reward_coef: NotNegative = 0.0
    """Weight of the reward decoder's squared error in the encoder's loss. With 0, as in the paper, the encoder learns
    from the critics alone. Else z must also tell the rewards of other steps of the task, past and future, as in VariBAD
    (Zintgraf et al. 2020). The decoder then predicts sign(r) * ln(1 + |r|) of the reward times `reward_scale`: in
    TargetSelection the errors of few large rewards would drown what the others tell."""
    mixture: MixtureConfig | None = None
    """A mixture of Gaussians as the belief when acting, with ``pooling="product"``."""

    def __post_init__(self) -> None:
        check_limits(self)
        if self.pooling not in ("product", "sum"):
            raise ValueError(f'expected pooling "product" or "sum", got {self.pooling!r}')
        if self.pooling == "sum" and (self.mixture is not None or not self.encoder_sizes):
            raise ValueError(
                'expected no mixture and at least one of encoder_sizes with pooling="sum", got '
                f"mixture={self.mixture}, encoder_sizes={self.encoder_sizes}"
            )

    @property
    def final_kl_coef(self) -> float:
        """The weight at the end of training."""
        return self.kl_coef if self.kl_coef_final is None else self.kl_coef_final


@dataclass(frozen=True)
class PEARLNetwork:
    """Actor, critics and reward decoder."""

    sizes: tuple[Count, ...] = (128, 128)
    """Widths of the hidden layers."""
    entities: bool = False
    """As in RL²'s `Network`: encode the list of entities in the observation as a set. Contexts then hold the entities
    that were chosen, not the lists."""
    entity_size: Count = 48
    """Width of an entity's embedding."""
    action_features: bool = False
    """As in RL²'s `Network`: logits and values of actions are made of the features that the environment tells of them,
    too."""

    def __post_init__(self) -> None:
        check_limits(self)
        check_one_head(self.entities, self.action_features)
        if self.action_features and not self.sizes:
            raise ValueError("Expected at least one hidden layer in sizes with action_features, got none.")


@dataclass(frozen=True)
class PEARLConfig:
    """Settings of PEARL."""

    n_tasks: Count = 100
    """Training tasks, drawn once; all members of a training split that has no more than that."""
    refresh_tasks: CountOrZero = 0
    """Of the tasks played in an iteration, how many are replaced by newly drawn ones, oldest first."""
    replay_capacity: Count = 10_000
    """Steps kept of each task."""
    gradient_steps: Count = 100
    """Updates of all networks per iteration, each on `meta_batch` tasks."""
    meta_batch: Count = 32
    """Tasks in one update."""
    batch_size: Count = 32
    """Steps of each task in one update."""
    learning_rate: NotNegative = 1e-3
    """Adam's step size at the start of training."""
    learning_rate_final: NotNegative = 1e-4
    """Adam's step size at the end; linear in between."""
    gamma: Share = 0.99
    """Discount per step within an episode."""
    tau: Share = 0.005
    """Step of the target critics towards the critics."""
    reward_scale: Positive = 1.0
    """Factor on rewards in the critics' targets."""
    critic_reward: str | None = None
    """Name of an entry of ``info`` that the critics learn from instead of the reward, such as "dense_reward": a
    privileged signal in training. The context holds the true reward, and so does every evaluation."""
    ent_coef: NotNegative | None = None
    """Weight of the entropy; None adapts it to `target_entropy`."""
    target_entropy: Finite | None = None
    """Continuous: nats per dimension, -1 by default. Discrete: fraction of the log of the number of allowed actions,
    0.2 by default."""
    context: ContextConfig = ContextConfig()
    """Which steps of a task the context encoder learns from."""
    belief: BeliefConfig = BeliefConfig()
    """The belief about the hidden task."""
    exploration: Exploration = field(default_factory=Exploration)
    """How the agent explores."""
    network: PEARLNetwork = PEARLNetwork()
    """Actor, critics and reward decoder."""
    teacher: Teacher | None = None
    """A baseline that plays some of the training trials. They show what a trial can tell of its task while the agent's
    own trials do not yet: contexts hold them, but critics and actor learn from the agent's own steps alone, because a
    better policy's later steps mislead critics about everything that it does not do. Its `rollout_fraction` must not be
    0."""
    task_prediction: TaskPrediction | None = None
    """Predict the hidden task's vector from z. The loss trains the encoder, too."""
    torch_threads: Count = 1
    """Threads of torch while learning."""

    def __post_init__(self) -> None:
        check_limits(self)
        if self.teacher is not None and self.teacher.rollout_fraction == 0:
            raise ValueError(
                "Expected a teacher with rollout_fraction > 0, such as 0.5, because PEARL does not imitate but learns "
                "from the trials that its teacher plays; got 0."
            )
