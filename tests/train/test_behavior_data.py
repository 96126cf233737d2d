from __future__ import annotations

import numpy as np
import pytest

pytest.importorskip("torch", reason="the extra 'train' is not installed (no torch)")
pytest.importorskip("onnx", reason="the extra 'train' is not installed (no onnx)")

from ecocore import InvalidArgument
from ecocore.train.data import GAP_BOUNDARIES, Sequences, Vocabulary, batches, hold_out_last, split, windows


def sequences_of(*parts: list[int]) -> Sequences:
    return Sequences(np.cumsum([0, *map(len, parts)]), np.array([x for part in parts for x in part], np.int64))


def lists(s: Sequences) -> list[list[int]]:
    return [s.items[a:b].tolist() for a, b in zip(s.indptr[:-1], s.indptr[1:], strict=True)]


@pytest.mark.parametrize("ids", [[3, 5, 9], ["b", "ä", "x"]])
def test_rows_follow_the_sorted_ids_and_rare_or_unknown_ones_are_row_0(ids):
    a, b, c = ids
    data = [[a, b, a], [b], [], [a, c]]
    vocabulary = Vocabulary.of(data, None, min_count=2)
    encoded, unknown = vocabulary.encode(data)
    assert lists(encoded) == [[1, 2, 1], [2], [], [1, 0]]
    assert unknown == 1
    assert vocabulary.encode([[ids[2], ids[0]]])[1] == 1


def test_arrays_and_lists_mean_the_same():
    data = [[3, 4], [4, 3, 4]]
    v = Vocabulary.of(data, None, 1)
    for dtype in (np.int64, np.int32, np.uint8):
        assert lists(v.encode([np.array(s, dtype) for s in data])[0]) == lists(v.encode(data)[0])
    text = [["b", "a"], ["a", "b", "a"], []]
    for own in ([np.array(s, str) for s in text], [np.array(text[0]), *text[1:]], [list(np.array(s)) for s in text]):
        v = Vocabulary.of(own, own, 1)
        assert v.items.to_array().tolist() == ["a", "b"]
        assert v.event_types.to_array().tolist() == ["a", "b"]
        encoded, _ = v.encode(own, own)
        assert lists(encoded) == [[2, 1], [1, 2, 1], []]
        assert encoded.event_types.tolist() == [2, 1, 1, 2, 1]


def test_times_may_be_datetime64():
    v = Vocabulary.of([[1, 2, 1]], None, 1)
    gaps = v.encode([[1, 2, 1], [1]], times=[[10.0, 10.5, 16.0], [0]])[0].gaps.tolist()
    milliseconds = np.array([10_000, 10_500, 16_000]).astype("datetime64[ms]")
    for own in (milliseconds, milliseconds.astype("datetime64[ns]"), list(milliseconds)):
        assert v.encode([[1, 2, 1], [1]], times=[own, own[:1]])[0].gaps.tolist() == gaps


def test_event_types_and_gaps_go_with_their_events():
    data, types = [[1, 2, 1], [2, 1]], [["view", "buy", "view"], ["buy", "cart"]]
    vocabulary = Vocabulary.of(data, types, 1)
    encoded, _ = vocabulary.encode(data, types, [[100.0, 100.0, 103.5], [7, 8]])
    assert encoded.event_types.tolist() == [3, 1, 3, 1, 2]
    # 0 first event; a gap of 0 s is bucket 1, of 1 or 2 s bucket 2, of 3 to 6 s bucket 3
    assert encoded.gaps.tolist() == [0, 1, 3, 0, 2]
    assert GAP_BOUNDARIES[:3] == (1, 3, 7)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"sequences": "abc"}, "list of lists"),
        ({"sequences": [["a", 1], ["b"]]}, "throughout"),
        ({"sequences": [[1.5, 2.0]]}, "whole numbers or text"),
        ({"sequences": [[1, 2], 3]}, r"sequences\[1\]"),
        ({"sequences": [np.array([1, 2**63 + 5], np.uint64)]}, "sequences: expected whole numbers below 2.63"),
        ({"sequences": [np.array([1, 2]), np.array([3, 2**63 + 5], np.uint64)]}, "below 2.63"),
        ({"sequences": [[2**63 + 5, 2**63 + 6]]}, "below 2.63"),
        ({"sequences": [np.array(1), [2]]}, r"sequences\[0\]"),
        ({"sequences": [np.array([1, 2]), np.array(["a"])]}, "throughout"),
        ({"sequences": [[1, 2]], "times": [["a", "b"]]}, "times: expected seconds or datetime64"),
        ({"sequences": [[1, 2]], "times": [np.array(["2024", "NaT"], "M8[s]")]}, "NaT"),
        ({"sequences": [[1, 1]]}, "at least 2 different items"),
        ({"sequences": [[1, 2]], "event_types": [["a"]]}, r"event_types\[0\].*2 in all; got 1"),
        ({"sequences": [[1, 2]], "event_types": []}, "one a sequence"),
        ({"sequences": [[1, 2]], "times": [[2.0, 1.0]]}, r"times\[0\].*sort"),
        ({"sequences": [[1], [1, 2]], "times": [[5.0], [2.0, float("nan")]]}, "finite"),
    ],
)
def test_data_that_do_not_fit_are_refused_by_name(arguments, message):
    arguments = {"event_types": None, "times": None, **arguments}
    with pytest.raises(InvalidArgument, match=message):
        Vocabulary.of(arguments["sequences"], arguments["event_types"], 1).encode(**arguments)


def test_windows_make_every_event_but_the_first_a_target_once():
    data = sequences_of([1, 2, 3, 4, 5, 6, 7, 8], [9], [], [1, 2], list(range(10, 15)))
    assert lists(windows(data, 3)) == [[1, 2, 3, 4], [4, 5, 6, 7], [7, 8], [1, 2], [10, 11, 12, 13], [13, 14]]


def test_held_out_parts():
    data = sequences_of([1, 2, 3], [4], [5, 6], [7, 8, 9])
    first, last = split(data, 0.25)
    assert (lists(first), lists(last)) == ([[1, 2, 3], [4], [5, 6]], [[7, 8, 9]])
    training, held_out = hold_out_last(data)
    assert (lists(training), lists(held_out)) == ([[1, 2], [5], [7, 8]], [[1, 2, 3], [5, 6], [7, 8, 9]])


@pytest.mark.parametrize("seed", [None, 0])
def test_batches_hold_every_known_target_once_with_its_past(seed):
    random = np.random.default_rng(1)
    data = sequences_of(*[random.integers(0, 9, n).tolist() for n in random.integers(0, 12, 300)])
    expected = sorted((tuple(s[:i]), s[i]) for s in lists(data) for i in range(1, len(s)) if s[i] > 0)
    got = []
    for batch in batches(data, 7, None if seed is None else np.random.default_rng(seed)):
        assert batch.items.shape == batch.targets.shape == batch.valid.shape
        assert batch.items.shape[1] == batch.lengths.max()
        for row, t in np.argwhere(batch.valid):
            got.append((tuple(batch.items[row, : t + 1].tolist()), int(batch.targets[row, t])))
    assert sorted(got) == expected
