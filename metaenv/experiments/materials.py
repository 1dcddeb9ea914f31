"""RL² and PEARL on simulated materials that they have never seen."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from importlib.util import find_spec
from typing import Literal

import numpy as np

from metaenv.baselines.turbo import TrustRegionBO
from metaenv.evaluation import Evaluation, difference
from metaenv.experiments.comparison import training_seconds
from metaenv.experiments.evaluate import save
from metaenv.experiments.runner import AgentExperiment, Policies, final_policies
from metaenv.experiments.trainings import PEARL_TITLE, RL2_TITLE, Training, finished
from metaenv.materials.moving_particles import MovingParticles
from metaenv.materials.particle_bayes import ParticleBayes
from metaenv.materials.transfer_bo import MetaGP, RankingEnsemble

Variant = Literal["recipe", "yield", "noisy", "full"]
PRESETS: dict[Variant, str] = {
    "recipe": "materials-recipe",
    "yield": "materials-yield",
    "noisy": "materials-noisy",
    "full": "materials-full",
}
OOD = ("ood-hot", "ood-cold", "ood-instrument", "ood-mechanism")
BLIND_SHARE = 3  # the control has a third of RL²'s steps (chosen: a list of ten recipes is learned sooner)
PORTFOLIO_SHOTS = (5, 10)  # after how many experiments PEARL is compared with the greedy portfolio
SCALE = (
    "Fraction of the refined oracle's utility after k experiments, as a ratio of means, with the 95 % interval over "
    "materials, and over seeds where there are several. 0 is zero utility, not random play, and 1 is the oracle."
)


@dataclass(frozen=True)
class MaterialsRL2(AgentExperiment):
    """RL² on held-out materials: final policies of several seeds beside all baselines, and its controls."""

    name = "materials-rl2"
    title = "RL² on materials it has never seen"

    variants: tuple[Variant, ...] = ("recipe", "yield", "noisy", "full")
    """Variants of the problem of one material: recipes of five numbers; yield-only feedback; doubled noise; full
    recipes of two steps, gas and precursor."""
    controls: bool = True
    """Whether to train a context-blind PPO, too, and to evaluate RL² with its memory cut (variant recipe)."""
    bayesopt: bool = True
    """Whether to run GP-BO, which takes minutes, if BoTorch is installed."""
    particles: bool = True
    """Whether to run the particle-Bayes reference (variant recipe)."""
    transfer: bool = False
    """Whether to run Bayesian optimisation that knows training materials, and TuRBO: ten minutes (variant recipe)."""
    moving: bool = False
    """Whether to run particle Bayes whose particles move: forty minutes (variant recipe)."""

    def trainings(self) -> dict[str, Training]:
        found = {v: Training(_title(v), self.settings(PRESETS[v])) for v in self.variants}
        trainings: dict[str, Training] = dict(found.items())
        if self.controls and "recipe" in self.variants:
            config = found["recipe"].config
            blind = replace(config, hide_history=True, steps=config.steps // BLIND_SHARE)
            trainings["blind"] = Training("PPO, context-blind", blind, "recipe")
        return trainings

    def sections(self, runs: dict[str, Training]) -> Iterator[list[str]]:
        bayesopt = self.bayesopt and _has_botorch()
        yield [SCALE]
        for variant in self.variants:
            for split in ("test", *OOD) if variant == "recipe" else ("test",):
                evaluation = self.compare(runs[variant].config, self._policies(variant, runs), split, bayesopt)
                save(evaluation, self.folder / variant)
                yield [
                    f"## {variant}, split {split}",
                    "",
                    f"{evaluation.n_tasks} materials. Final policies of RL², seed by seed: {_each_seed(evaluation)}.",
                    "",
                    evaluation.table("fraction"),
                ]

    def _policies(self, variant: Variant, runs: dict[str, Training]) -> Policies:
        agent = runs[variant]
        if variant != "recipe":
            return {RL2_TITLE: agent.policies()}
        beside: Policies = {"particle Bayes": ParticleBayes()} if self.particles else {}
        if self.transfer:
            beside = {**beside, "RGPE": RankingEnsemble(), "meta-GP": MetaGP(), "meta-GP, readings only": MetaGP(False)}
            beside |= {"TuRBO": TrustRegionBO()} if _has_botorch() else {}
        if self.moving:
            beside = {**beside, "particle Bayes, moving": MovingParticles()}
        if self.controls:
            beside = {
                **beside,
                runs["blind"].title: runs["blind"].policies(),
                # A trial remembers twice: in the agent's state, and in the last report that its observation repeats.
                "RL², memory cut": agent.policies(cut_memory=True, hide_history=True),
                "RL², last experiment only": agent.policies(cut_memory=True),
            }
        return {**beside, RL2_TITLE: agent.policies()}


@dataclass(frozen=True)
class PEARLMaterials(AgentExperiment):
    """PEARL on materials it has never seen, beside the baselines.

    Complete runs of `metaenv reproduce materials-rl2` in the folder beside this one are shown, too.
    """

    name = "pearl-materials"
    title = "PEARL on materials it has never seen"

    rl2: bool = False
    """Whether to train RL², too."""
    bayesopt: bool = False
    """Whether to run GP-BO, which needs the baselines extra and takes minutes."""

    def trainings(self) -> dict[str, Training]:
        found = {"pearl": Training(PEARL_TITLE, self.settings("materials-recipe", "pearl"))}
        if self.rl2:
            found["rl2"] = Training(RL2_TITLE, self.settings("materials-recipe"))
        return found

    def beside(self) -> dict[str, Training | None]:
        return {} if self.rl2 else {"rl2": finished(RL2_TITLE, self.folder.parent / "materials-rl2" / "recipe")}

    def run(self) -> None:
        if self.bayesopt and find_spec("botorch") is None:
            raise ImportError("GP-BO needs BoTorch: pip install 'metaenv-science[baselines]', or leave --bayesopt out")
        super().run()

    def sections(self, runs: dict[str, Training]) -> Iterator[list[str]]:
        evaluation = self.compare(runs["pearl"].config, final_policies(runs), "test", self.bayesopt)
        evaluation = replace(evaluation, notes={**evaluation.notes, **training_seconds(runs)})
        save(evaluation, self.folder)
        self.draw_beliefs(runs["pearl"])
        yield [f"{evaluation.n_tasks} materials. {SCALE}", "", evaluation.table("fraction")]
        lines = ["PEARL minus greedy portfolio, paired by material, in units of the utility:", ""]
        for k in (k for k in PORTFOLIO_SHOTS if k in evaluation.shots):
            pair = evaluation.row(PEARL_TITLE), evaluation.row("greedy portfolio")
            lead = difference(*pair, evaluation.shots.index(k))
            lines.append(f"- after {k} experiments: {lead.estimate:+.4f} [{lead.low:+.4f}, {lead.high:+.4f}]")
        yield lines


def _title(variant: Variant) -> str:
    return RL2_TITLE if variant == "recipe" else f"{RL2_TITLE}, variant {variant}"


def _each_seed(evaluation: Evaluation) -> str:
    """Fractions of the oracle after k experiments, of each seed."""
    means = np.array(evaluation.row(RL2_TITLE).to_dict()["mean_score_of_each_seed"])
    fractions = means / evaluation.row("task oracle").values.mean()
    return ", ".join("/".join(f"{x:.3f}" for x in seed) for seed in fractions)


def _has_botorch() -> bool:
    if find_spec("botorch") is None:
        print("BoTorch is not installed, so GP-BO is left out: pip install 'metaenv-science[baselines]'")
        return False
    return True
