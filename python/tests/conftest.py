"""Pictures, checkpoints and a run for the tests of the installed package."""

from __future__ import annotations

import os
from pathlib import Path

import numpy
import pytest
from PIL import Image

import slotcon

os.environ.setdefault("OMP_NUM_THREADS", "1")

#: A run of seconds.
TINY = {
    "data.image_size": 64,
    "data.threads": 2,
    "model.dim_hidden": 32,
    "model.dim_out": 16,
    "model.prototypes": 8,
    "optim.batch": 4,
    "run.threads": 1,
    "run.log_every": 1,
    "run.save_every": 2,
}


@pytest.fixture(scope="session")
def photos(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Ten pictures of several shapes: smooth waves of colour, some noise; JPEG and PNG."""
    folder = tmp_path_factory.mktemp("photos")
    random = numpy.random.default_rng(1)
    for number in range(10):
        height, width = 90 + 17 * number, 200 - 9 * number
        y, x = numpy.mgrid[:height, :width]
        waves = [numpy.sin(y / random.uniform(5, 30) + x / random.uniform(5, 30) + c) for c in range(3)]
        pixels = 127 + 90 * numpy.stack(waves, -1) + random.normal(0, 12, (height, width, 3))
        name = f"{number}.jpg" if number % 2 else f"{number}.png"
        Image.fromarray(pixels.clip(0, 255).astype(numpy.uint8)).save(folder / name)
    return folder


@pytest.fixture(scope="session")
def run(photos: Path, tmp_path_factory: pytest.TempPathFactory) -> slotcon.Run:
    """Pretraining on the ten pictures, two steps, then one more."""
    out = tmp_path_factory.mktemp("runs") / "run"
    slotcon.pretrain(out=out, data=[photos], overrides=TINY, steps=2, seed=3, device="cpu")
    return slotcon.pretrain(out=out, data=photos, resume=True, steps=3, device="cpu")
