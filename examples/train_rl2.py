"""Meta-train RL² on hidden chemical systems and compare it with the best fixed recipe, on systems it has never seen.

python examples/train_rl2.py [steps]
"""

import sys

from metaenv import make_trials
from metaenv.agents import RL2
from metaenv.evaluation import evaluate
from metaenv.experiments.settings import preset
from metaenv.materials.system.baselines import baselines
from metaenv.policies import AgentPolicy

steps = int(sys.argv[1]) if len(sys.argv) > 1 else 1_500_000
trials = make_trials("MaterialsSynthesis", num_envs=512)
agent = RL2(trials, preset("MaterialsSynthesis").agent, seed=0)
agent.learn(steps)

fixed = baselines()["best fixed recipe"]
evaluation = evaluate({"best fixed recipe": fixed, "RL²": AgentPolicy(agent)}, "MaterialsSynthesis", "test")
print(evaluation.table())
