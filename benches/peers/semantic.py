#!/usr/bin/env python3
"""Fine-tuning for semantic segmentation: PyTorch with MMSegmentation's own modules and transforms, against slotcon, in turn.

    python3 benches/peers/semantic.py step [--rounds 5] [--batch 2] [--side 257] [--threads 2]
    python3 benches/peers/semantic.py data --from LABELLED_FOLDER [--rounds 5]

`step`: a training step of ResNet-50 with FCN-D6 (21 classes), forward, loss, backward, SGD, f32. `data`: from a picture and its label
map to a crop of 513 pixels (resize by a random ratio, crop, mirror, and in the third row cat_max_ratio and photometric distortion), one core,
of pictures made from those of LABELLED_FOLDER (images/, labels/, classes.json): 2048x1024 PNGs as Cityscapes has, 500x375 JPEGs as VOC.

Installs what it needs into .venv/peers-semantic on first use; SLOTCON_PEERS_HERE=1 takes the running Python as it is.
"""

import argparse
import json
import os
import shlex
import statistics
import subprocess
import sys
import tempfile
import time
import types
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
VENV = ROOT / ".venv" / "peers-semantic"
ALONE = ["mmsegmentation==1.2.2", "mmcv-lite==2.1.0", "mmengine==0.10.7"]
PACKAGES = ["torch==2.11.0", "opencv-python-headless==4.13.0.90", "addict", "prettytable", "rich", "termcolor", "yapf"]


def enter_venv():
    """Runs this script again inside the virtual environment, made on first use."""
    if Path(sys.prefix).resolve() == VENV.resolve() or os.environ.get("SLOTCON_PEERS_HERE"):
        return
    python, done = VENV / "bin" / "python", VENV / "installed.txt"
    wanted = "\n".join(ALONE + PACKAGES)
    if not done.exists() or done.read_text() != wanted:
        subprocess.run([sys.executable, "-m", "venv", str(VENV)], check=True)
        subprocess.run([str(python), "-m", "pip", "install", "--quiet", *PACKAGES], check=True)
        subprocess.run([str(python), "-m", "pip", "install", "--quiet", "--no-deps", *ALONE], check=True)
        done.write_text(wanted)
    os.execv(python, [str(python), *sys.argv])


class Absent(types.ModuleType):
    """A module that is not used here and not installed: any name in it is an empty class."""

    def __getattr__(self, name):
        if name.startswith("__"):
            raise AttributeError(name)
        return type(name, (), {})


def packages(*parts):
    """Lets modules of MMSegmentation be imported one by one, without the rest of their packages."""
    for name in ["matplotlib", "mmcv.ops", "mmseg.utils.tokenizer", "scipy", "scipy.ndimage", "scipy.stats", "mmseg.datasets.dataset_wrappers"]:
        sys.modules.setdefault(name, Absent(name))
    import mmseg

    for part in parts:
        package = types.ModuleType(f"mmseg.{part}")
        package.__path__ = [str(Path(mmseg.__path__[0]).joinpath(*part.split(".")))]
        sys.modules[f"mmseg.{part}"] = package


def ours(command, *words):
    output = subprocess.run([*shlex.split(command), *map(str, words), "--json"], check=True, stdout=subprocess.PIPE, text=True).stdout
    return json.loads(output.strip().splitlines()[-1])


# The step.


def their_step(options):
    """A function that makes one step of MMSegmentation's network."""
    import importlib

    import torch

    torch.set_num_threads(options.threads)
    packages("models", "models.backbones", "models.decode_heads", "models.segmentors", "models.losses")
    # A function of the same name as its module.
    sys.modules["mmseg.models.losses"].accuracy = importlib.import_module("mmseg.models.losses.accuracy").accuracy
    for module in ["builder", "losses.cross_entropy_loss", "backbones.resnet", "decode_heads.fcn_head", "segmentors.encoder_decoder", "data_preprocessor"]:
        importlib.import_module(f"mmseg.models.{module}")
    from mmengine.structures import PixelData
    from mmseg.registry import MODELS
    from mmseg.structures import SegDataSample

    norm = dict(type="BN", requires_grad=True)
    backbone = dict(type="ResNet", depth=50, num_stages=4, out_indices=(0, 1, 2, 3), dilations=(1, 1, 1, 2), strides=(1, 2, 2, 1), norm_cfg=norm, norm_eval=False, style="pytorch", contract_dilation=True)
    head = dict(type="FCNHead", in_channels=2048, in_index=3, channels=256, num_convs=2, concat_input=False, dropout_ratio=0, num_classes=21, norm_cfg=norm, align_corners=True, dilation=6)
    head["loss_decode"] = dict(type="CrossEntropyLoss", use_sigmoid=False, loss_weight=1.0)
    model = MODELS.build(dict(type="EncoderDecoder", backbone=backbone, decode_head=head, train_cfg=dict(), test_cfg=dict(mode="whole"))).train()
    pictures = torch.randn(options.batch, 3, options.side, options.side)
    if options.channels_last:
        model, pictures = model.to(memory_format=torch.channels_last), pictures.to(memory_format=torch.channels_last)
    samples = []
    for _ in range(options.batch):
        labels = torch.randint(21, (1, options.side, options.side))
        labels[:, : options.side // 10] = 255
        sample = SegDataSample()
        sample.gt_sem_seg = PixelData(data=labels)
        samples.append(sample)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.003, momentum=0.9, weight_decay=1e-4)

    def step():
        optimizer.zero_grad()
        model.loss(pictures, samples)["decode.loss_ce"].backward()
        optimizer.step()

    return step


def step(options):
    theirs = {}
    for layout in [False, True]:
        options.channels_last = layout
        theirs["theirs_channels_last_s" if layout else "theirs_s"] = their_step(options)
    for run in theirs.values():
        run()
    settings = [f"optim.batch={options.batch}", f"data.crop={options.side}", f"run.threads={options.threads}", "data.normalisation=imagenet"]
    words = ["semantic-step", "--recipe", "voc-fcn-d6-30k", "--classes", "21", "--warmup", "1", "--steps", options.steps]
    words += [f"--set={setting}" for setting in settings]
    rows = []
    for number in range(options.rounds):
        row = {}
        for name, run in theirs.items():
            times = []
            for _ in range(options.steps):
                start = time.perf_counter()
                run()
                times.append(time.perf_counter() - start)
            row[name] = statistics.median(times)
        row["ours_s"] = ours(options.ours, *words)["median_s"]
        rows.append(row)
        print(f"round {number + 1}: {row}", file=sys.stderr)
    ratio = lambda to: round(statistics.median(row["ours_s"] / row[to] for row in rows), 3)
    summary = {name: round(statistics.median(row[name] for row in rows), 4) for name in rows[0]}
    summary |= {"ours_to_theirs": ratio("theirs_s"), "ours_to_theirs_channels_last": ratio("theirs_channels_last_s")}
    print(json.dumps(summary))


# The data.


def make_sets(source, folder, count):
    """Cityscapes-like and VOC-like folders from the pictures and index maps of `source`."""
    import cv2

    images = sorted(p for p in (source / "images").rglob("*") if p.suffix in {".png", ".jpg"})
    step = max(1, len(images) // count)
    for name, size, ending, options in [("png", (2048, 1024), ".png", []), ("jpeg", (500, 375), ".jpg", [cv2.IMWRITE_JPEG_QUALITY, 90])]:
        for part in ["images", "labels"]:
            (folder / name / part).mkdir(parents=True)
        for path in images[::step][:count]:
            label = (source / "labels" / path.relative_to(source / "images")).with_suffix(".png")
            picture = cv2.resize(cv2.imread(str(path)), size, interpolation=cv2.INTER_CUBIC)
            labels = cv2.resize(cv2.imread(str(label), cv2.IMREAD_UNCHANGED), size, interpolation=cv2.INTER_NEAREST)
            cv2.imwrite(str(folder / name / "images" / (path.stem + ending)), picture, options)
            cv2.imwrite(str(folder / name / "labels" / (path.stem + ".png")), labels)


def pipeline(scale, crop, share, photometric):
    """MMSegmentation's own transforms."""
    import importlib

    transforms = importlib.import_module("mmseg.datasets.transforms.transforms")
    loading = importlib.import_module("mmseg.datasets.transforms.loading")
    from mmcv.transforms import LoadImageFromFile, RandomFlip, RandomResize

    steps = [
        LoadImageFromFile(),
        loading.LoadAnnotations(),
        RandomResize(scale=scale, ratio_range=(0.5, 2.0), keep_ratio=True),
        transforms.RandomCrop(crop_size=(crop, crop), cat_max_ratio=share),
        RandomFlip(prob=0.5),
    ]
    if photometric:
        steps.append(transforms.PhotoMetricDistortion())

    def run(pair):
        import numpy
        import torch

        found = {"img_path": str(pair[0]), "seg_map_path": str(pair[1]), "reduce_zero_label": False, "seg_fields": [], "label_map": None}
        for step in steps:
            found = step(found)
        # As PackSegInputs does.
        picture = torch.from_numpy(numpy.ascontiguousarray(found["img"].transpose(2, 0, 1)))
        return picture, torch.from_numpy(found["gt_seg_map"][None].astype(numpy.int64))

    return run


def data(options):
    import cv2
    import torch

    cv2.setNumThreads(1)
    torch.set_num_threads(1)
    packages("datasets", "datasets.transforms")
    summary = {}
    with tempfile.TemporaryDirectory() as folder:
        folder = Path(folder)
        make_sets(options.source, folder, options.pictures)
        cases = [
            ("cityscapes-like PNG", "png", (2049, 1025), 1.0, False),
            ("VOC-like JPEG", "jpeg", (2049, 513), 1.0, False),
            ("VOC-like JPEG, photometric", "jpeg", (2049, 513), 0.75, True),
        ]
        for name, kind, scale, share, photometric in cases:
            theirs = pipeline(scale, options.crop, share, photometric)
            at = folder / kind
            pairs = [(p, at / "labels" / (p.stem + ".png")) for p in sorted((at / "images").iterdir())]
            words = ["semantic-data", "--images", at / "images", "--labels", at / "labels", "--classes", options.source / "classes.json"]
            words += ["--threads", "1", "--seconds", options.seconds, f"--set=data.frame=[{scale[0]}, {scale[1]}]", f"--set=data.crop={options.crop}"]
            words += [f"--set=data.max_class_share={share}", f"--set=data.photometric={str(photometric).lower()}"]
            rows = []
            for number in range(options.rounds):
                done, start, cpu = 0, time.perf_counter(), time.thread_time()
                while time.perf_counter() - start < options.seconds:
                    theirs(pairs[done % len(pairs)])
                    done += 1
                row = {"theirs": done / (time.perf_counter() - start), "theirs_cpu": done / (time.thread_time() - cpu)}
                mine = ours(options.ours, *words)
                row |= {"ours": mine["pictures_per_second"], "ours_cpu": mine["pictures_per_cpu_second"]}
                rows.append(row)
                print(f"{name}, round {number + 1}: " + ", ".join(f"{k} {v:.1f}" for k, v in row.items()), file=sys.stderr)
            found = {key: round(statistics.median(row[key] for row in rows), 1) for key in rows[0]}
            found["ratio"] = round(statistics.median(row["ours"] / row["theirs"] for row in rows), 2)
            found["ratio_cpu"] = round(statistics.median(row["ours_cpu"] / row["theirs_cpu"] for row in rows), 2)
            summary[name] = found
    print(json.dumps(summary))


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("what", choices=["step", "data"])
    parser.add_argument("--ours", default=str(ROOT / "target/release/slotcon") + " bench")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--batch", type=int, default=2)
    parser.add_argument("--side", type=int, default=257)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--steps", type=int, default=5)
    parser.add_argument("--from", dest="source", type=Path, help="labelled folder: images/, labels/, classes.json")
    parser.add_argument("--pictures", type=int, default=40)
    parser.add_argument("--crop", type=int, default=513)
    parser.add_argument("--seconds", type=float, default=6.0)
    options = parser.parse_args()
    {"step": step, "data": data}[options.what](options)


if __name__ == "__main__":
    enter_venv()
    main()
