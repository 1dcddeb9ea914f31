"""Run folders: locks, settings that were edited, logs that were cut, and what killed processes leave behind."""

import json
import os
import socket
import stat
import subprocess
import sys

import numpy as np
import pytest

pytest.importorskip("torch", reason="agents need torch")
pytest.importorskip("tyro", reason="runs need tyro")

from metaenv.files import read_sealed_json, replacing, write_sealed_json, write_text
from metaenv.runs.folder import LogFile, RunError, RunFolder, Saver
from metaenv.runs.settings import TrainConfig, differences, told


def ended_process():
    process = subprocess.Popen([sys.executable, "-c", ""])
    process.wait()
    return process.pid


def test_a_second_process_is_refused(tmp_path):
    folder = tmp_path / "run"
    holder = (
        "import sys, time; from metaenv.runs.folder import RunFolder\n"
        f"with RunFolder({str(folder)!r}).locked(): print('locked', flush=True); time.sleep(60)"
    )
    process = subprocess.Popen([sys.executable, "-c", holder], stdout=subprocess.PIPE, env={**os.environ, **here()})
    assert process.stdout and process.stdout.readline() == b"locked\n"
    with pytest.raises(RunError, match=f"process {process.pid} works in"), RunFolder(folder).locked():
        pass
    process.kill()  # as kill -9: the lock stays, and is taken over
    process.wait()
    process.stdout.close()
    assert (folder / ".lock").exists()
    with RunFolder(folder).locked():
        assert json.loads((folder / ".lock").read_text())["pid"] == os.getpid()
    assert not (folder / ".lock").exists()


def here():
    return {"PYTHONPATH": os.pathsep.join(sys.path)}


def test_a_folder_is_locked_once_in_a_process_too(tmp_path):
    with RunFolder(tmp_path).locked():
        with pytest.raises(RunError, match="works in"), RunFolder(tmp_path).locked():
            pass
        assert (tmp_path / ".lock").exists(), "who was refused must not remove the owner's lock"
    with RunFolder(tmp_path).locked():
        pass


def test_where_files_cannot_be_locked_the_process_is_asked_for(tmp_path, monkeypatch):
    monkeypatch.setattr("metaenv.runs.folder._flock", lambda descriptor: None)
    lock = tmp_path / ".lock"
    lock.write_text(json.dumps({"host": socket.gethostname(), "pid": os.getppid()}))
    with pytest.raises(RunError, match=f"process {os.getppid()} works in"), RunFolder(tmp_path).locked():
        pass
    lock.write_text(json.dumps({"host": socket.gethostname(), "pid": ended_process()}))
    with RunFolder(tmp_path).locked():
        assert json.loads(lock.read_text())["pid"] == os.getpid()


@pytest.mark.parametrize("content", ["", "{", "[]", json.dumps({"pid": 1, "host": None}), '{"pid": 999999999}'])
def test_a_lock_that_nobody_holds_is_taken_over(tmp_path, content):
    if "null" not in content:
        (tmp_path / ".lock").write_text(content)
    with RunFolder(tmp_path).locked():
        pass


def test_the_lock_of_another_machine_is_left_to_the_user(tmp_path):
    (tmp_path / ".lock").write_text(json.dumps({"host": "node-17", "pid": 1234}))
    with pytest.raises(RunError, match=r"process 1234 on node-17 .* remove .*\.lock"), RunFolder(tmp_path).locked():
        pass
    assert (tmp_path / ".lock").exists()


def test_leftovers_do_not_make_a_folder_used_and_are_removed(tmp_path):
    stale, fresh = f".checkpoint.pt.{ended_process()}.tmp", f".log.jsonl.{os.getpid()}.tmp"
    for name in (".DS_Store", "seconds.json", stale):
        (tmp_path / name).write_text("x")
    assert RunFolder(tmp_path).is_new and RunFolder(tmp_path / "none").is_new
    (tmp_path / fresh).write_text("x")
    assert not RunFolder(tmp_path).is_new, "somebody writes there at this moment"
    with RunFolder(tmp_path).locked():
        assert not (tmp_path / stale).exists() and (tmp_path / fresh).exists()
    (tmp_path / "thesis.txt").write_text("mine")
    assert not RunFolder(tmp_path).is_new
    assert not RunFolder(tmp_path / "thesis.txt").is_new


GOOD = {"run": "agent", "env": "BernoulliBandit-v0", "steps": 300, "agent": {"n_epochs": 2}}


@pytest.mark.parametrize(
    ("content", "words"),
    [
        ("[]", ["JSON object", "list"]),
        ("null", ["JSON object", "NoneType"]),
        ('"x"', ["JSON object", "str"]),
        ("{", ["not JSON"]),
        ("[" * 200_000, ["not JSON"]),
        (b"\xff\xfe{}", ["not JSON"]),
        (json.dumps({"env": "BernoulliBandit-v0"}), ["'run'"]),
        (json.dumps({**GOOD, "run": "few-shot"}), ["'agent'", "'few-shot'"]),
        (json.dumps({**GOOD, "env": 5}), ["'env'", "5"]),
        (json.dumps({**GOOD, "agent": [1]}), ["agent", "[1]"]),
        (json.dumps({**GOOD, "num_envs": "64"}), ["'num_envs'", "'64'"]),
        (json.dumps({**GOOD, "num_envs": True}), ["'num_envs'", "True"]),
        (json.dumps({**GOOD, "settings": [1]}), ["'settings'", "[1]"]),
        (json.dumps({**GOOD, "settings": {"n_arms": [3]}}), ["'settings.n_arms'", "[3]"]),
        (json.dumps({**GOOD, "agent": {"n_epochs": "3"}}), ["'agent.n_epochs'", "'3'"]),
        (
            json.dumps({**GOOD, "agent": {"network": {"embedding_sizes": [8, "8"]}}}),
            ["'agent.network.embedding_sizes'"],
        ),
        (json.dumps({**GOOD, "agent": {"network": {"cell": "rnn"}}}), ["agent.network: ", "'lstm'", "'rnn'"]),
        (
            json.dumps({**GOOD, "agent": {"network": {"heads": "hypernetwork", "skip": False}}}),
            ["agent.network: ", "skip"],
        ),
        (json.dumps({**GOOD, "algorithm": 7}), ["agent", "7"]),
        (json.dumps({**GOOD, "stps": 7}), ["Did you mean 'steps'"]),
    ],
)
def test_settings_that_are_none_are_named_in_one_line(tmp_path, content, words):
    from metaenv.cli import main
    from metaenv.runs.training import read_config

    path = tmp_path / "config.json"
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    with pytest.raises(RunError) as caught:
        read_config(tmp_path)
    text = str(caught.value)
    assert str(path) in text and "\n" not in text and all(word in text for word in words), text
    assert main(["resume", str(tmp_path)]) == 2


def test_settings_survive_their_file():
    config = TrainConfig("BernoulliBandit-v0", settings={"n_arms": "3"}, hide_history=True, episodes=4)
    values = json.loads(json.dumps(config.to_dict()))
    assert TrainConfig.from_dict(values) == config
    assert differences(values, config.to_dict()) == {}
    changed = {**values, "seed": 3, "agent": {**values["agent"], "gamma": 0.5}}
    assert told(differences(changed, values)) == "seed is 3 and not 0; agent.gamma is 0.5 and not 0.99"


def test_a_log_drops_what_no_checkpoint_holds(tmp_path):
    folder = RunFolder(tmp_path)
    folder.log.write_text('{"i": 1}\n{"i": 2}\n{"i": 3}\n{"i": 4, "lo')
    log = LogFile(folder, "i", 2)
    log.write({"i": 3, "again": True})
    log.close()
    assert folder.read_log("i") == [{"i": 1}, {"i": 2}, {"i": 3, "again": True}]
    LogFile(folder, "i", 0).close()
    assert folder.log.read_text() == "", "training begins anew"


def test_a_log_gives_back_what_was_not_summed_up(tmp_path):
    folder = RunFolder(tmp_path)
    folder.log.write_text('{"i": 1}\n{"i": 2, "losses": [0.5]}\n')
    log = LogFile(folder, "i", 2)
    assert log.take_back("losses") == [0.5] and log.take_back("losses") == []
    log.close()
    assert folder.read_log("i") == [{"i": 1}]


@pytest.mark.parametrize(
    "content", [b"\xff\x00", b"[]\n", b'{"i": 1}\n{"j": 1}\n', b'cut\n{"i": 1}\n', b'{"i": null}\n']
)
def test_a_log_that_is_none_is_named(tmp_path, content):
    (tmp_path / "log.jsonl").write_bytes(content)
    with pytest.raises(RunError, match=r"log\.jsonl"):
        RunFolder(tmp_path).read_log("i")


def test_seconds_are_written_with_every_checkpoint(tmp_path, monkeypatch):
    monkeypatch.setattr("metaenv.runs.folder.CHECKPOINT_SECONDS", 0.0)
    folder, saved = RunFolder(tmp_path), []
    folder.write_seconds(100.0)
    saver = Saver(folder, saved.append)
    saver.save_if_due()
    assert saved == [folder.checkpoint] and 100.0 < folder.seconds < 110.0
    for content in ("", "[1]", '{"seconds": "x"}', "{}"):
        (tmp_path / "seconds.json").write_text(content)
        with pytest.raises(RunError, match=r"seconds\.json"):
            _ = folder.seconds


def test_a_checkpoint_that_takes_long_is_written_seldom(tmp_path, monkeypatch):
    now, saved = 1e6, []
    monkeypatch.setattr("metaenv.runs.folder.time.monotonic", lambda: now)

    def save(path):
        nonlocal now
        now += 3.0
        saved.append(now)

    saver = Saver(RunFolder(tmp_path), save)
    for _ in range(1_000):
        now += 1.0
        saver.save_if_due()
    pauses = np.diff(saved)
    assert 20 < saved[0] - 1e6 < 30 and len(pauses) == 6
    assert (pauses > 150).all() and (pauses < 160).all(), "3 s of 150 are 2 %"


def test_files_have_the_permissions_of_the_umask_and_links_stay(tmp_path):
    before = os.umask(0o027)
    try:
        write_text(tmp_path / "a.json", "{}")
    finally:
        os.umask(before)
    assert stat.S_IMODE((tmp_path / "a.json").stat().st_mode) == 0o640
    (tmp_path / "disk").mkdir()
    (tmp_path / "b.json").symlink_to(tmp_path / "disk" / "b.json")
    write_text(tmp_path / "b.json", "{}")
    assert (tmp_path / "b.json").is_symlink() and (tmp_path / "disk" / "b.json").read_text() == "{}"


def test_a_full_disk_is_one_line_with_the_name_of_the_file(tmp_path):
    with pytest.raises(OSError, match=r"No space left on device.*a\.pt"), replacing(tmp_path / "a.pt"):
        raise OSError(28, "No space left on device")
    assert not list(tmp_path.iterdir())


def test_sealed_json_shows_every_change(tmp_path):
    path, values = tmp_path / "cell.json", {"seconds": {"4": 0.25}, "sha256_of_episodes": {"4": "ab"}, "skipped": 0}
    write_sealed_json(path, values)
    whole = path.read_bytes()
    for bit in range(8 * len(whole)):
        changed = bytearray(whole)
        changed[bit // 8] ^= 1 << bit % 8
        path.write_bytes(changed)
        try:
            assert read_sealed_json(path) == values, "a change that loads must be harmless"
        except ValueError as error:
            assert str(path) in str(error)
