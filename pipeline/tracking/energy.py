"""Energy that this machine has used, where its counters can be read: processors by Linux's powercap, NVIDIA GPUs by NVML."""

from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path

POWERCAP = Path("/sys/class/powercap")


def _number(path: Path) -> int | None:
    try:
        return int(path.read_text(encoding="ascii"))
    except (OSError, ValueError):
        return None


def processor_counters(root: Path = POWERCAP) -> dict[str, int]:
    """Microjoules by processor package; empty where the kernel has no counters or keeps them for root."""
    packages = {path.name: _number(path / "energy_uj") for path in sorted(root.glob("intel-rapl:?"))}
    return {name: value for name, value in packages.items() if value is not None}


def gpu_counters() -> dict[str, int]:
    """Microjoules by GPU since its driver was loaded; empty without an NVIDIA driver or on GPUs older than Volta."""
    import pynvml

    try:
        pynvml.nvmlInit()
    except pynvml.NVMLError:
        return {}
    found = {}
    try:
        for index in range(pynvml.nvmlDeviceGetCount()):
            with suppress(pynvml.NVMLError):
                millijoules = pynvml.nvmlDeviceGetTotalEnergyConsumption(pynvml.nvmlDeviceGetHandleByIndex(index))
                found[f"gpu{index}"] = millijoules * 1000
    finally:
        pynvml.nvmlShutdown()
    return found


def counters() -> dict[str, int]:
    """Microjoules by counter, each rising from an unknown start."""
    return processor_counters() | gpu_counters()


def joules_between(before: Mapping[str, int], after: Mapping[str, int], root: Path = POWERCAP) -> float | None:
    """Energy between two readings of `counters`; None where nothing could be read. Processors' counters wrap round once."""
    total_uj, known = 0, False
    for name in before.keys() & after.keys():
        used_uj = after[name] - before[name]
        if used_uj < 0:
            used_uj += _number(root / name / "max_energy_range_uj") or -used_uj
        total_uj, known = total_uj + used_uj, True
    return total_uj / 1e6 if known else None
