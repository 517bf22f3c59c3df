"""The folder for the Hugging Face Hub in timm: called by `cargo xtask test --interop` in its virtual environment.

`hub.py compare SLOTCON FOLDER` runs the Python of every exported model card, with the folder in the place of the Hub, and compares
the features of a photo with ours.
"""

import json
import re
import sys
from pathlib import Path

import torch
import yaml
from safetensors.torch import load_file

TOLERANCE = 1e-4


def compare(slotcon, folder):
    for case in json.loads((folder / "hub.json").read_text()):
        ours = load_file(folder / case["expected"])
        card = (folder / case["folder"] / "README.md").read_text()
        head = yaml.safe_load(card.split("---")[1])
        assert head["license"] == "apache-2.0" and head["library_name"] == "timm", head
        code = re.search("```python\n(.*?)```", card, re.DOTALL)[1]
        assert "hf-hub:USER/NAME" in code, code
        names = {}
        exec(code.replace("hf-hub:USER/NAME", f"local-dir:{folder / case['folder']}"), names)
        model = names["model"]
        assert model.num_classes == 0 and not model.training
        with torch.no_grad():
            theirs = model.forward_features(ours["pictures"].contiguous())
        assert theirs.shape == ours["features"].shape, (theirs.shape, ours["features"].shape)
        scale = ours["features"].abs().max().item()
        apart = (theirs - ours["features"]).abs().max().item()
        print(f"{case['folder']} in timm: features up to {scale:.3g}, apart by at most {apart:.2g}")
        assert scale > 1e-3 and apart <= TOLERANCE * max(1.0, scale), f"{case['folder']}: {apart}"


if __name__ == "__main__":
    {"compare": compare}[sys.argv[1]](sys.argv[2], Path(sys.argv[3]))
