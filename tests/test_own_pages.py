"""The code of docs/own-*.md, systems.md and objectives.md runs, block after block, as a reader would type it."""

import re
from pathlib import Path

import pytest

DOCS = Path(__file__).resolve().parents[1] / "docs"
PAGES = [*sorted(DOCS.glob("own-*.md")), DOCS / "systems.md", DOCS / "objectives.md"]


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.stem)
def test_the_code_of_the_page_runs_and_is_short(page, tmp_path, monkeypatch):
    blocks = re.findall(r"```(python|csv|text) ?([\w.-]*)\n(.*?)```", page.read_text(encoding="utf-8"), flags=re.DOTALL)
    assert any(kind == "python" for kind, _, _ in blocks)
    if any(word in block for _, _, block in blocks for word in ("metaenv.agents", "metaenv.supervised")):
        pytest.importorskip("torch", reason="agents and learners need torch")
    if "molecules mine" in page.read_text(encoding="utf-8"):  # fewer random molecules than a user's chemistry has
        monkeypatch.setattr("metaenv.molecules.build.build_data.POOL_SIZE", 512)
    monkeypatch.chdir(tmp_path)
    names: dict[str, object] = {}
    for kind, file, block in blocks:
        if kind == "python":
            assert len(block.splitlines()) <= 20, f"an example of {page.name} is longer than 20 lines"
            exec(compile(block, f"{page.name}, block {blocks.index((kind, file, block))}", "exec"), names)
        elif file:  # a block such as ```csv targets.csv is the file that the next example reads
            Path(file).write_text(block, encoding="utf-8")
