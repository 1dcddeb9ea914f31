"""Ten molecules for an objective of one's own, by a policy that has to find out what is wanted.

Run: python examples/molecule_objective.py
"""

from pathlib import Path

import numpy as np

from metaenv import make_trials
from metaenv.molecules.design.profile_bayes import ProfileBayes
from metaenv.molecules.design.profiles import CHEMBL_PROFILE
from metaenv.molecules.render import Made, gallery, save_png

# Refused, with the reason, if no molecule is known that lies in all ranges.
task = CHEMBL_PROFILE.from_ranges({"logp": (3.29, 3.92), "tpsa": (66, 78), "hba": (4, 5)})
print("certificate:", task.certificate_smiles())

trials = make_trials("MoleculeDesign", num_envs=1, autoreset_mode="Disabled", text_info=True)
observation, info = trials.reset(seed=0, options={"task": task})
policy = ProfileBayes()  # or AgentPolicy(RL2.load("runs/MoleculeDesign-0/checkpoint.pt"))
policy.start(trials, np.random.default_rng(0))

made: list[Made] = []
while len(made) < trials.episodes:
    action = policy.act(observation)
    observation, reward, terminated, truncated, info = trials.step(action)
    policy.observe(action, trials.trial_state.last_reward)
    if info["episode_end"][0]:
        made.append(Made(info["smiles"][0], float(info["score"][0])))
        print(f"{made[-1].score:.2f}  {made[-1].smiles}")

print("drawn:", save_png(Path("molecules.png"), gallery(made, None, "ten molecules for one objective")))
