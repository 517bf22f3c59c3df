#!/usr/bin/env python3
"""The peer of `slotcon bench instances`: one training step of torchvision's Mask R-CNN, built with the structure that SlotCon
transfers to (batch norm in backbone, pyramid, box and mask head; four convolutions and one fully connected layer in the box head),
on the same random pictures with as many objects.

    .venv/bin/python benches/peers/detection.py --batch 2 --size 320 480 --threads 2
    slotcon bench instances --recipe coco-maskrcnn-r50-fpn-90k --set optim.batch=2 --set run.threads=2 --size 320 480

Run them in turn and take the ratio.
"""

import argparse
import json
import statistics
import time

import torch
import torchvision
from torch import nn
from torchvision.models.detection import MaskRCNN
from torchvision.models.detection.anchor_utils import AnchorGenerator
from torchvision.models.detection.backbone_utils import _resnet_fpn_extractor
from torchvision.models.detection.faster_rcnn import FastRCNNConvFCHead
from torchvision.models.detection.mask_rcnn import MaskRCNNHeads
from torchvision.models.detection.rpn import RPNHead


def network(classes, size, arch):
    norm = nn.BatchNorm2d
    body = getattr(torchvision.models, arch)(weights=None, norm_layer=norm)
    backbone = _resnet_fpn_extractor(body, 5, norm_layer=norm)
    anchors = AnchorGenerator(((32,), (64,), (128,), (256,), (512,)), ((0.5, 1.0, 2.0),) * 5)
    return MaskRCNN(
        backbone, num_classes=classes + 1, min_size=min(size), max_size=max(size), rpn_anchor_generator=anchors,
        rpn_head=RPNHead(256, 3), box_head=FastRCNNConvFCHead((256, 7, 7), [256] * 4, [1024], norm_layer=norm),
        mask_head=MaskRCNNHeads(256, [256] * 4, 1, norm_layer=norm), rpn_pre_nms_top_n_train=2000,
        rpn_post_nms_top_n_train=1000, rpn_score_thresh=0.0)


def objects(count, size, classes):
    """As `slotcon bench instances` draws them: squares on a grid, each with its own side."""
    height, width = size
    boxes, masks, labels = [], torch.zeros(count, height, width, dtype=torch.uint8), []
    for i in range(count):
        side = 16 + (i * 37) % (min(size) // 2)
        x, y = (i * 53) % (width - side), (i * 29) % (height - side)
        boxes.append([x, y, x + side, y + side])
        masks[i, y:y + side, x:x + side] = 1
        labels.append(1 + (i * 7) % classes)
    return {"boxes": torch.tensor(boxes, dtype=torch.float32), "labels": torch.tensor(labels), "masks": masks}


def main():
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument("--arch", default="resnet50")
    p.add_argument("--batch", type=int, default=2)
    p.add_argument("--size", type=int, nargs=2, default=(320, 480), metavar=("HEIGHT", "WIDTH"))
    p.add_argument("--objects", type=int, default=8)
    p.add_argument("--layout", default="contiguous", choices=["contiguous", "channels_last"])
    p.add_argument("--device", default="cpu")
    p.add_argument("--threads", type=int, default=2)
    p.add_argument("--warmup", type=int, default=1)
    p.add_argument("--steps", type=int, default=5)
    c = p.parse_args()
    torch.set_num_threads(c.threads)
    torch.manual_seed(0)
    device, classes = torch.device(c.device), 80
    model = network(classes, c.size, c.arch).train().to(device)
    if c.layout == "channels_last":
        model = model.to(memory_format=torch.channels_last)
    sgd = torch.optim.SGD(model.parameters(), lr=0.01, momentum=0.9, weight_decay=1e-4)
    pictures = [torch.rand(3, *c.size, device=device) for _ in range(c.batch)]
    truths = [{k: v.to(device) for k, v in objects(c.objects, c.size, classes).items()} for _ in range(c.batch)]
    times = []
    for i in range(c.warmup + c.steps):
        start = time.perf_counter()
        loss = sum(model(pictures, truths).values())
        sgd.zero_grad()
        loss.backward()
        sgd.step()
        loss.item()
        if i >= c.warmup:
            times.append(time.perf_counter() - start)
    print(json.dumps({"median_s": statistics.median(times), "min_s": min(times), "layout": c.layout,
                      "parameters": sum(p.numel() for p in model.parameters())}))


if __name__ == "__main__":
    main()
