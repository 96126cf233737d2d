"""A shop with a ranking model: ALS finds the candidates, the ranking model puts them in order."""

from __future__ import annotations

import numpy as np
import pytest

pytest.importorskip("torch", reason="the extra 'train' is not installed (no torch)")
pytest.importorskip("onnx", reason="the extra 'train' is not installed (no onnx)")
pytest.importorskip("onnxruntime", reason="ONNX Runtime is not installed (extra 'cpu' or 'gpu')")

from ecocore import Catalogue, IdMap, Interactions, InvalidArgument, RankingModel, Shop, evaluate
from ecocore.cli import main
from ecocore.reranking import TwoStage
from ecocore.train import ranking

SMALL = {"dim": 16, "hidden": 32, "query": 16, "pairs": 4, "batch": 64, "negatives": 64, "epochs": 6}


def chains(users: int = 300, items: int = 60, seed: int = 0) -> tuple[Interactions, np.ndarray]:
    """Users who walk along a circle of items, two steps at a time: the order tells what is next, and nothing else
    does. Returns what they have and the item that comes next."""
    random = np.random.default_rng(seed)
    start = random.integers(0, items, users)
    walk = (start[:, None] + 2 * np.arange(9)) % items
    u = np.repeat(np.arange(users), 8)
    names = np.array([f"i{j}" for j in range(items)])
    return (
        Interactions.from_arrays(
            [f"u{j}" for j in u], names[walk[:, :8].ravel()].tolist(), times=np.tile(np.arange(8), users),
            user_ids=IdMap([f"u{j}" for j in range(users + 1)]), item_ids=IdMap(names.tolist()),
        ),
        walk[:, 8],
    )  # fmt: skip


@pytest.fixture(scope="module")
def shop() -> Shop:
    history, _ = chains()
    catalogue = Catalogue(history.items, {"price": np.arange(60.0)})
    return Shop.train(
        history, catalogue=catalogue, ranking=SMALL, factors=8, iterations=8, random_state=0, show_progress=False
    )


def test_the_order_is_the_ranking_models(shop: Shop):
    for user in ("u0", "u7"):
        row = shop.history.users.code(user)
        own = set(shop.history.items[shop.history.rows(row).indices])
        found = shop.recommend(user, 10, reasons=2)
        assert [r.basis for r in found] == ["ranking"] * 10
        assert not own & {r.product.item for r in found}
        assert [r.score for r in found] == sorted((r.score for r in found), reverse=True)
        every = [i for i in shop.history.items.to_array() if i not in own]  # fewer than 500: all are candidates
        wanted = shop.ranking.rank(user, every, 10)
        assert [r.product.item for r in found] == wanted.ids.tolist()
        assert [r.score for r in found] == wanted.scores.tolist()
        factor = shop.model.user_factors[row] @ shop.model.item_factors[shop.history.items.code(found[0].product.item)]
        assert found[0].factor_score == pytest.approx(float(factor), rel=1e-5)
        assert 1 <= len(found[0].because) <= 2


def test_it_finds_what_factors_cannot(shop: Shop):
    history, next_items = chains()
    rows = np.arange(300)
    test = Interactions.from_arrays(
        [f"u{j}" for j in rows], [f"i{j}" for j in next_items], user_ids=history.users, item_ids=history.items
    )
    alone = evaluate(shop.model, shop.history, test, k=1)["recall"]
    ranked = evaluate(shop.recommender, shop.history, test, k=1)["recall"]
    assert ranked > alone + 0.2


def test_only_candidates_are_ranked_and_filters_hold(shop: Shop):
    stages = TwoStage(shop.model, shop.ranking, shop.history.users, shop.history.items, candidates=5)
    own = shop.history.rows(3)
    first, _ = shop.model.recommend(3, own, 5)
    ids, scores = stages.recommend(3, own, 3)
    assert set(ids) <= set(first)
    assert scores.tolist() == sorted(scores.tolist(), reverse=True)
    many, _ = stages.recommend([3, 4], shop.history.rows([3, 4]), 3)
    np.testing.assert_array_equal(many[0], ids)
    few, none = stages.recommend(3, own, 4, items=[1, 2], filter_items=[2])
    assert few.tolist()[1:] == [-1] * 3
    assert none.tolist()[1:] == [-np.inf] * 3
    assert [r.product.item for r in shop.recommend("u3", 4, items=["i1", "i2", "?"], deny=["i2"], repeat=True)] == [
        "i1"
    ]


def test_users_without_history_get_what_most_have(shop: Shop):
    assert [r.basis for r in shop.recommend("u300", 3)] == ["popularity"] * 3
    assert shop.recommend("stranger", 3)[0].factor_score is None


def test_it_is_saved_whole(shop: Shop, tmp_path):
    shop.save(tmp_path / "shop")
    again = Shop.load(tmp_path / "shop", verify=True)
    assert again.recommend("u5", 10) == shop.recommend("u5", 10)
    assert again.recommend("u5", 1)[0].to_dict()["basis"] == "ranking"
    assert "RankingModel" in repr(again)
    Shop(shop.model, shop.history).save(tmp_path / "shop")
    assert Shop.load(tmp_path / "shop").ranking is None


def test_a_user_whom_the_ranking_model_does_not_know_keeps_the_first_order(shop: Shop, tmp_path):
    history, _ = chains(users=200)
    ranking(history, out=tmp_path, progress=False, **{**SMALL, "epochs": 1})
    mixed = Shop(shop.model, shop.history, None, RankingModel.load(tmp_path))
    _, scores = shop.model.recommend(250, shop.history.rows(250), 5)
    found = mixed.recommend("u250", 5)
    assert [r.basis for r in found] == ["history"] * 5
    assert [r.score for r in found] == scores.tolist()
    assert mixed.recommend("u100", 1)[0].basis == "ranking"


def test_what_does_not_fit_is_refused(shop: Shop, tmp_path):
    history, _ = chains(items=40)
    ranking(history, out=tmp_path / "few", progress=False, save_users=False, **{**SMALL, "epochs": 1})
    few = RankingModel.load(tmp_path / "few")
    with pytest.raises(InvalidArgument, match=r"ranking: .*vectors of its users"):
        Shop(shop.model, shop.history, None, few)
    ranking(history, out=tmp_path / "few", progress=False, **{**SMALL, "epochs": 1})
    with pytest.raises(InvalidArgument, match=r"ranking: .*all 60 items; it lacks 20, such as 'i40'"):
        Shop(shop.model, shop.history, None, RankingModel.load(tmp_path / "few"))
    with pytest.raises(InvalidArgument, match="ranking: expected a RankingModel; got"):
        Shop(shop.model, shop.history, None, str(tmp_path))
    with pytest.raises(InvalidArgument, match=r"ranking: .*add_items"):
        shop.with_items(["new"], np.ones((1, 2), np.float32))


def test_the_command_trains_and_judges_it(tmp_path, capsys):
    random = np.random.default_rng(0)
    lines = [f"u{u},i{(u + 3 * s) % 30},{1_700_000_000 + 86_400 * s}" for u in range(60) for s in range(8)]
    random.shuffle(lines)
    (tmp_path / "log.csv").write_text("user,item,time\n" + "\n".join(lines))
    options = ["--user", "user", "--item", "item", "--time", "time", "--factors", "4", "--ranking"]
    assert main(["train", str(tmp_path / "log.csv"), *options, "--out", str(tmp_path / "shop")]) == 0
    assert Shop.load(tmp_path / "shop").ranking is not None
    assert main(["recommend", str(tmp_path / "shop"), "--user", "u1"]) == 0
    assert main(["evaluate", str(tmp_path / "log.csv"), *options, "--last", "1d", "--k", "3"]) == 0
    assert "ALS, ranked" in capsys.readouterr().out
