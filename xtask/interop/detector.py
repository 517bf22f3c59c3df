"""Detectors elsewhere: called by `cargo xtask test --interop` in its virtual environment.

`detector.py detections SLOTCON FOLDER` measures what `evaluate instances` and `detect` wrote with pycocotools and compares all numbers
with ours; `detector.py exported SLOTCON FOLDER` holds the pickles for detectron2 against the names and shapes of its own state dict.
"""

import contextlib
import copy
import io
import json
import pickle
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


if __name__ == "__main__":
    {"detections": detections, "exported": exported}[sys.argv[1]](sys.argv[2], Path(sys.argv[3]))
