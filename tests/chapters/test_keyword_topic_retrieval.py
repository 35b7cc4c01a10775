"""Method cells of the chapter keyword-topic-retrieval against loops, scikit-learn, autograd and
limiting cases.
"""

import numpy as np
import pytest
import torch
from sklearn.decomposition import TruncatedSVD
from sklearn.feature_extraction.text import TfidfTransformer
from sklearn.metrics import roc_auc_score
from sklearn.neighbors import LocalOutlierFactor

from press import method_cells
from unlabeled.runtime import InputError

m = method_cells("keyword-topic-retrieval")


def rng(seed=0):
    return np.random.default_rng(seed)


def corpus(seed=0, n=60, genres=0):
    words, owner, topic = m.make_corpus(rng(seed), n, genres)
    keywords = [np.arange(5) + 25 * t for t in range(6)]
    words, owner, keywords, vocabulary = m.prune(words, owner, keywords)
    return words, owner, topic, keywords, vocabulary


def test_pair_counts_are_the_mean_over_drawn_windows():
    """Against a loop over places, distances and all radii from 1 to the window."""
    words, owner = np.array([0, 1, 2, 0, 2, 2, 1]), np.array([0, 0, 0, 0, 1, 1, 1])
    by_document, by_word = m.pair_counts(words, owner, 2, 3, window=3)
    loop = np.zeros((3, 3))
    for radius in (1, 2, 3):
        for i in range(7):
            for j in range(max(0, i - radius), min(7, i + radius + 1)):
                if i != j and owner[i] == owner[j]:
                    loop[words[i], words[j]] += 1 / 3
    np.testing.assert_allclose(by_word, loop)
    np.testing.assert_array_equal(by_document, [[2, 1, 1], [0, 1, 2]])


def test_free_scores_of_negative_sampling_end_at_the_pmi():
    """The objective minimised by autograd with every score free, k = 1."""
    counts = rng(1).integers(1, 9, (3, 4)).astype(float)
    noise = np.array([0.4, 0.3, 0.2, 0.1])
    seen = torch.tensor(counts)
    wrong = seen.sum(1, keepdim=True) * torch.tensor(noise)
    s = torch.zeros(3, 4, dtype=torch.double, requires_grad=True)
    optimiser = torch.optim.LBFGS([s], max_iter=200, line_search_fn="strong_wolfe")
    log_sigmoid = torch.nn.functional.logsigmoid

    def loss():
        optimiser.zero_grad()
        value = -(seen * log_sigmoid(s) + wrong * log_sigmoid(-s)).sum()
        value.backward()
        return value

    optimiser.step(loss)
    np.testing.assert_allclose(m.ppmi(counts, noise), np.maximum(0, s.detach()), atol=1e-4)
    assert (m.ppmi(np.zeros((2, 4)), noise) == 0).all()


def test_one_step_of_descent_follows_autograd():
    """With output vectors at 0 the first step moves them alone, against their gradient."""
    words, owner, _, _, V = corpus(n=30)
    C, W = m.pair_counts(words, owner, 30, V)
    documents, embedded, start = m.descent(rng(3), C, W, 4, steps=1)
    np.testing.assert_array_equal(np.vstack([documents, embedded]), start)
    two = np.vstack(m.descent(rng(3), C, W, 4, steps=2, lr=0.01)[:2])
    counts, x = torch.tensor(np.vstack([C, W])), torch.tensor(start.astype(float))
    u = torch.tensor(C.sum(0) ** 0.75)
    o = torch.zeros(V, 4, dtype=torch.double, requires_grad=True)
    x.requires_grad_()
    wrong = 5 * counts.sum(1, keepdim=True) * u / u.sum()

    def gradients():
        s = x @ o.T
        f = torch.nn.functional.logsigmoid
        return torch.autograd.grad(-(counts * f(s) + wrong * f(-s)).sum(), [x, o])

    go = gradients()[1]
    with torch.no_grad():
        o -= 0.01 * go / (1e-9 + (go**2).mean(1, keepdim=True)).sqrt()
    gx = gradients()[0]
    step = 0.005 * gx / (1e-9 + (gx**2).mean(1, keepdim=True)).sqrt()
    np.testing.assert_allclose(start - two, step.numpy(), atol=2e-5)


def test_word_vectors_without_pairs_stay_where_they_were_drawn():
    words, owner, _, _, V = corpus(n=30)
    C, W = m.pair_counts(words, owner, 30, V)
    _, embedded, start = m.descent(rng(0), C, 0 * W, 5, steps=4)
    np.testing.assert_array_equal(embedded, start[30:])
    assert np.abs(m.descent(rng(0), C, W, 5, steps=4)[1] - start[30:]).max() > 1e-3


def test_lsa_is_scikit_learns_up_to_signs():
    """Where the cut falls between far singular values; the weights against scikit-learn's."""
    words, owner, _, _, V = corpus(n=300)
    C, _ = m.pair_counts(words, owner, 300, V)
    documents, embedded = m.lsa(C, 6)
    ours, idf = m.tf_idf(C)
    reference = TruncatedSVD(6, algorithm="arpack").fit_transform(ours)
    norms = np.linalg.norm(reference, axis=0)
    np.testing.assert_allclose(np.linalg.norm(documents, axis=0), norms, rtol=1e-2)
    np.testing.assert_allclose(ours @ embedded, documents, atol=1e-8)
    assert np.linalg.norm(documents @ documents.T - reference @ reference.T) < 0.05 * norms.max()
    transformer = TfidfTransformer(smooth_idf=False).fit(C)
    np.testing.assert_allclose(idf, transformer.idf_ - 1)  # scikit-learn adds 1


def test_a_joint_embedding_of_full_rank_rebuilds_the_matrix():
    words, owner, _, _, V = corpus(n=20)
    C, W = m.pair_counts(words, owner, 20, V)
    documents, embedded = m.joint(C, W, V)
    u = C.sum(0) ** 0.75
    stacked = m.ppmi(np.vstack([C, W]), u / u.sum())
    x = np.vstack([documents, embedded])
    # x = U sqrt(S), so (x x')^2 = (P P') where P = U S V'
    np.testing.assert_allclose((x @ x.T) @ (x @ x.T), stacked @ stacked.T, atol=1e-5)


def test_auc_is_scikit_learns_with_ties():
    source = rng(4)
    scores, positive = source.integers(0, 5, 50).astype(float), source.random(50) < 0.3
    assert m.auc(scores, positive) == pytest.approx(roc_auc_score(positive, scores))
    assert np.isnan(m.auc(scores, np.ones(50, bool)))


def test_a_literal_search_is_a_coin_without_the_word():
    words, owner, topic, keywords, V = corpus(n=200)
    C, _ = m.pair_counts(words, owner, 200, V)
    literal = np.stack([C[:, own].sum(1) > 0 for own in keywords], 1)
    scores = m.cosine_scores(m.tf_idf(C)[0], m.keyword_vectors(np.eye(V), keywords))
    assert m.judged(scores, topic, literal)[0] == pytest.approx(0.5)
    with pytest.raises(InputError, match="fewer keywords"):
        m.judged(scores, topic, np.ones_like(literal))


def test_label_vectors_are_means_of_the_inliers():
    source = rng(5)
    documents, scores = source.standard_normal((100, 3)), source.standard_normal((100, 2))
    documents[np.argmax(scores[:, 0])] = 50  # the best document of topic 0 lies far out
    best = documents[np.argsort(-scores[:, 0])[:30]]
    kept = best[LocalOutlierFactor(n_neighbors=20).fit_predict(best) == 1]
    found = m.label_vectors(documents, scores, 0.3)
    np.testing.assert_allclose(found[0], kept.mean(0))
    assert np.abs(found[0]).max() < 2
    np.testing.assert_allclose(
        m.label_vectors(documents, scores, 0.3, clean=False)[0], best.mean(0)
    )
    # one candidate and two: no neighbours to compare with
    np.testing.assert_allclose(m.label_vectors(documents, scores, 0.01)[0], [50] * 3)
    assert np.isfinite(m.label_vectors(documents, scores, 0.02)).all()


def test_keywords_that_do_not_occur_are_dropped_and_a_topic_without_any_is_refused():
    words, owner, keywords, V = m.prune(np.array([0, 0, 2, 2, 3]), np.zeros(5, int), [[0, 3], [9]])
    assert (words == [0, 0, 1, 1]).all() and V == 2 and len(owner) == 4
    assert keywords[0].tolist() == [0] and len(keywords[1]) == 0
    with pytest.raises(InputError, match="No keyword of topic 1"):
        m.keyword_vectors(np.eye(2), keywords)


def test_dealing_keeps_keywords_in_place_and_frequencies():
    words, owner, _, keywords, _ = corpus()
    dealt = m.deal(rng(6), words, keywords)
    held = np.isin(words, np.concatenate(keywords))
    assert (dealt[held] == words[held]).all() and (np.sort(dealt) == np.sort(words)).all()
    assert (dealt[~held] != words[~held]).mean() > 0.8


@pytest.mark.parametrize("genres", [0, 6])
def test_the_corpus_has_the_shares_that_the_page_says(genres):
    words, owner, topic = m.make_corpus(rng(7), 3000, genres)
    own, T = topic[owner], len(words)
    assert np.bincount(owner).min() >= 20 and np.bincount(owner).max() <= 60
    # a fifth of its own, and a sixth of the tenth of the second topic
    assert np.mean(words // 25 == own) == pytest.approx(0.2 + 0.1 / 6, abs=0.005)
    assert np.mean(words >= 850) == pytest.approx(0.3 * (genres > 0), abs=0.005)
    assert words.max() < 850 + 40 * genres and T == len(owner)
    keyword = np.isin(words, (25 * np.arange(6)[:, None] + np.arange(5)).ravel())
    contains = np.bincount(owner, keyword & (words // 25 == own)) > 0
    assert 0.1 < contains.mean() < 0.4  # most documents contain no keyword of their topic


def test_clusters_are_named_by_the_nearest_keywords():
    centres = np.eye(3)
    documents = np.repeat(centres, 20, axis=0) + 0.05 * rng(8).standard_normal((60, 3))
    found = m.named_clusters(documents, centres[[2, 0, 1]])
    assert (m.cosine_scores(found, centres[[2, 0, 1]]).argmax(1) == [0, 1, 2]).all()


def test_few_labels_learn_what_is_easy_and_leave_their_rows_out():
    topic = np.repeat([0, 1], 30)
    weights = np.eye(2)[topic] + 0.1 * rng(9).standard_normal((60, 2))
    scores, rest = m.few_labels(rng(0), weights, topic, each=5)
    assert scores.shape == (60, 2) and rest.sum() == 50
    assert (scores.argmax(1) == topic).mean() > 0.95


def test_an_empty_document_has_no_direction_and_no_error():
    C = np.array([[0.0, 0, 0], [2, 1, 0], [0, 1, 3]])
    weights, _ = m.tf_idf(C)
    assert (weights[0] == 0).all() and np.isfinite(m.lsa(C, 2)[0]).all()
    assert (m.cosine_scores(weights, np.eye(3))[0] == 0).all()


def test_docstrings_are_collected_without_shared_lines():
    documents, labels = m.docstrings([["scipy.optimize"], ["scipy.signal"]])
    assert len(documents) == len(labels) and set(labels) == {0, 1}
    assert sum(len(words) >= 25 for words in documents) > 60
    assert m.tokens("The FFT, of x2 and filters!") == ["the", "fft", "and", "filters"]
