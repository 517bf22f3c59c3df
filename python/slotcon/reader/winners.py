"""The winning prototype of every pixel from scores on a coarse grid, in bounded memory."""

from __future__ import annotations

import torch
from torch import Tensor

#: Bytes of upsampled scores held at a time.
_BAND_BYTES = 128 << 20


def winners(scores: Tensor, height: int, width: int) -> Tensor:
    """Scores `[K, h, w]` brought to `height` x `width` bilinearly (as `F.interpolate(…, align_corners=False)`), then the arg-max
    over K, `[height, width]`."""
    k, h, w = scores.shape
    rows, columns = (_interpolation(to, at).to(scores) for to, at in ((height, h), (width, w)))
    band = max(1, min(height, _BAND_BYTES // (4 * width * k)))
    flat = scores.permute(1, 2, 0).reshape(h, w * k)
    found = []
    for first in range(0, height, band):
        stretched = (rows[first : first + band] @ flat).reshape(-1, w, k)
        found.append((columns @ stretched).argmax(-1))
    return torch.cat(found)


def _interpolation(to: int, at: int) -> Tensor:
    """`[to, at]`: row i holds the weights of the source cells for output cell i, pixel centres aligned."""
    place = ((torch.arange(to, dtype=torch.float64) + 0.5) * at / to - 0.5).clamp(min=0)
    low = place.long().clamp(max=at - 1)
    high = (low + 1).clamp(max=at - 1)
    fraction = place - low
    matrix = torch.zeros(to, at, dtype=torch.float64)
    index = torch.arange(to)
    matrix.index_put_((index, low), 1 - fraction, accumulate=True)
    matrix.index_put_((index, high), fraction, accumulate=True)
    return matrix
