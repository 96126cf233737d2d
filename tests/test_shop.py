"""Shop: ids in, products with their reasons out; saved whole, loaded the same."""

from __future__ import annotations

import numpy as np
import pytest

from ecocore import AlternatingLeastSquares, Catalogue, FormatError, IdMap, Interactions, InvalidArgument, Shop


@pytest.fixture(scope="module")
def shop() -> Shop:
    """Two tastes: users u0..u9 take even items, u10..u19 odd ones, each leaving some out; u20 has nothing."""
    rng = np.random.default_rng(0)
    pairs = [(f"u{u}", 100 + i) for u in range(20) for i in range(20) if i % 2 == u // 10 and rng.random() < 0.7]
    users, items = zip(*pairs, strict=True)
    history = Interactions.from_arrays(
        list(users), list(items), user_ids=IdMap([f"u{u}" for u in range(21)]), item_ids=IdMap(range(100, 120))
    )
    names = np.array([f"thing {i}" for i in range(20)], object)
    catalogue = Catalogue(IdMap(range(100, 120)), {"name": names, "price": np.arange(20.0)})
    return Shop.train(history, catalogue=catalogue, factors=4, iterations=10, random_state=0, show_progress=False)


def test_recommends_what_the_user_lacks_with_reasons_from_the_users_history(shop: Shop) -> None:
    own = set(shop.history.items[shop.history.indices[: shop.history.indptr[1]]])
    found = shop.recommend("u0", 3, reasons=2)
    assert len(found) == 3
    for r in found:
        assert r.basis == "history"
        assert r.product.item not in own
        assert r.product.name == f"thing {r.product.item - 100}"
        assert r.product.price == r.product.item - 100
        assert 1 <= len(r.because) <= 2
        assert {p.item for p, _ in r.because} <= own
    assert found[0].product.item % 2 == 0
    assert [r.score for r in found] == sorted((r.score for r in found), reverse=True)


def test_contributions_of_the_whole_history_add_up_to_the_score(shop: Shop) -> None:
    (best,) = shop.recommend("u12", 1, reasons=100)
    total, contributions, _ = shop.model.explain(0, shop.history.rows(12), best.product.item - 100, N=100)
    assert sum(share for _, share in contributions) == pytest.approx(total, rel=1e-5)
    ids, scores = shop.model.recommend(0, shop.history.rows(12), N=20, recalculate_user=True)  # the user solved anew
    assert dict(zip(ids.tolist(), scores.tolist(), strict=True))[best.product.item - 100] == pytest.approx(
        total, rel=1e-4
    )
    assert sum(share for _, share in best.because) >= total - 1e-6  # those that speak for it


def test_scores_are_the_models(shop: Shop) -> None:
    found = shop.recommend("u3", 5, repeat=True)
    ids, scores = shop.model.recommend(3, shop.history.rows(3), N=5, filter_already_liked_items=False)
    assert [r.product.item - 100 for r in found] == ids.tolist()
    assert [r.score for r in found] == scores.tolist()


@pytest.mark.parametrize("user", ["nobody", "u20"])
def test_a_user_without_history_gets_what_most_have_and_is_told(shop: Shop, user: str) -> None:
    found = shop.recommend(user, 4)
    counts = np.bincount(shop.history.indices, minlength=20)
    assert [r.product.item - 100 for r in found] == np.argsort(-counts, kind="stable")[:4].tolist()
    assert {r.basis for r in found} == {"popularity"}
    assert found[0].because == ()


def test_allow_and_deny_by_id(shop: Shop) -> None:
    assert {r.product.item for r in shop.recommend("u0", 5, repeat=True, items=[101, 103])} == {101, 103}
    assert 101 not in {r.product.item for r in shop.recommend("u0", 20, repeat=True, deny=[101])}
    # Lists of what is in stock or sold out hold products newer than the model.
    assert shop.recommend("u0", 3, deny=[999]) == shop.recommend("u0", 3)
    assert {r.product.item for r in shop.recommend("u0", 5, repeat=True, items=[101, 999])} == {101}
    assert shop.recommend("u0", items=[999]) == []


def test_similar_products_share_a_taste(shop: Shop) -> None:
    found = shop.similar(100, 3)
    assert len(found) == 3
    assert all(p.item != 100 and p.item % 2 == 0 for p, _ in found)
    with pytest.raises(InvalidArgument, match="7"):
        shop.similar(7)


@pytest.mark.parametrize("mmap", [True, False])
def test_saved_and_loaded_is_the_same(shop: Shop, tmp_path, mmap: bool) -> None:
    shop.save(tmp_path / "shop")
    again = Shop.load(tmp_path / "shop", mmap=mmap, verify=True)
    for user in ("u0", "u15", "nobody"):
        assert again.recommend(user, 5) == shop.recommend(user, 5)
    assert again.model.item_factors.tobytes() == shop.model.item_factors.tobytes()


def test_a_model_of_another_history_is_refused(shop: Shop) -> None:
    with pytest.raises(InvalidArgument, match="21 users and 20 items"):
        Shop(fitted(3, 4), shop.history)
    with pytest.raises(InvalidArgument, match="fit"):
        Shop(AlternatingLeastSquares(factors=2), shop.history)


def np_csr(rows: int, cols: int) -> Interactions:
    user, item = np.divmod(np.arange(rows * cols), cols)
    return Interactions.from_arrays(user, item)


def fitted(rows: int, cols: int) -> AlternatingLeastSquares:
    model = AlternatingLeastSquares(factors=2, iterations=1)
    model.fit(np_csr(rows, cols), show_progress=False)
    return model


def test_loading_something_else_says_what_it_is(shop: Shop, tmp_path) -> None:
    shop.model.save(tmp_path / "model")
    with pytest.raises(FormatError, match="kind"):
        Shop.load(tmp_path / "model")
    for bad in (0, -1, 2.5):
        with pytest.raises(InvalidArgument, match="k: expected"):
            shop.recommend("u0", bad)


def test_parameters_complete_the_defaults(shop: Shop) -> None:
    other = Shop.train(shop.history, iterations=1, random_state=3, show_progress=False)
    assert (other.model.objective, other.model.factors, other.model.unobserved_weight) == ("ials", 64, 0.3)
    other = Shop.train(shop.history, iterations=1, objective="implicit", factors=3, show_progress=False)
    assert (other.model.objective, other.model.factors) == ("implicit", 3)


def test_new_products_make_a_new_shop(shop: Shop, tmp_path) -> None:
    odd = np.arange(20)[:, None] % 2 == np.arange(2)
    model = AlternatingLeastSquares(factors=4, iterations=10, objective="ials", regularization=0.01, random_state=0)
    model.fit(shop.history, item_features=odd.astype(np.float32), show_progress=False)
    old = Shop(model, shop.history, shop.catalogue)
    names = Catalogue(IdMap([900, 901]), {"name": np.array(["even news", "odd news"], object)})
    new = old.with_items([900, 901], np.eye(2, dtype=np.float32), names)
    assert "news" not in str(old.recommend("u0", 20, repeat=True))
    ranks = {r.product.name: i for i, r in enumerate(new.recommend("u0", 22, repeat=True))}
    assert ranks["even news"] < ranks["odd news"]
    assert new.product(3).name == "thing 3"
    new.save(tmp_path / "new")
    assert Shop.load(tmp_path / "new").recommend("u0", 5) == new.recommend("u0", 5)
    with pytest.raises(InvalidArgument, match="features: expected one row for each of the 1 ids; got 2"):
        old.with_items([900], np.eye(2, dtype=np.float32))
    with pytest.raises(InvalidArgument, match="100"):
        old.with_items([100], np.ones((1, 2), np.float32))


def test_a_matrix_without_ids_is_refused(shop: Shop) -> None:
    matrix = shop.history.to_scipy()
    with pytest.raises(InvalidArgument, match=r"history: expected Interactions.*from_scipy"):
        Shop(shop.model, matrix)
    with pytest.raises(InvalidArgument, match="events: expected Events or Interactions"):
        Shop.train(matrix)


def test_an_altered_history_is_noticed_where_it_is_used(shop: Shop) -> None:
    indices = shop.history.indices.copy()
    indices[:2] = indices[1::-1]
    broken = Interactions(
        shop.history.indptr, indices, shop.history.data, shop.history.shape, shop.history.users, shop.history.items
    )
    with pytest.raises(FormatError, match="do not rise"):
        broken.rows([0])
    indices[0] = 77
    with pytest.raises(InvalidArgument, match="77"):
        broken.rows([0])
    assert broken.rows([5]).nnz == shop.history.rows([5]).nnz
