"""The notebook of the documentation runs from its first cell to its last, on the installed package."""

from __future__ import annotations

import os
import re
from pathlib import Path

import nbformat
import pytest
from nbclient import NotebookClient

#: Seconds that a cell may take: a minute on two idle cores.
LIMIT = 400


def test_the_notebook_runs(tmp_path: Path) -> None:
    path = os.environ.get("SLOTCON_NOTEBOOK")
    if not path:
        pytest.skip("SLOTCON_NOTEBOOK names no notebook")
    notebook = nbformat.read(path, as_version=4)
    nbformat.validate(notebook)
    NotebookClient(notebook, timeout=LIMIT, resources={"metadata": {"path": str(tmp_path)}}).execute()
    outputs = [output for cell in notebook.cells for output in cell.get("outputs", [])]
    said = "".join(output.get("text", "") for output in outputs)
    probe = re.search(r"linear probe: (\d\.\d+), chance (\d\.\d+)", said)
    assert probe and float(probe[1]) > float(probe[2]), said
    assert any("image/png" in output.get("data", {}) for output in outputs)
    assert "timm: " in said
