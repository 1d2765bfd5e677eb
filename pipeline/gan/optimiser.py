"""Adam with loss scaling, for one network."""

import torch
from torch import Tensor, nn

MIN_SCALE = 1.0  # at this loss scale or below, a gradient that is not finite has diverged rather than overflowed
SCALER_STATE = ("scale", "_growth_tracker")  # the entries of GradScaler.state_dict() that change


class ScaledAdam:
    """Adam on one network; with `scaled`, losses are multiplied by a dynamic factor so that fp16 holds their gradients.

    Micikevicius et al. 2018, section 3.2. Each network has its own factor: an overflow in one says nothing about the other.
    """

    def __init__(
        self, network: nn.Module, rate: float, betas: tuple[float, float], device: torch.device, *, scaled: bool
    ) -> None:
        self.network, self._rate, self._device = network, rate, device
        self.adam = torch.optim.Adam(network.parameters(), rate, betas, fused=True)
        self.scaler = torch.amp.GradScaler(device.type, enabled=scaled)

    @property
    def rate(self) -> float:
        """The current learning rate."""
        return float(self.adam.param_groups[0]["lr"])

    def scale_rate(self, factor: float) -> None:
        """Set the learning rate to `factor` times the full one."""
        for group in self.adam.param_groups:
            group["lr"] = self._rate * factor

    @property
    def gradients(self) -> list[Tensor]:
        """The gradients that `backward` left behind."""
        return [parameter.grad for parameter in self.network.parameters() if parameter.grad is not None]

    def zero_grad(self) -> None:
        """Discard all gradients."""
        self.adam.zero_grad()

    def backward(self, loss: Tensor) -> None:
        """Accumulate the scaled gradients of `loss`."""
        self.scaler.scale(loss).backward()

    def step(self) -> Tensor:
        """Unscale the gradients and update the network, unless they overflowed; their norm, a scalar."""
        self.scaler.unscale_(self.adam)
        norm = torch.nn.utils.get_total_norm(self.gradients)
        self.scaler.step(self.adam)
        norm = self.mask_overflow(norm)
        self.scaler.update()
        return norm

    def loss_scale(self, images: int = 1) -> Tensor | float:
        """The factor on the loss, 1 without scaling; for a loss summed over `images`, divided by their number."""
        if not self.scaler.is_enabled():
            return 1.0
        return self.scaler.scale(torch.ones((), device=self._device)) / images

    def mask_overflow(self, values: Tensor) -> Tensor:
        """`values` with 0 in place of what only loss scaling made infinite or NaN: such a step is skipped, not diverged."""
        if not self.scaler.is_enabled():
            return values
        return values.where(values.isfinite() | (self.loss_scale() <= MIN_SCALE), 0.0)

    def moments(self) -> dict[str, Tensor]:
        """Adam's moments as flat entries, which `restore_moments` reads back."""
        moments = self.adam.state_dict()["state"]
        return {f"{index}.{key}": tensor for index, entries in moments.items() for key, tensor in entries.items()}

    def restore_moments(self, state: dict[str, Tensor]) -> None:
        """Continue from the result of `moments`."""
        moments: dict[int, dict[str, Tensor]] = {}
        for name, tensor in state.items():
            index, key = name.split(".")
            moments.setdefault(int(index), {})[key] = tensor
        self.adam.load_state_dict({"state": moments, "param_groups": self.adam.state_dict()["param_groups"]})

    def scaler_state(self) -> Tensor:
        """Loss scale and steps since it last changed, float64 (2,)."""
        state = self.scaler.state_dict()
        return torch.tensor([state[key] for key in SCALER_STATE], dtype=torch.float64)

    def restore_scaler(self, state: Tensor) -> None:
        """Continue from the result of `scaler_state`."""
        scale, steps = state.tolist()
        self.scaler.load_state_dict(self.scaler.state_dict() | dict(zip(SCALER_STATE, (scale, int(steps)), strict=True)))
