"""Method cells of the chapter rotation-prediction against NumPy, scikit-learn, plain torch, tiny loops and limiting cases."""

import copy
import math

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from matplotlib.path import Path
from sklearn.linear_model import Ridge
from torch import nn

from press import method_cells

m = method_cells("rotation-prediction")
MINI = [([(3, 6), (1, 6)], ("max", 2)), ([(3, 8), (1, 8)], ("average", 2)), ([(3, 8), (1, 8)], None)]
AUTHORS = [
    ([(5, 192), (1, 160), (1, 96)], ("max", 3)),
    ([(5, 192), (1, 192), (1, 192)], ("average", 3)),
    ([(3, 192), (1, 192), (1, 192)], None),
    ([(3, 192), (1, 192), (1, 192)], None),
]


@pytest.fixture(autouse=True)
def one_thread():
    torch.set_num_threads(1)
    torch.manual_seed(7)


def pictures(n, seed=0, kind=None):
    labels = np.arange(n) % 10 if kind is None else np.full(n, kind)
    return torch.from_numpy(m.draw(labels, np.random.default_rng(seed))[0])


# Rotations


@pytest.mark.parametrize("shape", [(5, 5), (3, 4), (2, 3, 4, 6)])
def test_rotate_is_rot90(shape):
    array = np.random.default_rng(0).standard_normal(shape)
    tensor = torch.from_numpy(array)
    for k in range(-4, 8):
        assert np.array_equal(m.rotate(tensor, k).numpy(), np.rot90(array, k, axes=(-2, -1)))
        assert torch.equal(m.rotate(m.rotate(tensor, k), 4 - k), tensor)


def test_rotate_is_the_authors_rotation_of_height_width_channel_arrays():
    image = np.random.default_rng(1).standard_normal((6, 6, 3))
    theirs = [
        image,
        np.flipud(np.transpose(image, (1, 0, 2))),
        np.fliplr(np.flipud(image)),
        np.transpose(np.flipud(image), (1, 0, 2)),
    ]
    for k in range(4):
        ours = m.rotate(torch.from_numpy(image).permute(2, 0, 1), k).permute(1, 2, 0).numpy()
        assert np.array_equal(ours, theirs[k])


def test_cross_entropy_of_the_batch_is_the_papers_loss():
    images = pictures(6)
    net = m.NIN(MINI, 1, [4]).eval()
    inputs, labels = m.turned_copies(images, range(4))
    with torch.no_grad():
        batch = F.cross_entropy(net(inputs)[0], labels).item()
        by_formula = np.mean([
            -np.mean([
                math.log(net(torch.rot90(image, y, (-2, -1))[None])[0].softmax(1)[0, y].item()) for y in range(4)
            ]) for image in images
        ])
    assert batch == pytest.approx(by_formula, abs=1e-5)


def test_a_network_that_knows_nothing_pays_ln_4():
    net = m.NIN(MINI, 1, [4]).eval()
    nn.init.zeros_(net.heads[0].weight)
    inputs, labels = m.turned_copies(pictures(3), range(4))
    assert F.cross_entropy(net(inputs)[0], labels).item() == pytest.approx(math.log(4), abs=1e-6)


def test_no_classifier_beats_chance_on_pictures_without_an_up():
    images = pictures(20)
    symmetric = sum(m.rotate(images, k) for k in range(4)) / 4
    for _ in range(3):
        net = m.calibrate(m.NIN(MINI, 1, [4]), images)
        assert m.rotation_accuracy(net, symmetric) == pytest.approx(0.25, abs=0.02)  # ties may break by rounding


def test_rotation_accuracy_of_an_oracle_is_one_and_of_a_constant_a_quarter():
    images = torch.zeros(5, 1, 4, 4)
    images[:, :, 0, 1] = 1  # a lit pixel in the top row

    def oracle(x):
        turns = [(x - m.rotate(images[:1], k)).abs().sum((1, 2, 3)) for k in range(4)]
        return [-torch.stack(turns, dim=1)]

    assert m.rotation_accuracy(oracle, images) == 1
    assert m.rotation_accuracy(lambda x: [torch.eye(4)[[2]].repeat(len(x), 1)], images) == 0.25
    assert m.rotation_accuracy(lambda x: [torch.eye(2)[[1]].repeat(len(x), 1)], images, turns=(0, 2)) == 0.5


# The world


def test_rectangle_and_disc_are_true_distances():
    x, y = np.random.default_rng(2).uniform(-1.5, 1.5, (2, 200))
    t = np.linspace(-1, 1, 2001)
    edge = np.concatenate([
        np.stack([0.1 + 0.5 * t, np.full_like(t, -0.2 + s * 0.3)], 1) for s in (-1, 1)
    ] + [np.stack([np.full_like(t, 0.1 + s * 0.5), -0.2 + 0.3 * t], 1) for s in (-1, 1)])
    nearest = np.sqrt(((np.stack([x, y], 1)[:, None] - edge) ** 2).sum(-1)).min(1)
    inside = (np.abs(x - 0.1) < 0.5) & (np.abs(y + 0.2) < 0.3)
    assert np.allclose(m.rectangle(x, y, 0.1, -0.2, 0.5, 0.3), np.where(inside, -nearest, nearest), atol=1e-3)
    assert np.allclose(m.disc(x, y, 0.3, 0.1, 0.4), np.abs(x + 1j * y - (0.3 + 0.1j)) - 0.4)


def test_triangle_and_dome_have_the_right_inside():
    x, y = np.random.default_rng(3).uniform(-1, 1, (2, 2000))
    corners = Path([(-0.4, -0.3), (0.8, -0.3), (0.2, 0.6)])
    assert np.array_equal(m.triangle(x, y, 0.2, -0.3, 0.6, 0.9) < 0, corners.contains_points(np.stack([x, y], 1)))
    assert np.array_equal(m.dome(x, y, 0.1, -0.2, 0.7) < 0, (np.hypot(x - 0.1, y + 0.2) < 0.7) & (y > -0.2))


def test_pictures_are_standardised_reproducible_and_boxed():
    first, boxes = m.draw(np.arange(22) % 11, np.random.default_rng(4))
    again, _ = m.draw(np.arange(22) % 11, np.random.default_rng(4))
    assert first.shape == (22, 1, 12, 12) and first.dtype == np.float32 and np.array_equal(first, again)
    assert np.allclose(first.mean((1, 2, 3)), 0, atol=1e-5) and np.allclose(first.std((1, 2, 3)), 1, atol=1e-4)
    assert (np.abs(boxes[:, :2]) + boxes[:, 2:] <= 1 + 1e-6).all()  # the object stays in the picture


def test_box_is_where_the_ball_is():
    images, boxes = m.draw(np.full(300, 10), np.random.default_rng(5), size=24)
    loud = (images[:, 0] - np.median(images[:, 0], (1, 2), keepdims=True)) ** 4
    grid = (np.arange(24) + 0.5) / 12 - 1
    x = (loud * grid).sum((1, 2)) / loud.sum((1, 2))
    y = (loud * -grid[:, None]).sum((1, 2)) / loud.sum((1, 2))
    assert np.corrcoef(x, boxes[:, 0])[0, 1] > 0.6 and np.corrcoef(y, boxes[:, 1])[0, 1] > 0.6


def test_balls_carry_no_cue_of_up_and_planted_ones_do():
    balls = pictures(4000, seed=6, kind=10)
    ramp = torch.linspace(1, -1, 12)[:, None]
    for images in (balls, balls.abs(), balls**3):
        slope = (images * ramp).mean((1, 2, 3))
        assert abs(slope.mean()) < 4 * slope.std() / len(balls) ** 0.5
    assert (m.plant(balls) * ramp).mean() > 0.3


def test_plant_is_the_standardised_sum():
    images = pictures(4)
    ours = m.plant(images, 2.0).numpy()
    theirs = images.numpy() + np.linspace(2, -2, 12)[:, None]
    theirs = (theirs - theirs.mean((1, 2, 3), keepdims=True)) / theirs.std((1, 2, 3), ddof=1, keepdims=True)
    assert np.allclose(ours, theirs, atol=1e-5)


# Batches


def test_augment_mirrors_and_crops_as_a_loop_would():
    images = torch.randn(40, 3, 6, 6)
    mirrored = m.augment(images, np.random.default_rng(0))
    kept = [torch.equal(a, b) for a, b in zip(mirrored, images)]
    flipped = [torch.equal(a, b.flip(-1)) for a, b in zip(mirrored, images)]
    assert all(a != b for a, b in zip(kept, flipped)) and 8 < sum(kept) < 32
    cropped = m.augment(images, np.random.default_rng(1), crop=2, mirror=False)
    padded = F.pad(images, (2, 2, 2, 2))
    for picture, wide in zip(cropped, padded):
        windows = [wide[:, i : i + 6, j : j + 6] for i in range(5) for j in range(5)]
        assert sum(torch.equal(picture, window) for window in windows) == 1
    assert torch.equal(m.augment(images, np.random.default_rng(2), mirror=False), images)


def test_the_control_changes_labels_only_and_keeps_each_pictures_copies_apart():
    images = pictures(50)
    real = m.rotation_batch(images, (0, 1, 2, 3), 400, np.random.default_rng(3))()
    spun = m.rotation_batch(images, (0, 1, 2, 3), 400, np.random.default_rng(3), spin=True)()
    assert torch.equal(real[0], spun[0])
    assert torch.equal(real[1], torch.arange(4).repeat_interleave(400))
    by_picture = spun[1].reshape(4, 400)
    assert torch.equal((by_picture - by_picture[0]) % 4, torch.arange(4)[:, None].repeat(1, 400))
    assert torch.bincount(by_picture[0], minlength=4).min() > 60  # zero points are drawn evenly


def test_sampler_without_crops_gives_the_maps_of_augmented_pictures():
    images, net = pictures(12), m.NIN(MINI, 1, [4]).eval()
    i = np.array([3, 3, 7, 0])

    def extract(x):
        return m.block_maps(net, x, 2)[-1]

    cached = m.sampler(images, np.random.default_rng(8), extract=extract)(i)
    fresh = extract(m.augment(images[i], np.random.default_rng(8)))
    assert torch.allclose(cached, fresh, atol=1e-5)
    assert torch.equal(m.sampler(images, np.random.default_rng(8), mirror=False)(i), images[i])
    padded = m.sampler(images, np.random.default_rng(8), crop=1, extract=extract)(i)
    assert torch.allclose(padded, extract(m.augment(images[i], np.random.default_rng(8), crop=1)), atol=1e-6)


def test_labeled_batch_keeps_to_the_budget():
    images = torch.arange(30.0).reshape(30, 1, 1, 1)
    batch = m.labeled_batch(m.sampler(images, np.random.default_rng(0)), torch.arange(30), 5, 200, np.random.default_rng(1))
    drawn, labels = batch()
    assert torch.equal(drawn.flatten(), labels.float()) and set(labels.tolist()) == set(range(5))


# Networks


def test_authors_network_has_1_41_million_weights_and_the_papers_map_sizes():
    net = m.NIN(AUTHORS, 3, [4]).eval()
    assert sum(weight.numel() for weight in net.parameters()) == 1_411_140
    assert [tuple(x.shape[1:]) for x in m.block_maps(net, torch.zeros(1, 3, 32, 32))] == [
        (96, 16, 16), (192, 8, 8), (192, 8, 8), (192, 8, 8)
    ]
    first = net.blocks[1][0].weight
    assert first.std().item() == pytest.approx((2 / (25 * 192)) ** 0.5, rel=0.02)


def test_one_arm_is_a_plain_sequential_network():
    net = m.NIN(MINI, 1, [4]).eval()
    plain = nn.Sequential(
        nn.Conv2d(1, 6, 3, padding=1, bias=False), nn.BatchNorm2d(6), nn.ReLU(),
        nn.Conv2d(6, 6, 1, bias=False), nn.BatchNorm2d(6), nn.ReLU(), nn.MaxPool2d(2),
        nn.Conv2d(6, 8, 3, padding=1, bias=False), nn.BatchNorm2d(8), nn.ReLU(),
        nn.Conv2d(8, 8, 1, bias=False), nn.BatchNorm2d(8), nn.ReLU(), nn.AvgPool2d(2),
        nn.Conv2d(8, 8, 3, padding=1, bias=False), nn.BatchNorm2d(8), nn.ReLU(),
        nn.Conv2d(8, 8, 1, bias=False), nn.BatchNorm2d(8), nn.ReLU(),
        nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(8, 4),
    ).eval()
    plain.load_state_dict(dict(zip(plain.state_dict(), net.state_dict().values())))
    x = pictures(5)
    assert torch.allclose(net(x)[0], plain(x), atol=1e-6)


def test_arms_start_alike_and_train_as_if_alone():
    classes, steps = [4, 2], 6
    together = m.NIN(MINI, 1, classes)
    alone = [together.arm(0), together.arm(1)]
    weights = together.blocks[0][0].weight
    assert torch.equal(*weights.chunk(2))

    def batches():
        rngs = [np.random.default_rng(s) for s in (11, 12)]
        return [m.rotation_batch(pictures(30), turns, n, rng) for turns, n, rng in zip(((0, 1, 2, 3), (0, 2)), (4, 8), rngs)]

    m.fit(together, batches(), steps, 0.1)
    x = pictures(10, seed=9)
    for place, (net, batch) in enumerate(zip(alone, batches())):
        m.fit(net, [batch], steps, 0.1)
        assert torch.allclose(together.arm(place)(x)[0], net(x)[0], atol=2e-3)
        assert torch.allclose(together(x.repeat(1, 2, 1, 1))[place], together.arm(place)(x)[0], atol=1e-5)


def test_fit_is_nesterov_sgd_with_weight_decay():
    net = m.NIN(MINI, 1, [4])
    other = copy.deepcopy(net)
    m.fit(net, [m.rotation_batch(pictures(30), range(4), 4, np.random.default_rng(0))], 5, 0.1, drops=(0.4,))
    batch = m.rotation_batch(pictures(30), range(4), 4, np.random.default_rng(0))
    momentum = [torch.zeros_like(w) for w in other.parameters()]
    other.train()
    for step in range(5):
        inputs, labels = batch()
        other.zero_grad()
        F.cross_entropy(other(inputs)[0], labels).backward()
        with torch.no_grad():
            for w, v in zip(other.parameters(), momentum):
                g = w.grad + 5e-4 * w
                v.mul_(0.9).add_(g)
                w.sub_((0.1 if step < 2 else 0.02) * (g + 0.9 * v))
    for a, b in zip(net.parameters(), other.parameters()):
        assert torch.allclose(a, b, atol=2e-3)


def test_learning_rates():
    drops = (0.3, 0.6, 0.8)
    rates = [m.learning_rate(epoch, 200, 0.1, drops) for epoch in (0, 59, 60, 120, 160, 199)]
    assert np.allclose(rates, [0.1, 0.1, 0.02, 0.004, 0.0008, 0.0008])
    cosine = np.array([m.learning_rate(step, 100, 0.2) for step in range(100)])
    assert cosine.argmax() == 19 and cosine.max() == pytest.approx(0.2)
    assert cosine[-1] == pytest.approx(0, abs=1e-12) and (np.diff(cosine[19:]) < 0).all() and (np.diff(cosine[:20]) > 0).all()


def test_calibrate_measures_what_the_layers_see():
    images, net = pictures(40), m.NIN(MINI, 1, [4])
    before = {name: weight.clone() for name, weight in net.named_parameters()}
    m.calibrate(net, images)
    with torch.no_grad():
        seen = net.blocks[0][0](images)
    assert torch.allclose(net.blocks[0][1].running_mean, seen.mean((0, 2, 3)), atol=1e-5)
    assert torch.allclose(net.blocks[0][1].running_var, seen.var((0, 2, 3)), rtol=1e-4)
    assert all(torch.equal(weight, before[name]) for name, weight in net.named_parameters()) and not net.training


def test_block_maps_do_not_depend_on_the_chunk():
    net, images = m.NIN(MINI, 1, [4]).eval(), pictures(10)
    whole, parts = m.block_maps(net, images), m.block_maps(net, images, chunk=3)
    assert len(whole) == 3 and not whole[0].requires_grad
    assert all(torch.allclose(a, b, atol=1e-6) for a, b in zip(whole, parts))
    assert m.probe_features(whole[0]).shape == (10, 6 * 16) and m.probe_features(whole[2]).shape == (10, 8 * 9)


def test_hidden_classifier_has_two_hidden_layers_of_200():
    classifier = m.HiddenClassifier(72, 10)
    assert [layer.weight.shape[0] for layer in classifier.layers if isinstance(layer, nn.Linear)] == [200, 200, 10]
    assert classifier(torch.randn(5, 8, 3, 3))[0].shape == (5, 10)


# Probes


def test_ridge_probe_is_scikit_learns_ridge_with_leave_one_out():
    rng = np.random.default_rng(0)
    X, new = rng.standard_normal((25, 8)) * rng.uniform(0.5, 3, 8), rng.standard_normal((6, 8))
    T = X[:, :2] @ rng.standard_normal((2, 3)) + rng.standard_normal((25, 3))
    predicted, penalty, e = m.ridge_probe(X, T, new)
    mean, spread = X.mean(0), X.std(0) + 1e-6
    A = (X - mean) / spread
    assert np.allclose(predicted, Ridge(penalty).fit(A, T).predict((new - mean) / spread), atol=1e-8)

    def left_out(value):  # refit without each row in turn; the units of the features stay
        rows = [np.delete(np.arange(25), i) for i in range(25)]
        return np.stack([T[i] - Ridge(value).fit(A[r], T[r]).predict(A[[i]])[0] for i, r in enumerate(rows)])

    assert np.allclose(e, left_out(penalty), atol=1e-8)
    errors = {value: (left_out(value) ** 2).sum() for value in np.logspace(0, 4, 9)}
    assert penalty == min(errors, key=errors.get)


def test_ridge_probe_with_more_features_than_rows():
    rng = np.random.default_rng(1)
    X, T, new = rng.standard_normal((15, 40)), rng.standard_normal((15, 2)), rng.standard_normal((4, 40))
    predicted, _, _ = m.ridge_probe(X, T, new, penalties=[3.0])
    A, B = (((x - X.mean(0)) / (X.std(0) + 1e-6)) for x in (X, new))
    assert np.allclose(predicted, Ridge(3.0).fit(A, T).predict(B), atol=1e-8)


def test_probe_accuracy_in_the_easy_and_the_hopeless_case():
    rng = np.random.default_rng(2)
    y = np.arange(300) % 3
    easy = np.eye(3)[y] + 0.05 * rng.standard_normal((300, 3))
    assert m.probe_accuracy(easy[:200], y[:200], easy[200:], y[200:]) == 1
    noise = rng.standard_normal((300, 5))
    assert m.probe_accuracy(noise[:200], y[:200], noise[200:], y[200:]) < 0.5


# Attention


def test_attention_and_agreement_against_loops():
    one, other = torch.randn(6, 4, 3, 3), torch.randn(6, 4, 3, 3)
    by_loop = sum(one[:, c].abs() ** 4 for c in range(4))
    assert torch.allclose(m.attention(one, 4), by_loop, rtol=1e-5)
    a, b = m.attention(one), m.attention(other)
    correlations = [np.corrcoef(x.flatten(), y.flatten())[0, 1] for x, y in zip(a.numpy(), b.numpy())]
    assert m.agreement(a, b) == pytest.approx(np.mean(correlations), abs=1e-6)
    assert m.agreement(a, 3 * a + 2) == pytest.approx(1) and m.agreement(a, -a) == pytest.approx(-1)


# Does it learn?


def test_a_lit_edge_is_learned_and_the_control_cannot_learn_it():
    images = pictures(400)
    images[:, :, 0] = 4.0  # the top row is lit: the easiest cue of up there is
    pair = m.NIN(MINI, 1, [4, 4])
    batches = [m.rotation_batch(images, range(4), 8, np.random.default_rng(s), spin=bool(s)) for s in (0, 1)]
    m.fit(pair, batches, 60, 0.2)
    test = images[:100]
    assert m.rotation_accuracy(pair.arm(0), test) > 0.98
    inputs, labels = m.turned_copies(test, range(4))
    with torch.no_grad():  # against labels without a common up a network that has learned pays at least ln 4
        logits = pair.arm(1)(inputs)[0]
    assert F.cross_entropy(logits, labels).item() > 1.2 and logits.softmax(1).max(1).values.mean() < 0.5
