"""What is wrong with one key of a file, in words of people who never heard of a type."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

_WORDS: Final = {
    "missing": "is missing",
    "float_parsing": "must be a number",
    "float_type": "must be a number",
    "finite_number": "must be a finite number",
    "int_parsing": "must be a whole number",
    "int_type": "must be a whole number",
    "int_from_float": "must be a whole number",
    "bool_parsing": "must be true or false",
    "bool_type": "must be true or false",
    "string_type": "must be text",
    "string_too_short": "must not be empty",
    "tuple_type": "must be a list, such as [a, b]",
    "list_type": "must be a list, such as [a, b]",
    "too_short": "must name at least {min_length}",
    "model_type": "must hold keys and values",
    "dict_type": "must hold keys and values",
    "literal_error": "must be {expected}",
    "greater_than": "must be more than {gt}",
    "greater_than_equal": "must be at least {ge}",
    "less_than": "must be less than {lt}",
    "less_than_equal": "must be at most {le}",
}


def fault_words(fault: Mapping[str, Any]) -> str:
    """Say what must hold and what was found, of one fault that pydantic names.

    >>> fault_words({"type": "greater_than", "ctx": {"gt": 0}, "input": -3, "msg": "Input should be greater than 0"})
    'must be more than 0 (found -3)'
    """
    words = _WORDS.get(fault["type"])
    told = fault["msg"].removeprefix("Value error, ") if words is None else words.format(**fault.get("ctx", {}))
    found = fault["input"]
    # A whole part that hangs together badly says nothing that its line does not.
    is_whole = fault["type"] == "missing" or (fault["type"] == "value_error" and isinstance(found, dict))
    return told if is_whole else f"{told} (found {found!r})"
