#!/usr/bin/env python3
"""Pictures a second: Pillow + torchvision with the official SlotCon augmentation, against slotcon's loader.

    python3 benches/peers/data.py --data FOLDER_OF_PHOTOS [--rounds 5] [--ours "COMMAND"]

Installs Pillow and torchvision into .venv/peers on first use (SLOTCON_PEERS_HERE=1 takes the running Python as it is). Both sides take turns on the same photos, each on one core:
one round of theirs, one of ours, and so on; the medians and their ratio are what counts. `--ours` is any command that takes
`--data FOLDER --threads N --json` and prints one JSON object with `pictures_per_second` on its last line.
"""

import argparse
import json
import math
import os
import random
import shlex
import statistics
import subprocess
import sys
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
VENV = ROOT / ".venv" / "peers"
PACKAGES = ["pillow==13.0.0", "torchvision==0.26.0"]


def enter_venv():
    """Runs this script again inside the virtual environment, made on first use."""
    if Path(sys.prefix).resolve() == VENV.resolve() or os.environ.get("SLOTCON_PEERS_HERE"):
        return
    python = VENV / "bin" / "python"
    done = VENV / "installed.txt"
    if not done.exists() or done.read_text() != "\n".join(PACKAGES):
        subprocess.run([sys.executable, "-m", "venv", str(VENV)], check=True)
        subprocess.run([str(python), "-m", "pip", "install", "--quiet", *PACKAGES], check=True)
        done.write_text("\n".join(PACKAGES))
    os.execv(python, [str(python), *sys.argv])


def make_pipeline(size=224, min_scale=0.08):
    """The paper's augmentation, put together from the library functions that the official code calls."""
    from PIL import Image, ImageFilter, ImageOps
    from torchvision import transforms
    from torchvision.transforms import functional as F

    finish = transforms.Compose(
        [transforms.ToTensor(), transforms.Normalize([0.485, 0.456, 0.406], [0.229, 0.224, 0.225])]
    )
    colours = transforms.Compose(
        [
            transforms.RandomApply([transforms.ColorJitter(0.4, 0.4, 0.2, 0.1)], p=0.8),
            transforms.RandomGrayscale(p=0.2),
        ]
    )

    def draw_box(width, height):
        for _ in range(10):
            area = width * height * random.uniform(min_scale, 1.0)
            shape = math.exp(random.uniform(math.log(3 / 4), math.log(4 / 3)))
            w, h = round(math.sqrt(area * shape)), round(math.sqrt(area / shape))
            if 0 < w <= width and 0 < h <= height:
                return random.randint(0, height - h), random.randint(0, width - w), h, w
        return 0, 0, height, width

    def shared(a, b):
        down = min(a[0] + a[2], b[0] + b[2]) - max(a[0], b[0])
        across = min(a[1] + a[3], b[1] + b[3]) - max(a[1], b[1])
        return max(0, down) * max(0, across)

    def view(picture, box, blur_p, solarize_p):
        crop = F.resized_crop(picture, *box, [size, size], transforms.InterpolationMode.BICUBIC)
        if random.random() < 0.5:
            crop = F.hflip(crop)
        crop = colours(crop)
        if random.random() < blur_p:
            crop = crop.filter(ImageFilter.GaussianBlur(random.uniform(0.1, 2.0)))
        if random.random() < solarize_p:
            crop = ImageOps.solarize(crop, 128)
        return finish(crop)

    def pair(path):
        picture = Image.open(path).convert("RGB")
        first = draw_box(*picture.size)
        for _ in range(10):
            second = draw_box(*picture.size)
            if shared(first, second) >= 0.01 * second[2] * second[3]:
                break
        return view(picture, first, 1.0, 0.0), view(picture, second, 0.1, 0.2)

    def decode(path):
        return Image.open(path).convert("RGB")

    return pair, decode


def rate(work, paths, seconds):
    """Pictures a second of wall time over at least `seconds`."""
    done, start = 0, time.perf_counter()
    while True:
        for path in paths:
            work(path)
            done += 1
            if time.perf_counter() - start > seconds:
                return done / (time.perf_counter() - start)


def cpu_rate(work, paths, seconds):
    """Pictures a second of processor time, which other programs on the machine disturb less."""
    done, start, cpu = 0, time.perf_counter(), time.thread_time()
    while time.perf_counter() - start < seconds:
        work(paths[done % len(paths)])
        done += 1
    return done / (time.thread_time() - cpu)


def ours(command, data, threads):
    arguments = [*shlex.split(command), "--data", str(data), "--threads", str(threads), "--json"]
    shown = subprocess.run(arguments, check=True, stdout=subprocess.PIPE, text=True).stdout
    return json.loads(shown.strip().splitlines()[-1])


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True, help="a folder of photos")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--seconds", type=float, default=5.0, help="length of one measurement of theirs")
    parser.add_argument("--ours", default=str(ROOT / "target/release/slotcon") + " bench data")
    parser.add_argument("--json", action="store_true", help="one JSON object on the last line")
    options = parser.parse_args()

    import torch

    torch.set_num_threads(1)
    pair, decode = make_pipeline()
    suffixes = {".jpg", ".jpeg", ".png", ".webp", ".bmp"}
    paths = sorted(p for p in options.data.rglob("*") if p.suffix.lower() in suffixes)
    if not paths:
        sys.exit(f"{options.data}: no picture found")
    random.Random(0).shuffle(paths)

    rows = []
    for number in range(options.rounds):
        mine = ours(options.ours, options.data, 1)
        two = ours(options.ours, options.data, 2)
        row = {
            "official": rate(pair, paths, options.seconds),
            "official_cpu": cpu_rate(pair, paths, options.seconds),
            "pillow_decode": rate(decode, paths, options.seconds / 2),
            "ours": mine["pictures_per_second"],
            "ours_decode": mine["decode_only_pictures_per_second"],
            "ours_cpu": mine["pictures_per_cpu_second"],
            "ours_decode_cpu": mine["decode_only_pictures_per_cpu_second"],
            "ours_2_threads": two["pictures_per_second"],
            "ours_2_threads_cpu": two["pictures_per_cpu_second"],
        }
        rows.append(row)
        shown = ", ".join(f"{name} {value:.0f}" for name, value in row.items())
        print(f"round {number + 1}: pictures a second: {shown}", file=sys.stderr)

    middle = {name: statistics.median(row[name] for row in rows) for name in rows[0]}
    ratio = lambda a, b: statistics.median(row[a] / row[b] for row in rows)
    summary = {
        **{name: round(value, 1) for name, value in middle.items()},
        "ours_to_official": round(ratio("ours", "official"), 2),
        "ours_to_own_decode": round(ratio("ours", "ours_decode"), 3),
        "two_threads_to_one": round(ratio("ours_2_threads", "ours"), 2),
        "ours_to_official_cpu": round(ratio("ours_cpu", "official_cpu"), 2),
        "ours_to_own_decode_cpu": round(ratio("ours_cpu", "ours_decode_cpu"), 3),
        "cpu_per_picture_1_to_2_threads": round(ratio("ours_2_threads_cpu", "ours_cpu"), 3),
        "rounds": options.rounds,
    }
    if options.json:
        print(json.dumps(summary))
    else:
        for name, value in summary.items():
            print(f"{name:>22}: {value}")


if __name__ == "__main__":
    enter_venv()
    main()
