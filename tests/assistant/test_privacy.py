"""Personal data does not reach a log, and what is no personal data stays readable."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ecocore.assistant import privacy
from ecocore.assistant.privacy import is_bank_card, is_identity_card, mask


@pytest.mark.parametrize(
    ("text", "masked"),
    [
        ("我的手机13800138000", "我的手机[phone]"),
        ("call +86 138 0013 8000 now", "call [phone] now"),
        ("138-0013-8000", "[phone]"),
        ("１３８００１３８０００", "[phone]"),
        ("电话13912345678，谢谢", "电话[phone]，谢谢"),
        ("身份证11010519491231002X", "身份证[id card]"),
        ("card 4111 1111 1111 1111 exp", "card [bank card] exp"),
        ("6222-0212-3456-7890-129", "[number]"),  # a mistyped card is still a card
        ("mail me: an.na+x@shop.example.co.uk!", "mail me: [email]!"),
        ("+1 (415) 555-0134", "[phone]"),
        ("555-0142", "[phone]"),
        ("a@b.cn和13800138000", "[email]和[phone]"),
        ("13800138000 13900139000", "[phone] [phone]"),
        ("13800138000-13900139000-13700137000", "[phone]-[phone]-[phone]"),
        ("1380013800013900139000137001370001", "[number]"),
        ("tel13800138000", "tel[phone]"),
        ("13800138000a", "[phone]a"),
        ("138–0013–8000", "[phone]"),
        ("١٣٨٠٠١٣٨٠٠٠", "[phone]"),
        ("我的电话是一三八零零一三八零零零", "我的电话是[phone]"),
        ("旧身份证110105491231002", "旧身份证[id card]"),
        ("110105 19491231 002x", "[id card]"),
        ("１１０１０５１９４９１２３１００２Ｘ", "[id card]"),
        ("卡号6222 0212 3456 7890 128 有效期12/27", "卡号[bank card] 有效期12/27"),
        ("ana ＠ shop.cn", "[email]"),
    ],
)
def test_personal_data_is_masked(text, masked):
    assert mask(text) == masked


@pytest.mark.parametrize(
    "text",
    [
        "order EC204815", "EC-204815", "ec 204815", "¥1,099.00", "2026-11-24", "订单EC204815到哪了",
        "175 cm and 70 kg", "size 42", "I paid 1299", "tracking SF123456789012", "24/7", "12:30",
    ],
)  # fmt: skip
def test_what_is_not_personal_stays(text):
    assert mask(text) == text


def test_identity_cards_are_told_by_their_check_character():
    assert is_identity_card("11010519491231002X")
    assert not is_identity_card("110105194912310021")
    assert not is_identity_card("110105194913310029")  # there is no 13th month


def _luhn(digits: str) -> str:
    total = 0
    for i, c in enumerate(reversed(digits)):
        d = int(c) * (1 if i % 2 else 2)
        total += d - 9 if d > 9 else d
    return digits + str(-total % 10)


@settings(deadline=None)
@given(st.text("0123456789", min_size=14, max_size=18).filter(lambda d: len(set(d)) > 1))
def test_every_bank_card_is_found_and_masked(body):
    card = _luhn(body)
    assert is_bank_card(card)
    assert card not in mask(f"pay with {card}, ok")
    wrong = card[:-1] + str((int(card[-1]) + 1) % 10)
    assert not is_bank_card(wrong)


@settings(deadline=None)
@given(st.from_regex(r"1[3-9][0-9]{9}", fullmatch=True), st.sampled_from(["", "电话", "call ", "no. "]))
def test_every_chinese_mobile_is_masked(number, before):
    assert number not in mask(f"{before}{number}")


@settings(deadline=None)
@given(st.text(max_size=200))
def test_masking_never_fails_and_is_stable(text):
    once = mask(text)
    assert mask(once) == once


def test_given_spans_are_masked_too():
    assert mask("send to 5 Park Road please", [(8, 19, "address")]) == "send to [address] please"
    assert mask("to 13800138000 x", [(0, 8, "address")]) == "[address] x"


def test_a_long_row_of_numbers_takes_linear_time(monkeypatch):
    """From each of a thousand groups no further than the longest number reaches, not to the end."""
    seen = []
    certain = privacy._certain
    monkeypatch.setattr(privacy, "_certain", lambda digits: seen.append(digits) or certain(digits))
    privacy.mask("1 " * 1000)
    assert 0 < len(seen) <= 1000 * (privacy._LONGEST + 1)
