"""The registry of sources. An entry here adds a source to params.yaml, its documentation, `collect` and `fetch`."""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import BeforeValidator, Field, create_model

from pipeline.section import Section, as_list
from pipeline.sources import ListedPicture
from pipeline.sources.params import CrawlSource, FashionMnistSource, FolderSource, ListSource, SourceSection
from pipeline.web.params import WebParams

Row = dict[Any, Any]  # of tables.MANIFEST, with empty fields as None
Reader = Callable[[Row], bytes]  # raises NotFetchedError


@dataclass(frozen=True)
class Context:
    """What a source may use besides its section of params.yaml."""

    downloads: Path  # folder for data sets that are downloaded as a whole
    scratch: Path  # folder that survives killed runs
    web: WebParams


@dataclass(frozen=True)
class Source:
    """One kind of source. `fetch` reads http(s) URLs by itself; URLs of another `scheme` are read through `open_reader`."""

    params: type[SourceSection]
    list_pictures: Callable[[Any, Context], Iterable[ListedPicture]]  # from the section of the source
    scheme: str | None = None
    open_reader: Callable[[Path, int], Reader] | None = None  # from `Context.downloads` and fetch.max_bytes


# The imports are in functions because each source needs packages that the others do not.
def _list_fashion_mnist(params: FashionMnistSource, context: Context) -> Iterable[ListedPicture]:
    from pipeline.sources import datasets

    folder = datasets.fashion_mnist_folder(context.downloads, Path(params.path) if params.path else None)
    return datasets.list_pictures(folder, params.limit)


def _open_fashion_mnist(downloads: Path, _: int) -> Reader:
    from pipeline.sources import datasets

    pictures = datasets.FashionMnist(datasets.fashion_mnist_folder(downloads))
    return lambda row: pictures.png_of(row["url"])


def _list_folder(params: FolderSource, _: Context) -> Iterable[ListedPicture]:
    from pipeline.sources import folder

    return folder.list_pictures(Path(params.path), params.licence)


def _open_folder(_: Path, max_bytes: int) -> Reader:
    from pipeline.sources import folder

    return lambda row: folder.read_picture(row["url"], row["page"], max_bytes)


def _list_from_lists(params: ListSource, _: Context) -> Iterable[ListedPicture]:
    from pipeline.sources import list_source

    return list_source.list_pictures(Path(params.path), params.columns)


def _list_crawl(params: CrawlSource, context: Context) -> Iterable[ListedPicture]:
    from pipeline.sources.crawl_source import crawl

    return crawl(params, context.web, context.scratch)


SOURCES = {
    "fashion-mnist": Source(FashionMnistSource, _list_fashion_mnist, "fashion-mnist", _open_fashion_mnist),
    "folder": Source(FolderSource, _list_folder, "file", _open_folder),
    "list": Source(ListSource, _list_from_lists),
    "crawl": Source(CrawlSource, _list_crawl),
}


def section_name(source: str) -> str:
    """The key of the section of `source` below `collect`."""
    return source.replace("-", "_")


def source_sections(sources: Mapping[str, Source]) -> Any:
    """A base class for the section `collect`: the list `source`, and a section for each of `sources`."""
    sections: dict[str, Any] = {
        section_name(name): (source.params, Field(source.params(), description=f"The source {name}."))
        for name, source in sources.items()
    }
    names: Any = Literal[tuple(sources)]
    chosen = Annotated[
        list[names],
        BeforeValidator(as_list),
        Field(min_length=1, description="Where the pictures come from: one name or a list of names."),
    ]
    return create_model("SourceSections", __base__=Section, source=(chosen, [next(iter(sources))]), **sections)


def reader_for(scheme: str, downloads: Path, max_bytes: int) -> Reader | None:
    """The reader of URLs with this scheme; none if no source has one."""
    readers = (source.open_reader for source in SOURCES.values() if source.scheme == scheme)
    open_reader = next(readers, None)
    return open_reader(downloads, max_bytes) if open_reader is not None else None
