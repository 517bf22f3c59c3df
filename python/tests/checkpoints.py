"""Checkpoints of any backbone, written as the program writes them: a file of minutes of training in a second."""

from __future__ import annotations

import json
from pathlib import Path

import torch
from safetensors.torch import save_file

from slotcon.reader.load import _DEEP_STEM
from slotcon.reader.network import SlotCon

HIDDEN, OUTPUT, PROTOTYPES, TEMPERATURE = 12, 6, 7, 0.07


def write(path: Path, arch: str, output_stride: int) -> None:
    """A network in which every layer says something, under the official names."""
    tensors: dict[str, torch.Tensor] = {"model.center": torch.zeros(1, PROTOTYPES)}
    for seed, letter in enumerate("qk"):
        torch.manual_seed(seed)
        network = SlotCon(arch, hidden=HIDDEN, output=OUTPUT, prototypes=PROTOTYPES)
        for name, tensor in network.state_dict().items():
            _fill(name, tensor)
            tensors[f"model.{_official(name, letter)}"] = tensor.clone()
    for place, (rows, columns) in {0: (HIDDEN, OUTPUT), 3: (HIDDEN, HIDDEN), 6: (OUTPUT, HIDDEN)}.items():
        tensors[f"model.predictor_slot.mlp.{place}.weight"] = torch.zeros(rows, columns)
        tensors[f"model.predictor_slot.mlp.{place}.bias"] = torch.zeros(rows)
    for place in (1, 4):
        for kind in ("weight", "bias", "running_mean", "running_var"):
            tensors[f"model.predictor_slot.mlp.{place}.{kind}"] = torch.ones(HIDDEN)
        tensors[f"model.predictor_slot.mlp.{place}.num_batches_tracked"] = torch.tensor(0)
    recipe = f"""[model]
arch = "{arch}"
output_stride = {output_stride}
dim_hidden = {HIDDEN}
dim_out = {OUTPUT}
prototypes = {PROTOTYPES}
teacher_temp = {TEMPERATURE}
"""
    progress = {
        "step": 1,
        "total_steps": 2,
        "steps_per_epoch": 1,
        "pictures": 8,
        "loss_scale": {"value": 1.0, "good_steps": 0},
        "skipped": 0,
        "bad_pictures": 0,
    }
    header = {"format_version": 2, "written_by": "a test", "task": "pretrain", "recipe": recipe, "progress": progress}
    save_file(tensors, path, {"slotcon": json.dumps(header)})


def _fill(name: str, tensor: torch.Tensor) -> None:
    kind = name.rpartition(".")[2]
    if kind == "running_var":
        tensor.uniform_(0.5, 2)
    elif kind in ("running_mean", "bias"):
        tensor.uniform_(-0.2, 0.2)
    elif kind == "weight" and tensor.dim() == 1:
        tensor.uniform_(0.2, 0.6)
    elif name == "prototypes":
        tensor.normal_()


def _official(name: str, letter: str) -> str:
    nested = {flat: place for place, flat in _DEEP_STEM.items()}
    part, _, rest = name.partition(".")
    if part == "prototypes":
        return f"grouping_{letter}.slot_embed.weight"
    if part == "projector":
        return f"projector_{letter}.mlp.{rest}"
    place, _, kind = rest.removeprefix("conv1.").rpartition(".")
    if rest.startswith("conv1.") and place:
        rest = f"conv1.{nested[place]}.{kind}"
    return f"encoder_{letter}.{rest}"
