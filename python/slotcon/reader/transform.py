"""Pictures as the network takes them: Pillow's resizing, ImageNet's normalisation, as the program does both."""

from __future__ import annotations

import math
import os
from dataclasses import dataclass
from typing import Union

import numpy
import torch
from PIL import Image
from torch import Tensor

from slotcon.errors import Error

#: A picture: its file, Pillow's image, or RGB bytes `[H, W, 3]`.
Picture = Union[str, "os.PathLike[str]", Image.Image, numpy.ndarray]

MEAN = (0.485, 0.456, 0.406)
STD = (0.229, 0.224, 0.225)


@dataclass(frozen=True)
class Transform:
    """Makes a picture a normalised tensor `[3, h, w]` in float32.

    Args:
        side: the short side in pixels to which it is resized.
        square: cut the centred square, so that pictures of all shapes stack into batches.
    """

    side: int = 320
    square: bool = True

    def __call__(self, picture: Picture) -> Tensor:
        return normalise(self.resize(opened(picture)))

    def resize(self, image: Image.Image) -> Image.Image:
        """The resized (and cut) picture."""
        width, height = image.size
        short = min(width, height)
        if not self.square:
            # One absurdly long is squeezed.
            to = [min(max(math.floor(n * self.side / short + 0.5), 1), 16 * self.side) for n in (width, height)]
            return image.resize(to, Image.Resampling.BILINEAR)
        resized = image.resize([n * self.side // short for n in (width, height)], Image.Resampling.BILINEAR)
        left, top = (round((n - self.side) / 2) for n in resized.size)
        return resized.crop((left, top, left + self.side, top + self.side))


def opened(picture: Picture) -> Image.Image:
    """A picture as Pillow's RGB image.

    Raises:
        Error: a file that is no picture, an array of another shape or type.
    """
    if isinstance(picture, Image.Image):
        return picture.convert("RGB")
    if isinstance(picture, numpy.ndarray):
        if picture.dtype != numpy.uint8 or picture.ndim != 3 or picture.shape[2] != 3:
            raise Error(f"an array of {picture.dtype} {list(picture.shape)} is no picture: RGB bytes are uint8 [H, W, 3]")
        return Image.fromarray(picture)
    try:
        with Image.open(picture) as image:
            return image.convert("RGB")
    except OSError as error:
        raise Error(f"{os.fspath(picture)}: cannot be read as a picture: {error}") from error


def normalise(image: Image.Image) -> Tensor:
    """RGB bytes to float32 `[3, height, width]`, minus ImageNet's mean, over its deviation."""
    mean, std = (torch.tensor(values) * 255.0 for values in (MEAN, STD))
    pixels = torch.from_numpy(numpy.array(image)).to(torch.float32)
    return ((pixels - mean) / std).permute(2, 0, 1)
