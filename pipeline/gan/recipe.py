"""The recipe of a training: networks, loss, penalties, augmentation, learning rates, precision, seed."""

from typing import Annotated, Literal, Self

from pydantic import Field, ValidationInfo, field_validator, model_validator

from pipeline.section import BelowError, Count, NotNegative, Positive, Section, Seed, Share


class NetworkParams(Section):
    """What the networks of every family have."""

    latent_dim: Annotated[int, Field(ge=1, le=1024)]
    generator_width: Annotated[
        int, Field(ge=4, le=512)
    ]  # channels at half the picture's side; they double as the side halves …
    discriminator_width: Annotated[int, Field(ge=4, le=512)]
    max_width: Annotated[int, Field(ge=4, le=1024)]  # … up to this many
    truncation: Annotated[float, Field(gt=0, le=1)]  # after training, latents are pulled towards their mean by this factor

    @property
    def generator_arguments(self) -> dict[str, int | float]:
        return {"width": self.generator_width, "max_width": self.max_width, "truncation": self.truncation}

    @property
    def discriminator_arguments(self) -> dict[str, int]:
        return {"width": self.discriminator_width, "max_width": self.max_width}


class ResnetParams(NetworkParams):
    name: Literal["resnet"]
    stddev_group: Annotated[int, Field(ge=0, le=64)]  # pictures compared by the minibatch deviation; 0: off

    @property
    def discriminator_arguments(self) -> dict[str, int]:
        return {**super().discriminator_arguments, "stddev_group": self.stddev_group}


class DcganParams(NetworkParams):
    name: Literal["dcgan"]


class Stylegan2Params(NetworkParams):
    name: Literal["stylegan2"]
    stddev_group: Annotated[int, Field(ge=0, le=64)]  # as resnet's
    style_dim: Annotated[int, Field(ge=1, le=1024)]
    mapping_layers: Annotated[int, Field(ge=1, le=16)]  # from latent to style
    style_mixing: Share  # of the pictures in training whose later layers see another latent's style
    path_length: NotNegative  # weight of the path-length regularisation; 0: off
    path_length_interval: Count  # generator steps from one to the next; the weight is multiplied by it

    @property
    def generator_arguments(self) -> dict[str, int | float]:
        own = {"style_dim": self.style_dim, "mapping_layers": self.mapping_layers, "style_mixing": self.style_mixing}
        return {**super().generator_arguments, **own}

    @property
    def discriminator_arguments(self) -> dict[str, int]:
        return {**super().discriminator_arguments, "stddev_group": self.stddev_group}


class PenaltyParams(Section):
    r1_gamma: NotNegative  # at real pictures; 0: off
    r2_gamma: NotNegative  # at generated pictures; 0: off
    gradient_penalty: NotNegative  # WGAN-GP's, between the two; 0: off
    interval: Count  # steps from one penalised step to the next; the weight is multiplied by it
    weight_clip: NotNegative  # wgan's: after each step the discriminator's weights are cut to ± this; 0: off

    @property
    def any(self) -> bool:
        return self.r1_gamma > 0 or self.r2_gamma > 0 or self.gradient_penalty > 0


class WatchdogParams(Section):
    max_returns: Annotated[int, Field(ge=0)]  # to the last checkpoint, after a NaN or an infinity; one more ends the training
    rate_on_return: Annotated[float, Field(gt=0, lt=1)]  # what each of them multiplies the learning rates by
    min_diversity: Share  # of a category's samples, as a share of its real pictures'; below, it has collapsed


class AdaParams(Section):
    """Adaptive discriminator augmentation: its probability p moves so that real scores keep this mean sign."""

    target: Annotated[float, Field(ge=-1, le=1)]
    ramp_kimg: Positive  # thousands of pictures in which p can go from 0 to 1
    interval: Count  # discriminator steps from one adjustment to the next


class Recipe(Section):
    """What decides the weights that a training ends with; the rest of the section `train` is in stages/train/params.py."""

    condition: Literal["none", "category", "attributes"]  # attributes: the category and what augment.attributes names
    network: Annotated[ResnetParams | DcganParams | Stylegan2Params, Field(discriminator="name")]
    loss: Literal["minimax", "non-saturating", "wgan", "hinge", "relativistic"]
    penalties: PenaltyParams
    mode_seeking: NotNegative  # weight of Mao et al.'s term against mode collapse, which drives pictures of one category apart
    discriminator_steps: Count  # a step of the generator, each on a batch of its own
    ada: AdaParams | None  # adaptive augmentation; null: off
    diffaugment: list[Literal["colour", "translation", "cutout"]]
    batch_size: Annotated[int, Field(ge=2)]
    accumulate: Count  # parts a batch (a process's share of it) is taken in, one after the other, for less memory
    total_kimg: Positive  # thousands of real pictures seen, the length of training
    generator_rate: Positive  # Adam's, at its full height
    discriminator_rate: Positive
    beta1: Annotated[float, Field(ge=0, lt=1)]
    beta2: Annotated[float, Field(ge=0, lt=1)]
    decay_share: Share  # last part of training, over which the rates fall linearly to 0
    ema_half_life_kimg: Positive
    device: Literal["auto", "cpu", "cuda"]
    # auto: bf16 where the processor multiplies it (CUDA 8.0, AMX, AVX512-BF16), else fp32; fp16, with loss scaling, is for CUDA
    precision: Literal["auto", "fp32", "bf16", "fp16"]
    channels_last: bool
    compile: bool  # both networks by torch.compile, in their first steps; penalised steps and drawing stay as they are
    threads: Annotated[int, Field(ge=1, le=256)]  # on a CPU; fixed, for the last bits of the results depend on it
    processes: Annotated[int, Field(ge=1, le=1024)]  # that share every batch; on GPUs one each
    watchdog: WatchdogParams
    seed: Seed

    @field_validator("batch_size")
    @classmethod
    def _groups_fill_the_batch(cls, batch_size: int, info: ValidationInfo) -> int:
        network = info.data.get("network")
        group = getattr(network, "stddev_group", 0)
        if group and batch_size % group:
            raise ValueError(f"not a multiple of network.stddev_group, {group}")
        return batch_size

    @model_validator(mode="after")
    def _the_parts_go_together(self) -> Self:
        penalties = self.penalties
        if penalties.weight_clip and self.loss != "wgan":
            raise BelowError("penalties.weight_clip", f"is for the loss wgan; set it to 0 with {self.loss}")
        if penalties.weight_clip and penalties.gradient_penalty:
            raise BelowError("penalties.weight_clip", "is what gradient_penalty replaces; set one of them to 0")
        if self.loss == "wgan" and not (penalties.weight_clip or penalties.any):
            raise BelowError("penalties.gradient_penalty", "the loss wgan needs it (10.0), or weight_clip (0.01)")
        if self.ada is not None and self.loss in ("wgan", "relativistic"):
            raise BelowError(
                "ada", f"goes by the sign of real scores, which with the loss {self.loss} says nothing; set it to null"
            )
        self._check_parts()
        return self

    def _check_parts(self) -> None:
        parts, group = self.accumulate * self.processes, getattr(self.network, "stddev_group", 0)
        key, told = ("accumulate", "it") if self.processes == 1 else ("processes", "processes × accumulate")
        if self.batch_size % parts or self.batch_size // parts < 2:
            raise BelowError(key, f"{told} must divide batch_size, {self.batch_size}, into parts of 2 pictures or more")
        if group and self.batch_size // parts % group:
            raise BelowError(key, f"{told} must leave parts of a multiple of network.stddev_group, {group}, pictures")
