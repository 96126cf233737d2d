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
    total, contributions, _ = shop.model.explain(0, shop._row(12), best.product.item - 100, N=100)
    assert sum(share for _, share in contributions) == pytest.approx(total, rel=1e-5)
    ids, scores = shop.model.recommend(0, shop._row(12), N=20, recalculate_user=True)  # the user solved anew
    assert dict(zip(ids.tolist(), scores.tolist(), strict=True))[best.product.item - 100] == pytest.approx(
        total, rel=1e-4
    )
    assert sum(share for _, share in best.because) >= total - 1e-6  # those that speak for it


def test_scores_are_the_models(shop: Shop) -> None:
    found = shop.recommend("u3", 5, repeat=True)
    ids, scores = shop.model.recommend(3, shop._row(3), N=5, filter_already_liked_items=False)
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
    with pytest.raises(InvalidArgument, match="999"):
        shop.recommend("u0", items=[999])


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
