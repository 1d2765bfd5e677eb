"""Pictures that show no garment, drawn: charts, icons, textures, pages of text. The same for the same seed."""

import io
import math
from collections.abc import Callable

import matplotlib as mpl
import numpy as np
from matplotlib.figure import Figure
from PIL import Image, ImageDraw, ImageFont

SIDE_PX = 400
Random = np.random.Generator


def _colour(random: Random) -> tuple[int, int, int]:
    red, green, blue = (int(level) for level in random.integers(0, 256, 3))
    return red, green, blue


def chart(random: Random) -> Image.Image:
    """A line, bar, scatter or pie chart, by matplotlib."""
    with mpl.rc_context({"font.size": float(random.uniform(8, 14))}):
        figure = Figure(figsize=(4, float(random.uniform(3, 5))), dpi=100)
        axes = figure.subplots()
        values = random.gamma(2, 1, int(random.integers(4, 12)))
        colours = random.random((len(values), 3))
        draw: list[Callable[[], object]] = [
            lambda: axes.plot(np.cumsum(random.normal(size=(60, 3)), axis=0)),
            lambda: axes.bar(np.arange(len(values)), values, color=colours),
            lambda: axes.scatter(random.normal(size=80), random.normal(size=80), s=values.mean() * 20),
            lambda: axes.pie(values, colors=colours.tolist()),
        ]
        draw[int(random.integers(len(draw)))]()
        axes.set_title("Units sold by week")
        content = io.BytesIO()
        figure.savefig(content, format="png")
    return Image.open(content).convert("RGB")


def icon(random: Random) -> Image.Image:
    """A few plain shapes in the middle of a plain ground."""
    image = Image.new("RGB", (SIDE_PX, SIDE_PX), _colour(random))
    draw = ImageDraw.Draw(image)
    for _ in range(int(random.integers(1, 5))):
        centre, radius = random.uniform(0.35, 0.65, 2) * SIDE_PX, float(random.uniform(0.05, 0.3)) * SIDE_PX
        box = [*(centre - radius), *(centre + radius)]
        kind = int(random.integers(4))
        if kind == 0:
            draw.ellipse(box, fill=_colour(random))
        elif kind == 1:
            draw.rounded_rectangle(box, radius / 4, fill=_colour(random))
        elif kind == 2:
            draw.regular_polygon(
                (*centre, radius), int(random.integers(3, 8)), float(random.uniform(0, 90)), fill=_colour(random)
            )
        else:
            draw.arc(box, 20, 300, fill=_colour(random), width=int(random.integers(8, 40)))
    return image


def texture(random: Random) -> Image.Image:
    """Noise of one scale, waves, or a lattice, in two colours."""
    rows, columns = np.indices((SIDE_PX, SIDE_PX)) / SIDE_PX
    kind, scale = int(random.integers(3)), float(random.uniform(3, 40))
    if kind == 0:
        small = random.random((max(2, round(scale)), max(2, round(scale)))).astype(np.float32)
        weight = np.asarray(Image.fromarray(small).resize((SIDE_PX, SIDE_PX), Image.Resampling.BICUBIC))
    elif kind == 1:
        angle = random.uniform(0, math.pi)
        weight = 0.5 + 0.5 * np.sin(scale * math.tau * (rows * math.sin(angle) + columns * math.cos(angle)))
    else:
        weight = ((np.floor(rows * scale) + np.floor(columns * scale)) % 2).astype(float)
    dark, light = np.array(_colour(random)), np.array(_colour(random))
    return Image.fromarray(np.clip(dark + (light - dark) * weight[..., None], 0, 255).astype(np.uint8))


def page(random: Random) -> Image.Image:
    """Lines of letters on paper."""
    image = Image.new("RGB", (SIDE_PX, SIDE_PX), "white")
    size = int(random.integers(10, 28))
    letters = np.array(list("abcdefghiklmnoprstuvw     "))
    for line in range(20, SIDE_PX - size, round(1.4 * size)):
        words = "".join(random.choice(letters, SIDE_PX // (size // 2) - 4))
        ImageDraw.Draw(image).text((20, line), words, font=ImageFont.load_default(size=size), fill=(30, 30, 30))
    return image


KINDS: dict[str, Callable[[Random], Image.Image]] = {"charts": chart, "icons": icon, "textures": texture, "pages of text": page}


def drawn(kind: str, count: int, seed: int) -> list[Image.Image]:
    """`count` RGB pictures of one of KINDS."""
    return [KINDS[kind](np.random.default_rng([seed, list(KINDS).index(kind), number])) for number in range(count)]
