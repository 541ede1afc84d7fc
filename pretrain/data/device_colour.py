"""The colour work of `pretrain.data.colour` on a whole batch in float32, on whatever device the batch is.

An image's result depends on its own pixels and its own draws alone, to the bit: every sum runs over one image, in an
order that neither the batch nor the threads change. A convolution would not promise that, nor float32 (TF32).
"""

from __future__ import annotations

from collections.abc import Callable

import torch
import torch.nn.functional as F
from torch import Tensor

from pretrain.data.colour import LUMA, ROUNDS, Operation, largest_radius


@torch.no_grad()
def coloured(views: Tensor, rows: Tensor) -> Tensor:
    """Jitter, grey, blur and solarisation as they were drawn for each view.

    Clamped to 0-255 after each operation, never rounded.

    Args:
        views: (2, N, 3, size, size) uint8, RGB.
        rows: (2, N, 12) float64 of `pretrain.data.colour.Colour.row`; from the CPU nothing waits for the device.

    Returns:
        (2, N, 3, size, size) float32 in 0-255 with the channels last in memory, on the device of ``views``.
    """
    rows = rows.cpu().flatten(0, 1)
    # Planes of one channel: all that follows reads them in a row.
    pixels = views.flatten(0, 1).to(torch.float32, memory_format=torch.contiguous_format)
    for operation, amount in zip(rows[:, :ROUNDS].T, rows[:, ROUNDS : 2 * ROUNDS].T, strict=True):
        _blend_(pixels, operation, amount)
        _of_some_(pixels, operation == Operation.HUE, _hue_shifted, amount)
    sigma, solarise = rows[:, 2 * ROUNDS :].T
    _of_some_(pixels, sigma >= 0, _blurred, sigma)
    _of_some_(pixels, solarise > 0, _solarised, solarise)
    return pixels.contiguous(memory_format=torch.channels_last).unflatten(0, views.shape[:2])


def _of_some_(pixels: Tensor, chosen: Tensor, change: Callable[[Tensor, Tensor], Tensor], amounts: Tensor) -> None:
    """Change in place the images for which ``chosen`` is true, each by its amount."""
    if chosen.any():
        where = _on(chosen.nonzero().squeeze(1), pixels.device)
        pixels.index_copy_(0, where, change(pixels.index_select(0, where), amounts[chosen]))


def _blend_(pixels: Tensor, operation: Tensor, amount: Tensor) -> None:
    """Every operation but HUE, in place: ``amount * pixels`` plus the rest of black, the mean luma or the luma."""
    of_grey = (operation == Operation.SATURATION) | (operation == Operation.GREY)
    of_mean = operation == Operation.CONTRAST
    blended = of_grey | of_mean | (operation == Operation.BRIGHTNESS)
    if not blended.any():
        return
    # An image that is not meant keeps its pixels exactly: once itself plus zero times what is finite.
    factor = _column(torch.where(blended, amount, 1), pixels.device)
    grey_share = _column(torch.where(of_grey, 1 - amount, 0), pixels.device)
    mean_share = _column(torch.where(of_mean, 1 - amount, 0), pixels.device)
    luma = _luma(pixels)
    mean = luma.mean(dim=3, keepdim=True).mean(dim=2, keepdim=True)
    pixels.mul_(factor).add_(luma.mul_(grey_share).add_(mean * mean_share)).clamp_(0, 255)


def _luma(pixels: Tensor) -> Tensor:
    # Products and sums apart: what fuses them rounds differently at the ends of a vector register.
    red, green, blue = (pixels[:, k : k + 1] * LUMA[k] for k in range(3))
    return red.add_(green).add_(blue)


def _hue_shifted(pixels: Tensor, turns: Tensor) -> Tensor:
    """The colour wheel turned, saturation and value (the largest channel) kept; stays within 0-255 by itself."""
    red, green, blue = pixels.split(1, dim=1)
    value = pixels.amax(dim=1, keepdim=True)
    chroma = value - pixels.amin(dim=1, keepdim=True)
    safe = torch.where(chroma > 0, chroma, 1)  # greys have no hue and need none
    rest = torch.where(value == green, (blue - red) / safe + 2, (red - green) / safe + 4)
    sixths = torch.where(value == red, (green - blue) / safe, rest) + _column(6 * turns, pixels.device)
    # HSV to RGB without cases: a channel is lower than the value by the chroma times a trapezium of the hue.
    shifts = _on(torch.tensor([5.0, 3.0, 1.0]).view(1, 3, 1, 1), pixels.device)
    lower = (2 - ((sixths + shifts).remainder_(6) - 2).abs_()).clamp_(0, 1)
    return value - chroma * lower


def _blurred(pixels: Tensor, sigma: Tensor) -> Tensor:
    """Gaussian blur, one sigma per image, mirrored at the border without repeating it, as OpenCV does."""
    kernel = _on(_half_kernels(sigma, largest_radius(pixels.shape[-1])).float(), pixels.device)
    return _weighted(_weighted(pixels, kernel, dim=3), kernel, dim=2).clamp_(0, 255)


def _solarised(pixels: Tensor, _: Tensor) -> Tensor:
    return torch.minimum(pixels, 255 - pixels)


def _half_kernels(sigma: Tensor, largest: int) -> Tensor:
    """Weights of the pixel itself and of its neighbours to one side, (N, 1 + R); 0 beyond the image's own radius."""
    radius = (3 * sigma).round().clamp(1, largest)[:, None]
    distance = torch.arange(int(radius.max()) + 1, dtype=sigma.dtype)
    # Below a thousandth of a pixel there are no neighbours either; it keeps 0 from dividing 0.
    weights = torch.exp(-0.5 * (distance / sigma.clamp_min(1e-3)[:, None]) ** 2) * (distance <= radius)
    return weights / (2 * weights.sum(dim=1, keepdim=True) - weights[:, :1])


def _weighted(pixels: Tensor, kernel: Tensor, dim: int) -> Tensor:
    """Sums along one side of the images with the two-sided kernels that `_half_kernels` gives one side of."""
    reach, size = kernel.shape[1] - 1, pixels.shape[dim]
    padded = F.pad(pixels, (reach, reach, 0, 0) if dim == 3 else (0, 0, reach, reach), mode="reflect")
    weights = kernel.view(len(kernel), -1, 1, 1, 1)
    total, both = pixels * weights[:, 0], torch.empty_like(pixels)
    for distance in range(1, reach + 1):
        torch.add(padded.narrow(dim, reach - distance, size), padded.narrow(dim, reach + distance, size), out=both)
        total.add_(both.mul_(weights[:, distance]))
    return total


def _column(values: Tensor, device: torch.device) -> Tensor:
    """One number per image, (N, 1, 1, 1) float32."""
    return _on(values.float().view(-1, 1, 1, 1), device)


def _on(values: Tensor, device: torch.device) -> Tensor:
    return values.to(device, non_blocking=True)
