"""What every stage's command shares: settings at the edge, one-sentence errors, a log and a progress bar."""

import argparse
import contextlib
import difflib
import json
import logging
import os
import sys
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any, TypeVar

import yaml
from pydantic import BaseModel, ConfigDict, ValidationError
from tqdm import tqdm


class InputError(Exception):
    """Something the user gave is wrong; the message is one sentence that names the file, key or value."""


class Block(BaseModel):
    """A block of settings: unknown keys are refused, values cannot be changed after validation."""

    model_config = ConfigDict(extra="forbid", frozen=True)


B = TypeVar("B", bound=BaseModel)
T = TypeVar("T")


def validated(block: type[B], values: Any, where: str) -> B:
    """Validate ``values`` as ``block``; the first problem becomes an :class:`InputError` naming key and value."""
    if not isinstance(values, dict):
        raise InputError(f"{where} must be a mapping of settings, not {type(values).__name__}.")
    try:
        return block.model_validate(values)
    except ValidationError as error:
        problems = error.errors()
        # A misspelt key explains the missing one.
        problem = next((one for one in problems if one["type"] == "extra_forbidden"), problems[0])
        location = problem["loc"]
        keys = _keys(problem, values)
        key = ".".join(str(part) for part in keys)
        message = problem["msg"].removeprefix("Value error, ")
        message = message[0].lower() + message[1:]
        if problem["type"] == "extra_forbidden":
            kind = f" for kind '{location[-2]}'" if len(keys) > 1 and location[-2] != keys[-2] else ""
            raise InputError(f"{where}: unknown key '{key}'{kind}{_suggestion(block, location)}.") from None
        if problem["type"] in ("missing", "union_tag_not_found"):
            raise InputError(f"{where}: key '{key}' is missing.") from None
        if problem["type"] == "union_tag_invalid":
            kind, known = problem["ctx"]["tag"], problem["ctx"]["expected_tags"]
            name = problem["ctx"]["discriminator"].strip("'")
            raise InputError(f"{where}: '{key}.{name}' = {kind!r} is wrong: input should be one of {known}.") from None
        if problem["type"] == "too_short" and problem.get("input") == []:
            raise InputError(f"{where}: '{key}' is empty: it needs at least one entry.") from None
        if isinstance(problem.get("input"), dict):  # a whole block is at fault: its values would not read as a sentence
            raise InputError(f"{where}: {key}{': ' if key else ''}{message}.") from None
        raise InputError(f"{where}: '{key}' = {problem.get('input')!r} is wrong: {message}.") from None


def _keys(problem: Any, values: Any) -> list[int | str]:
    """The keys that lead to a problem, as the user wrote them: pydantic also names the kind it took a block for."""
    keys: list[int | str] = []
    location = problem["loc"]
    for place, part in enumerate(location, start=1):
        missing = problem["type"] == "missing" and place == len(location)
        if isinstance(values, dict) and part not in values and not missing:
            continue
        keys.append(part)
        if isinstance(values, dict):
            values = values.get(part)
        elif isinstance(values, list) and isinstance(part, int):
            values = values[part]
    if problem["type"] == "union_tag_not_found":
        keys.append(problem["ctx"]["discriminator"].strip("'"))
    return keys


def _suggestion(block: type[BaseModel], location: tuple[int | str, ...]) -> str:
    """ " (did you mean 'x'?)" for the misspelt last key of ``location`` within ``block``, or nothing."""
    keys: dict[str, Any] = block.model_json_schema()
    definitions = keys.get("$defs", {})
    for part in location[:-1]:
        kinds = keys.get("discriminator", {}).get("mapping", {})
        # Of a mapping from names: with a pattern for the names, or without.
        named = [*keys.get("patternProperties", {}).values(), keys.get("additionalProperties", {})]
        nested = keys.get("properties", {}).get(part) or named[0]
        keys = {"$ref": kinds[part]} if part in kinds else nested
        options = [keys, *keys.get("anyOf", [])]
        name = next((option["$ref"] for option in options if "$ref" in option), "")
        keys = definitions.get(name.rpartition("/")[2], keys)
    known, given = keys.get("properties", {}), str(location[-1])
    near = [key for key in known if key.startswith(f"{given}_")] or difflib.get_close_matches(given, known, n=1)
    return f" (did you mean '{near[0]}'?)" if near else ""


def read_mapping(path: str | Path) -> dict[str, Any]:
    """Read a YAML (or JSON) file that holds a mapping; anything else raises :class:`InputError`."""
    try:
        text = Path(path).read_text(encoding="utf-8")
        # JSON is YAML, but its own reader takes a thousandth of the time, and an account of many clips is large.
        values = json.loads(text) if Path(path).suffix == ".json" else yaml.safe_load(text)
    except (OSError, UnicodeDecodeError) as error:
        raise InputError(f"Cannot read settings from {path}: {error}.") from None
    except json.JSONDecodeError as error:
        raise InputError(f"{path} is not valid JSON: {error}.") from None
    except yaml.YAMLError as error:
        raise InputError(f"{path} is not valid YAML: {' '.join(str(error).split())}.") from None
    if not isinstance(values, dict):
        raise InputError(f"{path} must hold a mapping of settings.")
    return values


def load_settings(given: str | None, block: type[B], key: str) -> B:
    """Settings of one stage from the command line.

    ``given`` is JSON text (what the rules pass), or a YAML/JSON file holding either the block itself or a
    whole run configuration with the block under ``key``; None means the block's defaults.
    """
    if given is None:
        return validated(block, {}, key)
    if given.lstrip().startswith("{"):
        try:
            return validated(block, json.loads(given), key)
        except json.JSONDecodeError as error:
            raise InputError(f"--settings is not valid JSON: {error}.") from None
    values = read_mapping(given)
    return validated(block, values.get(key, values), f"{given}: {key}")


def add_common(parser: argparse.ArgumentParser, *, settings: bool = True) -> None:
    """Add ``--settings`` (unless refused) and ``--log`` to a stage's parser."""
    if settings:
        parser.add_argument("--settings", metavar="JSON|FILE", help="this stage's settings: JSON, or a YAML file")
    parser.add_argument("--log", type=Path, metavar="FILE", help="also write the log to this file")


def positive(text: str) -> int:
    """A whole number from 1 on, as an argument's ``type``."""
    number = int(text)
    if number < 1:
        raise argparse.ArgumentTypeError(f"{text} is not a number from 1 on")
    return number


def progress(items: Iterable[T], description: str, total: int | None = None) -> Iterable[T]:
    """A progress bar on standard error that also reads well in a log file (one line every few seconds)."""
    quiet = not sys.stderr.isatty()
    return tqdm(items, desc=description, total=total, mininterval=10 if quiet else 0.2, ascii=quiet, dynamic_ncols=True)


class _LogFile(logging.FileHandler):
    """A log that a full disk cuts short: the work's own files say that there is no room, once."""

    def handleError(self, record: logging.LogRecord) -> None:
        if not isinstance(sys.exc_info()[1], OSError):
            super().handleError(record)

    def close(self) -> None:
        with contextlib.suppress(OSError):
            super().close()


def run_command(
    main: Callable[[argparse.Namespace], None], parser: argparse.ArgumentParser, argv: list[str] | None = None
) -> None:
    """Parse, set up logging, run.

    An :class:`InputError`, or a path that cannot be read or written (denied, read-only, a full disk), ends with one
    sentence on standard error and exit code 2.
    """
    arguments = parser.parse_args(argv)
    handlers: list[logging.Handler] = [logging.StreamHandler()]
    log = getattr(arguments, "log", None)
    try:
        if log is not None:
            log.parent.mkdir(parents=True, exist_ok=True)
            # Of a training on several devices every process logs; the first one starts the file.
            mode = "w" if os.environ.get("LOCAL_RANK", "0") == "0" else "a"
            handlers.append(_LogFile(log, mode=mode, encoding="utf-8"))
        form = "%(asctime)s %(name)s: %(message)s"
        logging.basicConfig(level=logging.INFO, format=form, datefmt="%H:%M:%S", handlers=handlers, force=True)
        main(arguments)
    except InputError as error:
        print(error, file=sys.stderr)
        raise SystemExit(2) from None
    except BrokenPipeError:
        raise SystemExit(1) from None
    except OSError as error:
        if error.errno is None:  # a library's own, no answer of the system
            raise
        named = f"{error.filename}: " if error.filename else ""
        print(f"{named}{os.strerror(error.errno)}.", file=sys.stderr)
        raise SystemExit(2) from None
