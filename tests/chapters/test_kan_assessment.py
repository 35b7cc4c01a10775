"""Method cells of the chapter kan-assessment against scipy's splines, loops, counts of real
modules and limiting cases.
"""

import numpy as np
import pytest
import torch
from scipy.interpolate import BSpline
from sklearn.preprocessing import PolynomialFeatures

from press import method_cells
from unlabeled.networks import Stack
from unlabeled.runtime import InputError

m = method_cells("kan-assessment")
GRIDS = [(1, 1), (5, 3), (10, 2), (4, 0), (1, 3), (5, 5)]


def rngs(n=1):
    return [np.random.default_rng(seed) for seed in range(n)]


def knots(G, k):
    return -1 + (np.arange(G + 2 * k + 1) - k) * 2 / G


def learned(net):
    return sum(p[0].numel() for p in net.parameters())


@pytest.mark.parametrize("G,k", GRIDS)
def test_the_splines_are_scipys(G, k):
    x = np.linspace(-1, 1 - 1e-9, 301)
    ours = m.splines(torch.tensor(x), G, k).numpy()
    assert ours.shape == (G + k, 301) and (ours >= 0).all()
    np.testing.assert_allclose(ours.sum(0), 1, atol=1e-12)
    np.testing.assert_allclose(
        ours.T, BSpline.design_matrix(x, knots(G, k), k).toarray(), atol=1e-12
    )


@pytest.mark.parametrize("G,k", [(1, 1), (5, 3), (10, 2), (5, 5)])
def test_their_slopes_are_scipys(G, k):
    """Also beyond the grid, up to the outermost knots and further, where all is 0."""
    x = torch.linspace(-3.33, 3.31, 200, dtype=torch.float64, requires_grad=True)
    c = np.random.default_rng(1).standard_normal(G + k)
    (torch.tensor(c) @ m.splines(x, G, k)).sum().backward()
    theirs = BSpline(knots(G, k), c, k, extrapolate=False).derivative()
    points = x.detach().numpy()
    full = np.r_[[-np.inf], knots(G, k), [np.inf]]  # scipy gives NaN outside the base interval
    inside = (points > -1) & (points < 1)
    np.testing.assert_allclose(x.grad.numpy()[inside], theirs(points[inside]), atol=1e-9)
    assert (x.grad.numpy()[(points < full[1]) | (points > full[-2])] == 0).all()


def test_at_the_ends():
    x = torch.tensor([1.0, 10.0, -10.0], dtype=torch.float64)
    B = m.splines(x, 5, 3)
    assert B[:, 0].sum() == pytest.approx(1) and (B[:, 1:] == 0).all()


@pytest.mark.parametrize("G,k", [(0, 3), (-2, 3), (5, -1)])
def test_impossible_splines_are_refused_in_a_sentence(G, k):
    with pytest.raises(InputError, match="take k of 0 or more and G of 1 or more"):
        m.splines(torch.zeros(3), G, k)


def test_degree_one_is_piecewise_linear():
    x = torch.linspace(-0.999, -0.601, 50, dtype=torch.float64)
    assert np.abs(np.diff(m.splines(x, 5, 1).numpy(), 2)).max() < 1e-12


def test_a_kan_is_a_loop_over_edges():
    kan = m.KAN((2, 3, 2), rngs())
    x = np.random.default_rng(3).uniform(-1, 1, (4, 2))
    values = x
    for i, o, weights in zip((2, 3), (3, 2), kan.weights):
        W = weights.detach().numpy()[0].astype(float)
        out = np.zeros((4, o))
        for a in range(i):
            basis = np.array(
                [
                    [
                        BSpline.basis_element(knots(5, 3)[g : g + 5], extrapolate=False)(v)
                        for g in range(8)
                    ]
                    for v in values[:, a]
                ]
            )
            silu = values[:, a] / (1 + np.exp(-values[:, a]))
            out += np.outer(silu, W[a, 0]) + np.nan_to_num(basis) @ W[a, 1:]
        values = out
    np.testing.assert_allclose(
        m.answer(kan, torch.tensor(x).float()).detach().numpy()[0], values, atol=1e-5
    )


def test_cuts_are_what_they_say():
    x = torch.rand(1, 20, 2) * 2 - 1
    kept = m.KAN((2, 4, 1), rngs(), cut="shapes")
    whole = m.KAN((2, 4, 1), rngs())
    # the same function as a whole KAN
    for ours, theirs, shapes in zip(whole.weights, kept.weights, kept.shapes):
        ours.data = torch.cat([theirs[:, :, :1], theirs[:, :, 1:] * shapes], 2).detach()
    torch.testing.assert_close(m.answer(kept, x), m.answer(whole, x))
    assert not any(shape.requires_grad for shape in kept.shapes)
    bare = m.KAN((2, 4, 1), rngs(), cut="spline")
    mlp = Stack((2, 4, 1), rngs(), "silu")  # the same weights, behind a silu of the inputs
    for layer, (weights, bias) in enumerate(zip(mlp.weights, mlp.biases)):
        weights.data, bias.data = (
            bare.weights[layer].data[:, :-1, 0],
            bare.weights[layer].data[:, -1:, 0],
        )
    torch.testing.assert_close(m.answer(bare, x), mlp(torch.nn.functional.silu(x)))


def test_a_spline_mlp_is_a_loop_over_nodes():
    net = m.SplineMLP((3, 4, 2), rngs())
    x = torch.rand(1, 6, 3)
    V, U = (w.detach()[0] for w in net.lines.weights)
    z = x[0] @ V
    total = torch.zeros(6, 2)
    for j in range(4):
        bend = net.c[0][0, j] @ m.splines(z[:, j], 5, 3)
        curve = net.w[0][0, 0, j] * z[:, j] / (1 + torch.exp(-z[:, j])) + bend
        total += torch.outer(curve, U[j])
    torch.testing.assert_close(net(x)[0], total)


def test_a_deep_spline_mlp_is_two_shallow_ones():
    """Cut between its hidden layers, with an identity for the lines that lead out and in."""
    deep, x = m.SplineMLP((3, 4, 5, 2), rngs()), torch.rand(1, 6, 3)
    first, second = m.SplineMLP((3, 4, 4), rngs()), m.SplineMLP((4, 5, 2), rngs())
    W, b = deep.lines.weights, deep.lines.biases
    for half, at in ((first, 0), (second, 1)):
        half.w[0].data, half.c[0].data = deep.w[at].data, deep.c[at].data
        half.lines.weights[0].data, half.lines.biases[0].data = W[at].data, b[at].data
    first.lines.weights[1].data, first.lines.biases[1].data = torch.eye(4)[None], 0 * b[0].data
    second.lines.weights[1].data, second.lines.biases[1].data = W[2].data, b[2].data
    torch.testing.assert_close(second(first(x)), deep(x))


KINDS = ["KAN", "shapes kept", "no spline", "MLP", "spline MLP"]


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("d,out,target,G", [(2, 1, 135, 5), (13, 3, 500, 2), (64, 10, 5328, 2)])
def test_networks_learn_as_many_numbers_as_they_say(kind, d, out, target, G):
    """Against a search over widths and the parameters that the modules hold."""
    net = m.network(kind, rngs(2), d, out, target, G=G)
    size = lambda w: m.numbers(kind, (d, w, out), G)
    assert learned(net) in {size(w) for w in range(1, 300)}
    assert abs(learned(net) - target) == min(abs(size(w) - target) for w in range(1, 300))


def test_a_deep_mlp_is_counted_too():
    assert (
        learned(m.network("MLP", rngs(), 2, 1, 135, depth=3))
        == m.numbers("MLP", (2, 7, 7, 7, 1))
        == 141
    )
    net = m.network("spline MLP", rngs(), 2, 1, 135, depth=2)
    assert learned(net) == m.numbers("spline MLP", (2, 5, 5, 1)) == 141


def test_a_budget_below_the_smallest_network_is_refused():
    with pytest.raises(InputError, match="raise the budget"):
        m.network("KAN", rngs(), 64, 10, 100)


@pytest.mark.parametrize("kind", KINDS)
def test_members_are_trained_as_if_alone(kind):
    x, y = torch.rand(3, 80, 2) * 2 - 1, torch.rand(3, 80)
    loss = lambda out, y: ((out[..., 0] - y) ** 2).mean(1).sum()
    together = m.train(m.network(kind, rngs(3), 2, 1, 60), x, y, loss, 12, 0.03)
    alone = m.train(m.network(kind, rngs(3)[1:2], 2, 1, 60), x[1:2], y[1:2], loss, 12, 0.03)
    torch.testing.assert_close(
        m.answer(together, x)[1], m.answer(alone, x[1:2])[0], atol=1e-4, rtol=1e-3
    )


def test_expanding_once_changes_nothing():
    kan, x = m.KAN((2, 4, 1), rngs(2)), torch.rand(2, 9, 2)
    torch.testing.assert_close(m.answer(kan, kan.expand(x), expanded=True), m.answer(kan, x))


def test_operations_are_those_of_the_loop():
    for G, k in ((5, 3), (2, 1), (10, 5)):
        edge = sum(9 * (G + 2 * k - p) for p in range(1, k + 1)) + 2 * (G + k) + 1
        assert m.operations("KAN", (3, 4, 2), G, k) == 20 * (edge + 2)
    assert m.operations("MLP", (3, 4, 2)) == 2 * 20


def test_points_fill_the_disc_and_a_turn_turns():
    source = np.random.default_rng(5)
    x, y = m.points(source, m.exp_sin, 0.6, 20_000)
    radius = np.hypot(*x.T)
    assert radius.max() <= 1 and np.mean(radius < 0.5) == pytest.approx(0.25, abs=0.01)
    c, s = np.cos(0.6), np.sin(0.6)
    straight = np.exp(
        np.sin(np.pi * (c * x[:, 0] - s * x[:, 1])) + (s * x[:, 0] + c * x[:, 1]) ** 2
    )
    assert np.corrcoef(straight, y)[0, 1] == pytest.approx(1)
    assert y.mean() == pytest.approx(0, abs=1e-9) and y.std() == pytest.approx(1)
    with pytest.raises(InputError, match="constant"):
        m.points(source, lambda x: np.ones(len(x)), 0.0, 50)


def test_least_squares_finds_what_lies_in_its_span():
    source = np.random.default_rng(6)
    x, new = source.uniform(-1, 1, (600, 2)), source.uniform(-1, 1, (50, 2))
    cubic = lambda z: 2 * z[:, 0] ** 3 - z[:, 0] * z[:, 1] ** 2 + 0.5
    np.testing.assert_allclose(m.least_squares(x, cubic(x), new), cubic(new), atol=1e-4)
    assert m.products(x).shape == (600, 121) and m.monomials(x).shape == (600, 136)
    theirs = PolynomialFeatures(4).fit_transform(x)  # the same span, by rank
    both = np.c_[theirs, m.monomials(x, 4)]
    assert np.linalg.matrix_rank(both) == np.linalg.matrix_rank(theirs) == 15
