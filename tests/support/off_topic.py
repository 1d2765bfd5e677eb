"""Drawn images without a garment: charts, icons, textures, pages of text. Deterministic in the seed."""

import io
import math
from collections.abc import Callable

import matplotlib as mpl
import numpy as np
from matplotlib.figure import Figure
from PIL import Image, ImageDraw, ImageFont

SIDE_PX = 400
Rng = np.random.Generator


def _colour(rng: Rng) -> tuple[int, int, int]:
    red, green, blue = (int(level) for level in rng.integers(0, 256, 3))
    return red, green, blue


def chart(rng: Rng) -> Image.Image:
    """A line, bar, scatter or pie chart."""
    with mpl.rc_context({"font.size": float(rng.uniform(8, 14))}):
        figure = Figure(figsize=(4, float(rng.uniform(3, 5))), dpi=100)
        axes = figure.subplots()
        values = rng.gamma(2, 1, int(rng.integers(4, 12)))
        colours = rng.random((len(values), 3))
        plots: list[Callable[[], object]] = [
            lambda: axes.plot(np.cumsum(rng.normal(size=(60, 3)), axis=0)),
            lambda: axes.bar(np.arange(len(values)), values, color=colours),
            lambda: axes.scatter(rng.normal(size=80), rng.normal(size=80), s=values.mean() * 20),
            lambda: axes.pie(values, colors=colours.tolist()),
        ]
        plots[int(rng.integers(len(plots)))]()
        axes.set_title("Units sold by week")
        content = io.BytesIO()
        figure.savefig(content, format="png")
    return Image.open(content).convert("RGB")


def icon(rng: Rng) -> Image.Image:
    """A few plain shapes in the middle of a plain background."""
    image = Image.new("RGB", (SIDE_PX, SIDE_PX), _colour(rng))
    draw = ImageDraw.Draw(image)
    for _ in range(int(rng.integers(1, 5))):
        centre, radius = rng.uniform(0.35, 0.65, 2) * SIDE_PX, float(rng.uniform(0.05, 0.3)) * SIDE_PX
        box = [*(centre - radius), *(centre + radius)]
        kind = int(rng.integers(4))
        if kind == 0:
            draw.ellipse(box, fill=_colour(rng))
        elif kind == 1:
            draw.rounded_rectangle(box, radius / 4, fill=_colour(rng))
        elif kind == 2:
            draw.regular_polygon((*centre, radius), int(rng.integers(3, 8)), float(rng.uniform(0, 90)), fill=_colour(rng))
        else:
            draw.arc(box, 20, 300, fill=_colour(rng), width=int(rng.integers(8, 40)))
    return image


def texture(rng: Rng) -> Image.Image:
    """Noise of one scale, waves, or a checkerboard, in two colours."""
    rows, columns = np.indices((SIDE_PX, SIDE_PX)) / SIDE_PX
    kind, scale = int(rng.integers(3)), float(rng.uniform(3, 40))
    if kind == 0:
        small = rng.random((max(2, round(scale)), max(2, round(scale)))).astype(np.float32)
        weight = np.asarray(Image.fromarray(small).resize((SIDE_PX, SIDE_PX), Image.Resampling.BICUBIC))
    elif kind == 1:
        angle = rng.uniform(0, math.pi)
        weight = 0.5 + 0.5 * np.sin(scale * math.tau * (rows * math.sin(angle) + columns * math.cos(angle)))
    else:
        weight = ((np.floor(rows * scale) + np.floor(columns * scale)) % 2).astype(float)
    dark, light = np.array(_colour(rng)), np.array(_colour(rng))
    return Image.fromarray(np.clip(dark + (light - dark) * weight[..., None], 0, 255).astype(np.uint8))


def page(rng: Rng) -> Image.Image:
    """Lines of letters on paper."""
    image = Image.new("RGB", (SIDE_PX, SIDE_PX), "white")
    size = int(rng.integers(10, 28))
    letters = np.array(list("abcdefghiklmnoprstuvw     "))
    for line in range(20, SIDE_PX - size, round(1.4 * size)):
        words = "".join(rng.choice(letters, SIDE_PX // (size // 2) - 4))
        ImageDraw.Draw(image).text((20, line), words, font=ImageFont.load_default(size=size), fill=(30, 30, 30))
    return image


KINDS: dict[str, Callable[[Rng], Image.Image]] = {"charts": chart, "icons": icon, "textures": texture, "pages of text": page}


def draw_off_topic(kind: str, count: int, seed: int) -> list[Image.Image]:
    """`count` RGB images of one of KINDS."""
    return [KINDS[kind](np.random.default_rng([seed, list(KINDS).index(kind), number])) for number in range(count)]
