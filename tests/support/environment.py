"""environment.yml for conda users, printed from requirements.lock: the same packages at the same versions."""

import re
import sys
from pathlib import Path

PIN = re.compile(r"^(?P<pin>[A-Za-z0-9._-]+(\[[a-z,]+\])?==\S+( ; [^\\]+)?)", re.MULTILINE)
HEADER = """\
# Made by `make lock` from requirements.lock, which pins the same versions with hashes.
name: atelier
channels:
  - conda-forge
dependencies:
  - python=3.11
  - pip
  - pip:
"""


def environment_of(lock: str) -> str:
    """The text of environment.yml that pins what `lock`, a requirements file with hashes, pins."""
    pins = [match["pin"].strip() for match in PIN.finditer(lock)]
    return HEADER + "".join(f"      - {pin}\n" for pin in pins)


if __name__ == "__main__":
    sys.stdout.write(environment_of(Path("requirements.lock").read_text(encoding="utf-8")))
