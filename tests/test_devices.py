"""Which device is chosen, and what is said where there is none. A GPU is simulated by what torch says of it."""

import subprocess
import sys

import pytest

torch = pytest.importorskip("torch")

from metaenv.cli import main  # noqa: E402
from metaenv.devices import VARIABLE, check_name, resolve_device  # noqa: E402


@pytest.fixture
def gpus(monkeypatch):
    """Let torch find so many GPUs."""

    def found(count: int) -> None:
        monkeypatch.setattr(torch.cuda, "is_available", lambda: count > 0)
        monkeypatch.setattr(torch.cuda, "device_count", lambda: count)

    monkeypatch.delenv(VARIABLE, raising=False)
    return found


def test_a_gpu_is_used_where_there_is_one(gpus, monkeypatch):
    gpus(0)
    assert resolve_device() == resolve_device("cpu") == torch.device("cpu")
    gpus(2)
    assert resolve_device() == torch.device("cuda") and resolve_device("cpu") == torch.device("cpu")
    assert resolve_device("cuda:1") == resolve_device(torch.device("cuda", 1)) == torch.device("cuda", 1)
    monkeypatch.setenv(VARIABLE, "cpu")
    assert resolve_device("auto") == torch.device("cpu"), "the variable says what auto is"
    assert resolve_device("cuda") == torch.device("cuda"), "and nothing else"


@pytest.mark.parametrize(
    ("count", "asked", "message"),
    [
        (0, "cuda", "expected one of auto, cpu, got 'cuda' but torch finds no CUDA device"),
        (1, "cuda:1", "expected one of auto, cpu, cuda, got 'cuda:1' but torch finds 1 CUDA device"),
        (2, "cuda:7", "expected one of auto, cpu, cuda, got 'cuda:7' but torch finds 2 CUDA devices"),
        (1, "gpu", "expected a device among auto, cpu, cuda, or such as cuda:1, got 'gpu'"),
        (1, "cuda:", "got 'cuda:'"),
    ],
)
def test_a_device_that_is_not_there_is_refused_in_one_line(count, asked, message, gpus):
    gpus(count)
    with pytest.raises(ValueError) as refused:
        resolve_device(asked)
    assert message in str(refused.value) and "\n" not in str(refused.value)


def test_a_variable_with_another_name_is_refused(gpus, monkeypatch):
    gpus(0)
    monkeypatch.setenv(VARIABLE, "tpu")
    with pytest.raises(ValueError, match="got 'tpu'"):
        resolve_device()


def test_names_are_checked_without_torch():
    assert check_name("cuda:3") == "cuda:3"
    code = "import sys; from metaenv.devices import check_name; check_name('auto'); assert 'torch' not in sys.modules"
    subprocess.run([sys.executable, "-c", code], check=True)


def test_every_command_takes_a_device(gpus, monkeypatch, tmp_path, capsys):
    gpus(0)
    monkeypatch.setenv(VARIABLE, "auto")
    folder = tmp_path / "run"
    args = ["rl2", "BernoulliBandit", "--steps", "1024", "--num-envs", "16", "--verbose", "1", "--out", str(folder)]
    for wrong, message in (("cuda", "torch finds no CUDA device"), ("quantum", "got 'quantum'")):
        assert main(["train", *args, "--device", wrong]) == 2
        assert message in capsys.readouterr().err and not folder.exists()
    assert main(["train", "--device=cpu", *args]) == 0
    assert '"time/device": "cpu"' in (folder / "log.jsonl").read_text()
    assert main(["resume", str(folder), "--device", "cpu"]) == 0
    few = ["telescope-values", "prototypical", "--iterations", "2", "--episodes", "4", "--no-baselines"]
    assert main(["fewshot", *few, "--device", "cpu", "--out", str(tmp_path / "few")]) == 0
    assert '"device": "cpu"' in (tmp_path / "few" / "prototypical" / "seed-0" / "log.jsonl").read_text()
