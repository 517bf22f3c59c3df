#!/usr/bin/env python3
"""The peer of `slotcon evaluate coco`: pycocotools on the same files, in turn, with the numbers of both compared.

The pictures of an annotation file, their objects and their detections are repeated under new numbers until there are --pictures of
them. pycocotools' time is from reading the files to the twelve numbers, without Python's start; slotcon's is that of the whole process.

    .venv/bin/python benches/peers/coco.py --slotcon target/release/slotcon --annotations A.json --results R.json
"""

import argparse
import contextlib
import io
import json
import os
import statistics
import subprocess
import tempfile
import time
from pathlib import Path

from pycocotools.coco import COCO
from pycocotools.cocoeval import COCOeval

NAMES = ["AP", "AP50", "AP75", "APs", "APm", "APl", "AR1", "AR10", "AR100", "ARs", "ARm", "ARl"]


def repeat(truth, results, pictures, folder):
    """Files with so many pictures; gives their paths."""
    images, annotations, found = [], [], []
    while len(images) < pictures:
        left = pictures - len(images)
        numbers = {image["id"]: len(images) + i + 1 for i, image in enumerate(truth["images"][:left])}
        images += [{**image, "id": numbers[image["id"]]} for image in truth["images"][:left]]
        for one in truth["annotations"]:
            if one["image_id"] in numbers:
                annotations.append({**one, "id": len(annotations) + 1, "image_id": numbers[one["image_id"]]})
        found += [{**one, "image_id": numbers[one["image_id"]]} for one in results if one["image_id"] in numbers]
    paths = folder / "annotations.json", folder / "results.json"
    paths[0].write_text(json.dumps({"images": images, "annotations": annotations, "categories": truth["categories"]}))
    paths[1].write_text(json.dumps(found))
    return *paths, len(annotations), len(found)


def peer(annotations, results, kind):
    with contextlib.redirect_stdout(io.StringIO()):
        truth = COCO(str(annotations))
        found = json.loads(results.read_text())
        if kind == "segm":
            # As detectron2 does: with a box, sizes would be those of boxes.
            for one in found:
                one.pop("bbox", None)
        evaluation = COCOeval(truth, truth.loadRes(found), kind)
        evaluation.evaluate()
        evaluation.accumulate()
        evaluation.summarize()
    return evaluation.stats


def ours(program, annotations, results, kind, threads):
    words = [program, "evaluate", "coco", "--annotations", annotations, "--results", results, "--kind", kind, "--json"]
    environment = {**os.environ, "RAYON_NUM_THREADS": str(threads)}
    output = subprocess.run(words, env=environment, capture_output=True, text=True, check=True).stdout
    return json.loads(output.splitlines()[-1])[kind]


def timed(work):
    start = time.perf_counter()
    found = work()
    return time.perf_counter() - start, found


def main():
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument("--slotcon", required=True)
    p.add_argument("--annotations", type=Path, required=True)
    p.add_argument("--results", type=Path, required=True)
    p.add_argument("--pictures", type=int, default=5000)
    p.add_argument("--threads", type=int, default=2, help="of slotcon; pycocotools has one")
    p.add_argument("--rounds", type=int, default=3)
    c = p.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        truth, results = json.loads(c.annotations.read_text()), json.loads(c.results.read_text())
        annotations, results, objects, detections = repeat(truth, results, c.pictures, Path(folder))
        print(f"{c.pictures} pictures, {objects} objects, {detections} detections", flush=True)
        for kind in ["bbox", "segm"]:
            ratios = []
            for _ in range(c.rounds):
                theirs, numbers = timed(lambda: peer(annotations, results, kind))
                own, found = timed(lambda: ours(c.slotcon, annotations, results, kind, c.threads))
                for name, value in zip(NAMES, numbers, strict=True):
                    assert abs(found[name] - value) <= 1e-9, (kind, name, found[name], value)
                ratios.append(theirs / own)
                print(json.dumps({"kind": kind, "pycocotools_s": theirs, "slotcon_s": own, "times": theirs / own}), flush=True)
            print(f"{kind}: {statistics.median(ratios):.1f} times as fast (median of {c.rounds} rounds)", flush=True)


if __name__ == "__main__":
    main()
