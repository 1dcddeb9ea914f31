"""MaterialsSynthesis, the registered environment: its page, and which class each variant is."""

from __future__ import annotations

from typing import Any, ClassVar

from metaenv.env import MetaEnv
from metaenv.errors import nearest
from metaenv.materials.env import SingleMaterialVectorEnv
from metaenv.materials.recipes import ACTION_DIM
from metaenv.materials.system.env import SystemSynthesisVectorEnv
from metaenv.vector import BatchedEnv

SYSTEM = SystemSynthesisVectorEnv.variant


def vector_env(num_envs: int = 1, variant: str = SYSTEM, **settings: Any) -> BatchedEnv:
    """``num_envs`` laboratories of a variant; ``settings`` are those of its class.

    Raises:
        ValueError: there is no such variant, or a laboratory of one's own is given for chemical systems.
    """
    if variant in tuple(ACTION_DIM):
        return SingleMaterialVectorEnv(num_envs, variant, **settings)
    if variant != SYSTEM:
        raise ValueError(f"no variant {variant!r}.{nearest(str(variant), (SYSTEM, *ACTION_DIM))}")
    if settings.pop("laboratory", None) is not None:
        raise ValueError(
            f"the variant {SYSTEM!r} is made in the default laboratory only. For a laboratory of your own choose "
            'variant="recipe" or "full"; otherwise leave out laboratory='
        )
    return SystemSynthesisVectorEnv(num_envs, **settings)


class MaterialsSynthesisEnv(MetaEnv):
    """Make the compounds of a hidden chemical system in turn: one episode is one experiment, a trial a campaign of 12.

    A system is three compounds that share the furnace, the instrument and half of what their kinetics vary by. Each
    experiment asks for one of them, as in a laboratory that makes a series: every block of three experiments has each
    compound once, in an order that is drawn anew. Two oxides A and B, of which A evaporates, react to a target T,
    against a competing intermediate, decomposition above some temperature, loss of A, and grains that grow: the physics
    is in `metaenv.materials.kinetics`. Beside temperature, hold, excess of A and particle size, an experiment chooses a
    source of A, a source of B, a flux and a gas, 18 named options in all. How well each suits each compound is hidden,
    and follows three hidden properties of the compound; `metaenv.materials.system.options` says how options act on
    evaporation, contact, onset and stability. A campaign has to remember what came of several options and compounds.

    Observation: ``Box(34,)``: which compound is made now; its goal size; flags that say what was made and measured;
    what was measured: shares of five phases as a diffractometer with a hidden bias and noise refines them, grain size,
    mass loss, the reading; and what was chosen, one-hot. Its table is below.

    Action: ``Box(-1, 1, (22,))``: temperature 700-1800 K, hold 0.33-100 h (log), excess of A -0.1 to 0.3, particle
    size 0.1-5 um (log); then a number for each option, of which the largest of its group chooses. The ramp, which
    hardly matters, is 4.5 K/min.

    Reward: the reading, a noisy estimate of the utility J: pure target of the wanted grain size, less costs of
    furnace hours, heat and milling; at most 1. ``info["score"]`` is the true J, ``info["compound"]`` which compound
    was made, 0 to 2.

    Episode end: terminated after one experiment. A trial is twelve experiments, four of each compound, and its return
    the sum of their readings.

    Task: `metaenv.materials.system.tasks.SystemTask`. Splits: train (endless), validation (50), test (200), ood-hot,
    ood-options, ood-mechanism, ood-physics (50 each); see `metaenv.materials.system.distribution.SystemDistribution`.

    References: means over the three compounds; random, the mean J of random actions; oracle, a search of recipes and
    options that knows the system.

    Arguments: ``variant`` ("system"; "recipe" or "full", which are other and easier environments, see
    `metaenv.materials.env.SingleMaterialVectorEnv`), ``feedback`` ("phases", "yield"), ``noise_factor`` (1),
    ``missing`` (instruments that the laboratory lacks, such as "SEM" or "SEM,balance"; "drawn": each with probability
    1/3, anew for each system; none by default), ``split``.

    Version history: v1, chemical systems; v0, one material, which is ``variant="recipe"`` now.
    """

    batched: ClassVar[type[BatchedEnv]] = SystemSynthesisVectorEnv

    @classmethod
    def make_batch(cls, **settings: Any) -> BatchedEnv:
        return vector_env(**settings)
