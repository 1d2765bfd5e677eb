"""The section `collect` of params.yaml."""

from pathlib import Path
from typing import Annotated, Self

from pydantic import BeforeValidator, Field, model_validator

from pipeline.section import BelowError, Section, as_list
from pipeline.sources.params import CrawlSource, FashionMnistSource, FolderSource, ManifestSource, Source
from pipeline.web.params import WebParams


class CollectParams(Section):
    source: Annotated[list[Source], BeforeValidator(as_list), Field(min_length=1)]  # one name, or a list of them
    fashion_mnist: FashionMnistSource
    folder: FolderSource
    manifest: ManifestSource
    crawl: CrawlSource
    web: WebParams

    @model_validator(mode="after")
    def _what_is_chosen_is_there(self) -> Self:
        paths = {"fashion-mnist": self.fashion_mnist.path, "folder": self.folder.path, "manifest": self.manifest.path}
        for source, path in paths.items():
            if source in self.source and path is not None and not Path(path).exists():
                raise BelowError(f"{source.replace('-', '_')}.path", f"no such file or folder: {path}")
        if "crawl" in self.source:
            if not self.web.contact:
                raise BelowError("web.contact", "say who crawls: an e-mail address or a web page")
            if not self.crawl.sites:
                raise BelowError("crawl.sites", "name at least one site to crawl")
        return self
