"""Puts the program into the wheel, beside the launcher. `cargo xtask wheel` builds it and calls this."""

import os

from hatchling.builders.hooks.plugin.interface import BuildHookInterface


class CustomBuildHook(BuildHookInterface):
    def initialize(self, version, build_data):
        if version == "editable":
            return
        program = os.environ.get("SLOTCON_PROGRAM")
        if not program or not os.path.isfile(program):
            raise RuntimeError("SLOTCON_PROGRAM names no program for the wheel: build it by `cargo xtask wheel`")
        build_data["pure_python"] = False
        # Any Python 3; which glibc it needs is found out by auditwheel.
        build_data["tag"] = "py3-none-linux_x86_64"
        build_data["force_include"][program] = "slotcon/bin/slotcon"
