"""Drawing speed of generators, measured in interleaved rounds, so that other load affects all of them alike."""

import statistics
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np
import onnxruntime
from numpy.typing import NDArray

from pipeline.inference.latents import draw_latents
from pipeline.inference.onnx_generator import onnx_session

Draw = Callable[[NDArray[np.float32], NDArray[np.int64]], object]
ONE, MANY = 1, 64
SEED = 2


@dataclass(frozen=True)
class Speed:
    """Medians over the rounds."""

    latency_ms: float  # of one picture
    pictures_per_s: float  # in batches of MANY


def providers() -> list[str]:
    """The available onnxruntime providers that compute on this machine."""
    return [name for name in onnxruntime.get_available_providers() if name in ("CPUExecutionProvider", "CUDAExecutionProvider")]


def onnx_draw(model: bytes, provider: str, threads: int) -> Draw:
    """A function that draws with the graph `model` under `provider`."""
    session = onnx_session(model, threads=threads, provider=provider)
    return lambda latents, labels: session.run(["pictures"], {"latents": latents, "labels": labels})


def speeds_of(ways: Mapping[str, Draw], latent_dim: int, categories: int, rounds: int) -> dict[str, Speed]:
    """The speed of each of `ways`; the first round is a warm-up."""
    took_s: dict[tuple[str, int], list[float]] = {(name, batch): [] for name in ways for batch in (ONE, MANY)}
    latents = draw_latents(SEED, MANY, latent_dim)
    labels = np.arange(MANY, dtype=np.int64) % categories
    for number in range(rounds + 1):
        for (name, batch), times in took_s.items():
            started = time.perf_counter()
            ways[name](latents[:batch], labels[:batch])
            if number:
                times.append(time.perf_counter() - started)
    middle = {key: statistics.median(times) for key, times in took_s.items()}
    return {name: Speed(1e3 * middle[name, ONE], MANY / middle[name, MANY]) for name in ways}
