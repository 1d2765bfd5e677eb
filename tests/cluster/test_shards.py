"""Ten thousand shards: the plan fits into memory, and no command line is too long for the system."""

import os
import re
import subprocess

import pytest

from tests.support.checkout import Checkout

pytestmark = [pytest.mark.cluster, pytest.mark.timeout(1800)]

SHARDS = 10_000
MAX_MB = 2000
MAX_ARGUMENT_BYTES = 128 * 1024  # MAX_ARG_STRLEN of Linux: a shell gets its command as one argument


def test_ten_thousand_shards_are_planned_in_two_gigabytes_and_every_command_can_be_started(checkout: Checkout) -> None:
    checkout.change("fetch", lambda section: section.update(shards=SHARDS))
    command = ["snakemake", "--dry-run", "--cores", "2", "--printshellcmds", "--nocolor"]
    output = checkout.folder / "plan.txt"
    with output.open("wb") as file:
        process = subprocess.Popen(command, cwd=checkout.folder, env=checkout.environment, stdout=file, stderr=file)
        _, status, used = os.wait4(process.pid, 0)
        process.returncode = os.waitstatus_to_exitcode(status)
    plan = output.read_text()
    assert status == 0, plan[-3000:]
    assert used.ru_maxrss / 1024 < MAX_MB
    assert re.search(rf"^total +{2 * SHARDS + 10}$", plan, re.MULTILINE)
    commands = [line for line in plan.splitlines() if line.lstrip().startswith("python -m pipeline ")]
    assert len(commands) == 2 * SHARDS + 9
    assert max(map(len, commands)) < MAX_ARGUMENT_BYTES
