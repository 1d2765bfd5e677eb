"""overrides.csv: people's decisions about single pictures, by the SHA-256 of their bytes. They override every rule."""

from pathlib import Path

import pandas as pd

from pipeline.errors import InputError
from pipeline.storage.edited_csv import read_edited_csv, sha256_of

COLUMNS = ["sha256", "decision", "category", "reason"]
DECISIONS = ("keep", "drop", "category")


def _checked(row: dict[str, str]) -> dict[str, str]:
    """`row` with its SHA-256 and its decision in lower case. Raises ValueError that says what is wrong."""
    sha256, decision = sha256_of(row["sha256"]), row["decision"].lower()
    if decision not in DECISIONS:
        raise ValueError(f"decision is {row['decision']!r}, not one of {', '.join(DECISIONS)}")
    if (decision == "category") != bool(row["category"]):
        raise ValueError("a category belongs to the decision `category`, and to no other")
    return row | {"sha256": sha256, "decision": decision}


def read_overrides(path: Path) -> pd.DataFrame:
    """The table at `path` with the columns COLUMNS, one row per picture. Raises InputError that names the line."""
    rows: dict[str, dict[str, str]] = {}
    for line, fields in read_edited_csv(path, COLUMNS, last_takes_rest=True):
        try:
            row = _checked(fields)
            if row["sha256"] in rows:
                raise ValueError(f"{row['sha256'][:12]}… appears twice")
        except ValueError as error:
            raise InputError(f"{path}: line {line}: {error}") from None
        rows[row["sha256"]] = row
    return pd.DataFrame(list(rows.values()), columns=COLUMNS, dtype=object)
