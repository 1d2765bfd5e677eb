"""Colour profiles of known effect, written byte by byte, and PNG with chunks of one's own."""

import itertools
import struct
import zlib

import numpy as np
from numpy.typing import NDArray

D50 = (0.9642, 1.0, 0.8249)


def _fixed(*values: float) -> bytes:
    return struct.pack(f">{len(values)}i", *(round(value * 65536) for value in values))


def profile(kind: bytes, space: bytes, connection: bytes, tags: dict[bytes, bytes]) -> bytes:
    """An ICC profile of version 2."""
    table, body, start = struct.pack(">I", len(tags)), b"", 132 + 12 * len(tags)
    for name, content in tags.items():
        table += struct.pack(">4sII", name, start + len(body), len(content))
        body += content + bytes(-len(content) % 4)
    head = struct.pack(">I4xI4s4s4s12x4s28x", start + len(body), 0x02400000, kind, space, connection, b"acsp")
    return (head + _fixed(*D50)).ljust(128, b"\0") + table + body


def _gamma_curve(gamma: float) -> bytes:
    return b"curv" + struct.pack(">4xIH", 1, round(gamma * 256))


def grey_profile(gamma: float) -> bytes:
    """A profile of grey levels."""
    white = b"XYZ " + bytes(4) + _fixed(*D50)
    return profile(b"mntr", b"GRAY", b"XYZ ", {b"wtpt": white, b"kTRC": _gamma_curve(gamma)})


def display_p3_profile() -> bytes:
    """A profile of Display P3's primaries and white (their published D50 colorants) with sRGB's curve as a table of 1024."""
    levels = np.linspace(0, 1, 1024)
    table = np.round(65535 * linear(levels)).astype(">u2").tobytes()
    curve = b"curv" + struct.pack(">4xI", 1024) + table
    columns = {
        b"rXYZ": (0.515121, 0.241196, -0.001053),
        b"gXYZ": (0.291977, 0.692245, 0.041885),
        b"bXYZ": (0.157104, 0.066574, 0.784073),
        b"wtpt": D50,
    }
    tags = {name: b"XYZ " + bytes(4) + _fixed(*values) for name, values in columns.items()}
    return profile(b"mntr", b"RGB ", b"XYZ ", tags | dict.fromkeys((b"rTRC", b"gTRC", b"bTRC"), curve))


def press_profile(cyan_lab: tuple[float, float, float]) -> bytes:
    """A press whose cyan is `cyan_lab` and whose other inks, alone or together, are black; no ink is white."""

    def eight_bit(lightness: float, a: float, b: float) -> bytes:
        return bytes([round(lightness * 255 / 100), round(a + 128), round(b + 128)])

    grid = b"".join(
        eight_bit(*((100, 0, 0) if not any(inks) else cyan_lab if inks == (1, 0, 0, 0) else (0, 0, 0)))
        for inks in itertools.product((0, 1), repeat=4)
    )
    identity = bytes(range(256))
    matrix = _fixed(1, 0, 0, 0, 1, 0, 0, 0, 1)
    lut = b"mft1" + bytes(4) + bytes([4, 3, 2, 0]) + matrix + identity * 4 + grid + identity * 3
    white = b"XYZ " + bytes(4) + _fixed(*D50)
    return profile(b"prtr", b"CMYK", b"Lab ", {b"wtpt": white, b"A2B0": lut, b"A2B1": lut})


def linear(encoded: NDArray[np.float64]) -> NDArray[np.float64]:
    """sRGB's levels in [0, 1] as light."""
    return np.where(encoded <= 0.04045, encoded / 12.92, ((encoded + 0.055) / 1.055) ** 2.4)


def encoded(light: NDArray[np.float64]) -> NDArray[np.float64]:
    """Light in [0, 1] as sRGB's levels."""
    return np.where(light <= 0.0031308, light * 12.92, 1.055 * light ** (1 / 2.4) - 0.055)


def p3_to_srgb(levels: NDArray[np.uint8]) -> NDArray[np.float64]:
    """Display P3's levels (N, 3) as sRGB's, cut off where sRGB ends; by the matrices of CSS Color 4."""
    matrix = np.array([[1.2249401, -0.2249404, 0.0], [-0.0420569, 1.0420571, 0.0], [-0.0196376, -0.0786361, 1.0982735]])
    light = linear(levels / 255.0) @ matrix.T
    return 255 * encoded(np.clip(light, 0, 1))


def png_with(pixels: NDArray[np.uint8], chunks: list[tuple[bytes, bytes]], depth: int = 8) -> bytes:
    """A PNG of `pixels` (H, W) or (H, W, 3), of `depth` bits, with `chunks` after its header."""

    def chunk(name: bytes, body: bytes) -> bytes:
        return len(body).to_bytes(4, "big") + name + body + zlib.crc32(name + body).to_bytes(4, "big")

    kind = 2 if pixels.ndim == 3 else 0
    header = struct.pack(">IIBBBBB", pixels.shape[1], pixels.shape[0], depth, kind, 0, 0, 0)
    stored = pixels if depth == 8 else (pixels.astype(np.uint16) * 257).astype(">u2")
    rows = b"".join(b"\0" + row.tobytes() for row in stored)
    parts = [(b"IHDR", header), *chunks, (b"IDAT", zlib.compress(rows)), (b"IEND", b"")]
    return b"\x89PNG\r\n\x1a\n" + b"".join(chunk(name, body) for name, body in parts)
