"""Where a number comes from: versions, processor, commit."""

from __future__ import annotations

import os
import platform
import subprocess
from collections.abc import Iterable
from importlib.metadata import version
from pathlib import Path
from typing import Any

HERE = Path(__file__).resolve()


def provenance(packages: Iterable[str]) -> dict[str, Any]:
    """Return versions of Python and packages, the processor, the commit, whether files differ.

    Without git, or if this file is not under version control, the last two are None.
    """
    tracked = _git("ls-files", "--error-unmatch", HERE.name) is not None
    # Results are written while a sweep runs; they are not what produced them.
    changes = _git("status", "--porcelain", "--", ":/", ":(exclude,top)experiments/results")
    return {
        "python": platform.python_version(),
        **{name: version(name) for name in packages},
        "device": f"cpu ({_processor()})",
        "commit": _git("rev-parse", "HEAD") if tracked else None,
        "dirty": bool(changes) if tracked else None,
    }


def _processor() -> str:
    """Return the processor's name where the system tells it."""
    cpuinfo = Path("/proc/cpuinfo")
    if cpuinfo.is_file():
        for line in cpuinfo.read_text().splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    return platform.processor() or platform.machine()


def _git(*arguments: str) -> str | None:
    """Return what git says in the checkout this file is in; None outside of one."""
    command = ["git", "-C", os.fspath(HERE.parent), *arguments]
    try:
        answer = subprocess.run(command, capture_output=True, text=True, check=True)
    except (OSError, subprocess.CalledProcessError):
        return None
    return answer.stdout.strip()
