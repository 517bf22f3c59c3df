"""ONNX in onnxruntime against the module, at another number and size of pictures than it was traced with."""

from __future__ import annotations

from pathlib import Path

import checkpoints
import numpy
import onnxruntime
import pytest
import torch

import slotcon

CASES = [("resnet18", 16, "all"), ("resnet50_d", 0, "backbone")]


@pytest.mark.parametrize(("arch", "stride", "what"), CASES)
def test_onnxruntime_gives_our_numbers(arch: str, stride: int, what: str, tmp_path: Path) -> None:
    checkpoint = tmp_path / "checkpoint.safetensors"
    checkpoints.write(checkpoint, arch, stride)
    path = slotcon.export_onnx(checkpoint, tmp_path / "model.onnx", what=what)
    session = onnxruntime.InferenceSession(path, providers=["CPUExecutionProvider"])
    names = [output.name for output in session.get_outputs()]
    assert names == (["features"] if what == "backbone" else ["features", "dense", "scores"])
    model = slotcon.load(checkpoint)
    for shape in [(1, 3, 96, 96), (3, 3, 130, 161)]:
        pictures = torch.randn(shape)
        with torch.no_grad():
            expected = model(pictures)
        for name, found in zip(names, session.run(None, {"pictures": pictures.numpy()}), strict=True):
            assert found.shape == expected[name].shape
            scale = expected[name].abs().max().item()
            assert scale > 1e-3 and numpy.abs(found - expected[name].numpy()).max() < 1e-4 * scale, name
    with pytest.raises(slotcon.Error, match="overwrite=True"):
        slotcon.export_onnx(checkpoint, path)
    with pytest.raises(slotcon.Error, match="must end in .onnx"):
        slotcon.export(checkpoint=checkpoint, format="onnx", out=tmp_path / "model.pb")
