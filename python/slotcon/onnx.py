"""A pretrained network as ONNX."""

from __future__ import annotations

import importlib.util
import os
from pathlib import Path
from typing import Literal, Union

import torch
from torch import Tensor, nn

from slotcon.errors import Error
from slotcon.reader import SlotCon, load


class _Backbone(nn.Module):
    def __init__(self, network: SlotCon) -> None:
        super().__init__()
        self.backbone = network.backbone

    def forward(self, pictures: Tensor) -> Tensor:
        return self.backbone.forward_features(pictures)


class _Whole(nn.Module):
    def __init__(self, network: SlotCon) -> None:
        super().__init__()
        self.network = network

    def forward(self, pictures: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        out = self.network(pictures)
        return out["features"], out["dense"], out["scores"]


def export_onnx(
    model: Union[SlotCon, str, os.PathLike[str]],
    out: Union[str, os.PathLike[str]],
    *,
    what: Literal["backbone", "all"] = "all",
    which: Literal["teacher", "student"] = "teacher",
    overwrite: bool = False,
) -> Path:
    """Writes a network as ONNX, for pictures of any number and size.

    Its input is `pictures`, normalised as `m.transform` does, float32 `[batch, 3, height, width]`; its outputs are `features`
    `[batch, C, h, w]` and with `what="all"` `dense` `[batch, D, h, w]` and `scores` `[batch, K, h, w]`.

    Args:
        model: a network, or whatever `slotcon.load` takes.
        out: the file, .onnx.
        what: the backbone alone, or all three outputs.
        which: the network of a run.
        overwrite: replace the file.

    Raises:
        Error: a file that exists or has another ending, packages that are not there.
    """
    path = Path(out).expanduser()
    if path.suffix != ".onnx":
        raise Error(f"{path}: a file of format onnx must end in .onnx")
    if path.exists() and not overwrite:
        raise Error(f"{path} exists: overwrite=True replaces it")
    if what not in ("backbone", "all"):
        raise Error(f"what={what!r}: it is backbone or all")
    if importlib.util.find_spec("onnxscript") is None:
        raise Error("ONNX needs two more packages: python -m pip install 'slotcon[onnx]'")
    network = model if isinstance(model, SlotCon) else load(model, which)
    module = _Backbone(network) if what == "backbone" else _Whole(network)
    dynamic = torch.export.Dim.DYNAMIC
    unfinished = path.with_name(f".unfinished-{path.name}")
    try:
        torch.onnx.export(
            module.eval(),
            (torch.zeros(2, 3, 224, 256, device=network.prototypes.device),),
            unfinished,
            input_names=["pictures"],
            output_names=["features"] if what == "backbone" else ["features", "dense", "scores"],
            dynamic_shapes={"pictures": {0: dynamic, 2: dynamic, 3: dynamic}},
            dynamo=True,
            external_data=False,
            verbose=False,
        )
        unfinished.replace(path)
    finally:
        unfinished.unlink(missing_ok=True)
    return path
