"""Configuration files: YAML read strictly, laid over defaults, and what is wrong told with its line and its key.

Knows no setting, and with that no library of the models: the service reads its part of a file by this alone.
"""

from __future__ import annotations

import difflib
import re
from pathlib import Path
from typing import Any, Final, TypeVar

import yaml
from pydantic import BaseModel, ValidationError

from features.errors import LeadScoringError
from flows.fault_words import fault_words

_RENAMED: Final = {"high_from": "thresholds: {mql: ...}"}
_BOOLEAN: Final = "tag:yaml.org,2002:bool"

Model = TypeVar("Model", bound=BaseModel)


class ConfigurationError(LeadScoringError):
    """The configuration cannot be used; the message names the file and the key."""

    def __init__(self, *, file: Path, message: str) -> None:
        self.file = file
        super().__init__(f"{file}: {message}")


class _Loader(yaml.SafeLoader):
    """Plain data only, and no key twice: of two, YAML would silently keep the later one.

    Truth values are ``true`` and ``false`` alone: YAML 1.1 would read the country code NO as false.
    """

    yaml_implicit_resolvers = {  # noqa: RUF012 - PyYAML declares it on the instance
        first: [(tag, pattern) for tag, pattern in resolvers if tag != _BOOLEAN]
        for first, resolvers in yaml.SafeLoader.yaml_implicit_resolvers.items()
    }

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Any, Any]:
        seen: set[str] = set()
        for key in [key for key, _ in node.value if isinstance(key, yaml.ScalarNode)]:
            if key.value in seen:
                raise yaml.MarkedYAMLError(problem=f"found the key {key.value!r} twice", problem_mark=key.start_mark)
            seen.add(key.value)
        return super().construct_mapping(node, deep=deep)


_Loader.add_implicit_resolver(_BOOLEAN, re.compile("^(?:true|True|TRUE|false|False|FALSE)$"), list("tTfF"))


def read_yaml(file: Path) -> dict[str, Any]:
    """Return what a file holds; raise ``ConfigurationError`` with line and column if it is not keys and values."""
    try:
        content = yaml.load(file.read_text(encoding="utf-8"), Loader=_Loader)  # noqa: S506 - a SafeLoader
    except FileNotFoundError as error:
        raise ConfigurationError(file=file, message="no such file; name one with --config") from error
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigurationError(file=file, message="cannot be read as UTF-8 text") from error
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        where = f"line {mark.line + 1}, column {mark.column + 1}: " if mark else ""
        problem = getattr(error, "problem", None) or "not valid YAML"
        raise ConfigurationError(file=file, message=f"{where}{problem}; correct the YAML") from error
    if content is None:
        return {}
    if not isinstance(content, dict):
        raise ConfigurationError(file=file, message=f"must hold keys and values, found {type(content).__name__}")
    return content


def over_defaults(content: dict[str, Any], *, defaults: BaseModel) -> dict[str, Any]:
    """Complete every part that the content names: one key of a booster must not reset its other keys."""
    complete = dict(content)
    for name, field in type(defaults).model_fields.items():
        default, given = getattr(defaults, name), content.get(name)
        # A part of which there are several kinds, such as the source, has the defaults of its kind.
        one_kind = isinstance(field.annotation, type) and isinstance(default, BaseModel)
        if one_kind and isinstance(given, dict):
            complete[name] = default.model_dump(by_alias=True) | over_defaults(given, defaults=default)
    return complete


def validated(model: type[Model], content: dict[str, Any], *, file: Path) -> Model:
    """Return the model of a file's content, or raise ``ConfigurationError`` that names each fault with its line."""
    try:
        return model.model_validate(content)
    except ValidationError as error:
        raise ConfigurationError(file=file, message=_explain(error, model=model, file=file)) from error


def _explain(error: ValidationError, *, model: type[BaseModel], file: Path) -> str:
    root = yaml.compose(file.read_text(encoding="utf-8"), Loader=_Loader)
    faults: dict[str, str] = {}
    known = sorted(_keys(model))
    for fault in error.errors(include_url=False):
        place = [str(part) for part in fault["loc"]]
        if place[:1] == ["source"]:
            # Behind it pydantic names the kind of source, which is no key.
            del place[1:2]
        if place[:1] and place[0] in faults:
            continue
        line, depth = _line_of(root, place)
        # Where several types are allowed pydantic names each of them behind the key.
        key = ".".join(place if fault["type"] == "missing" else place[:depth]) or "the file"
        if fault["type"] == "extra_forbidden" or _is_no_group(place, model=model, kind=fault["type"]):
            key = key if fault["type"] == "extra_forbidden" else place[0]
            word = key.rpartition(".")[2]
            near = difflib.get_close_matches(word, known, n=1, cutoff=0.6)
            meant = _RENAMED.get(word) or (near[0] if near else None)
            hint = f"; did you mean {meant!r}?" if meant else f"; known are {', '.join(known)}"
            told = f"line {line}: unknown key {key!r}{hint}"
        else:
            told = f"line {line}: {key!r}: {fault_words(fault)}"
        faults.setdefault(key, told)
    return next(iter(faults.values())) if len(faults) == 1 else "".join(f"\n  {told}" for told in faults.values())


def _line_of(node: yaml.Node | None, place: list[str]) -> tuple[int, int]:
    """Return the line of the deepest part of a key that the file has, and how many parts of it that are."""
    line = 1
    for depth, part in enumerate(place):
        if isinstance(node, yaml.MappingNode) and part in (keys := {key.value: key for key, _ in node.value}):
            line = keys[part].start_mark.line + 1
            node = next(value for key, value in node.value if key.value == part)
        elif isinstance(node, yaml.SequenceNode) and part.isdigit() and int(part) < len(node.value):
            node = node.value[int(part)]
            line = node.start_mark.line + 1
        else:
            return line, depth
    return line, len(place)


def _is_no_group(place: list[str], *, model: type[BaseModel], kind: str) -> bool:
    """Say whether a key of the user's own, which would be a group of rules, has nothing of one."""
    is_own = bool(place) and place[0] not in model.model_fields and model.model_config.get("extra") == "allow"
    return is_own and (kind == "model_type" or (kind == "missing" and len(place) == 2))


def _keys(model: type[BaseModel]) -> set[str]:
    """Return the names of all keys, nested ones too."""
    found: set[str] = set()
    for name, field in model.model_fields.items():
        found.add(field.alias or name)
        for part in (field.annotation, *getattr(field.annotation, "__args__", ())):
            if isinstance(part, type) and issubclass(part, BaseModel):
                found |= _keys(part)
    return found
