"""The backbones by name, as torchvision's ResNet with the stems, shortcuts and strides that it has no argument for."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Union

from torch import Tensor, nn
from torchvision.models.resnet import BasicBlock, Bottleneck, ResNet

from slotcon.errors import Error


@dataclass(frozen=True)
class Spec:
    """What tells one ResNet from another; defaults are the plain ones'."""

    block: type[Union[BasicBlock, Bottleneck]]
    #: Blocks in each stage.
    blocks: tuple[int, int, int, int]
    #: Multiplier of every layer's width.
    width: int = 1
    #: Groups of the 3x3 convolutions, and width of a group over the stage's nominal width of 64.
    groups: int = 1
    group_width: int = 64
    #: Whether the stem is three 3x3 convolutions instead of one 7x7.
    deep: bool = False
    #: Whether an average pooling strides in front of the shortcut's convolution, instead of that convolution.
    pooled_shortcut: bool = False
    #: Pixels of the input per position of the output.
    output_stride: int = 32


_10 = (1, 1, 1, 1)
_18, _34, _101, _152 = (2, 2, 2, 2), (3, 4, 6, 3), (3, 4, 23, 3), (3, 8, 36, 3)
_D = {"deep": True, "pooled_shortcut": True}

ARCHS: dict[str, Spec] = {
    "resnet10": Spec(BasicBlock, _10),
    "resnet18": Spec(BasicBlock, _18),
    "resnet34": Spec(BasicBlock, _34),
    "resnet50": Spec(Bottleneck, _34),
    "resnet101": Spec(Bottleneck, _101),
    "resnet152": Spec(Bottleneck, _152),
    "resnet18_d": Spec(BasicBlock, _18, **_D),
    "resnet34_d": Spec(BasicBlock, _34, **_D),
    "resnet50_d": Spec(Bottleneck, _34, **_D),
    "resnet101_d": Spec(Bottleneck, _101, **_D),
    "resnet152_d": Spec(Bottleneck, _152, **_D),
    "resnet18_c": Spec(BasicBlock, _18, deep=True),
    "resnet50_c": Spec(Bottleneck, _34, deep=True),
    "resnet101_c": Spec(Bottleneck, _101, deep=True),
    "resnet50_16s": Spec(Bottleneck, _34, output_stride=16),
    "resnet50_w2x": Spec(Bottleneck, _34, width=2),
    "resnext101_32x8d": Spec(Bottleneck, _101, groups=32, group_width=8),
    "resnext152_32x8d": Spec(Bottleneck, _152, groups=32, group_width=8),
}


class Backbone(ResNet):
    """torchvision's ResNet without a classifier: `backbone(x)` is the last feature map averaged over the picture, `[B, C]`.

    Tensors have torchvision's names; those of a deep stem timm's.

    Args:
        arch: a name of `ARCHS`.
        output_stride: pixels per position, 8, 16 or 32; 0: the architecture's own.
    """

    def __init__(self, arch: str, output_stride: int = 0) -> None:
        spec = ARCHS.get(arch)
        if spec is None:
            raise Error(f"'{arch}' is no backbone that is known here; there are {', '.join(ARCHS)}")
        self._width = spec.width
        super().__init__(spec.block, list(spec.blocks), groups=spec.groups, width_per_group=spec.group_width)
        #: C, the channels of the feature map.
        self.num_features: int = 8 * 64 * spec.width * spec.block.expansion
        #: Pixels per position of the feature map.
        self.output_stride: int = output_stride or spec.output_stride
        self.fc = nn.Identity()
        stem = 64 * spec.width
        self.conv1 = _deep_stem() if spec.deep else nn.Conv2d(3, stem, 7, stride=2, padding=3, bias=False)
        self.bn1 = nn.BatchNorm2d(stem)
        for layer, (stride, dilation) in zip(self._stages(), _geometry(self.output_stride)):
            _reshape(layer, stride, dilation, spec.pooled_shortcut)

    def forward_features(self, x: Tensor) -> Tensor:
        """The last feature map `[B, C, h, w]` of normalised pictures `[B, 3, H, W]`."""
        x = self.maxpool(self.relu(self.bn1(self.conv1(x))))
        for layer in self._stages():
            x = layer(x)
        return x

    def _stages(self) -> tuple[nn.Sequential, ...]:
        return self.layer1, self.layer2, self.layer3, self.layer4

    def _make_layer(self, block, planes, blocks, stride=1, dilate=False):  # type: ignore[no-untyped-def, override]
        if planes == 64:
            self.inplanes = 64 * self._width
        return super()._make_layer(block, planes * self._width, blocks, stride, dilate)


def _geometry(output_stride: int) -> list[tuple[int, int]]:
    """Stride and dilation of each stage: what one does not stride it dilates."""
    if output_stride not in (8, 16, 32):
        raise Error(f"model.output_stride = {output_stride}: it is 8, 16 or 32")
    stages, stride, dilation = [(1, 1)], 4, 1
    for _ in range(3):
        if stride < output_stride:
            stride *= 2
            stages.append((2, 1))
        else:
            dilation *= 2
            stages.append((1, dilation))
    return stages


def _deep_stem() -> nn.Sequential:
    def conv(inputs: int, outputs: int, stride: int) -> nn.Conv2d:
        return nn.Conv2d(inputs, outputs, 3, stride=stride, padding=1, bias=False)

    first = [conv(3, 32, 2), nn.BatchNorm2d(32), nn.ReLU(inplace=True)]
    second = [conv(32, 32, 1), nn.BatchNorm2d(32), nn.ReLU(inplace=True)]
    return nn.Sequential(*first, *second, conv(32, 64, 1))


def _reshape(layer: nn.Sequential, stride: int, dilation: int, pooled: bool) -> None:
    """Gives a stage its stride and dilation, and the first block its kind of shortcut."""
    blocks = [block for block in layer if isinstance(block, (BasicBlock, Bottleneck))]
    for block in blocks:
        for conv in (block.conv1, block.conv2):
            if conv.kernel_size == (3, 3):
                conv.dilation = conv.padding = (dilation, dilation)
    first = blocks[0]
    strided = first.conv1 if isinstance(first, BasicBlock) else first.conv2
    strided.stride = (stride, stride)
    if not isinstance(first.downsample, nn.Sequential):
        return
    shortcut, norm = first.downsample
    if pooled:
        pool = nn.AvgPool2d(stride, stride, ceil_mode=True, count_include_pad=False) if stride > 1 else nn.Identity()
        first.downsample = nn.Sequential(pool, shortcut, norm)
        stride = 1
    if isinstance(shortcut, nn.Conv2d):
        shortcut.stride = (stride, stride)
