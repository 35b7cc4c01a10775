"""Method cells of the chapter debate-weak-to-strong against torch.nn modules, slow loops and limiting cases."""

import numpy as np
import pytest
import torch
from torch import nn
from torch.nn import functional as F

from press import method_cells

m = method_cells("debate-weak-to-strong")
V, L, D = 30, 8, 16


@pytest.fixture(autouse=True)
def one_thread():
    torch.set_num_threads(1)
    torch.manual_seed(7)


def generators(*seeds):
    return [torch.Generator().manual_seed(seed) for seed in seeds]


def models(*seeds, turns=4):
    """Models whose scales and shifts are not trivial, so that a forgotten one is noticed."""
    model = m.init_models(generators(*seeds), V + 6, L + 3 * turns, D)
    return {name: weight + 0.2 * torch.randn_like(weight) for name, weight in model.items()}


def single(model, s):
    return {name: weight[s : s + 1] for name, weight in model.items()}


def people(seed, n=5, turns=4, monologues=0.0, **options):
    rng = np.random.default_rng(seed)
    w = m.make_world(rng, V)
    x, y = m.draw_documents(rng, w, n, L)
    side = m.draw_sides(rng, n, turns, monologues)
    return w, x, y, side, *m.discuss(rng, w, x, side, **options)


# The world


def test_answers_are_signs_of_sums():
    w, x, y, *_ = people(0, n=200)
    for document, answer in zip(x, y):
        assert answer == (sum(w[v] for v in document) > 0)


def test_a_share_of_words_is_silent():
    w = m.make_world(np.random.default_rng(0), 20_000, silent=0.3)
    assert abs((w == 0).mean() - 0.3) < 0.01
    assert abs(w[w != 0].std() - 1) < 0.02


def test_levels_at_their_borders():
    assert m.level_of(np.array([-2, 0, 0.01, 0.6, 0.61, 1.3, 1.31, 9])).tolist() == [0, 0, 1, 1, 2, 2, 3, 3]


def test_people_quote_no_word_twice_and_state_what_they_should():
    w, x, _, side, quoted, strength = people(1, n=300, exaggerate=0.0)
    assert all(len(set(row)) == len(row) for row in quoted.tolist())
    assert np.array_equal(strength, m.level_of(side * w[np.take_along_axis(x, quoted, 1)]))
    w, x, _, side, quoted, strength = people(1, n=300, exaggerate=1.0)
    assert np.array_equal(strength, np.minimum(m.level_of(side * w[np.take_along_axis(x, quoted, 1)]) + 1, 3))


def test_first_quotes_follow_the_softmax():
    rng = np.random.default_rng(2)
    w = m.make_world(rng, V)
    document = rng.choice(V, size=L, replace=False)
    n = 40_000
    side = np.full((n, 1), -1)
    quoted, _ = m.discuss(rng, w, np.tile(document, (n, 1)), side, sharp=1.5)
    expected = np.exp(-1.5 * w[document])
    assert np.abs(np.bincount(quoted[:, 0], minlength=L) / n - expected / expected.sum()).max() < 0.01


def test_an_endlessly_sharp_speaker_quotes_her_best_words_in_order():
    w, x, _, side, quoted, _ = people(3, n=50, turns=3, monologues=1.0, sharp=1e6)
    for document, s, row in zip(x, side[:, 0], quoted):
        assert np.allclose(s * w[document[row]], np.sort(s * w[document])[::-1][:3])


def test_sides():
    rng = np.random.default_rng(4)
    debate, advice = m.draw_sides(rng, 2000, 5, 0.0), m.draw_sides(rng, 2000, 5, 1.0)
    assert (debate[:, 1:] == -debate[:, :-1]).all()
    assert (advice == advice[:, :1]).all()
    mixed = m.draw_sides(rng, 20_000, 5, 0.25)
    assert abs((mixed == mixed[:, :1]).all(1).mean() - 0.25) < 0.02
    for sides in (debate, advice, mixed):
        assert abs(sides[:, 0].mean()) < 0.08


# The strong model


def reference(model, tokens, places, mask):
    """The same network from torch's own modules, one model, one sequence at a time."""
    attention = nn.MultiheadAttention(D, 2, bias=False, batch_first=True)
    with torch.no_grad():
        attention.in_proj_weight.copy_(model["W_qkv"][0].T)
        attention.out_proj.weight.copy_(model["W_o"][0].T)
    scale = {k: (model[f"scale_{k}"][0, 0, 0], model[f"shift_{k}"][0, 0, 0]) for k in ("attention", "mlp", "end")}
    x = model["E"][0][tokens] + model["P"][0][: tokens.shape[-1]]
    h = F.layer_norm(x, (D,), *scale["attention"])
    mixed, _ = attention(h[:, places], h, h, attn_mask=None if mask is None else ~mask)
    x = x[:, places] + mixed
    x = x + F.gelu(F.layer_norm(x, (D,), *scale["mlp"]) @ model["W_up"][0]) @ model["W_down"][0]
    return F.layer_norm(x, (D,), *scale["end"])


def test_contextual_is_torchs_transformer_for_every_model_of_a_stack():
    model = models(1, 2, 3)
    tokens = torch.randint(V + 6, (3, 4, L + 6))
    places = torch.tensor([L, L + 1, L + 4])
    mask = m.visible(places, L + 6, L)
    out = m.contextual(model, tokens, places, mask)
    for s in range(3):
        assert torch.allclose(out[s], reference(single(model, s), tokens[s], places, mask), atol=1e-5)
    every = m.contextual(model, tokens[..., :L], slice(0, L))
    for s in range(3):
        assert torch.allclose(every[s], reference(single(model, s), tokens[s, :, :L], slice(0, L), None), atol=1e-5)


def test_nobody_sees_the_future():
    model = models(1)
    tokens = torch.randint(V, (1, 3, L + 6))
    places = torch.tensor([L, L + 2])
    before = m.contextual(model, tokens, places, m.visible(places, L + 6, L))
    tokens[..., L + 3 :] = 0
    after = m.contextual(model, tokens, places, m.visible(places, L + 6, L))
    assert torch.equal(before, after)
    tokens[..., 2] = (tokens[..., 2] + 1) % V  # a word of the document, seen by all
    assert not torch.allclose(before, m.contextual(model, tokens, places, m.visible(places, L + 6, L)))


def batch(seed, n=5, turns=4):
    _, x, _, side, quoted, strength = people(seed, n, turns)
    return [torch.from_numpy(part)[None] for part in (x, side, quoted, strength)]


def test_corpus_loss_is_a_sum_over_statements():
    model = models(5)
    document, side, quoted, strength = batch(6)
    total, n, turns = 0.0, *side.shape[1:]
    for b in range(n):
        tokens = document[0, b].tolist()
        for t in range(turns):
            word = tokens[quoted[0, b, t]]
            for ask, goal in ((V + int(side[0, b, t] > 0), "quote"), (word, "strength")):
                tokens.append(ask)
                place = [len(tokens) - 1]
                out = reference(model, torch.tensor([tokens]), place, None)[0, 0]
                if goal == "quote":
                    scores = model["E"][0][tokens[:L]] @ out
                    scores[quoted[0, b, :t]] = -torch.inf
                    total -= scores.log_softmax(0)[quoted[0, b, t]]
                else:
                    total -= (model["E"][0][-4:] @ out).log_softmax(0)[strength[0, b, t]]
            tokens.append(V + 2 + int(strength[0, b, t]))
    loss = m.corpus_loss(model, document, side, quoted, strength)
    assert torch.allclose(loss, total / (n * turns), rtol=1e-4)


def test_stacked_pretraining_is_pretraining_one_by_one():
    parts = [batch(seed, n=96) for seed in (7, 8)]
    corpus = [torch.cat(part) for part in zip(*parts)]
    model = m.init_models(generators(7, 8), V + 6, L + 12, D)
    both, losses = m.pretrain({k: v.clone() for k, v in model.items()}, corpus, lr=3e-3, batch=16)
    alone = [m.pretrain({k: v.clone() for k, v in single(model, s).items()}, parts[s], lr=3e-3, batch=16) for s in (0, 1)]
    for s in (0, 1):
        for name in both:
            # Adam divides by the size of a gradient, so rounding shows where a gradient is nearly 0.
            assert torch.allclose(both[name][s], alone[s][0][name][0], atol=2e-4), name
    assert np.allclose(losses, np.mean([alone[0][1], alone[1][1]], axis=0), atol=1e-4)
    assert losses[-1] < losses[0]


def test_clipping_is_torchs_for_each_model():
    weights = [torch.zeros(3, 4, 5, requires_grad=True), torch.zeros(3, 6, requires_grad=True)]
    for weight in weights:
        weight.grad = torch.randn(weight.shape) * torch.tensor([0.01, 1.0, 10.0]).view(-1, *[1] * (weight.dim() - 1))
    expected = []
    for s in range(3):
        copies = [torch.zeros_like(weight[s], requires_grad=True) for weight in weights]
        for copy, weight in zip(copies, weights):
            copy.grad = weight.grad[s].clone()
        nn.utils.clip_grad_norm_(copies, 1.0)
        expected.append([copy.grad for copy in copies])
    m.clip_each(weights)
    for s in range(3):
        for weight, wanted in zip(weights, expected[s]):
            assert torch.allclose(weight.grad[s], wanted, rtol=1e-4)


def test_schedule_rises_and_falls():
    factors = [m.schedule(step, 100) for step in range(100)]
    assert factors[9] == 1 and max(factors) == 1
    assert np.allclose(np.diff(factors[:10]), 0.1) and np.allclose(np.diff(factors[10:]), -1 / 90)


# Debates


def test_pick_draws_from_the_softmax():
    scores = torch.tensor([0.3, -torch.inf, 1.0, -1.0])
    u = (torch.arange(100_000) + 0.5) / 100_000
    share = torch.bincount(m.pick(scores.expand(len(u), 4), u), minlength=4) / len(u)
    assert torch.allclose(share, scores.softmax(0), atol=1e-4)
    assert share[1] == 0


def test_the_cache_changes_nothing():
    model, turns, n, M = models(1, 2), 4, 3, 2
    rng = np.random.default_rng(9)
    document = torch.from_numpy(rng.integers(V, size=(2, n, L)))
    side = torch.from_numpy(rng.choice([-1, 1], size=(2, n, M, turns)))
    u = torch.from_numpy(rng.random((2, n, M, turns, 2))).float()
    quoted, strength = m.hold_debates(model, document, side, u)
    for s in range(2):
        for i in range(n):
            for k in range(M):
                tokens, used = document[s, i].tolist(), []
                for t in range(turns):
                    for step in (0, 1):
                        tokens.append(V + int(side[s, i, k, t] > 0) if step == 0 else tokens[used[-1]])
                        out = reference(single(model, s), torch.tensor([tokens]), [len(tokens) - 1], None)[0, 0]
                        scores = model["E"][s][tokens[:L] if step == 0 else slice(-4, None)] @ out
                        if step == 0:
                            scores[used] = -torch.inf
                        choice = int((scores.softmax(0).cumsum(0) < u[s, i, k, t, step]).sum())
                        assert choice == (quoted, strength)[step][s, i, k, t]
                        if step == 0:
                            used.append(choice)
                    tokens.append(V + 2 + choice)


def test_shorter_debates_are_beginnings_of_longer_ones():
    model = models(3)
    rng = np.random.default_rng(10)
    document = torch.from_numpy(rng.integers(V, size=(1, 6, L)))
    side = torch.from_numpy(rng.choice([-1, 1], size=(1, 6, 3, 4)))
    u = torch.from_numpy(rng.random((1, 6, 3, 4, 2))).float()
    long = m.hold_debates(model, document, side, u)
    short = m.hold_debates(model, document, side[..., :2], u[..., :2, :])
    for a, b in zip(long, short):
        assert torch.equal(a[..., :2], b)


# Readers


def test_heard_counts_count():
    side = torch.tensor([[1, -1, 1, 1]])
    strength = torch.tensor([[3, 0, 3, 2]])
    assert m.heard_counts(side, strength, 3).tolist() == [[1, 0, 0, 0, 0, 0, 0, 2]]
    assert m.heard_counts(side, strength, 4).sum() == 4


def test_reader_is_two_embedding_bags_and_a_layer():
    reader = m.init_readers(generators(1, 2), 3, V)
    x = torch.randint(V, (2, 5, L))
    bags = F.one_hot(x, V).float().sum(2)
    kinds = torch.randint(8, (2, 3, 5, 4))
    logits = m.read(reader, bags, F.one_hot(kinds, 8).float().sum(3))
    assert logits.shape == (2, 3, 5, 2)
    for s in range(2):
        for a in range(3):
            one = {name: weight[s, a] for name, weight in reader.items()}
            words = F.embedding_bag(x[s], one["words"], mode="mean")
            heard = F.embedding_bag(kinds[s, a], one["heard"], mode="sum")
            hidden = F.relu(torch.cat([words, heard], 1) @ one["W"] + one["b"])
            assert torch.allclose(logits[s, a], hidden @ one["v"], atol=1e-5)


def test_a_readers_weights_depend_on_its_seed_alone():
    both, alone = m.init_readers(generators(1, 2), 2, V), m.init_readers(generators(2), 2, V)
    assert all(torch.equal(both[name][1], alone[name][0]) for name in both)


def test_stacked_readers_are_readers_one_by_one():
    reader = m.init_readers(generators(1, 2), 2, V)
    bags = F.one_hot(torch.randint(V, (2, 20, L)), V).float().sum(2)
    heard, y = torch.rand(2, 2, 20, 8), torch.randint(2, (2, 20))
    both = m.fit_readers(reader, bags, heard, y, steps=30)
    for s in range(2):
        for a in range(2):
            weights = {k: v[s, a].clone().requires_grad_() for k, v in reader.items()}
            optimizer = torch.optim.AdamW(weights.values(), lr=1e-2, weight_decay=0.05)
            for _ in range(30):
                joined = torch.cat([bags[s] / L @ weights["words"], heard[s, a] @ weights["heard"]], 1)
                logits = F.relu(joined @ weights["W"] + weights["b"]) @ weights["v"]
                optimizer.zero_grad()
                F.cross_entropy(logits, y[s]).backward()
                optimizer.step()
            for name in weights:
                assert torch.allclose(both[name][s, a], weights[name], atol=2e-3), name


def test_a_reader_learns_from_a_telling_debate_and_not_from_silence():
    gens, rng = generators(3), np.random.default_rng(3)
    x, y = rng.integers(V, size=(1, 600, L)), rng.integers(2, size=(1, 600))
    bags, y = F.one_hot(torch.from_numpy(x), V).float().sum(2), torch.from_numpy(y)
    telling = torch.zeros(1, 1, 600, 8)
    telling[0, 0, torch.arange(600), 3 + 4 * y[0]] = 1  # the right side speaks strongly
    heard = torch.cat([telling, 0 * telling], dim=1)
    reader = {k: v.expand(1, 2, *v.shape[2:]) for k, v in m.init_readers(gens, 1, V).items()}
    fitted = m.fit_readers(reader, bags[:, :200], heard[:, :, :200], y[:, :200])
    right = (m.read(fitted, bags[:, 200:], heard[:, :, 200:]).argmax(-1) == y[:, None, 200:]).float().mean(-1)
    assert right[0, 0] > 0.95 and abs(right[0, 1] - 0.5) < 0.08


def test_mean_label_averages_probabilities():
    p = torch.tensor([[[0.9, 0.2], [0.3, 0.2], [0.6, 0.8]]])
    assert torch.allclose(m.mean_label(p, [0, 1]), torch.tensor([[0.6, 0.2]]))
    assert torch.equal(m.mean_label(p, [2]), p[:, 2])


# Students


def two_logit_loss(logits, labels, weight):
    """The loss in the published form: two logits, threshold at the quantile that the weak labels' mean gives."""
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
    assert torch.allclose(gradient, (z.sigmoid() - (1 - alpha) * target - alpha * own).detach() / 12, atol=1e-6)
    assert (own.sum(1) == 6).all()  # the classes stay balanced


def student_task(S=2, n=60):
    return models(*range(S)), torch.randint(V, (S, n, L)), torch.rand(S, 2, n)


def test_stacked_students_are_students_one_by_one():
    model, x, target = student_task()
    options = dict(steps=8, lr=2e-3, batch=16)
    both = m.fit_students(model, x, target, generators(1, 2), [0.0, 0.5], **options)(x)
    assert both.shape == (2, 2, 60)
    for s, seed in enumerate((1, 2)):
        for a, alpha in enumerate((0.0, 0.5)):
            alone = m.fit_students(
                single(model, s), x[s : s + 1], target[s : s + 1, a : a + 1], generators(seed), [alpha], **options
            )(x[s : s + 1])
            assert torch.allclose(both[s, a], alone[0, 0], atol=5e-3)


def test_students_start_from_the_pretrained_model_and_leave_it_alone():
    model, x, target = student_task()
    before = {name: weight.clone() for name, weight in model.items()}
    untrained = m.fit_students(model, x, target, generators(1, 2), [0.0, 0.5], steps=1, lr=0.0)
    assert torch.equal(untrained(x), torch.zeros(2, 2, 60))
    m.fit_students(model, x, target, generators(1, 2), [0.0, 0.5], steps=3, lr=1e-2)
    assert all(torch.equal(model[name], before[name]) for name in model)


def test_a_student_learns_a_rule_of_single_words():
    model, x, _ = student_task(S=1, n=400)
    truth = (x == x[0, 0, 0]).any(-1) | (x < 10).float().mean(-1).gt(0.3)
    predict = m.fit_students(model, x, truth[:, None].float(), generators(1), [0.0], steps=150, lr=3e-3)
    assert ((predict(x)[:, 0] > 0) == truth).float().mean() > 0.9


def test_pgr():
    assert m.pgr(0.7, 0.6, 0.8) == pytest.approx(0.5)
    assert m.pgr(0.5, 0.6, 0.8) == pytest.approx(-0.5)
    assert m.pgr(0.9, 0.6, 0.8) == pytest.approx(1.5)
    assert np.allclose(m.pgr(np.array([0.6, 0.8]), 0.6, 0.8), [0, 1])
    # Table 2 of the paper, SciQ: weak 90.0, debate ensemble 92.6, ceiling 93.4, PGR 76.5 %.
    assert m.pgr(92.6, 90.0, 93.4) == pytest.approx(0.765, abs=5e-4)
