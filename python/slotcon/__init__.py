"""Visual representations and semantic groups from unlabelled photos (SlotCon, arXiv 2205.15288).

`pretrain`, `embed`, `group`, `segment` and `export` run the `slotcon` program that comes with this package; `load` gives its networks as
modules of PyTorch.
"""

from __future__ import annotations

from importlib.metadata import version as _version
from typing import TYPE_CHECKING, Any

from slotcon.commands import embed, export, group, pretrain, segment
from slotcon.errors import Error
from slotcon.run import Run

if TYPE_CHECKING:
    from slotcon.onnx import export_onnx
    from slotcon.reader import SlotCon, Transform, load

__version__ = _version("slotcon")
__all__ = ["Error", "Run", "SlotCon", "Transform", "embed", "export", "export_onnx", "group", "load", "pretrain", "segment"]

#: What imports PyTorch is imported when it is first asked for: the commands start without.
_LATER = {"SlotCon": "reader", "Transform": "reader", "load": "reader", "export_onnx": "onnx"}


def __getattr__(name: str) -> Any:
    if name not in _LATER:
        raise AttributeError(f"module 'slotcon' has no attribute '{name}'")
    from importlib import import_module

    return getattr(import_module(f"slotcon.{_LATER[name]}"), name)
