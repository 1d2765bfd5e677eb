"""Which source files decide what a stage computes: what its module imports, directly or not, and the templates beside."""

import ast
import re
from collections.abc import Iterable
from functools import cache
from pathlib import Path

import grimp

# These watch a stage, word its errors or name the version; they cannot change what it writes.
WITHOUT_EFFECT = re.compile(r"pipeline(\.errors|\.tracking(\..+)?)?")
ROOT = Path(__file__).parent.parent


@cache
def _import_graph() -> grimp.ImportGraph:
    # Read from the sources each time (15 ms): a cache on disk could outlive an edit.
    return grimp.build_graph("pipeline", exclude_type_checking_imports=True, cache_dir=None)


def _file_of(module: str) -> Path:
    path = ROOT.joinpath(*module.split("."))
    return path / "__init__.py" if path.is_dir() else path.with_suffix(".py")


def _says_something(source: Path) -> bool:
    """Whether `source` holds more than a docstring, which is all that most packages' __init__.py do."""
    return any(not isinstance(node, ast.Expr) for node in ast.parse(source.read_bytes()).body)


def _templates_beside(source: Path) -> Iterable[Path]:
    return (path for path in (source.parent / "templates").glob("*") if path.is_file())


def import_closure(module: str) -> list[Path]:
    """Files, sorted, of `module`, of every module of this package that it imports, and of their templates."""
    graph = _import_graph()
    imported = {module, *graph.find_upstream_modules(module)}
    packages = {".".join(name.split(".")[:depth]) for name in imported for depth in range(1, name.count(".") + 1)}
    kept = [name for name in imported | packages if not WITHOUT_EFFECT.fullmatch(name)]
    sources = [path for path in map(_file_of, kept) if _says_something(path)]
    return sorted({*sources, *(template for source in sources for template in _templates_beside(source))})


def code_inputs(stage: str) -> list[str]:
    """Paths, relative to the project's folder, of the files that decide what `stage` computes."""
    return [path.relative_to(ROOT).as_posix() for path in import_closure(f"pipeline.stages.{stage}.run")]
