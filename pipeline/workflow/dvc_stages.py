"""Keep the source files that dvc.yaml lists for each stage those that the stage imports.

    python -m pipeline.workflow.dvc_stages [--check]

DVC reads a list from a file where Snakemake computes it at every start, so the list is written, never edited by hand.
"""

import re
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

from pipeline.code_inputs import code_inputs
from pipeline.storage.files import write_text

DVC_FILE = Path("dvc.yaml")
_STAGE = re.compile(r"  (\w+):$")
_CODE = re.compile(r"      - pipeline/")


def with_code(text: str, code_of: Callable[[str], list[str]] = code_inputs) -> str:
    """`text`, a dvc.yaml, with the files that `code_of` gives for a stage as the first of its dependencies."""
    return "".join(_lines_with_code(text.splitlines(keepends=True), code_of))


def _lines_with_code(lines: list[str], code_of: Callable[[str], list[str]]) -> Iterator[str]:
    stage = ""
    for line in lines:
        if match := _STAGE.match(line):
            stage = match[1]
        if _CODE.match(line):
            continue
        yield line
        if line == "    deps:\n":
            yield from (f"      - {path}\n" for path in code_of(stage))


def write_code_lists() -> bool:
    """Whether dvc.yaml listed other files than the stages import; it lists those now."""
    text = DVC_FILE.read_text(encoding="utf-8")
    current = with_code(text)
    if current != text:
        write_text(DVC_FILE, current)
    return current != text


def main(arguments: list[str]) -> int:
    """Exit status: with `--check` 1 where dvc.yaml is out of date, which is then left as it is."""
    if "--check" not in arguments:
        write_code_lists()
        return 0
    text = DVC_FILE.read_text(encoding="utf-8")
    if with_code(text) == text:
        return 0
    sys.stderr.write(f"{DVC_FILE}: lists other source files than the stages import; run `make format`\n")
    return 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
