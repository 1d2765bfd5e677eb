"""The examples of CONTRIBUTING.md, each appended to its module in a copy of the package."""

import re
import shutil
import subprocess
import sys
from pathlib import Path

from tests.support.project import ROOT

MAX_LINES = 25


def check_example(first_words: str, module: str, probe: str, folder: Path) -> None:
    """Run `probe` on a copy of the package in `folder`, whose `module` ends with the example that starts with `first_words`."""
    text = (ROOT / "CONTRIBUTING.md").read_text(encoding="utf-8")
    [code] = re.findall(rf"```python\n({re.escape(first_words)}.*?)```", text, re.DOTALL)
    assert len(code.splitlines()) <= MAX_LINES
    shutil.copytree(ROOT / "pipeline", folder / "pipeline", ignore=shutil.ignore_patterns("__pycache__"))
    with (folder / module).open("a", encoding="utf-8") as source:
        source.write("\n\n" + code)
    done = subprocess.run([sys.executable, "-c", probe], cwd=folder, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
