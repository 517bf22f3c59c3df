"""Backbone, projector and prototypes as one module."""

from __future__ import annotations

from typing import Any, Literal, Sequence, Union, overload

import numpy
import torch
from torch import Tensor, nn
from torch.nn import functional

from slotcon.reader.backbone import Backbone
from slotcon.reader.transform import Picture, Transform, opened
from slotcon.reader.winners import winners

#: Added to every assignment, so that no slot is an average over nothing.
_EPS = 1e-6


class SlotCon(nn.Module):
    """One of the two networks of a run, in evaluation mode.

    `m(x)` of normalised pictures `[B, 3, H, W]` is a dictionary of `features` `[B, C, h, w]`, the backbone's last map; `dense`
    `[B, D, h, w]`, the projector's output; and `scores` `[B, K, h, w]`, the cosine of every position with every prototype.

    Args:
        arch: name of the backbone.
        output_stride: pixels per position; 0: the architecture's own.
        hidden: hidden features of the projector.
        output: D, features of a position.
        prototypes: K.
        temperature: τ_t, of the assignment.
        recipe: everything that defined the run.
    """

    def __init__(
        self,
        arch: str,
        *,
        output_stride: int = 0,
        hidden: int = 4096,
        output: int = 256,
        prototypes: int = 256,
        temperature: float = 0.07,
        recipe: dict[str, Any] | None = None,
    ) -> None:
        super().__init__()
        #: torchvision's ResNet without a classifier; `backbone.forward_features(x)` is its last map.
        self.backbone = Backbone(arch, output_stride)
        self.projector = _projector(self.backbone.num_features, hidden, output)
        #: The prototypes `[K, D]`, not normalised.
        self.prototypes = nn.Parameter(torch.zeros(prototypes, output))
        #: τ_t.
        self.temperature = temperature
        #: Everything that defined the run, by section.
        self.recipe: dict[str, Any] = recipe or {}
        #: A picture as `embed` sees it, `[3, 320, 320]`: for a `DataLoader`.
        self.transform = Transform()
        self.eval()

    def forward(self, x: Tensor) -> dict[str, Tensor]:
        features = self.backbone.forward_features(x)
        dense = self.projector(features)
        return {"features": features, "dense": dense, "scores": self.scores(dense)}

    def scores(self, dense: Tensor) -> Tensor:
        """Cosine of dense features `[B, D, h, w]` with every prototype, `[B, K, h, w]`."""
        unit, prototypes = functional.normalize(dense, dim=1), functional.normalize(self.prototypes, dim=1)
        return functional.conv2d(unit, prototypes[:, :, None, None])

    def slots(self, dense: Tensor, scores: Tensor) -> tuple[Tensor, Tensor]:
        """The mean feature of each prototype's group `[B, K, D]`, and which of them count `[B, K]`: those that win a position."""
        scores = scores.flatten(2)
        assignment = (scores / self.temperature).softmax(1) + _EPS
        slots = assignment @ dense.flatten(2).transpose(1, 2) / assignment.sum(2, keepdim=True)
        wins = functional.one_hot(scores.argmax(1), scores.shape[1]).amax(1)
        return slots, wins.bool()

    @torch.no_grad()
    def segment(self, image: Picture, side: int = 320) -> numpy.ndarray:
        """The number of the winning prototype at every pixel of a picture, int64 `[H, W]` in its own size.

        Args:
            image: a file, Pillow's image, or RGB bytes `[H, W, 3]`.
            side: short side in pixels at which the network sees it.
        """
        picture = opened(image)
        seen = Transform(side, square=False)(picture)
        scores = self(self._placed(seen[None]))["scores"][0]
        width, height = picture.size
        return winners(scores, height, width).cpu().numpy()

    @overload
    def embed(
        self, images: Sequence[Picture], what: Literal["global", "dense"] = ..., *, side: int = ..., batch: int = ...
    ) -> numpy.ndarray: ...

    @overload
    def embed(
        self, images: Sequence[Picture], what: Literal["slots"], *, side: int = ..., batch: int = ...
    ) -> tuple[numpy.ndarray, numpy.ndarray]: ...

    @torch.no_grad()
    def embed(
        self,
        images: Sequence[Picture],
        what: Literal["global", "dense", "slots"] = "global",
        *,
        side: int = 320,
        batch: int = 16,
    ) -> Union[numpy.ndarray, tuple[numpy.ndarray, numpy.ndarray]]:
        """Features of pictures that are resized and cut to the central square, float32, one row a picture.

        Args:
            images: files, Pillow's images, or arrays of RGB bytes.
            what: `global`, the backbone's map averaged, `[N, C]`; `dense`, the projector's output, `[N, D, h, w]`; `slots`, two
                arrays: the mean feature of each prototype's group `[N, K, D]`, and which of them count, bool `[N, K]`.
            side: side of the square in pixels.
            batch: pictures that pass the network at a time.
        """
        if what not in ("global", "dense", "slots"):
            raise ValueError(f"what={what!r}: it is global, dense or slots")
        transform = Transform(side)
        rows: list[tuple[Tensor, ...]] = []
        for first in range(0, len(images), batch):
            x = self._placed(torch.stack([transform(image) for image in images[first : first + batch]]))
            if what == "global":
                rows.append((self.backbone(x),))
                continue
            out = self(x)
            rows.append((out["dense"],) if what == "dense" else self.slots(out["dense"], out["scores"]))
        arrays = [torch.cat(parts).cpu().numpy() for parts in zip(*rows)]
        if not arrays:
            raise ValueError("embed needs a picture at least")
        return (arrays[0], arrays[1]) if what == "slots" else arrays[0]

    def _placed(self, x: Tensor) -> Tensor:
        return x.to(self.prototypes)


def _projector(channels: int, hidden: int, output: int) -> nn.Sequential:
    """1x1 convolution, batch norm, GELU, twice; then a 1x1 convolution."""
    first = [nn.Conv2d(channels, hidden, 1), nn.BatchNorm2d(hidden), nn.GELU()]
    second = [nn.Conv2d(hidden, hidden, 1), nn.BatchNorm2d(hidden), nn.GELU()]
    return nn.Sequential(*first, *second, nn.Conv2d(hidden, output, 1))
