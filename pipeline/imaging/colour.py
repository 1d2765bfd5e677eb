"""Convert pictures to sRGB from the colour space of their ICC profile, CICP code points, or PNG gamma and chromaticities.

The rendering intent is relative colorimetric with black point compensation. It keeps colours inside sRGB exactly, because a
garment's colour is what a model learns, clips the others to the gamut, and maps the darkest ink to black. A profile that
describes sRGB, under any name, changes nothing.
"""

import io
import struct
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache, lru_cache

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageCms

SAME_LEVELS = 2  # of 255: the difference between sRGB profiles that rounding causes
GRID = np.linspace(0, 255, 9).round().astype(np.uint8)  # levels per channel for comparing a profile with sRGB
CACHED_PROFILES, MAX_CACHED_BYTES = 8, 1 << 20  # consecutive pictures often share a profile

SRGB_PRIMARIES = (0.3127, 0.3290, 0.64, 0.33, 0.30, 0.60, 0.15, 0.06)  # x and y of white, red, green, blue
# By code point of ITU-T H.273; 2, unspecified, means sRGB.
CICP_PRIMARIES = {
    1: SRGB_PRIMARIES,
    2: SRGB_PRIMARIES,
    5: (0.3127, 0.3290, 0.64, 0.33, 0.29, 0.60, 0.15, 0.06),
    6: (0.3127, 0.3290, 0.630, 0.340, 0.310, 0.595, 0.155, 0.070),
    7: (0.3127, 0.3290, 0.630, 0.340, 0.310, 0.595, 0.155, 0.070),
    9: (0.3127, 0.3290, 0.708, 0.292, 0.170, 0.797, 0.131, 0.046),  # BT.2020
    11: (0.314, 0.351, 0.680, 0.320, 0.265, 0.690, 0.150, 0.060),  # DCI-P3
    12: (0.3127, 0.3290, 0.680, 0.320, 0.265, 0.690, 0.150, 0.060),  # Display P3
}
# Exponent of the decoding function; None for the sRGB curve, with which video is displayed, too.
CICP_GAMMAS = {1: None, 2: None, 4: 2.2, 5: 2.8, 6: None, 8: 1.0, 13: None, 14: None, 15: None}
CICP_HDR = {16: "PQ", 18: "HLG"}
GAMMA_TOLERANCE = 0.05  # as in libpng: a gamma this close to 1/2.2 means sRGB

D50 = np.array([0.9642, 1.0, 0.8249])  # white point of ICC profiles
BRADFORD = np.array([[0.8951, 0.2664, -0.1614], [-0.7502, 1.7135, 0.0367], [0.0389, -0.0685, 1.0296]])
SRGB_CURVE = (2.4, 1 / 1.055, 0.055 / 1.055, 1 / 12.92, 0.04045)  # ICC's parametric curve 3

NONE, SRGB, CONVERTED = "none", "sRGB", "converted"
IGNORED = "ignored: "  # followed by the reason

Conversion = Callable[[Image.Image], Image.Image]


class ProfileError(Exception):
    """A colour space description that cannot be used; the message is the reason."""


@dataclass(frozen=True)
class SrgbImage:
    """A picture in sRGB."""

    image: Image.Image  # mode L, LA, RGB or RGBA
    profile: str  # how the file's colour space was handled: NONE, SRGB, CONVERTED, or IGNORED and the reason


def to_srgb(image: Image.Image, content: bytes) -> SrgbImage:
    """`image`, decoded from `content`, in sRGB. A broken or unsuitable colour space description is ignored."""
    base = _base_mode(image)
    if base == "LAB":  # needs no profile
        return SrgbImage(_lab_to_srgb(image), CONVERTED)
    converted, outcome = image, NONE
    try:
        profile = _profile_of(image, content)
        if profile is not None:
            conversion = (_cached_conversion if len(profile) <= MAX_CACHED_BYTES else _conversion)(profile, base)
            converted, outcome = (image, SRGB) if conversion is None else (_keeping_alpha(image, conversion), CONVERTED)
    except ProfileError as error:
        outcome = f"{IGNORED}{error}"
    return SrgbImage(converted if outcome == CONVERTED else _cmyk_to_rgb(image), outcome)


def _base_mode(image: Image.Image) -> str:
    """The mode that a profile of `image` describes: L, RGB, CMYK or LAB."""
    if image.mode in ("CMYK", "LAB"):
        return image.mode
    return "L" if image.mode in ("L", "LA", "La", "1") else "RGB"


def _cmyk_to_rgb(image: Image.Image) -> Image.Image:
    return image.convert("RGB") if image.mode == "CMYK" else image


def _keeping_alpha(image: Image.Image, conversion: Conversion) -> Image.Image:
    base = _base_mode(image)
    if not image.has_transparency_data:
        return conversion(image if image.mode == base else image.convert(base))
    layered = image.convert("LA" if base == "L" else "RGBA")
    alpha = layered.getchannel("A")
    converted = conversion(layered.convert(base))
    converted.putalpha(alpha)
    return converted


# Colour space descriptions in the file


def _profile_of(image: Image.Image, content: bytes) -> bytes | None:
    """The embedded ICC profile of `image`, or one made from its other colour space description; None without any."""
    info = image.info
    if image.format == "PNG" and (numbers := _png_cicp(content)) is not None:
        return cicp_profile(*numbers)
    if "icc_profile" in info:
        if not isinstance(info["icc_profile"], bytes) or not info["icc_profile"]:
            raise ProfileError("it cannot be read")
        return info["icc_profile"]
    if image.format == "PNG":
        return _png_profile(info.get("srgb"), info.get("gamma"), info.get("chromaticity"))
    if image.format in ("AVIF", "HEIF") and (numbers := _nclx(content)) is not None:
        return cicp_profile(*numbers)
    return None


def _png_profile(srgb: int | None, gamma: float | None, chromaticity: tuple[float, ...] | None) -> bytes | None:
    """A profile from the chunk sRGB, or else from gAMA and cHRM with sRGB for what is missing, as browsers do."""
    if srgb is not None or (gamma is None and chromaticity is None):
        return None if srgb is None else matrix_profile(SRGB_PRIMARIES, None)
    if gamma is not None and not 0.01 <= gamma <= 100:
        raise ProfileError(f"a gamma of {gamma:g}")
    curve = None if gamma is None or abs(gamma * 2.2 - 1) < GAMMA_TOLERANCE else 1 / gamma
    return matrix_profile(chromaticity or SRGB_PRIMARIES, curve)


def _png_cicp(content: bytes) -> tuple[int, int] | None:
    """Primaries and transfer function of a PNG's chunk cICP, which precedes the pixels."""
    position = 8
    while position + 12 <= len(content):
        length, kind = struct.unpack_from(">I4s", content, position)
        if kind == b"IDAT":
            break
        if kind == b"cICP" and length == 4:
            return content[position + 8], content[position + 9]
        position += 12 + length
    return None


def _nclx(content: bytes) -> tuple[int, int] | None:
    """Primaries and transfer function of an AVIF or HEIC picture without a profile."""
    start = content.find(b"colrnclx")
    return None if start < 0 or start + 12 > len(content) else struct.unpack_from(">HH", content, start + 8)


def cicp_profile(primaries: int, transfer: int) -> bytes:
    """An ICC profile for code points of ITU-T H.273. Raises ProfileError for unknown ones and for HDR."""
    if transfer in CICP_HDR:
        raise ProfileError(f"high dynamic range ({CICP_HDR[transfer]})")
    if primaries not in CICP_PRIMARIES or transfer not in CICP_GAMMAS:
        raise ProfileError(f"unknown CICP numbers {primaries} and {transfer}")
    return matrix_profile(CICP_PRIMARIES[primaries], CICP_GAMMAS[transfer])


# ICC profiles


@cache
def _srgb() -> ImageCms.ImageCmsProfile:
    return ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB"))


@lru_cache(CACHED_PROFILES)
def matrix_profile(primaries: tuple[float, ...], gamma: float | None) -> bytes:
    """An RGB ICC profile with `primaries`: x and y of white, red, green, blue.

    `gamma` is the decoding exponent; None means the sRGB curve. Raises ProfileError if the primaries are degenerate.
    """
    columns = _colorants(primaries)
    curve = (0, gamma) if gamma is not None else (3, *SRGB_CURVE)
    curve_tag = b"para" + struct.pack(f">4xHxx{len(curve) - 1}i", curve[0], *(round(value * 65536) for value in curve[1:]))
    tags = {name: _xyz_tag(values) for name, values in zip((b"rXYZ", b"gXYZ", b"bXYZ"), columns.T, strict=True)}
    tags |= {b"wtpt": _xyz_tag(D50), b"rTRC": curve_tag, b"gTRC": curve_tag, b"bTRC": curve_tag}
    offset, table, body = 128 + 4 + 12 * len(tags), struct.pack(">I", len(tags)), b""
    for name, content in tags.items():
        table += struct.pack(">4sII", name, offset + len(body), len(content))
        body += content + bytes(-len(content) % 4)
    header = struct.pack(
        ">I4xI4s4s4s12x4s28x3i48x", offset + len(body), 0x04200000, b"mntr", b"RGB ", b"XYZ ", b"acsp", *_fixed(D50)
    )
    return header + table + body


def _fixed(values: NDArray[np.float64]) -> list[int]:
    return [round(float(value) * 65536) for value in values]


def _xyz_tag(values: NDArray[np.float64]) -> bytes:
    return b"XYZ " + struct.pack(">4x3i", *_fixed(values))


def _colorants(primaries: tuple[float, ...]) -> NDArray[np.float64]:
    """XYZ (3, 3) of red, green and blue as columns, adapted to D50 (Bradford)."""
    pairs = np.array(primaries, dtype=np.float64).reshape(4, 2)
    if not np.isfinite(pairs).all() or (pairs[:, 1] <= 0).any():
        raise ProfileError("degenerate chromaticities")
    white, *rgb = (np.array([x / y, 1.0, (1 - x - y) / y]) for x, y in pairs)
    try:
        columns = np.stack(rgb, axis=1) * np.linalg.solve(np.stack(rgb, axis=1), white)
    except np.linalg.LinAlgError:
        raise ProfileError("degenerate chromaticities") from None
    scale = np.diag((BRADFORD @ D50) / (BRADFORD @ white))
    columns = np.linalg.inv(BRADFORD) @ scale @ BRADFORD @ columns
    if not np.isfinite(columns).all() or np.abs(columns).max() > 100:
        raise ProfileError("degenerate chromaticities")
    return columns


def _conversion(profile: bytes, mode: str) -> Conversion | None:
    """The conversion of pixels in `mode` (L, RGB, CMYK) from `profile` to sRGB; None if the profile is sRGB."""
    try:
        opened = ImageCms.ImageCmsProfile(io.BytesIO(profile))
        space = opened.profile.xcolor_space.strip()
    except (OSError, TypeError, ValueError):
        raise ProfileError("it cannot be read") from None
    if space not in {"L": ("GRAY", "RGB"), "RGB": ("RGB",), "CMYK": ("CMYK",)}[mode]:
        raise ProfileError(f"it is for {space or 'no known space'}, the pixels are {mode}")
    source = {"GRAY": "L"}.get(space, space)
    try:
        transform = ImageCms.buildTransform(
            opened,
            _srgb(),
            source,
            "RGB",
            ImageCms.Intent.RELATIVE_COLORIMETRIC,
            # For grey, only 256 levels are converted: exactly, whereas an optimised transform would sample the curves.
            ImageCms.Flags.BLACKPOINTCOMPENSATION | (ImageCms.Flags.NOOPTIMIZE if mode == "L" else ImageCms.Flags.NONE),
        )
    except (ImageCms.PyCMSError, ValueError):
        raise ProfileError("it cannot be used") from None

    def converted(image: Image.Image) -> Image.Image:
        result = ImageCms.applyTransform(image, transform)
        assert result is not None  # None only for in-place transforms
        return result

    if mode == "L":
        return _grey_conversion(lambda ramp: converted(ramp.convert(source)))
    return None if mode == "RGB" and _changes_nothing(converted) else converted


_cached_conversion = lru_cache(CACHED_PROFILES)(_conversion)


def _changes_nothing(conversion: Conversion) -> bool:
    grid = np.stack(np.meshgrid(GRID, GRID, GRID), axis=-1).reshape(1, -1, 3)
    after = np.asarray(conversion(Image.fromarray(grid)))
    return bool(np.abs(after.astype(np.int16) - grid).max() <= SAME_LEVELS)


def _grey_conversion(conversion: Conversion) -> Conversion | None:
    """`conversion`, which gives RGB, as a table of grey levels, so that grey stays grey."""
    levels = np.arange(256, dtype=np.uint8)
    after = np.asarray(conversion(Image.fromarray(levels[None])).convert("L")).ravel()
    if np.abs(after.astype(np.int16) - levels).max() <= SAME_LEVELS:
        return None
    table = after.tolist()
    return lambda image: image.point(table)


def _lab_to_srgb(image: Image.Image) -> Image.Image:
    lab = ImageCms.ImageCmsProfile(ImageCms.createProfile("LAB"))
    transform = ImageCms.buildTransform(lab, _srgb(), "LAB", "RGB", ImageCms.Intent.RELATIVE_COLORIMETRIC)
    converted = ImageCms.applyTransform(image, transform)
    assert converted is not None
    return converted
