"""Latency, throughput and size of torch eager, torch.compile and onnxruntime for the same garments.

The runtimes take turns with the same number of threads; medians are shown. Writes docs/benchmarks/export_speed.md.

    python -m benchmarks.export_speed --gan models/gan --export models/export
"""

import argparse
import platform
from collections.abc import Callable
from pathlib import Path

import numpy as np
import onnxruntime
import torch
from numpy.typing import NDArray

from pipeline.gan.checkpoints import WEIGHTS, load_generator
from pipeline.inference.onnx_generator import ExportedCard, read_card, read_model
from pipeline.stages.export.speed import MANY, Draw, Speed, onnx_draw, providers, speeds_of

TARGET = Path("docs/benchmarks/export_speed.md")


def torch_draw(generator: Callable[..., torch.Tensor], device: torch.device) -> Draw:
    """The generator's output, on the CPU."""

    @torch.inference_mode()
    def draw(latents: NDArray[np.float32], labels: NDArray[np.int64]) -> object:
        return generator(torch.from_numpy(latents).to(device), torch.from_numpy(labels).to(device)).cpu()

    return draw


def ways_of(gan: Path, export: Path, card: ExportedCard, threads: int) -> tuple[dict[str, Draw], dict[str, int]]:
    """Each runtime, with the size of its weights in bytes."""
    ways: dict[str, Draw] = {}
    sizes: dict[str, int] = {}
    for device in ["cpu", *(["cuda"] if torch.cuda.is_available() else [])]:
        generator, _ = load_generator(gan, torch.device(device))
        ways[f"torch eager, {device}"] = torch_draw(generator, torch.device(device))
        compiled = torch.compile(generator, dynamic=False)
        ways[f"torch.compile, {device}"] = torch_draw(compiled, torch.device(device))
        sizes |= dict.fromkeys(ways, (gan / WEIGHTS).stat().st_size)
    for provider in providers():
        for variant in card.variants:
            name = f"onnxruntime {variant.precision}, {provider.removesuffix('ExecutionProvider')}"
            ways[name] = onnx_draw(read_model(export, variant.sha256, variant.file), provider, threads)
            sizes[name] = variant.bytes
    return ways, sizes


def speed_table(found: dict[str, Speed], sizes: dict[str, int]) -> list[str]:
    """Lines of Markdown."""
    first = next(iter(found.values()))
    lines = [f"| way | kB | one garment, ms | garments/s in batches of {MANY} | to torch eager |", "|---|---|---|---|---|"]
    for name, speed in found.items():
        ratio = f"{first.latency_ms / speed.latency_ms:.2f}, {speed.pictures_per_s / first.pictures_per_s:.2f}"
        lines.append(f"| {name} | {sizes[name] / 1e3:,.0f} | {speed.latency_ms:.2f} | {speed.pictures_per_s:.0f} | {ratio} |")
    return lines


def parity_table(card: ExportedCard) -> list[str]:
    """Lines of Markdown."""
    lines = [
        "| precision | kB | mean difference | largest | fd_classifier | change | within limits |",
        "|---|---|---|---|---|---|---|",
    ]
    return lines + [
        f"| {one.precision} | {one.bytes / 1e3:,.0f} | {one.mean_difference:.1g} | {one.max_difference:.1g} "
        f"| {one.fd_classifier:.3f} | {one.fd_change:+.3f} | {'yes' if one.within_limits else 'no'} |"
        for one in card.variants
    ]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--gan", type=Path, default=Path("models/gan"))
    parser.add_argument("--export", type=Path, default=Path("models/export"))
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--rounds", type=int, default=60)
    parser.add_argument("--target", type=Path, default=TARGET)
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    card = read_card(options.export)
    ways, sizes = ways_of(options.gan, options.export, card, options.threads)
    found = speeds_of(ways, card.latent_dim, len(card.categories), options.rounds)
    lines = [
        "# Export: precision and speed",
        "",
        f"`python -m benchmarks.export_speed`; {platform.machine()}, {options.threads} thread, torch {torch.__version__}, "
        f"onnxruntime {onnxruntime.__version__}; {options.rounds} rounds, medians.",
        "",
        *speed_table(found, sizes),
        "",
        "The last column: how many times as fast as torch eager, one garment and in batches.",
        "",
        "Difference from torch, pictures in [-1, 1], from the card that `export` wrote:",
        "",
        *parity_table(card),
        "",
        f"generator.onnx is {card.precision}: the first of `export.precisions` that is within `export.max_mean_difference` and "
        "`export.max_fd_change`. No timing decides, so that a busy machine exports what an idle one does; what the clock says "
        "of a run is in MLflow and in logs/export.log.",
    ]
    options.target.parent.mkdir(parents=True, exist_ok=True)
    options.target.write_text("\n".join(lines) + "\n", encoding="utf-8")
    print("\n".join(lines))


if __name__ == "__main__":
    main()
