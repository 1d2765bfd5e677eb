"""Lines of code of pipeline/ and studio/ at some revisions of git.

    python -m benchmarks.code_size b624dff bfa2f7a main --page docs/benchmarks/code_size.md

A line of code carries a token that is neither a comment nor part of a docstring; a statement over three lines counts as three.
A function's length counts the same lines, with its decorators and the functions within it. `static` counts the non-blank lines
of the studio's JavaScript, HTML and CSS.
"""

import argparse
import ast
import io
import statistics
import subprocess
import sys
import tarfile
import tokenize
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath

from pipeline.storage.files import write_text

FOLDERS = ("pipeline", "studio")
STATIC = (".js", ".html", ".css")
NO_CODE = {
    tokenize.COMMENT,
    tokenize.NL,
    tokenize.NEWLINE,
    tokenize.INDENT,
    tokenize.DEDENT,
    tokenize.ENCODING,
    tokenize.ENDMARKER,
}
HEADINGS = (
    "revision",
    "date",
    "lines of code",
    "docstrings and comments",
    "static",
    "modules",
    "median",
    "longest module",
    "longest class",
    "longest function",
)


@dataclass(frozen=True)
class Module:
    """One file of Python: its lines of code, in all and of each class and function by name."""

    path: str
    code_lines: int
    prose_lines: int
    classes: dict[str, int]
    functions: dict[str, int]


@dataclass
class Revision:
    """What a revision of git holds in `FOLDERS`."""

    name: str
    date: str
    modules: list[Module] = field(default_factory=list)
    static_lines: int = 0


def docstring_lines(tree: ast.Module) -> set[int]:
    """The lines of all docstrings, those of attributes among them."""
    return {
        line
        for node in ast.walk(tree)
        if isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant) and isinstance(node.value.value, str)
        for line in range(node.lineno, (node.end_lineno or node.lineno) + 1)
    }


def measure(path: str, source: str) -> Module:
    """The lengths of one module.

    Raises SyntaxError where `source` is not Python.
    """
    tree = ast.parse(source)
    docstrings = docstring_lines(tree)
    code, comments = set[int](), set[int]()
    for token in tokenize.generate_tokens(io.StringIO(source).readline):
        if token.type == tokenize.COMMENT:
            comments.add(token.start[0])
        elif token.type not in NO_CODE:
            code.update(range(token.start[0], token.end[0] + 1))
    code -= docstrings

    def lengths(*kinds: type[ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef]) -> dict[str, int]:
        return {
            node.name: len(code.intersection(range(_first_line(node), (node.end_lineno or node.lineno) + 1)))
            for node in ast.walk(tree)
            if isinstance(node, kinds)
        }

    return Module(
        path,
        len(code),
        len((docstrings | comments) - code),
        lengths(ast.ClassDef),
        lengths(ast.FunctionDef, ast.AsyncFunctionDef),
    )


def _first_line(node: ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef) -> int:
    return min([node.lineno, *(decorator.lineno for decorator in node.decorator_list)])


def read_revision(name: str) -> Revision:
    """The modules of a revision of the repository in the current folder."""
    shown = subprocess.run(["git", "show", "--no-patch", "--format=%h %as", name], check=True, capture_output=True, text=True)
    hash_, date = shown.stdout.split()
    found = Revision(hash_, date)
    for path, content in _files(name):
        if PurePosixPath(path).suffix == ".py":
            found.modules.append(measure(path, content.decode("utf-8")))
        elif PurePosixPath(path).suffix in STATIC and "studio" in PurePosixPath(path).parts:
            found.static_lines += sum(1 for line in content.splitlines() if line.strip())
    return found


def _files(revision: str) -> Iterator[tuple[str, bytes]]:
    listed = subprocess.run(["git", "ls-tree", "--name-only", revision, *FOLDERS], check=True, capture_output=True, text=True)
    packed = subprocess.run(["git", "archive", revision, *listed.stdout.split()], check=True, capture_output=True)
    with tarfile.open(fileobj=io.BytesIO(packed.stdout)) as archive:
        for member in archive:
            if (reader := archive.extractfile(member)) is not None:
                yield member.name, reader.read()


def row(revision: Revision) -> list[str]:
    """The revision's cells under `HEADINGS`."""
    filled = [module for module in revision.modules if module.code_lines]
    module = max(filled, key=lambda each: each.code_lines)
    class_lines, class_name = max((lines, name) for each in filled for name, lines in each.classes.items())
    function_lines, function_name = max((lines, name) for each in filled for name, lines in each.functions.items())
    return [
        f"`{revision.name}`",
        revision.date,
        f"{sum(each.code_lines for each in filled):,}",
        f"{sum(each.prose_lines for each in filled):,}",
        f"{revision.static_lines:,}",
        f"{len(filled)}",
        f"{statistics.median(each.code_lines for each in filled):g}",
        f"`{module.path}`, {module.code_lines}",
        f"`{class_name}`, {class_lines}",
        f"`{function_name}`, {function_lines}",
    ]


def main() -> None:
    """Print the table, and write it."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n", 1)[0])
    parser.add_argument("revisions", nargs="+", help="commits, tags or branches")
    parser.add_argument("--page", type=Path, help="page of documentation to write the table to")
    options = parser.parse_args()
    rows = [HEADINGS, ["---"] * len(HEADINGS), *(row(read_revision(name)) for name in options.revisions)]
    table = "\n".join(f"| {' | '.join(cells)} |" for cells in rows)
    print(table)
    if options.page:
        command = f"    python -m benchmarks.code_size {' '.join(sys.argv[1:])}"
        write_text(options.page, f"# Size of the code\n\n{command}\n\n{table}\n")


if __name__ == "__main__":
    main()
