"""From a file to the module."""

from __future__ import annotations

import json
import os
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, Union

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import load_file
from torch import Tensor

from slotcon.errors import Error
from slotcon.reader.network import SlotCon
from slotcon.run import checkpoint_of

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

#: The newest format of checkpoints that is read here.
_CHECKPOINT_FORMAT = 2
#: The newest format of the Hub's folder.
_HUB_FORMAT = 1
#: The deep stem is nested in checkpoints, one flat sequence here, as in timm.
_DEEP_STEM = {"0.0": "0", "0.1": "1", "1.0": "3", "1.1": "4", "2": "6"}


def load(
    source: Union[str, os.PathLike[str]], which: Literal["teacher", "student"] | None = None, *, device: str = "cpu"
) -> SlotCon:
    """Reads a pretrained network.

    Args:
        source: a checkpoint of pretraining, a run directory (its best checkpoint, else its last), a folder of
            `slotcon export --format hub`, or `hf-hub:USER/NAME`, that folder on the Hugging Face Hub (needs `huggingface_hub`).
        which: the teacher, the moving average that the paper transfers, or the student, which is trained by gradient. None: the
            teacher, of the Hub's folder the one that is in it.
        device: where it computes.

    Raises:
        Error: a file that is no checkpoint of pretraining; the message names it.
    """
    if which not in (None, "teacher", "student"):
        raise Error(f"which={which!r}: a run has a teacher and a student")
    name = os.fspath(source)
    if name.startswith("hf-hub:"):
        path = _download(name.removeprefix("hf-hub:"))
    else:
        path = Path(name.removeprefix("local-dir:")).expanduser()
    if (path / "slotcon.safetensors").is_file():
        file, weights = _of_hub(path, which)
    else:
        file, weights = _of_checkpoint(checkpoint_of(path) if path.is_dir() else path, which or "teacher")
    network = _built(file, weights)
    return network.to(device)


@dataclass(frozen=True)
class _File:
    """What a file says of itself, and its tensors."""

    path: Path
    about: dict[str, Any]
    tensors: dict[str, Tensor]


def _read(path: Path, key: str, newest: int, prefixes: dict[str, str]) -> _File:
    """The entry `key` of the metadata, and the tensors whose names begin with one of `prefixes`, renamed.

    Raises:
        Error: no whole safetensors file, one without that entry, one of a newer format.
    """
    try:
        with safe_open(path, "pt") as file:
            entry = (file.metadata() or {}).get(key)
            if entry is None:
                raise Error(f"{path}: is no checkpoint of slotcon: its metadata has no '{key}'")
            about = json.loads(entry)
            if about["format_version"] > newest:
                raise Error(f"{path}: has format {about['format_version']}, newer than the {newest} that is read here")
            tensors = {
                ours + name.removeprefix(theirs): file.get_tensor(name)
                for name in file.keys()
                for theirs, ours in prefixes.items()
                if name.startswith(theirs)
            }
    except (OSError, SafetensorError) as error:
        raise Error(f"{path}: no safetensors file that can be read: {error}") from error
    return _File(path, about, tensors)


def _of_checkpoint(path: Path, which: str) -> tuple[_File, dict[str, Tensor]]:
    letter = "k" if which == "teacher" else "q"
    parts = {"encoder": "backbone.", "projector": "projector.", "grouping": "grouping."}
    file = _read(path, "slotcon", _CHECKPOINT_FORMAT, {f"model.{part}_{letter}.": ours for part, ours in parts.items()})
    task = file.about.get("task", "pretrain")
    if task != "pretrain":
        raise Error(f"{path}: a checkpoint of the task '{task}'; load takes one of pretraining")
    return file, {_flat(name): tensor for name, tensor in file.tensors.items()}


def _of_hub(folder: Path, which: str | None) -> tuple[_File, dict[str, Tensor]]:
    parts = {"projector.": "projector.", "grouping.": "grouping."}
    heads = _read(folder / "slotcon.safetensors", "slotcon_hub", _HUB_FORMAT, parts)
    network = heads.about["network"]
    if which not in (None, network):
        raise Error(f"{folder}: has the {network} alone, which={which!r} was asked for")
    backbone = _plain(folder / "model.safetensors")
    return heads, heads.tensors | {f"backbone.{name}": tensor for name, tensor in backbone.items()}


def _plain(path: Path) -> dict[str, Tensor]:
    try:
        return load_file(path)
    except (OSError, SafetensorError) as error:
        raise Error(f"{path}: no safetensors file that can be read: {error}") from error


def _built(file: _File, weights: dict[str, Tensor]) -> SlotCon:
    recipe = tomllib.loads(file.about["recipe"])
    model = recipe.get("model", {})
    weights = {
        name.replace("projector.mlp.", "projector.").replace("grouping.slot_embed.weight", "prototypes"): tensor
        for name, tensor in weights.items()
    }
    try:
        prototypes, output = weights["prototypes"].shape
        hidden = weights["projector.0.weight"].shape[0]
    except KeyError as error:
        raise Error(f"{file.path}: has no tensor {error}") from error
    network = SlotCon(
        model.get("arch", "resnet50"),
        output_stride=model.get("output_stride", 0),
        hidden=hidden,
        output=output,
        prototypes=prototypes,
        temperature=model.get("teacher_temp", 0.07),
        recipe=recipe,
    )
    try:
        network.load_state_dict(weights, strict=True)
    except RuntimeError as error:
        raise Error(f"{file.path}: {error}") from error
    for name, tensor in network.state_dict().items():
        if not torch.isfinite(tensor).all():
            raise Error(f"{file.path}: {name} has numbers that are not finite")
    return network


def _flat(name: str) -> str:
    """timm's name of a tensor of a deep stem; others stay."""
    stem = "backbone.conv1."
    place, _, kind = name.removeprefix(stem).rpartition(".")
    return f"{stem}{_DEEP_STEM[place]}.{kind}" if name.startswith(stem) and place else name


def _download(repository: str) -> Path:
    try:
        from huggingface_hub import snapshot_download
    except ModuleNotFoundError as error:
        raise Error(f"hf-hub:{repository}: python -m pip install huggingface_hub") from error
    return Path(snapshot_download(repository, allow_patterns=["*.safetensors", "config.json"]))
