"""The installed package: where it lies, the program in it, the launcher, the commands as functions."""

from __future__ import annotations

import importlib.metadata
import importlib.util
import os
import subprocess
import sys
from pathlib import Path

import numpy
import pytest
from elftools.elf.elffile import ELFFile
from PIL import Image

import slotcon
from slotcon import launcher


def test_it_is_the_installed_one_and_has_no_run_path() -> None:
    assert Path(sys.prefix) in Path(slotcon.__file__).parents
    assert (Path(slotcon.__file__).parent / "py.typed").is_file()
    with open(launcher.program(), "rb") as file:
        dynamic = ELFFile(file).get_section_by_name(".dynamic")
        tags = [(tag.entry.d_tag, getattr(tag, "needed", "")) for tag in dynamic.iter_tags()]
    names = [name for name, _ in tags]
    assert "DT_RPATH" not in names and "DT_RUNPATH" not in names
    assert any(needed == "libtorch_cpu.so" for _, needed in tags)
    assert not list(Path(slotcon.__file__).parent.parent.glob("slotcon.libs/*"))
    wheel = importlib.metadata.distribution("slotcon")
    assert "torch==2.11.*" in (wheel.requires or [])
    assert "Tag: py3-none-manylinux" in (wheel.read_text("WHEEL") or "")


@pytest.mark.parametrize("command", [["slotcon"], [sys.executable, "-m", "slotcon"]])
def test_both_commands_are_the_program(command: list[str]) -> None:
    first = Path(sys.executable).with_name(command[0]) if command == ["slotcon"] else command[0]
    done = subprocess.run([first, *command[1:], "--version"], capture_output=True, text=True)
    assert done.stdout == f"slotcon {slotcon.__version__}\n", done.stderr
    done = subprocess.run([first, *command[1:], "inspect", "gone"], capture_output=True, text=True)
    assert done.returncode == 1 and done.stderr.startswith("error: gone: "), done.stderr


def test_another_pytorch_is_one_line_with_the_command(tmp_path: Path) -> None:
    (tmp_path / "torch").mkdir()
    (tmp_path / "torch/__init__.py").write_text("raise RuntimeError('it is not to be imported')\n")
    (tmp_path / "torch/version.py").write_text("__version__ = '2.10.1+cu128'\n")
    environment = os.environ | {"PYTHONPATH": str(tmp_path)}
    done = subprocess.run([sys.executable, "-m", "slotcon", "--version"], capture_output=True, text=True, env=environment)
    expected = f"slotcon needs PyTorch 2.11, and this Python has 2.10.1+cu128: {sys.executable} -m pip install 'torch==2.11.*'"
    assert (done.returncode, done.stderr) == (1, f"error: {expected}\n")


def test_no_pytorch(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    with pytest.raises(slotcon.Error, match=r"this Python has none: .* -m pip install 'torch==2\.11\.\*'"):
        launcher.libraries()


def test_the_launcher_imports_no_pytorch() -> None:
    code = "import sys, slotcon; from slotcon import launcher; launcher.environment(); print('torch' in sys.modules)"
    assert subprocess.check_output([sys.executable, "-c", code], text=True) == "False\n"


@pytest.mark.parametrize("gpu", [True, False])
def test_cuda_is_loaded_where_there_is_a_gpu(gpu: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    cuda = tmp_path / "libtorch_cuda.so"
    cuda.touch()
    monkeypatch.setattr(launcher, "libraries", lambda: tmp_path)
    monkeypatch.setattr(launcher, "_GPU", (str(tmp_path),) if gpu else (str(tmp_path / "none"),))
    monkeypatch.setenv("LD_LIBRARY_PATH", "/before")
    monkeypatch.delenv("LD_PRELOAD", raising=False)
    environment = launcher.environment()
    assert environment["LD_LIBRARY_PATH"] == f"{tmp_path}:/before"
    assert environment.get("LD_PRELOAD") == (str(cuda) if gpu else None)


def test_a_run(run: slotcon.Run) -> None:
    metrics = run.metrics()
    assert [logged["step"] for logged in metrics] == [1, 2, 3]
    assert metrics[0]["loss"] > 0 and metrics[0]["groups"]
    assert run.checkpoint.name == "last.safetensors"
    assert "seed = 3" in run.recipe.read_text()
    assert "<html" in run.report.read_text()


def test_metrics_as_a_frame(run: slotcon.Run) -> None:
    frame = run.frame()
    assert list(frame["step"]) == [1, 2, 3]
    assert any(name.startswith("groups.") for name in frame.columns)


def test_the_message_of_the_program_is_the_error(run: slotcon.Run, photos: Path, capfd: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(slotcon.Error) as raised:
        slotcon.pretrain(out=run.path, data=photos)
    assert "--overwrite" in str(raised.value) and not str(raised.value).startswith("error")
    assert str(raised.value) in capfd.readouterr().err
    with pytest.raises(slotcon.Error, match="optim.bach"):
        slotcon.pretrain(out=run.path / "other", data=photos, overrides={"optim.bach": 3})


def test_groups_found_after_training(run: slotcon.Run, photos: Path, tmp_path: Path) -> None:
    groups = slotcon.group(checkpoint=run.path, data=photos, groups=3, parts=6, side=64, out=tmp_path / "groups.safetensors")
    masks = slotcon.segment(checkpoint=run.path, data=photos, groups=groups, side=64, out=tmp_path / "masks")
    maps = [numpy.asarray(Image.open(file)) for file in masks.rglob("*.labels.png")]
    assert len(maps) == 10 and max(labels.max() for labels in maps) < 3
