"""A forecast as the stage trends writes it for the studio."""

import json
from pathlib import Path
from typing import Any

from pipeline.storage.checksums import with_digest


def series(dimension: str, value: str, category: str | None = None, **changed: Any) -> dict[str, Any]:
    """One series that rises, or as `changed`."""
    own = value if dimension == "category" else f"{dimension} {value}"
    name = f"{category}: {own}" if category else own
    row: dict[str, Any] = {"name": name, "dimension": dimension, "value": value, "category": category}
    row |= {"pictures": 900, "direction": "rises", "change": 0.4, "low_80": 0.1, "high_80": 0.8, "note": ""}
    return row | changed


def write_outlook(path: Path, rows: list[dict[str, Any]]) -> Path:
    """Write the series `rows` to `path`, which is returned."""
    content = {"coverage": {}, "reason": "", "step": "week", "backtest_mase": {}, "series": rows}
    path.write_text(json.dumps(with_digest(content)), encoding="utf-8")
    return path
