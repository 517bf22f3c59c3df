"""Wrote the MAT-files beside it (scipy 1.17.1): structures as those of SBD's dataset/cls, and one that is none."""

from pathlib import Path

import numpy
from scipy.io import savemat

HERE = Path(__file__).parent
MAP = numpy.array([[0, 1, 2, 3], [4, 20, 255, 0], [7, 7, 7, 9]], dtype=numpy.uint8)
BOUNDARIES = numpy.empty((20, 1), dtype=object)
for i in range(20):
    BOUNDARIES[i, 0] = numpy.zeros((3, 4), dtype=numpy.uint8)


def gtcls(segmentation):
    return {"GTcls": {"Boundaries": BOUNDARIES, "Segmentation": segmentation, "CategoriesPresent": numpy.array([[1], [2]], dtype=numpy.uint8)}}


savemat(HERE / "compressed.mat", gtcls(MAP), do_compression=True)
savemat(HERE / "plain.mat", gtcls(MAP), do_compression=False)
savemat(HERE / "double.mat", {"first": 1.5} | gtcls(MAP.astype(float)), do_compression=True)
savemat(HERE / "other.mat", {"GTinst": {"Segmentation": MAP}}, do_compression=True)
