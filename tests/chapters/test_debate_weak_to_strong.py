"""Method cells of the chapter debate-weak-to-strong against slow loops, published formulas and
limiting cases.
"""

import numpy as np
import pytest
import torch
from torch.nn import functional as F

from press import method_cells
from unlabeled.runtime import InputError
from unlabeled.transformers import Transformers

m = method_cells("debate-weak-to-strong")
V, L, D = 30, 8, 16


@pytest.fixture(autouse=True)
def one_thread():
    torch.set_num_threads(1)
    torch.manual_seed(7)


def rngs(*seeds):
    return [np.random.default_rng(seed) for seed in seeds]


def models(*seeds, turns=4):
    return Transformers(rngs(*seeds), V + 6, L + 3 * turns, D)


def people(seed, n=5, turns=4, monologues=0.0, **options):
    rng = np.random.default_rng(seed)
    w = m.make_world(rng, V)
    x, y = m.draw_documents(rng, w, n, L)
    side = m.draw_sides(rng, (n, turns), monologues)
    return w, x, y, side, *m.discuss(rng, w, x, side, **options)


def test_answers_are_signs_of_sums():
    w, x, y, *_ = people(0, n=200)
    for document, answer in zip(x, y):
        assert answer == (sum(w[v] for v in document) > 0)


def test_a_share_of_words_is_silent():
    w = m.make_world(np.random.default_rng(0), 20_000, silent=0.3)
    assert abs((w == 0).mean() - 0.3) < 0.01
    assert abs(w[w != 0].std() - 1) < 0.02


def test_levels_at_their_borders():
    assert m.level_of(np.array([-2, 0, 0.01, 0.6, 0.61, 1.3, 1.31, 9])).tolist() == [
        0,
        0,
        1,
        1,
        2,
        2,
        3,
        3,
    ]


def test_people_quote_no_word_twice_and_state_what_they_should():
    w, x, _, side, quoted, strength = people(1, n=300, exaggerate=0.0)
    assert all(len(set(row)) == len(row) for row in quoted.tolist())
    assert np.array_equal(strength, m.level_of(side * w[np.take_along_axis(x, quoted, 1)]))
    w, x, _, side, quoted, strength = people(1, n=300, exaggerate=1.0)
    assert np.array_equal(
        strength, np.minimum(m.level_of(side * w[np.take_along_axis(x, quoted, 1)]) + 1, 3)
    )


def test_first_quotes_follow_the_softmax():
    rng = np.random.default_rng(2)
    w = m.make_world(rng, V)
    document = rng.choice(V, size=L, replace=False)
    n = 40_000
    side = np.full((n, 1), -1)
    quoted, _ = m.discuss(rng, w, np.tile(document, (n, 1)), side, sharp=1.5)
    expected = np.exp(-1.5 * w[document])
    assert (
        np.abs(np.bincount(quoted[:, 0], minlength=L) / n - expected / expected.sum()).max() < 0.01
    )


def test_an_endlessly_sharp_speaker_quotes_her_best_words_in_order():
    w, x, _, side, quoted, _ = people(3, n=50, turns=3, monologues=1.0, sharp=1e6)
    for document, s, row in zip(x, side[:, 0], quoted):
        assert np.allclose(s * w[document[row]], np.sort(s * w[document])[::-1][:3])


def test_more_statements_than_words_are_refused():
    with pytest.raises(InputError, match="none twice"):
        people(0, turns=L + 1)
    with pytest.raises(InputError, match="9 statements cannot quote 8 words"):
        m.hold_debates(
            models(1, turns=L + 1),
            torch.zeros(1, 2, L, dtype=torch.long),
            torch.ones(1, 2, L + 1),
            torch.rand(1, 2, L + 1, 2),
        )


def test_sides():
    rng = np.random.default_rng(4)
    debate, advice = m.draw_sides(rng, (2000, 5)), m.draw_sides(rng, (2000, 5), 1.0)
    assert (debate[:, 1:] == -debate[:, :-1]).all()
    assert (advice == advice[:, :1]).all()
    mixed = m.draw_sides(rng, (200, 100, 5), 0.25)
    assert abs((mixed == mixed[..., :1]).all(-1).mean() - 0.25) < 0.02
    for sides in (debate, advice, mixed):
        assert abs(sides[..., 0].mean()) < 0.08


def batch(seed, turns=4):
    _, x, _, side, quoted, strength = people(seed, n=6, turns=turns)
    return [torch.from_numpy(part)[None] for part in (x, side, quoted, strength)]


@torch.no_grad()
def last(model, s, tokens):
    """Output of member s at the last of `tokens`, which sees the whole of them, by a run of its
    own.
    """
    place = len(tokens) - 1
    position = torch.arange(len(tokens))
    mask = (position < L) | (position <= place)
    return model(torch.tensor([tokens]), torch.tensor([place]), mask[None])[s, 0, 0]


def words_of(model, s, tokens):
    return model.tokens[s].detach()[tokens]


def test_corpus_loss_is_a_sum_over_statements():
    model = models(5)
    document, side, quoted, strength = batch(6)
    total, n, turns = 0.0, *side.shape[1:]
    for b in range(n):
        tokens = document[0, b].tolist()
        for t in range(turns):
            tokens.append(V + int(side[0, b, t] > 0))
            scores = words_of(model, 0, tokens[:L]) @ last(model, 0, tokens)
            scores[quoted[0, b, :t]] = -torch.inf
            total -= scores.log_softmax(0)[quoted[0, b, t]]
            tokens.append(int(document[0, b, quoted[0, b, t]]))
            total -= (model.tokens[0, -4:].detach() @ last(model, 0, tokens)).log_softmax(0)[
                strength[0, b, t]
            ]
            tokens.append(V + 2 + int(strength[0, b, t]))
    loss = m.corpus_loss(model, document, side, quoted, strength)
    assert torch.allclose(loss, total / (n * turns), rtol=1e-4)


def test_debates_are_drawn_token_by_token_from_the_models_own_chances():
    model, turns, n = models(1, 2), 4, 3
    rng = np.random.default_rng(9)
    document = torch.from_numpy(rng.integers(V, size=(2, n, L)))
    side = torch.from_numpy(rng.choice([-1, 1], size=(2, n, turns)))
    u = torch.from_numpy(rng.random((2, n, turns, 2))).float()
    quoted, strength = m.hold_debates(model, document, side, u)
    draw = lambda scores, r: int((scores.softmax(0).cumsum(0) < r).sum())
    for s in range(2):
        for i in range(n):
            tokens, used = document[s, i].tolist(), []
            for t in range(turns):
                tokens.append(V + int(side[s, i, t] > 0))
                scores = words_of(model, s, tokens[:L]) @ last(model, s, tokens)
                scores[used] = -torch.inf
                used.append(draw(scores, u[s, i, t, 0]))
                assert used[-1] == quoted[s, i, t]
                tokens.append(tokens[used[-1]])
                level = draw(model.tokens[s, -4:].detach() @ last(model, s, tokens), u[s, i, t, 1])
                assert level == strength[s, i, t]
                tokens.append(V + 2 + level)


def test_shorter_debates_are_beginnings_of_longer_ones():
    model, rng = models(3), np.random.default_rng(10)
    document = torch.from_numpy(rng.integers(V, size=(1, 6, L)))
    side = torch.from_numpy(rng.choice([-1, 1], size=(1, 6, 4)))
    u = torch.from_numpy(rng.random((1, 6, 4, 2))).float()
    long = m.hold_debates(model, document, side, u)
    for a, b in zip(long, m.hold_debates(model, document, side[..., :2], u[..., :2, :])):
        assert torch.equal(a[..., :2], b)


def test_pick_draws_from_the_softmax():
    scores = torch.tensor([0.3, -torch.inf, 1.0, -1.0])
    u = (torch.arange(100_000) + 0.5) / 100_000
    share = torch.bincount(m.pick(scores.expand(len(u), 4), u), minlength=4) / len(u)
    assert torch.allclose(share, scores.softmax(0), atol=1e-4)
    assert share[1] == 0


def test_heard_counts_count():
    side = torch.tensor([[1, -1, 1, 1]])
    strength = torch.tensor([[3, 0, 3, 2]])
    assert m.heard_counts(side, strength, 3).tolist() == [[1, 0, 0, 0, 0, 0, 0, 2]]
    assert m.heard_counts(side, strength, 4).sum() == 4


def reader_task(S=2, A=3, n=40):
    bags = torch.randint(0, 3, (S, n, V)).float() + 0.1
    return bags, torch.randint(0, 3, (S, A, n, 8)).float(), torch.randint(0, 2, (S, n))


def test_stacked_readers_are_readers_one_by_one():
    bags, heard, y = reader_task()
    together = m.fit_readers(rngs(*range(6)), bags, heard, y, steps=10)(bags, heard)
    assert together.shape == (2, 3, 40) and 0 < together.min() and together.max() < 1
    for s in range(2):
        for a in range(3):
            one = bags[s : s + 1], heard[s : s + 1, a : a + 1]
            alone = m.fit_readers(rngs(3 * s + a), *one, y[s : s + 1], steps=10)(*one)
            torch.testing.assert_close(together[s, a], alone[0, 0], rtol=1e-3, atol=1e-4)


def test_a_reader_learns_from_a_telling_debate_and_not_from_silence():
    bags, heard, y = reader_task(n=300)
    heard = torch.zeros_like(heard)
    heard[:, 0, :, 7], heard[:, 0, :, 3] = y.float(), 1 - y.float()
    listen = m.fit_readers(rngs(*range(6)), bags[:, :100], heard[:, :, :100], y[:, :100])
    right = (
        ((listen(bags[:, 100:], heard[:, :, 100:]) > 0.5) == y[:, None, 100:].bool())
        .float()
        .mean(-1)
    )
    assert (right[:, 0] > 0.9).all() and (right[:, 1:] < 0.7).all()


def two_logit_loss(logits, labels, weight):
    """The loss in the published form: two logits, threshold at the quantile that the weak labels'
    mean gives.
    """
    first = logits.softmax(dim=1)[:, 0]
    own = first >= torch.quantile(first, labels[:, 1].mean())
    target = (1 - weight) * labels + weight * torch.stack([own, ~own], dim=1).float().detach()
    return F.cross_entropy(logits, target)


@pytest.mark.parametrize("alpha", [0.0, 0.3, 0.75])
def test_auxiliary_loss_is_cross_entropy_with_the_published_target(alpha):
    z = torch.randn(3, 12, requires_grad=True)
    target = torch.rand(3, 6)
    target = torch.cat([target, 1 - target], dim=1)  # balanced, so that the quantile is the median
    ours = m.weak_to_strong_loss(z, target, torch.full((3, 1), alpha))
    for s in range(3):
        logits = torch.stack([z[s], torch.zeros(12)], dim=1)
        labels = torch.stack([target[s], 1 - target[s]], dim=1)
        assert torch.allclose(ours[s], two_logit_loss(logits, labels, alpha), atol=1e-6)
    (gradient,) = torch.autograd.grad(ours.sum(), z)
    own = (z > z.median(dim=1, keepdim=True).values).float()
    assert torch.allclose(
        gradient, (z.sigmoid() - (1 - alpha) * target - alpha * own).detach() / 12, atol=1e-6
    )
    assert (own.sum(1) == 6).all()  # the classes stay balanced


def student_task(S=2, n=60):
    rng = np.random.default_rng(3)
    return (
        models(*range(S)),
        torch.from_numpy(rng.integers(V, size=(S, n, L))),
        torch.from_numpy(rng.random((S, 2, n))).float(),
    )


def test_stacked_students_are_students_one_by_one():
    model, x, target = student_task()
    options = dict(steps=8, lr=2e-3, batch=16)
    both = m.fit_students(model, x, target, rngs(1, 2), [0.0, 0.5], **options)(x)
    assert both.shape == (2, 2, 60)
    for s, seed in enumerate((1, 2)):
        for a, alpha in enumerate((0.0, 0.5)):
            one = m.fit_students(
                models(s),
                x[s : s + 1],
                target[s : s + 1, a : a + 1],
                rngs(seed),
                [alpha],
                **options,
            )
            assert torch.allclose(both[s, a], one(x[s : s + 1])[0, 0], atol=5e-3)


def test_students_start_from_the_pretrained_model_and_leave_it_alone():
    model, x, target = student_task()
    before = [weight.detach().clone() for weight in model.parameters()]
    untrained = m.fit_students(model, x, target, rngs(1, 2), [0.0, 0.5], steps=1, lr=0.0)
    assert torch.equal(untrained(x), torch.zeros(2, 2, 60))
    m.fit_students(model, x, target, rngs(1, 2), [0.0, 0.5], steps=3, lr=1e-2)
    assert all(torch.equal(a, b) for a, b in zip(model.parameters(), before))
    with pytest.raises(InputError, match="one or more"):
        m.fit_students(model, x[:, :0], target[:, :, :0], rngs(1, 2), [0.0, 0.5], steps=1, lr=0.1)


def test_a_student_learns_a_rule_of_single_words():
    model, x, _ = student_task(S=1, n=400)
    truth = (x == x[0, 0, 0]).any(-1) | (x < 10).float().mean(-1).gt(0.3)
    predict = m.fit_students(model, x, truth[:, None].float(), rngs(1), [0.0], steps=150, lr=3e-3)
    assert ((predict(x)[:, 0] > 0) == truth).float().mean() > 0.9


def test_pgr():
    assert m.pgr(0.7, 0.6, 0.8) == pytest.approx(0.5)
    assert m.pgr(0.5, 0.6, 0.8) == pytest.approx(-0.5)
    assert m.pgr(0.9, 0.6, 0.8) == pytest.approx(1.5)
    assert np.allclose(m.pgr(np.array([0.6, 0.8]), 0.6, 0.8), [0, 1])
    # Table 2 of the paper, SciQ: weak 90.0, debate ensemble 92.6, ceiling 93.4, PGR 76.5 %.
    assert m.pgr(92.6, 90.0, 93.4) == pytest.approx(0.765, abs=5e-4)
    with pytest.raises(InputError, match="there is no gap"):
        m.pgr(np.array([0.7, 0.7]), 0.6, np.array([0.6, 0.8]))
