"""Makes the pictures in this folder and, under expected/, what Pillow's convert("RGB") makes of each.

    python -m venv venv && venv/bin/pip install pillow==13.0.0 numpy simplejpeg && venv/bin/python make.py
"""

from pathlib import Path

import numpy as np
import simplejpeg
from PIL import Image

here = Path(__file__).parent
(here / "expected").mkdir(exist_ok=True)

y, x = np.mgrid[0:37, 0:53]
rgb = np.stack([x * 4.5, y * 6.5, 128 + 90 * np.sin(x / 9) * np.cos(y / 7)], -1).astype(np.uint8)
colour = Image.fromarray(rgb)
gray = colour.convert("L")
alpha = Image.fromarray((255 * (np.hypot(x - 26, y - 18) < 15)).astype(np.uint8))
rgba = colour.copy()
rgba.putalpha(alpha)

jpeg = {"quality": 92}
colour.save(here / "444.jpg", subsampling="4:4:4", **jpeg)
colour.save(here / "422.jpg", subsampling="4:2:2", **jpeg)
colour.save(here / "420.jpg", subsampling="4:2:0", **jpeg)
# What Pillow calls 4:1:1 is 4:2:0.
(here / "411.jpg").write_bytes(simplejpeg.encode_jpeg(rgb, colorsubsampling="411", quality=92))
(here / "440.jpg").write_bytes(simplejpeg.encode_jpeg(rgb, colorsubsampling="440", quality=92))
colour.save(here / "progressive.jpg", progressive=True, **jpeg)
colour.save(here / "restart.jpg", restart_marker_blocks=2, **jpeg)
colour.save(here / "rgb.jpg", keep_rgb=True, **jpeg)
gray.save(here / "gray.jpg", **jpeg)
gray.save(here / "gray_progressive.jpg", progressive=True, **jpeg)
colour.convert("CMYK").save(here / "cmyk.jpg", **jpeg)
colour.convert("CMYK").save(here / "cmyk_progressive.jpg", progressive=True, **jpeg)
Image.new("RGB", (1, 1), (200, 100, 50)).save(here / "1x1.jpg", **jpeg)

colour.save(here / "rgb.png")
gray.save(here / "gray.png")
rgba.save(here / "rgba.png")
rgba.convert("LA").save(here / "gray_alpha.png")
colour.quantize(17).save(here / "palette.png")
colour.quantize(17).save(here / "palette_transparent.png", transparency=3)
gray.point(lambda v: 255 * (v > 99)).convert("1").save(here / "1bit.png")
colour.resize((60, 30)).save(here / "named_wrong.txt", format="PNG")

colour.save(here / "lossless.webp", lossless=True)
rgba.save(here / "alpha.webp", lossless=True, exact=True)
colour.save(here / "lossy.webp", quality=95)
colour.save(here / "plain.tiff")
colour.save(here / "lzw.tiff", compression="tiff_lzw")
gray.save(here / "gray.tiff")
rgba.save(here / "rgba.tiff")
colour.save(here / "rgb.bmp")
gray.save(here / "gray.bmp")
frames = [colour.quantize(32), colour.transpose(Image.Transpose.ROTATE_180).quantize(32)]
frames[0].save(here / "two_frames.gif", save_all=True, append_images=frames[1:])

for path in sorted(here.iterdir()):
    if path.suffix in {".py", ""}:
        continue
    Image.open(path).convert("RGB").save(here / "expected" / (path.name + ".png"))

# One picture for each EXIF orientation; expected as ImageOps.exif_transpose shows it.
from PIL import ImageOps

for orientation in range(1, 9):
    exif = Image.Exif()
    exif[0x0112] = orientation
    name = f"exif{orientation}.jpg"
    colour.save(here / name, exif=exif, subsampling="4:4:4", **jpeg)
    ImageOps.exif_transpose(Image.open(here / name)).save(here / "expected" / (name + ".png"))

# The shorter side brought to n, the centred n x n square cut out: bilinear for pictures, nearest for label maps.
(here / "resized").mkdir(exist_ok=True)
labels = Image.open(here / "palette.png")
for n in (20, 31, 37, 64):
    width, height = int(n * 53 / 37), n
    left = int(round((width - n) / 2.0))
    box = (left, 0, left + n, n)
    colour.resize((width, height), Image.Resampling.BILINEAR).crop(box).save(here / "resized" / f"picture{n}.png")
    labels.resize((width, height), Image.Resampling.NEAREST).crop(box).save(here / "resized" / f"labels{n}.png")
