"""Normalisation against the standard library, exact offsets, and any bytes at all."""

from __future__ import annotations

import unicodedata

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ecocore import _core

texts = st.text(st.characters(codec=None, exclude_categories=()), max_size=60)


def normalized(text):
    return _core.PreparedText(text).normalized


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("ＡＢＣ　１２３", "abc 123"),
        ("訂單編號", "订单编号"),
        ("Straße ﬁne", "strasse fine"),
        ("Café cafe\u0301", "cafe cafe"),
        ("٣٤ ৫", "34 5"),
        ("a\u200bb\ufeffc", "abc"),
        ("  a \t\r\n b\x00c  ", "a b c"),
        ("①㈱㎏", "1(株)kg"),
        ("", ""),
        ("\u202eabc", "abc"),
        ("葛\U000e0100飾", "葛饰"),  # a variation selector says how to draw, not what is meant
        ("🏴\U000e0067\U000e0062\U000e007fx", "🏴x"),  # the tags of a flag
    ],
)
def test_normalises(text, expected):
    assert normalized(text) == expected


def test_latin_and_compatibility_forms_agree_with_nfkc_and_casefold():
    for c in [*range(0x21, 0x250), *range(0xFF01, 0xFF5F), *range(0x2100, 0x2140)]:
        ch = chr(c)
        if unicodedata.category(ch)[0] in "CZ":
            continue
        folded = unicodedata.normalize("NFKC", unicodedata.normalize("NFKC", ch).casefold())
        plain = "".join(x for x in unicodedata.normalize("NFD", folded) if not "\u0300" <= x <= "\u036f").strip()
        assert normalized(ch) == unicodedata.normalize("NFC", plain), hex(c)


@given(texts)
def test_every_token_maps_back_to_the_text_it_came_from(text):
    prepared = _core.PreparedText(text)
    last = 0
    for start, end in prepared.tokens:
        assert last <= start < end <= len(text) or (start < end <= len(text) and start == last - 1)
        last = end
    n = len(prepared.normalized)
    if n:
        assert prepared.source_span(0, n)[1] <= len(text)


def test_a_vanishing_selector_belongs_to_the_character_before_it():
    text = "葛\U000e0100飾 ok"
    assert [text[a:b] for a, b in _core.PreparedText(text).tokens] == ["葛\U000e0100", "飾", "ok"]


@given(st.text(st.characters(categories=["Ll", "Lu", "Nd", "Zs"], max_codepoint=0x7F), max_size=40))
def test_tokens_of_ascii_are_runs(text):
    import re

    prepared = _core.PreparedText(text)
    assert [text[a:b] for a, b in prepared.tokens] == re.findall(r"[A-Za-z]+|[0-9]+", text)


def test_ideographs_are_tokens_of_their_own():
    text = "我的iPhone15到了吗?"
    assert [text[a:b] for a, b in _core.PreparedText(text).tokens] == [
        "我",
        "的",
        "iPhone",
        "15",
        "到",
        "了",
        "吗",
        "?",
    ]


@given(st.text(max_size=50))
def test_valid_utf8_is_read_as_python_reads_it(text):
    text = text.encode("utf-8", "replace").decode()
    assert _core.decode_utf8(text.encode()) == text


@given(st.binary(max_size=60))
def test_any_bytes_have_a_reading(data):
    text = _core.decode_utf8(data)
    try:
        assert text == data.decode()
    except UnicodeDecodeError:
        assert "\ufffd" in text
    assert _core.PreparedText(text).normalized is not None


@pytest.mark.parametrize("data", [b"\xc0\xaf", b"\xed\xa0\x80", b"\xf4\x90\x80\x80", b"\xe4\xbd", b"\x80"])
def test_overlong_surrogate_and_cut_sequences_are_replaced_byte_by_byte(data):
    assert _core.decode_utf8(data) == "\ufffd" * len(data)


def test_murmur3_gives_the_published_values():
    # From the reference implementation of MurmurHash3_x86_32 (smhasher).
    assert _core.murmur3_32(b"", 0) == 0
    assert _core.murmur3_32(b"", 1) == 0x514E28B7
    assert _core.murmur3_32(b"\xff\xff\xff\xff", 0) == 0x76293B50
    assert _core.murmur3_32(b"\x21\x43\x65\x87", 0) == 0xF55B516B
    assert _core.murmur3_32(b"\x21\x43\x65", 0) == 0x7E4A8634
    assert _core.murmur3_32(b"Hello, world!", 0x9747B28C) == 0x24884CBA


def test_murmur3_is_the_operator_of_onnx_runtime():
    pytest.importorskip("onnxruntime", reason="ONNX Runtime is not installed")
    helper = pytest.importorskip("onnx", reason="onnx is not installed").helper
    from onnx import TensorProto

    from ecocore.onnx.session import GraphSession

    words = ["", "a", "订单", " wh", "where is", "😀", "#15", "naïve", "x" * 100]
    for seed in (0, 1, 2, 12345):
        node = helper.make_node("MurmurHash3", ["x"], ["y"], domain="com.microsoft", seed=seed, positive=1)
        graph = helper.make_graph(
            [node],
            "hash",
            [helper.make_tensor_value_info("x", TensorProto.STRING, ["n"])],
            [helper.make_tensor_value_info("y", TensorProto.UINT32, ["n"])],
        )
        opsets = [helper.make_opsetid("", 17), helper.make_opsetid("com.microsoft", 1)]
        model = helper.make_model(graph, opset_imports=opsets, ir_version=8)
        session = GraphSession(model.SerializeToString(), device="cpu")
        (theirs,) = session.run(None, {"x": np.array(words, object)})
        assert theirs.tolist() == [_core.murmur3_32(w.encode(), seed) for w in words]
