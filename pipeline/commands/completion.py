"""Print a script that completes commands and options in bash."""

import argparse
import sys

from pipeline.commands.parser import COMMANDS, build_parser

# `complete` binds to the first word of a line, so `python -m pipeline` needs a wrapper that skips the next two.
SCRIPT = """\
atelier() { python -m pipeline "$@"; }
_atelier_python() {
  [[ ${COMP_WORDS[1]} == -m && ${COMP_WORDS[2]} == pipeline ]] || return
  COMP_WORDS=(atelier "${COMP_WORDS[@]:3}")
  COMP_CWORD=$((COMP_CWORD - 2))
  _shtab_atelier
}
complete -o default -o bashdefault -F _atelier_python python python3
"""


def configure(command: argparse.ArgumentParser) -> None:
    """Add the options of `python -m pipeline completion`."""
    command.add_argument("shell", choices=["bash"])


def run(options: argparse.Namespace) -> None:
    """Print the script. It defines `atelier` as short for `python -m pipeline`, and completes both."""
    import shtab

    parser = build_parser(COMMANDS)
    parser.prog = "atelier"
    sys.stdout.write(f"{shtab.complete(parser, options.shell)}\n{SCRIPT}")
