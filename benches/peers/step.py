#!/usr/bin/env python3
"""The peer of `slotcon bench step`: one SlotCon training step in PyTorch, as the method page in docs/method.md has it,
with torchvision's ResNet and RoIAlign. Its numbers are checked against golden values with --check.

    python3 -m venv .venv && .venv/bin/pip install -r benches/peers/requirements.txt
    .venv/bin/python benches/peers/step.py --arch resnet50 --batch 8 --size 224 --layout channels_last
    .venv/bin/python benches/peers/step.py --check fixtures [--dtype float32]
    .venv/bin/python benches/peers/step.py --record-f32 fixtures

--record-f32 computes the first step of each case in float64 and in float32 and writes beside it, as NAME.f32.json, how far
float32 is off, the pictures of the batch in several orders: the tolerance of the float32 golden tests. Further calls add their runs,
e.g. with ONEDNN_MAX_CPU_ISA=AVX2 and ATEN_CPU_CAPABILITY=avx2 what a processor with narrower vectors would round.
"""

import argparse
import glob
import itertools
import json
import math
import os
import resource
import statistics
import time

import torch
import torch.nn.functional as F
import torchvision
from torch import nn


def head(layer, i, hidden, out, norm):
    return nn.Sequential(layer(i, hidden), norm(hidden), nn.GELU(), layer(hidden, hidden), norm(hidden), nn.GELU(),
                         layer(hidden, out))


class Head(nn.Module):
    def __init__(self, i, hidden, out, two_d):
        super().__init__()
        conv = lambda a, b: nn.Conv2d(a, b, 1)
        self.mlp = head(conv, i, hidden, out, nn.BatchNorm2d) if two_d else head(nn.Linear, i, hidden, out, nn.BatchNorm1d)
        for m in self.mlp:
            if isinstance(m, (nn.Linear, nn.Conv2d)):
                nn.init.normal_(m.weight, std=0.02)
                nn.init.zeros_(m.bias)

    def forward(self, x):
        return self.mlp(x)


class Prototypes(nn.Module):
    def __init__(self, k, d, temperature):
        super().__init__()
        self.slot_embed = nn.Embedding(k, d)
        self.temperature = temperature

    def forward(self, z):
        scores = torch.einsum("kd,bdhw->bkhw", F.normalize(self.slot_embed.weight, dim=1), F.normalize(z, dim=1))
        assignment = (scores / self.temperature).softmax(1) + 1e-6
        slots = torch.einsum("bkhw,bdhw->bkd", assignment / assignment.sum((2, 3), keepdim=True), z)
        return slots, scores


def backbone(arch):
    net = getattr(torchvision.models, arch)(weights=None, zero_init_residual=True)
    channels = net.fc.in_features
    net.fc = nn.Identity()
    net.avgpool = nn.Identity()
    return net, channels


def stages(net, x):
    x = net.maxpool(net.relu(net.bn1(net.conv1(x))))
    return net.layer4(net.layer3(net.layer2(net.layer1(x))))


class Step(nn.Module):
    def __init__(self, c):
        super().__init__()
        self.c = c
        # Several ranks are one batch here: batch norm and negatives are over all of them, only the slot loss is a mean of each rank's.
        self.ranks = getattr(c, "world_size", 1)
        for side in "qk":
            net, channels = backbone(c.arch)
            setattr(self, f"encoder_{side}", net)
            setattr(self, f"projector_{side}", Head(channels, c.dim_hidden, c.dim_out, True))
            setattr(self, f"grouping_{side}", Prototypes(c.num_prototypes, c.dim_out, c.teacher_temp))
        self.predictor_slot = Head(c.dim_out, c.dim_hidden, c.dim_out, False)
        self.register_buffer("center", torch.zeros(1, c.num_prototypes))
        self.pairs = []
        for part in ("encoder", "projector", "grouping"):
            q, k = getattr(self, f"{part}_q"), getattr(self, f"{part}_k")
            k.load_state_dict(q.state_dict())
            k.requires_grad_(False)
            self.pairs += zip(q.parameters(), k.parameters())

    def network(self, side, x):
        z = getattr(self, f"projector_{side}")(stages(getattr(self, f"encoder_{side}"), x))
        return getattr(self, f"grouping_{side}")(z)

    def align(self, scores, coords, flags):
        n, _, h, w = scores.shape
        boxes = coords * coords.new_tensor([w, h, w, h])
        boxes = torch.cat([torch.arange(n, device=boxes.device, dtype=boxes.dtype)[:, None], boxes], 1)
        out = torchvision.ops.roi_align(scores, boxes, (h, w), aligned=True)
        return torch.stack([o.flip(-1) if f else o for o, f in zip(out, flags)])

    def group_loss(self, q, k):
        rows = lambda t: t.permute(0, 2, 3, 1).flatten(0, 2)
        log_p = F.log_softmax(rows(q) / self.c.student_temp, 1)
        target = F.softmax((rows(k) - self.center) / self.c.teacher_temp, 1)
        return -(target * log_p).sum(1).mean()

    def slot_loss(self, q, k, score_q, score_k, tau=0.2):
        def counting(s):
            winners = s.argmax(1).flatten(1)
            return torch.zeros(s.shape[:2], device=s.device, dtype=torch.long).scatter_(1, winners, 1).view(-1)
        in_q, in_k = counting(score_q), counting(score_k)
        positives, negatives = (in_q * in_k).nonzero().squeeze(1), in_k.nonzero().squeeze(1)
        rank = positives // (q.shape[0] * q.shape[1] // self.ranks)
        q = F.normalize(self.predictor_slot(q.flatten(0, 1)[positives]), dim=1)
        k = F.normalize(k.flatten(0, 1), dim=1)[negatives]
        if self.ranks == 1:
            return F.cross_entropy(q @ k.t() / tau, in_k.cumsum(0)[positives] - 1) * 2 * tau
        each = F.cross_entropy(q @ k.t() / tau, in_k.cumsum(0)[positives] - 1, reduction="none") * 2 * tau
        return torch.stack([each[rank == r].sum() / max(1, int((rank == r).sum())) for r in range(self.ranks)]).mean()

    def forward(self, crops, coords, flags, momentum):
        (q1, sq1), (q2, sq2) = self.network("q", crops[0]), self.network("q", crops[1])
        with torch.no_grad():
            for q, k in self.pairs:
                k.mul_(momentum).add_(q, alpha=1 - momentum)
            (k1, sk1), (k2, sk2) = self.network("k", crops[0]), self.network("k", crops[1])
            ak1, ak2 = self.align(sk1, coords[0], flags[0]), self.align(sk2, coords[1], flags[1])
        aq1, aq2 = self.align(sq1, coords[0], flags[0]), self.align(sq2, coords[1], flags[1])
        group = [self.group_loss(aq1, ak2), self.group_loss(aq2, ak1)]
        with torch.no_grad():
            mean = torch.cat([sk1, sk2]).mean((0, 2, 3))[None]
            self.center.mul_(self.c.center_momentum).add_(mean, alpha=1 - self.c.center_momentum)
        slot = [self.slot_loss(q1, k2, sq1, sk2), self.slot_loss(q2, k1, sq2, sk1)]
        w = self.c.group_loss_weight
        return w * sum(group) + (1 - w) * sum(slot), group, slot


@torch.no_grad()
def lars(parameters, momenta, lr, momentum, decay, eta=0.001):
    for p, mu in zip(parameters, momenta):
        g = p.grad
        if p.ndim != 1:
            g = g.add(p, alpha=decay)
            a, b = p.norm(), g.norm()
            g = g * torch.where((a > 0) & (b > 0), eta * a / b, torch.ones_like(a))
        mu.mul_(momentum).add_(g)
        p.add_(mu, alpha=-lr)


# --- golden values -------------------------------------------------------------------------------------------------

def stream(name, count):
    seed = 0xCBF29CE484222325
    for byte in name.encode():
        seed = (seed ^ byte) * 0x100000001B3 % 2**64
    import numpy as np
    with np.errstate(over="ignore"):
        z = np.uint64(seed) + np.arange(1, count + 1, dtype=np.uint64) * np.uint64(0x9E3779B97F4A7C15)
        z = (z ^ (z >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
        z = (z ^ (z >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
        z = (z ^ (z >> np.uint64(31))) >> np.uint64(40)
    return torch.from_numpy(z.astype(np.float64) / 2**24)


def fill(model):
    with torch.no_grad():
        for name, p in model.named_parameters():
            name = name.replace("encoder_k", "encoder_q").replace("projector_k", "projector_q").replace("grouping_k", "grouping_q")
            sym = (2 * stream(name, p.numel()) - 1).view(p.shape)
            if name.endswith("slot_embed.weight"):
                p.copy_(sym)
            elif p.ndim > 1:
                p.copy_(sym * math.sqrt(6 / (p.numel() / p.shape[0])))
            else:
                p.copy_(0.1 * sym + (1 if name.endswith("weight") else 0))


def golden_inputs(c, s, dtype):
    n, size = c.batch_per_rank * c.world_size, c.image_size
    crops, coords, flags = [], [], []
    for v in range(2):
        crops.append((2 * (2 * stream(f"step{s}.crop{v}", n * 3 * size * size) - 1)).view(n, 3, size, size).to(dtype))
        u = stream(f"step{s}.coord{v}", 4 * n).view(n, 4)
        coords.append(torch.cat([0.4 * u[:, :2], 0.6 + 0.4 * u[:, 2:]], 1).to(dtype))
        flags.append((stream(f"step{s}.flag{v}", n) < 0.5).tolist())
    return crops, coords, flags


# The order of the pictures in a batch changes no loss and no gradient but by the order in which float32 rounds.
ORDERS = {
    "as recorded": lambda n: torch.arange(n),
    "second half first": lambda n: torch.arange(n).roll(n // 2),
}


def first_step(c, dtype, layout=torch.contiguous_format, order="as recorded"):
    """Losses and gradients, by the names of the golden values."""
    model = Step(c).to(dtype).train()
    fill(model)
    model = model.to(memory_format=layout)
    crops, coords, flags = golden_inputs(c, 0, dtype)
    order = ORDERS[order](len(crops[0]))
    crops, coords = [x[order] for x in crops], [x[order] for x in coords]
    flags = [[x[i] for i in order.tolist()] for x in flags]
    loss, group, slot = model([x.to(memory_format=layout) for x in crops], coords, flags, c.teacher_momentum)
    loss.backward()
    losses = {"loss": loss, "group_loss0": group[0], "group_loss1": group[1], "slot_loss0": slot[0], "slot_loss1": slot[1]}
    gradients = {name: p.grad.detach().double().contiguous() for name, p in model.named_parameters() if p.grad is not None}
    return {name: value.item() for name, value in losses.items()}, gradients


def cases(folder):
    for path in sorted(glob.glob(os.path.join(folder, "step_*.json"))):
        if "." not in os.path.basename(path)[:-len(".json")]:
            yield path, argparse.Namespace(**json.load(open(path)))


def check(folder, dtype):
    from safetensors.torch import load_file
    for path, c in cases(folder):
        if c.world_size != 1:
            continue
        golden = load_file(path.replace(".json", ".safetensors"))
        losses, gradients = first_step(c, dtype)
        relative = lambda a, b: abs(a - b) / abs(b)
        worst_loss = max(relative(v, golden[f"step0.{k}"].item()) for k, v in losses.items())
        worst_norm = worst_head = 0.0
        for name, grad in gradients.items():
            norm = golden[f"step0.grad_norm.{name}"].item()
            if norm > 1e-9:  # a bias in front of a batch norm has no gradient but rounding
                worst_norm = max(worst_norm, relative(grad.norm().item(), norm))
            recorded = golden[f"step0.grad_head.{name}"].double()
            difference = (grad.flatten()[:8] - recorded).abs() / recorded.abs().clamp_min(1e-2)
            worst_head = max(worst_head, difference.max().item())
        print(f"{os.path.basename(path)} {dtype}: largest relative difference of losses {worst_loss:.1e}, "
              f"gradient norms {worst_norm:.1e}, single gradient values {worst_head:.1e}")


def record_f32(folder):
    """What the golden tests compare in float32, in their measure (crates/slotcon/tests/golden/steps.rs), in several runs."""
    runs = list(itertools.product(("contiguous_format", "channels_last"), (1, 2), ("oneDNN", "native"), ORDERS))
    processor = os.environ.get("ONEDNN_MAX_CPU_ISA", "whatever the processor has")
    for path, c in cases(folder):
        losses, gradients = first_step(c, torch.float64)
        worst = {"losses": 0.0, "gradient_norms": 0.0, "gradient_values": 0.0}

        def note(what, got, expected, floor=0.0):
            worst[what] = max(worst[what], abs(got - expected) / max(abs(expected), floor))

        for layout, threads, library, order in runs:
            torch.set_num_threads(threads)
            with torch.backends.mkldnn.flags(enabled=library == "oneDNN"):
                losses32, gradients32 = first_step(c, torch.float32, getattr(torch, layout), order)
            for name, loss in losses.items():
                note("losses", losses32[name], loss)
            for name, grad in gradients.items():
                note("gradient_norms", gradients32[name].norm().item(), grad.norm().item(), 1e-2)
                head, head32 = grad.flatten()[:8], gradients32[name].flatten()[:8]
                for got, expected in zip(head32.tolist(), head.tolist()):
                    note("gradient_values", got, expected, max(1e-2, head.abs().max().item()))
        record = {"made_by": f"benches/peers/step.py --record-f32, PyTorch {torch.__version__.split('+')[0]} on a CPU",
                  "runs": [f"{layout}, {threads} thread(s), {library} convolutions, pictures {order}, vectors: {processor}"
                           for layout, threads, library, order in runs],
                  "largest_relative_difference": {k: float(f"{v:.2g}") for k, v in worst.items()}}
        file = path.replace(".json", ".f32.json")
        if os.path.exists(file):
            before = json.load(open(file))
            if before["made_by"] == record["made_by"]:
                record["runs"] = before["runs"] + [run for run in record["runs"] if run not in before["runs"]]
                largest = record["largest_relative_difference"]
                for what, value in before["largest_relative_difference"].items():
                    largest[what] = max(largest[what], value)
        with open(file, "w") as file:
            file.write(json.dumps(record, indent=1) + "\n")
        print(os.path.basename(path), record["largest_relative_difference"])


def measure(args):
    torch.manual_seed(0)
    if args.threads:
        torch.set_num_threads(args.threads)
    c = argparse.Namespace(arch=args.arch, dim_hidden=args.hidden, dim_out=256, num_prototypes=args.prototypes,
                           teacher_temp=0.07, student_temp=0.1, center_momentum=0.9, group_loss_weight=0.5)
    layout = torch.channels_last if args.layout == "channels_last" else torch.contiguous_format
    device = torch.device(args.device)
    model = Step(c).train().to(device).to(memory_format=layout)
    parameters = [p for p in model.parameters() if p.requires_grad]
    momenta = [torch.zeros_like(p) for p in parameters]
    n, size = args.batch, args.size
    crops = [torch.randn(n, 3, size, size, device=device).to(memory_format=layout) for _ in range(2)]
    coords = [torch.tensor([[0.1, 0.2, 0.8, 0.9]] * n, device=device) for _ in range(2)]
    flags = [torch.tensor([i % 2 == v for i in range(n)], device=device) for v in range(2)]
    half = {"f32": None, "bf16": torch.bfloat16, "f16": torch.float16}[args.precision]
    times = []
    for i in range(args.warmup + args.steps):
        start = time.perf_counter()
        with torch.autocast(device.type, dtype=half, enabled=half is not None):
            loss, _, _ = model(crops, coords, flags, 0.99)
        for p in parameters:
            p.grad = None
        loss.backward()
        lars(parameters, momenta, 0.01, 0.9, 1e-5)
        loss.item()
        if i >= args.warmup:
            times.append(time.perf_counter() - start)
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    if device.type == "cuda":
        peak = torch.cuda.max_memory_allocated() / 2**20
    print(json.dumps({"median_s": statistics.median(times), "min_s": min(times), "peak_mb": peak, "layout": args.layout}))


def main():
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument("--check", metavar="FIXTURES")
    p.add_argument("--record-f32", metavar="FIXTURES")
    p.add_argument("--dtype", default="float64", choices=["float32", "float64"])
    p.add_argument("--arch", default="resnet50")
    p.add_argument("--batch", type=int, default=8)
    p.add_argument("--size", type=int, default=224)
    p.add_argument("--hidden", type=int, default=4096)
    p.add_argument("--prototypes", type=int, default=256)
    p.add_argument("--layout", default="contiguous", choices=["contiguous", "channels_last"])
    p.add_argument("--device", default="cpu")
    p.add_argument("--precision", default="f32", choices=["f32", "bf16", "f16"])
    p.add_argument("--threads", type=int, default=0)
    p.add_argument("--steps", type=int, default=5)
    p.add_argument("--warmup", type=int, default=1)
    args = p.parse_args()
    if args.check:
        check(args.check, getattr(torch, args.dtype))
    elif args.record_f32:
        record_f32(args.record_f32)
    else:
        measure(args)


if __name__ == "__main__":
    main()
