"""The schema of params.yaml: one section a stage, no defaults, unknown keys refused, checked before any work.

A class per section; the classes nest as the file does. Units and limits are in the names. The Snakefile reads the file through
`load_params` and hands each job its own section, so a job never sees a file that changed meanwhile.
"""

import re
from pathlib import Path
from typing import Annotated, Any, Literal, Self, TypeVar

import yaml
from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Discriminator,
    Field,
    Tag,
    ValidationError,
    ValidationInfo,
    field_validator,
    model_validator,
)

from pipeline.consistency import check_categories, contradictions
from pipeline.errors import ParamsError

STAGES = ("collect", "fetch", "inspect", "dedup", "curate", "augment", "reference", "train", "evaluate", "report", "export")


EXTRACTORS = ("efflite0", "classifier", "inception", "phash")  # those that are always known


class Section(BaseModel):
    """Base of every section: frozen, strict, complete."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True, allow_inf_nan=False)


class _BelowError(ValueError):
    """What is wrong with a key below the section that was checked."""

    def __init__(self, key: str, told: str) -> None:
        super().__init__(told)
        self.key = key


def _readable(path: str) -> str:
    if not Path(path).exists():
        raise ValueError(f"no such file or folder: {path}")
    return path


def _regular_expression(pattern: str) -> str:
    try:
        re.compile(pattern)
    except re.error as error:
        raise ValueError(f"not a regular expression: {error}") from None
    return pattern


def _reachable(contact: str) -> str:
    printable = contact.isprintable() and contact.isascii()
    if contact and not (printable and ("@" in contact or contact.startswith(("http://", "https://")))):
        raise ValueError("must be an e-mail address or a web page at which the owner of a site can reach you")
    return contact


def _as_list(value: Any) -> Any:
    return value if isinstance(value, list) else [value]


Count = Annotated[int, Field(ge=1)]
Seed = Annotated[int, Field(ge=0, lt=2**32)]
Share = Annotated[float, Field(ge=0, le=1)]
Positive = Annotated[float, Field(gt=0)]
NotNegative = Annotated[float, Field(ge=0)]
Grey = Annotated[int, Field(ge=0, le=255)]
ExistingPath = Annotated[str, AfterValidator(_readable)]
Pattern = Annotated[str, AfterValidator(_regular_expression)]
Address = Annotated[str, Field(pattern=r"^https?://[^\s/]+")]
Source = Literal["fashion-mnist", "folder", "manifest", "crawl"]


class WebParams(Section):
    """How to behave on the web."""

    # E-mail address or web page, told to every host that is asked; empty: nothing is asked of the web.
    contact: Annotated[str, AfterValidator(_reachable)]
    delay_s: NotNegative  # between two requests to a host, from all processes together; a site may ask for more
    connections: Annotated[int, Field(ge=1, le=512)]  # at once, a process
    connections_per_host: Annotated[int, Field(ge=1, le=512)]
    timeout_s: Positive  # for one request in all, to its last byte
    max_wait_s: Annotated[float, Field(ge=0, le=3600)]  # a host that asks for a longer pause is left for another run
    retries: Annotated[int, Field(ge=0, le=10)]
    allow_loopback: bool  # for tests: servers on this machine may be asked


class FashionMnistSource(Section):
    path: str | None  # folder with the four .gz files; null: look in the usual places, then download
    limit: Count | None  # only the first so many of each of the two splits


class FolderSource(Section):
    path: str  # one sub-folder per category
    licence: str | None  # of all the pictures in it


class ManifestSource(Section):
    path: str  # one of list_files.SUFFIXES, or a folder of them
    columns: dict[str, str]  # our name: the file's name; img2dataset's names are known


class CrawlSite(Section):
    start: Annotated[list[Address], Field(min_length=1)]  # pages, feeds or sitemaps
    domains: Annotated[list[str], Field(min_length=1)]  # and their subdomains; nothing else is visited
    max_depth: Annotated[int, Field(ge=0)]  # links away from the start
    max_pages: Count
    max_pictures: Count
    follow: Pattern | None  # only links whose URL this matches somewhere
    sitemaps: bool  # also start from the sitemaps that robots.txt lists


class CrawlSource(Section):
    sites: list[CrawlSite]
    categories: dict[str, str]  # the site's word: our category
    licence: str | None  # of pictures whose page names none
    max_age_days: Positive  # a page read longer ago is asked for again


class CollectParams(Section):
    source: Annotated[list[Source], BeforeValidator(_as_list), Field(min_length=1)]  # one name, or a list of them
    fashion_mnist: FashionMnistSource
    folder: FolderSource
    manifest: ManifestSource
    crawl: CrawlSource
    web: WebParams

    @model_validator(mode="after")
    def _what_is_chosen_is_there(self) -> Self:
        paths = {"fashion-mnist": self.fashion_mnist.path, "folder": self.folder.path, "manifest": self.manifest.path}
        for source, path in paths.items():
            if source in self.source and path is not None and not Path(path).exists():
                raise _BelowError(f"{source.replace('-', '_')}.path", f"no such file or folder: {path}")
        if "crawl" in self.source:
            if not self.web.contact:
                raise _BelowError("web.contact", "say who crawls: an e-mail address or a web page")
            if not self.crawl.sites:
                raise _BelowError("crawl.sites", "name at least one site to crawl")
        return self


class FetchParams(Section):
    shards: Annotated[int, Field(ge=1, le=99_999)]
    max_bytes: Count  # a larger file is refused
    strip_metadata: bool  # EXIF, GPS, XMP and comments are taken out, losslessly, before anything is written
    licences: Annotated[list[str], Field(min_length=1)] | None  # only pictures under these; null: under any
    refresh: bool  # ask again for pictures already here, by ETag and date
    web: WebParams


class InspectParams(Section):
    max_pixels: Count  # a picture that unfolds to more is not decoded
    max_memory_bytes: Count  # of decoding and measuring a picture; one that needs more is a row with a reason …
    timeout_s: Positive  # … and so is one that takes longer
    background_tolerance: Grey  # difference from the border colour that still counts as background
    # What is looked for in pictures at a cost of tens of milliseconds each: text over it, people's faces, and (by a network)
    # clothing with features for the distance to the category.
    detect: list[Literal["text", "faces", "clothing"]]
    sketch: bool  # whether to keep a 64×64 sketch, by which dedup.edited compares pictures


class EditedParams(Section):
    """When a picture is taken for an edit of another: cut, framed, flipped, turned, squeezed, recoloured, covered in part."""

    neighbours: Annotated[int, Field(ge=1, le=256)]  # candidates of a picture in each of its views
    min_similarity: Annotated[float, Field(ge=-1, le=1)]  # of candidates' descriptors
    min_agreement: Annotated[float, Field(gt=0, le=1)]  # of the detail of the two, one laid over the other …
    min_texture: Annotated[float, Field(ge=-1, le=1)]  # … and of their fine detail alone, which tells plain garments apart


class DedupParams(Section):
    max_distance_bits: Annotated[int, Field(ge=0, le=16)]  # Hamming, inclusive
    # Confirms a candidate: √(2 - 2 correlation) of the two 16×16 thumbnails, 0 for equal, inclusive.
    max_thumbnail_difference: Annotated[float, Field(ge=0, le=2)]
    mirrored: bool  # whether a mirror image is a duplicate
    edited: EditedParams | None  # edits are looked for; null: only what the hashes find
    preferred_licences: list[str]  # of pictures alike in size and sharpness, one with the first of these stands for the group
    max_group: Count  # a larger group is cut down to those close to its representative


class Quantile(Section):
    """A limit that the pictures themselves set: this share of them lies below it."""

    quantile: Annotated[float, Field(gt=0, lt=1)]


Number = TypeVar("Number")
AS_NUMBER, AS_QUANTILE = "as a number", "as a quantile"  # which of the two a mistake is in; no keys of the file
Limit = Annotated[
    Annotated[Number, Tag(AS_NUMBER)] | Annotated[Quantile, Tag(AS_QUANTILE)],
    Discriminator(lambda limit: AS_QUANTILE if isinstance(limit, dict | Quantile) else AS_NUMBER),
]


class CurateParams(Section):
    """Limits of measures, inclusive; each is a number or a quantile of the pictures that could be decoded."""

    min_side_px: Limit[Count]
    max_size_ratio: Limit[Annotated[float, Field(ge=1)]]  # how many times larger or smaller than the median picture
    max_aspect: Limit[Annotated[float, Field(ge=1)]]  # long side over short side
    min_sharpness: Limit[NotNegative]
    min_brightness: Limit[Share]
    max_brightness: Limit[Share]
    min_highlight: Limit[Share]  # luma of the brightest pixels; under it the picture is underexposed
    max_shadow: Limit[Share]  # luma of the darkest pixels; over it the picture is washed out
    min_contrast: Limit[NotNegative]
    min_entropy_bits: Limit[NotNegative]
    min_levels: Limit[Share]  # share of the grey levels that are used; over 0 drops what has been reduced to few
    min_colourfulness: Limit[NotNegative]  # over 0 drops grey pictures
    max_background: Limit[Share]  # over it the garment is too small
    max_cut_off: Limit[Share]  # share of the picture's middle in colours of its edge
    max_second: Limit[Share]  # size of the second piece in the foreground, of the largest's
    # These need what inspect.detect names; null: not looked at.
    max_text: Limit[NotNegative] | None  # letters in the longest line of letters
    max_face: Limit[Share] | None  # height of a person's face, of the picture's; 0 drops every picture with a face
    min_clothing: Limit[Share] | None  # probability of clothing
    max_irrelevance: Limit[Positive] | None  # distance to the nearest category, 1 for a typical picture
    max_misplacement: Limit[NotNegative] | None  # how much more it is like another category than its own, -1 to 1
    min_per_category: Count  # a smaller category is dropped whole
    split: Literal["source", "hash"]  # the source's own split where it has one, or by hash of the family of look-alikes
    validation_share: Share
    test_share: Share
    seed: Seed


class AugmentParams(Section):
    attributes: list[str]  # further columns of a manifest's rows, such as colour, on which training may be conditioned
    height: Annotated[int, Field(ge=16, le=512)]
    width: Annotated[int, Field(ge=16, le=512)]
    channels: Literal[1, 3]
    fit: Literal["pad", "crop", "stretch"]  # how a picture of another shape fills the frame
    upscale: bool  # whether a picture smaller than the frame is enlarged (else it is padded)
    resize_filter: Literal["box", "bilinear", "bicubic", "lanczos"]
    pad_value: Grey | Literal["edge"]
    copies: Count  # training pictures made of each picture; the first is untouched
    rotate_degrees: Annotated[float, Field(ge=0, le=180)]  # up to, either way
    min_scale: Annotated[float, Field(gt=0, le=1)]
    max_scale: Annotated[float, Field(ge=1)]
    translate: Share  # up to, of the side
    crop: Share  # up to, of the side
    flip_categories: list[str]  # symmetric garments, flipped at random; ["*"] for all
    brightness: Share
    saturation: Share
    contrast: Share
    hue: Annotated[float, Field(ge=0, le=0.5)]  # share of the colour circle
    blur_faces: bool  # whether people's faces are made unrecognisable
    seed: Seed


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


class TrainParams(Section):
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
    log_every_kimg: Positive
    sample_every_kimg: Positive
    samples_per_category: Annotated[int, Field(ge=1, le=64)]
    checkpoint_every_kimg: Positive
    keep_checkpoints: Count  # the last ones; a damaged one is passed over for the one before it
    best_by: Literal["swd"] | None  # keeps the best generator, too, by its samples' sliced Wasserstein distance
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
            raise _BelowError("penalties.weight_clip", f"is for the loss wgan; set it to 0 with {self.loss}")
        if penalties.weight_clip and penalties.gradient_penalty:
            raise _BelowError("penalties.weight_clip", "is what gradient_penalty replaces; set one of them to 0")
        if self.loss == "wgan" and not (penalties.weight_clip or penalties.any):
            raise _BelowError("penalties.gradient_penalty", "the loss wgan needs it (10.0), or weight_clip (0.01)")
        if self.ada is not None and self.loss in ("wgan", "relativistic"):
            raise _BelowError(
                "ada", f"goes by the sign of real scores, which with the loss {self.loss} says nothing; set it to null"
            )
        self._check_parts()
        return self

    def _check_parts(self) -> None:
        parts, group = self.accumulate * self.processes, getattr(self.network, "stddev_group", 0)
        key, told = ("accumulate", "it") if self.processes == 1 else ("processes", "processes × accumulate")
        if self.batch_size % parts or self.batch_size // parts < 2:
            raise _BelowError(key, f"{told} must divide batch_size, {self.batch_size}, into parts of 2 pictures or more")
        if group and self.batch_size // parts % group:
            raise _BelowError(key, f"{told} must leave parts of a multiple of network.stddev_group, {group}, pictures")


class ClassifierParams(Section):
    epochs: Count
    batch_size: Annotated[int, Field(ge=2)]
    peak_rate: Positive  # AdamW's, at the top of its one cycle
    seed: Seed


class ModuleParams(Section):
    """Any torch module that makes a row of features (N, D), or feature maps (N, D, H, W), of pictures."""

    name: Annotated[str, Field(pattern=r"^[a-z][a-z0-9]*$")]  # its numbers are called fd_<name> and so on
    build: Annotated[str, Field(pattern=r"^\w+(\.\w+)*:\w+$")]  # package.module:callable that returns the module …
    arguments: dict[str, Any]  # … called with these
    side_px: Annotated[int, Field(ge=16, le=1024)]  # of the pictures it is given, as RGB in [0, 1] …
    mean: Annotated[list[float], Field(min_length=3, max_length=3)]  # … less this …
    deviation: Annotated[list[Positive], Field(min_length=3, max_length=3)]  # … and divided by this


class ReferenceParams(Section):
    floor_pictures: Annotated[int, Field(ge=2)]  # training pictures that stand in for samples: what real pictures score
    noise_pictures: Annotated[int, Field(ge=2)]  # of nothing: what no picture scores worse than
    seed: Seed
    classifier: ClassifierParams
    efflite0_px: Annotated[int, Field(ge=32, le=512)]  # side of the pictures EfficientNet-Lite0 is given
    inception_weights: Literal["download"] | ExistingPath | None  # a copy of inception-2015-12-05.pt; null: no fid
    modules: list[ModuleParams]  # further extractors
    device: Literal["auto", "cpu", "cuda"]
    threads: Annotated[int, Field(ge=1, le=256)]  # on a CPU; fixed, for the last bits of the results depend on it

    @field_validator("modules")
    @classmethod
    def _names_are_free(cls, modules: list[ModuleParams]) -> list[ModuleParams]:
        names = [module.name for module in modules]
        if taken := sorted({name for name in names if name in EXTRACTORS or names.count(name) > 1}):
            raise ValueError(f"name taken: {', '.join(taken)}")
        return modules


class LookAlikeParams(Section):
    """When a sample looks like a training picture, both inclusive and as in dedup."""

    max_distance_bits: Annotated[int, Field(ge=0, le=16)]
    max_thumbnail_difference: Annotated[float, Field(ge=0, le=2)]


class EvaluateParams(Section):
    samples: Annotated[int, Field(ge=2)]  # generated pictures a repeat, in equal shares of the categories
    repeats: Annotated[int, Field(ge=2)]  # each from its own seed: seed, seed + 1, …; ± is their standard deviation
    seed: Seed
    neighbours: Count  # k of precision, recall, density and coverage
    kid_subsets: Count
    kid_subset_size: Annotated[int, Field(ge=2)]
    fd_counts: list[Annotated[int, Field(ge=2)]]  # fewer samples, ascending, from which fd is extrapolated to infinitely many
    bootstraps: Annotated[int, Field(ge=0)]  # resamples behind the ± of fd and is by drawing the pictures again; below 2: none
    near_copy_quantile: Annotated[float, Field(gt=0, lt=1)]  # of unseen real pictures' distances to the training set
    look_alikes: LookAlikeParams
    ppl_paths: Annotated[int, Field(ge=0)]  # steps along paths between latents, a repeat; 0: no perceptual path length
    pictures_per_category: Annotated[int, Field(ge=2, le=64)]
    device: Literal["auto", "cpu", "cuda"]
    threads: Annotated[int, Field(ge=1, le=256)]  # on a CPU; fixed, for the last bits of the results depend on it

    @model_validator(mode="after")
    def _counts_ascend_to_the_samples(self) -> Self:
        if list(self.fd_counts) != sorted({count for count in self.fd_counts if count < self.samples}):
            raise _BelowError("fd_counts", f"must ascend and stay below samples, {self.samples}")
        return self


class ReportParams(Section):
    title: Annotated[str, Field(min_length=1)]
    pictures_per_category: Annotated[int, Field(ge=1, le=32)]


class ExportParams(Section):
    # Each becomes a file; the first that is within the limits is generator.onnx, which everything opens.
    precisions: Annotated[list[Literal["fp32", "fp16", "int8"]], Field(min_length=1)]
    max_difference: Positive  # largest absolute difference of fp32 from torch, pictures in [-1, 1]; more is an error
    max_mean_difference: Positive  # mean absolute difference of the others from torch, pictures in [-1, 1]
    max_fd_change: Positive  # of the others' fd_classifier from that of fp32
    check_latents: Count
    registered_name: Annotated[str, Field(pattern=r"^[A-Za-z0-9._-]+$")]  # in the MLflow model registry

    @field_validator("precisions")
    @classmethod
    def _exact_one_among_them(cls, precisions: list[str]) -> list[str]:
        if "fp32" not in precisions or len(set(precisions)) < len(precisions):
            raise ValueError("names each precision once, and fp32 among them")
        return precisions


class Params(Section):
    """params.yaml, whole."""

    collect: CollectParams
    fetch: FetchParams
    inspect: InspectParams
    dedup: DedupParams
    curate: CurateParams
    augment: AugmentParams
    reference: ReferenceParams
    train: TrainParams
    evaluate: EvaluateParams
    report: ReportParams
    export: ExportParams

    @model_validator(mode="after")
    def _the_web_is_told_who_asks(self) -> Self:
        if {"crawl", "manifest"} & set(self.collect.source) and not self.fetch.web.contact:
            raise _BelowError("fetch.web.contact", "say who fetches: an e-mail address or a web page")
        return self

    @model_validator(mode="after")
    def _attributes_are_named(self) -> Self:
        if self.train.condition == "attributes" and not self.augment.attributes:
            raise _BelowError("augment.attributes", "must name the attributes where train.condition is attributes")
        return self

    @model_validator(mode="after")
    def _edits_have_sketches(self) -> Self:
        if self.dedup.edited is not None and not self.inspect.sketch:
            raise _BelowError("inspect.sketch", "must be true where dedup.edited is set")
        return self

    @model_validator(mode="after")
    def _what_is_limited_is_detected(self) -> Self:
        needs = {
            "curate.max_text": ("text", self.curate.max_text is not None),
            "curate.max_face": ("faces", self.curate.max_face is not None),
            "curate.min_clothing": ("clothing", self.curate.min_clothing is not None),
            "curate.max_irrelevance": ("clothing", self.curate.max_irrelevance is not None),
            "curate.max_misplacement": ("clothing", self.curate.max_misplacement is not None),
            "augment.blur_faces": ("faces", self.augment.blur_faces),
        }
        for key, (detector, used) in needs.items():
            if used and detector not in self.inspect.detect:
                raise _BelowError("inspect.detect", f"must name {detector} where {key} is set")
        return self

    @model_validator(mode="after")
    def _sections_agree(self) -> Self:
        for key, told in contradictions(self):
            raise _BelowError(key, told)
        return self


def _one_line(error: ValidationError, where: str) -> str:
    first = error.errors(include_url=False)[0]
    keys = [str(part) for part in first["loc"] if part not in (AS_NUMBER, AS_QUANTILE)]
    cause = first.get("ctx", {}).get("error")
    match first["type"]:
        case "extra_forbidden":
            told = "unknown key"
        case "missing":
            told = "missing"
        case _ if isinstance(cause, _BelowError):
            keys.append(cause.key)
            told = str(cause)
        case _:
            told = f"{first['msg'].removeprefix('Value error, ')} (it is {first['input']!r})"
    more = f" (and {error.error_count() - 1} more)" if error.error_count() > 1 else ""
    return f"{where}: {'.'.join(keys)}: {told}{more}"


def parse_params(content: Any, where: str = "params.yaml") -> Params:
    """The parameters in `content`, the parsed YAML. Raises ParamsError, one line that names the key."""
    if not isinstance(content, dict):
        raise ParamsError(f"{where}: must have one section a stage: {', '.join(STAGES)}")
    try:
        return Params.model_validate(content)
    except ValidationError as error:
        raise ParamsError(_one_line(error, where)) from None


def load_params(path: Path) -> Params:
    """The parameters in the YAML file at `path`. Raises ParamsError, one line that names the file and the key.

    Whatever params.yaml and the names of the categories decide is checked here, before any stage runs.
    """
    try:
        content = yaml.safe_load(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise ParamsError(f"{path}: cannot be read ({error.strerror}); copy one from presets/") from None
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise ParamsError(f"{path}: not YAML: {' '.join(str(error).split())}") from None
    params = parse_params(content, str(path))
    check_categories(params, str(path))
    return params


def parse_section(stage: str, content: str) -> Section:
    """One stage's section from its JSON, as the Snakefile passes it. Raises ParamsError."""
    kind: type[Section] = Params.model_fields[stage].annotation  # type: ignore[assignment]
    try:
        return kind.model_validate_json(content)
    except ValidationError as error:
        raise ParamsError(_one_line(error, stage)) from None
