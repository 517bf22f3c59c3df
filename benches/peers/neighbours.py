#!/usr/bin/env python3
"""What `slotcon evaluate retrieval` and `slotcon evaluate knn` compute, in plain NumPy and float64, on made-up features.

    python3 benches/peers/neighbours.py fixtures/neighbours

writes fixtures/neighbours.json and fixtures/neighbours.safetensors: inputs, and the numbers that follow from them. Needs numpy and
safetensors. A neighbour or a class that is chosen by less than 1e-5 is refused, so that float32 chooses the same.
"""

import json
import sys

import numpy as np
from safetensors.numpy import save_file

IGNORE = 255
CLEAR = 1e-5


def unit(rows):
    return rows / np.linalg.norm(rows, axis=-1, keepdims=True)


def nearest(scores, *ks):
    """The highest of each row, the highest first, as many as the largest k, and their scores; clearly chosen for every k."""
    order = np.argsort(-scores, axis=1, kind="stable")
    sorted_scores = np.take_along_axis(scores, order, axis=1)
    for k in ks:
        assert (sorted_scores[:, k - 1] - sorted_scores[:, k] > CLEAR).all(), "neighbours too near to each other: change the seed"
    return order[:, : max(ks)], sorted_scores[:, : max(ks)]


def softmax(x):
    powers = np.exp(x - x.max(axis=1, keepdims=True))
    return powers / powers.sum(axis=1, keepdims=True)


def place_histograms(labels, grid, classes):
    """[h, w, C]: shares of the classes in the labelled pixels of each place, whole pixels only."""
    (height, width), (h, w) = labels.shape, grid
    cells = labels.reshape(h, height // h, w, width // w).transpose(0, 2, 1, 3).reshape(h, w, -1)
    counts = np.stack([(cells == c).sum(axis=-1) for c in range(classes)], axis=-1).astype(float)
    return counts / np.maximum(counts.sum(axis=-1, keepdims=True), 1)


def bilinear(maps, height, width):
    """[h, w, C] to [height, width, C], pixel centres aligned, borders repeated."""

    def between(new, old):
        at = np.clip((np.arange(new) + 0.5) * old / new - 0.5, 0, old - 1)
        low = np.floor(at).astype(int)
        return low, np.minimum(low + 1, old - 1), at - low

    top, bottom, down = between(height, maps.shape[0])
    left, right, across = between(width, maps.shape[1])
    rows = maps[top] * (1 - down)[:, None, None] + maps[bottom] * down[:, None, None]
    return rows[:, left] * (1 - across)[None, :, None] + rows[:, right] * across[None, :, None]


def iou(labels, predictions, classes):
    counted = labels != IGNORE
    labels, predictions = labels[counted], predictions[counted]
    by_class = []
    for c in range(classes):
        union = ((labels == c) | (predictions == c)).sum()
        by_class.append(((labels == c) & (predictions == c)).sum() / union if union else None)
    there = [value for value in by_class if value is not None]
    return by_class, float(np.mean(there)), float((labels == predictions).mean())


def retrieval(memory, memory_labels, queries, query_labels, classes, k, likeness):
    grid, dims = memory.shape[1:3], memory.shape[3]
    histograms = np.concatenate([place_histograms(labels, grid, classes).reshape(-1, classes) for labels in memory_labels])
    rows = memory.astype(float).reshape(-1, dims)
    kept = histograms.sum(axis=1) > 0
    rows, histograms = rows[kept], histograms[kept]
    asked = queries.astype(float).reshape(-1, dims)
    if likeness == "cosine":
        found, cosines = nearest(unit(asked) @ unit(rows).T, k)
        weights = softmax(cosines / 0.02)
    else:
        mean, std = rows.mean(axis=0), rows.std(axis=0)
        distances = ((((asked - mean) / std)[:, None] - ((rows - mean) / std)[None]) ** 2).sum(axis=-1)
        found, _ = nearest(-distances / 2, k)
        weights = np.full(found.shape, 1 / k)
    probabilities = (weights[:, :, None] * histograms[found]).sum(axis=1).reshape(*queries.shape[:3], classes)
    upsampled = np.stack([bilinear(maps, *query_labels.shape[1:]) for maps in probabilities])
    best = np.sort(upsampled, axis=-1)
    assert (best[..., -1] - best[..., -2] > CLEAR).all(), "classes too near to each other: change the seed"
    predictions = upsampled.argmax(axis=-1)
    by_class, miou, accuracy = iou(query_labels, predictions, classes)
    return {
        "likeness": likeness,
        "k": k,
        "classes": classes,
        "places": int(kept.sum()),
        "probabilities": probabilities.flatten().tolist(),
        "iou": by_class,
        "miou": miou,
        "pixel_accuracy": accuracy,
    }


def knn(memory, classes_of_memory, queries, classes_of_queries, classes, ks):
    found, cosines = nearest(unit(queries.astype(float)) @ unit(memory.astype(float)).T, *ks)
    votes = np.exp(cosines / 0.07)
    by_k = []
    for k in ks:
        sums = np.zeros((len(queries), classes))
        for i in range(len(queries)):
            np.add.at(sums[i], classes_of_memory[found[i, :k]], votes[i, :k])
        order = np.argsort(-sums, axis=1, kind="stable")[:, :5]
        voted = np.take_along_axis(sums, order, axis=1) > 0
        right = (order == classes_of_queries[:, None]) & voted
        by_k.append({"k": k, "top1": float(right[:, 0].mean()), "top5": float(right.any(axis=1).mean())})
    return {"classes": classes, "by_k": by_k}


def scene(random, count, grid, cell, classes, centres, noise):
    """Label maps of blocks, some pixels ignored, and features that hang together with them."""
    (h, w), (height, width) = grid, (grid[0] * cell, grid[1] * cell)
    labels = np.empty((count, height, width), np.uint8)
    features = np.empty((count, h, w, centres.shape[1]), np.float32)
    for i in range(count):
        blocks = random.integers(classes, size=(height // 3, width // 3))
        labels[i] = np.kron(blocks, np.ones((3, 3), int))
        labels[i][random.random((height, width)) < 0.1] = IGNORE
        # A place of which nothing is labelled.
        y, x = random.integers(h), random.integers(w)
        labels[i][y * cell : (y + 1) * cell, x * cell : (x + 1) * cell] = IGNORE
        mean = place_histograms(labels[i], grid, classes) @ centres
        features[i] = mean + noise * random.standard_normal(mean.shape)
    return features, labels


def main(place):
    random = np.random.default_rng(1)
    classes, grid, cell = 4, (4, 5), 6
    centres = random.standard_normal((classes, 8))
    memory, memory_labels = scene(random, 6, grid, cell, classes, centres, 0.4)
    queries, query_labels = scene(random, 2, grid, cell, classes, centres, 0.4)
    # Columns of widths that differ, as those of colour and place do.
    widths = 10.0 ** np.arange(-2, 6)[: memory.shape[-1]]
    cases = {
        "retrieval": [
            retrieval(memory, memory_labels, queries, query_labels, classes, 30, "cosine"),
            retrieval(memory * widths.astype(np.float32), memory_labels, queries * widths.astype(np.float32), query_labels, classes, 30, "standardised"),
        ],
    }
    kinds = 7
    middles = random.standard_normal((kinds, 6))
    sides = [random.integers(kinds, size=n) for n in (120, 60)]
    knn_memory, knn_queries = [(middles[side] + 1.2 * random.standard_normal((len(side), 6))).astype(np.float32) for side in sides]
    cases["knn"] = knn(knn_memory, sides[0], knn_queries, sides[1], kinds, [1, 10, 20, 100])
    save_file(
        {
            "retrieval0.memory": memory,
            "retrieval0.queries": queries,
            "retrieval1.memory": memory * widths.astype(np.float32),
            "retrieval1.queries": queries * widths.astype(np.float32),
            "memory_labels": memory_labels,
            "query_labels": query_labels,
            "knn.memory": knn_memory,
            "knn.queries": knn_queries,
            "knn.memory_classes": sides[0].astype(np.uint8),
            "knn.query_classes": sides[1].astype(np.uint8),
        },
        f"{place}.safetensors",
    )
    with open(f"{place}.json", "w") as file:
        json.dump(cases, file, indent=1)
        file.write("\n")


if __name__ == "__main__":
    if len(sys.argv) != 2:
        sys.exit(__doc__)
    main(sys.argv[1])
