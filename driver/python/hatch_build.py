# SPDX-License-Identifier: MIT OR Apache-2.0
"""Adds liblinpmem.so, the C library that the package loads, to the wheel.

cargo builds the library from the source tree around this folder, unless
LINPMEM_LIBRARY names one that is already built (`cargo xtask dist` makes one).
LINPMEM_WHEEL_PLATFORM says where that one loads: `cargo xtask release` reads it from the file.
"""

import os
import shutil
import subprocess
from pathlib import Path

from hatchling.builders.hooks.plugin.interface import BuildHookInterface


class LibraryHook(BuildHookInterface):
    def initialize(self, version, build_data):
        library = given_library() or build_library(Path(self.root).parent.parent)
        build_data["force_include"][str(library)] = "linpmem/liblinpmem.so"
        # ctypes loads the library, so one wheel serves every Python version.
        build_data["pure_python"] = False
        platform = os.environ.get("LINPMEM_WHEEL_PLATFORM") or "linux_x86_64"
        build_data["tag"] = f"py3-none-{platform}"


def given_library():
    """The library that LINPMEM_LIBRARY names, if it is set."""
    path = os.environ.get("LINPMEM_LIBRARY")
    if not path:
        return None
    if not os.path.isfile(path):
        raise SystemExit(f"LINPMEM_LIBRARY: {path} is not a file")
    return Path(path).resolve()


def build_library(workspace):
    """Builds the library with cargo and returns its path."""
    if not (workspace / "driver" / "capi" / "Cargo.toml").is_file():
        raise SystemExit(
            f"driver/capi is not in {workspace}: build from a checkout of linpmem, "
            "or set LINPMEM_LIBRARY to a liblinpmem.so"
        )
    if not shutil.which("cargo"):
        raise SystemExit(
            "cargo is not on PATH: install Rust, or set LINPMEM_LIBRARY to a liblinpmem.so"
        )
    target = workspace / (os.environ.get("CARGO_TARGET_DIR") or "target") / "capi"
    subprocess.run(
        ["cargo", "build", "--release", "--locked", "--lib", "--package", "linpmem-capi"]
        + ["--target-dir", str(target)],
        cwd=workspace,
        check=True,
    )
    return target / "release" / "liblinpmem_capi.so"
