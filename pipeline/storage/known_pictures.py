"""Pictures that earlier runs kept, with the measures that dedup compares: one table for each `remember`, in one folder."""

import hashlib
from pathlib import Path

import pandas as pd

from pipeline.storage.tables import KNOWN, read_table, write_table

NAME_DIGITS = 16


def known_tables(folder: Path) -> list[Path]:
    """The tables in `folder`, sorted by name, without the hidden files that macOS writes beside them."""
    return sorted(path for path in folder.glob("*.parquet") if not path.name.startswith("."))


def read_known(folder: Path) -> pd.DataFrame:
    """Every picture stored in `folder`, once, as the first table by name has it. Raises InputError."""
    paths = known_tables(folder)
    frames = [read_table(path, KNOWN) for path in paths] or [pd.DataFrame(columns=KNOWN.names)]
    return pd.concat(frames, ignore_index=True).drop_duplicates("sha256", ignore_index=True)


def add_known(folder: Path, pictures: pd.DataFrame) -> int:
    """Store those of `pictures` (columns of tables.KNOWN) that `folder` lacks in a new table; returns their number."""
    new = pictures[~pictures["sha256"].isin(read_known(folder)["sha256"])].drop_duplicates("sha256").sort_values("sha256")
    if len(new):
        digest = hashlib.sha256("\n".join(new["sha256"]).encode()).hexdigest()
        number = len(known_tables(folder))  # so that names sort by time
        write_table(folder / f"{number:05d}-{digest[:NAME_DIGITS]}.parquet", new, KNOWN)
    return len(new)


def drop_known(folder: Path, contents: set[str]) -> None:
    """Remove the pictures with these SHA-256 from `folder`."""
    for path in known_tables(folder):
        rows = read_table(path, KNOWN)
        left = rows[~rows["sha256"].isin(contents)]
        if len(left) < len(rows):
            write_table(path, left, KNOWN)
