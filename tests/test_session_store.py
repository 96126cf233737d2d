"""SessionStore: event by event equals the whole history to the bit, whatever comes between."""

from __future__ import annotations

import datetime as dt
import sys
import threading

import numpy as np
import pytest

from ecocore import BehaviorModel, InvalidArgument, SessionStore
from reference_recurrent import model_arrays, random_sequences, write_model
from test_behavior import ENGINES, features_graph, full_inputs, needs_graphs


@pytest.fixture(params=ENGINES)
def engine(request):
    return request.param


def load(tmp_path, engine="native", cell="lstm", name="m", **kwargs):
    meta, arrays = model_arrays(cell, **kwargs)
    path = write_model(tmp_path / name, meta, arrays, with_graph=engine == "onnxruntime")
    return BehaviorModel.load(path, "cpu", engine=engine)


def holds(store, users, encoded):
    for i, user in enumerate(users):
        state = store.state(user)
        np.testing.assert_array_equal(state.h.view(np.uint32), encoded.h[i].view(np.uint32))
        if encoded.c is not None:
            np.testing.assert_array_equal(state.c.view(np.uint32), encoded.c[i].view(np.uint32))
        np.testing.assert_array_equal(store.query(user), encoded.query[i])


def contents(store, users):
    return [
        None if (s := store.state(u)) is None else (s.h.tobytes(), s.c.tobytes(), s.events, s.last_time) for u in users
    ]


def interleaved(random, sequences):
    """(user, position) of all events, users mixed, each user's in order."""
    users = np.repeat(np.arange(len(sequences)), [len(s) for s in sequences])
    random.shuffle(users)
    seen = dict.fromkeys(range(len(sequences)), -1)
    out = []
    for u in users.tolist():
        seen[u] += 1
        out.append((u, seen[u]))
    return out


@pytest.mark.parametrize("cell", ["lstm", "gru", "rnn"])
def test_event_by_event_equals_the_whole_history(tmp_path, engine, cell):
    model = load(tmp_path, engine, cell, layers=2, types=2, gaps=6, query=9, scale=3.0, bias=True)
    random = np.random.default_rng(0)
    sequences = [s or [5] for s in random_sequences(random, 20)]
    inputs = full_inputs(random, sequences)
    one, many = SessionStore(model), SessionStore(model)
    events = interleaved(random, sequences)
    columns = [(u, sequences[u][t], inputs["event_types"][u][t], inputs["times"][u][t]) for u, t in events]
    for user, item, kind, time in columns:
        one.append(user, item, event_type=kind, time=time)
    users, items, kinds, times = (list(x) for x in zip(*columns, strict=True))
    for a in range(0, len(users), 50):  # a user comes several times in a batch
        part = slice(a, a + 50)
        many.append_many(np.array(users[part]), items[part], event_types=kinds[part], times=times[part])
    encoded = model.encode(sequences, **inputs)
    holds(one, range(20), encoded)
    holds(many, range(20), encoded)
    wanted = model.recommend(sequences, 7, **inputs)
    for user in range(20):
        got = one.recommend(user, 7)
        np.testing.assert_array_equal(got.ids, wanted.ids[user])
        np.testing.assert_array_equal(got.scores, wanted.scores[user])
    np.testing.assert_array_equal(one.probabilities(3, [5, 15]), model.probabilities(sequences, [5, 15], **inputs)[3])
    assert one.stats()["unknown"] == many.stats()["unknown"] == encoded.unknown
    assert one.state(3).events == len(sequences[3])


@pytest.mark.parametrize(("layers", "hidden"), [(1, 32), (2, 19)])
def test_many_users_in_one_call(tmp_path, engine, layers, hidden):
    """Enough for several blocks on several threads; a user's events between those of others; some users are known."""
    model = load(tmp_path, engine, layers=layers, hidden=hidden, bias=True)
    random = np.random.default_rng(0)
    users = random.integers(0, 700, 2500)
    items = random.integers(0, 40, 2500) * 10 + 5
    store = SessionStore(model)
    for part in (slice(0, 600), slice(600, 2500)):
        store.append_many(users[part], items[part])
    known = np.unique(users)
    holds(store, known.tolist(), model.encode([items[users == u] for u in known]))


@needs_graphs
def test_a_graph_whose_output_is_not_a_function_of_the_state_keeps_it(tmp_path):
    from reference_recurrent import graph_bytes

    meta, arrays = model_arrays(query=9)
    model = BehaviorModel.from_graph(
        graph_bytes(meta, arrays), np.arange(40) * 10 + 5, item_vectors=arrays["item_vectors"][1:], device="cpu"
    )
    store = SessionStore(model)
    sequences = [[5, 15, 25], [35]]
    for user, sequence in enumerate(sequences):
        for item in sequence:
            store.append(user, item)
    holds(store, range(2), model.encode(sequences))
    store.snapshot(tmp_path / "s")
    again = SessionStore(model)
    again.restore(tmp_path / "s")
    holds(again, range(2), model.encode(sequences))


@pytest.fixture
def hasty_threads():
    """Threads that give the interpreter to each other after 10 us instead of 5 ms."""
    before = sys.getswitchinterval()
    sys.setswitchinterval(1e-5)
    yield
    sys.setswitchinterval(before)


@pytest.mark.parametrize("delay", [0.0, 2e-4])
def test_threads_share_a_store_and_users_keep_their_order(tmp_path, engine, delay, hasty_threads):
    model = load(tmp_path, engine)
    store = SessionStore(model, max_batch=16, max_delay=delay)
    random = np.random.default_rng(0)
    sequences = [random.integers(0, 40, 40).tolist() for _ in range(16)]
    sequences = [[x * 10 + 5 for x in s] for s in sequences]
    start, errors = threading.Barrier(16), []

    def work(user):
        try:
            start.wait()
            for i, item in enumerate(sequences[user]):
                store.append(user, item)
                if i % 3 == 0:  # an event may have been left for another thread, but never unseen
                    assert store.state(user).events == i + 1
                if i % 10 == 0:
                    store.recommend(user, 3)
                    store.forget(1000 + user)
        except Exception as e:
            errors.append(e)

    threads = [threading.Thread(target=work, args=(u,)) for u in range(16)]
    for t in threads:
        t.start()
    for t in threads:
        t.join()
    assert not errors
    holds(store, range(16), model.encode(sequences))
    assert store.stats()["events"] == 640


def test_restart_equals_no_restart(tmp_path, engine):
    model = load(tmp_path, engine, gaps=6)
    random = np.random.default_rng(0)
    sequences = [s or [5] for s in random_sequences(random, 30)]
    times = full_inputs(random, sequences)["times"]
    events = interleaved(random, sequences)
    users = [u if u % 2 else f"user-é{u}" for u in range(30)]
    whole, first = SessionStore(model), SessionStore(model)
    half = len(events) // 2
    for n, (u, t) in enumerate(events):
        for store in (whole, *([first] if n < half else [])):
            store.append(users[u], sequences[u][t], time=times[u][t])
    first.snapshot(tmp_path / "snapshot")
    again = SessionStore(BehaviorModel.load(tmp_path / "m", "cpu", engine=engine))
    again.append("someone else", 5)
    again.restore(tmp_path / "snapshot")
    assert "someone else" not in again
    for u, t in events[half:]:
        again.append(users[u], sequences[u][t], time=times[u][t])
    assert contents(again, users) == contents(whole, users)
    assert len(again) == 30
    again.snapshot(tmp_path / "snapshot")  # replaces the old one


def test_capacity_evicts_who_was_silent_longest(tmp_path):
    model = load(tmp_path)
    store = SessionStore(model, capacity=3)
    for user in (1, 2, 3, 1, 4):
        store.append(user, 5)
    assert [u in store for u in (1, 2, 3, 4)] == [True, False, True, True]
    assert store.stats()["evicted"] == 1
    assert store.state(1).events == 2
    store.append(2, 5)  # begins anew
    np.testing.assert_array_equal(store.state(2).h, model.encode([[5]]).h[0])
    with pytest.raises(InvalidArgument, match="at most capacity = 3 different users in one call; got 4"):
        store.append_many([1, 5, 6, 7], [5] * 4)
    assert 5 not in store
    store.append_many([5, 6, 7, 5], [5, 5, 5, 15])
    assert [u in store for u in (5, 6, 7)] == [True] * 3
    assert len(store) == 3


def test_who_is_held_and_in_a_batch_keeps_state_and_history(tmp_path):
    """Also where a stranger of the same batch comes first and takes the place of who was silent for longest."""
    model = load(tmp_path)
    store = SessionStore(model, capacity=3)
    for user in (1, 2, 3):
        store.append_many([user] * 2, [5, 15])
    store.append_many([9, 1, 2], [25, 35, 45])
    assert [u in store for u in (9, 1, 2, 3)] == [True, True, True, False]
    assert [store.state(u).events for u in (9, 1, 2)] == [1, 3, 3]
    again = SessionStore(model, capacity=3)
    again.replay(store)
    for one in (store, again):
        holds(one, [9, 1, 2], model.encode([[25], [5, 15, 35], [5, 15, 45]]))


def test_threads_append_forget_and_evict_at_once(tmp_path, engine, hasty_threads):
    """More users than places: whoever is held has the state of the last events of that user's own history."""
    model = load(tmp_path, engine)
    store = SessionStore(model, capacity=7, max_batch=4)
    random = np.random.default_rng(0)
    plans = [(random.integers(0, 9, 60) + 100 * t, random.integers(0, 40, 60) * 10 + 5) for t in range(8)]
    start, errors, found = threading.Barrier(8), [], []

    def work(users, items):
        try:
            own: dict[int, list[int]] = {}
            start.wait()
            for i, (user, item) in enumerate(zip(users.tolist(), items.tolist(), strict=True)):
                other = int(users[i - 1])
                store.append_many([user, other, user], [item, 5, 15])
                own.setdefault(user, []).append(item)
                own.setdefault(other, []).append(5)
                own[user].append(15)
                if i % 8 == 7:
                    store.forget(user)
                found.extend((s, own[u][-s.events :]) for u in own if (s := store.state(u)) is not None)
        except Exception as e:
            errors.append(e)

    threads = [threading.Thread(target=work, args=plan) for plan in plans]
    for t in threads:
        t.start()
    for t in threads:
        t.join()
    assert not errors
    assert store.stats()["evicted"] > 100
    assert len(found) > 100
    wanted = model.encode([history for _, history in found])
    for i, (state, history) in enumerate(found):
        assert state.events == len(history)
        assert state.h.tobytes() == wanted.h[i].tobytes()


def test_users_as_numpys_whole_numbers(tmp_path):
    store = SessionStore(load(tmp_path))
    for users in (np.array([3]), np.array([3], np.uint64), np.array([3], object), [np.int32(3)], (3,), iter([3])):
        store.append_many(users, [5])
    store.append(np.uint8(3), 5)
    assert store.state(3).events == 7
    assert len(store) == 1


def test_ttl_forgets_the_silent(tmp_path):
    model = load(tmp_path)
    store = SessionStore(model, ttl=10)
    now = [1000.0]
    store._now = lambda: now[0]
    store.append(1, 5)
    now[0] += 6
    store.append(2, 5)
    now[0] += 6
    assert 1 not in store
    assert store.state(1) is None
    assert 2 in store
    store.append(1, 15)
    np.testing.assert_array_equal(store.state(1).h, model.encode([[15]]).h[0])
    now[0] += 20
    store.append(3, 5)
    assert len(store) == 1
    assert store.stats()["expired"] == 3
    now[0] += 6
    store.append(4, 5)
    now[0] += 6
    store.snapshot(tmp_path / "s")  # nothing of user 3 is written
    again = SessionStore(model)
    again.restore(tmp_path / "s")
    assert [u in again for u in (3, 4)] == [False, True]


def test_forget_erases_and_a_slot_is_clean_for_the_next(tmp_path):
    model = load(tmp_path)
    store = SessionStore(model, capacity=1, history=4)
    store.append("a", 5)
    assert store.forget("a", "b") == 1
    assert store.state("a") is None
    store.append("b", 15)
    np.testing.assert_array_equal(store.state("b").h, model.encode([[15]]).h[0])
    store.snapshot(tmp_path / "s")
    again = SessionStore(model, capacity=1, history=4)
    again.restore(tmp_path / "s")
    assert again.state("b").events == 1


def test_replay_does_not_hold_who_has_no_event_left(tmp_path):
    old, new = load(tmp_path, name="old", gaps=6), load(tmp_path, name="new", gaps=6, seed=9)
    store = SessionStore(old, history=0)
    store.append("u", 5, time=9.0)
    store.snapshot(tmp_path / "s")
    for source in (store, tmp_path / "s"):
        fresh = SessionStore(new)
        fresh.append("v", 5)
        fresh.replay(source)
        assert len(fresh) == 0
        fresh.append("u", 15, time=20.0)  # the first event, with no gap before it
        holds(fresh, ["u"], new.encode([[15]], times=[[20.0]]))
        assert fresh.state("u").events == 1


def test_states_of_two_models_never_mix_and_replay_makes_them_anew(tmp_path, engine):
    old = load(tmp_path, engine, name="old", gaps=6, types=2)
    new = load(tmp_path, engine, name="new", gaps=6, types=2, hidden=24, items=30, seed=9)
    random = np.random.default_rng(0)
    sequences = [s or [5] for s in random_sequences(random, 12)]
    inputs = full_inputs(random, sequences)
    store = SessionStore(old, history=5)
    for u, t in interleaved(random, sequences):
        store.append(u, sequences[u][t], event_type=inputs["event_types"][u][t], time=inputs["times"][u][t])
    store.snapshot(tmp_path / "s")
    fresh = SessionStore(new, history=5)
    with pytest.raises(InvalidArgument, match=r"another model.*use replay"):
        fresh.restore(tmp_path / "s")
    assert len(fresh) == 0
    last = {k: [x[-5:] for x in v] for k, v in inputs.items()}
    wanted = new.encode([s[-5:] for s in sequences], **last)
    fresh.replay(store)
    holds(fresh, range(12), wanted)
    from_file = SessionStore(new, history=5)
    from_file.replay(tmp_path / "s")
    holds(from_file, range(12), wanted)
    for u in range(12):  # and life goes on
        from_file.append(u, 25, event_type="type0", time=inputs["times"][u][-1] + 50)
    more = {
        "event_types": [[*x, "type0"] for x in last["event_types"]],
        "times": [[*x, x[-1] + 50] for x in last["times"]],
    }
    holds(from_file, range(12), new.encode([[*s[-5:], 25] for s in sequences], **more))


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda s: s.append(1.5, 5), "user: expected a whole number or text; got float"),
        (lambda s: s.append(True, 5), "user: expected"),
        (lambda s: s.append(1 << 70, 5), "at most 64 bits"),
        (lambda s: s.append("\ud800", 5), "UTF-8"),
        (lambda s: s.append(1, 5.5), "item: expected a whole number"),
        (lambda s: s.append(1, None), "item: expected"),
        (lambda s: s.append(1, [5]), "item: expected"),
        (lambda s: s.append(1, 5, time=float("nan")), "time: expected finite seconds"),
        (lambda s: s.append(1, 5, time=float("inf")), "time: expected"),
        (lambda s: s.append(1, 5, time="now"), "time: expected"),
        (lambda s: s.append(1, 5, event_type=7), "event_type: expected text"),
        (lambda s: s.append_many([1, 2], [5]), "items: expected 2, one for each user; got 1"),
        (lambda s: s.append_many([1, 2], [5, 5], times=[1.0]), "times: expected 2"),
        (lambda s: s.append_many([1, 2], [5, 5], times=[1.0, np.nan]), "finite"),
        (lambda s: s.append_many([1, 2], [5, 5], event_types=["a"]), "event_types: expected 2"),
        (lambda s: s.append_many([1, 2], [5, None]), "^items: expected a whole number"),
        (lambda s: s.append_many([1, 2], [5, 5], event_types=[7, 8]), "^event_types: "),
        (
            lambda s: s.append_many([1, None], [5, 5]),
            "^users: expected a whole number or text; got NoneType None at place 1; leave",
        ),
        (lambda s: s.append_many([1, 2, 1 << 70], [5, 5, 5]), "^users: .* 64 bits .*; got int 1180.* at place 2"),
        (lambda s: s.append_many(["a", "\ud800"], [5, 5]), "^users: expected text that UTF-8 can hold; .* at place 1"),
        (lambda s: s.append(1, 5, time=10**400), "^time: expected finite seconds"),
        (lambda s: s.append_many([1, 2], [5, 5], times=[1.0, 10**400]), "^times: event 1: expected finite seconds"),
        (
            lambda s: s.append_many([1, 2], [5, 5], times=[dt.datetime(2024, 5, 1), None]),
            "^times: event 1: expected finite seconds or a datetime; got NoneType",
        ),
        (lambda s: s.append_many([1, 2], [5, 5], times=[[1.0], [2.0, 3.0]]), "^times: expected seconds or datetimes"),
        (lambda s: s.append_many("ab", [5, 5]), "users: expected a list"),
        (lambda s: s.append_many(5, [5]), "users: expected a list"),
        (lambda s: s.append_many([np.True_], [5]), "^users: expected .* at place 0"),
        (lambda s: s.append(1, np.True_), "item: expected a whole number"),
        (lambda s: s.recommend(1, 0), "k: expected"),
        (lambda s: s.probabilities(1, [7]), "^items: 7 is unknown"),
    ],
)
def test_a_failed_call_changes_nothing(tmp_path, call, message):
    store = SessionStore(load(tmp_path, types=2, gaps=6))
    store.append(1, 5, event_type="type0", time=10.0)
    before = contents(store, [1]), store.stats()
    with pytest.raises(InvalidArgument, match=message):
        call(store)
    assert (contents(store, [1]), store.stats()) == before
    assert 2 not in store


def test_a_failing_engine_changes_nothing_and_spares_the_others(tmp_path, monkeypatch):
    pytest.importorskip("onnxruntime", reason="needs the runtime's engine (extra 'test')")
    model = load(tmp_path, "onnxruntime")
    store = SessionStore(model, max_delay=0.05)
    store.append(1, 5)
    before = contents(store, [1])
    real = model.engine.advance

    def failing(indptr, ids, features, h, c):
        if (ids[0] == 7).any():  # the row of item 65
            raise RuntimeError("the device is gone")
        return real(indptr, ids, features, h, c)

    monkeypatch.setattr(model.engine, "advance", failing)
    with pytest.raises(RuntimeError, match="the device is gone"):
        store.append(1, 65)
    with pytest.raises(RuntimeError, match="the device is gone"):
        store.append_many([1, 9], [5, 65])
    assert contents(store, [1]) == before
    assert 9 not in store
    start, failed = threading.Barrier(8), []

    def work(user):
        start.wait()
        for _ in range(10):
            try:
                store.append(user, 65 if user == 13 else 5)
            except RuntimeError:
                failed.append(user)

    threads = [threading.Thread(target=work, args=(u,)) for u in range(10, 18)]
    for t in threads:
        t.start()
    for t in threads:
        t.join()
    assert failed == [13] * 10
    assert 13 not in store
    wanted = model.encode([[5] * 10])
    for user in range(10, 18):
        if user != 13:
            holds(store, [user], wanted)


@pytest.mark.parametrize("call", ["append", "forget", "snapshot"])
def test_a_call_from_within_the_models_run_is_refused(tmp_path, monkeypatch, call):
    """Python runs signal handlers and finalizers there; a call that waited for itself would hang for ever."""
    pytest.importorskip("onnxruntime", reason="needs the runtime's engine (extra 'test')")
    model = load(tmp_path, "onnxruntime")
    store = SessionStore(model)
    store.append("u", 5)
    real = model.engine.advance
    arguments = {"append": ("v", 5), "forget": ("u",), "snapshot": (tmp_path / "s",)}[call]

    def handled(*args):
        with pytest.raises(InvalidArgument, match="from within the run of its own model"):
            getattr(store, call)(*arguments)
        assert store.state("u").events == 1
        return real(*args)

    monkeypatch.setattr(model.engine, "advance", handled)
    store.append("u", 15)
    monkeypatch.undo()
    holds(store, ["u"], model.encode([[5, 15]]))
    getattr(store, call)(*arguments)


def test_ctrl_c_stops_its_own_call_and_no_other(tmp_path, monkeypatch):
    pytest.importorskip("onnxruntime", reason="needs the runtime's engine (extra 'test')")
    model = load(tmp_path, "onnxruntime")
    store, wanted = SessionStore(model), model.encode([[5], [5]])
    real, here = model.engine.advance, threading.get_ident()
    at_work, go_on = threading.Event(), threading.Event()

    def interrupted(indptr, ids, features, h, c):
        if threading.get_ident() == here:
            raise KeyboardInterrupt
        at_work.set()
        go_on.wait()
        return real(indptr, ids, features, h, c)

    monkeypatch.setattr(model.engine, "advance", interrupted)
    first = threading.Thread(target=store.append, args=("first", 5))
    first.start()
    at_work.wait()
    late = threading.Timer(0.2, store.append, args=("late", 5))  # waits behind this thread's call, which leads next
    late.start()
    threading.Timer(0.4, go_on.set).start()
    with pytest.raises(KeyboardInterrupt):
        store.append("here", 5)
    first.join()
    late.join()
    assert "here" not in store
    monkeypatch.undo()
    holds(store, ["first", "late"], wanted)


def test_damaged_snapshots_change_nothing(tmp_path):
    from ecocore.storage import read_folder, write_folder

    model = load(tmp_path)
    store = SessionStore(model)
    store.append(1, 5)
    store.snapshot(tmp_path / "s")
    meta, arrays = read_folder(tmp_path / "s", "sessions", mmap=False)
    before = contents(store, [1])
    for name, value in (
        ("h", np.full_like(arrays["h"], np.nan)),
        ("h", arrays["h"][:, :3]),
        ("indptr", np.array([0, 99])),
        ("count", np.array([0])),
        ("items", arrays["items"].astype(np.int64)),
    ):
        write_folder(tmp_path / "bad", "sessions", meta, {**arrays, name: np.ascontiguousarray(value)})
        with pytest.raises(ValueError, match=r"restore: expected finite|expected the array"):
            store.restore(tmp_path / "bad")
        assert contents(store, [1]) == before
    small = SessionStore(model, capacity=1)
    store.append(2, 5)
    store.snapshot(tmp_path / "s")
    with pytest.raises(InvalidArgument, match="capacity = 1 users; got 2"):
        small.restore(tmp_path / "s")


def test_who_is_not_held_gets_the_order_of_the_biases(tmp_path):
    model = load(tmp_path, bias=True)
    store = SessionStore(model)
    np.testing.assert_array_equal(store.recommend("new", 5).ids, model.recommend([[]], 5).ids[0])
    assert store.state("new") is None


def test_times_may_be_datetimes_and_late_ones_are_counted(tmp_path):
    store = SessionStore(load(tmp_path, gaps=6))
    store.append(1, 5, time=dt.datetime(2024, 5, 1, tzinfo=dt.UTC))
    store.append(1, 5, time=np.datetime64("2024-04-01"))
    assert store.stats()["late"] == 1
    assert store.state(1).last_time == dt.datetime(2024, 5, 1, tzinfo=dt.UTC).timestamp()
    store.append(1, 5)
    assert store.state(1).last_time is not None


def test_bad_stores(tmp_path):
    model = load(tmp_path)
    for kwargs, message in (
        ({"capacity": 0}, "capacity"),
        ({"ttl": 0}, "ttl"),
        ({"max_delay": -1}, "max_delay"),
        ({"max_batch": 0}, "max_batch"),
        ({"max_batch": 10**30}, "max_batch: expected a whole number from 1 to"),
        ({"ttl": True}, "ttl: expected a number of seconds above 0; got bool True"),
        ({"ttl": np.float32("nan")}, "ttl: expected a finite number of seconds above 0; got nan"),
        ({"ttl": 10**400}, "ttl: expected a finite number"),
        ({"max_delay": 2}, "max_delay: expected a finite number of seconds of at least 0 and at most 1; got 2.0"),
        ({"history": -1}, "history"),
        ({"history": 1 << 40}, "history"),
    ):
        with pytest.raises(InvalidArgument, match=message):
            SessionStore(model, **kwargs)
    with pytest.raises(InvalidArgument, match="model: expected a BehaviorModel"):
        SessionStore("m")


def test_numpys_numbers_are_seconds(tmp_path):
    store = SessionStore(load(tmp_path), ttl=np.float32(3), max_delay=np.float64(0))
    now = [0.0]
    store._now = lambda: now[0]
    store.append(1, 5)
    now[0] = 2.5
    assert 1 in store
    now[0] = 3.5
    assert 1 not in store


def test_a_store_that_memory_cannot_hold_says_what_to_make_smaller(tmp_path, monkeypatch):
    def none_left(*args, **kwargs):
        raise MemoryError

    monkeypatch.setattr("ecocore.sessions._core.SessionStates", none_left)
    with pytest.raises(MemoryError, match=r"^capacity: .*; got 1,000, each with a history of 7 events; make capacity"):
        SessionStore(load(tmp_path), capacity=1000, history=7)


@pytest.mark.parametrize("form", [list, lambda x: np.array(x, object), lambda x: [np.datetime64(t) for t in x]])
def test_many_times_may_be_datetimes_as_one_may(tmp_path, form):
    model = load(tmp_path, gaps=6)
    times = [dt.datetime(2024, 5, 1), dt.datetime(2024, 5, 1, 0, 3), dt.datetime(2024, 5, 2)]
    one, many = SessionStore(model), SessionStore(model)
    for item, time in zip([5, 15, 25], times, strict=True):
        one.append(1, item, time=time)
    many.append_many([1, 1, 1], [5, 15, 25], times=form(times))
    assert contents(many, [1]) == contents(one, [1])
    assert many.state(1).last_time == dt.datetime(2024, 5, 2, tzinfo=dt.UTC).timestamp()
    holds(many, [1], model.encode([[5, 15, 25]], times=[times]))


def test_many_times_may_bear_a_zone(tmp_path):
    store = SessionStore(load(tmp_path, gaps=6))
    time = dt.datetime(2024, 5, 1, 2, tzinfo=dt.timezone(dt.timedelta(hours=2)))
    store.append_many([1], [5], times=[time])
    assert store.state(1).last_time == dt.datetime(2024, 5, 1, tzinfo=dt.UTC).timestamp()


@needs_graphs
def test_features_are_refused():
    model = BehaviorModel.from_graph(features_graph(), np.arange(40), item_vectors=np.ones((40, 8)), device="cpu")
    with pytest.raises(InvalidArgument, match="features"):
        SessionStore(model)


def test_a_float_is_no_item(tmp_path):
    store = SessionStore(load(tmp_path, "native"), capacity=5)
    for bad in (5.0, np.float64(5), 5.5, True, np.True_):
        with pytest.raises(InvalidArgument, match="item: expected a whole number"):
            store.append("u", bad)
    assert "u" not in store
    store.append("u", np.int64(5))
    assert store.stats()["unknown"] == 0


def test_a_user_who_is_not_held_gets_what_the_empty_sequence_gets(tmp_path):
    model = load(tmp_path, "native")
    got, wanted = SessionStore(model, capacity=5).recommend("new", 7), model.recommend([[]], 7)
    np.testing.assert_array_equal(got.ids, wanted.ids[0])
    np.testing.assert_array_equal(got.scores, wanted.scores[0])
