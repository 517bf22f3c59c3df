"""Whole segmentors in MMSegmentation's own modules: called by `cargo xtask test --interop` in its virtual environment.

`segmentor.py exported SLOTCON FOLDER` builds what the Rust side exported from the configuration in its meta, loads it strictly and
compares logits; `segmentor.py written SLOTCON FOLDER` writes checkpoints as MMSegmentation 0.x and 1.x do, with logits for the Rust
side to compare.
"""

import importlib
import json
import sys
import types
from pathlib import Path

import numpy
import torch
from safetensors import safe_open
from safetensors.torch import load_file, save_file

TOLERANCE = 1e-4


class Absent(types.ModuleType):
    """A module that no FCN needs and that is not installed: any name in it is an empty class."""

    def __getattr__(self, name):
        if name.startswith("__"):
            raise AttributeError(name)
        return type(name, (), {})


def mmsegmentation():
    """Its registry with the few modules of an FCN registered, without the many others."""
    for name in ["cv2", "matplotlib", "mmcv.ops", "mmseg.utils.tokenizer"]:
        sys.modules[name] = Absent(name)
    import mmseg

    for part in ["models", "models.backbones", "models.decode_heads", "models.segmentors", "models.losses"]:
        package = types.ModuleType(f"mmseg.{part}")
        package.__path__ = [str(Path(mmseg.__path__[0]).joinpath(*part.split(".")))]
        sys.modules[f"mmseg.{part}"] = package
    for module in [
        "builder",
        "losses.cross_entropy_loss",
        "backbones.resnet",
        "decode_heads.fcn_head",
        "segmentors.encoder_decoder",
        "data_preprocessor",
    ]:
        importlib.import_module(f"mmseg.models.{module}")
    from mmengine.registry import init_default_scope
    from mmseg.registry import MODELS

    init_default_scope("mmseg")
    return MODELS


def built(text):
    """The network of a configuration."""
    from mmengine.config import Config

    model = mmsegmentation().build(Config.fromstring(text, ".py").model)
    return model.eval()


def logits_of(model, pictures):
    shape = pictures.shape[2:]
    with torch.no_grad():
        return model.inference(pictures, [{"img_shape": shape, "ori_shape": shape, "pad_shape": shape}])


def exported(slotcon, folder):
    for case in json.loads((folder / "segmentors.json").read_text()):
        ours = load_file(folder / case["expected"])
        for name in case["files"]:
            path = folder / name
            if path.suffix == ".pth":
                found = torch.load(path, weights_only=True)
                meta, state = found["meta"], found["state_dict"]
            else:
                with safe_open(path, "pt") as file:
                    meta = json.loads(file.metadata()["meta"])
                state = load_file(path)
            assert meta["CLASSES"] == meta["dataset_meta"]["classes"] == case["classes"], meta["CLASSES"]
            assert len(meta["PALETTE"]) == len(case["classes"])
            model = built(meta["cfg"])
            model.load_state_dict(state, strict=True)
            bgr = ours["bytes"].flip(2).permute(2, 0, 1).to(torch.uint8)
            pictures = model.data_preprocessor({"inputs": [bgr]}, False)["inputs"]
            off = (pictures - ours["input"]).abs().max().item()
            assert off <= 1e-5 * ours["input"].abs().max().item(), f"{name}: normalised pixels are apart by {off}"
            theirs = logits_of(model, ours["input"].contiguous())
            assert theirs.shape == ours["logits"].shape, (theirs.shape, ours["logits"].shape)
            largest = ours["logits"].abs().max().item()
            apart = (theirs - ours["logits"]).abs().max().item()
            print(f"{name} in MMSegmentation: logits up to {largest:.3g}, apart by at most {apart:.2g}")
            assert largest > 1e-2 and apart <= TOLERANCE * largest, f"{name}: {apart}"


HEAD = "dict(type='FCNHead', in_channels={0}, in_index={1}, channels={2}, num_convs={3}, concat_input={4}, dropout_ratio=0.1, "
HEAD += "num_classes=3, norm_cfg=norm_cfg, align_corners={5}, dilation={6}, loss_decode=dict(type='CrossEntropyLoss', "
HEAD += "use_sigmoid=False, loss_weight={7}))"

MODEL = """norm_cfg = dict(type='BN', requires_grad=True)
{preprocessor}
model = dict(
    type='EncoderDecoder',
    backbone=dict(
        type='{kind}', depth={depth}, num_stages=4, out_indices=(0, 1, 2, 3), dilations={dilations}, strides={strides},
        norm_cfg=norm_cfg, norm_eval=False, style='pytorch', contract_dilation=True),
    decode_head={head},{auxiliary}
    train_cfg=dict(),
    test_cfg=dict(mode={mode}))
"""
OLD = "img_norm_cfg = dict(\n    mean=[123.675, 116.28, 103.53], std=[58.395, 57.12, 57.375], to_rgb=True)\n"
OLD += "test_pipeline = [\n    dict(type='LoadImageFromFile'),\n    dict(type='MultiScaleFlipAug', img_scale=(2048, 1024), flip=False)]\n"
NEW = "data_preprocessor = dict(\n    type='SegDataPreProcessor', mean=[123.675, 116.28, 103.53], std=[58.395, 57.12, 57.375], "
NEW += "bgr_to_rgb=True, pad_val=0, seg_pad_val=255)\ntest_pipeline = [\n    dict(type='Resize', scale=(2048, 512), keep_ratio=True)]\n"
CLASSES = ("sky", "it's", "tree")


def written(slotcon, folder):
    from mmengine.config import Config

    mmsegmentation()
    import mmengine
    from mmengine.logging import HistoryBuffer

    strides8, dilations8 = "(1, 2, 1, 1)", "(1, 1, 2, 4)"
    strides16, dilations16 = "(1, 2, 2, 1)", "(1, 1, 1, 2)"
    auxiliary = "\n    auxiliary_head=" + HEAD.format(1024, 2, 16, 1, False, False, 1, 0.4) + ","
    cases = [
        ("old-v1c-d8", "ResNetV1c", 50, dilations8, strides8, HEAD.format(2048, 3, 32, 2, True, False, 1, 1.0), auxiliary, "'whole'", OLD),
        ("new-d6", "ResNet", 18, dilations16, strides16, HEAD.format(512, 3, 32, 2, False, True, 6, 1.0), "", "'slide', crop_size=(96, 96), stride=(64, 64)", NEW),
        ("bare", "ResNet", 18, dilations16, strides16, HEAD.format(512, 3, 32, 1, False, False, 3, 1.0), "", "'whole'", NEW),
    ]
    listed = []
    for name, kind, depth, dilations, strides, head, second, mode, preprocessor in cases:
        text = MODEL.format(
            preprocessor=preprocessor, kind=kind, depth=depth, dilations=dilations, strides=strides, head=head, auxiliary=second, mode=mode
        )
        torch.manual_seed(3)
        model = built(text)
        # A step, so that the optimizer has a state.
        optimizer = torch.optim.SGD(model.parameters(), lr=0.01, momentum=0.9)
        sum(p.sum() for p in model.parameters()).backward()
        optimizer.step()
        with torch.no_grad():
            for key, tensor in model.state_dict().items():
                if key.endswith("running_var"):
                    tensor.uniform_(0.5, 2)
                elif key.endswith(("running_mean", "bias")):
                    tensor.uniform_(-0.2, 0.2)
                elif tensor.dim() == 1 and tensor.is_floating_point():
                    tensor.uniform_(0.2, 0.6)
        pictures = torch.randn(1, 3, 129, 161)
        save_file({"input": pictures, "logits": logits_of(model, pictures).contiguous()}, folder / f"{name}.expected.safetensors")
        saved = model.state_dict()
        pretty = Config.fromstring(text, ".py").pretty_text
        listed.append({"name": name, "classes": list(CLASSES), "settings": []})
        palette = [[1, 2, 3], [4, 5, 6], [7, 8, 9]]
        if preprocessor is OLD:
            meta = {"CLASSES": CLASSES, "PALETTE": palette, "config": pretty, "mmseg_version": "0.30.0", "iter": 40000, "time": "x"}
            whole = {"meta": meta, "state_dict": saved, "optimizer": optimizer.state_dict()}
        else:
            log = {"train/loss": HistoryBuffer([1.0, 0.5], [1, 1])}
            meta = {"cfg": pretty, "dataset_meta": {"classes": CLASSES, "palette": palette}, "iter": 7, "mmengine_version": mmengine.__version__}
            whole = {
                "meta": meta,
                "state_dict": saved,
                "message_hub": {"log_scalars": log, "runtime_info": {"iter": numpy.int64(7)}, "resumed_keys": {}},
                "optimizer": optimizer.state_dict(),
                "param_schedulers": [{"last_step": 7}],
            }
        if name == "bare":
            # A state dict alone: everything else must be said.
            whole = saved
            classes = folder / "classes.json"
            classes.write_text(json.dumps({"classes": CLASSES}))
            listed[-1]["settings"] = [f"--classes={classes}"] + [
                f"--set={s}"
                for s in ["model.output_stride=16", "model.head_dilation=3", "model.align_corners=false", "data.normalisation=imagenet"]
            ]
        torch.save(whole, folder / f"{name}.pth")
    (folder / "segmentors.json").write_text(json.dumps(listed))


if __name__ == "__main__":
    {"exported": exported, "written": written}[sys.argv[1]](sys.argv[2], Path(sys.argv[3]))
