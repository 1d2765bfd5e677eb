"""The parser of `python -m pipeline`: every command in its group, with a description and an example."""

import argparse
import importlib
import os
import sys
import textwrap
from collections.abc import Collection, Sequence
from pathlib import Path

from pipeline import __version__
from pipeline.errors import known_names

PACKAGE = Path(__file__).parents[1]
# Written out, since importing them from pipeline.params takes longer than everything else that --help does.
STAGES = (
    "collect",
    "fetch",
    "inspect",
    "dedup",
    "curate",
    "trends",
    "augment",
    "reference",
    "train",
    "evaluate",
    "report",
    "export",
)
GROUPS = {
    "stages": STAGES,
    "models": ("generate",),
    "runs": ("compare", "plots", "send"),
    "data": ("params", "show", "attributes", "forget", "remember"),
    "studio": ("studio", "tryon"),
    "shell": ("completion",),
}
COMMANDS = tuple(name for names in GROUPS.values() for name in names)
EXAMPLES = {
    "generate": "generate --category dress --count 16 --seed 1 dresses.png",
    "compare": "compare --limit 5",
    "plots": "plots HEAD~1 HEAD",
    "send": "send",
    "params": "params train",
    "show": "show manifest",
    "attributes": "attributes --count 50",
    "forget": "forget https://shop.example/dress.jpg",
    "remember": "remember",
    "studio": "studio --port 8500",
    "tryon": "tryon person.jpg jeans.jpg --kind trousers --out worn.png",
    "completion": "completion bash > atelier.bash && source atelier.bash",
}
WITHOUT_PATHS = {"--dry-run", "--series"}  # options with which a stage does something else
INDENT = 13
MAX_COLUMNS = 120


def is_stage(command: str) -> bool:
    """Whether `command` is a stage; the others are modules of this package with `configure(parser)` and `run(options)`."""
    return command in STAGES


def summary(command: str) -> str:
    """The first line of the command's module, its docstring; read as text, because importing a stage can take seconds."""
    source = PACKAGE / (f"stages/{command}/run.py" if is_stage(command) else f"commands/{command}.py")
    with source.open(encoding="utf-8") as file:
        return file.readline().strip().strip('"')


def example(command: str) -> str:
    """A command line that runs `command`. Snakemake knows the paths of a stage; `--printshellcmds` prints them."""
    if not is_stage(command):
        return f"python -m pipeline {EXAMPLES[command]}"
    rule = f"{command}_all" if command in ("fetch", "inspect") else command  # one job for each shard
    return f"snakemake --cores 8 --resources gpu=1 --printshellcmds {rule}"


def _listing() -> str:
    width = min(MAX_COLUMNS, _terminal_columns())
    lines = []
    for group, names in GROUPS.items():
        lines.append(f"{group}:")
        for name in names:
            lines += textwrap.wrap(
                summary(name), width, initial_indent=f"  {name:<{INDENT - 2}}", subsequent_indent=" " * INDENT
            )
        lines.append("")
    return "\n".join([*lines, "`python -m pipeline COMMAND --help` lists a command's options."])


def _terminal_columns() -> int:
    try:
        return max(40, os.get_terminal_size(sys.stdout.fileno()).columns)
    except (OSError, ValueError):
        return MAX_COLUMNS


def build_parser(configured: Collection[str], *, without_paths: bool = False) -> argparse.ArgumentParser:
    """A parser that knows every command, and the options of those `configured`, whose modules are imported.

    With `without_paths`, the paths of a stage are optional.
    """
    parser = argparse.ArgumentParser(
        prog="python -m pipeline",
        description="Data and models for GANs of fashion pictures.",
        epilog=_listing(),
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--version", action="version", version=f"atelier {__version__}")
    commands = parser.add_subparsers(dest="command", required=True, metavar="COMMAND", help="one of those below")
    for name in COMMANDS:
        # With a help text argparse would list it again, ungrouped; shtab completes only commands that have one.
        shown = {"help": summary(name)} if len(configured) == len(COMMANDS) else {}
        command = commands.add_parser(
            name,
            **shown,  # type: ignore[arg-type]
            description=summary(name),
            epilog=f"example:\n  {example(name)}",
            formatter_class=argparse.RawDescriptionHelpFormatter,
        )
        if name not in configured:
            continue
        if is_stage(name):
            stage = importlib.import_module("pipeline.commands.stage")
            stage.configure(command, name, without_paths=without_paths)
            command.set_defaults(run=stage.run)
        else:
            module = importlib.import_module(f"pipeline.commands.{name}")
            module.configure(command)
            command.set_defaults(run=module.run)
    return parser


def parse(arguments: Sequence[str]) -> argparse.Namespace:
    """The options in `arguments`; `run(options)` executes them. Exits with status 2 where they are wrong."""
    name = next((word for word in arguments if not word.startswith("-")), None)
    given = {word.partition("=")[0] for word in arguments}
    parser = build_parser({name} if name else (), without_paths=bool(WITHOUT_PATHS & given))
    if name is not None and name not in COMMANDS:
        parser.error(f"there is no command {name!r}; {known_names(name, COMMANDS)}")
    return parser.parse_args(arguments, argparse.Namespace(arguments=list(arguments)))
