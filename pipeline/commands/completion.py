"""Print a script that completes commands and options in bash or zsh."""

import argparse
import sys

from pipeline.commands.parser import COMMANDS, build_parser

# `complete` binds to the first word of a line, so `python -m pipeline` needs a wrapper that skips the next two.
BASH = """\
atelier() { python -m pipeline "$@"; }
_atelier_python() {
  [[ ${COMP_WORDS[1]} == -m && ${COMP_WORDS[2]} == pipeline ]] || return
  COMP_WORDS=(atelier "${COMP_WORDS[@]:3}")
  COMP_CWORD=$((COMP_CWORD - 2))
  _shtab_atelier
}
complete -o default -o bashdefault -F _atelier_python python python3
"""
ZSH = """\
atelier() { python -m pipeline "$@"; }
_atelier_python() {
  if [[ $words[2] == -m && $words[3] == pipeline ]]; then
    words=(atelier "${(@)words[4,-1]}")
    (( CURRENT -= 2 ))
    _shtab_atelier
  else
    _python
  fi
}
compdef _shtab_atelier atelier
compdef _atelier_python python python3
"""
SCRIPTS = {"bash": BASH, "zsh": ZSH}


def configure(command: argparse.ArgumentParser) -> None:
    """Add the options of `python -m pipeline completion`."""
    command.add_argument("shell", choices=list(SCRIPTS))


def run(options: argparse.Namespace) -> None:
    """Print the script. It defines `atelier` as short for `python -m pipeline`, and completes both."""
    import shtab

    parser = build_parser(COMMANDS)
    parser.prog = "atelier"
    sys.stdout.write(f"{shtab.complete(parser, options.shell)}\n{SCRIPTS[options.shell]}")
