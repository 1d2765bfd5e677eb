"""Start a training from a finished one: the same categories, further ones, other data, or a larger side."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from pipeline.gan.models import Models
from pipeline.gan.networks.parts import USUAL_TEXTS, ConditionEmbedding


@dataclass(frozen=True)
class Start:
    """What a training took over from the model that it started from."""

    taken: int  # tensors
    fresh: list[str]  # names of tensors that keep their initialisation, because the old model has none of their shape
    new_categories: list[str]


def start_from(models: Models, state: Mapping[str, Tensor], old: Sequence[str], categories: Sequence[str]) -> Start:
    """Copy weights and statistics of the checkpoint `state` into every trained network.

    `old` are the categories of that model and `categories` those of the new one, in label order; both empty if unconditional.
    Their embeddings go by name, and a new category starts at the mean of all. Tensors of another shape, such as the layers
    nearest the picture when its side differs, stay as they are initialised. Optimisers and random state start anew.
    """
    taken, fresh = 0, []
    for prefix, network in models.by_name().items():
        tables = {f"{name}.weight" for name, module in network.named_modules() if isinstance(module, ConditionEmbedding)}
        for name, tensor in network.state_dict().items():
            if name == USUAL_TEXTS:  # of the new data
                continue
            before = state.get(f"{prefix}.{name}")
            if before is not None and name in tables and before.shape[1:] == tensor.shape[1:]:
                before = _embeddings(before, old, categories)
            if before is not None and before.shape == tensor.shape:
                tensor.copy_(before)
                taken += 1
            else:
                fresh.append(f"{prefix}.{name}")
    return Start(taken, fresh, sorted(set(categories) - set(old)))


def _embeddings(table: Tensor, old: Sequence[str], categories: Sequence[str]) -> Tensor:
    """Rows of `table` (C, D) for `categories`, by name; a new one is the mean."""
    if not old or not categories:
        return table
    rows = {name: table[index] for index, name in enumerate(old)}
    return torch.stack([rows.get(name, table.mean(dim=0)) for name in categories])
