"""Personal data is masked before a text is stored anywhere: e-mail, Chinese identity card, bank card, phone."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable

__all__ = ["is_bank_card", "is_identity_card", "mask"]

_EMAIL = re.compile(r"[A-Za-z0-9._%+-]{1,64}@[A-Za-z0-9-]{1,63}(?:\.[A-Za-z0-9-]{1,63}){1,8}")
# Runs of digits that may be cut by blanks, dots, hyphens or brackets, as people write numbers.
_DIGITS = re.compile(r"(?<![A-Za-z0-9])\+?\(?\d(?:[ \u00a0.()-]{0,2}\d){6,22}[xX]?(?![A-Za-z0-9])")
_CN_MOBILE = re.compile(r"(?:\+?86|0086)?1[3-9]\d{9}")
# Sums of money and dates are runs of digits too.
_DATE = re.compile(r"(?:19|20)\d\d[-. ](?:0?[1-9]|1[0-2])[-. ](?:0?[1-9]|[12]\d|3[01])")

_CARD_WEIGHTS = (7, 9, 10, 5, 8, 4, 2, 1, 6, 3, 7, 9, 10, 5, 8, 4, 2)  # GB 11643-1999: 2^(18-i) mod 11
_CARD_CHECK = "10X98765432"


def is_identity_card(number: str) -> bool:
    """Whether 18 characters are a Chinese resident identity number: a possible birthday and the MOD 11-2 check
    character of GB 11643-1999."""
    if not re.fullmatch(r"[1-9]\d{5}(?:18|19|20)\d\d(?:0[1-9]|1[0-2])(?:0[1-9]|[12]\d|3[01])\d{3}[\dX]", number):
        return False
    total = sum(int(c) * w for c, w in zip(number[:17], _CARD_WEIGHTS, strict=True))
    return _CARD_CHECK[total % 11] == number[17]


def is_bank_card(number: str) -> bool:
    """Whether 13 to 19 digits pass the Luhn check of ISO/IEC 7812-1 (and are not all the same digit)."""
    if not re.fullmatch(r"\d{13,19}", number) or len(set(number)) == 1:
        return False
    total = 0
    for i, c in enumerate(reversed(number)):
        d = int(c) * (2 if i % 2 else 1)
        total += d - 9 if d > 9 else d
    return total % 10 == 0


def _kind(run: str) -> str | None:
    digits = re.sub(r"[^\dX+]", "", run.upper())
    number = digits.lstrip("+")
    if is_identity_card(number):
        return "id card"
    if is_bank_card(number):
        return "bank card"
    if _CN_MOBILE.fullmatch(digits):
        return "phone"
    if _DATE.fullmatch(run) or number.endswith("X"):
        return None
    # Other countries' phones: 8 to 15 digits (E.164) that are written like one, or 10 and 11 digits in one piece.
    written_like_one = run[0] in "+(0" or re.search(r"[ .()-]", run) is not None
    if 8 <= len(number) <= 15 and (written_like_one or len(number) in (10, 11)):
        return "phone"
    return "phone" if len(number) == 7 and re.fullmatch(r"\d{3}[-. ]\d{4}", run) else None


def mask(text: str, spans: Iterable[tuple[int, int, str]] = ()) -> str:
    """The text with personal data replaced by its kind in brackets, ``[phone]``.

    An order id keeps its letters in front and is therefore no phone. Full-width digits are seen as digits. A run of 16
    to 19 digits that fails its check is masked as well: a mistyped card is still a card.

    Args:
        spans: further stretches to mask, (start, end, kind), such as an address that was understood.
    """
    plain = "".join(_narrow(c) for c in text)  # one character for one, so that places stay
    found: list[tuple[int, int, str]] = [(m.start(), m.end(), "email") for m in _EMAIL.finditer(plain)]
    for m in _DIGITS.finditer(plain):
        run = m.group()
        kind = _kind(run)
        if kind is None and 16 <= sum(c.isdigit() for c in run) <= 19:
            kind = "number"
        if kind is not None:
            found.append((m.start(), m.end(), kind))
    found.extend(spans)
    out: list[str] = []
    at = 0
    for start, end, kind in sorted(found):
        if start < at:
            at = max(at, end)  # overlaps what is masked already: its rest goes with it
            continue
        out += [text[at:start], f"[{kind}]"]
        at = end
    out.append(text[at:])
    return "".join(out)


def _narrow(c: str) -> str:
    if c < "\u00a0":
        return c
    n = unicodedata.normalize("NFKC", c)
    return n if len(n) == 1 else c
