"""What other programs make of our files: called by `cargo xtask test --interop` in its virtual environment.

`check.py make SLOTCON FOLDER` writes what torch.save writes and lets SLOTCON read it; `check.py compare SLOTCON FOLDER` loads what
the Rust side exported and compares the features of a photo with ours: a case a line on stdin, `equal` on stdout for each. Each failure
is an exception.
"""

import argparse
import json
import pickle
import subprocess
import sys
from collections import OrderedDict
from pathlib import Path

import numpy
import timm
import torch
import torchvision
from safetensors.torch import load_file

TOLERANCE = 1e-4


def run(*words):
    return subprocess.run([str(w) for w in words], check=True, capture_output=True, text=True).stdout


def features_of(model, pictures):
    """The last stage's feature map, in either library."""
    if hasattr(model, "forward_features"):
        return model.forward_features(pictures)
    for name in ["conv1", "bn1", "relu", "maxpool", "layer1", "layer2", "layer3", "layer4"]:
        pictures = getattr(model, name)(pictures)
    return pictures


def load(path):
    if path.suffix == ".safetensors":
        return load_file(path)
    return torch.load(path, weights_only=True)


def compare(slotcon, folder):
    """Every exported backbone: strict loading, then the same features."""
    for case in map(json.loads, sys.stdin):
        folder, arch, library = Path(case["folder"]), case["arch"], case["library"]
        ours = load_file(folder / case["features"])
        for file in case["files"]:
            dilated = case["stride"] == 16
            if library == "torchvision":
                model = torchvision.models.get_model(arch, replace_stride_with_dilation=[False, False, dilated])
                # The backbone of SlotCon has no classifier.
                model.fc = torch.nn.Identity()
            else:
                model = timm.create_model(case["timm"], num_classes=0, output_stride=case["stride"])
            if dilated:
                # Both leave the first block undilated; the official code, detectron2 and MMSegmentation do not.
                first = model.layer4[0].conv2
                first.dilation = first.padding = (2, 2)
            model.load_state_dict(load(folder / file), strict=True)
            model.eval()
            with torch.no_grad():
                theirs = features_of(model, ours["pictures"].contiguous())
            assert theirs.shape == ours["features"].shape, (theirs.shape, ours["features"].shape)
            # In units of the map's largest value: the networks are deep and the weights arbitrary.
            scale = ours["features"].abs().max().item()
            assert scale > 1e-3, f"{file}: all features are {scale}"
            apart = (theirs - ours["features"]).abs().max().item()
            seen = f"{arch} in {library} from {file}: features up to {scale:.3g}, apart by at most {apart:.2g}"
            print(seen, file=sys.stderr)
            assert apart <= TOLERANCE * max(1.0, scale), f"{file}: {apart}"
        with open(folder / case["detectron2"], "rb") as file:
            found = pickle.load(file, encoding="latin1")
        assert found["matching_heuristics"] is True and "__author__" in found
        assert all(isinstance(v, numpy.ndarray) for v in found["model"].values())
        state = load(folder / case["mmsegmentation"])["state_dict"]
        assert len(found["model"]) == len(state)
        for (theirs, array), (name, tensor) in zip(found["model"].items(), state.items(), strict=True):
            assert numpy.array_equal(array, tensor.numpy()), (theirs, name)
        assert "res2.0.conv1.norm.running_mean" in found["model"]
        print(f"{arch}: {len(state)} arrays for detectron2, and as many tensors for mmsegmentation", file=sys.stderr)
        print("equal", flush=True)


def make(slotcon, folder):
    """Files of torch.save in both formats, with what real ones hold besides floats in a row."""
    model = torchvision.models.resnet18()
    with torch.no_grad():
        for tensor in model.state_dict().values():
            if tensor.is_floating_point():
                tensor.uniform_(0.5, 1.5)
    plain = OrderedDict(model.state_dict())
    plain["conv1.weight"] = plain["conv1.weight"].contiguous(memory_format=torch.channels_last)
    moco = {
        "epoch": 7,
        "arch": "resnet18",
        "state_dict": OrderedDict((f"module.encoder_q.{k}", v) for k, v in plain.items()),
        "best": numpy.float64(1.5),
        "history": numpy.arange(6, dtype=numpy.float32).reshape(2, 3),
        "args": argparse.Namespace(lr=0.1, name="x"),
    }
    half = OrderedDict((k, v.half() if v.is_floating_point() else v) for k, v in plain.items())
    expected = {name: tensor.double().norm().item() for name, tensor in plain.items()}
    for number, (value, prefix, protocol) in enumerate(
        [(plain, "", 2), (moco, "state_dict.module.encoder_q.", 2), (half, "", 2), (plain, "", 4), (moco, "state_dict.module.encoder_q.", 4)]
    ):
        for zipped in [True, False]:
            path = folder / f"saved{number}{'zip' if zipped else 'legacy'}.pth"
            torch.save(value, path, pickle_protocol=protocol, _use_new_zipfile_serialization=zipped)
            seen = json.loads(run(slotcon, "inspect", path, "--json").splitlines()[-1])
            assert seen["arch"] == "resnet18" and seen["kind"] == ("torch" if zipped else "torch-legacy"), seen["kind"]
            norms = {t["name"]: t["norm"] for t in seen["tensors"]}
            for name, norm in expected.items():
                found = norms[prefix + name]
                assert abs(found - norm) <= 1e-3 * max(1.0, norm), (name, found, norm)
            print(f"{path.name}: {len(norms)} tensors read")

    class Harm:
        def __reduce__(self):
            return (open, (str(folder / "harmed"), "w"))

    for zipped in [True, False]:
        path = folder / "harm.pth"
        torch.save({"state_dict": plain, "x": Harm()}, path, _use_new_zipfile_serialization=zipped)
        refused = subprocess.run([slotcon, "inspect", path], capture_output=True, text=True)
        assert refused.returncode != 0 and "io.open" in refused.stderr, refused.stderr
    assert not (folder / "harmed").exists()
    print("a file that would open another is refused by name")


if __name__ == "__main__":
    {"make": make, "compare": compare}[sys.argv[1]](sys.argv[2], Path(sys.argv[3]))
