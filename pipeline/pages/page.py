"""The report as HTML and as Markdown, from content that is ready to be shown."""

from dataclasses import dataclass, field
from pathlib import Path

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup

from pipeline.pages.numbers import Headline, Kind, Number
from pipeline.pages.pictures import Picture

SHARED_TEMPLATES = Path(__file__).parent / "templates"
Pairs = list[tuple[str, str]]


@dataclass(frozen=True)
class Named:
    """A picture and what it is called."""

    name: str
    picture: Picture


@dataclass(frozen=True)
class WallRow:
    """A category's garments, in strips that stand side by side or one below the other."""

    name: str
    pictures: list[Picture]


@dataclass(frozen=True)
class ShownLoss:
    """Pictures lost for one reason."""

    count: str
    reason: str
    picture: Picture | None


@dataclass(frozen=True)
class ShownStep:
    """A step of the funnel."""

    count: str
    told: str
    percent: float  # of the first step
    losses: list[ShownLoss]
    groups: list[Named] = field(default_factory=list)
    pictures: list[Picture] = field(default_factory=list)  # of those left


@dataclass(frozen=True)
class Chart:
    """A drawing and the names of its lines, in the order of their colours."""

    title: str
    svg: Markup
    names: list[str]


@dataclass(frozen=True)
class Copies:
    """The pairs that one way of looking finds closest, and the share of copies it sees."""

    title: str
    told: str  # of the share
    numbers: list[Number]
    pairs: list[Named]


@dataclass(frozen=True)
class Table:
    """Cells as text; the first `words` columns are words, the others numbers."""

    caption: str
    columns: list[str]
    cells: list[list[str]]
    words: int = 1


@dataclass(frozen=True)
class Page:
    """All the report says and shows, in its order."""

    title: str
    version: str
    dek: str
    wall: list[WallRow]
    wall_columns: int
    headlines: list[Headline]
    film: list[Named]
    walks: list[WallRow]
    copies: list[Copies]
    extremes: list[WallRow]
    funnel: list[ShownStep]
    crossing: int  # groups of near-duplicates with pictures in more than one split
    categories: Table
    unmapped_words: Table
    charts: list[Chart]
    numbers: list[Kind]
    bias: list[Chart]
    judgements: Table
    licences: Table
    settings: list[tuple[str, Pairs]]
    card: list[tuple[str, list[str]]]
    commands: str
    fingerprints: Pairs

    @property
    def flagged(self) -> list[Number]:
        """The numbers that are suspicious."""
        return [number for kind in self.numbers for number in kind.numbers if number.flag]


def environment(templates: Path, *, autoescape: bool) -> Environment:
    """The templates in the folder `templates` and those that all pages share; a name without a value is an error."""
    return Environment(
        loader=FileSystemLoader([templates, SHARED_TEMPLATES]),
        autoescape=autoescape,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )


def as_html(page: object, template: Path) -> str:
    """One self-contained file: styles and pictures inside, no script, and a policy that forbids requests."""
    style = Markup((SHARED_TEMPLATES / "style.css").read_text(encoding="utf-8"))
    return environment(template.parent, autoescape=True).get_template(template.name).render(page=page, style=style)


def as_markdown(page: object, template: Path) -> str:
    """The words and numbers without the pictures, for a pull request."""
    return environment(template.parent, autoescape=False).get_template(template.name).render(page=page)
