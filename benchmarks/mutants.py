"""Score of the tests against mutants: changes of one operator, constant or argument that a test should notice.

    python -m benchmarks.mutants --count 120 --seed 0 > docs/benchmarks/mutants.md

mutmut makes the mutants ([tool.mutmut] of pyproject.toml names modules and tests) and runs, for each of a random sample, the
tests that reach the changed function. Standard error lists the survivors with their change.
"""

import argparse
import json
import random
import subprocess
import sys
import time
from collections import Counter
from pathlib import Path

MUTANTS = Path("mutants")  # mutmut writes here
KILLED, SURVIVED, TIMEOUT = "killed", "survived", "timeout"
EXIT_CODES = {
    0: SURVIVED,
    1: KILLED,
    3: KILLED,
    5: "no tests",
    33: "no tests",
    24: TIMEOUT,
    36: TIMEOUT,
    152: TIMEOUT,
    255: TIMEOUT,
}
EXIT_CODES |= {-24: TIMEOUT, -9: KILLED, -11: KILLED}


def exit_codes() -> dict[str, int | None]:
    """The exit code of the tests by mutant; none where it has not been run."""
    cards = [json.loads(path.read_text()) for path in sorted(MUTANTS.rglob("*.meta"))]
    return {name: code for card in cards for name, code in card["exit_code_by_key"].items()}


def module_of(mutant: str) -> str:
    """The file of `mutant`, whose name is that of its function and a number."""
    return mutant.rpartition(".")[0].replace(".", "/") + ".py"


def as_markdown(results: dict[str, str], generated: int, seed: int, minutes: float) -> str:
    """The text of docs/benchmarks/mutants.md."""
    killed = sum(result in (KILLED, TIMEOUT) for result in results.values())
    lines = [
        "# Mutants",
        "",
        f"`python -m benchmarks.mutants --count {len(results)} --seed {seed}`: a random sample of the {generated:,} mutants",
        f"that mutmut makes of `pipeline/web`, `pipeline/storage` and `pipeline/imaging/sandbox.py`, in {minutes:.0f} minutes. "
        f"The tests noticed {killed} ({killed / len(results):.0%}).",
        "",
        "| module | mutants | noticed | survived |",
        "|---|---:|---:|---:|",
    ]
    counts = Counter((module_of(name), result in (KILLED, TIMEOUT)) for name, result in results.items())
    for module in sorted({module for module, _ in counts}):
        noticed, missed = counts[module, True], counts[module, False]
        lines.append(f"| `{module}` | {noticed + missed} | {noticed} | {missed} |")
    return "\n".join(lines) + "\n"


def changed_lines(mutant: str) -> str:
    """The removed and the added lines of `mutant`."""
    shown = subprocess.run(["mutmut", "show", mutant], capture_output=True, text=True, check=False).stdout.splitlines()
    return "\n".join(line for line in shown if line[:1] in "+-" and line[:3] not in ("+++", "---"))


def main() -> None:
    """Print the page, and the survivors on standard error."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--count", type=int, default=120, help="mutants to test")
    parser.add_argument("--seed", type=int, default=0, help="seed of the sample")
    options = parser.parse_args()
    started = time.monotonic()
    subprocess.run(
        ["mutmut", "print-time-estimates"], stdout=subprocess.DEVNULL, check=True
    )  # makes the mutants, times the tests
    generated = sorted(exit_codes())
    sample = sorted(random.Random(options.seed).sample(generated, min(options.count, len(generated))))
    subprocess.run(["mutmut", "run", "--max-children", "1", *sample], stdout=subprocess.DEVNULL, check=False)
    codes = exit_codes()
    results = {name: "not run" if (code := codes[name]) is None else EXIT_CODES.get(code, KILLED) for name in sample}
    for name, result in results.items():
        if result not in (KILLED, TIMEOUT):
            sys.stderr.write(f"{name}: {result}\n{changed_lines(name)}\n")
    sys.stdout.write(as_markdown(results, len(generated), options.seed, (time.monotonic() - started) / 60))


if __name__ == "__main__":
    main()
