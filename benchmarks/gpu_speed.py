"""Training rates on a GPU with and without CUDA graphs, compared with the card's peak, and the GPU's idle time.

    python -m benchmarks.gpu_speed presets/gpu-128.yaml presets/gpu-256.yaml

Images are noise, which does not change the speed. With `--as-published`, style mixing and path lengths are as in the `auto`
configuration of Karras et al. 2020 (ADA), for comparison with its rates. A round is one period of the lazy penalties; the
variants take turns.
"""

import argparse
import statistics
import sys
from pathlib import Path

import numpy as np
import torch
import yaml

from benchmarks.training_speed import peaks
from pipeline.gan.devices import choose_device, device_name, prepare_device
from pipeline.gan.forecast import FlopCounter, lazy_period, peak_bytes, seconds
from pipeline.gan.training import Trainer, images_per_step
from pipeline.stages.augment.params import AugmentParams
from pipeline.stages.train.params import TrainParams
from pipeline.storage.files import write_text

PICTURES, CATEGORIES = 640, 10
AS_PUBLISHED = {"style_mixing": 0.9, "path_length": 2.0}
WAYS = {"graphs": False, "kernel by kernel": True}


def _trainer(params: TrainParams, augment: AugmentParams, device: torch.device) -> Trainer:
    shape = (PICTURES, augment.height, augment.width, augment.packed_channels)
    noise = np.random.default_rng(0).integers(0, 256, shape, dtype=np.uint8)
    return Trainer(params, noise, np.arange(PICTURES) % CATEGORIES, CATEGORIES, device)


def busy_share(trainer: Trainer, steps: int) -> float:
    """Share of the time in which the GPU computes: total kernel time over the time from the first kernel to the last."""
    with torch.profiler.profile(activities=[torch.profiler.ProfilerActivity.CUDA]) as profile:
        for _ in range(steps):
            trainer.step()
        torch.cuda.synchronize()
    kernels = [event.time_range for event in profile.events() if event.device_type == torch.autograd.DeviceType.CUDA]
    computing = sum(span.end - span.start for span in kernels)
    return computing / (max(span.end for span in kernels) - min(span.start for span in kernels))


def measured(params: TrainParams, augment: AugmentParams, device: torch.device, rounds: int) -> dict[str, str]:
    """A row of the table."""
    trainer = _trainer(params, augment, device)
    period = lazy_period(params)

    def one_period() -> None:
        for _ in range(period):
            trainer.step()

    trainer.models.eager = True
    with FlopCounter() as counter:
        one_period()
    flops = counter.total / (period * images_per_step(trainer.params))
    found: dict[str, list[float]] = {way: [] for way in WAYS}
    for number in range(rounds + 1):
        for way, eager in WAYS.items():
            trainer.models.eager = eager
            period_s = seconds(one_period, device)
            if number:  # the first round captures the graphs
                found[way].append(period * images_per_step(trainer.params) / period_s)
    memory = peak_bytes(device)
    trainer.models.eager = False
    graphs = statistics.median(found["graphs"])
    most = peaks(trainer.precision, device)["convolution"]
    return {
        "pictures": f"{augment.height}×{augment.width}, {params.batch_size} a batch",
        **{way: f"{statistics.median(rates):.0f} ({min(rates):.0f} to {max(rates):.0f})" for way, rates in found.items()},
        "GFLOP an image": f"{flops / 1e9:.0f}",
        "TFLOP/s": f"{flops * graphs / 1e12:.0f}",
        "of one large convolution": f"{flops * graphs / most:.0%} of {most / 1e12:.0f}",
        "memory": f"{memory / 1e9:.1f} GB",
        "GPU computes": f"{busy_share(trainer, period):.0%}" if device.type == "cuda" else "",
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("presets", type=Path, nargs="+", help="files of parameters")
    parser.add_argument("--as-published", action="store_true", help="style mixing 0.9 and path lengths every fourth step")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--output", type=Path, help="file for the table, beside the terminal")
    options = parser.parse_args()
    rows = []
    for preset in options.presets:
        # Not by load_params, which wants the folders of pictures that a preset names to be there.
        sections = yaml.safe_load(preset.read_text(encoding="utf-8"))
        if options.as_published:
            sections["train"]["network"] |= AS_PUBLISHED
        params, augment = TrainParams.model_validate(sections["train"]), AugmentParams.model_validate(sections["augment"])
        device = choose_device(params.device)
        prepare_device(device, params.threads)
        rows.append({"preset": preset.stem, **measured(params, augment, device, options.rounds)})
    lines = [f"| {' | '.join(rows[0])} |", f"|{'---|' * len(rows[0])}", *(f"| {' | '.join(row.values())} |" for row in rows)]
    head = f"{device_name(device)}, torch {torch.__version__}; images a second, medians of {options.rounds} rounds.\n\n"
    content = head + "\n".join(lines) + "\n"
    if options.output:
        write_text(options.output, content)
    sys.stdout.write(content)


if __name__ == "__main__":
    main()
