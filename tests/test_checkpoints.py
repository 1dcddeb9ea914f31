import random
from pathlib import Path

import pytest
import torch

from metaenv.checkpoints import load_checkpoint, save_checkpoint

STATE = {"weights": torch.arange(3.0), "count": 5, "nested": {"sizes": (1, 2), "none": None}}


class Unsaveable(Exception):
    """Raised in the middle of a save."""


class RefusesToBeSaved:
    def __reduce__(self) -> str:
        raise Unsaveable


def test_what_is_saved_is_loaded(tmp_path: Path) -> None:
    assert save_checkpoint(tmp_path / "new" / "a", "kind", STATE) == tmp_path / "new" / "a.pt"
    state = load_checkpoint(tmp_path / "new" / "a", "kind")
    assert torch.equal(state.pop("weights"), STATE["weights"])
    assert state == {"count": 5, "nested": {"sizes": (1, 2), "none": None}}
    assert [file.name for file in (tmp_path / "new").iterdir()] == ["a.pt"]


def test_the_file_needs_no_code_to_load(tmp_path: Path) -> None:
    content = torch.load(save_checkpoint(tmp_path / "a.pt", "kind", STATE), weights_only=True)
    assert content["state"]["count"] == 5


def test_code_in_a_file_is_refused(tmp_path: Path) -> None:
    torch.save({"kind": "kind", "state": print}, tmp_path / "a.pt")
    with pytest.raises(ValueError, match="Expected a kind checkpoint"):
        load_checkpoint(tmp_path / "a.pt", "kind")


@pytest.mark.parametrize("fraction", [0.0, 0.3, 0.9, 0.999])
def test_a_truncated_file_is_refused(tmp_path: Path, fraction: float) -> None:
    path = save_checkpoint(tmp_path / "a.pt", "kind", STATE)
    whole = path.read_bytes()
    path.write_bytes(whole[: int(len(whole) * fraction)])
    with pytest.raises(ValueError, match=r"Expected a kind checkpoint.*cut short"):
        load_checkpoint(path, "kind")


def test_another_file_or_agent_is_refused(tmp_path: Path) -> None:
    (tmp_path / "text.pt").write_text("not a checkpoint")
    with pytest.raises(ValueError, match="cut short"):
        load_checkpoint(tmp_path / "text.pt", "kind")
    save_checkpoint(tmp_path / "a.pt", "other", STATE)
    with pytest.raises(ValueError, match="got 'other'"):
        load_checkpoint(tmp_path / "a.pt", "kind")
    torch.save(torch.zeros(2), tmp_path / "tensor.pt")
    with pytest.raises(ValueError, match="Expected a kind checkpoint"):
        load_checkpoint(tmp_path / "tensor.pt", "kind")


def test_a_missing_file_is_said_to_be_missing(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        load_checkpoint(tmp_path / "none.pt", "kind")


def test_a_failed_save_leaves_the_old_file(tmp_path: Path) -> None:
    save_checkpoint(tmp_path / "a.pt", "kind", STATE)
    with pytest.raises(Unsaveable):
        save_checkpoint(tmp_path / "a.pt", "kind", {"unsaveable": RefusesToBeSaved()})
    assert load_checkpoint(tmp_path / "a.pt", "kind")["count"] == 5
    assert [file.name for file in tmp_path.iterdir()] == ["a.pt"]


def test_every_flipped_bit_is_refused(tmp_path: Path) -> None:
    path = save_checkpoint(tmp_path / "a.pt", "kind", STATE)
    whole, rng = path.read_bytes(), random.Random(0)
    for bit in rng.sample(range(8 * len(whole)), 200):
        changed = bytearray(whole)
        changed[bit // 8] ^= 1 << bit % 8
        path.write_bytes(changed)
        with pytest.raises(ValueError, match=r"a\.pt cannot be read"):
            load_checkpoint(path, "kind")
    path.write_bytes(whole)
    assert load_checkpoint(path, "kind")["count"] == 5


def test_code_in_a_whole_file_is_refused(tmp_path: Path) -> None:
    save_checkpoint(tmp_path / "a.pt", "kind", {"code": print})
    with pytest.raises(ValueError, match="Expected a kind checkpoint"):
        load_checkpoint(tmp_path / "a.pt", "kind")


def test_a_link_to_a_checkpoint_stays_a_link(tmp_path: Path) -> None:
    (tmp_path / "disk").mkdir()
    (tmp_path / "a.pt").symlink_to(tmp_path / "disk" / "real.pt")
    save_checkpoint(tmp_path / "a.pt", "kind", STATE)
    assert (tmp_path / "a.pt").is_symlink() and load_checkpoint(tmp_path / "disk" / "real.pt", "kind")["count"] == 5
