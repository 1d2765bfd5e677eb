"""overrides.csv: what people decided about single pictures, by the SHA-256 of their bytes. It stands above every rule."""

import csv
import re
from pathlib import Path

import pandas as pd

from pipeline.errors import InputError

COLUMNS = ["sha256", "decision", "category", "reason"]
DECISIONS = ("keep", "drop", "category")
SHA256 = re.compile(r"[0-9a-f]{64}")


def _fault(row: dict[str, str]) -> str | None:
    if not SHA256.fullmatch(row["sha256"]):
        return f"sha256 is not 64 hex digits: {row['sha256']!r}"
    if row["decision"] not in DECISIONS:
        return f"decision is {row['decision']!r}, not one of {', '.join(DECISIONS)}"
    if (row["decision"] == "category") != bool(row["category"]):
        return "a category belongs to the decision `category`, and to no other"
    return None


def read_overrides(path: Path) -> pd.DataFrame:
    """The table at `path` with the columns COLUMNS, one row a picture. Raises InputError that names the line."""
    try:
        with path.open(encoding="utf-8", newline="") as file:
            reader = csv.DictReader(file)
            rows = [{name: (row.get(name) or "").strip() for name in COLUMNS} for row in reader]
            head = list(reader.fieldnames or [])
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise InputError(f"{path}: cannot be read ({error}); its first line is {','.join(COLUMNS)}") from None
    if head != COLUMNS:
        raise InputError(f"{path}: the first line must be {','.join(COLUMNS)} (it is {','.join(head)})")
    seen: set[str] = set()
    for line, row in enumerate(rows, start=2):
        fault = _fault(row) or (f"{row['sha256'][:12]}… stands here twice" if row["sha256"] in seen else None)
        if fault:
            raise InputError(f"{path}: line {line}: {fault}")
        seen.add(row["sha256"])
    return pd.DataFrame(rows, columns=COLUMNS, dtype=object)
