"""The section `collect` of params.yaml."""

from pathlib import Path
from typing import Annotated, Self

from pydantic import BeforeValidator, Field, model_validator

from pipeline.section import FieldError, Section, as_list
from pipeline.sources.params import CrawlSource, FashionMnistSource, FolderSource, ManifestSource, Source
from pipeline.web.params import WebParams


class CollectParams(Section):
    source: Annotated[list[Source], BeforeValidator(as_list), Field(min_length=1)] = ["fashion-mnist"]
    """Where the pictures come from: one name or a list of names."""
    fashion_mnist: FashionMnistSource = FashionMnistSource()
    """The source fashion-mnist."""
    folder: FolderSource = FolderSource()
    """The source folder."""
    manifest: ManifestSource = ManifestSource()
    """The source manifest."""
    crawl: CrawlSource = CrawlSource()
    """The source crawl."""
    web: WebParams = WebParams()
    """How the crawler behaves."""

    @model_validator(mode="after")
    def _check_chosen_sources(self) -> Self:
        paths = {"fashion-mnist": self.fashion_mnist.path, "folder": self.folder.path, "manifest": self.manifest.path}
        for source, path in paths.items():
            if source in self.source and path is not None and not Path(path).exists():
                raise FieldError(f"{source.replace('-', '_')}.path", f"no such file or folder: {path}")
        if "crawl" in self.source:
            if not self.web.contact:
                raise FieldError("web.contact", "say who crawls: an e-mail address or a web page")
            if not self.crawl.sites:
                raise FieldError("crawl.sites", "name at least one site to crawl")
        return self
