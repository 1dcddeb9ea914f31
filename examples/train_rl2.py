"""Meta-train RL² on hidden materials and compare it with a list of good recipes, on materials it has never seen.

python examples/train_rl2.py [steps]
"""

import sys

from metaenv import make_trials
from metaenv.agents import RL2, Network, RL2Config
from metaenv.evaluation import evaluate
from metaenv.materials.baselines import portfolio
from metaenv.policies import AgentPolicy

steps = int(sys.argv[1]) if len(sys.argv) > 1 else 1_500_000
trials = make_trials("MaterialsSynthesis", num_envs=512)
agent = RL2(
    trials, RL2Config(n_epochs=5, learning_rate=1e-3, network=Network(embedding_sizes=(128,), hidden_size=128)), seed=0
)
agent.learn(steps)

evaluation = evaluate({"greedy portfolio": portfolio(), "RL²": AgentPolicy(agent)}, "MaterialsSynthesis", "test")
print(evaluation.table())
