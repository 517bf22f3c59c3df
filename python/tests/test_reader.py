"""The module in PyTorch against the program, for every backbone."""

from __future__ import annotations

import json
import zlib
from pathlib import Path

import checkpoints
import numpy
import pytest
import torch
from PIL import Image
from safetensors.torch import load_file

import slotcon
from slotcon.reader.backbone import ARCHS
from slotcon.reader.winners import winners

#: Every backbone at its own stride, and the strides.
CASES = [(arch, 0) for arch in ARCHS] + [
    ("resnet18", 8),
    ("resnet34", 16),
    ("resnet50", 16),
    ("resnet50", 8),
    ("resnet50_d", 8),
    ("resnet18_c", 16),
]
SIDE = 96


@pytest.mark.parametrize(("arch", "stride"), CASES)
def test_every_backbone_equals_the_program(arch: str, stride: int, photos: Path, tmp_path: Path) -> None:
    checkpoint = tmp_path / "checkpoint.safetensors"
    checkpoints.write(checkpoint, arch, stride)
    pictures = sorted(photos.iterdir())[:2]
    folder = tmp_path / "photos"
    folder.mkdir()
    for picture in pictures:
        (folder / picture.name).symlink_to(picture)
    which = "student" if arch == "resnet34" else "teacher"
    model = slotcon.load(checkpoint, which)
    # What is made of features and scores is the same for all.
    for what in ("dense", "global", "slots") if stride == 16 else ("dense",):
        out = tmp_path / f"{what}.safetensors"
        slotcon.embed(out=out, data=folder, checkpoint=checkpoint, what=what, which=which, side=SIDE, device="cpu")
        theirs = load_file(out)
        ours = model.embed(pictures, what, side=SIDE)
        if what == "slots":
            ours, counting = ours
            assert (theirs["counting"].numpy() == counting).all()
        close(ours, theirs[what].numpy(), what)
        if what == "dense":
            dense = theirs[what].to(torch.float64)
    scores = cosine(dense, model.prototypes.detach().to(torch.float64))
    seen = torch.stack([slotcon.Transform(SIDE)(picture) for picture in pictures])
    with torch.no_grad():
        found = model(seen)["scores"].to(torch.float64)
    assert found.std() > 1e-3
    assert (found - scores).abs().max() < 1e-5

    slotcon.segment(out=tmp_path / "masks", data=pictures, checkpoint=checkpoint, which=which, side=SIDE, device="cpu")
    # Some have a gigabyte.
    checkpoint.unlink()
    for picture in pictures:
        same_labels(model, picture, tmp_path / "masks" / f"{picture.name}.labels.png")


def same_labels(model: slotcon.SlotCon, picture: Path, file: Path) -> None:
    """Equal but for ties: where they differ, the scores of both winners are as good as equal."""
    labels, theirs = model.segment(picture, side=SIDE), numpy.asarray(Image.open(file)).astype(numpy.int64)
    assert labels.shape == theirs.shape and labels.dtype == numpy.int64
    with torch.no_grad():
        seen = slotcon.Transform(SIDE, square=False)(picture)
        scores = model(seen[None])["scores"]
    height, width = labels.shape
    full = torch.nn.functional.interpolate(scores, (height, width), mode="bilinear", align_corners=False)[0].numpy()
    apart = numpy.argwhere(labels != theirs)
    for y, x in apart:
        assert abs(full[labels[y, x], y, x] - full[theirs[y, x], y, x]) < 1e-5
    assert len(apart) <= 0.001 * labels.size


def close(ours: numpy.ndarray, theirs: numpy.ndarray, what: str) -> None:
    assert ours.shape == theirs.shape and ours.dtype == theirs.dtype == numpy.float32, what
    scale = numpy.abs(theirs).max()
    assert scale > 1e-3, what
    assert numpy.abs(ours - theirs).max() < 1e-4 * scale, what


def cosine(dense: torch.Tensor, prototypes: torch.Tensor) -> torch.Tensor:
    unit, prototypes = (torch.nn.functional.normalize(x, dim=1) for x in (dense, prototypes))
    return torch.einsum("bdhw,kd->bkhw", unit, prototypes)


def test_groups_by_name(run: slotcon.Run, photos: Path, tmp_path: Path) -> None:
    prototypes = slotcon.load(run.path).prototypes.detach().numpy().astype("<f4")
    names = {
        "version": 1,
        "prototypes": len(prototypes),
        "checkpoint": f"{zlib.crc32(prototypes.tobytes()):08x}",
        "names": {str(k): "even" if k % 2 == 0 else "odd" for k in range(len(prototypes))},
        "background": [],
    }
    file = tmp_path / "names.json"
    file.write_text(json.dumps(names))
    common = {"data": photos, "checkpoint": run.path, "side": SIDE, "device": "cpu"}
    slotcon.segment(out=tmp_path / "groups", **common)
    found = slotcon.segment(dataset=tmp_path / "set", names=file, **common)
    assert found == tmp_path / "set"
    classes = json.loads((found / "classes.json").read_text())["classes"]
    parity = numpy.array([classes.index("even"), classes.index("odd")])
    pictures = sorted(photos.iterdir())
    for picture in pictures:
        groups = numpy.asarray(Image.open(tmp_path / "groups" / f"{picture.name}.labels.png"))
        labels = numpy.asarray(Image.open(found / "labels" / f"{picture.stem}.png"))
        assert (labels == parity[groups % 2]).all()
    assert len(list((found / "images").iterdir())) == len(pictures)
    with pytest.raises(ValueError, match="dataset="):
        slotcon.segment(data=photos, checkpoint=run.path)


def test_a_trained_run(run: slotcon.Run, photos: Path, tmp_path: Path) -> None:
    model = slotcon.load(run.path)
    assert not model.training
    assert model.recipe["model"]["prototypes"] == 8
    assert model.prototypes.shape == (8, 16)
    student = slotcon.load(run.checkpoint, "student")
    assert not torch.equal(student.prototypes, model.prototypes)
    pictures = sorted(photos.iterdir())
    slotcon.segment(out=tmp_path, data=photos, checkpoint=run.path, side=SIDE, device="cpu")
    for picture in pictures:
        same_labels(model, picture, tmp_path / f"{picture.name}.labels.png")
    # A file, an image and its bytes are the same picture.
    image = Image.open(pictures[0]).convert("RGB")
    expected = model.segment(pictures[0], side=64)
    assert (model.segment(image, side=64) == expected).all()
    assert (model.segment(numpy.asarray(image), side=64) == expected).all()
    assert model.transform(pictures[0]).shape == (3, 320, 320)


@pytest.mark.parametrize("arch", ["resnet18", "resnet50_d"])
def test_the_folder_for_the_hub_is_the_same_network(arch: str, tmp_path: Path) -> None:
    checkpoint = tmp_path / "checkpoint.safetensors"
    checkpoints.write(checkpoint, arch, 16)
    folder = slotcon.export(out=tmp_path / "hub", checkpoint=checkpoint, format="hub", which="student")
    expected, found = slotcon.load(checkpoint, "student").state_dict(), slotcon.load(f"local-dir:{folder}").state_dict()
    assert expected.keys() == found.keys()
    assert all(torch.equal(found[name], tensor) for name, tensor in expected.items())
    with pytest.raises(slotcon.Error, match="has the student alone"):
        slotcon.load(folder, "teacher")


def test_the_hub_is_asked_for_the_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    checkpoint = tmp_path / "checkpoint.safetensors"
    checkpoints.write(checkpoint, "resnet18", 0)
    folder = slotcon.export(out=tmp_path / "hub", checkpoint=checkpoint, format="hub")
    asked = []
    monkeypatch.setattr("huggingface_hub.snapshot_download", lambda name, **_: asked.append(name) or str(folder))
    model = slotcon.load("hf-hub:user/name")
    assert asked == ["user/name"]
    assert torch.equal(model.prototypes, slotcon.load(checkpoint).prototypes)


def test_winners_are_those_of_interpolate() -> None:
    for k, h, w, height, width in [(6, 3, 5, 31, 40), (5, 1, 4, 7, 9), (6, 10, 10, 320, 320), (4, 8, 8, 5, 3)]:
        scores = torch.randn(k, h, w, dtype=torch.float64)
        full = torch.nn.functional.interpolate(scores[None], (height, width), mode="bilinear", align_corners=False)
        assert torch.equal(winners(scores, height, width), full[0].argmax(0))


def test_bad_files_are_named(run: slotcon.Run, tmp_path: Path) -> None:
    with pytest.raises(slotcon.Error, match="checkpoints/last.safetensors"):
        slotcon.load(tmp_path)
    with pytest.raises(slotcon.Error, match="gone.safetensors: no safetensors file"):
        slotcon.load(tmp_path / "gone.safetensors")
    half = tmp_path / "half.safetensors"
    half.write_bytes(run.checkpoint.read_bytes()[:5000])
    with pytest.raises(slotcon.Error, match="half.safetensors: no safetensors file"):
        slotcon.load(half)
    plain = slotcon.export(out=tmp_path / "plain.safetensors", checkpoint=run.path, format="torchvision")
    with pytest.raises(slotcon.Error, match="its metadata has no 'slotcon'"):
        slotcon.load(plain)
    with pytest.raises(slotcon.Error, match="which='both'"):
        slotcon.load(run.path, "both")  # type: ignore[arg-type]
    with pytest.raises(slotcon.Error, match="float64"):
        slotcon.load(run.path).segment(numpy.zeros((8, 8, 3)))
