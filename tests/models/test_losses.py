"""Known answers of the loss terms, and the laws of their sum (docs/method.md, Objective)."""

import math
from dataclasses import fields, replace

import pytest
import torch
import torch.nn.functional as F
from dialogues import CLASSES, make_batch, make_network

from models import losses
from models.objective import COMPUTE, terms_of, total
from models.passes import Options, References
from models.terms import TERMS, Weights, may_read_references
from models.views import Conflict
from pipeline.core.registries.networks import BESIDE
from pipeline.settings.objective import ObjectiveSettings

HALF = torch.tensor([[[0.0, 0.0]]])
SURE = torch.tensor([[[math.log(3.0), 0.0]]])  # probabilities 3/4, 1/4
ONE = torch.ones(1, 1, dtype=torch.bool)
NONE = torch.zeros(1, 1, dtype=torch.bool)


def test_task_known_answers():
    label = torch.tensor([[1]])
    assert losses.task(SURE, label, ONE).item() == pytest.approx(math.log(4))
    smoothed = 0.9 * math.log(4) + 0.1 * (math.log(4) + math.log(4 / 3)) / 2
    assert losses.task(SURE, label, ONE, smoothing=0.1).item() == pytest.approx(smoothed)
    logits, labels = SURE.expand(1, 2, 2), torch.tensor([[0, 1]])
    weighted = losses.task(logits, labels, torch.ones(1, 2, dtype=torch.bool), torch.tensor([1.0, 3.0]))
    assert weighted.item() == pytest.approx((math.log(4 / 3) + 3 * math.log(4)) / 4)


def test_huber_known_answers():
    guess = torch.tensor([[[0.5], [3.0]]])
    score, mask = torch.zeros(1, 2), torch.ones(1, 2, dtype=torch.bool)
    assert losses.task_regression(guess, score, mask).item() == pytest.approx((0.125 + 2.5) / 2)


@pytest.mark.parametrize("tau", [1.0, 2.0, 4.0])
def test_prediction_is_tau_squared_kl_from_the_teacher(tau):
    generator = torch.Generator().manual_seed(0)
    student, teacher = torch.randn(2, 3, 4, generator=generator), torch.randn(2, 3, 4, generator=generator)
    mask = torch.tensor([[True, True, False], [True, False, False]])
    expected = 0.0
    for b, n in mask.nonzero().tolist():
        p = (teacher[b, n] / tau).softmax(-1)
        q = (student[b, n] / tau).softmax(-1)
        expected += float((p * (p / q).log()).sum()) * tau**2 / 3
    assert losses.prediction(student, teacher, mask, tau).item() == pytest.approx(expected, rel=1e-5)
    assert losses.prediction(teacher, teacher, mask, tau).item() == pytest.approx(0.0, abs=1e-6)


def test_prediction_direction():
    """KL(T || S) with T = (3/4, 1/4), S = (1/2, 1/2)."""
    expected = 0.75 * math.log(1.5) + 0.25 * math.log(0.5)
    assert losses.prediction(HALF, SURE, ONE, 1.0).item() == pytest.approx(expected, rel=1e-5)


@pytest.mark.parametrize(
    ("kind", "expected"), [("cosine", 1 - 0.6), ("mse", (4 + 16) / 2), ("smooth_l1", (1.5 + 3.5) / 2)]
)
def test_distances(kind, expected):
    left, right = torch.tensor([[1.0, 0.0]]), torch.tensor([[3.0, 4.0]])
    assert losses.distance(left, right, kind).item() == pytest.approx(expected)
    assert losses.fused(left[None], right[None], ONE, kind).item() == pytest.approx(expected)


def test_an_unknown_distance_is_an_error():
    with pytest.raises(ValueError, match="cosine, mse, smooth_l1"):
        losses.distance(torch.ones(1, 2), torch.ones(1, 2), "euclid")


def test_modality_is_the_mean_over_modalities_and_not_over_slots():
    state = torch.zeros(1, 2, 3, 1)
    reference = torch.tensor([[[[1.0], [2.0], [3.0]], [[1.0], [9.0], [9.0]]]])
    mask = torch.tensor([[[True, True, False], [True, False, False]]])
    assert losses.modality(state, reference, mask, "mse").item() == pytest.approx((1.0 + 4.0) / 2)


def test_margin_known_answers():
    label, donor = torch.tensor([[0]]), torch.tensor([[1]])
    assert losses.margin(HALF, label, donor, ONE, 0.0).item() == pytest.approx(math.log(2))
    expected = math.log(1 + math.exp(math.log(1 / 3) + 0.5))
    assert losses.margin(SURE, label, donor, ONE, 0.5).item() == pytest.approx(expected)


def test_margin_regression_known_answers():
    guess = torch.tensor([[[0.5]]])
    near, far = torch.tensor([[0.0]]), torch.tensor([[2.0]])
    assert losses.margin_regression(guess, near, far, ONE, 0.25).item() == 0.0
    assert losses.margin_regression(guess, far, near, ONE, 0.25).item() == pytest.approx(1.5 + 0.25 - 0.5)


def test_reconstruction_counts_hidden_slots_alone():
    batch = make_batch((2,), rate=0.0)
    guess = {name: value + 2.0 for name, value in batch.features.items()}
    mask = torch.zeros_like(batch.available)
    mask[0, 0, 1] = True
    assert losses.reconstruction(guess, batch.features, mask).item() == pytest.approx(4.0)


def test_a_mask_that_names_nothing_gives_zero_with_a_gradient():
    logits = SURE.clone().requires_grad_()
    label, nan = torch.tensor([[0]]), torch.full((1, 1, 2), torch.nan)
    value = (
        losses.task(logits, label, NONE)
        + losses.prediction(logits, nan, NONE, 2.0)
        + losses.fused(logits, nan, NONE, "cosine")
        + losses.margin(logits, label, label, NONE, 0.0)
    )
    value.backward()
    assert value.item() == 0.0
    assert torch.equal(logits.grad, torch.zeros_like(logits))


def able(term: str) -> str:
    """A network that gives what a term needs."""
    return next((name for name, given in BESIDE.items() if TERMS[term].needs in given), "attention")


def made_inputs(regression: bool = False, name: str = "attention"):
    network = make_network(name=name, outputs=1 if regression else CLASSES)
    # well under way: past the half, where the last terms have begun and anchors do not yet adapt
    network.enter(0.6, {})
    batch = make_batch((4, 3), rate=0.1)
    hidden = batch.available.clone()
    hidden[:, ::2, 0] = False
    swapped = torch.zeros_like(batch.valid)
    swapped[:, 1] = True
    target = batch.score if regression else batch.label.float()
    donor = target - 4.0 * target.sign() if regression else (target + 1) % CLASSES
    conflict = Conflict(
        batch, swapped, swapped, torch.where(swapped, donor, torch.nan), torch.where(swapped, 2, -1)
    )
    teacher = make_network(seed=5, outputs=1 if regression else CLASSES)
    for value in teacher.parameters():
        value.requires_grad_(True)
    told = teacher(batch)
    # the chain of another network would tell beliefs
    beliefs = told.logits + 0.5 if regression else told.logits.roll(1, dims=-1)
    references = References(told.logits, told.fused, told.states, told.modality_logits, beliefs)
    return network, teacher, batch, batch.showing(hidden), conflict, references


ALL = Weights(
    complete=1.0,
    incomplete=1.1,
    auxiliary=0.2,
    prediction=0.9,
    fused=0.8,
    modality=0.7,
    nce_task=0.5,
    nce_margin=0.4,
    nce_reference=0.3,
)


@pytest.mark.parametrize("regression", [False, True])
def test_the_sum_is_the_weighted_sum_of_the_named_terms(regression):
    network, _, batch, incomplete, conflict, references = made_inputs(regression)
    terms = terms_of(network, batch, incomplete, conflict, references, ALL, Options(regression=regression))
    assert list(terms) == list(ALL.computed)
    expected = sum(ALL[name] * value.item() for name, value in terms.items())
    assert total(terms, ALL).item() == pytest.approx(expected, rel=1e-5)


@pytest.mark.parametrize("name", ALL.computed)
def test_a_term_of_weight_zero_vanishes_and_the_others_stay(name):
    network, _, batch, incomplete, conflict, references = made_inputs()
    full = terms_of(network, batch, incomplete, conflict, references, ALL, Options())
    less = terms_of(
        network, batch, incomplete, conflict, references, Weights(**{**ALL, name: 0.0}), Options()
    )
    assert set(full) - set(less) == {name}
    for other, value in less.items():
        assert value.item() == pytest.approx(full[other].item(), rel=1e-4, abs=1e-6)


def test_views_that_no_term_reads_are_not_computed(monkeypatch):
    network, _, batch, incomplete, conflict, references = made_inputs()
    seen = []
    forward = network.forward
    monkeypatch.setattr(network, "forward", lambda view: seen.append(len(view.valid)) or forward(view))
    terms_of(network, batch, incomplete, conflict, references, Weights(incomplete=1.0), Options())
    terms_of(network, batch, incomplete, conflict, references, ALL, Options())
    assert seen == [2, 6]


OF_SCORES = [name for name, term in TERMS.items() if not term.classes]


@pytest.mark.parametrize(
    ("name", "regression"), [*((name, False) for name in TERMS), *((name, True) for name in OF_SCORES)]
)
def test_every_term_reaches_the_student_and_none_the_teacher(name, regression):
    network, teacher, batch, incomplete, conflict, references = made_inputs(regression, able(name))
    assert all(getattr(references, field.name).requires_grad for field in fields(References))
    weights = Weights(**{name: 1.0})
    # a margin that no answer has yet met, so that the hinge pulls too
    options = Options(regression=regression, margin=3.0)
    terms = terms_of(network, batch, incomplete, conflict, references, weights, options)
    assert set(terms) == {name}
    total(terms, weights).backward()
    assert any(value.grad is not None and value.grad.abs().sum() > 0 for value in network.parameters())
    assert all(value.grad is None for value in teacher.parameters())


def test_distillation_acts_on_the_incomplete_view():
    network, _, batch, incomplete, conflict, references = made_inputs()
    weights = Weights(prediction=1.0, fused=1.0, modality=1.0, nce_reference=1.0)
    terms = terms_of(network, batch, incomplete, conflict, references, weights, Options())
    output = network(incomplete)
    expected = losses.fused(output.fused, references.fused, batch.valid, "cosine")
    assert terms["fused"].item() == pytest.approx(expected.item(), rel=1e-5)


def test_scope_observed_ignores_hidden_slots():
    network, _, batch, incomplete, _, references = made_inputs()
    weights = Weights(modality=1.0)
    other = replace(references, states=references.states.detach().clone())
    hidden = batch.valid[..., None] & ~incomplete.available
    other.states[hidden] = other.states[hidden].roll(1, dims=-1)

    def value(told: References, scope: str) -> float:
        return terms_of(network, batch, incomplete, None, told, weights, Options(scope=scope))[
            "modality"
        ].item()

    assert value(references, "observed") == value(other, "observed")
    assert value(references, "all") != value(other, "all")


def test_utterances_without_a_reference_give_no_gradient_of_nan():
    network, _, batch, incomplete, _, references = made_inputs()
    torn = References(*(getattr(references, field.name).detach().clone() for field in fields(References)))
    for field in fields(References):
        getattr(torn, field.name)[0, 1] = torch.nan
    weights = Weights(prediction=1.0, fused=1.0, modality=1.0)
    total(terms_of(network, batch, incomplete, None, torn, weights, Options()), weights).backward()
    assert all(torch.isfinite(v.grad).all() for v in network.parameters() if v.grad is not None)


def test_no_term_at_all_is_an_error():
    with pytest.raises(ValueError, match="no loss term"):
        total({}, Weights())


def test_task_counts_labelled_utterances_alone():
    network, _, batch, *_ = made_inputs()
    label = batch.label.clone()
    label[0, 0] = -1
    part = replace(batch, label=label)
    terms = terms_of(network, part, None, None, None, Weights(complete=1.0), Options())
    logits = network(part).logits
    expected = F.cross_entropy(logits[part.labelled], label[part.labelled])
    assert terms["complete"].item() == pytest.approx(expected.item())


def test_the_table_has_what_computes_each_term():
    assert COMPUTE.keys() == TERMS.keys()


def test_a_weight_is_the_product_of_its_keys():
    objective = ObjectiveSettings(nce=0.5, nce_margin=0.3, nce_reference=0.2, fused=0)
    assert objective.weights["nce_task"] == 0.5
    assert objective.weights["nce_margin"] == 0.5 * 0.3
    assert objective.weights.references == {"logits", "states"}
    with pytest.raises(ValueError, match="no loss terms: fuzed"):
        Weights(fuzed=1.0)


@pytest.mark.parametrize("name", TERMS)
def test_a_term_is_computed_on_the_view_and_from_the_references_of_its_row(name):
    """Without either there is no such term, whatever its weight."""
    network, _, batch, incomplete, conflict, references = made_inputs(name=able(name))
    term, weights = TERMS[name], Weights(**{name: 1.0})
    assert {view for view in ("complete", "incomplete", "conflict") if weights.sees(view)} == {term.view}
    views = {"incomplete": incomplete, "conflict": conflict}
    own = {view: given if view == term.view else None for view, given in views.items()}
    alone = terms_of(network, batch, *own.values(), references, weights, Options())
    assert set(alone) == {name}
    untold = terms_of(network, batch, *views.values(), None, weights, Options())
    assert set(untold) == (set() if term.references else {name})


def test_a_term_that_needs_more_than_the_network_says_is_refused():
    network, _, batch, incomplete, *_ = made_inputs()
    with pytest.raises(ValueError, match="guesses no features"):
        terms_of(network, batch, incomplete, None, None, Weights(reconstruction=1.0), Options())
    with pytest.raises(ValueError, match="reconstruction has a weight"):
        ObjectiveSettings(reconstruction=1.0, network="attention")


def test_a_search_reads_references_where_a_trial_may_need_them():
    none = ObjectiveSettings(prediction=0, fused=0, modality=0, nce=0, nce_reference=0.5)
    assert not may_read_references(none)
    assert not may_read_references(none, ["incomplete", "views.fixed_share"])
    assert may_read_references(none, ["prediction"])
    # the weight is a product: the factor that is 0 now is the one that is searched
    assert may_read_references(none, ["nce"])
    assert not may_read_references(none.model_copy(update={"nce_reference": 0}), ["nce"])


def weighed(trust: str, view, references, logits=None) -> float:
    network, _, batch, *_ = made_inputs()
    references = references if logits is None else replace(references, logits=logits)
    weights, options = Weights(prediction=1.0), Options(trust=trust, temperature=1.0)
    return terms_of(network, batch, view, None, references, weights, options)["prediction"].item()


def test_trust_follows_what_the_view_hides():
    """With an utterance wholly hidden, one shown whole, and one of which a part is hidden."""
    network, _, batch, _, _, references = made_inputs()
    shown = batch.available.clone()
    shown[0, 0] = False
    shown[0, 1, 0] = False
    view = batch.showing(shown)
    share = 1 - shown.sum(-1) / batch.available.sum(-1).clamp(min=1)
    share[batch.available.sum(-1) == 0] = 0.0
    student = network(view).logits.log_softmax(-1)
    told = references.logits.detach().log_softmax(-1)
    apart = (told.exp() * (told - student)).sum(-1)
    expected = (apart * share)[batch.valid].mean()
    assert weighed("hidden", view, references) == pytest.approx(expected.item(), rel=1e-4)
    assert weighed("hidden", batch, references) == 0.0


def test_trust_follows_how_sure_the_teacher_is():
    _, _, batch, view, _, references = made_inputs()
    unsure = torch.zeros_like(references.logits)
    assert weighed("sure", view, references, unsure) == pytest.approx(0.0, abs=1e-6)
    sure = 60 * F.one_hot(batch.label.clamp(min=0), CLASSES).float()
    for trust, plain in (("sure", "constant"), ("hidden_sure", "hidden")):
        assert weighed(trust, view, references, sure) == pytest.approx(weighed(plain, view, references, sure))


def test_a_teacher_that_has_seen_the_answer_is_not_asked_how_sure_it_is():
    with pytest.raises(ValueError, match="sure of what it was told"):
        ObjectiveSettings(trust="sure")
    assert ObjectiveSettings(trust="sure", references="cross_fitted").trust == "sure"


def test_evidence_is_compared_by_modality_where_it_is_shown():
    network, _, batch, view, _, references = made_inputs()
    weights, options = Weights(evidence=1.0), Options(temperature=1.0)
    other = replace(references, evidence=references.evidence.detach().clone())
    hidden = batch.valid[..., None] & ~view.available
    other.evidence[hidden] = other.evidence[hidden].roll(1, dims=-1)
    found = [
        terms_of(network, batch, view, None, told, weights, options)["evidence"].item()
        for told in (references, other)
    ]
    expected = [
        losses.prediction(
            network(view).modality_logits[:, :, index],
            references.evidence[:, :, index],
            view.available[..., index],
            1.0,
        )
        for index in range(3)
    ]
    assert found == [pytest.approx(torch.stack(expected).mean().item(), rel=1e-5)] * 2
