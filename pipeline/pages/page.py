"""The content of the report, ready to be rendered, and its rendering as HTML and Markdown."""

from dataclasses import dataclass, field
from pathlib import Path

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup

from pipeline.pages.numbers import FormattedScore, Headline, ScoreGroup
from pipeline.pages.pictures import Picture
from pipeline.section import Setting

SHARED_TEMPLATES = Path(__file__).parent / "templates"
Pairs = list[tuple[str, str]]


@dataclass(frozen=True)
class LabelledPicture:
    """A picture with a caption."""

    name: str
    picture: Picture


@dataclass(frozen=True)
class GalleryRow:
    """A category's images, in strips that stand side by side on a wide screen and stacked on a narrow one."""

    name: str
    pictures: list[Picture]


@dataclass(frozen=True)
class FunnelLoss:
    """Images lost for one reason."""

    count: str
    reason: str
    picture: Picture | None


@dataclass(frozen=True)
class FunnelStep:
    """A step of the funnel."""

    count: str
    label: str
    percent: float  # of the first step
    losses: list[FunnelLoss]
    groups: list[LabelledPicture] = field(default_factory=list)
    pictures: list[Picture] = field(default_factory=list)  # examples of what is left


@dataclass(frozen=True)
class Chart:
    """A drawing and the names of its lines, in the order of their colours."""

    title: str
    svg: Markup
    names: list[str]


@dataclass(frozen=True)
class CopyCheck:
    """The closest pairs of generated and training images by one measure, and the share of copies."""

    title: str
    description: str
    numbers: list[FormattedScore]
    pairs: list[LabelledPicture]


@dataclass(frozen=True)
class Table:
    """Cells as text. The first `text_columns` columns are text, the others numbers."""

    caption: str
    columns: list[str]
    cells: list[list[str]]
    text_columns: int = 1


@dataclass(frozen=True)
class StageSettings:
    """All keys of one section of params.yaml."""

    stage: str
    settings: list[Setting]

    @property
    def changed(self) -> int:
        """How many differ from the default."""
        return sum(not setting.is_default for setting in self.settings)


@dataclass(frozen=True)
class AskedSheet:
    """One latent drawn with each value of an attribute, in each category."""

    name: str
    values: list[str]
    rows: list[GalleryRow]


@dataclass(frozen=True)
class Page:
    """The content of the report, in its order."""

    title: str
    version: str
    summary: str
    gallery: list[GalleryRow]
    gallery_columns: int
    headlines: list[Headline]
    film: list[LabelledPicture]
    walks: list[GalleryRow]
    copies: list[CopyCheck]
    extremes: list[GalleryRow]
    funnel: list[FunnelStep]
    leaking_families: int  # groups of near-duplicates with images in more than one split
    categories: Table
    unmapped_words: Table
    trends: list[str]  # sentences
    charts: list[Chart]
    numbers: list[ScoreGroup]
    bias: list[Chart]
    per_category: Table
    licences: Table
    artefacts: list[tuple[str, Pairs]]
    settings: list[StageSettings]
    card: list[tuple[str, list[str]]]
    commands: str
    fingerprints: Pairs
    asked: list[AskedSheet] = field(default_factory=list)  # none without attributes

    @property
    def flagged(self) -> list[FormattedScore]:
        """The scores that carry a flag."""
        return [number for group in self.numbers for number in group.numbers if number.flag]


def template_environment(templates: Path, *, autoescape: bool) -> Environment:
    """The templates in the folder `templates` and the shared ones; an undefined name is an error."""
    return Environment(
        loader=FileSystemLoader([templates, SHARED_TEMPLATES]),
        autoescape=autoescape,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )


def render_html(page: object, template: Path) -> str:
    """`page` as one self-contained HTML file: styles and pictures inside, no script, and a policy that forbids requests."""
    style = Markup((SHARED_TEMPLATES / "style.css").read_text(encoding="utf-8"))
    return template_environment(template.parent, autoescape=True).get_template(template.name).render(page=page, style=style)


def render_markdown(page: object, template: Path) -> str:
    """The text and numbers of `page` as Markdown, for a pull request."""
    return template_environment(template.parent, autoescape=False).get_template(template.name).render(page=page)
