"""Detectors elsewhere: called by `cargo xtask test --interop` in its virtual environment.

`detector.py detections SLOTCON FOLDER` measures what `evaluate instances` and `detect` wrote with pycocotools and compares all numbers
with ours; `detector.py exported SLOTCON FOLDER` holds the pickles for detectron2 against the names and shapes of its own state dict;
`detector.py zoo SLOTCON FOLDER` lets SLOTCON import files in the layouts of detectron2's zoo.
"""

import contextlib
import copy
import io
import json
import pickle
import subprocess
import sys
from pathlib import Path

import numpy
from pycocotools.coco import COCO
from pycocotools.cocoeval import COCOeval
from safetensors.numpy import load_file

NAMES = ["AP", "AP50", "AP75", "APs", "APm", "APl", "AR1", "AR10", "AR100", "ARs", "ARm", "ARl"]


def measured(truth, results, kind):
    """The twelve numbers, and AP by name of category."""
    results = copy.deepcopy(results)
    if kind == "segm":
        # As detectron2 does: with a box, sizes would be those of boxes.
        for result in results:
            del result["bbox"]
    with contextlib.redirect_stdout(io.StringIO()):
        evaluation = COCOeval(truth, truth.loadRes(results), kind)
        evaluation.evaluate()
        evaluation.accumulate()
        evaluation.summarize()
    by_category = {}
    for index, category in enumerate(truth.loadCats(evaluation.params.catIds)):
        precision = evaluation.eval["precision"][:, :, index, 0, -1]
        precision = precision[precision > -1]
        by_category[category["name"]] = precision.mean() if precision.size else None
    return dict(zip(NAMES, evaluation.stats, strict=True)), by_category


def detections(slotcon, folder):
    case = json.loads((folder / "detections.json").read_text())
    ours = json.loads((folder / case["ours"]).read_text())
    with contextlib.redirect_stdout(io.StringIO()):
        truth = COCO(case["annotations"])
    by_file = json.loads((folder / case["detected"]).read_text())
    found = [{**one, "image_id": case["pictures"][name]} for name, all in by_file.items() for one in all]
    for what, results in [("evaluate instances", json.loads((folder / case["results"]).read_text())), ("detect", found)]:
        for kind in ["bbox", "segm"]:
            numbers, by_category = measured(truth, results, kind)
            for name, value in numbers.items():
                assert abs(value - ours[kind][name]) <= 1e-9, (what, kind, name, value, ours[kind][name])
            assert by_category.keys() == ours[kind]["per_category"].keys()
            for name, value in by_category.items():
                assert abs(value - ours[kind]["per_category"][name]) <= 1e-9, (what, kind, name)
            print(f"{what}, {kind}: {len(results)} detections, AP {numbers['AP']:.4f}, all twelve numbers equal in pycocotools")


def exported(slotcon, folder):
    for case in json.loads((folder / "detectors.json").read_text()):
        with open(folder / case["file"], "rb") as file:
            found = pickle.load(file)
        assert "__author__" in found and "matching_heuristics" not in found, found.keys()
        model = found["model"]
        assert all(type(array) is numpy.ndarray for array in model.values())
        shapes = [[name, list(array.shape)] for name, array in model.items()]
        expected = [[name, shape] for name, shape in case["names"]]
        assert shapes == expected, [pair for pair in zip(shapes, expected) if pair[0] != pair[1]][:3]
        ours = load_file(case["checkpoint"])
        for name, array in model.items():
            assert numpy.array_equal(array, ours["model." + name]), name
        print(f"{Path(case['record']).stem}: {len(model)} arrays with the names, shapes and order of detectron2's state dict")


def zoo(slotcon, folder):
    """Files in the layouts of detectron2's zoo: whole detectors, and a backbone under Caffe2's names, which is refused."""
    random = numpy.random.default_rng(3)
    for number, case in enumerate(json.loads((folder / "detectors.json").read_text())):
        model = {}
        for name, shape in case["names"]:
            # Frozen norms count no batches.
            if not name.endswith("num_batches_tracked"):
                model[name] = random.uniform(0.5, 1.5, shape).astype(numpy.float32)
        constants = {
            "pixel_mean": numpy.array([103.53, 116.28, 123.675], numpy.float32).reshape(3, 1, 1),
            "pixel_std": numpy.ones((3, 1, 1), numpy.float32),
            "proposal_generator.anchor_generator.cell_anchors.0": numpy.zeros((3, 4), numpy.float32),
        }
        path, out = folder / f"model_final_{number}.pkl", folder / f"imported{number}.safetensors"
        for protocol in [2, 4]:
            with open(path, "wb") as file:
                pickle.dump({"model": {**constants, **model}, "__author__": "Detectron2 Model Zoo"}, file, protocol=protocol)
            words = [slotcon, "import", "--from", path, "--out", out, "--overwrite"]
            said = subprocess.run(words, check=True, capture_output=True, text=True).stdout
            assert "(caffe2)" in said and "their first convolution" in said, said
            found = load_file(out)
            for name, array in model.items():
                assert numpy.array_equal(array, found["model." + name]), name
        print(f"{Path(case['record']).stem} in the zoo's layout: {len(model)} arrays imported")
    path = folder / "R-50.pkl"
    blobs = {name: numpy.zeros((4, 4), numpy.float32) for name in ["conv1_w", "res2_0_branch2a_w", "res2_0_branch2a_bn_s"]}
    for content in [blobs, {"blobs": blobs}]:
        with open(path, "wb") as file:
            pickle.dump(content, file, protocol=2)
        words = [slotcon, "import", "--from", path, "--out", folder / "none.safetensors"]
        refused = subprocess.run(words, capture_output=True, text=True)
        assert refused.returncode != 0 and "Caffe2's names" in refused.stderr, refused.stderr
    print("a backbone under Caffe2's names is refused in words")


if __name__ == "__main__":
    {"detections": detections, "exported": exported, "zoo": zoo}[sys.argv[1]](sys.argv[2], Path(sys.argv[3]))
