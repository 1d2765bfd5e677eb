"""A source is added by an entry of the registry."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from pipeline.section import keys_of
from pipeline.sources import ListedPicture
from pipeline.sources.params import SourceSection
from pipeline.sources.registry import SOURCES, Context, Reader, Source, source_sections
from pipeline.stages.collect import run as collect
from pipeline.stages.fetch import run as fetch
from pipeline.storage.tables import RAW, read_table
from pipeline.tracking.tracker import Tracker
from tests.support.web_params import fetch_params, web
from tests.support.web_pictures import jpeg


# This source is also the example in CONTRIBUTING.md.
class LoremSource(SourceSection):
    count: int = 3
    """Pictures to make up."""


def list_lorem(params: LoremSource, _: Context) -> Iterator[ListedPicture]:
    return (ListedPicture(f"lorem:{index}", "lorem", category="dress") for index in range(params.count))


def open_lorem(_: Path, max_bytes: int) -> Reader:
    return lambda row: jpeg(int(row["url"].partition(":")[2]))[:max_bytes]


LOREM = Source(LoremSource, list_lorem, "lorem", open_lorem)


def test_a_registered_source_is_listed_and_fetched(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(SOURCES, "lorem", LOREM)
    section = source_sections(SOURCES)
    assert keys_of(section)["lorem.count"].schema["default"] == 3
    params = section(source="lorem", lorem=LoremSource(count=2))
    pictures = list(collect.list_all(params, Context(tmp_path, tmp_path, web())))
    assert [picture.url for picture in pictures] == ["lorem:0", "lorem:1"]
    manifest, table = tmp_path / "manifest.parquet", tmp_path / "0.parquet"
    collect.write_table(manifest, collect.build_manifest(pictures, collect.Forgotten()), collect.MANIFEST)
    fetch.run(
        fetch_params(),
        manifest=manifest,
        forgotten=tmp_path / "forgotten.csv",
        downloads=tmp_path / "sources",
        shard=tmp_path / "0.tar",
        table=table,
        scratch=tmp_path / "scratch",
        track=Tracker(),
    )
    assert read_table(table, RAW)["status"].tolist() == ["ok", "ok"]
