"""A kind of product is found by how names end, in the words that customers have for it."""

from __future__ import annotations

import pytest

from ecocore.assistant.kinds import Kind, KindIndex
from ecocore.assistant.names import NameIndex


def index(official: list[tuple[str, str]], also: list[tuple[str, str]] | None = None) -> KindIndex:
    return KindIndex(NameIndex(official + (also or [])), NameIndex(official))


KINDS = index(
    [("Rain Jacket", "P1"), ("down jackets", "P2"), ("越野跑鞋", "P3"), ("Jacket", "P1"), ("iPhone壳", "P4"),
     ("Meadow Summer Dress", "P5"), ("草甸连衣裙", "P5"), ("保温杯", "P6"), ("城市双肩包", "P7"),
     ("微风蓝牙耳机", "P8"), ("Gift Box", "P9"), ("尺寸对照表", "P10"), ("咖啡机", "P11")],
    [("backpack", "P7"), ("headphones", "P8")],
)  # fmt: skip


def test_a_kind_is_found_by_how_names_end():
    assert set(KINDS.ending("jacket")) == set(KINDS.ending("jackets")) == {"P1", "P2"}
    assert KINDS.ending("rain jacket") == ("P1",)
    assert KINDS.ending("鞋") == KINDS.ending("跑鞋") == ("P3",)
    assert KINDS.ending("壳") == ("P4",)
    assert KINDS.ending("cket") == KINDS.ending("") == KINDS.ending("phone壳") == ()


@pytest.mark.parametrize(
    ("one", "many"),
    [("dress", "dresses"), ("watch", "watches"), ("box", "boxes"), ("knife", "knives"), ("scarf", "scarves"),
     ("battery", "batteries"), ("shoe", "shoes"), ("case", "cases"), ("glove", "gloves"), ("blouse", "blouses"),
     ("cookie", "cookies"), ("brush", "brushes"), ("lamp", "lamps"), ("glass", "glasses")],
)  # fmt: skip
def test_one_and_many_are_the_same_kind(one, many):
    for named, said in ((one, many), (many, one), (one, one), (many, many)):
        assert index([(f"Alpine {named}", "P1")]).ending(said) == ("P1",)


@pytest.mark.parametrize(
    "name",
    ["Rain Jacket (Men)", "Rain Jacket, blue", "(New) Rain Jacket", "Rain Jacket （男）", "【新款】Rain Jacket [M]"],
)
def test_what_stands_beside_a_name_is_no_kind(name):
    assert index([(name, "P1")]).ending("jackets") == ("P1",)
    assert len(index([(name, "P1")])) <= 3


def test_only_short_ends_are_kept():
    long = index([("one two three four five six", "P1"), ("甲乙丙丁戊己庚辛", "P2")])
    assert len(long) == 4 + 6
    assert long.ending("three four five six") == ("P1",)
    assert long.ending("two three four five six") == ()


@pytest.mark.parametrize(
    ("said", "ids"),
    [("running shoes", ()), ("waterproof jacket", ("P2", "P1")), ("裙子", ("P5",)), ("杯子", ("P6",)),
     ("碎花裙", ("P5",)), ("头戴蓝牙耳机", ("P8",)), ("拖拉机", ()), ("tractor", ()),
     ("tool box", ()), ("子", ()), ("", ())],
)  # fmt: skip
def test_a_description_falls_back_to_what_it_ends_in(said, ids):
    found = KINDS.described(said)
    assert set(found) == set(ids)
    assert isinstance(found, Kind) == bool(ids)


def test_what_is_said_as_in_the_catalogue_is_certain():
    assert not isinstance(KINDS.described("summer dress"), Kind)


@pytest.mark.parametrize(
    ("text", "ids"),
    [("do you have jackets", {"P1", "P2"}), ("推荐一双鞋", {"P3"}), ("推荐几款鞋子", {"P3"}), ("有裙子吗", {"P5"}),
     ("黑色的包有吗", {"P7"}), ("有没有跑鞋", {"P3"}), ("耳机多少钱", {"P8"}), ("summer dresses", {"P5"})],
)  # fmt: skip
def test_a_kind_is_found_in_a_text(text, ids):
    match = KINDS.find(text)
    assert set(match.ids) == ids
    assert 0 <= match.start < match.end <= len(text)


@pytest.mark.parametrize(
    "text",
    ["in case it breaks", "the box was broken", "包邮吗", "帮我包装一下", "包裹到哪了", "我想表示感谢", "发表评价",
     "鞋柜有吗", "jacketed", "钱包呢", "", "子", "!!"],
)  # fmt: skip
def test_other_words_are_no_kinds(text):
    assert KINDS.find(text) is None


def test_a_kind_is_certain_only_where_it_is_all_that_is_said():
    assert not isinstance(KINDS.find("is the dress in stock").ids, Kind)
    assert isinstance(KINDS.find("is the wedding dress in stock").ids, Kind)
    assert isinstance(KINDS.find("有没有婚礼用的裙子").ids, Kind)


def test_another_name_means_its_kind_a_full_name_itself():
    names = NameIndex([("City Backpack", "P1"), ("Jacket", "P2"), ("Rain Jacket", "P3"), ("backpack", "P4")])
    kinds = KindIndex(names, NameIndex([("City Backpack", "P1"), ("Jacket", "P2"), ("Rain Jacket", "P3")]))
    (backpack,) = names.find("a backpack")
    (jacket,) = names.find("a jacket")
    assert set(kinds.named(backpack)) == {"P1", "P4"}
    assert kinds.named(jacket) == ("P2",)


def test_a_summary_names_a_few_of_a_kind():
    from ecocore.assistant.assistant import _plain

    assert _plain(("P1", "P2")) == "P1+P2"
    assert _plain(tuple(f"P{i}" for i in range(5000))) == "P0+P1+P2+P3+P4 and 4995 more"
