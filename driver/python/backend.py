# SPDX-License-Identifier: MIT OR Apache-2.0
"""Builds the wheel: the package, and liblinpmem.so in it.

The library is built by cargo from the tree that this folder lies in, or taken
from the file that LINPMEM_LIBRARY names (`cargo xtask dist` makes one).
"""

import base64
import hashlib
import os
import shutil
import subprocess
import zipfile
from pathlib import Path

HERE = Path(__file__).resolve().parent
NAME, VERSION = "linpmem", "0.1.0"
TAG = "py3-none-linux_x86_64"


def library():
    """The path of a shared library to take along."""
    given = os.environ.get("LINPMEM_LIBRARY")
    if given:
        return Path(given)
    if not shutil.which("cargo"):
        raise SystemExit(
            "cargo is not on PATH: install Rust, or set LINPMEM_LIBRARY to a liblinpmem.so"
        )
    workspace = HERE.parent.parent
    target = Path(os.environ.get("CARGO_TARGET_DIR") or workspace / "target") / "capi"
    subprocess.run(
        ["cargo", "build", "--release", "--locked", "--lib", "--package", "linpmem-capi"]
        + ["--target-dir", str(target)],
        cwd=workspace,
        check=True,
    )
    return target / "release" / "liblinpmem_capi.so"


def build_wheel(wheel_directory, config_settings=None, metadata_directory=None):
    """The hook that pip calls (PEP 517)."""
    info = f"{NAME}-{VERSION}.dist-info"
    files = {f"linpmem/{path.name}": path.read_bytes() for path in HERE.glob("linpmem/*.py")}
    files["linpmem/liblinpmem.so"] = library().read_bytes()
    files[f"{info}/METADATA"] = (
        f"Metadata-Version: 2.1\nName: {NAME}\nVersion: {VERSION}\n"
        "Summary: Physical memory through the linpmem module\n"
        "License: MIT OR Apache-2.0\nRequires-Python: >=3.8\n"
    ).encode()
    files[f"{info}/WHEEL"] = (
        f"Wheel-Version: 1.0\nGenerator: {NAME}\nRoot-Is-Purelib: false\nTag: {TAG}\n"
    ).encode()
    record = "".join(f"{name},{digest(data)},{len(data)}\n" for name, data in files.items())
    files[f"{info}/RECORD"] = (record + f"{info}/RECORD,,\n").encode()

    name = f"{NAME}-{VERSION}-{TAG}.whl"
    with zipfile.ZipFile(Path(wheel_directory) / name, "w", zipfile.ZIP_DEFLATED) as wheel:
        for path, data in files.items():
            wheel.writestr(path, data)
    return name


def digest(data):
    """A hash as RECORD has it."""
    text = base64.urlsafe_b64encode(hashlib.sha256(data).digest()).decode()
    return "sha256=" + text.rstrip("=")
