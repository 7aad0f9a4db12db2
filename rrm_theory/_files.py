"""Files that are whole at every moment, and folders that are known to take them."""

from __future__ import annotations

import os
from pathlib import Path


class UnwritableError(OSError):
    """A folder cannot take files; raised before any work starts."""


def write_atomically(path: Path, content: bytes) -> None:
    """Write ``content`` so that ``path`` is at every moment the old file or the whole new one."""
    part = path.with_name(f".{path.name}.{os.getpid()}.part")
    try:
        with part.open("wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        part.replace(path)
    finally:
        part.unlink(missing_ok=True)


def prepare_folder(folder: Path) -> None:
    """Make ``folder`` and prove that it takes files.

    Raises
    ------
    UnwritableError
        If it does not; the message names the folder and the system's reason.

    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
        probe = folder / f".probe.{os.getpid()}"
        probe.write_bytes(b"")
        probe.unlink()
    except OSError as error:
        msg = f"cannot write to {folder}: {error.strerror or error}. Choose another folder."
        raise UnwritableError(msg) from error
