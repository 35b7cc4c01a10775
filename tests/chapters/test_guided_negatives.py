"""Method cells of the chapter guided-negatives against loops, libraries and limiting cases."""

import math

import numpy as np
import pytest
import torch
from scipy.stats import spearmanr
from sklearn.decomposition import PCA
from sklearn.discriminant_analysis import LinearDiscriminantAnalysis
from sklearn.metrics import average_precision_score

from press import method_cells
from unlabeled.runtime import InputError

m = method_cells("guided-negatives")


def vectors(seed, *shape):
    x = np.random.default_rng(seed).standard_normal(shape)
    return torch.tensor(x / np.linalg.norm(x, axis=-1, keepdims=True))


def cosine(a, b):
    return float(sum(x * y for x, y in zip(a, b)) / math.sqrt(sum(a * a) * sum(b * b)))


def published_loss(q, p, guide_q, guide_p, tau):
    """The paper's formula, text by text: strike out what the guide finds nearer than the pair."""
    total = 0.0
    for i in range(len(q)):
        threshold = cosine(guide_q[i], guide_p[i])
        below = 0.0
        for j in range(len(q)):
            if cosine(guide_q[i], guide_p[j]) <= threshold + 1e-12:
                below += math.exp(cosine(q[i], p[j]) / tau)
            if j != i and cosine(guide_q[i], guide_q[j]) <= threshold:
                below += math.exp(cosine(q[i], q[j]) / tau)
            if j != i and cosine(guide_p[i], guide_p[j]) <= threshold:
                below += math.exp(cosine(p[i], p[j]) / tau)
        total -= math.log(math.exp(cosine(q[i], p[i]) / tau) / below)
    return total / len(q)


@pytest.mark.parametrize("tau", [0.01, 0.15, 1.0])
def test_the_loss_is_the_published_one(tau):
    q, p, guide_q, guide_p = vectors(0, 4, 9, 5)
    guide_p = guide_p + guide_q  # pairs that the guide finds alike, most of the time
    guide_p = guide_p / guide_p.norm(dim=-1, keepdim=True)
    keep = m.guided(m.blocks(guide_q, guide_p))
    ours = m.contrastive(m.blocks(q, p)[None], keep, tau).item()
    assert ours == pytest.approx(published_loss(q, p, guide_q, guide_p, tau), rel=1e-9)
    assert 9 < keep.sum() < m.candidates(9).sum()


def test_members_of_a_stack_add_up():
    sigma = m.blocks(vectors(1, 3, 6, 4), vectors(2, 3, 6, 4))
    keep = m.guided(m.blocks(vectors(3, 3, 6, 4), vectors(4, 3, 6, 4)))
    alone = sum(m.contrastive(s[None], k[None], 0.2) for s, k in zip(sigma, keep))
    assert m.contrastive(sigma, keep, 0.2).item() == pytest.approx(alone.item())
    far = m.debiased(sigma, 0.2, share=0.1)
    assert far.item() == pytest.approx(
        sum(m.debiased(s[None], 0.2, share=0.1).item() for s in sigma)
    )


def test_ties_and_the_text_itself():
    """Partner and ties stay; a text beside itself goes, also when query and partner are equal."""
    q = vectors(5, 6, 4)
    q[3] = q[2]
    gamma = m.blocks(q, q).round(decimals=9)  # thresholds are 1 up to rounding
    keep = m.guided(gamma)
    assert m.own(keep).all() and keep[2, 0, 3] and keep[2, 1, 3]
    assert not keep[:, 1].diagonal().any() and not keep[:, 2].diagonal().any()
    assert (m.guided(torch.zeros(6, 3, 6)) == m.candidates(6)).all()


def test_a_batch_of_one_teaches_nothing():
    sigma = torch.rand(1, 1, 3, 1, requires_grad=True)
    loss = m.contrastive(sigma, m.guided(sigma), 0.1)
    loss.backward()
    assert loss.item() == 0 and (sigma.grad == 0).all()


def test_as_many_are_struck_out_and_the_highest():
    gamma, scores = m.blocks(*vectors(6, 2, 12, 3)), m.blocks(*vectors(7, 2, 12, 5))
    keep = m.guided(gamma)
    mask = m.strike((m.candidates(12) & ~keep).sum(-1, keepdim=True), scores)
    assert (mask.sum(-1) == keep.sum(-1)).all() and m.own(mask).all()
    for i in range(12):
        for block in range(3):
            out = m.candidates(12)[i, block] & ~mask[i, block]
            left = mask[i, block].clone()
            left[i] = False
            if out.any() and left.any():
                assert scores[i, block][out].min() > scores[i, block][left].max()


def test_debiased_without_false_negatives_is_the_plain_loss():
    sigma = m.blocks(*vectors(8, 2, 7, 4))[None]
    plain = m.contrastive(sigma, m.candidates(7), 0.3)
    assert m.debiased(sigma, 0.3, share=0.0).item() == pytest.approx(plain.item())
    # with negatives as near as the partner the floor e^(-1/tau) remains, by hand
    flat = torch.full((1, 7, 3, 7), 0.5)
    lowest = math.log(1 + 18 * max(1.0, math.exp(-1 / 0.3 - 0.5 / 0.3)))
    assert m.debiased(flat, 0.3, share=0.2).item() == pytest.approx(lowest)


def test_the_rules_by_hand():
    sigma, gamma = m.blocks(vectors(9, 2, 8, 4), vectors(10, 2, 8, 4)), None
    kinds = torch.tensor([[0, 0, 1, 1, 2, 2, 3, 3]] * 2)
    same = kinds[:, :, None] == kinds[:, None]
    everything = m.arm_loss(("all", None, 0.2), sigma, gamma, same, None)
    truth = m.arm_loss(("truth", None, 0.2), sigma, gamma, same, None)
    # striking out by hand: the other text of a kind in qp, and both of them in qq and pp
    z = (sigma / 0.2).exp().clone()
    for i in range(8):
        z[:, i, :, i ^ 1] = 0
        z[:, i, 1:, i] = 0
    by_hand = (z.sum((-1, -2)).log() - m.own(sigma) / 0.2).mean(-1).sum()
    assert truth.item() == pytest.approx(by_hand.item()) and truth < everything
    two = m.strike(torch.full((2, 8, 3, 1), 2), sigma)
    assert (two.sum(-1) == m.candidates(8).sum(-1) - 2).all()
    hardest = m.arm_loss(("two hardest", None, 0.2), sigma, gamma, same, None)
    assert hardest.item() == pytest.approx(m.contrastive(sigma, two, 0.2).item())
    assert m.arm_loss(("regression", "g", 1), sigma, sigma, same, None) == 0
    for arm, words in ((("al", None, 0.2), "no rule"), (("all", None, 0), "above 0")):
        with pytest.raises(InputError, match=words):
            m.arm_loss(arm, sigma, gamma, same, None)


def test_the_word_tables_span_what_scikit_learn_finds():
    rng = np.random.default_rng(11)
    groups = np.repeat(np.arange(5), 40)
    X = rng.standard_normal((200, 12)) @ rng.standard_normal((12, 12))
    X += 3 * rng.standard_normal((5, 12))[groups]
    ours, theirs = m.latent(X, 3), PCA(3).fit(X).components_.T
    assert np.linalg.svd(ours.T @ theirs)[1].min() == pytest.approx(1, abs=1e-5)
    ours = np.linalg.qr(m.discriminant(X, groups, 4, ridge=0.0))[0]
    theirs = np.linalg.qr(LinearDiscriminantAnalysis(solver="eigen").fit(X, groups).scalings_)[0]
    assert np.linalg.svd(ours.T @ theirs[:, :4])[1].min() == pytest.approx(1, abs=1e-4)
    with pytest.raises(InputError, match="2 or more"):
        m.discriminant(X, np.arange(200))


def test_scores_are_those_of_the_libraries():
    e, truth = vectors(12, 60, 3), torch.tensor(np.random.default_rng(12).integers(36, size=60) % 7)
    cosines = (e @ e.T).numpy()
    others = ~np.eye(60, dtype=bool)
    theirs = [
        average_precision_score((truth == truth[i]).numpy()[others[i]], cosines[i, others[i]])
        for i in range(60)
    ]
    assert m.average_precision(e, truth) == pytest.approx(np.mean(theirs), abs=1e-6)
    likeness = np.where(truth[:, None] == truth, 2, truth[:, None] // 3 == truth // 3)
    rho = spearmanr(cosines[others], likeness[others])[0]
    assert m.rank_correlation(e, truth) == pytest.approx(rho, abs=1e-9)


def test_the_world_is_what_the_page_says():
    shares = m.word_shares(np.random.default_rng(13))
    np.testing.assert_allclose(shares.sum(1), 1)
    assert ((shares > 0.15 / 300 + 1e-9).sum(1) >= 30).all()
    topic = np.minimum(np.minimum(shares[0], shares[1]), shares[2])
    assert topic.sum() == pytest.approx(0.15 + 0.45, abs=0.06)
    rng = np.random.default_rng(13)
    world = m.world(rng, 400, 4)
    assert world["X"].shape == (400, 2, 300) and len(world["test"]) == 144
    np.testing.assert_allclose(world["X"].sum(-1), 0, atol=1e-3)  # ten words, less the mean
    spoiled = m.world(np.random.default_rng(13), 400, 4, wrong=0.25)
    moved = (np.abs((spoiled["X"] - world["X"])[:, 1]).max(-1) > 1e-2).sum()
    assert moved == 100


@pytest.fixture(scope="module")
def worlds():
    return [m.world(np.random.default_rng(seed), 300, 4) for seed in (20, 21)]


def test_batches(worlds):
    index = m.batch_indices(worlds[0], 10, 64)
    assert index.shape == (10, 64)
    assert len(np.unique(index[:4])) == 256  # a pass of 300 gives four batches
    composed = m.batch_indices(worlds[0], 5, 36, copies=2)
    for batch in composed:
        assert (np.unique(worlds[0]["kinds"][batch], return_counts=True)[1] == 2).all()
        assert len(np.unique(batch)) == 36
    for size, copies in ((301, None), (64, 1), (36, 40)):
        with pytest.raises(InputError, match="too few pairs"):
            m.batch_indices(worlds[0], 2, size, copies)


def test_worlds_and_arms_side_by_side_are_each_as_if_alone(worlds):
    arms = {"plain": ("all", None, 0.15), "guide": ("guide", "64 labeled", 0.15)}
    both = m.train(worlds, arms, 4, batch=32)
    assert both.shape == (2, 2, 300, 36)
    alone = m.train(worlds[1:], {"guide": arms["guide"]}, 4, batch=32)
    torch.testing.assert_close(alone[0, 0], both[1, 1], atol=2e-4, rtol=1e-3)
    assert (m.train(worlds, arms, 4, batch=32, shuffle=True)[0] - both[0]).abs().max() < 2e-4


def test_a_shuffled_guide_speaks_of_other_texts(worlds):
    right, mixed = (m.guide_vectors(worlds, "base", shuffle) for shuffle in (False, True))
    assert (right - mixed).abs().mean() > 0.05
    flat = [v.flatten(1, 2).sort(1).values for v in (right, mixed)]
    torch.testing.assert_close(*flat)


def test_with_the_truth_the_loss_is_lowered(worlds):
    """A sanity check of training itself: the learned table ranks better than its start."""
    table = m.train(worlds, {"truth": ("truth", None, 0.15)}, 60, batch=64)[0]
    start = m.score(worlds, [w["tables"]["base"] for w in worlds])
    assert (m.score(worlds, table) > start).all()
