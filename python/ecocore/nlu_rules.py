"""Values that have a form of their own: order numbers, phones, e-mail addresses, amounts, dates, in Chinese and
English.

Patterns run over the normalised text (lower case, half width, simplified), so each needs to be written once. Every
repetition is bounded and none is nested, so matching is linear in the text; a pattern of the caller's own must be so
too.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass

from .errors import InvalidArgument

__all__ = ["BUILT_IN", "Rule", "compile_rules"]

_EN_DAY = r"(?:mon|tues|wednes|thurs|fri|satur|sun)day"
_EN_MONTH = (
    r"(?:jan(?:uary)?|feb(?:ruary)?|mar(?:ch)?|apr(?:il)?|may|june?|july?|aug(?:ust)?|sep(?:t(?:ember)?)?"
    r"|oct(?:ober)?|nov(?:ember)?|dec(?:ember)?)"
)
_NUMBER = r"\d{1,3}(?:,\d{3}){1,4}(?:\.\d{1,2})?|\d{1,9}(?:\.\d{1,2})?"

#: Slot name to pattern. Earlier ones win where two find the same characters.
BUILT_IN: Mapping[str, str] = {
    "email": r"(?<![\w.+-])[a-z0-9][\w.+-]{0,63}@[a-z0-9-]{1,63}(?:\.[a-z0-9-]{2,24}){1,4}",
    "phone": (
        r"(?<![\w+])(?:\+?86[ -]?)?1[3-9]\d(?:[ -]?\d{4}){2}(?!\d)|(?<!\w)\+\d{1,3}[ -]?\d(?:[ -]?\d){6,12}(?!\d)"
        r"|(?<!\w)\(?\d{3}\)?[ -]\d{3}-\d{4}(?!\d)|(?<!\w)0\d{2,3}-\d{7,8}(?!\d)"
    ),
    "date": (
        r"(?<!\d)(?:19|20)\d\d(?:-\d{1,2}-|/\d{1,2}/|\.\d{1,2}\.)\d{1,2}(?!\d)"
        r"|(?<!\d)(?:(?:19|20)\d\d年)?\d{1,2}月\d{1,2}[日号]?|(?<!\d)\d{1,2}/\d{1,2}/(?:19|20)?\d\d(?!\d)"
        rf"|\b{_EN_MONTH}\.? \d{{1,2}}(?:st|nd|rd|th)?\b(?:,? (?:19|20)\d\d)?"
        rf"|\b\d{{1,2}}(?:st|nd|rd|th)?(?: of)? {_EN_MONTH}\b"
        rf"|\b(?:(?:next|last|this) (?:{_EN_DAY}|week|weekend|month)|{_EN_DAY}|today|tonight|tomorrow|yesterday)\b"
        r"|大?[前后]天|[今明昨][天晚日]|[上下这本]?(?:个)?(?:周|星期|礼拜)[一二三四五六日天]|[上下这本](?:个)?(?:周|月|星期)末?"
    ),
    "amount": (
        rf"[$€£¥] ?(?:{_NUMBER})(?![\d%])"
        rf"|(?<![\d.])(?:{_NUMBER}) ?(?:元|块钱|块|圆|人民币|美元|欧元|英镑|日元|港币|rmb\b|cny\b|usd\b|eur\b|gbp\b"
        r"|dollars?\b|euros?\b|pounds?\b|yuan\b|bucks?\b)"
    ),
    "order_id": (
        r"(?<![\w.])\d{3}-\d{7}-\d{7}(?!\d)|(?<![a-z0-9_.,])[a-z]{1,6}[-_]?\d{5,24}(?![a-z0-9_])"
        r"|(?<![\w.,])#?\d{8,24}(?![\w%])|(?<![\w.,])#\d{3,24}(?!\w)"
    ),
}

_NEEDS = {"email": re.compile("@"), **dict.fromkeys(("phone", "amount", "order_id"), re.compile("[0-9]"))}

MAX_CHARACTERS = 4_000  #: of the normalised text, that rules look at
_NESTED = re.compile(r"\((?:[^()\\]|\\.)*(?:[+*]|\{\d*,\d*\})(?:[^()\\]|\\.)*\)(?:[+*]|\{\d*,)")
_BACK_REFERENCE = re.compile(r"\\[1-9]|\(\?P=")


@dataclass(frozen=True)
class Rule:
    """A slot and the compiled pattern that finds it."""

    name: str
    pattern: re.Pattern[str]
    needs: re.Pattern[str] | None = None  #: nothing to find in a text without this, which is quicker to see


def compile_rules(rules: Mapping[str, str]) -> tuple[Rule, ...]:
    """Rules of slot name to pattern; the value ``"built-in"`` takes the pattern of that name from :data:`BUILT_IN`."""
    out = []
    for name, source in rules.items():
        flags = 0
        if source == "built-in":
            if name not in BUILT_IN:
                raise InvalidArgument(
                    f"rules[{name!r}]: no built-in rule of this name; there are {', '.join(BUILT_IN)}"
                )
            source, flags = BUILT_IN[name], re.ASCII  # so that an ideograph beside a number is a border
        elif _BACK_REFERENCE.search(source) or _NESTED.search(source):
            raise InvalidArgument(
                f"rules[{name!r}]: expected a pattern without back references and without a repeated group that holds"
                f" a repetition, which can take exponential time; got {source!r}"
            )
        try:
            pattern = re.compile(source, flags)
        except re.error as e:
            raise InvalidArgument(f"rules[{name!r}]: not a regular expression: {e}; got {source!r}") from None
        out.append(Rule(name, pattern, _NEEDS.get(name) if source == BUILT_IN.get(name) else None))
    return tuple(out)
