"""Questions to git, for which a checkout without git, or no checkout at all, is no error."""

import subprocess


def git(*arguments: str) -> str:
    """What git prints, without blank ends; empty where it fails or is not installed."""
    try:
        done = subprocess.run(["git", *arguments], capture_output=True, encoding="utf-8", errors="replace", check=False)
    except OSError:
        return ""
    return done.stdout.strip() if done.returncode == 0 else ""
