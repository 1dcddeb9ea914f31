"""The benchmark of few-shot learners prints what it has measured."""

from metaenv.experiments.speed import fewshot


def test_times_are_printed_in_milliseconds(monkeypatch, capsys):
    monkeypatch.setattr(
        fewshot, "fastest", lambda engines: {name: 0.004 if name == "vmap" else 0.01 for name in engines}
    )
    ratios = fewshot.engines()
    assert len(ratios) == 3 and all(abs(ratio - 2.5) < 1e-9 for ratio in ratios.values())
    lines = [line for line in capsys.readouterr().out.splitlines() if line.endswith("x")]
    assert len(lines) == 3 and all(line.split()[-3:] == ["4.0", "ms", "2.50x"] for line in lines)
