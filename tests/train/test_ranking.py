"""The ranking model: what it learns where the truth is known, and that what is exported is what was trained."""

from __future__ import annotations

import json
import tracemalloc
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest

torch = pytest.importorskip("torch", reason="the extra 'train' is not installed (no torch)")
pytest.importorskip("onnx", reason="the extra 'train' is not installed (no onnx)")
ort = pytest.importorskip("onnxruntime", reason="ONNX Runtime is not installed (extra 'cpu' or 'gpu')")

from ecocore import (
    AlternatingLeastSquares,
    DeviceUnavailable,
    FormatError,
    IdMap,
    Interactions,
    InvalidArgument,
    NotFitted,
    RankingModel,
)
from ecocore import ranking as ranking_module
from ecocore.arrays import Csr
from ecocore.onnx.towers import TowerShape
from ecocore.ranking_inputs import history_weights, log_sizes, pooled, recent_events, spans
from ecocore.storage import read_folder, write_folder
from ecocore.train import ranking, ranking_data, ranking_loop
from ecocore.train.ranking_data import Examples, Histories
from ecocore.train.ranking_export import graph_of, item_arrays
from ecocore.train.ranking_net import ALS_WEIGHT, RankingNet

SMALL = {"dim": 16, "hidden": 32, "query": 16, "pairs": 4, "batch": 64, "negatives": 64, "progress": False}
KINDS, ITEMS, COLD = 4, 80, 12


def tastes(users: int = 200, seed: int = 0, times: bool = False) -> tuple[Interactions, np.ndarray, np.ndarray]:
    """Users who like one kind of item each; (interactions, one-hot kinds, the user's kind). Nobody has the last 12."""
    random = np.random.default_rng(seed)
    kind = np.arange(ITEMS) % KINDS
    taste = random.integers(0, KINDS, users)
    pairs = [
        (u, i)
        for u in range(users)
        for i in random.choice(np.flatnonzero(kind[: ITEMS - COLD] == taste[u]), 7, replace=False)
    ]
    u, i = np.array(pairs).T
    when = np.arange(u.size) if times else None
    names = np.array([f"item {j}" for j in range(ITEMS)])
    ids = Interactions.from_scipy(_empty(users, ITEMS), users=[f"user {j}" for j in range(users)], items=names.tolist())
    data = Interactions.from_arrays(
        [f"user {j}" for j in u], names[i].tolist(), times=when, user_ids=ids.users, item_ids=ids.items
    )
    return data, np.eye(KINDS, dtype=np.float32)[kind], taste


def _row(items: np.ndarray) -> Csr:
    """The matrix of one user who has these items."""
    size = items.size
    return Csr(np.array([0, size]), np.sort(items).astype(np.int32), np.ones(size, np.float32), (1, ITEMS))


def _empty(rows: int, columns: int) -> Csr:
    return Csr(np.zeros(rows + 1, np.int64), np.empty(0, np.int32), np.empty(0, np.float32), (rows, columns))


def fitted(data: Interactions) -> AlternatingLeastSquares:
    return AlternatingLeastSquares(8, objective="ials", random_state=0).fit(data, show_progress=False)


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    """A model with everything that a model can have."""
    data, kinds, taste = tastes(times=True)
    als = fitted(data)
    path = tmp_path_factory.mktemp("ranking") / "m"
    people = np.eye(KINDS, dtype=np.float32)[taste]
    report = ranking(data, out=path, als=als, item_features=kinds, user_features=people, epochs=6, **SMALL)
    return RankingModel.load(path), data, als, kinds, people, report, path


def test_a_feature_decides_taste_and_cold_items_are_found(tmp_path):
    """ALS without features gives items that nobody has a score of zero; chance finds one in four."""
    data, kinds, taste = tastes()
    ranking(
        data,
        out=tmp_path / "m",
        item_features=kinds,
        epochs=30,
        learning_rate=0.01,
        item_dropout=0.3,
        patience=30,
        **SMALL,
    )
    model = RankingModel.load(tmp_path / "m")
    cold = [f"item {j}" for j in range(ITEMS - COLD, ITEMS)]
    right = [
        kinds[int(i.split()[1]), taste[u]]
        for u in range(len(taste))
        for i in model.rank(f"user {u}", cold, COLD // KINDS).ids
    ]
    assert np.mean(right) > 0.85
    als = fitted(data)
    scores = als.user_factors @ als.item_factors[-COLD:].T
    assert np.abs(scores).max() < 1e-3
    # And so are items that come later.
    new = model.add_items(["new 0", "new 1"], features=np.eye(KINDS, dtype=np.float32)[:2])
    likes = [new.rank(f"user {u}", ["new 0", "new 1"]).ids[0] == f"new {taste[u]}" for u in np.flatnonzero(taste < 2)]
    assert np.mean(likes) > 0.85
    assert len(model.items) == ITEMS


def test_the_order_of_a_history_is_learned(tmp_path):
    """Every item is followed by the next one: who has what says nothing, the latest item all."""
    random = np.random.default_rng(0)
    n, users, steps = 40, 300, 12
    items = (random.integers(0, n, users)[:, None] + np.arange(steps)) % n
    u = np.repeat(np.arange(users), steps)
    data = Interactions.from_arrays(u, items.ravel(), times=np.tile(np.arange(steps), users))
    options = {**SMALL, "epochs": 12, "learning_rate": 0.01, "k": 1, "dropout": 0.1, "history_dropout": 0.1}
    report = ranking(data, out=tmp_path / "m", **options)
    assert max(e.recall for e in report.epochs) > 0.9
    model = RankingModel.load(tmp_path / "m")
    forth, back = model.encode([[5, 6, 7, 8], [8, 7, 6, 5]])[0], model.encode([[8, 7, 6, 5]])[0]
    assert model.recommend(forth, 1, exclude=[5, 6, 7, 8]).ids[0] == 9
    assert not np.array_equal(forth.vectors, back.vectors)


def test_it_starts_at_what_als_reaches():
    data, kinds, _ = tastes()
    als = fitted(data)
    shape = TowerShape(ITEMS + 1, 8, 16, 8, 4, factors=8, item_features=KINDS)
    net = RankingNet(shape, 0.3, 2.0).eval()
    rows, factors = torch.arange(1, ITEMS + 1), torch.from_numpy(als.item_factors.copy())
    x = net.item_inputs(rows, factors, torch.from_numpy(kinds))
    mine = torch.from_numpy(als.user_factors.copy())
    n = len(mine)
    users = net.user_tower(torch.randn(n, 8), None, mine, torch.empty(n, 0), torch.ones(n, 1))
    with torch.no_grad():
        scores = net.head(users, net.item_tower(rows, factors, x)).numpy()
    np.testing.assert_allclose(scores, ALS_WEIGHT * (als.user_factors @ als.item_factors.T), atol=1e-4)


@pytest.mark.parametrize("ordered", [True, False])
def test_what_is_predicted_is_not_seen(ordered):
    data, _, _ = tastes(times=ordered)
    histories, als = Histories.of(data), fitted(data)
    examples = Examples(histories, als, 3, 4, np.random.default_rng(0))
    rows = predicted = 0
    for batch in examples.epoch(50):
        rows += batch.users.size
        for row in range(batch.users.size):
            seen = batch.items[batch.indptr[row] : batch.indptr[row + 1]]
            targets = batch.targets[batch.target_rows == row]
            whole = histories.items[histories.indptr[batch.users[row]] : histories.indptr[batch.users[row] + 1]]
            assert not set(seen) & set(targets)
            assert set(seen) | set(targets) <= set(whole)
            predicted += targets.size
            if ordered:
                assert np.array_equal(whole[: seen.size], seen)
                assert whole[seen.size] == targets[0]
            else:
                assert set(seen) | set(targets) == set(whole)
            if ordered:  # the factors are those of a part of what is seen: the longest of three that has ended
                begin = max(whole.size * part // 3 for part in range(3) if whole.size * part // 3 <= seen.size)
                visible = _row(whole[:begin])
            else:
                visible = _row(seen)
            np.testing.assert_allclose(batch.factors[row], als.recalculate_user([0], visible)[0], atol=1e-5)
    assert rows == examples.count()
    assert predicted == (rows if ordered else data.nnz)


def test_items_of_one_moment_have_no_order():
    """Else the last of a basket, which is held out and counts as the latest, would always be the last by id."""
    users, n = 400, 5
    basket = np.tile(np.arange(n), users)
    times = np.repeat(np.arange(users), n)
    data = Interactions.from_arrays(np.repeat(np.arange(users), n), basket, times=times)
    histories = Histories.of(data)
    last = histories.items[histories.indptr[1:] - 1]
    assert np.bincount(last, minlength=n).min() > users / n / 2
    assert np.array_equal(np.sort(histories.items.reshape(users, n)), basket.reshape(users, n))
    assert np.array_equal(Histories.of(data).items, histories.items)
    apart = Interactions.from_arrays([0, 0, 0], [7, 5, 6], times=[3, 1, 2])
    assert apart.items[Histories.of(apart).items].tolist() == [5, 6, 7]


@pytest.mark.parametrize("ordered", [True, False])
def test_factors_of_many_parts_are_solved_a_few_users_at_a_time(ordered, monkeypatch):
    data, _, _ = tastes(times=ordered)
    histories, als = Histories.of(data), fitted(data)
    whole = Examples(histories, als, 4, 4, np.random.default_rng(0))
    most, solve = [], als.recalculate_user
    monkeypatch.setattr(ranking_data, "_FOLD_IN_ROWS", 7)
    monkeypatch.setattr(ranking_data, "spans", lambda *a: most.append(a[0].size) or spans(*a))
    monkeypatch.setattr(als, "recalculate_user", lambda ids, rows: solve(ids, rows))
    parts = Examples(histories, als, 4, 4, np.random.default_rng(0))
    assert np.array_equal(whole.factors, parts.factors)
    assert len(most) > 100
    assert max(most) <= 7  # what is visible to each part is never listed for all at once


def test_a_net_that_diverged_has_found_nothing():
    shape = TowerShape(ITEMS + 1, 4, 4, 4, 1)
    net = RankingNet(shape, 0.0, 1.0)
    with torch.no_grad():
        net.item_query.bias.fill_(torch.nan)
    data, _, _ = tastes(20)
    histories, users, wanted = Histories.of(data).hold_out(20, np.random.default_rng(0))
    inputs = ranking_loop.ItemInputs(torch.arange(1, ITEMS + 1), torch.empty(ITEMS, 0), torch.empty(ITEMS, 0))
    seen = ranking_loop._users_inputs(histories, users, None, np.empty((20, 0), np.float32))
    assert ranking_loop._judge(net, inputs, histories, users, wanted, seen, 5) == (0.0, 0.0)


SHAPES = {
    "everything": TowerShape(31, 8, 16, 12, 5, factors=6, item_features=3, user_features=2, ordered=True),
    "alone": TowerShape(31, 8, 16, 12, 5),
    "als": TowerShape(31, 8, 16, 12, 1, factors=6),
    "large": TowerShape(31, 64, 128, 64, 16, factors=128, item_features=40, ordered=True),
}


@pytest.mark.parametrize("name", SHAPES)
def test_the_graphs_are_pytorchs(name):
    shape = SHAPES[name]
    torch.manual_seed(0)
    net = RankingNet(shape, 0.3, 1.7).eval()
    with torch.no_grad():
        for p in net.parameters():
            p.normal_(0, 0.3 if p.ndim < 2 else p.shape[1] ** -0.5)
    random = np.random.default_rng(0)

    def inputs(graph):
        sizes = {"users": 9, "items": 30}
        return {
            t.name: random.standard_normal([sizes.get(d, d) for d in t.shape]).astype(np.float32)
            if t.dtype == "float32"
            else np.arange(30)
            for t in shape.inputs(graph)
        }

    def run(graph, feed):
        session = ort.InferenceSession(graph_of(net, graph).SerializeToString(), providers=["CPUExecutionProvider"])
        return dict(zip([o.name for o in session.get_outputs()], session.run(None, feed), strict=True))

    of_items, of_users = inputs("item"), inputs("user")
    t = {k: torch.from_numpy(v) for k, v in of_items.items()}
    item_inputs = ranking_loop.ItemInputs(
        t["rows"], t.get("factors", torch.empty(30, 0)), t.get("features", torch.empty(30, 0))
    )
    found, expected = run("item", of_items), item_arrays(net, item_inputs)
    assert {f"item_{k}" for k in found} == set(expected)
    for key, value in found.items():
        np.testing.assert_allclose(value, expected[f"item_{key}"], atol=1e-5, rtol=1e-5)
    u = {k: torch.from_numpy(v) for k, v in of_users.items()}
    none = torch.empty(9, 0)
    with torch.no_grad():
        mine = net.user_tower(u["history"], u.get("recent"), u.get("factors", none), u.get("features", none), u["size"])
        x = net.item_inputs(item_inputs.rows, item_inputs.factors, item_inputs.features)
        scores = net.head(mine, net.item_tower(item_inputs.rows, item_inputs.factors, x)).numpy()
    users = run("user", of_users)
    for value, want in zip(users.values(), mine, strict=True):
        np.testing.assert_allclose(value, want.numpy(), atol=1e-5, rtol=1e-5)
    feed = {f"user_{k}": v for k, v in users.items()} | {f"item_{k}": found[k] for k in ("vector", "pairs", "bias")}
    np.testing.assert_allclose(run("head", feed)["scores"], scores, atol=1e-4, rtol=1e-5)


def test_the_loaded_model_scores_as_the_head_graph(trained):
    model, data, als, _, people, _, path = trained
    arrays = read_folder(path, "ranking")[1]
    head = ort.InferenceSession(arrays["head"].tobytes(), providers=["CPUExecutionProvider"])
    feed = {name: np.array(arrays[name]) for name in ("user_vector", "user_pairs", "item_vector", "item_pairs")}
    expected = head.run(None, {**feed, "item_bias": np.array(arrays["item_bias"])})[0]
    for u in (0, 7):
        np.testing.assert_allclose(model.score_codes(f"user {u}", np.arange(ITEMS)), expected[u], atol=1e-5, rtol=1e-5)
    # A known user's history through the tower is what training saved.
    histories = Histories.of(data)
    mine = data.items[histories.items[histories.indptr[3] : histories.indptr[4]]].tolist()
    factors = als.recalculate_user([3], data.rows([3]))
    again = model.encode([mine], factors=factors, features=people[3:4])
    np.testing.assert_allclose(again.vectors, model.user("user 3").vectors, atol=1e-5)
    np.testing.assert_allclose(again.pairs, model.user("user 3").pairs, atol=1e-5)


def test_same_bits_alone_and_among_others(trained):
    model, _, _, _, people, _, _ = trained
    lists = [[f"item {j}" for j in range(n)] for n in (3, 0, 1, 40, 12, 9, 25, 11, 2)]
    random = np.random.default_rng(0)
    factors = random.standard_normal((9, 8)).astype(np.float32)
    together = model.encode(lists, factors=factors, features=people[:9])
    for i, own in enumerate(lists):
        alone = model.encode([own], factors=factors[i : i + 1], features=people[i : i + 1])
        assert np.array_equal(alone.vectors[0], together.vectors[i])
        assert np.array_equal(alone.pairs[0], together.pairs[i])
    scores = model.score_codes(together[4], np.arange(ITEMS))
    for codes in ([5], [7, 3], list(range(11, 48))):
        assert np.array_equal(model.score_codes(together[4], codes), scores[codes])


def test_sums_of_histories_are_what_they_say():
    random = np.random.default_rng(0)
    vectors = random.standard_normal((20, 4)).astype(np.float32)
    items, indptr = np.array([3, 5, 5, 1, 2]), np.array([0, 3, 3, 5])
    whole = pooled(vectors, items, indptr, history_weights(indptr))
    np.testing.assert_allclose(whole[0], (vectors[3] + 2 * vectors[5]) / 3**0.5, rtol=1e-6)
    np.testing.assert_allclose(whole[2], (vectors[1] + vectors[2]) / 2**0.5, rtol=1e-6)
    assert not whole[1].any()
    events, of_recent, weights = recent_events(np.array([0, 20]), np.array([15, 23]))
    assert events.tolist() == [*range(5, 15), 20, 21, 22]
    assert of_recent.tolist() == [0, 10, 13]
    np.testing.assert_allclose(weights[-3:], [0.64, 0.8, 1])
    np.testing.assert_allclose(log_sizes(np.array([0, 9])), [[0], [np.log(10) / 5]], rtol=1e-6)


def test_rank_recommend_and_probabilities_agree(trained):
    model = trained[0]
    candidates = ["item 3", "item 70", "item 5", "item 3"]
    ids, scores = model.rank("user 1", candidates)
    assert sorted(ids) == ["item 3", "item 5", "item 70"]
    assert (np.diff(scores) <= 0).all()
    assert np.array_equal(model.score("user 1", ids.tolist()), scores)
    p = model.probabilities("user 1", ids.tolist())
    assert p.sum() == pytest.approx(1, abs=1e-6)
    np.testing.assert_allclose(np.log(p[0] / p[1]), scores[0] - scores[1], rtol=1e-4, atol=1e-4)
    best = model.recommend("user 1", 5, exclude=[ids[0], "unheard of"])
    assert ids[0] not in best.ids
    every = model.recommend("user 1", ITEMS)
    assert [i for i in every.ids if i != ids[0]][:5] == best.ids.tolist()
    assert len(model.recommend("user 1", 10, exclude=every.ids[2:].tolist()).ids) == 2


def test_what_is_asked_twice_counts_once(trained):
    model = trained[0]
    once, twice = model.probabilities("user 1", ["item 1", "item 2"]), ["item 2", "item 1", "item 2", "item 2"]
    assert np.array_equal(model.probabilities("user 1", twice), once[[1, 0, 1, 1]])
    assert model.probabilities("user 1", []).shape == (0,)


def test_odd_candidates_and_histories(trained):
    model, _, _, _, people, _, _ = trained
    assert model.rank("user 1", []).ids.size == 0
    assert model.rank("user 1", ["item 4"], 10**30).ids.tolist() == ["item 4"]
    assert model.rank("user 1", {"item 4", "item 5"}).ids.size == 2
    assert model.recommend("user 1", 3, exclude=model.items).ids.size == 0
    none, unknown = (model.encode([h], factors=np.zeros((1, 8)), features=people[:1]) for h in ([], ["no", "never"]))
    assert np.array_equal(none.vectors, unknown.vectors)
    assert np.isfinite(model.recommend(none, ITEMS).scores).all()


def test_users_one_by_one(trained):
    model, _, _, _, people, _, _ = trained
    users = model.encode([["item 1"], ["item 2"], []], factors=np.zeros((3, 8)), features=people[:3])
    assert [len(user) for user in users] == [1, 1, 1]
    assert np.array_equal(users[-1].vectors, users[2].vectors)
    for beyond in (3, -4):
        with pytest.raises(IndexError, match="there are 3 users"):
            users[beyond]


def test_ranking_all_items_copies_a_part_of_them_at_a_time(trained, monkeypatch):
    model = trained[0]
    whole = model.recommend("user 1", ITEMS)
    monkeypatch.setattr(ranking_module, "_ROWS", 7)
    parts = model.recommend("user 1", ITEMS)
    assert np.array_equal(whole.ids, parts.ids)
    assert np.array_equal(whole.scores, parts.scores)
    monkeypatch.undo()
    many = np.zeros(200_000, np.int64)
    tracemalloc.start()
    try:
        model.score_codes("user 1", many)
        most = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert most < many.size * 4 * model.shape.vector  # less than a copy of the vectors


def test_many_threads_use_one_model(trained):
    path, people = trained[-1], trained[4]
    lists = [[f"item {j}" for j in range(n)] for n in range(16)]

    def ask(model, n):
        user = model.encode([lists[n]], factors=np.zeros((1, 8)), features=people[n : n + 1])
        return model.recommend(user, 9, exclude=lists[n])

    alone = [ask(RankingModel.load(path), n) for n in range(16)]
    for _ in range(5):
        model = RankingModel.load(path)  # whose first callers come all at once
        with ThreadPoolExecutor(8) as pool:
            found = list(pool.map(lambda n, model=model: ask(model, n), range(16)))
        for got, want in zip(found, alone, strict=True):
            assert got.ids.tolist() == want.ids.tolist()
            assert np.array_equal(got.scores, want.scores)


def test_new_items_come_as_any_ids_do(trained):
    model, kinds = trained[0], np.zeros((2, KINDS), np.float32)
    wanted = model.add_items(["x", "y"], features=kinds).score("user 1", ["x", "y"])
    for ids in (IdMap(["x", "y"]), np.array(["x", "y"]), (i for i in "xy")):
        assert np.array_equal(model.add_items(ids, features=kinds).score("user 1", ["x", "y"]), wanted)
    assert len(model.add_items([], features=kinds[:0]).items) == ITEMS
    for ids in (["x", 1], [1, "x"], "xy", [1, 2]):
        with pytest.raises(InvalidArgument, match="ids: "):
            model.add_items(ids, features=kinds)


def test_saved_and_loaded_it_is_the_same(trained, tmp_path):
    model, *_, report, path = trained
    model.save(tmp_path / "again")
    again = RankingModel.load(tmp_path / "again", verify=True)
    assert np.array_equal(again.score_codes("user 2", np.arange(ITEMS)), model.score_codes("user 2", np.arange(ITEMS)))
    assert again.shape == model.shape
    assert again.training["best_epoch"] == report.best_epoch
    assert (again.training["parts"], again.training["validation"]) == (8, 10_000)
    assert json.dumps(report.to_dict())
    assert (path / "training.svg").read_text().startswith("<svg")
    more = model.add_items(["x"], features=np.zeros((1, KINDS), np.float32))
    more.save(tmp_path / "more")
    assert RankingModel.load(tmp_path / "more").score("user 2", ["x"]) == more.score("user 2", ["x"])


def test_a_seed_gives_the_same_model_and_leaves_the_callers_random_numbers(tmp_path):
    data, kinds, _ = tastes(60)
    torch.manual_seed(5)
    expected = torch.rand(1)
    torch.manual_seed(5)
    for name, seed in (("a", 1), ("b", 1), ("c", 2)):
        ranking(data, out=tmp_path / name, item_features=kinds, epochs=2, seed=seed, **SMALL)
    assert torch.rand(1) == expected
    a, b, c = (read_folder(tmp_path / n, "ranking")[1] for n in "abc")
    assert all(np.array_equal(a[k], b[k]) for k in a)
    assert not np.array_equal(a["item_vector"], c["item_vector"])


def test_ctrl_c_keeps_the_best_so_far(tmp_path, monkeypatch):
    calls, loss = [], ranking_loop._loss

    def interrupted(*args):
        calls.append(1)
        if len(calls) == 30:
            raise KeyboardInterrupt
        return loss(*args)

    monkeypatch.setattr(ranking_loop, "_loss", interrupted)
    data, _, _ = tastes()
    report = ranking(data, out=tmp_path / "m", epochs=20, **SMALL)
    assert report.interrupted
    assert 1 <= len(report.epochs) < 20
    assert np.isfinite(read_folder(tmp_path / "m", "ranking")[1]["item_vector"]).all()


def test_ctrl_c_in_the_first_epoch_leaves_the_model_that_was_there(tmp_path, monkeypatch):
    data, _, _ = tastes(60)
    ranking(data, out=tmp_path / "m", epochs=1, validation=0, **SMALL)
    before = {p.name: p.read_bytes() for p in (tmp_path / "m").iterdir()}

    def interrupted(*_):
        raise KeyboardInterrupt

    monkeypatch.setattr(ranking_loop, "_loss", interrupted)
    for out in ("m", "new"):
        with pytest.raises(KeyboardInterrupt):
            ranking(data, out=tmp_path / out, epochs=3, **SMALL)
    assert {p.name: p.read_bytes() for p in (tmp_path / "m").iterdir()} == before
    assert not (tmp_path / "new").exists()


def test_features_beyond_float32s_reach_are_refused_before_the_work(tmp_path, monkeypatch):
    data, kinds, _ = tastes(60)
    people = np.ones((60, 2), np.float32)
    with monkeypatch.context() as patch:
        patch.setattr(ranking_loop, "_loss", None)
        range_ = r"expected numbers from -1e\+06 to 1e\+06; got one of"
        for size in (1e30, 1e7):
            with pytest.raises(InvalidArgument, match=f"item_features: {range_}"):
                ranking(data, out=tmp_path / "m", item_features=kinds * size, **SMALL)
            with pytest.raises(InvalidArgument, match=f"user_features: {range_}"):
                ranking(data, out=tmp_path / "m", user_features=people * -size, **SMALL)
    assert not (tmp_path / "m").exists()
    ranking(data, out=tmp_path / "m", item_features=kinds * 1e6, user_features=people * 1e6, epochs=1, **SMALL)
    assert np.isfinite(RankingModel.load(tmp_path / "m").recommend("user 1", ITEMS).scores).all()


def test_what_is_not_finite_is_not_written(tmp_path, monkeypatch):
    data, _, _ = tastes(60)

    def poisoned(net, *args):
        found = ranking_loop.fit(net, *args)
        with torch.no_grad():
            net.user_query.weight[0, 0] = float("nan")
        return found

    loss = ranking_loop._loss
    monkeypatch.setattr(ranking_loop, "_loss", lambda *args: loss(*args) * float("nan"))
    for validation in (0, 100):
        with pytest.raises(InvalidArgument, match=r"learning_rate: training diverged \(the loss in epoch 1 is nan\)"):
            ranking(data, out=tmp_path / "m", epochs=2, validation=validation, **SMALL)
    monkeypatch.setattr(ranking_loop, "_loss", loss)
    monkeypatch.setitem(ranking.__globals__, "fit", poisoned)
    for save_users in (True, False):
        with pytest.raises(InvalidArgument, match="not finite; nothing was written"):
            ranking(data, out=tmp_path / "m", epochs=1, save_users=save_users, **SMALL)
    assert not (tmp_path / "m").exists()


def test_without_users_histories_serve(tmp_path):
    data, _, _ = tastes(60)
    ranking(data, out=tmp_path / "m", epochs=1, validation=0, save_users=False, **SMALL)
    model = RankingModel.load(tmp_path / "m")
    assert model.users is None
    with pytest.raises(NotFitted, match="encode"):
        model.rank("user 1", ["item 1"])
    assert len(model.rank(model.encode([["item 3", "item 7"]])[0], ["item 1", "item 2"]).ids) == 2
    assert len(model.encode([])) == 0


def test_bad_arguments_of_training_are_named(tmp_path):
    data, kinds, _ = tastes(40)
    als = fitted(data)
    cases = [
        ({"interactions": np.ones((2, 2))}, "interactions: expected Interactions"),
        ({"item_features": kinds[:-1]}, "item_features: expected 80 rows"),
        ({"user_features": np.zeros((3, 2))}, "user_features: expected 40 rows"),
        ({"item_features": kinds * np.nan}, "item_features: expected finite"),
        ({"als": AlternatingLeastSquares()}, "als: expected a fitted model"),
        ({"als": fitted(tastes(41)[0])}, "als: expected a model of the same 40 users and 80 items; got 41 users"),
        ({"als": als, "interactions": data}, None),
        ({"epochs": 0}, "epochs"),
        ({"parts": 1}, "parts"),
        ({"dropout": 1.0}, "dropout"),
        ({"learning_rate": 0.0}, "learning_rate"),
    ]
    for case, message in cases:
        given = {"interactions": data, "epochs": 1, **SMALL, **case}
        if message is None:
            ranking(given.pop("interactions"), out=tmp_path / "fine", **given)
            continue
        with pytest.raises(InvalidArgument, match=message):
            ranking(given.pop("interactions"), out=tmp_path / "m", **given)
    assert not (tmp_path / "m").exists()
    lonely = Interactions.from_arrays([1, 2], [1, 2])
    with pytest.raises(InvalidArgument, match="nothing to predict"):
        ranking(lonely, out=tmp_path / "m", **SMALL)


def test_bad_arguments_of_the_model_are_named(trained):
    model, _, _, _, people, _, _ = trained
    one = np.zeros((1, 8), np.float32)
    for call, message in [
        (lambda: model.rank("nobody", ["item 1"]), "user"),
        (lambda: model.rank("user 1", ["nothing"]), "candidates"),
        (lambda: model.score_codes("user 1", [ITEMS]), "codes: expected ids from 0 to 79"),
        (lambda: model.rank("user 1", 7), "candidates: expected a sequence of ids; got int 7"),
        (lambda: model.encode([None], factors=one, features=people[:1]), r"histories\[0\]: expected a sequence of ids"),
        (lambda: model.encode("item 1", factors=one), "histories: expected a list of lists"),
        (lambda: model.encode([["item 1"]], features=people[:1]), "factors: expected float32"),
        (lambda: model.encode([["item 1"]], factors=one[:, :4], features=people[:1]), "factors: expected 8 columns"),
        (lambda: model.encode([["item 1"]], factors=one, features=people[:2]), "features: expected 1 rows"),
        (lambda: model.score(model.encode([[], []], factors=np.zeros((2, 8)), features=people[:2]), []), "one user"),
        (lambda: model.add_items(["item 1"], features=np.zeros((1, KINDS))), "twice|new"),
        (lambda: model.add_items(["x", "y"], features=np.zeros((1, KINDS))), "features: expected 2 rows"),
        (lambda: model.recommend("user 1", 0), "k"),
    ]:
        with pytest.raises(InvalidArgument, match=message):
            call()


def test_damaged_folders_are_refused(trained, tmp_path):
    path = trained[-1]
    for name, change, message in [
        ("a", lambda m, a: m.update(contract=9), "contract"),
        ("b", lambda m, a: a.pop("item_bias"), "item_bias"),
        ("c", lambda m, a: a.update(item_vector=a["item_vector"][:, :-1]), "item_vector: expected float32"),
        ("d", lambda m, a: a.update(item_bias=a["item_bias"] * np.nan), "finite"),
        ("e", lambda m, a: a.update(head=a["user_tower"]), "sha256"),
        ("f", lambda m, a: m["shape"].update(query=0), "query"),
        ("g", lambda m, a: a.pop("head"), "head"),
        ("h", lambda m, a: m.pop("items"), "items"),
    ]:
        meta, arrays = read_folder(path, "ranking", mmap=False)
        change(meta, arrays)
        write_folder(tmp_path / name, "ranking", meta, arrays)
        with pytest.raises(FormatError, match=message):
            RankingModel.load(tmp_path / name)


def test_a_graph_with_other_tensors_is_refused(trained, tmp_path):
    meta, arrays = read_folder(trained[-1], "ranking", mmap=False)
    arrays["user_tower"], meta["sha256"]["user_tower"] = arrays["item_tower"], meta["sha256"]["item_tower"]
    write_folder(tmp_path / "m", "ranking", meta, arrays)
    with pytest.raises(InvalidArgument, match=r"user_tower: input 'history': expected float32 \[users, 16\]"):
        RankingModel.load(tmp_path / "m")


def test_a_device_that_is_not_there_is_refused_at_load(trained):
    if "CUDAExecutionProvider" in ort.get_available_providers():
        pytest.skip("this ONNX Runtime has CUDA")
    with pytest.raises(DeviceUnavailable, match="cuda"):
        RankingModel.load(trained[-1], device="cuda")
    with pytest.raises(InvalidArgument, match="device"):
        RankingModel.load(trained[-1], device="tpu")


@pytest.mark.parametrize("name", ["user_vector", "user_pairs", "item_bias"])
@pytest.mark.parametrize("bad", [np.nan, np.inf])
def test_arrays_that_are_not_finite_are_refused(trained, tmp_path, name, bad):
    meta, arrays = read_folder(trained[-1], "ranking")
    broken = np.array(arrays[name])
    broken.reshape(-1)[3] = bad
    write_folder(tmp_path / "m", "ranking", meta, {**arrays, name: broken})
    with pytest.raises(FormatError, match=f"{name}: expected finite values"):
        RankingModel.load(tmp_path / "m")
