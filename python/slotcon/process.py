"""Runs the program to its end, its progress passed through."""

from __future__ import annotations

import os
import pty
import subprocess
import sys
from pathlib import Path
from typing import Any

from slotcon.errors import Error
from slotcon.launcher import environment, program

#: An argument: left out where None or False, a bare option where True, repeated where a list.
Value = Any


def run(command: str, options: dict[str, Value], positional: list[str] | None = None) -> None:
    """Runs `slotcon COMMAND` with `options` by name; what it says goes to `sys.stderr`.

    Raises:
        Error: with the program's message, where it fails.
    """
    words = [command, *_words(options), *(["--", *positional] if positional else [])]
    said = _Said()
    # On a terminal the program shows its progress as it does without Python.
    reader, writer = pty.openpty() if sys.stderr.isatty() else os.pipe()
    try:
        try:
            child = subprocess.Popen(["slotcon", *words], executable=program(), env=environment(), stdout=writer, stderr=writer)
        finally:
            os.close(writer)
        status = _follow(child, reader, said)
    finally:
        os.close(reader)
    if status != 0:
        raise Error(said.error() or f"slotcon {command} ended with status {status}")


def _follow(child: subprocess.Popen[bytes], reader: int, said: _Said) -> int:
    """Passes on what the program says until it ends; gives its status. Ctrl-C reaches the program, too: it is waited for."""
    interrupted = False
    while True:
        try:
            try:
                data = os.read(reader, 1 << 16)
            except OSError:
                # The end of a terminal.
                data = b""
            if not data:
                status = child.wait()
                break
            said.pass_on(data)
        except KeyboardInterrupt:
            interrupted = True
    if interrupted:
        raise KeyboardInterrupt
    return status


class _Said:
    """Passes text on and keeps its end."""

    def __init__(self) -> None:
        self._end = b""

    def pass_on(self, data: bytes) -> None:
        self._end = (self._end + data)[-(1 << 16) :]
        sys.stderr.write(data.decode(errors="replace"))
        sys.stderr.flush()

    def error(self) -> str:
        """From the line that says what was wrong to the end."""
        lines = self._end.decode(errors="replace").replace("\r", "\n").splitlines()
        starts = [number for number, line in enumerate(lines) if line.startswith("error: ")]
        return "\n".join(lines[starts[-1] :]).removeprefix("error: ").strip() if starts else ""


def _words(options: dict[str, Value]) -> list[str]:
    words: list[str] = []
    for name, value in options.items():
        option = "--" + name.replace("_", "-")
        if value is None or value is False:
            continue
        if value is True:
            words.append(option)
            continue
        for item in value if isinstance(value, (list, tuple)) else [value]:
            words += [option, str(item) if not isinstance(item, Path) else os.fspath(item)]
    return words
