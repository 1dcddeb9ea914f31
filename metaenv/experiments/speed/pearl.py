"""Speed of PEARL's update of all tasks at once against the same update done task by task, on one core and one thread.

Both do the same computation on the same steps and contexts with the same networks: belief, critics and their targets,
KL divergence, reward decoder, one step of Adam; then the actor and the entropy's weight; then the slow critics. The
loop walks over the tasks, adds up their gradients, and leaves out the padding of short contexts. The drawing of
batches from the replay is in neither. Measurements of the two take turns, and each one's best counts.

The ratio shows the loop's overhead, so it grows with the number of tasks and falls with the steps of each and the
networks' widths: the product of 2,000 rows with a layer's 128 * 128 weights already runs at what a core can compute.
Measured are the sizes that the settings in the repository use, and for comparison 16 tasks of 128 steps.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from metaenv.experiments.speed.timing import fastest
from metaenv.trial import make_trials

if TYPE_CHECKING:
    import torch

    from metaenv.agents.context import Context
    from metaenv.agents.pearl import PEARL

TASKS = 16  # of `prepared_agent`, unless said otherwise
PROBLEMS: dict[str, dict[str, Any]] = {
    "BernoulliBandit": {"n_arms": 5, "episodes": 200},
    "SparsePointRobot": {},
    "MaterialsSynthesis": {"variant": "recipe"},
}
SIZES = (  # environment, tasks in one update, steps of each
    ("BernoulliBandit", 64, 8),
    ("MaterialsSynthesis", 64, 16),
    ("SparsePointRobot", 32, 32),
    ("SparsePointRobot", 16, 128),
)


def prepared_agent(env_id: str, batch_size: int, tasks: int = TASKS, **settings: Any) -> PEARL:
    """An agent that has played one trial of each of its tasks at random and learned nothing yet.

    Args:
        env_id: one of `PROBLEMS`.
        batch_size: steps of each task in one update, and the longest context.
        tasks: number of training tasks, all of them in each update.
        **settings: more of `PEARLConfig`.
    """
    from metaenv.agents.pearl import PEARL
    from metaenv.agents.pearl_config import ContextConfig, PEARLConfig

    config = PEARLConfig(
        n_tasks=tasks, meta_batch=tasks, batch_size=batch_size, context=ContextConfig(size=batch_size), **settings
    )
    env = make_trials(env_id, tasks, **PROBLEMS[env_id])
    return PEARL(env, config, seed=0, device="cpu").learn(1)


def drawn_batch(agent: PEARL, seed: int) -> tuple[dict[str, torch.Tensor], Context]:
    """Steps (b, m, ...) and contexts of all tasks."""
    replay, rng = agent._training_tasks.replay, np.random.default_rng(seed)
    tasks = np.arange(len(agent._training_tasks))
    return replay.sample(tasks, agent.config.batch_size, rng), agent._contexts.sample(replay, tasks, rng)


def looped_step(agent: PEARL, steps: dict[str, torch.Tensor], context: Context) -> dict[str, float]:
    """What `PEARL._gradient_step` does, task by task; returns the losses."""
    optimizers, sac = agent._optimizers, agent.sac
    tasks = [({k: v[i] for k, v in steps.items()}, _context(context, i)) for i in range(len(context.counts))]
    optimizers["critic"].zero_grad()
    seen: list[torch.Tensor] = []
    losses: dict[str, float] = {}
    for rows, shown in tasks:
        x, parts = _critic_pass(agent, rows, shown, len(tasks))
        seen.append(x)
        for name, value in parts.items():
            losses[name] = losses.get(name, 0.0) + value / len(tasks)
    optimizers["critic"].step()
    losses["actor_loss"] = _actor_update(agent, [rows for rows, _ in tasks], seen)
    sac.update_target(agent.config.tau)
    return losses


def _critic_pass(
    agent: PEARL, rows: dict[str, torch.Tensor], shown: Context, n: int
) -> tuple[torch.Tensor, dict[str, float]]:
    """Add one task's gradients of encoder, critics and decoder; the actor's input (m, d + L) and the losses."""
    import torch

    belief = agent.belief.infer(shown)
    latent = belief.sample(agent._generator).expand(len(rows["rewards"]), -1)
    x = torch.cat([rows["observations"], latent], -1)
    critic_loss, _ = agent._critic_loss(x, rows, latent.detach())
    kl, decoder_loss = belief.kl_to_prior().mean(), agent._decoder_loss(rows, latent.detach())
    ((critic_loss + agent._kl_coef * kl + decoder_loss) / n).backward()
    return x.detach(), {"critic_loss": critic_loss.item(), "kl": kl.item(), "reward_error": decoder_loss.item()}


def _actor_update(agent: PEARL, tasks: list[dict[str, torch.Tensor]], seen: list[torch.Tensor]) -> float:
    """One step of the actor and of the entropy's weight, task by task; returns the actor's loss."""
    import torch

    sac, optimizers = agent.sac, agent._optimizers
    optimizers["actor"].zero_grad()
    sac.critic.requires_grad_(False)
    total, entropies, targets = 0.0, list[torch.Tensor](), list[torch.Tensor]()
    for rows, x in zip(tasks, seen, strict=True):
        loss, entropy, target = sac.actor_loss(x, rows.get("masks"), agent._generator)
        (loss / len(tasks)).backward()
        total += loss.item() / len(tasks)
        entropies.append(entropy)
        targets.append(target)
    sac.critic.requires_grad_(True)
    optimizers["actor"].step()
    if sac.adapts:
        agent._apply("ent_coef", sac.ent_coef_loss(torch.cat(entropies), torch.cat(targets)))
    return total


def _context(context: Context, task: int) -> Context:
    """One task's context (1, w, ...) without padding."""
    steps, counts = (x[task, context.counts[task]].unsqueeze(0) for x in context)
    return type(context)(steps, counts)


def updates_per_second(env_id: str, tasks: int, batch_size: int) -> tuple[float, float]:
    """Updates per second, all tasks at once and task by task; the fastest update of each counts."""
    agent = prepared_agent(env_id, batch_size, tasks)
    batch = drawn_batch(agent, seed=0)
    seconds = fastest({"at once": lambda: agent._gradient_step(*batch), "looped": lambda: looped_step(agent, *batch)})
    return 1 / seconds["at once"], 1 / seconds["looped"]


def run() -> dict[str, float]:
    """Measure and print; returns how many times faster all tasks at once are, by environment and sizes."""
    import torch

    torch.set_num_threads(1)
    ratios: dict[str, float] = {}
    print("PEARL's update of many tasks, default networks; updates per second of processor time, the fastest counts\n")
    print(f"{'environment':<20}{'tasks':>6}{'steps a task':>13}{'at once':>9}{'task by task':>14}{'ratio':>7}")
    for env_id, tasks, batch_size in SIZES:
        batched, looped = updates_per_second(env_id, tasks, batch_size)
        ratio = ratios[f"{env_id}, {tasks} x {batch_size}"] = batched / looped
        print(f"{env_id:<20}{tasks:6d}{batch_size:13d}{batched:9.1f}{looped:14.1f}{ratio:7.1f}", flush=True)
    return ratios
