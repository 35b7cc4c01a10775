"""Method cells of the chapter collaborative-ssl against loops, torch's convolution, InfoNCE,
scikit-learn and limiting cases.
"""

import numpy as np
import pytest
import torch
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import f1_score
from torch.nn.functional import conv1d, cross_entropy, normalize

from press import method_cells
from unlabeled.runtime import InputError

m = method_cells("collaborative-ssl")


def rng(seed=0):
    return np.random.default_rng(seed)


def embeddings(seed=0, arms=2, devices=4, batch=6, p=5):
    z = torch.as_tensor(rng(seed).standard_normal((arms, devices, batch, p)))
    return normalize(z, dim=-1)


def test_the_loss_is_the_formula_written_out():
    z, tau = embeddings(), 0.3
    weights = np.array([[0, 1.0, 2.5, 0.4], [0, 3.0, 0.2, 1.0]])
    positive = [2, 1]
    found = m.collossl(z, torch.tensor(positive), weights, tau)
    for arm in range(2):
        losses = []
        for i in range(6):
            e = lambda d, j: np.exp(float(z[arm, 0, i] @ z[arm, d, j]) / tau)
            hit = e(positive[arm], i)
            miss = sum(weights[arm, d] * e(d, j) for d in (1, 2, 3) for j in range(6) if j != i)
            losses.append(-np.log(hit / (hit + miss)))
        assert float(found[arm]) == pytest.approx(np.mean(losses), rel=1e-9)


def test_one_device_of_weight_one_is_infonce():
    z = embeddings(1, arms=1, devices=2, batch=8)
    logits = z[0, 0] @ z[0, 1].T / 0.1
    theirs = cross_entropy(logits, torch.arange(8))
    assert float(m.collossl(z, torch.tensor([1]), np.array([[0.0, 1.0]]))) == pytest.approx(
        float(theirs)
    )


def test_an_aligned_positive_lowers_the_loss_and_a_batch_of_one_is_refused():
    """The sign of the similarity: the public code's, read literally, would be the other one."""
    z = embeddings(2, arms=1, devices=3)
    weights, positive = np.array([[0.0, 1.0, 1.0]]), torch.tensor([1])
    before = float(m.collossl(z, positive, weights))
    z[0, 1] = z[0, 0]
    assert float(m.collossl(z, positive, weights)) < before
    with pytest.raises(InputError, match="no other moment"):
        m.collossl(z[:, :, :1], positive, weights)


def test_mmd_is_the_mean_over_pairs_and_knows_what_is_alike():
    a, b = rng(3).standard_normal((9, 4)), 0.5 + rng(4).standard_normal((7, 4))
    widths = (1e-4, 1e-3, 1e-2, 0.1, 1, 5, 10, 15, 20, 25, 30, 100)
    k = lambda p, q: np.mean(
        [sum(np.exp(-((x - y) ** 2).sum() / (2 * w)) for w in widths) for x in p for y in q]
    )
    assert m.mmd2(a, b) == pytest.approx(k(a, a) + k(b, b) - 2 * k(a, b))
    assert m.mmd2(a, a) == pytest.approx(0, abs=1e-9) and m.mmd2(a, b) == pytest.approx(
        m.mmd2(b, a)
    )
    steps = [m.mmd2(a, a + shift) for shift in (0, 0.5, 1, 2, 4)]
    assert (np.diff(steps) > 0).all()


def test_distances_follow_the_devices_and_do_not_care_how_they_are_turned():
    x = rng(5).standard_normal((30, 4, 12, 3)) * np.array([1, 1.1, 2, 4])[:, None, None]
    far = m.distances(x)
    assert (np.diff(far) > 0).all()
    np.testing.assert_allclose(m.distances(x[:, [0, 3, 1, 2]]), far[[2, 0, 1]])
    turn = np.linalg.qr(rng(6).standard_normal((3, 3)))[0]
    np.testing.assert_allclose(m.distances(x @ turn), far, atol=1e-9)
    with pytest.raises(InputError, match="no other device"):
        m.distances(x[:, :1])


def test_the_encoder_is_two_convolutions():
    x = torch.as_tensor(rng(7).standard_normal((5, 48, 3)), dtype=torch.float32)
    encoder = m.Encoder(24, (7, 9), [3, 4])
    for arm in range(2):
        one = encoder.one.weights[0][arm].T.unflatten(1, (3, 8))  # a patch is channel by channel
        h = torch.relu(conv1d(x.transpose(1, 2), one, stride=4))
        # position by position
        two = encoder.two.weights[0][arm].T.unflatten(1, (6, 7)).transpose(1, 2)
        theirs = torch.relu(conv1d(h, two).amax(-1))
        torch.testing.assert_close(encoder(m.patches(x))[arm], theirs, atol=1e-5, rtol=1e-4)
    with pytest.raises(InputError, match="too short"):
        m.patches(x[:, :11])


def test_members_are_picked_and_repeated_in_a_row():
    encoder = m.Encoder(24, (7, 9), [3, 4, 5])
    x = m.patches(torch.as_tensor(rng(8).standard_normal((2, 48, 3)), dtype=torch.float32))
    picked = m.members(encoder, slice(1, None), times=2)
    torch.testing.assert_close(picked(x), encoder(x)[[1, 1, 2, 2]])


def test_moments_stay_move_or_keep_the_activity():
    labels = rng(9).integers(0, 3, 20)
    assert (m.moments(rng(), "", labels) == np.arange(20)).all()
    moved = m.moments(rng(), "another moment", labels)
    assert (np.sort(moved) == np.arange(20)).all() and (moved != np.arange(20)).all()
    same = m.moments(rng(), "same activity", labels)
    assert (labels[same] == labels).all() and (same != np.arange(20)).all()
    assert m.moments(rng(), "same activity", np.arange(3)).tolist() == [0, 1, 2]  # none but itself


def test_pretraining_pairs_the_moments_and_arms_differ_by_their_positives_alone():
    x = torch.as_tensor(rng(10).standard_normal((1, 3, 8, 11, 24)), dtype=torch.float32)
    still = torch.arange(8).expand(2, -1)
    weights = np.float32([[0, 1, 1]] * 2)
    twins = m.Encoder(24, (6, 6), [1, 1])
    losses = m.pretrain(twins, lambda: (x, still), [1, 1], weights, 30, [1, 1])
    assert losses[-1] < 0.7 * losses[0]
    for weight in twins.parameters():
        torch.testing.assert_close(weight[0], weight[1])
    apart = m.Encoder(24, (6, 6), [1, 1])
    order = torch.stack([torch.arange(8), torch.arange(8).roll(1)])
    m.pretrain(apart, lambda: (x, order), [1, 1], weights, 30, [1, 1])
    torch.testing.assert_close(apart.one.weights[0][0], twins.one.weights[0][0])
    assert not torch.allclose(apart.one.weights[0][0], apart.one.weights[0][1])


def test_fine_tuning_learns_and_keeps_the_first_layer_unless_told():
    y = np.arange(30) % 3
    x = torch.as_tensor(
        rng(11).standard_normal((30, 11, 24)) + y[:, None, None], dtype=torch.float32
    )
    for whole in (False, True):
        encoder = m.Encoder(24, (6, 6), [1, 2])
        first = encoder.one.weights[0].detach().clone()
        predict = m.fine_tune(
            encoder, x.expand(2, *x.shape), np.stack([y, y]), 3, [1, 2], 150, whole=whole
        )
        assert (predict(x) == y).mean() > 0.9 and predict(x, slice(1, 2)).shape == (1, 30)
        assert torch.equal(first, encoder.one.weights[0]) != whole
    with pytest.raises(InputError, match="no labels"):
        m.fine_tune(encoder, x[None, :0], y[None, :0], 3, [1], 5)


def test_macro_f1_is_scikit_learns():
    truth, guesses = rng(12).integers(0, 4, 50), rng(13).integers(0, 4, (3, 50))
    theirs = [f1_score(truth, guess, average="macro") for guess in guesses]
    np.testing.assert_allclose(m.macro_f1(guesses, truth), theirs)
    assert m.macro_f1(truth, truth) == 1


def test_hand_features_read_mean_spread_and_frequency():
    t = np.arange(48) / 48
    x = (2 + 3 * np.sin(2 * np.pi * 5 * t))[None, :, None]
    mean, spread, *wave = m.hand_features(x)[0]
    assert mean == pytest.approx(2) and spread == pytest.approx(3 / np.sqrt(2))
    np.testing.assert_allclose(wave, 1.5 * (np.arange(1, 13) == 5), atol=1e-12)


def test_some_takes_k_of_each_class_and_repeats_a_small_one():
    y = np.array([0] * 9 + [2] * 5 + [3])
    rows = m.some(rng(), y, 3)
    assert (y[rows] == [0, 0, 0, 2, 2, 2, 3, 3, 3]).all() and len(set(rows[:6])) == 6


def readable(x, label, user):
    """Accuracy on new users of logistic regression on features by hand."""
    h = m.hand_features(x)
    h, old = (h - h.mean(0)) / h.std(0), user < 6
    return LogisticRegression(max_iter=200).fit(h[old], label[old]).score(h[~old], label[~old])


def test_the_three_worlds_show_the_labels_where_they_say():
    score = {}
    for show in ("all", "some", "none"):
        x, label, user = m.simulate(rng(14), 10, 20, show=show)
        assert x.shape == (1200, 5, 48, 3) and np.bincount(label).tolist() == [200] * 6
        score[show] = [readable(x[:, d], label, user) for d in range(5)]
    assert min(score["all"]) > 0.5
    assert score["none"][0] > 0.4 and max(score["none"][1:]) < 0.25  # chance is a sixth
    assert max(score["some"][1:]) > max(score["none"][1:]) + 0.1


def test_a_still_device_feels_gravity_alone():
    """With lying bodies (the table's last row) the length is one g but for small motion and
    noise.
    """
    x, label, _ = m.simulate(rng(15), 4, 10)
    length = np.linalg.norm(x[label == 5], axis=-1).mean(-1)
    assert np.abs(length - 1).max() < 0.15
