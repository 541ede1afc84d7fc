"""The objective against method.md's table: what is built, what each loss weighs, and exact reductions."""

from dataclasses import replace

import pytest
import torch

from pretrain.method.balance import gradient_norms
from pretrain.method.coding import coding_loss
from pretrain.method.dense import best_matches, dense_contrastive_loss
from pretrain.method.losses import barlow_twins_loss, byol_loss, nt_xent_loss
from pretrain.method.methods import FUSIONS, METHODS, resolve_method
from pretrain.method.objective import Objective
from tests.cases.bilevel_cases import SMALL

WIDTH, N = 8, 9


def build(name, seed=0, **changes):
    torch.manual_seed(seed)
    settings = replace(SMALL, **changes)
    return Objective(method=resolve_method(name, settings), width=WIDTH, settings=settings).double()


@pytest.fixture
def features():
    torch.manual_seed(5)
    return torch.randn(2, N, WIDTH).double(), torch.randn(2, N, 10).double()


@pytest.mark.parametrize(
    ("name", "parts"),
    [
        ("simclr", {"contrastive_head"}),
        ("barlow_twins", {"redundancy_head"}),
        ("byol", {"projector", "predictor"}),
        ("barlow_simclr", {"redundancy_head", "contrastive_head"}),
        ("metamask", {"redundancy_head", "contrastive_head", "mask"}),
        ("simclr_compmod", {"contrastive_head", "fusion"}),
        ("barlow_compmod", {"redundancy_head", "fusion"}),
        ("byol_compmod", {"projector", "predictor", "fusion"}),
        ("metamask_compmod", {"redundancy_head", "contrastive_head", "mask", "fusion"}),
        ("densecl", {"contrastive_head", "dense_head"}),
        ("densecl_compmod", {"contrastive_head", "dense_head", "fusion"}),
        ("metamask_densecl", {"redundancy_head", "contrastive_head", "dense_head", "mask"}),
    ],
)
def test_a_method_builds_its_parts_and_no_other(name, parts):
    assert {child for child, _ in build(name).named_children()} == parts | {"balance"}


def test_the_joint_lower_loss_is_the_formula(features):
    h, _ = features
    o = build("metamask_compmod", balance="none")
    masked = h * o.mask.weights()
    zb = [o.redundancy_head(v) for v in masked]
    zc = [o.contrastive_head(v) for v in masked]
    fused = o.fusion.layers(torch.cat([masked[0], masked[1]], dim=1))
    mcr = sum(coding_loss(fused, z, SMALL.coding_distortion, SMALL.coding_order) for z in zc)
    expected = barlow_twins_loss(*zb) + 10 * nt_xent_loss(*zc, SMALL.temperature) + SMALL.mcr_weight * mcr
    assert o("lower", h).item() == pytest.approx(expected.item(), rel=1e-12)
    trial = nt_xent_loss(*zc, SMALL.temperature) + SMALL.mcr_weight * mcr
    assert o("trial", h).item() == pytest.approx(trial.item(), rel=1e-12)
    comp = coding_loss(fused, fused, SMALL.coding_distortion, SMALL.coding_order)
    upper = nt_xent_loss(*zc, SMALL.temperature) + SMALL.comp_weight * comp
    assert o("upper", h, None, o.comp_input(h, {})).item() == pytest.approx(upper.item(), rel=1e-12)


def test_balanced_terms_are_shares_of_the_step(features):
    """Divided by the scales, weighed by w_k / Σ w: the gradients at h are as long as the weights say."""
    h = features[0].requires_grad_()
    o = build("metamask_compmod", redundancy=2.0, contrastive=1.0, mcr_weight=0.5)
    losses, _ = o.losses_and_embeddings(h)
    o.balance.update(gradient_norms(losses, h))
    parts = {k: o.balance.coefficients(o.weights)[k] * loss for k, loss in losses.items()}
    norms = {k: float(torch.autograd.grad(part, h, retain_graph=True)[0].norm()) for k, part in parts.items()}
    expected = {"redundancy": 2 / 3.5, "contrastive": 1 / 3.5, "mcr": 0.5 / 3.5}
    assert norms == pytest.approx(expected, rel=1e-6)
    assert {k: float(s) for k, s in o.balance.shares(o.weights).items()} == pytest.approx(expected, rel=1e-6)
    assert o.lower(losses).item() == pytest.approx(sum(part.item() for part in parts.values()), rel=1e-12)


@pytest.mark.parametrize("name", ["simclr", "barlow_twins"])
def test_a_single_loss_is_divided_by_its_scale_alone(features, name):
    h = features[0].requires_grad_()
    o = build(name)
    losses, _ = o.losses_and_embeddings(h)
    ((loss, value),) = losses.items()
    o.balance.update({loss: torch.tensor(4.0)})
    assert o.lower(losses).item() == pytest.approx(value.item() / 4, rel=1e-6)


def test_byol_compares_each_view_with_the_targets_other_view(features):
    h, targets = features
    o = build("byol")
    p = [o.predictor(o.projector(v)) for v in h]
    expected = byol_loss(p[0], targets[1]) + byol_loss(p[1], targets[0])
    assert o("lower", h, targets).item() == pytest.approx(expected.item(), rel=1e-12)


@pytest.fixture
def maps():
    torch.manual_seed(6)
    return torch.randn(2, N, WIDTH, 3, 3).double()


def test_the_dense_loss_reads_masked_cells_matched_by_the_unmasked_ones(maps):
    o = build("metamask_densecl")
    with torch.no_grad():
        o.mask.logits.normal_(std=3)
    cells = maps.flatten(3).transpose(2, 3)
    z = [o.dense_head((view * o.mask.weights()).flatten(0, 1)).unflatten(0, (N, 9)) for view in cells]
    matches = best_matches(*cells)
    assert not torch.equal(matches[0], best_matches(*(cells * o.mask.weights()))[0])
    expected = dense_contrastive_loss(*z, *matches, SMALL.dense_temperature)
    losses, embeddings = o.losses_and_embeddings(maps)
    assert losses["dense"].item() == pytest.approx(expected.item(), rel=1e-12)
    assert embeddings["dense"].shape == (2, N, 9, 10)


def test_losses_of_pooled_features_read_the_means_of_the_maps(maps):
    o = build("densecl_compmod")
    losses, _ = o.losses_and_embeddings(maps)
    pooled, _ = o.losses_and_embeddings(maps.mean(dim=(3, 4)), only=("contrastive",))
    assert losses["contrastive"].item() == pytest.approx(pooled["contrastive"].item(), rel=1e-12)
    assert losses["mcr"].item() == pytest.approx(pooled["mcr"].item(), rel=1e-12)
    assert o.comp_input(maps, {}).shape == (2, N, WIDTH)


@pytest.mark.parametrize(("name", "factor"), [("densecl", 1), ("densecl_compmod", 1), ("metamask_densecl", 10)])
def test_densecl_halves_the_contrastive_loss_in_the_plain_sum(maps, name, factor):
    o = build(name, balance="none", mcr_weight=0.0, redundancy=None)
    losses, _ = o.losses_and_embeddings(maps)
    contrastive = (losses["contrastive"] + losses["dense"]) / 2
    rest = losses.get("redundancy", torch.zeros(()))
    assert o.lower(losses).item() == pytest.approx((factor * contrastive + rest).item(), rel=1e-12)
    assert o.upper(losses).item() == pytest.approx(contrastive.item(), rel=1e-12)


def test_shares_with_a_dense_loss_are_those_at_the_maps(maps):
    """There a pooled loss's gradient is the same in every cell and shorter by the root of their number."""
    h = maps.requires_grad_()
    o = build("densecl", contrastive=1.0, dense=3.0)
    losses, _ = o.losses_and_embeddings(h)
    norms = gradient_norms(losses, h)
    leaf = maps.detach().mean(dim=(3, 4)).requires_grad_()
    at_h = gradient_norms(o.losses_and_embeddings(leaf, only=("contrastive",))[0], leaf)
    assert float(norms["contrastive"]) == pytest.approx(float(at_h["contrastive"]) / 3, rel=1e-12)
    o.balance.update(norms)
    assert {k: float(s) for k, s in o.balance.shares(o.weights).items()} == pytest.approx(
        {"contrastive": 0.25, "dense": 0.75}, rel=1e-6
    )


def test_comp_loss_sends_no_gradient_into_mask_or_features(features):
    h = features[0].requires_grad_()
    o = build("metamask_compmod")
    o.comp_loss(o.comp_input(h, {})).backward()
    assert h.grad is None
    assert o.mask.logits.grad is None
    assert all(p.grad is not None for p in o.fusion.parameters())


@pytest.mark.parametrize(("detach", "reaches"), [(False, True), (True, False)])
def test_comp_detach_cuts_the_path_through_the_fusion(features, detach, reaches):
    h = features[0].requires_grad_()
    o = build("simclr_compmod", comp_detach=detach)
    fused = o.losses_and_embeddings(h)[1]["mcr"]
    gradient = torch.autograd.grad(fused.sum(), h, allow_unused=True)[0]
    assert (gradient is not None) is reaches


@pytest.mark.parametrize(("comp_input", "sees_mask"), [("masked", True), ("raw", False)])
def test_comp_input_chooses_masked_or_raw_features(features, comp_input, sees_mask):
    h, _ = features
    o = build("metamask_compmod", comp_input=comp_input)
    assert torch.equal(o.comp_input(h, {}), h * 0.5) is sees_mask


def test_compmods_network_reads_what_its_fusion_says(features):
    """Table 7: both views' features or embeddings side by side, or one mixture of the features."""
    h, _ = features
    masked, layers = {}, {}
    for fusion in FUSIONS:
        o = build("metamask_compmod", comp_fusion=fusion, comp_mix=0.3)
        _, e = o.losses_and_embeddings(h)
        masked[fusion], layers[fusion] = (h * o.mask.weights(), e["contrastive"], e["mcr"]), o.fusion.layers
    (m, _, fused), read = masked["concat_h"], layers["concat_h"]
    assert torch.allclose(fused, read(torch.cat([m[0], m[1]], dim=1)))
    (_, z, fused), read = masked["concat_z"], layers["concat_z"]
    assert torch.allclose(fused, read(torch.cat([z[0], z[1]], dim=1)))
    (m, _, fused), read = masked["mixup_h"], layers["mixup_h"]
    assert torch.allclose(fused, read(0.3 * m[0] + 0.7 * m[1]))
    widths = {fusion: (layer[0].in_features, layer[-1].out_features) for fusion, layer in layers.items()}
    assert widths == {"concat_h": (2 * WIDTH, 10), "concat_z": (20, 10), "mixup_h": (WIDTH, 10)}


@pytest.mark.parametrize(("full", "reduced"), [("metamask_compmod", "metamask"), ("simclr_compmod", "simclr")])
def test_compmod_draws_no_random_number_that_others_would_get(full, reduced):
    torch.manual_seed(0)
    a = Objective(method=METHODS[full], width=WIDTH, settings=SMALL)
    after_a = torch.rand(1)
    torch.manual_seed(0)
    b = Objective(method=METHODS[reduced], width=WIDTH, settings=SMALL)
    after_b = torch.rand(1)
    assert torch.equal(after_a, after_b)
    assert all(torch.equal(a.state_dict()[k], v) for k, v in b.state_dict().items())
