"""Texts as they come in: cleaned, cut to a bounded length, and told apart by language."""

from __future__ import annotations

import re
import unicodedata

from ..arrays import describe
from ..errors import InvalidArgument

__all__ = ["MAX_CHARACTERS", "clean", "detect", "fold", "narrow"]

MAX_CHARACTERS = 2000
"""Longer texts are cut here before anything looks at them, so that the time per reply is bounded."""

_CJK = re.compile(r"[\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff]")
_FOREIGN_DIGIT = re.compile(r"(?![0-9])\d")
_LATIN_WORD = re.compile(r"(?<![A-Za-z0-9])[A-Za-z\u00c0-\u024f]{2,}(?![0-9])")


def clean(text: str | bytes) -> str:
    """The text without control and format characters (bidirectional overrides included) and half surrogates, at most
    ``MAX_CHARACTERS`` long. Bytes are read as UTF-8, broken ones become U+FFFD.

    Raises:
        InvalidArgument: ``text`` is neither str nor bytes.
    """
    if isinstance(text, bytes):
        text = text[: 4 * MAX_CHARACTERS].decode("utf-8", "replace")
    if not isinstance(text, str):
        raise InvalidArgument(f"text: expected a str (or UTF-8 bytes); got {describe(text)}")
    text = text[:MAX_CHARACTERS]
    if not text.isprintable():
        # Cc control, Cf format, Cs surrogates, Co private use, Cn unassigned: nothing a reader could see.
        text = "".join(" " if unicodedata.category(c)[0] in "CZ" else c for c in text)
    return " ".join(text.split())


def detect(text: str, default: str) -> str:
    """``"zh"`` or ``"en"``; ``default`` where the text has no words of either (an order id, a number, an emoji).

    A Chinese character carries about as much as half an English word, so that mixed sentences such as "my order 到哪了"
    go to the language that says more.
    """
    cjk = len(_CJK.findall(text))
    words = _LATIN_WORD.findall(text)
    latin = len(words)
    if not cjk and not latin:
        return default
    if not cjk and latin == 1 and len(words[0]) <= 3:
        return default  # "XL", "ok", "EC 204815": says nothing about the language
    return "zh" if cjk >= 2 * latin or (cjk and default == "zh") else "en"


def fold(text: str) -> str:
    """NFKC, case-folded: full-width and half-width forms compare equal. The length may differ from the text's."""
    return unicodedata.normalize("NFKC", text).casefold()


def narrow(text: str) -> str:
    """The text with full-width and other forms of letters and digits as plain ones, one character for one, so that
    places in it stay places in the text."""
    if text.isascii() or (unicodedata.is_normalized("NFKC", text) and not _FOREIGN_DIGIT.search(text)):
        return text
    return "".join(map(_narrow, text))


def _narrow(c: str) -> str:
    if c < "\u00a0":
        return c
    if c.isdecimal():
        return str(unicodedata.decimal(c))
    n = unicodedata.normalize("NFKC", c)
    return n if len(n) == 1 else c
