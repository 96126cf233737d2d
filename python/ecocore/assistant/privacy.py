"""Personal data is masked before a text is stored anywhere: e-mail, Chinese identity card, bank card, phone."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator

from .language import narrow

__all__ = ["is_bank_card", "is_identity_card", "mask", "personal"]

_EMAIL = re.compile(r"[A-Za-z0-9._%+-]{1,200}\s?@\s?[A-Za-z0-9-]{1,63}(?:\.[A-Za-z0-9-]{1,63}){1,8}")
# Groups of digits that blanks, dots, hyphens or brackets hold together, as people write numbers.
_CUT = r"[ \u00a0.()/_\u2010-\u2015\u2212-]{1,3}"
_DIGITS = re.compile(rf"\+?\(?\d+(?:{_CUT}\d+)*(?: ?[xX](?![A-Za-z]))?")
_GROUP = re.compile(r"\d+(?: ?[xX])?")
_CN_MOBILE = re.compile(r"(?:\+?86|0086)?1[3-9]\d{9}")
# Sums of money and dates are groups of digits too.
_DATE = re.compile(r"(?:19|20)\d\d[-. /](?:0?[1-9]|1[0-2])[-. /](?:0?[1-9]|[12]\d|3[01])")
_SHORTEST = 7  # digits of the same
_LONGEST = 23  # digits of anything that is told apart below, with a country code
_SPOKEN = str.maketrans("零〇一二三四五六七八九幺两", "0012345678912")

_CARD_WEIGHTS = (7, 9, 10, 5, 8, 4, 2, 1, 6, 3, 7, 9, 10, 5, 8, 4, 2)  # GB 11643-1999: 2^(18-i) mod 11
_CARD_CHECK = "10X98765432"


def is_identity_card(number: str) -> bool:
    """Whether 18 characters are a Chinese resident identity number: a possible birthday and the MOD 11-2 check
    character of GB 11643-1999."""
    if not re.fullmatch(r"[1-9]\d{5}(?:18|19|20)\d\d(?:0[1-9]|1[0-2])(?:0[1-9]|[12]\d|3[01])\d{3}[\dX]", number):
        return False
    total = sum(int(c) * w for c, w in zip(number[:17], _CARD_WEIGHTS, strict=True))
    return _CARD_CHECK[total % 11] == number[17]


def _is_old_identity_card(number: str) -> bool:
    """Whether 15 digits are an identity number of before 1999: no century, no check character."""
    return bool(re.fullmatch(r"[1-9]\d{5}\d\d(?:0[1-9]|1[0-2])(?:0[1-9]|[12]\d|3[01])\d{3}", number))


def is_bank_card(number: str) -> bool:
    """Whether 13 to 19 digits pass the Luhn check of ISO/IEC 7812-1 (and are not all the same digit)."""
    if not re.fullmatch(r"\d{13,19}", number) or len(set(number)) == 1:
        return False
    total = 0
    for i, c in enumerate(reversed(number)):
        d = int(c) * (2 if i % 2 else 1)
        total += d - 9 if d > 9 else d
    return total % 10 == 0


def _certain(digits: str) -> str | None:
    """What a number is by its own form, wherever it stands."""
    number = digits.lstrip("+")
    if is_identity_card(number):
        return "id card"
    if 16 <= len(number) <= 19 and is_bank_card(number):
        return "bank card"
    return "phone" if _CN_MOBILE.fullmatch(digits) else None


def _likely(run: str, digits: str) -> str | None:
    """What a number is by its form and by how it is written, where it stands alone."""
    number = digits.lstrip("+")
    if _is_old_identity_card(number):
        return "id card"
    if is_bank_card(number):
        return "bank card"
    if _DATE.fullmatch(run) or number.endswith("X"):
        return None
    # Other countries' phones: 8 to 15 digits (E.164) that are written like one, or 10 and 11 digits in one piece.
    written_like_one = run[0] in "+(0" or re.search(r"\D", run[1:]) is not None
    if 8 <= len(number) <= 15 and (written_like_one or len(number) in (10, 11)):
        return "phone"
    if 16 <= len(number) <= 19:
        return "number"  # a mistyped card is still a card
    return "phone" if len(number) == 7 and re.fullmatch(r"\d{3}[-. ]\d{4}", run) else None


def _numbers(plain: str, certain_only: bool = False) -> Iterator[tuple[int, int, str]]:
    """Personal numbers in a text: in each chain of groups of digits the longest stretches that are one."""
    for m in _DIGITS.finditer(plain):
        if sum(map(str.isdigit, m.group())) < _SHORTEST:
            continue
        groups = [(m.start() + g.start(), m.start() + g.end()) for g in _GROUP.finditer(m.group())]
        # Letters before or after make it a code (an order, a parcel), unless its own form says otherwise.
        joined_before = m.start() > 0 and _is_latin(plain[m.start() - 1])
        joined_after = m.end() < len(plain) and _is_latin(plain[m.end()])
        at = 0
        while at < len(groups):
            step = 1
            for last in range(_reach(groups, at), at - 1, -1):
                start = m.start() if at == 0 else groups[at][0]
                end = groups[last][1]
                run = plain[start:end]
                digits = re.sub(r"[^\dX+]", "", run.upper())
                if digits.endswith("X") and len(digits) != 18:  # "13800138000 x": not the check character of a card
                    run = run[:-1].rstrip()
                    digits, end = digits[:-1], start + len(run)
                if len(digits) > _LONGEST:
                    if at == last:
                        yield start, end, "number"  # no code of a shop is that long; several numbers in one may be
                        break
                    continue
                kind = _certain(digits)
                alone = not (joined_before and at == 0) and not (joined_after and last == len(groups) - 1)
                if kind is None and alone and not certain_only:
                    kind = _likely(run, digits)
                if kind is not None:
                    yield start, end, kind
                    step = last - at + 1
                    break
            at += step


def _reach(groups: list[tuple[int, int]], at: int) -> int:
    """The last group that a number from the group ``at`` on can end with: no number is longer than any."""
    last, length = at, groups[at][1] - groups[at][0]
    while last + 1 < len(groups) and length <= _LONGEST:
        last += 1
        length += groups[last][1] - groups[last][0]
    return last


def personal(text: str) -> list[tuple[int, int, str]]:
    """Where personal data stand in a text: (start, end, kind)."""
    plain = narrow(text)  # one character for one, so that places stay
    found: list[tuple[int, int, str]] = [(m.start(), m.end(), "email") for m in _EMAIL.finditer(plain)]
    found += _numbers(plain)
    spoken = plain.translate(_SPOKEN)
    if spoken != plain:  # 一三八零零... is a phone as well
        found += _numbers(spoken, certain_only=True)
    return found


def mask(text: str, spans: Iterable[tuple[int, int, str]] = ()) -> str:
    """The text with personal data replaced by its kind in brackets, ``[phone]``.

    An order id keeps its letters in front and is therefore no phone. Full-width digits are seen as digits. A run of 16
    to 19 digits that fails its check is masked as well: a mistyped card is still a card.

    Args:
        spans: further stretches to mask, (start, end, kind), such as an address that was understood.
    """
    found = [*personal(text), *spans]
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


def _is_latin(c: str) -> bool:
    return c.isascii() and c.isalnum()
