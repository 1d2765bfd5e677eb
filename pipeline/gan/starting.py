"""Start a training from a finished one: the same categories, further ones, other data, or a larger side."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from pipeline.gan.models import Models
from pipeline.gan.networks.parts import USUAL_TEXTS, Entries

Fill = Callable[[Tensor, int], Tensor]  # from the known entries (K, …) and a number N to entries (N, …)


@dataclass(frozen=True)
class ConditionNames:
    """What a model is conditioned on, in the order of its tables: `condition` of the recipe, and the names."""

    condition: str
    categories: Sequence[str]
    attributes: Sequence[str] = ()  # `name=value`


@dataclass(frozen=True)
class Start:
    """What a training took over from the model that it started from."""

    taken: int  # tensors
    fresh: list[str]  # names of tensors that keep their initialisation, because the old model has none of their shape
    new_categories: list[str]


def start_from(models: Models, state: Mapping[str, Tensor], old: ConditionNames, new: ConditionNames) -> Start:
    """Copy weights and statistics of the checkpoint `state`, of a model conditioned on `old`, into every network.

    Categories and attributes go by name. A new attribute starts at 0, a new category at a random point that is as far from the
    mean of the old ones as these are, so that new ones differ from the first step on. Tensors of
    another shape, such as the layers nearest the picture when its side differs, stay as they are initialised; so do those for
    attributes where one of the models takes texts in their place, and heads of an earlier version, which did not save the maps
    that they read. Optimisers and random state start anew.
    """
    taken, fresh = 0, []
    by_category = "none" not in (old.condition, new.condition)
    if not any(name.startswith("mixing.") for name in state):
        state = {name: tensor for name, tensor in state.items() if not name.startswith("heads.")}
    for prefix, network in models.by_name().items():
        categories, attributes = dict(_entries(network, "category_entries")), dict(_entries(network, "attribute_entries"))
        for name, tensor in network.state_dict().items():
            if name == USUAL_TEXTS:  # of the new data
                continue
            before = state.get(f"{prefix}.{name}")
            if before is not None and name in categories and by_category:
                fill = _random_entries if categories[name].learnt else _mean_entries
                before = _by_name(before, categories[name], old.categories, new.categories, fill)
            elif before is not None and name in attributes:
                before = _attributes(before, attributes[name], old, new)
            if before is not None and before.shape == tensor.shape:
                tensor.copy_(before)
                taken += 1
            else:
                fresh.append(f"{prefix}.{name}")
    return Start(taken, fresh, sorted(set(new.categories) - set(old.categories)) if by_category else [])


def _entries(network: nn.Module, kind: str) -> Iterator[tuple[str, Entries]]:
    """The tensors of `network` that have entries for each category or attribute, by their name in its state."""
    for prefix, module in network.named_modules():
        for name, entries in getattr(module, kind, {}).items():
            yield f"{prefix}.{name}".removeprefix("."), entries


def _attributes(table: Tensor, entries: Entries, old: ConditionNames, new: ConditionNames) -> Tensor | None:
    if old.condition != new.condition:
        return None
    return table if new.condition == "text" else _by_name(table, entries, old.attributes, new.attributes, _zero_entries)


def _by_name(table: Tensor, entries: Entries, old: Sequence[str], new: Sequence[str], fill: Fill) -> Tensor | None:
    """`table` with the entries that it has for `old` names put in the order of the `new` ones; `fill` makes missing ones.

    None if it is of another kind, such as a tensor of the same name in another network.
    """
    if table.ndim <= entries.axis or table.shape[entries.axis] != entries.first + len(old):
        return None
    turned = table.movedim(entries.axis, 0)
    rest, known = turned[: entries.first], turned[entries.first :]
    found = fill(known, len(new))
    for place, name in enumerate(new):
        if name in old:
            found[place] = known[list(old).index(name)]
    return torch.cat([rest, found]).movedim(0, entries.axis)


def _zero_entries(known: Tensor, count: int) -> Tensor:
    return known.new_zeros((count, *known.shape[1:]))


def _mean_entries(known: Tensor, count: int) -> Tensor:
    return known.mean(dim=0).expand(count, *known.shape[1:]).clone()


def _random_entries(known: Tensor, count: int) -> Tensor:
    """Entries with the mean and the deviation of the known ones, the same for the generator and its average.

    At the mean new categories would be one category, and at usual rates Adam takes hundreds of steps to part them.
    """
    drawn = torch.randn((count, *known.shape[1:]), generator=torch.Generator().manual_seed(0))
    return known.mean(dim=0) + known.std(dim=0, correction=0) * drawn.to(known)
