"""The program's commands as functions. Each runs the program, which says how far it is, and raises its message as an error."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any, Literal, Mapping, Sequence, Union

from slotcon.process import run
from slotcon.run import Run

#: A path.
PathLike = Union[str, "os.PathLike[str]"]
#: A path, or several.
Paths = Union[PathLike, Sequence[PathLike]]
#: Teacher: the moving average, which the paper transfers. Student: the network trained by gradient.
Which = Literal["teacher", "student"]


def pretrain(
    *,
    out: PathLike,
    data: Paths,
    recipe: PathLike = "small",
    overrides: Mapping[str, Any] | None = None,
    precision: Literal["auto", "f32", "bf16", "f16"] | None = None,
    steps: int | None = None,
    budget: str | None = None,
    resume: bool = False,
    overwrite: bool = False,
    seed: int | None = None,
    device: str = "auto",
    ranks: int = 1,
) -> Run:
    """Learns representations and groups from unlabelled pictures.

    Args:
        out: the run directory; never overwritten unless told to.
        data: a folder of pictures, searched with its subfolders, or several.
        recipe: a published recipe by name, or a TOML file with any part of one. A run that is resumed keeps its own.
        overrides: keys of the recipe, as `{"optim.batch": 64}`.
        precision: number format of convolutions and matrix products, `auto`: whichever of f32 and bf16 is faster; None: the recipe's.
        steps: length of the whole run instead of the recipe's.
        budget: how long the run is to take, as `"30m"` or `"2h"`, instead of `steps`: the steps follow from a measured rate.
        resume: go on with the run in `out`, exactly as if it had not been interrupted.
        overwrite: replace the run that is in `out`.
        seed: short for `overrides={"run.seed": …}`.
        device: `auto` (a GPU if there is one), `cpu`, `cuda` or `cuda:N`.
        ranks: processes on this machine that train together.

    Raises:
        slotcon.Error: with the program's message.
    """
    settings = dict(overrides or {})
    if seed is not None:
        settings["run.seed"] = seed
    options = {
        "data": _paths(data),
        "out": _path(out),
        "recipe": None if resume and recipe == "small" else _path(recipe),
        "set": [f"{key}={_toml(value)}" for key, value in settings.items()],
        "precision": precision,
        "steps": steps,
        "budget": budget,
        "resume": resume,
        "overwrite": overwrite,
        "device": device,
        "ranks": ranks if ranks != 1 else None,
    }
    run("pretrain", options)
    return Run(Path(_path(out)))


def embed(
    *,
    out: PathLike,
    data: Paths,
    checkpoint: PathLike,
    what: Literal["global", "dense", "slots"] = "dense",
    which: Which = "teacher",
    side: int = 320,
    batch: int = 16,
    limit: int | None = None,
    dtype: Literal["float32", "float16"] = "float32",
    overwrite: bool = False,
    device: str = "auto",
) -> Path:
    """Writes features of a folder of pictures to `out` (.safetensors or .npy), one row a picture.

    Args:
        out: the file; names of the pictures are in it, or beside an .npy.
        data: a folder, or several.
        checkpoint: a checkpoint of pretraining, or a run directory.
        what: the backbone's output averaged over the picture `[C]`, the projector's output at every place `[D, h, w]`, or the
            mean feature of each prototype's group `[K, D]`.
        which: the network.
        side: short side in pixels at which pictures are seen, then cut to the central square.
        batch: pictures that pass the network at a time.
        limit: look at no more than this many, evenly spread.
        dtype: numbers in the file.
        overwrite: replace the file.
        device: as for `pretrain`.

    Raises:
        slotcon.Error: with the program's message; also where a picture could not be used, after all others were written.
    """
    options = {
        "checkpoint": _path(checkpoint),
        "data": _paths(data),
        "out": _path(out),
        "what": what,
        "student": which == "student",
        "side": side,
        "batch": batch,
        "limit": limit,
        "dtype": dtype,
        "overwrite": overwrite,
        "device": device,
    }
    run("embed", options)
    return Path(_path(out))


def group(
    *,
    out: PathLike,
    data: Paths,
    checkpoint: PathLike,
    groups: int = 12,
    parts: int | None = None,
    stage: int = 4,
    height: float | None = None,
    across: float | None = None,
    which: Which = "teacher",
    side: int = 320,
    limit: int | None = None,
    seed: int = 0,
    overwrite: bool = False,
    device: str = "auto",
) -> Path:
    """Finds so many groups in pictures, without labels, in what the backbone learned, for `segment(groups=…)`.

    Args:
        out: the file (.safetensors).
        data: a folder of pictures, or several.
        checkpoint: a checkpoint of pretraining, or a run directory.
        groups: how many.
        parts: how many parts k-means makes first, which are then joined; four a group unless given.
        stage: the stage of the backbone whose features are compared, 1 to 4; earlier ones know textures, for short runs.
        height: what the height of a place in its picture weighs, 0 for nothing; as much as the pictures tell unless given.
        across: what the place from left to right weighs, in the same way.
        which: the network.
        side: short side in pixels at which pictures are seen.
        limit: look at no more than this many, evenly spread; 500 unless given.
        seed: of the places looked at and of k-means.
        overwrite: replace the file.
        device: as for `pretrain`.

    Raises:
        slotcon.Error: with the program's message; also where a picture could not be used, after the groups of all others were written.
    """
    options = {
        "checkpoint": _path(checkpoint),
        "data": _paths(data),
        "out": _path(out),
        "groups": groups,
        "parts": parts,
        "stage": stage,
        "height": height,
        "across": across,
        "student": which == "student",
        "side": side,
        "limit": limit,
        "seed": seed,
        "overwrite": overwrite,
        "device": device,
    }
    run("group", options)
    return Path(_path(out))


def segment(
    *,
    out: PathLike | None = None,
    data: Paths,
    checkpoint: PathLike,
    which: Which = "teacher",
    side: int | None = None,
    tile: int | None = None,
    masks: bool = False,
    groups: PathLike | None = None,
    names: PathLike | None = None,
    dataset: PathLike | None = None,
    unsure: float | None = None,
    device: str = "auto",
) -> Path:
    """Cuts pictures into the groups that were learned: `NAME.labels.png` and `NAME.overlay.png` in `out`.

    Args:
        out: the folder; made if it does not exist. May be left out where `dataset` is given.
        data: pictures, or folders of pictures.
        checkpoint: a checkpoint of pretraining or of semantic fine-tuning, or a run directory.
        which: the network (pretraining only).
        side: short side in pixels at which a pretrained network sees a picture; None: 320.
        tile: see pictures in overlapping tiles of this many pixels.
        masks: also write `NAME.masks.json` (COCO's RLE).
        groups: groups that `group` found, in place of the prototypes.
        names: names of the prototypes or groups, as the gallery page saves them (`names.json`): masks are by name.
        dataset: a new folder for a labelled data set by these names: `images/`, `labels/`, `classes.json`, `confidence.csv`.
        unsure: give no class (255) to pixels whose group has a lower probability, 0 to 1.
        device: as for `pretrain`.

    Returns:
        `out`, or `dataset` where there is no `out`.

    Raises:
        slotcon.Error: with the program's message.
        ValueError: neither `out` nor `dataset`.
    """
    written = dataset if out is None else out
    if written is None:
        raise ValueError("give out=, a folder for the masks, or dataset=, one for a labelled data set")
    options = {
        "checkpoint": _path(checkpoint),
        "out": None if out is None else _path(out),
        "groups": None if groups is None else _path(groups),
        "names": None if names is None else _path(names),
        "dataset": None if dataset is None else _path(dataset),
        "unsure": unsure,
        "student": which == "student",
        "side": side,
        "tile": tile,
        "masks": masks,
        "device": device,
    }
    run("segment", options, _paths(data))
    return Path(_path(written))


def export(
    *,
    out: PathLike,
    checkpoint: PathLike,
    format: str,
    which: Which | None = None,
    license: str | None = None,
    overwrite: bool = False,
) -> Path:
    """Writes the weights of a checkpoint as other programs read them.

    Args:
        out: the file; for `hub` a folder.
        checkpoint: a checkpoint, or a run directory.
        format: `torchvision`, `timm`, `detectron2`, `mmsegmentation`, `official`, `safetensors`, `hub` or `onnx` (backbone, dense
            features and scores; `slotcon.export_onnx` has more choices).
        which: which network's backbone; None: the teacher's.
        license: of the weights, for the model card of `hub`, as the Hub spells it.
        overwrite: replace the file; in a folder the files of the same names.

    Raises:
        slotcon.Error: with the program's message.
    """
    if format == "onnx":
        from slotcon.onnx import export_onnx

        return export_onnx(checkpoint, out, which=which or "teacher", overwrite=overwrite)
    options = {
        "checkpoint": _path(checkpoint),
        "out": _path(out),
        "format": format,
        "which": which,
        "license": license,
        "overwrite": overwrite,
    }
    run("export", options)
    return Path(_path(out))


def _path(path: PathLike) -> str:
    return os.path.expanduser(os.fspath(path))


def _paths(paths: Paths) -> list[str]:
    several = [paths] if isinstance(paths, (str, os.PathLike)) else paths
    return [_path(path) for path in several]


def _toml(value: Any) -> str:
    """A value as `--set` takes it: texts as they are, everything else as TOML and JSON have in common."""
    return value if isinstance(value, str) else json.dumps(value)
