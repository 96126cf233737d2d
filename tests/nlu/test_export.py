"""The intent model as an ONNX graph: the same answers from ONNX Runtime alone."""

from __future__ import annotations

import itertools
import json

import pytest

for _package in ("torch", "onnx", "onnxruntime"):
    pytest.importorskip(_package, reason="training needs the extra 'train', running a graph ONNX Runtime")

import numpy as np
import onnxruntime

from ecocore import NLU, InvalidArgument
from ecocore.train import nlu as train_nlu
from ecocore.train import nlu_model
from ecocore.train.nlu_intents import IntentOptions
from ecocore.train.nlu_words import WordVectors

OUTCOMES = ("sure", "ask", "out_of_scope")
THINGS = ["order", "parcel", "red dress", "iPhone 15", "包裹", "訂單", "快递", "连衣裙"]
FORMS = {
    "track": ["where is my {}", "{} 到哪了", "track the {} please", "我的{}还没收到"],
    "refund": ["i want my money back for the {}", "{}我要退款", "refund {}!", "把{}退了"],
    "buy": ["do you sell a {}", "有没有{}卖", "add the {} to my cart", "我想买{}"],
}
EXAMPLES = [(f.format(t), intent) for intent, forms in FORMS.items() for f in forms for t in THINGS]
OUTSIDE = [
    (t, "oos") for t in ("what is the weather", "sing a song", "明天下雨吗", "讲个笑话", "1 plus 1", "play jazz")
]
BOTH = [{"text": f"where is my {t} and refund it", "intents": ["track", "refund"]} for t in THINGS]
#: A thousand texts, none as in training.
TEXTS = [
    "", "  ", "\x00", "😀😀 😀", "\ud800?", "ＯＲＤＥＲ　１２３４５６７８", "order " * 300, "שלום", "订单" * 200,
    *("".join(p) for p in itertools.product(["", "hello, ", "您好,", "so "], ["where is", "退", "buy the", "怎么"],
                                            [" ", ""], THINGS, ["?", "!!", "吗", " 20 yuan"])),
]  # fmt: skip


@pytest.fixture(scope="module", params=["plain", "word vectors", "several intents"])
def model(request, tmp_path_factory):
    path = tmp_path_factory.mktemp("nlu") / "model"
    options = IntentOptions(hidden=32, members=2, epochs=10, rank=40)
    with pytest.MonkeyPatch.context() as patch:
        if request.param == "word vectors":
            words = ["order", "parcel", "money", "weather", "订单", "包裹", "退款"]
            vectors = np.random.default_rng(0).standard_normal((len(words), 20)).astype(np.float32)
            patch.setattr(nlu_model, "word_vectors", lambda texts: WordVectors(words, vectors))
        encoder = "use" if request.param == "word vectors" else None
        examples = [*EXAMPLES, *OUTSIDE, *(BOTH if request.param == "several intents" else [])]
        train_nlu(examples, out=path, encoder=encoder, intent_options=options)
    return NLU.load(path)


def test_a_thousand_texts_give_the_same_answers(model, tmp_path):
    model.export_onnx(tmp_path / "intents.onnx")
    session = onnxruntime.InferenceSession(tmp_path / "intents.onnx", providers=["CPUExecutionProvider"])
    names = json.loads(session.get_modelmeta().custom_metadata_map["intents"])
    assert tuple(names) == model.intents
    texts = (TEXTS * 2)[:1000]
    assert len(set(texts)) > 500
    for text in texts:
        parse = model.parse(text)
        outputs = [o.name for o in session.get_outputs()]
        found = dict(zip(outputs, session.run(None, model.ngrams(text)), strict=True))
        assert names[int(found["intent"])] == parse.intent
        assert float(found["confidence"]) == pytest.approx(parse.confidence, abs=1e-5)
        assert float(found["in_scope"]) == pytest.approx(parse.in_scope, abs=1e-5)
        assert OUTCOMES[int(found["outcome"])] == parse.outcome
        shown = {names[i]: p for i, p in enumerate(found["probabilities"].tolist())}
        assert {name: shown[name] for name, _ in parse.intents} == pytest.approx(dict(parse.intents), abs=1e-5)


def test_ngrams_are_what_the_model_reads(model):
    groups = model.ngrams("My order")
    assert groups["words"].tolist() == ["my", "order", "my order"]
    assert " my" in groups["characters"].tolist()
    assert all(g.dtype == object for g in groups.values())


def test_a_path_that_is_no_file_is_refused(model, tmp_path):
    for path in (tmp_path, tmp_path / "absent" / "x.onnx"):
        with pytest.raises(InvalidArgument, match="path"):
            model.export_onnx(path)
    assert list(tmp_path.iterdir()) == []
