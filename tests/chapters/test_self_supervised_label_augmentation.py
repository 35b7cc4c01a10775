"""Method cells of the chapter self-supervised-label-augmentation against loops, libraries,
formulas written anew and limiting cases.
"""

import numpy as np
import pytest
import torch
from sklearn.linear_model import LogisticRegression

from press import method_cells
from unlabeled.runtime import InputError

m = method_cells("self-supervised-label-augmentation")
S, B, M, N = 2, 5, 4, 3
TURNS = torch.arange(M).expand(S, B, M)


def rng(seed=0):
    return np.random.default_rng(seed)


def drawn(outputs, seed=0):
    """Logits (S, B, M, outputs) in double precision, and classes (S, B, M), one for each
    picture.
    """
    source = rng(seed)
    logits = torch.from_numpy(source.standard_normal((S, B, M, outputs)))
    return logits, torch.from_numpy(source.integers(N, size=(S, B, 1))).expand(S, B, M)


def softmax(row):
    return np.exp(row) / np.exp(row).sum()


def by_hand(logits, y, surprise):
    """Sum over networks of the mean over copies of `surprise(row of logits, class, turn)`, by
    loops.
    """
    return sum(
        np.mean(
            [
                surprise(logits[s, b, j].numpy(), int(y[s, b, j]), j)
                for b in range(B)
                for j in range(M)
            ]
        )
        for s in range(S)
    )


def test_the_losses_are_the_formulas():
    logits, y = drawn(N * M)
    joint = by_hand(logits, y, lambda row, i, j: -np.log(softmax(row).reshape(N, M)[i, j]))
    own = by_hand(logits, y, lambda row, i, j: -np.log(softmax(row.reshape(N, M)[:, j])[i]))
    assert m.joint_loss(logits, y, TURNS).item() == pytest.approx(joint)
    assert m.own_loss(logits, y, TURNS).item() == pytest.approx(own)
    logits, y = drawn(N + M, 1)
    two = by_hand(
        logits, y, lambda row, i, j: -np.log(softmax(row[:N])[i]) - np.log(softmax(row[N:])[j])
    )
    assert m.two_task_loss(logits, y, TURNS).item() == pytest.approx(two)
    invariant = by_hand(logits[..., :N], y, lambda row, i, j: -np.log(softmax(row)[i]))
    assert m.class_loss(logits[..., :N], y, TURNS).item() == pytest.approx(invariant)


def test_own_outputs_follow_the_turn_that_they_are_told():
    """The control shuffles the turns: the outputs picked in training must then be those of the
    shuffled turn.
    """
    logits, y = drawn(N * M, 2)
    told = torch.from_numpy(rng(3).permuted(np.tile(np.arange(M), (S, B, 1)), axis=2))
    picked = m.outputs_of(logits, told)
    for s, b, j in np.ndindex(S, B, M):
        np.testing.assert_array_equal(
            picked[s, b, j], logits[s, b, j].reshape(N, M)[:, told[s, b, j]]
        )


def test_joint_is_own_outputs_plus_the_price_of_naming_the_turn():
    """log rho_ij = log P(i | j) + log P(j), with P(j) the sum over the classes."""
    logits, y = drawn(N * M, 4)
    turn = logits.log_softmax(-1).unflatten(-1, (N, M)).logsumexp(-2)
    price = -turn.diagonal(dim1=2, dim2=3).mean((1, 2)).sum()
    assert (m.joint_loss(logits, y, TURNS) - m.own_loss(logits, y, TURNS)).item() == pytest.approx(
        price.item()
    )


def test_known_turn_and_any_turn_read_the_right_outputs():
    logits, _ = drawn(N * M, 5)
    known, any_turn = m.known_turn(logits), m.any_turn(logits)
    torch.testing.assert_close(known, m.outputs_of(logits, TURNS))
    for s, b, j in np.ndindex(S, B, M):
        pairs = logits[s, b, j].numpy().reshape(N, M)
        np.testing.assert_array_equal(known[s, b, j], pairs[:, j])
        np.testing.assert_allclose(any_turn[s, b, j].exp(), softmax(pairs).sum(1))
    # the code of the authors: aggregated = mean over j of outputs[j::M, j::M], copies of a picture
    # side by side
    rows = logits[0].reshape(B * M, N * M)
    theirs = sum(rows[j::M, j::M] for j in range(M)) / M
    torch.testing.assert_close(known[0].mean(1), theirs)


def test_with_one_copy_nothing_is_left_of_the_turn():
    logits, y = drawn(N, 6)
    logits, y, j = logits[:, :, :1], y[:, :, :1], TURNS[:, :, :1]
    plain = m.class_loss(logits, y, j)
    for loss in (m.joint_loss, m.own_loss):
        assert torch.equal(loss(logits, y, j), plain)
    found = m.scores(m.known_turn(logits), y[:, :, 0])
    np.testing.assert_array_equal(found["single"], found["averaged"])


def test_untied_outputs_fit_at_least_as_well_as_tied_ones():
    """On fixed features the joint problem is convex, and two tasks are a part of it:
    scikit-learn's optimum is no higher.
    """
    source = rng(7)
    z, y, j = (
        source.standard_normal((60, 4)),
        source.integers(N, size=60),
        source.integers(M, size=60),
    )
    fitted = [
        LogisticRegression(C=1e4, max_iter=5000, fit_intercept=False).fit(z, target)
        for target in (y, j, y * M + j)
    ]
    u, v, w = (torch.from_numpy(z @ model.coef_.T)[None, :, None] for model in fitted)
    # one copy a row: spread each row over the four turns, and count its own turn alone
    losses = [
        m.class_loss(part, torch.from_numpy(t)[None, :, None], None).item()
        for part, t in ((u, y), (v, j), (w, y * M + j))
    ]
    assert losses[2] <= losses[0] + losses[1] + 1e-6


def test_turned_is_rot90_and_shifted_moves_by_one():
    pictures = torch.from_numpy(rng(8).random((3, 6, 6)))
    copies = m.turned(pictures)
    for i, j in np.ndindex(3, 4):
        np.testing.assert_array_equal(copies[i, j].reshape(6, 6), np.rot90(pictures[i], j))
    moved = m.shifted(pictures).unflatten(-1, (6, 6))
    inner = pictures[:, 1:-1, 1:-1]
    sides = {
        (dr, dc)
        for k in range(4)
        for dr in (-1, 0, 1)
        for dc in (-1, 0, 1)
        if torch.equal(moved[:, k, 1 + dr : 5 + dr, 1 + dc : 5 + dc], inner)
    }
    assert sides == {(-1, 0), (1, 0), (0, -1), (0, 1)}
    with pytest.raises(InputError, match="square"):
        m.turned(torch.zeros(2, 6, 5))


def toy(copies=4, seeds=(0, 1)):
    """Three easy classes of eight pixels, in `copies` orders of the pixels: images (S, 30,
    copies, 8), labels (S, 30).
    """
    images, labels, patterns = [], np.arange(30) % 3, rng(99).standard_normal((3, 8)) * 2
    for seed in seeds:
        flat = patterns[labels] + rng(seed).standard_normal((30, 8)) * 0.2
        images.append(np.stack([np.roll(flat, k, axis=1) for k in range(copies)], 1))
    return torch.tensor(np.stack(images)).float(), torch.from_numpy(labels).expand(len(seeds), 30)


SMALL = dict(hidden=16, batch=8, steps=60, lr=0.02)


def test_training_learns_and_a_member_is_as_if_alone():
    x, y = toy()
    both = m.answers(m.train(x, y, 12, m.joint_loss, [rng(0), rng(1)], **SMALL), x)
    assert (m.scores(m.known_turn(both), y)["averaged"] > 0.95).all()
    alone = m.answers(m.train(x[1:], y[1:], 12, m.joint_loss, [rng(1)], **SMALL), x[1:])
    torch.testing.assert_close(both[1:], alone, atol=1e-4, rtol=1e-4)


def test_shuffled_turns_cannot_be_named():
    x, y = toy()
    named = {}
    for shuffle in (False, True):
        logits = m.answers(
            m.train(x, y, 12, m.joint_loss, [rng(0), rng(1)], shuffle=shuffle, **SMALL), x
        )
        turn = logits.unflatten(-1, (3, 4)).logsumexp(-2).argmax(-1)
        named[shuffle] = (turn == torch.arange(4)).float().mean().item()
    assert named[False] > 0.9 and named[True] < 0.6


def test_chances_decide_which_pictures_are_seen():
    """Pictures of the classes 1 and 2 are NaN: one of them in a batch would spoil the loss."""
    x, y = toy()
    x[y > 0] = torch.nan
    chances = np.where(y.numpy() == 0, 0.1, 0.0)
    logits = m.answers(
        m.train(x, y, 3, m.class_loss, [rng(0), rng(1)], chances=chances, **SMALL), x
    )
    assert (logits[y == 0].argmax(-1) == 0).all()
    with pytest.raises(InputError, match="NaN"):
        m.train(x, y, 3, m.class_loss, [rng(0), rng(1)], **SMALL)


def test_the_teacher_of_distillation_is_left_alone():
    logits, y = drawn(N * M + N, 9)
    pairs, u = logits[..., : N * M], logits[..., N * M :]
    target = m.known_turn(pairs).mean(2).softmax(-1)
    mine = u[:, :, 0].log_softmax(-1)
    hand = m.joint_loss(pairs, y, TURNS) + (target * (target.log() - mine)).sum(-1).mean(1).sum()
    hand = (
        hand
        + torch.nn.functional.nll_loss(mine.flatten(0, 1), y[:, :, 0].flatten(), reduction="sum")
        / B
    )
    assert m.distilled_loss(logits, y, TURNS).item() == pytest.approx(hand.item())
    grown = logits.clone().requires_grad_()
    m.distilled_loss(grown, y, TURNS).backward()
    lone = pairs.clone().requires_grad_()
    m.joint_loss(lone, y, TURNS).backward()
    torch.testing.assert_close(grown.grad[..., : N * M], lone.grad)
    assert (grown.grad[:, :, 1:, N * M :] == 0).all()


def test_without_the_middle_term_the_output_learns_from_labels_alone():
    logits, y = drawn(N * M + N, 10)
    pairs, u = logits[..., : N * M], logits[:, :, :1, N * M :]
    hand = m.joint_loss(pairs, y, TURNS) + m.class_loss(u, y[:, :, :1], TURNS)
    assert m.distilled_loss(logits, y, TURNS, repeats=0).item() == pytest.approx(hand.item())


def test_what_cannot_be_read_or_learned_is_refused():
    logits, _ = drawn(N * M + 1, 11)
    for read in (m.known_turn, m.any_turn, lambda logits: m.outputs_of(logits, TURNS)):
        with pytest.raises(InputError, match="multiple of 4"):
            read(logits)
    x, y = toy()
    with pytest.raises(InputError, match="no labeled picture"):
        m.train(x[:, :0], y[:, :0], 12, m.joint_loss, [rng(0), rng(1)], **SMALL)
