"""The recipe of a training: networks, loss, penalties, augmentation, learning rates, precision, seed."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal, Self

from pydantic import BeforeValidator, Field, ValidationInfo, field_validator, model_validator

from pipeline.gan.diffaugment import AUGMENTATIONS
from pipeline.gan.losses import LOSSES
from pipeline.section import Count, ExistingPath, FieldError, NotNegative, Positive, Section, Seed, Share

if TYPE_CHECKING:
    LossName = str
    AugmentationName = str
else:
    LossName = Literal[tuple(LOSSES)]
    AugmentationName = Literal[tuple(AUGMENTATIONS)]


class NetworkParams(Section):
    """What the networks of every family have in common."""

    latent_dim: Annotated[int, Field(ge=1, le=1024)] = 64
    """Dimensions of the latent."""
    generator_width: Annotated[int, Field(ge=4, le=512)] = 32
    """Channels of the generator at half the picture's side; they double as the side halves, up to max_width."""
    discriminator_width: Annotated[int, Field(ge=4, le=512)] = 32
    """The same for the discriminator."""
    max_width: Annotated[int, Field(ge=4, le=1024)] = 128
    """Largest number of channels of either network."""
    truncation: Annotated[float, Field(gt=0, le=1)] = 0.92
    """Factor by which latents are pulled towards their mean after training; 1: no truncation."""

    @property
    def generator_arguments(self) -> dict[str, Any]:
        return {"width": self.generator_width, "max_width": self.max_width, "truncation": self.truncation}

    @property
    def discriminator_arguments(self) -> dict[str, int]:
        return {"width": self.discriminator_width, "max_width": self.max_width}


class ResnetParams(NetworkParams):
    name: Literal["resnet"] = "resnet"
    """Family of the networks."""
    stddev_group: Annotated[int, Field(ge=0, le=64)] = 4
    """Pictures that the minibatch standard deviation compares; 0: off."""
    upsampling: Literal["transposed", "bilinear"] = "transposed"
    """How the generator doubles the side: by a transposed convolution, or by one at the smaller side and bilinear resizing."""

    @property
    def generator_arguments(self) -> dict[str, Any]:
        chosen = {} if self.upsampling == "transposed" else {"upsampling": self.upsampling}  # as before there was a choice
        return {**super().generator_arguments, **chosen}

    @property
    def discriminator_arguments(self) -> dict[str, int]:
        return {**super().discriminator_arguments, "stddev_group": self.stddev_group}


class DcganParams(NetworkParams):
    name: Literal["dcgan"]


class Stylegan2Params(NetworkParams):
    name: Literal["stylegan2"]
    stddev_group: Annotated[int, Field(ge=0, le=64)] = 4
    style_dim: Annotated[int, Field(ge=1, le=1024)] = 64
    """Dimensions of the style."""
    mapping_layers: Annotated[int, Field(ge=1, le=16)] = 2
    """Layers from latent to style."""
    style_mixing: Share = 0.0
    """Share of the training pictures whose later layers use the style of a second latent."""
    path_length: NotNegative = 0.0
    """Weight of the path-length regularisation; 0: off."""
    path_length_interval: Count = 8
    """Generator steps from one regularised step to the next; the weight is multiplied by it."""

    @property
    def generator_arguments(self) -> dict[str, Any]:
        own = {"style_dim": self.style_dim, "mapping_layers": self.mapping_layers, "style_mixing": self.style_mixing}
        return {**super().generator_arguments, **own}

    @property
    def discriminator_arguments(self) -> dict[str, int]:
        return {**super().discriminator_arguments, "stddev_group": self.stddev_group}


def with_network_name(network: Any) -> Any:
    """`network` as it is in params.yaml, with the name `resnet` when it has none."""
    return {"name": "resnet", **network} if isinstance(network, dict) else network


class PenaltyParams(Section):
    r1_gamma: NotNegative = 1.0
    """Weight of the gradient penalty at real pictures (R1); 0: off."""
    r2_gamma: NotNegative = 0.0
    """Weight of the gradient penalty at generated pictures (R2); 0: off."""
    gradient_penalty: NotNegative = 0.0
    """Weight of the gradient penalty between real and generated pictures (WGAN-GP); 0: off."""
    interval: Count = 8
    """Steps from one penalised step to the next; the weight is multiplied by it."""
    weight_clip: NotNegative = 0.0
    """Clip the discriminator's weights to ± this after each step, only with the loss wgan; 0: off."""

    @property
    def any(self) -> bool:
        return self.r1_gamma > 0 or self.r2_gamma > 0 or self.gradient_penalty > 0


class WatchdogParams(Section):
    max_rollbacks: Annotated[int, Field(ge=0)] = 2
    """Rollbacks to the last checkpoint after a NaN or an infinity; one more ends the training."""
    rate_factor_on_rollback: Annotated[float, Field(gt=0, lt=1)] = 0.5
    """Factor on the learning rates at each rollback."""
    min_diversity: Share = 0.1
    """Diversity of a category's samples relative to its real pictures, below which it counts as collapsed."""


class AdaParams(Section):
    """Adaptive discriminator augmentation (Karras et al. 2020): the probability p follows the mean sign of the real logits."""

    target: Annotated[float, Field(ge=-1, le=1)] = 0.6
    """Mean sign of the logits of real pictures at which p stays as it is."""
    ramp_kimg: Positive = 500.0
    """Thousands of images in which p can go from 0 to 1."""
    interval: Count = 4
    """Discriminator steps from one adjustment of p to the next."""


class ProjectedParams(Section):
    """Heads on a frozen EfficientNet-Lite0 that judge beside the discriminator (Sauer et al. 2021, Kumari et al. 2022)."""

    weight: Positive = 0.25
    """Weight of the heads' loss, summed over them, in the generator's loss."""
    warm_up_kimg: NotNegative = 10.0
    """Thousands of images after which the heads join; until then they cost nothing."""
    input_px: Annotated[int, Field(ge=64, le=512, multiple_of=32)] = 64
    """Side of the pictures that the pretrained network sees."""
    channels: Annotated[int, Field(ge=8, le=256)] = 32
    """Channels of the finest of the three mixed maps; the others have twice and four times as many."""
    r1_gamma: NotNegative = 1.0
    """Weight of the gradient penalty at the maps of real pictures (R1), every penalties.interval steps; 0: off."""
    alone: bool = False
    """Without the discriminator."""

    @model_validator(mode="after")
    def _check_alone(self) -> Self:
        if self.alone and self.warm_up_kimg:
            raise FieldError("warm_up_kimg", "must be 0 with alone: true, because nothing else would train the generator")
        return self


OUTPUT = Path("models/gan")  # of the stage, relative to the project


class StartParams(Section):
    """A finished training to start from."""

    folder: ExistingPath
    """The folder of its model, such as a copy of an earlier models/gan."""
    sha256: Annotated[str, Field(pattern="^[0-9a-f]{64}$")]
    """SHA-256 of the checkpoint.pt in it, so that the parameters name the model, wherever it lies."""
    keep_known: NotNegative = 0.0
    """Weight of the mean squared difference of generated pictures of known categories from what the model that is started from
    draws of the same latents; without new categories it has no effect."""
    repeat_new: Count = 1
    """How often an epoch shows each picture of a new category; others are shown once."""

    @field_validator("folder")
    @classmethod
    def _check_folder(cls, folder: str) -> str:
        if Path(folder).resolve() == OUTPUT.resolve():
            raise ValueError(f"{folder} is what this training replaces; copy it first, for example to models/start")
        return folder


class Recipe(Section):
    """What decides the weights that a training ends with; stages/train/params.py adds the rest of the section `train`."""

    start_from: StartParams | None = None
    """Start from the weights of a finished training; null: from random ones."""
    condition: Literal["none", "category", "attributes", "text"] = "category"
    """What the networks are conditioned on; attributes: the category and the columns in augment.attributes; text: the category
    and a caption."""
    network: Annotated[
        ResnetParams | DcganParams | Stylegan2Params, Field(discriminator="name"), BeforeValidator(with_network_name)
    ] = ResnetParams()
    """The two networks."""
    loss: LossName = "non-saturating"
    """Adversarial loss."""
    penalties: PenaltyParams = PenaltyParams()
    """What regularises the discriminator."""
    mode_seeking: NotNegative = 0.0
    """Weight of the mode-seeking loss (Mao et al. 2019), which drives pictures of one category apart; 0: off."""
    discriminator_steps: Count = 1
    """Discriminator steps per generator step, each on a batch of its own."""
    ada: AdaParams | None = None
    """Adaptive discriminator augmentation ({} for the defaults); null: off."""
    diffaugment: list[AugmentationName] = []
    """Differentiable augmentations (Zhao et al. 2020)."""
    projected: ProjectedParams | None = None
    """Heads on a frozen pretrained network beside the discriminator ({} for the defaults); null: none."""
    batch_size: Annotated[int, Field(ge=2)] = 32
    """Pictures per step, over all processes."""
    accumulate: Count = 1
    """Micro-batches that each process divides its share of a batch into, to save memory."""
    total_kimg: Positive = 260.0
    """Length of the training: thousands of real pictures seen."""
    generator_rate: Positive = 0.001
    """Learning rate of the generator (Adam), before it decays."""
    discriminator_rate: Positive = 0.001
    """Learning rate of the discriminator (Adam), before it decays."""
    beta1: Annotated[float, Field(ge=0, lt=1)] = 0.0
    """Adam's beta1."""
    beta2: Annotated[float, Field(ge=0, lt=1)] = 0.99
    """Adam's beta2."""
    decay_share: Share = 0.4
    """Last share of the training, over which the learning rates fall linearly to 0."""
    ema_half_life_kimg: Positive = 10.0
    """Half-life of the generator's exponential moving average, in thousands of images."""
    device: Literal["auto", "cpu", "cuda"] = "auto"
    """auto: CUDA when available."""
    precision: Literal["auto", "fp32", "bf16", "fp16"] = "auto"
    """auto: bf16 where the hardware multiplies it (CUDA 8.0, AMX, AVX512-BF16), else fp32; fp16 scales the loss, CUDA only."""
    channels_last: bool = True
    """Memory format NHWC, usually faster."""
    compile: bool = False
    """Compile both networks with torch.compile in the first steps; penalised steps and sampling are not compiled."""
    threads: Annotated[int, Field(ge=1, le=256)] = 1
    """CPU threads; fixed, because the last bits of the results depend on their number."""
    processes: Annotated[int, Field(ge=1, le=1024)] = 1
    """Processes that share every batch, one per GPU."""
    watchdog: WatchdogParams = WatchdogParams()
    """What happens when a training diverges or collapses."""
    seed: Seed = 0
    """Seed of the weights, the latents and the order of the pictures."""

    @property
    def penalised(self) -> bool:
        """Whether the discriminator or the projected heads have a gradient penalty."""
        return self.penalties.any or (self.projected is not None and self.projected.r1_gamma > 0)

    @field_validator("batch_size")
    @classmethod
    def _check_batch_size(cls, batch_size: int, info: ValidationInfo) -> int:
        network = info.data.get("network")
        group = getattr(network, "stddev_group", 0)
        if group and batch_size % group:
            raise ValueError(f"not a multiple of network.stddev_group, {group}")
        return batch_size

    @model_validator(mode="after")
    def _check_combination(self) -> Self:
        penalties, loss = self.penalties, LOSSES[self.loss]
        if penalties.weight_clip and not loss.lipschitz:
            clipped = " and ".join(name for name, other in LOSSES.items() if other.lipschitz)
            raise FieldError("penalties.weight_clip", f"is for the loss {clipped}; set it to 0 with {self.loss}")
        if penalties.weight_clip and penalties.gradient_penalty:
            raise FieldError("penalties.weight_clip", "is what gradient_penalty replaces; set one of them to 0")
        if loss.lipschitz and not (penalties.weight_clip or penalties.any):
            raise FieldError("penalties.gradient_penalty", f"the loss {self.loss} needs it (10.0), or weight_clip (0.01)")
        if self.ada is not None and not loss.signed:
            raise FieldError(
                "ada", f"needs the sign of the real logits, which means nothing with the loss {self.loss}; set it to null"
            )
        self._check_micro_batches()
        return self

    def _check_micro_batches(self) -> None:
        parts, group = self.accumulate * self.processes, getattr(self.network, "stddev_group", 0)
        key, divisor = ("accumulate", "it") if self.processes == 1 else ("processes", "processes × accumulate")
        if self.batch_size % parts or self.batch_size // parts < 2:
            raise FieldError(key, f"{divisor} must divide batch_size, {self.batch_size}, into parts of 2 pictures or more")
        if group and self.batch_size // parts % group:
            raise FieldError(key, f"{divisor} must leave parts of a multiple of network.stddev_group, {group}, pictures")
