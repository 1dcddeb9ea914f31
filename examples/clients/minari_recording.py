"""A Minari dataset of random play in trials, with what `info` tells at every step.

pip install "minari[create,hdf5]"
python examples/clients/minari_recording.py [ENV] [steps]
"""

# pyright: reportMissingImports=false
import os
import tempfile

os.environ.setdefault("MINARI_DATASETS_PATH", tempfile.mkdtemp())  # leave this line out to keep the dataset

import gymnasium as gym
import minari
import numpy as np
from ledger import Ledger, compare, run

from metaenv import Trial, full_id


def main(name: str = "BernoulliBandit", steps: int = 2_000) -> None:
    env = minari.DataCollector(Ledger(Trial(gym.make(full_id(name)))), record_infos=True)
    env.action_space.seed(0)
    _, info = env.reset(seed=0)
    for _ in range(steps):
        action = env.action_space.sample(info.get("action_mask"))
        *_, terminated, truncated, info = env.step(action)
        if terminated or truncated:
            _, info = env.reset()
    dataset = env.create_dataset(f"metaenv/{name.lower()}-v0", algorithm_name="random", author="metaenv")
    whole = [episode for episode in dataset if episode.terminations[-1]]
    for episode in whole:
        assert len(np.unique(episode.infos["task_id"])) == 1, "a trial has one task"
    compare("Minari", [float(episode.rewards.sum()) for episode in whole])


if __name__ == "__main__":
    run(main)
