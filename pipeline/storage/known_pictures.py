"""Pictures that earlier runs kept, by what dedup compares: tables in one folder, a file for each time of remembering."""

import hashlib
from pathlib import Path

import pandas as pd

from pipeline.storage.tables import KNOWN, read_table, write_table

NAME_DIGITS = 16


def _tables(folder: Path) -> list[Path]:
    """The tables in `folder`, in the order of their names; macOS puts hidden files of the same ending beside them."""
    return sorted(path for path in folder.glob("*.parquet") if not path.name.startswith("."))


def read_known(folder: Path) -> pd.DataFrame:
    """Every picture remembered in `folder`, once, as it was remembered first in the order of file names. Raises InputError."""
    paths = _tables(folder)
    frames = [read_table(path, KNOWN) for path in paths] or [pd.DataFrame(columns=KNOWN.names)]
    return pd.concat(frames, ignore_index=True).drop_duplicates("sha256", ignore_index=True)


def add_known(folder: Path, pictures: pd.DataFrame) -> int:
    """How many of `pictures`, columns of tables.KNOWN, were new to `folder` and now stand in a file of their own."""
    new = pictures[~pictures["sha256"].isin(read_known(folder)["sha256"])].drop_duplicates("sha256").sort_values("sha256")
    if len(new):
        digest = hashlib.sha256("\n".join(new["sha256"]).encode()).hexdigest()
        number = len(_tables(folder))  # so that the order of names is that of remembering
        write_table(folder / f"{number:05d}-{digest[:NAME_DIGITS]}.parquet", new, KNOWN)
    return len(new)


def drop_known(folder: Path, contents: set[str]) -> None:
    """Take the pictures of these SHA-256 out of `folder`."""
    for path in _tables(folder):
        rows = read_table(path, KNOWN)
        left = rows[~rows["sha256"].isin(contents)]
        if len(left) < len(rows):
            write_table(path, left, KNOWN)
