"""Start a training from the folder of a finished one."""

import hashlib
import logging
from pathlib import Path

from pipeline.errors import InputError, ParamsError
from pipeline.gan.checkpoints import CHECKPOINT, read_generator_card
from pipeline.gan.recipe import StartParams
from pipeline.gan.starting import ConditionNames, Start, start_from
from pipeline.gan.training import Trainer
from pipeline.inference.attributes import columns_of
from pipeline.storage.arrays import DatasetCard
from pipeline.storage.checkpoints import read_checkpoint

log = logging.getLogger(__name__)

NAMED_TENSORS = 4  # in a line; the others are counted


def start_from_folder(params: StartParams, trainer: Trainer, data: DatasetCard) -> Start:
    """Give `trainer`, which trains on `data`, the weights of the model in `params.folder`; says what it took over.

    A training that resumes needs them, too: they say what the known categories looked like before.

    Raises InputError if that is not the model that the parameters name, ParamsError if it has nothing that fits.
    """
    path = Path(params.folder) / CHECKPOINT
    try:
        content = path.read_bytes()
    except OSError as error:
        raise InputError(
            f"{path}: cannot be read ({error.strerror}); train.start_from.folder is a copy of models/gan"
        ) from None
    if (found := hashlib.sha256(content).hexdigest()) != params.sha256:
        raise InputError(f"{path}: its SHA-256 is {found}, not train.start_from.sha256; set that to it if this is the model")
    card = read_generator_card(Path(params.folder))
    start = start_from(
        trainer.models,
        read_checkpoint(content),
        ConditionNames(card.condition, card.categories, columns_of(card.attributes)),
        ConditionNames(trainer.params.condition, data.categories, columns_of(data.attributes)),
    )
    if not start.taken:
        raise ParamsError(
            f"train.start_from: the {card.network} in {params.folder} has no layer that fits this training's network"
        )
    if start.new_categories:
        labels = [list(data.categories).index(name) for name in start.new_categories]
        trainer.add_categories(labels, keep_known=params.keep_known, repeat_new=params.repeat_new)
    return start


def log_start(folder: str, start: Start) -> None:
    """Log what was taken over from the model in `folder`."""
    log.info("started from %s: %d tensors taken over", folder, start.taken)
    if start.new_categories:
        log.info("new categories, which start near the mean of the known ones: %s", ", ".join(start.new_categories))
    if start.fresh:
        named = ", ".join(start.fresh[:NAMED_TENSORS])
        log.info("%d tensors start at random, because the model has none that fit: %s …", len(start.fresh), named)
