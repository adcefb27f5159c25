"""What was found against a bound that is typed once: whether it holds, the bound in words, the numbers as shown."""

import math
import operator
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

import numpy as np
import pandas as pd

__all__ = ["Criterion", "criterion"]

_LIMITS = {
    "at_most": (operator.le, "at most {}"),
    "at_least": (operator.ge, "at least {}"),
    "below": (operator.lt, "below {}"),
    "above": (operator.gt, "above {}"),
    "equal_to": (operator.eq, "exactly {}"),
}
_KINDS = (*_LIMITS, "within", "between", "every")

_Leaves = dict[str, dict[str, list]]  # name -> name inside it, or "" -> numbers, booleans or one text


@dataclass(frozen=True)
class Criterion:
    """What was found, judged by one bound.

    Attributes:
        measured: data set, or "" for what is not of one -> what was found on it.
        tolerance: the bound in words.
        holds: whether each part of the verdict does.
    """

    measured: dict[str, str]
    tolerance: str
    holds: tuple[bool, ...]


def criterion(
    values: Any,
    *,
    of: str = "",
    where: str = "",
    digits: int | str | None = 2,
    shown: Any = None,
    together: bool = False,
    **bound: Any,
) -> Criterion:
    """Judge values by one bound.

    Args:
        values: a number or boolean; several, as a sequence, array, tensor or Series, which are shown as "lowest to
            highest"; or a mapping of names to these, such as a dict, a data frame or a Series whose index is of
            strings. A mapping inside a mapping names its values in the text. NaN meets no bound.
        of: what is bounded, before the bound: "largest quotient".
        where: the rest of the sentence, after it: "at every ridge".
        digits: decimals, or a format such as "{:.1f} GiB". None shows no number, only whether or how often the bound
            is met: for rounding errors, which no two machines share.
        shown: what to show instead of the values: the like of these, or text.
        together: the values of a name are one part of the verdict, which holds if each of them does; else each is one.
        **bound: exactly one of `at_most`, `at_least`, `below`, `above` and `equal_to`, a number; `within`, a centre and
            a radius; `between`, the lowest and the highest value allowed; and, where the values are booleans, decided
            already, `every`, what each of them says. A number that is not round is written as the values are.

    Raises:
        ValueError: no bound, several or an unknown one; no value; a name twice; booleans with another bound than
            `every`, or numbers with it.

    >>> one = criterion({"mnist": [1.5, 2], "cifar": 4}, at_most=3, of="quotient", where="at every ridge")
    >>> one.measured, one.tolerance, one.holds
    ({'mnist': '1.50 to 2.00', 'cifar': '4.00'}, 'quotient at most 3 at every ridge', (True, True, False))
    """
    write = digits if digits is None else _writer(digits)
    words, meets = _bound(bound, write)
    found = _leaves(values)
    holds = {name: {key: _decide(leaf, meets, "every" in bound) for key, leaf in found[name].items()} for name in found}
    answers = holds if "every" in bound else _without_nan(found, holds) if write is None else found
    texts = _texts(answers if shown is None else _leaves(shown), write or _number, of, f"{of} {words}".strip())
    each = [[part for leaf in inner.values() for part in leaf] for inner in holds.values()]
    parts = [all(of_name) for of_name in each] if together else [part for of_name in each for part in of_name]
    return Criterion(texts, " ".join(filter(None, (of, words, where))), tuple(parts))


def _bound(bound: dict[str, Any], write: Callable | None) -> tuple[str, Callable[[Any], bool]]:
    """The bound in words, and the test of a value."""
    if len(bound) != 1 or not set(bound) <= set(_KINDS):
        raise ValueError(f"bound: expected exactly one of {', '.join(_KINDS)}, got {', '.join(bound) or 'none'}.")
    [(kind, limit)] = bound.items()
    if kind == "every":
        return limit, bool
    if kind in _LIMITS:
        compare, words = _LIMITS[kind]
        none = kind == "equal_to" and limit == 0
        return "none" if none else words.format(_number(limit, write)), lambda value: compare(value, limit)
    first, second = limit
    low, high = _edges(first, second) if kind == "within" else limit
    words = f"{_number(first, write)} {'±' if kind == 'within' else 'to'} {_number(second, write)}"
    return words, lambda value: low <= value <= high


def _edges(centre: float, radius: float) -> tuple[float, float]:
    """As in decimals: 0.8 is within 0.1 of 0.7, which 0.7 + 0.1 in binary denies."""
    centre, radius = Decimal(repr(float(centre))), Decimal(repr(float(radius)))
    return float(centre - radius), float(centre + radius)


def _writer(digits: int | str) -> Callable[[float], str]:
    return (digits if isinstance(digits, str) else f"{{:.{digits}f}}").format


def _number(value: float, write: Callable | None = None) -> str:
    """A round number as one types it, such as 1e-6; another by `write`."""
    text = f"{value:g}"
    if write is not None and float(text) != value:
        return write(value)
    return re.sub(r"e\+?(-?)0*", r"e\1", text)


def _leaves(values: Any) -> _Leaves:
    named = _by_name(values) if _is_named(values) else {"": values}
    leaves = {
        name: {key: _flat(leaf) for key, leaf in _by_name(inner).items()} if _is_named(inner) else {"": _flat(inner)}
        for name, inner in named.items()
    }
    empty = [name for name, inner in leaves.items() if not inner or not all(inner.values())]
    if empty or not leaves:
        raise ValueError(f"values: expected at least one, got none{' of ' if any(empty) else ''}{', '.join(empty)}.")
    return leaves


def _is_named(values: Any) -> bool:
    if isinstance(values, pd.Series):
        return len(values) > 0 and all(isinstance(name, str) for name in values.index)
    return isinstance(values, Mapping | pd.DataFrame)


def _by_name(values: Any) -> dict[str, Any]:
    named = {str(name): value for name, value in values.items()}
    if len(named) < len(list(values.items())):
        raise ValueError(f"values: expected a name once, got {', '.join(map(str, values.keys()))}.")
    return named


def _flat(values: Any) -> list:
    """Plain numbers and booleans, also of tensors, or one text."""
    if isinstance(values, str):
        return [values]
    return np.ravel(values.tolist() if hasattr(values, "tolist") else values).tolist()


def _decide(leaf: list, meets: Callable, decided: bool) -> list[bool]:
    if any(isinstance(value, bool) != decided for value in leaf):
        raise ValueError(f"values: expected booleans for the bound `every`, and numbers for any other, got {leaf}.")
    return [bool(meets(value)) for value in leaf]


def _without_nan(found: _Leaves, holds: _Leaves) -> _Leaves:
    """Answers in place of numbers, but NaN, which is the same on every machine."""
    return {
        name: {key: [math.nan] if any(map(math.isnan, leaf)) else holds[name][key] for key, leaf in inner.items()}
        for name, inner in found.items()
    }


def _texts(leaves: _Leaves, write: Callable, of: str, statement: str) -> dict[str, str]:
    """Name -> what is shown; what has no name says itself what it is, an answer with the bound that it is to."""
    texts = {}
    for name, inner in leaves.items():
        for key, leaf in inner.items():
            answer = isinstance(leaf[0], bool)
            head = f"{key}:" if key else ("" if name or isinstance(leaf[0], str) else f"{statement}:" if answer else of)
            text = f"{head} {_answer(leaf) if answer else _range(leaf, write)}".strip()
            texts[name] = f"{texts[name]}, {text}" if name in texts else text
    return texts


def _answer(holds: list[bool]) -> str:
    return f"{sum(holds)} of {len(holds)}" if len(holds) > 1 else "yes" if holds[0] else "no"


def _range(values: list, write: Callable) -> str:
    if isinstance(values[0], str):
        return values[0]
    numbers = [value for value in values if not math.isnan(value)]
    ends = [min(numbers), max(numbers)] if len(numbers) > 1 else numbers
    nan = ["nan"] if len(numbers) < len(values) else []
    return " and ".join([*([" to ".join(map(write, ends))] if ends else []), *nan])
