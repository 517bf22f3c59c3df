"""Makes jpeg_variants.tar: every way in which libjpeg-turbo's cjpeg writes the same small picture (sampling factors, order and split
of scans, progressive, restarts, arithmetic coding, sizes), and jpeg_variants.json: the CRC-32 of the RGB bytes to which Pillow
decodes each; null where Pillow refuses it.

    sudo apt-get install libjpeg-turbo-progs; python -m venv venv && venv/bin/pip install pillow==13.0.0 numpy
    venv/bin/python make_jpeg_variants.py
"""

import io
import itertools
import json
import subprocess
import tarfile
import tempfile
import zlib
from pathlib import Path

import numpy as np
from PIL import Image

here = Path(__file__).parent
SAMPLINGS = ["1x1", "2x1", "1x2", "2x2", "4x1", "1x4", "4x2", "3x1", "1x1,2x1,2x1", "1x1,1x2,2x2", "2x2,2x1,1x2", "2x1,1x1,2x1",
             "2x2,2x2,1x1", "1x2,2x1,1x1"]
SCANS = {
    "together": None,
    "apart": "0; 1; 2;",
    "backwards": "2; 1; 0;",
    "two": "0; 1 2;",
    "colours-first": "1 2; 0;",
    "progressive": "0 1 2: 0-0, 0, 1; 0: 1-5, 0, 2; 2: 1-63, 0, 1; 1: 1-63, 0, 1; 0: 6-63, 0, 2; 0: 1-63, 2, 1; 0 1 2: 0-0, 1, 0;"
                   " 2: 1-63, 1, 0; 1: 1-63, 1, 0; 0: 1-63, 1, 0;",
    "spectral": "1: 0-0, 0, 0; 0: 0-0, 0, 0; 2: 0-0, 0, 0; 2: 1-63, 0, 0; 0: 1-9, 0, 0; 0: 10-63, 0, 0; 1: 1-63, 0, 0;",
}
SIZES = [(37, 26), (16, 33)]


def picture(width, height):
    y, x = np.mgrid[0:height, 0:width]
    return np.stack([x * 255 / width, 128 + 100 * np.sin(x / 3) * np.cos(y / 4), 255 - y * 255 / height], -1).astype(np.uint8)


def encode(folder, size, sampling, scans, restart, arithmetic):
    source = folder / "picture.ppm"
    Image.fromarray(picture(*size)).save(source)
    command = ["cjpeg", "-quality", "85", "-sample", sampling]
    if SCANS[scans]:
        (folder / "scans").write_text(SCANS[scans])
        command += ["-scans", str(folder / "scans")]
    command += ["-restart", f"{restart}B"] if restart else []
    command += ["-arithmetic"] if arithmetic else []
    done = subprocess.run([*command, str(source)], capture_output=True)
    return done.stdout if done.returncode == 0 else None


def main():
    expected = {}
    with tempfile.TemporaryDirectory() as folder, tarfile.open(here / "jpeg_variants.tar", "w") as archive:
        for size, sampling, scans, restart, arithmetic in itertools.product(SIZES, SAMPLINGS, SCANS, (0, 3), (False, True)):
            data = encode(Path(folder), size, sampling, scans, restart, arithmetic)
            if data is None:
                continue
            name = f"{size[0]}x{size[1]}_{sampling.replace(',', '-')}_{scans}{'_restarts' if restart else ''}{'_arithmetic' if arithmetic else ''}.jpg"
            try:
                expected[name] = zlib.crc32(Image.open(io.BytesIO(data)).convert("RGB").tobytes())
            except OSError:
                expected[name] = None
            entry = tarfile.TarInfo(name)
            entry.size = len(data)
            archive.addfile(entry, io.BytesIO(data))
    (here / "jpeg_variants.json").write_text(json.dumps(expected, indent=0) + "\n")
    print(len(expected), "variants,", sum(value is None for value in expected.values()), "of them refused by Pillow")


main()
