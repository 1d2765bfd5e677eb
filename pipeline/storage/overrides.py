"""overrides.csv: people's decisions about single pictures, by the SHA-256 of their bytes. They override every rule."""

from pathlib import Path

import pandas as pd

from pipeline.errors import InputError
from pipeline.storage.edited_csv import read_edited_csv, sha256_of
from pipeline.storage.garment_attributes import SEEN_ATTRIBUTES

COLUMNS = ["sha256", "decision", "category", "reason"]  # `category` also holds the value of an attribute
DECISIONS = ("keep", "drop", "category")  # about the picture as a whole, one each


def _checked(row: dict[str, str]) -> dict[str, str]:
    """`row` with its SHA-256 and its decision in lower case. Raises ValueError that says what is wrong."""
    sha256, decision = sha256_of(row["sha256"]), row["decision"].lower()
    value = row["category"]
    if decision in SEEN_ATTRIBUTES:
        value = value.lower()
        if value and value not in SEEN_ATTRIBUTES[decision].values:
            known = ", ".join(SEEN_ATTRIBUTES[decision].values)
            raise ValueError(f"{decision} is {value!r}, not one of {known}; leave it empty where it is unknown")
    elif decision not in DECISIONS:
        raise ValueError(f"decision is {row['decision']!r}, not one of {', '.join([*DECISIONS, *SEEN_ATTRIBUTES])}")
    elif (decision == "category") != bool(value):
        raise ValueError("a category belongs to the decision `category`, and to no other")
    return row | {"sha256": sha256, "decision": decision, "category": value}


def read_overrides(path: Path) -> pd.DataFrame:
    """The table at `path` with the columns COLUMNS: of each picture at most one of DECISIONS, and each attribute at most once.

    Raises InputError that names the line.
    """
    rows: dict[tuple[str, str], dict[str, str]] = {}
    for line, fields in read_edited_csv(path, COLUMNS, last_takes_rest=True):
        try:
            row = _checked(fields)
            about = row["sha256"], row["decision"] if row["decision"] in SEEN_ATTRIBUTES else ""
            if about in rows:
                raise ValueError(f"{row['sha256'][:12]}… appears twice")
        except ValueError as error:
            raise InputError(f"{path}: line {line}: {error}") from None
        rows[about] = row
    return pd.DataFrame(list(rows.values()), columns=COLUMNS, dtype=object)
