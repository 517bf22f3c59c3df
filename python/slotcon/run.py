"""What a run leaves behind."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from slotcon.errors import Error

if TYPE_CHECKING:
    import pandas


@dataclass(frozen=True)
class Run:
    """A run directory."""

    #: The folder.
    path: Path

    @property
    def checkpoint(self) -> Path:
        """The best checkpoint where the run measures, else the last.

        Raises:
            Error: there is none yet.
        """
        return checkpoint_of(self.path)

    @property
    def recipe(self) -> Path:
        """Everything resolved; a recipe that repeats the run."""
        return self.path / "recipe.toml"

    @property
    def report(self) -> Path:
        """Health, segments, prototypes and curves: one page."""
        return self.path / "report.html"

    def metrics(self) -> list[dict[str, Any]]:
        """Every logged step, keys as in `metrics.jsonl`; figures of a group are a dictionary."""
        with open(self.path / "metrics.jsonl", encoding="utf-8") as lines:
            return [json.loads(line) for line in lines if line.strip()]

    def frame(self) -> pandas.DataFrame:
        """The same as a DataFrame of pandas, a row a logged step; figures of a group are columns `group.name`."""
        import pandas

        return pandas.json_normalize(self.metrics())


def checkpoint_of(folder: Path) -> Path:
    """The best checkpoint of a run directory, else its last.

    Raises:
        Error: the folder has neither.
    """
    for name in ("best", "last"):
        file = folder / "checkpoints" / f"{name}.safetensors"
        if file.is_file():
            return file
    raise Error(f"{folder}: is a folder without checkpoints/last.safetensors")
