"""Starts the `slotcon` program on the libtorch of the installed PyTorch.

PyTorch is found, not imported: that would take seconds, and the program loads nothing but its C++ libraries.
"""

from __future__ import annotations

import importlib.util
import os
import re
import sys
from pathlib import Path

from slotcon.errors import Error

#: The release of PyTorch that the program was built for; libtorch has no stable ABI between minor releases.
TORCH = "2.11"

_PROGRAM = Path(__file__).parent / "bin" / "slotcon"
#: Any of these is there where a GPU of NVIDIA is.
_GPU = ("/proc/driver/nvidia/version", "/dev/nvidiactl", "/dev/dxg")


def program() -> Path:
    """The program of this package.

    Raises:
        Error: the package was not installed from a wheel.
    """
    if not _PROGRAM.is_file():
        raise Error(f"{_PROGRAM}: is not there; install the wheel of slotcon, not its source folder")
    return _PROGRAM


def libraries() -> Path:
    """The folder of libtorch in the installed PyTorch.

    Raises:
        Error: no PyTorch, or one of another release; the message has the command that installs the right one.
    """
    install = f"{sys.executable} -m pip install 'torch=={TORCH}.*'"
    spec = importlib.util.find_spec("torch")
    if spec is None or not spec.submodule_search_locations:
        raise Error(f"slotcon needs PyTorch {TORCH}, and this Python has none: {install}")
    folder = Path(spec.submodule_search_locations[0])
    version = _version(folder / "version.py")
    if not version.startswith(f"{TORCH}."):
        raise Error(f"slotcon needs PyTorch {TORCH}, and this Python has {version}: {install}")
    return folder / "lib"


def environment() -> dict[str, str]:
    """The environment in which the program finds libtorch, and CUDA where there is a GPU and a PyTorch for it."""
    lib = libraries()
    found = dict(os.environ)
    found["LD_LIBRARY_PATH"] = _joined(str(lib), found.get("LD_LIBRARY_PATH"))
    cuda = lib / "libtorch_cuda.so"
    if cuda.is_file() and any(os.path.exists(path) for path in _GPU):
        # The program is linked to no part of CUDA; the library makes itself known to libtorch when it is loaded.
        found["LD_PRELOAD"] = _joined(str(cuda), found.get("LD_PRELOAD"))
    return found


def main() -> None:
    """The commands `slotcon` and `python -m slotcon`: becomes the program."""
    try:
        path, env = program(), environment()
    except Error as error:
        sys.exit(f"error: {error}")
    os.execve(path, ["slotcon", *sys.argv[1:]], env)


def _joined(first: str, rest: str | None) -> str:
    return f"{first}:{rest}" if rest else first


def _version(file: Path) -> str:
    try:
        text = file.read_text()
    except OSError:
        return "one without a version"
    found = re.search(r"""__version__\s*=\s*['"]([^'"]+)""", text)
    return found[1] if found else "one without a version"
