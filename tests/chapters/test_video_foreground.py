"""The method cells of the chapter on video foreground against independent implementations and known
answers.
"""

import numpy as np
import pytest
import torch
from scipy import ndimage
from scipy.spatial.distance import mahalanobis
from scipy.stats import spearmanr
from skimage.color import rgb2hsv
from skimage.measure import label, regionprops
from sklearn.decomposition import PCA
from sklearn.linear_model import Ridge
from sklearn.metrics import jaccard_score
from torch.utils.flop_counter import FlopCounterMode

from press import method_cells


@pytest.fixture(scope="module")
def m():
    return method_cells("video-foreground")


@pytest.fixture
def rng():
    return np.random.default_rng(0)


def runner(size=32, T=10, step=2, side=9):
    """A film with a square that runs over a plain ground, and its masks."""
    x, g = np.full((1, T, size, size, 3), 0.3, np.float32), np.zeros((1, T, size, size), bool)
    for t in range(T):
        g[0, t, 10 : 10 + side, 2 + step * t : 2 + step * t + side] = True
    x[g] = (0.9, 0.1, 0.1)
    return x, g


# The films


def test_photographs_come_with_scikit_image_and_keep_their_shape(m):
    grey, colour = m.load_photographs(("page", "coffee"), 48)
    assert grey.shape == (48, round(48 * 384 / 191), 3) and colour.shape == (48, 72, 3)
    assert (grey[..., 0] == grey[..., 2]).all() and np.ptp(colour, axis=-1).max() > 0.2
    for picture in (grey, colour):
        assert picture.dtype == np.float32 and picture.min() >= 0 and picture.max() <= 1


def test_tint_with_weight_zero_changes_nothing_and_keeps_the_range(m, rng):
    picture = rng.random((5, 6, 3), dtype=np.float32)
    assert np.array_equal(m.tint(rng, picture, 0), picture)
    strong = m.tint(rng, picture, 1)
    inside = (strong > 0) & (strong < 1) & (picture > 0.01)
    for channel in range(3):  # one factor for each channel
        ratio = (strong / picture)[..., channel][inside[..., channel]]
        assert len(ratio) == 0 or np.ptp(ratio) < 1e-4


@pytest.mark.parametrize("corner", [(-3, -2), (2, 3), (7, 6), (-9, 0), (20, 20)])
def test_paste_equals_a_loop_over_pixels(m, rng, corner):
    canvas, patch, shape = rng.random((10, 9, 3)), rng.random((5, 5, 3)), rng.random((5, 5)) < 0.6
    expected = canvas.copy()
    for i in range(5):
        for j in range(5):
            y, x = corner[0] + i, corner[1] + j
            if shape[i, j] and 0 <= y < 10 and 0 <= x < 9:
                expected[y, x] = patch[i, j]
    m.paste(canvas, patch, shape, *corner)
    assert np.array_equal(canvas, expected)


def test_blobs_have_the_promised_size(m, rng):
    widths = [np.ptp(np.flatnonzero(m.blob(rng, 1).any(axis=axis % 2))) + 1 for axis in range(200)]
    assert 8 <= min(widths) and max(widths) <= 23


def magenta(m):
    """Grounds without red beside a thing that is pure magenta, so that the frames show where the
    thing is.
    """
    ground = np.zeros((96, 96, 3), np.float32)
    ground[..., 1] = np.random.default_rng(5).random((96, 96))
    thing = np.zeros((64, 64, 3), np.float32)
    thing[..., (0, 2)] = 1
    return [ground], [thing]


def test_masks_are_true_exactly_where_the_thing_is_seen(m, rng):
    films = m.make_films(rng, 20, *magenta(m), noise=0)
    assert films.x.shape == (20, 10, 32, 32, 3) and films.g.any(axis=(2, 3)).all()
    assert np.array_equal(films.g, films.x[..., 0] == 1)


def test_still_things_stay_and_a_resting_camera_films_one_frame(m, rng):
    films = m.make_films(rng, 12, *magenta(m), noise=0, camera=0, paces=(0, 0, 0, 0))
    assert (films.x == films.x[:, :1]).all() and (films.g == films.g[:, :1]).all()
    moved = m.make_films(rng, 12, *magenta(m), noise=0, camera=0, paces=(2, 2, 2, 2))
    assert (moved.g[:, 1:] != moved.g[:, :-1]).any(axis=(2, 3)).mean() > 0.9


def test_films_depend_on_the_generator_alone(m):
    one, two = (m.make_films(np.random.default_rng(3), 4, *magenta(m)) for _ in range(2))
    assert (
        np.array_equal(one.x, two.x)
        and np.array_equal(one.g, two.g)
        and np.array_equal(one.group, two.group)
    )


def test_held_films_repeat_their_first_frame(m, rng):
    films = m.make_films(rng, 3, *magenta(m))
    held = m.hold(rng, films)
    assert (held.g == films.g[:, :1]).all() and (held.group == films.group).all()
    deviation = held.x - films.x[:, :1]
    inside = (films.x[:, :1] > 0.1) & (films.x[:, :1] < 0.9)
    assert abs(deviation[np.broadcast_to(inside, deviation.shape)].std() - 0.02) < 0.001
    assert not (held.x[:, 1] == held.x[:, 2]).all()


# The teacher


@pytest.mark.parametrize("k", [1, 3, 6])
def test_videopca_error_equals_scikit_learns_pca(m, rng, k):
    x = rng.random((2, 10, 6, 7, 3))
    error = m.videopca_error(x, k)
    for film, e in zip(x, error):
        X = film.reshape(10, -1)
        model = PCA(k, svd_solver="full").fit(X)
        rest = (X - model.inverse_transform(model.transform(X))).reshape(film.shape)
        assert np.abs(np.linalg.norm(rest, axis=-1) - e).max() < 1e-10


def test_videopca_error_at_its_limits(m, rng):
    x = rng.random((1, 8, 5, 5, 3))
    assert m.videopca_error(x, 7).max() < 1e-7
    assert np.allclose(
        m.videopca_error(x, 0), np.linalg.norm(x - x.mean(axis=1, keepdims=True), axis=-1)
    )
    total = [(m.videopca_error(x, k) ** 2).sum() for k in range(8)]
    assert (np.diff(total) < 0).all()


def test_blur_and_stretch(m, rng):
    a = rng.random((2, 3, 16, 16))
    blurred = m.blur(a, 1.5)
    assert np.allclose(blurred[1, 2], ndimage.gaussian_filter(a[1, 2], 1.5, truncate=3))
    assert np.allclose(m.blur(np.full((1, 9, 9), 0.4), 2), 0.4)
    stretched = m.stretch(a)
    assert np.allclose(stretched.min(axis=(2, 3)), 0) and np.allclose(stretched.max(axis=(2, 3)), 1)
    assert (m.stretch(np.full((1, 4, 4), 0.7)) == 0).all()


def test_centre_blob_is_the_formula(m):
    blob = m.centre_blob(9, 0.3)
    assert blob[4, 4] == 1 and np.allclose(blob, blob.T) and np.allclose(blob, blob[::-1])
    assert blob[4, 6] == pytest.approx(np.exp(-((2 / 2.7) ** 2) / 2))


def test_colour_codes_number_the_boxes_of_the_cube(m, rng):
    x = np.concatenate([rng.random((50, 3)), np.eye(3), np.ones((1, 3)), np.zeros((1, 3))]).astype(
        np.float32
    )
    level = np.minimum(np.floor(x.astype(float) * 8), 7).astype(int)
    assert np.array_equal(m.colour_codes(x), np.ravel_multi_index(level.T, (8, 8, 8)))


def test_colour_posterior_equals_bayes_rule_film_by_film(m, rng):
    codes, mask = rng.integers(0, 512, (3, 4, 6, 6)), rng.random((3, 4, 6, 6))
    codes[:, :, :3] //= 100  # some colours are common
    got = m.colour_posterior(codes, mask)
    for film in range(3):
        fg, bg = np.zeros(512), np.zeros(512)
        for c, weight in zip(codes[film].ravel(), mask[film].ravel()):
            fg[c] += weight
            bg[c] += 1 - weight
        fg, bg = fg / fg.sum() + 1e-4, bg / bg.sum() + 1e-4
        assert np.abs(got[film] - (fg / (fg + bg))[codes[film]]).max() < 1e-6


def test_colour_posterior_of_exclusive_and_undecided_colours(m):
    codes = np.zeros((1, 1, 4, 4), int)
    codes[..., 2:] = 7
    certain = m.colour_posterior(codes, (codes == 7).astype(float))
    assert (certain[codes == 7] > 0.999).all() and (certain[codes == 0] < 0.001).all()
    assert np.allclose(m.colour_posterior(codes, np.full(codes.shape, 0.5)), 0.5)
    few = np.zeros(codes.shape)
    # the background is larger, yet a colour that is half in the mask does not become background
    few[..., 3] = 1
    assert m.colour_posterior(codes, few)[0, 0, 0, 3] > 0.5


def test_the_teacher_finds_a_runner_whatever_the_chunk(m):
    x, g = runner()
    mask = m.teacher(x)
    assert mask.shape == g.shape and mask.min() == 0 and mask.max() == 1
    assert m.iou(m.flat(mask), m.flat(g), [0.4]).mean() > 0.5
    many = np.concatenate([x, x[:, ::-1], x[:, :, ::-1]])
    assert np.abs(m.teacher(many, chunk=1) - m.teacher(many, chunk=100)).max() < 1e-4
    assert np.array_equal(m.teacher_stages(x)["mask"], mask)


# Selection and scores


def test_selection_score_equals_a_loop(m, rng):
    masks = rng.random((20, 5, 5)) ** 3
    masks[3] = 0.1
    expected = [mask[mask >= 0.5].mean() if (mask >= 0.5).any() else 0 for mask in masks]
    assert np.allclose(m.selection_score(masks), expected)
    assert m.selection_score(masks)[3] == 0


def test_select_takes_the_best_first(m):
    q = np.array([0.1, 0.9, 0.5, 0.9, 0.2])
    assert m.select(q, 0.6).tolist() == [1, 3, 2] and len(m.select(q, 0.01)) == 1


def test_iou_equals_scikit_learns_jaccard_score(m, rng):
    masks, truth = rng.random((6, 8, 8)), rng.random((6, 8, 8)) < 0.3
    got = m.iou(masks, truth, [0.2, 0.7])
    for i in range(6):
        for column, threshold in enumerate((0.2, 0.7)):
            assert got[i, column] == pytest.approx(
                jaccard_score(truth[i].ravel(), (masks[i] > threshold).ravel())
            )
    assert (m.iou(truth.astype(float), truth, [0.5]) == 1).all() and (
        m.iou(~truth * 1.0, truth, [0.5]) == 0
    ).all()
    assert (m.iou(np.zeros((1, 4, 4)), np.zeros((1, 4, 4), bool), [0.5]) == 0).all()


def test_best_threshold_is_the_best(m, rng):
    truth = rng.random((10, 8, 8)) < 0.4
    masks = np.where(truth, 0.62, 0.48) + 0.01 * rng.random(truth.shape)
    assert 0.49 < m.best_threshold(masks, truth) < 0.63


def test_flat_keeps_the_order_of_films_and_frames(m):
    a = np.arange(2 * 10).reshape(2, 10)
    assert m.flat(a, 3).tolist() == [0, 3, 6, 9, 10, 13, 16, 19] and m.flat(a).tolist() == list(
        range(20)
    )


def test_largest_box_equals_scikit_images_regions(m, rng):
    assert m.largest_box(np.zeros((5, 5), bool)) is None
    for _ in range(30):
        b = ndimage.uniform_filter(rng.random((24, 24)), 3) > 0.55
        regions = regionprops(label(b, connectivity=1))
        if regions:
            largest = max(region.area for region in regions)
            assert m.largest_box(b) in [region.bbox for region in regions if region.area == largest]


def test_box_overlap_equals_counting_pixels(m, rng):
    def area(box):
        picture = np.zeros((30, 30), bool)
        picture[box[0] : box[2], box[1] : box[3]] = True
        return picture

    for _ in range(50):
        a, b = ((y, x, y + h, x + w) for y, x, h, w in rng.integers(1, 14, (2, 4)).tolist())
        common, union = (area(a) & area(b)).sum(), (area(a) | area(b)).sum()
        assert m.box_overlap(a, b) == pytest.approx(common / union)
    assert m.box_overlap(None, (0, 0, 1, 1)) == 0 and m.box_overlap((0, 0, 2, 2), (0, 0, 2, 2)) == 1


def test_border_contrast_is_the_mahalanobis_distance_to_the_border(m, rng):
    frame = rng.random((1, 32, 32, 3))
    frame[0, 12:20, 12:20] += 2
    got = m.border_contrast(frame, sigma=1e-6)[0]
    edge = np.ones((32, 32), bool)
    edge[2:-2, 2:-2] = False
    border = frame[0][edge]
    inverse = np.linalg.inv(np.cov(border.T, bias=True) + 1e-3 * np.eye(3))
    expected = np.array(
        [[mahalanobis(pixel, border.mean(axis=0), inverse) for pixel in row] for row in frame[0]]
    )
    assert np.abs(got - m.stretch(expected)).max() < 1e-6
    assert (
        got[12:20, 12:20].min()
        > np.delete(got.ravel(), [32 * i + j for i in range(12, 20) for j in range(12, 20)]).max()
    )


def test_a_perfect_method_scores_one(m):
    _, g = runner()
    truth = m.flat(g)
    masks = {"perfect": truth * 0.8, "nothing": np.zeros(truth.shape)}
    for scores in m.judge(masks, truth, masks, truth, boxes=masks):
        assert (scores["perfect"] == 1).all() and (scores["nothing"] == 0).all()


# The student


def test_channels_equal_scikit_images_hue_and_numpys_gradient(m, rng):
    x = rng.random((3, 8, 9, 3), dtype=np.float32)
    x[0, 0, 0] = 0.4  # grey has hue 0
    c = m.channels(torch.from_numpy(x).permute(0, 3, 1, 2)).numpy()
    assert c.shape == (3, 6, 8, 9) and np.allclose(c[:, :3].transpose(0, 2, 3, 1), x - 0.5)
    assert np.abs(c[:, 3] + 0.5 - rgb2hsv(x)[..., 0]).max() < 1e-5
    I_y, I_x = np.gradient(x.mean(axis=-1), axis=(1, 2))
    assert np.allclose(c[:, 4, :, 1:-1], I_x[:, :, 1:-1], atol=1e-6) and np.allclose(
        c[:, 5, 1:-1], I_y[:, 1:-1], atol=1e-6
    )
    mirrored = m.channels(torch.from_numpy(x[:, :, ::-1].copy()).permute(0, 3, 1, 2)).numpy()
    assert np.allclose(mirrored[:, 4], -c[:, 4, :, ::-1], atol=1e-6)


@pytest.mark.parametrize("size", [16, 32])
def test_the_student_answers_at_half_the_size_and_begins_with_background(m, size):
    y = m.Student().eval()(torch.rand(2, 3, size, size))
    assert y.shape == (2, size // 2, size // 2) and 0 < y.min() and y.max() < 1 and y.mean() < 0.5


def test_taught_two_answers_for_one_frame_the_student_gives_their_mean(m, rng):
    torch.manual_seed(0)
    frames = np.repeat(rng.random((1, 16, 16, 3), dtype=np.float32), 2, axis=0)
    masks = np.stack([np.full((16, 16), 0.1), np.full((16, 16), 0.7)]).astype(np.float32)
    net = m.fit_student(m.Student(), rng, frames, masks, np.arange(2), 60, 32, 1e-2)
    answer = m.predict(net, frames)
    assert answer.shape == (2, 16, 16) and abs(answer.mean() - 0.4) < 0.04


def test_the_student_learns_from_the_chosen_rows_alone(m, rng):
    frames = rng.random((6, 32, 32, 3), dtype=np.float32)
    masks = rng.random((6, 32, 32), dtype=np.float32)
    poisoned = masks.copy()
    poisoned[3:] = np.nan
    nets = []
    for target in (masks, poisoned):
        torch.manual_seed(1)
        draws = np.random.default_rng(1)
        nets.append(m.fit_student(m.Student(), draws, frames, target, np.arange(3), 3, 3, 1e-2))
    assert np.array_equal(*(m.predict(net, frames) for net in nets))


# The price


def test_student_operations_equal_the_closed_form(m):
    half, quarter = 16 * 16, 8 * 8
    expected = half * (24 * 16 * 9 + 48 * 16 + 16 * 9) + quarter * (16 * 32 * 9 + 2 * 32 * 32 * 9)
    assert m.student_operations(m.Student(), 32) == expected
    assert m.student_operations(m.Student(), 32, shrink_from=100) == expected + 3 * 100**2


def test_teacher_operations_count_products_and_taps(m):
    size, T = 32, 10
    D = 3 * size**2
    counter = FlopCounterMode(display=False)
    with counter:
        X = torch.zeros(T, D, device="meta")
        (X @ X.T) @ X
    products = counter.get_total_flops() // 2 // T  # a frame
    taps = 0
    for sigma, times in ((6.0, 1), (0.5, 2)):
        impulse = np.zeros(101)
        impulse[50] = 1
        taps += times * 2 * np.count_nonzero(ndimage.gaussian_filter1d(impulse, sigma, truncate=3))
    rest = m.teacher_operations(size) - products - taps * size**2
    assert rest == (6 + 2 + 3 + 10) * size**2  # what goes once over the pixels
    assert m.teacher_operations(64) > 4 * m.teacher_operations(32)


def test_rank_correlation_equals_scipy_and_is_0_where_nothing_is_ranked(m, rng):
    a, b = rng.integers(0, 6, (2, 40))
    assert m.rank_correlation(a, b) == pytest.approx(spearmanr(a, b).statistic)
    assert m.rank_correlation(a, np.ones(40)) == 0 and m.rank_correlation(np.zeros(40), b) == 0


def test_the_linear_map_is_ridge_regression_on_the_chosen_rows(m, rng):
    frames, masks = rng.random((6, 16, 16, 3), np.float32), rng.random((6, 16, 16), np.float32)
    net = m.LinearMap(frames, masks, np.array([0, 2, 3]))
    x = torch.from_numpy(frames).permute(0, 3, 1, 2)
    X = net.features(x).numpy()
    y = masks.reshape(6, 8, 2, 8, 2).mean(axis=(2, 4))
    rows = [0, 2, 3]
    model = Ridge(alpha=1, fit_intercept=False).fit(X[rows].reshape(-1, 30), y[rows].ravel())
    expected = model.predict(X.reshape(-1, 30)).reshape(6, 8, 8)
    assert np.abs(net(x).detach().numpy() - expected).max() < 1e-3
    assert m.predict(net, frames).shape == (6, 16, 16)


def test_things_turn_round_before_the_border(m, rng):
    places = m.path(rng, 2.0, 32, 200, 6)
    assert places.min() >= 4 and places.max() <= 28 and np.ptp(places, axis=0).min() > 8
    assert np.ptp(m.path(rng, 0, 32, 10, 6), axis=0).max() == 0


# The reader's own films


def test_own_films_are_squeezed_and_split(m, rng):
    films = rng.random((25, 6, 20, 30, 3), np.float32)
    masks = np.zeros((25, 6, 20, 30), bool)
    masks[:, :, :10] = True
    x, g = m.squeezed(films, masks, 10)
    assert x.shape == (25, 6, 10, 10, 3) and g[:, :, :5].all() and not g[:, :, 5:].any()
    assert np.allclose(x[3, 2, 0, 0], films[3, 2, :2, :3].reshape(-1, 3).mean(axis=0), atol=1e-5)
    parts = m.split_films(rng, x, g)
    assert [len(part.x) for part in parts] == [16, 4, 5]
    assert all(set(part.group) == {0, 1, 2, 3} for part in parts)
    whole = np.concatenate([part.x.reshape(len(part.x), -1)[:, :50] for part in parts])
    assert len(np.unique(whole, axis=0)) == 25
