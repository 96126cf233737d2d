"""Logs as sequences: by time, and no order where the log tells of none."""

from __future__ import annotations

import numpy as np

from ecocore import Profiles, read_events
from ecocore.event_sequences import event_sequences
from ecocore.ids import IdMap
from reference_recurrent import model_arrays, write_model

USERS, SIZE, ITEMS = 60, 10, 40


def baskets() -> dict[str, np.ndarray]:
    """Two baskets a user, a week apart, of items drawn at random; the type tells the item."""
    random = np.random.default_rng(0)
    item = np.concatenate([random.choice(ITEMS, SIZE, replace=False) for _ in range(2 * USERS)])
    user = np.repeat(np.arange(USERS), 2 * SIZE)
    when = 1_600_000_000 + np.tile(np.repeat([0, 7 * 86_400], SIZE), USERS)
    return {"user": user, "item": item, "when": when, "kind": np.array([f"kind{i % 7}" for i in item])}


def rising(items: list[np.ndarray]) -> float:
    """The share of neighbours within a basket whose ids rise: 1/2 where the order says nothing, 1 where by id."""
    return float(np.mean([np.diff(np.reshape(x, (-1, SIZE)), axis=1) > 0 for x in items]))


def test_events_of_one_moment_have_no_order_of_ids():
    data = baskets()
    with read_events(data, time="when", event="kind") as events:
        found = event_sequences(events)
        again, other = event_sequences(events), event_sequences(events, random_state=1)
    assert 0.45 < rising(found.items) < 0.55
    for user, items, times in zip(found.users.to_array(), found.items, found.times, strict=True):
        mine = data["item"][data["user"] == user].reshape(2, SIZE)
        assert (np.diff(times) >= 0).all()
        assert [sorted(part) for part in np.reshape(items, (2, SIZE))] == [sorted(part) for part in mine]
    assert found.event_types is not None
    for items, kinds in zip(found.items, found.event_types, strict=True):
        assert [f"kind{i % 7}" for i in items] == kinds.tolist()
    assert all(np.array_equal(a, b) for a, b in zip(found.items, again.items, strict=True))
    assert not all(np.array_equal(a, b) for a, b in zip(found.items, other.items, strict=True))


def test_the_draw_does_not_depend_on_the_order_of_the_rows():
    data = baskets()
    shuffled = np.random.default_rng(5).permutation(data["user"].size)
    drawn = []
    for rows in (data, {name: column[shuffled] for name, column in data.items()}):
        with read_events(rows, time="when", event="kind") as events:
            drawn.append(event_sequences(events).items)
    assert all(np.array_equal(a, b) for a, b in zip(*drawn, strict=True))


def test_a_profile_reads_a_moment_as_training_does(tmp_path, monkeypatch):
    meta, arrays = model_arrays(items=ITEMS, types=7, gaps=6, probability="softmax")
    meta["item_ids"], ids = IdMap(np.arange(ITEMS)).to_parts()
    meta["event_type_ids"], kinds = IdMap([f"kind{i}" for i in range(7)]).to_parts()
    arrays |= {f"item_ids_{k}": v for k, v in ids.items()} | {f"event_type_ids_{k}": v for k, v in kinds.items()}
    write_model(tmp_path / "m", meta, arrays)
    from ecocore import BehaviorModel

    model = BehaviorModel.load(tmp_path / "m", engine="native")
    read, encode = [], model.encode

    def spy(sequences, **inputs):
        read.append((np.asarray(sequences[0]), np.asarray(inputs["times"][0]), inputs["event_types"][0]))
        return encode(sequences, **inputs)

    monkeypatch.setattr(model, "encode", spy)
    with read_events(baskets(), time="when", event="kind") as events:
        shop = Profiles(events, model=model)
        read.clear()
        for user in range(USERS):
            assert shop.profile(user) == shop.profile(user)
    assert len(read) == 2 * USERS
    assert 0.45 < rising([items for items, _, _ in read]) < 0.55
    for items, times, kinds in read:
        assert (np.diff(times) >= 0).all()
        assert [f"kind{i % 7}" for i in items] == list(kinds)
