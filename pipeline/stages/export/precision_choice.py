"""Which precisions are within the limits, and which one becomes generator.onnx."""

import hashlib
from collections.abc import Mapping

from pipeline.inference.onnx_generator import Variant, variant_name
from pipeline.stages.export.params import ExportParams
from pipeline.stages.export.parity import FD_DIGITS, Parity, rounded_up

EXACT = "fp32"


def within_limits(parity: Parity, exact: Parity, params: ExportParams) -> bool:
    """Whether the differences of a precision from `exact` are within the limits of `params`."""
    change = abs(parity.fd_classifier - exact.fd_classifier)
    return parity.mean_difference <= params.max_mean_difference and change <= params.max_fd_change


def chosen_precision(parities: Mapping[str, Parity], params: ExportParams) -> str:
    """The first of `params.precisions` within the limits; fp32 always is.

    Speed plays no part: a busy machine must export the same model as an idle one.
    """
    exact = parities[EXACT]
    candidates = (name for name in params.precisions if name in parities)
    return next(name for name in candidates if name == EXACT or within_limits(parities[name], exact, params))


def variants_of(
    models: Mapping[str, bytes], parities: Mapping[str, Parity], chosen: str, params: ExportParams
) -> list[Variant]:
    """The card's entry of each of the `models`, in the order of `params.precisions`."""
    exact = parities[EXACT]
    return [
        Variant(
            precision=name,
            file=variant_name(name, chosen),
            bytes=len(models[name]),
            sha256=hashlib.sha256(models[name]).hexdigest(),
            max_difference=rounded_up(parities[name].max_difference),
            mean_difference=rounded_up(parities[name].mean_difference),
            fd_classifier=parities[name].fd_classifier,
            fd_change=round(parities[name].fd_classifier - exact.fd_classifier, FD_DIGITS),
            within_limits=name == EXACT or within_limits(parities[name], exact, params),
        )
        for name in params.precisions
        if name in models
    ]
