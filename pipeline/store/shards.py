"""Shards of pictures: tar files of the WebDataset convention, byte-identical for identical content."""

import io
import tarfile
from collections.abc import Iterable, Iterator
from pathlib import Path

from pipeline.errors import InputError
from pipeline.store.files import whole_file


def write_shard(path: Path, members: Iterable[tuple[str, bytes]]) -> None:
    """Write (name, content) pairs to a tar at `path`, in the order given, without clock, owner or mode of this machine."""
    with whole_file(path) as partial, tarfile.open(partial, "w", format=tarfile.USTAR_FORMAT) as tar:
        for name, content in members:
            header = tarfile.TarInfo(name)
            header.size = len(content)
            tar.addfile(header, io.BytesIO(content))


def read_shard(path: Path) -> Iterator[tuple[str, bytes]]:
    """(name, content) of each member of the tar at `path`, in its order.

    Raises InputError when the file is missing or is not a whole tar.
    """
    try:
        with tarfile.open(path, "r|") as tar:
            for header in tar:
                file = tar.extractfile(header)
                if file is not None:
                    yield header.name, file.read()
    except (tarfile.TarError, OSError, EOFError) as error:
        raise InputError(f"{path}: not a whole shard ({error}); delete it and run fetch again") from error
