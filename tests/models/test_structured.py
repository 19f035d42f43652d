"""What the structured network promises beyond the laws of every network."""

import pytest
import torch
from dialogues import CLASSES, DIMENSIONS, make_batch, make_network

from models.chain import last_own, score_posterior
from models.modalities import MODALITIES
from models.networks import structured
from pipeline.settings.network import NetworkSettings
from pipeline.training.networks import build


def network_of(seed: int = 0, **changes):
    return make_network(seed, name="structured", **changes)


@pytest.mark.parametrize("chain", ["own", "pairs"])
def test_the_answer_is_a_distribution_over_the_labels(chain):
    batch = make_batch((5, 3))
    logits = network_of(structured={"chain": chain})(batch).logits
    assert torch.allclose(logits.exp().sum(dim=-1)[batch.valid], torch.ones(8), atol=1e-5)


def test_a_modality_that_the_dialogue_never_shows_says_exactly_nothing():
    batch = make_batch((5, 3), rate=0.0)
    shown = torch.ones_like(batch.available)
    shown[0, :, 1] = False
    evidence = network_of()(batch.showing(shown)).modality_logits
    assert (evidence[0, :, 1] == 0).all()
    assert (evidence[1, :3, 1] != 0).any()


def test_an_absent_slot_has_no_evidence_of_its_own_and_its_neighbours_may_speak_for_it():
    batch = make_batch((4,), rate=0.0)
    network = network_of()
    for name in MODALITIES:
        torch.nn.init.zeros_(network.modalities[name].evidence.weight)
    shown = torch.ones_like(batch.available)
    shown[0, 2] = False
    evidence = network(batch.showing(shown)).modality_logits
    assert (evidence[0, 2] == 0).all() and (evidence[0, [0, 1, 3]] != 0).any()


def test_the_chain_begins_from_training_counts():
    batch = make_batch((6, 6, 6), seed=3)
    network = network_of()
    network.begin([batch])
    counts = torch.ones(CLASSES, CLASSES)
    place = last_own(batch.speaker, batch.valid)
    for dialogue in range(3):
        for position in range(6):
            earlier = int(place[dialogue, position])
            if earlier >= 0:
                counts[batch.label[dialogue, earlier], batch.label[dialogue, position]] += 1
    shares = (counts / counts.sum(dim=1, keepdim=True)).log()
    assert torch.allclose(network.own.view(CLASSES, CLASSES), shares, atol=1e-6)


def test_with_nothing_to_read_and_no_residual_the_chain_alone_answers():
    batch = make_batch((1,), rate=1.0)
    network = network_of()
    network.begin([make_batch((6, 6), seed=1)])
    torch.nn.init.zeros_(network.residual.weight)
    torch.nn.init.zeros_(network.residual.bias)
    assert torch.allclose(network(batch).logits[0, 0], network.start.log_softmax(dim=0), atol=1e-6)


def test_scores_begin_at_the_training_mean_and_follow_what_is_shown():
    batch = make_batch((5, 4), rate=0.0)
    network = network_of(outputs=1)
    network.begin([batch])
    mean = batch.score[batch.scored].mean()
    assert torch.allclose(network.centre, mean)
    nothing = network(batch.showing(torch.zeros_like(batch.available))).logits[batch.valid]
    assert torch.isfinite(nothing).all()
    assert not torch.allclose(network(batch).logits[batch.valid], nothing)


@pytest.mark.parametrize("chain", ["own", "pairs"])
def test_a_belief_is_the_answer_without_the_utterance_s_own_evidence(chain):
    """Leaving an utterance unheard by the chain, all else as it was, gives what the chain believes of it."""
    batch, network = make_batch((5, 3), rate=0.0), network_of(structured={"chain": chain})
    output, heard = network(batch), {}
    labels = network._labels
    network._labels = lambda unary, batch: heard.update(unary=unary) or labels(unary, batch)
    network(batch)
    silent = heard["unary"].clone()
    silent[0, 2] = 0.0
    answer, _ = labels(silent, batch)
    assert torch.allclose(output.beliefs[0, 2], answer[0, 2], atol=1e-5)
    assert not torch.allclose(output.beliefs[0, 2], output.logits[0, 2], atol=1e-3)


def test_a_belief_of_a_score_is_the_answer_without_its_own_evidence():
    batch, network = make_batch((5, 3), rate=0.0), network_of(outputs=1)
    beliefs = network(batch).beliefs

    def unheard(mean, given, *rest):
        given = given.clone()
        given[0, 2] = 0.0
        return score_posterior(mean, given, *rest)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(structured, "score_posterior", unheard)
        answer = network(batch).logits
    assert torch.allclose(beliefs[0, 2], answer[0, 2], atol=1e-4)


@pytest.mark.parametrize("through", ["lstm", "attention"])
@pytest.mark.parametrize("evidence", [True, False])
def test_its_forms_keep_the_laws(through, evidence):
    """What absent slots hold, padding, the other dialogues and the numbers of the speakers change nothing."""
    network = network_of(structured={"through": through, "evidence": evidence, "chain": "pairs"})
    batch = make_batch((5, 3), rate=0.4, seed=2)
    output = network(batch)
    features = {
        name: torch.where(batch.available[..., index, None], batch.features[name], torch.nan)
        for index, name in enumerate(MODALITIES)
    }
    assert torch.equal(output.logits, network(batch.with_features(features, batch.available)).logits)
    short = batch.take(torch.tensor([1]))
    alone = network(short).logits[0, :3]
    assert torch.allclose(alone, output.logits[1, :3], atol=1e-5)
    nothing = network(batch.showing(torch.zeros_like(batch.available)))
    assert torch.isfinite(nothing.logits).all() and torch.isfinite(nothing.beliefs).all()


def test_evidence_that_is_not_summed_is_still_told():
    """The auxiliary term trains it, and CSA may compare it."""
    batch = make_batch((5, 3), rate=0.0)
    with_, without = (network_of(structured={"evidence": summed}) for summed in (True, False))
    without.load_state_dict(with_.state_dict())
    assert torch.equal(with_(batch).modality_logits, without(batch).modality_logits)
    assert not torch.allclose(with_(batch).logits, without(batch).logits)


def test_a_modality_begins_by_saying_nothing():
    network = build("structured", DIMENSIONS, CLASSES, NetworkSettings(hidden=16).keys_of("structured"))
    assert (network.eval()(make_batch((4,))).modality_logits == 0).all()
