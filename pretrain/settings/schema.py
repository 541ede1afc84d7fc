"""The settings of a pretraining run: a whole config file, and what its sections may not say together."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Annotated, Any

from pretrain.data.views import ViewSettings
from pretrain.errors import InputError
from pretrain.method.methods import METHODS, Method, ObjectiveSettings, compared_width, resolve_method
from pretrain.ranges import OneOf, check
from pretrain.settings.decode import decode
from pretrain.settings.sections import (
    BackboneSettings,
    DataSettings,
    MetaSettings,
    OptimizerSettings,
    RunSettings,
    ScheduleSettings,
)

ADAM_LR = {"mask": 0.05, "fusion": 1e-3}  # of m and ξ
# Decoupled (AdamW's): a logit whose gradient never changes its sign ends at 1 / decay = 2, where M is 0.88 and not
# saturated; and a common factor of M, which cancels in the heads' batch norms, goes back to where it began.
ADAM_DECAY = {"mask": 0.5, "fusion": 0.0}


@dataclass(frozen=True)
class Settings:
    """A whole config file: the method's name and one section each."""

    method: Annotated[str, OneOf(tuple(METHODS))] = "metamask_compmod"
    backbone: BackboneSettings = field(default_factory=BackboneSettings)
    objective: ObjectiveSettings = field(default_factory=ObjectiveSettings)
    meta: MetaSettings = field(default_factory=MetaSettings)
    optimizer: OptimizerSettings = field(default_factory=OptimizerSettings)
    schedule: ScheduleSettings = field(default_factory=ScheduleSettings)
    data: DataSettings = field(default_factory=DataSettings)
    views: ViewSettings = field(default_factory=ViewSettings)
    run: RunSettings = field(default_factory=RunSettings)

    def __post_init__(self) -> None:
        """Check what no section can check alone."""
        check(self)
        _check_accumulation(self)
        check_meta(self)

    def resolved_method(self) -> Method:
        """The method's row with the config's loss weights and base."""
        method = resolve_method(self.method, self.objective)
        return dataclasses.replace(method, base=self.meta.base or method.base) if method.base else method

    def upper_lr(self, variable: str) -> float:
        """The learning rate of m or ξ, ``mask`` or ``fusion``."""
        lr: float | None = getattr(self.meta, f"{variable}_lr")
        if lr is not None:
            return lr
        return ADAM_LR[variable] if self.meta.optimizer == "adam" else self.optimizer.lr

    def upper_decay(self, variable: str) -> float:
        """The weight decay of m or ξ, ``mask`` or ``fusion``."""
        if self.meta.weight_decay is not None:
            return self.meta.weight_decay
        return ADAM_DECAY[variable] if self.meta.optimizer == "adam" else self.optimizer.weight_decay


def _check_accumulation(settings: Settings) -> None:
    k, batch, method = settings.optimizer.accumulate, settings.data.batch, settings.resolved_method()
    if batch % k or batch // k < 2:
        raise InputError(
            f"optimizer.accumulate: expected a divisor of data.batch = {batch} that leaves at least 2 images, found {k}"
        )
    if k > 1 and method.base == "inline" and settings.meta.hypergradient != "single_level":
        raise InputError(
            f"optimizer.accumulate={k}: expected 1 with base=inline, whose trial step is the real step on one batch; "
            "use meta.base=post"
        )


def check_meta(settings: Settings) -> None:
    """Refuse combinations of the upper level that are wrong or leave nothing to learn.

    Raises:
        InputError: one line naming the settings.
    """
    method, meta = settings.resolved_method(), settings.meta
    _check_upper_rates(settings, method)
    if method.base is None or meta.hypergradient == "single_level":
        return
    if method.comp:
        _check_coding(settings)
    if meta.hypergradient == "first_order" and not method.mask and settings.objective.compactness == 0:
        raise InputError(
            "meta.hypergradient=first_order with objective.comp_weight=0: CompMod's network would get no gradient at "
            "all (it reaches U only through w⁺); use feature_difference or a comp_weight above 0"
        )
    _check_meta_precision(meta)
    if settings.optimizer.name != "sgd" and method.base == "inline" and meta.trial == "meta" and meta.trial_lr is None:
        raise InputError(
            f"meta.trial=meta with base=inline and optimizer.name={settings.optimizer.name}: expected the real step as "
            "trial step, or a meta.trial_lr for one of plain SGD; use meta.trial=lower"
        )


def _check_meta_precision(meta: MetaSettings) -> None:
    if meta.precision != "fp32" and meta.hypergradient == "finite_difference":
        raise InputError(
            f"meta.precision={meta.precision}: expected fp32 with meta.hypergradient=finite_difference (in 16 bits the "
            "difference is rounding noise), found the two together; use feature_difference or forward_mode"
        )


def _check_upper_rates(settings: Settings, method: Method) -> None:
    meta, name = settings.meta, settings.optimizer.name
    variables = {"mask": method.mask, "fusion": method.comp}
    unnamed = [f"meta.{k}_lr" for k, there in variables.items() if there and getattr(meta, f"{k}_lr") is None]
    if meta.optimizer == "sgd" and name != "sgd" and unnamed:
        raise InputError(
            f"{', '.join(unnamed)}: expected a number with meta.optimizer=sgd and optimizer.name={name} (the learning "
            f"rate of {name} does not fit SGD), found none; 0.03 is a start, or use meta.optimizer=adam"
        )


def _check_coding(settings: Settings) -> None:
    s, width = settings.objective, compared_width(settings.resolved_method(), settings.objective)
    smallest = 1 / min(settings.data.batch // settings.optimizer.accumulate, width)
    # Even embeddings spread over all dimensions have the top eigenvalue 1 / (ε_d² min(n, d)) of λ Ẑ Ẑᵀ.
    if s.coding_distortion <= smallest:
        raise InputError(
            f"objective.coding_distortion: expected more than 1 / min(batch, width) = {smallest:.3g}, where the coding "
            f"series stops converging even for perfectly spread embeddings, found {s.coding_distortion}; use "
            f"{max(0.06, 2 * smallest):.2g} or a larger batch"
        )


def load_settings(config: Mapping[str, Any]) -> Settings:
    """Settings from a config's plain values; every key must exist and every value be of its type.

    Raises:
        InputError: unknown key (with the nearest known one), wrong type, or a value out of range.
    """
    return decode(Settings, config)


def as_plain(settings: Any) -> Any:
    """Settings as dictionaries, lists, strings and numbers, for files."""
    return dataclasses.asdict(settings)
