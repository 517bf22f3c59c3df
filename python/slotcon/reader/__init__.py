"""Our networks in plain PyTorch: read from checkpoints, equal to the program, no compiled part."""

from slotcon.reader.load import load
from slotcon.reader.network import SlotCon
from slotcon.reader.transform import Transform

__all__ = ["SlotCon", "Transform", "load"]
