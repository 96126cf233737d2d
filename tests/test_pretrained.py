"""The model that comes with the package: whole, small, and fed with baskets as it was trained."""

from __future__ import annotations

import shutil

import numpy as np
import pytest

from ecocore import FormatError, InvalidArgument, pretrained, read_catalogue, read_events
from ecocore.cli.demo_interests import Interests
from ecocore.pretrained import basket_sequences, household_model

GOODS = {"item": ["b", "c", "m", "t", "x"], "type": ["BEEF", "CHEESES", "BEEF", "SOUP", None]}
LOG = {
    "user": [7, 7, 7, 7, 7, 8, 9, 8, 8, 8, 8, 8],
    "item": ["b", "m", "t", "c", "b", "t", "x", "t", "t", "t", "t", "t"],
    "when": ["2024-01-01 10:00"] * 3
    + ["2024-01-02 09:00", "2024-01-03 09:00", "2024-01-01 08:00", "2024-01-01"]
    + [f"2023-12-2{day}" for day in range(5)],
}


@pytest.fixture
def log():
    with read_events(LOG, time="when") as events:
        yield events, read_catalogue(GOODS, category="type")


def test_baskets_hold_each_category_once_and_end_with_last(log):
    found = basket_sequences(*log)
    assert found.users.to_array().tolist() == [7, 8]  # what 9 bought has no category
    first = found.items[0].tolist()
    assert sorted(first[:2]) == ["BEEF", "SOUP"]  # beef and mince are one
    assert first[2:] == ["CHEESES", "BEEF"]
    assert found.event_types[0].tolist() == ["basket", "last", "last", "last"]
    assert np.all(np.diff(found.times[0]) >= 0)
    assert found.items[1].tolist() == ["SOUP"] * 6
    orders = {tuple(basket_sequences(*log, random_state=seed).items[0][:2]) for seed in range(20)}
    assert orders == {("BEEF", "SOUP"), ("SOUP", "BEEF")}


def test_baskets_need_categories(log):
    with pytest.raises(InvalidArgument, match="catalogue: expected one with categories"):
        basket_sequences(log[0], read_catalogue({"item": ["b"], "name": ["Beef"]}, name="name"))


def test_the_model_is_whole_small_and_needs_no_onnxruntime():
    model = household_model()
    assert model.info["engine"] == "native"
    assert len(model.items) > 250
    assert sum(path.stat().st_size for path in pretrained.FOLDER.iterdir()) < 1_000_000


def test_a_changed_file_is_refused(tmp_path, monkeypatch):
    shutil.copytree(pretrained.FOLDER, tmp_path / "household")
    monkeypatch.setattr(pretrained, "FOLDER", tmp_path / "household")
    household_model()
    path = max((tmp_path / "household").glob("*.npy"), key=lambda p: p.stat().st_size)
    content = bytearray(path.read_bytes())
    content[-3] ^= 1
    path.write_bytes(content)
    with pytest.raises(FormatError, match="sha256"):
        household_model()


def test_interests_are_distributions_and_judged_by_the_first_basket(log):
    events, catalogue = log
    past, future = events.split_by_time("2024-01-02")
    found = Interests(past, catalogue, household_model())
    for rows in (found.habit, found.model, found.together):
        np.testing.assert_allclose(rows.sum(axis=1), 1, rtol=1e-5)
    row = found.households.code(7)
    beef, soup = (found.categories.code(name) for name in ("BEEF", "SOUP"))
    assert found.habit[row, beef] == pytest.approx(0.5, abs=1e-5)
    assert found.habit[row, soup] == pytest.approx(0.5, abs=1e-5)
    np.testing.assert_allclose(found.together, (found.habit + found.model) / 2)
    assert "the next basket of 1 households" in found.judge(future)
    assert found.of(7).splitlines()[1].startswith("BEEF")  # soup is what all buy, and what nobody bought is left out
    assert "SOUP" not in found.of(7)
    with pytest.raises(InvalidArgument, match="9 is unknown"):
        found.of(9)
