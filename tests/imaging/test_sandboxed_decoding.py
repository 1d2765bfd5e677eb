"""Pictures of strangers as pixels: alpha, size, and bytes that are no picture."""

import io

import numpy as np
from PIL import Image

from pipeline.imaging.sandbox import SandboxFailure
from pipeline.imaging.sandboxed_decoding import sandboxed_pixels
from tests.support.profiles import display_p3_profile


def saved(mode: str, kind: str, colour: tuple[int, ...]) -> bytes:
    """A file of 40×20 pixels of one colour."""
    file = io.BytesIO()
    Image.new(mode, (40, 20), colour).save(file, kind)
    return file.getvalue()


RED_AT_HALF = (255, 0, 0, 128)


def test_only_a_transparent_png_keeps_its_alpha() -> None:
    contents = [saved("RGB", "JPEG", (9, 99, 199)), saved("RGB", "PNG", (9, 99, 199)), saved("RGBA", "PNG", RED_AT_HALF)]
    lossy, opaque, transparent = sandboxed_pixels(contents, alpha=True)
    assert isinstance(lossy, np.ndarray)
    assert lossy.shape == (20, 40, 3)
    assert isinstance(opaque, np.ndarray)
    assert opaque[0, 0].tolist() == [9, 99, 199]
    assert isinstance(transparent, np.ndarray)
    assert transparent[0, 0].tolist() == list(RED_AT_HALF)


def test_a_transparent_png_is_upright_and_in_srgb() -> None:
    picture = Image.new("RGBA", (40, 20), (99, 199, 9, 128))
    exif, file = Image.Exif(), io.BytesIO()
    exif[0x0112] = 6  # turned by a quarter
    picture.save(file, "PNG", exif=exif, icc_profile=display_p3_profile())
    [pixels] = sandboxed_pixels([file.getvalue()], alpha=True)
    assert isinstance(pixels, np.ndarray)
    assert pixels.shape == (40, 20, 4)
    assert pixels[0, 0].tolist() == [43, 202, 0, 128]


def test_without_alpha_a_transparent_picture_is_over_white_and_at_most_as_large_as_asked() -> None:
    [pixels] = sandboxed_pixels([saved("RGBA", "PNG", RED_AT_HALF)], 10)
    assert isinstance(pixels, np.ndarray)
    assert pixels.shape == (5, 10, 3)
    assert pixels[0, 0].tolist() == [255, 127, 127]


def test_bytes_that_are_no_picture_are_a_failure_and_the_next_picture_is_read() -> None:
    failure, pixels = sandboxed_pixels([b"no picture", saved("L", "PNG", (7,))], alpha=True)
    assert isinstance(failure, SandboxFailure)
    assert isinstance(pixels, np.ndarray)
    assert pixels.shape == (20, 40, 1)
