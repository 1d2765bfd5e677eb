"""Energy counters: GPUs by a stand-in for NVIDIA's library, processors by a folder like Linux's powercap."""

from pathlib import Path

import pynvml
import pytest

from pipeline.tracking.energy import gpu_counters, joules_between, processor_counters


def test_no_driver_means_no_gpu_counters(monkeypatch: pytest.MonkeyPatch) -> None:
    def absent() -> None:
        raise pynvml.NVMLError(pynvml.NVML_ERROR_LIBRARY_NOT_FOUND)

    monkeypatch.setattr(pynvml, "nvmlInit", absent)
    assert gpu_counters() == {}


def test_a_gpu_without_a_counter_is_left_out(monkeypatch: pytest.MonkeyPatch) -> None:
    def millijoules(index: int) -> int:
        if index == 0:
            raise pynvml.NVMLError(pynvml.NVML_ERROR_NOT_SUPPORTED)
        return 1500

    monkeypatch.setattr(pynvml, "nvmlInit", lambda: None)
    monkeypatch.setattr(pynvml, "nvmlShutdown", lambda: None)
    monkeypatch.setattr(pynvml, "nvmlDeviceGetCount", lambda: 2)
    monkeypatch.setattr(pynvml, "nvmlDeviceGetHandleByIndex", lambda index: index)
    monkeypatch.setattr(pynvml, "nvmlDeviceGetTotalEnergyConsumption", millijoules)
    assert gpu_counters() == {"gpu1": 1_500_000}


def test_energy_is_read_from_counters_that_wrap(tmp_path: Path) -> None:
    for package, microjoules in ((0, 900), (1, 5_000_000)):
        folder = tmp_path / f"intel-rapl:{package}"
        folder.mkdir()
        (folder / "energy_uj").write_text(f"{microjoules}\n")
        (folder / "max_energy_range_uj").write_text("1000\n")
    (tmp_path / "intel-rapl:0:0").mkdir()  # a part of package 0, counted there
    before = processor_counters(tmp_path)
    assert before == {"intel-rapl:0": 900, "intel-rapl:1": 5_000_000}
    assert joules_between(before, {"intel-rapl:0": 100, "intel-rapl:1": 7_000_000}, tmp_path) == pytest.approx(2.0002)
    assert joules_between({}, {}) is None
