"""Mutation scores: how many small changes of the code do its own tests notice?

    python -m benchmarks.mutants --mutants 150 --seed 0 --page docs/benchmarks/mutants.md

cosmic-ray changes one place at a time (`<` to `<=`, a number by one, a condition negated, a decorator removed, …) in a copy of
the tracked files, and runs the tests of that package, to the first failure. The mutants are a random sample, in equal parts of
the packages. `|` is left alone: in annotations, where most of them stand, any other operator fails at import.
"""

import argparse
import random
import shutil
import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import chdir
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

from cosmic_ray.commands import init
from cosmic_ray.mutating import mutate_and_test
from cosmic_ray.testing import run_tests
from cosmic_ray.work_db import WorkDB, use_db
from cosmic_ray.work_item import TestOutcome, WorkItem, WorkResult

from pipeline.storage.files import write_text

DEFAULT_RUN = "not slow and not gpu and not graph and not cluster"


@dataclass(frozen=True)
class Target:
    """Modules, and the tests that are to notice a change of them."""

    name: str
    modules: str
    tests: tuple[str, ...]


TARGETS = (
    Target("web", "pipeline/web/*.py", ("tests/web",)),
    Target("storage", "pipeline/storage/*.py", ("tests/storage",)),
    Target(
        "sandbox", "pipeline/imaging/sandbox*.py", ("tests/imaging/test_sandbox.py", "tests/imaging/test_sandboxed_decoding.py")
    ),
)


@dataclass(frozen=True)
class Tried:
    """A mutant and what the tests did."""

    item: WorkItem
    result: WorkResult

    @property
    def noticed(self) -> bool:
        """Whether a test failed, or the tests did not end."""
        return self.result.is_killed

    @property
    def timed_out(self) -> bool:
        """Whether the tests did not end."""
        return self.noticed and self.result.output == "timeout"


def copy_checkout(checkout: Path, to: Path) -> None:
    """Copy the files that git tracks, as they are in `checkout`."""
    listed = subprocess.run(["git", "ls-files", "-z"], cwd=checkout, check=True, capture_output=True, text=True)
    for name in filter(None, listed.stdout.split("\0")):
        (to / name).parent.mkdir(parents=True, exist_ok=True)
        if (checkout / name).exists():
            shutil.copy(checkout / name, to / name)


def sample(target: Target, count: int, rng: random.Random) -> list[WorkItem]:
    """`count` random mutants of the target in the current folder, in order of their place; all where there are fewer."""
    modules = sorted(path for path in Path().glob(target.modules) if path.name != "__init__.py")
    with TemporaryDirectory() as folder, use_db(Path(folder) / "mutants.sqlite", WorkDB.Mode.create) as session:
        init(modules, session, {})
        items = [item for item in session.work_items if "BitOr" not in item.mutations[0].operator_name]
    chosen = rng.sample(items, min(count, len(items)))
    return sorted(chosen, key=lambda item: (str(item.mutations[0].module_path), item.mutations[0].start_pos))


def try_mutants(target: Target, items: Sequence[WorkItem], timeout_s: float) -> Iterator[Tried]:
    """What the target's tests do with each mutant, in the current folder.

    Raises SystemExit where the tests fail or time out without a mutant.
    """
    tests = [sys.executable, "-m", "pytest", "-q", "-x", "-p", "no:cacheprovider", "-m", DEFAULT_RUN, *target.tests]
    command = " ".join(f"'{word}'" for word in tests)
    outcome, output = run_tests(command, timeout_s)
    if outcome != TestOutcome.SURVIVED:
        raise SystemExit(f"{' '.join(target.tests)} fails without a mutant: {output[-2000:]}")
    for item in items:
        tried = Tried(item, mutate_and_test(item.mutations, command, timeout_s))
        mutation = item.mutations[0]
        outcome = "noticed" if tried.noticed else "SURVIVED"
        print(
            f"{mutation.module_path}:{mutation.start_pos[0]} {mutation.operator_name.partition('/')[2]}: {outcome}", flush=True
        )
        yield tried


def page(results: dict[Target, list[Tried]], command: str) -> str:
    """The page of documentation: scores, and the survivors as diffs."""
    lines = [
        "# Mutants",
        "",
        f"    {command}",
        "",
        "| tests | mutants | noticed | of these by time | score |",
        "|---|---|---|---|---|",
    ]
    for target, tried in [*results.items(), (Target("all", "", ()), [each for all_ in results.values() for each in all_])]:
        noticed, timed_out = sum(each.noticed for each in tried), sum(each.timed_out for each in tried)
        tests = ", ".join(f"`{name}`" for name in target.tests) or "together"
        lines.append(f"| {tests} | {len(tried)} | {noticed} | {timed_out} | {noticed / max(len(tried), 1):.0%} |")
    lines += ["", "## Survivors", ""]
    for each in (each for tried in results.values() for each in tried if not each.noticed):
        mutation = each.item.mutations[0]
        lines += [
            f"`{mutation.module_path}`, line {mutation.start_pos[0]}:",
            "",
            "```diff",
            *changed_lines(each.result.diff or ""),
            "```",
            "",
        ]
    return "\n".join(lines)


def changed_lines(diff: str) -> list[str]:
    """The lines that a unified diff removes and adds."""
    return [line for line in diff.splitlines() if line[:1] in ("-", "+") and line[:3] not in ("---", "+++")]


def main() -> None:
    """Try the mutants, print each, and write the page."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n", 1)[0])
    parser.add_argument("--mutants", type=int, default=150, help="how many in all")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--timeout-s", type=float, default=60, help="for the tests of one mutant")
    parser.add_argument("--only", choices=[target.name for target in TARGETS], help="one package")
    parser.add_argument("--page", type=Path, help="page of documentation to write the table to")
    options = parser.parse_args()
    targets = [target for target in TARGETS if options.only in (None, target.name)]
    results = {}
    with TemporaryDirectory() as folder:
        copy_checkout(Path(), Path(folder))
        with chdir(folder):
            for target in targets:
                items = sample(target, options.mutants // len(targets), random.Random(options.seed))
                results[target] = list(try_mutants(target, items, options.timeout_s))
    text = page(results, f"python -m benchmarks.mutants {' '.join(sys.argv[1:])}")
    print(text)
    if options.page:
        write_text(options.page, text)


if __name__ == "__main__":
    main()
