"""A config file -> mmengine's `Config`, as training would load it, or an error in its terms."""

from __future__ import annotations

import contextlib
import linecache
import traceback
from pathlib import Path
from typing import Any

from lldtool.dryrun.config_parsing import NotPlainDataError, reading
from lldtool.dryrun.isolation import ProcessExit
from lldtool.dryrun.registries import chain, describe, type_name
from lldtool.errors import LldtoolError, text_of
from lldtool.plan import Optimizer


def load_config(path: Path) -> Any:
    """Load a config with its bases and `custom_imports`; an `mmengine.Config`."""
    from mmengine.config import Config

    with reading():
        return Config.fromfile(str(path))


def require_training_settings(config: Any, name: str) -> None:
    """A config without a model or an optimizer says nothing about training.

    Raises:
        LldtoolError: `model` or `optim_wrapper` is missing or no dict.
    """
    for key in ("model", "optim_wrapper"):
        value = config.get(key, None)
        if isinstance(value, dict) and value:
            continue
        hint = None
        if key == "optim_wrapper" and config.get("optimizer", None):
            hint = "mmengine reads `optim_wrapper`, not the `optimizer` of the 0.x releases"
        state = "no" if value is None else "an empty" if value == {} else "an unusable"
        raise LldtoolError(f"{state} {key} in the config", config=name, hint=hint)
    wrapper = config.optim_wrapper
    if not wrapper.get("optimizer", None) and "constructor" not in wrapper:
        raise LldtoolError("optim_wrapper has no optimizer", config=name)


def optimizer_header(wrapper: Any) -> Optimizer:
    """The optimizer's type and base settings as `optim_wrapper` gives them.

    Of several optimizers, which only a constructor of the user's own can build, the types.
    """
    optimizer = wrapper.get("optimizer", None)
    if isinstance(optimizer, dict):
        lr, weight_decay = (_base_setting(optimizer, key) for key in ("lr", "weight_decay"))
        return Optimizer(type_name(dict.get(optimizer, "type")), lr, weight_decay)
    parts = {key: value["optimizer"] for key, value in wrapper.items() if _has_optimizer(value)}
    return Optimizer(", ".join(f"{key}: {type_name(o.get('type'))}" for key, o in parts.items()))


def _has_optimizer(value: Any) -> bool:
    return isinstance(value, dict) and isinstance(value.get("optimizer", None), dict)


def _base_setting(optimizer: Any, key: str) -> float | None:
    """A base setting; None where there is none, or what only the constructor understands."""
    with contextlib.suppress(TypeError, ValueError):
        return float(optimizer.get(key, None))
    return None


def config_error(error: BaseException, path: Path, name: str) -> LldtoolError:
    """What went wrong while a config was loaded, with the file and line of the user's code."""
    if isinstance(error, SyntaxError):
        where = _place(_file_being_read(error) or path, error.lineno)
        return LldtoolError(f"syntax error{where}: {error.msg}", config=name)
    if isinstance(error, FileNotFoundError):
        missing = error.filename or describe(error)
        return LldtoolError(f"missing base or file: {missing}", config=name)
    if isinstance(error, NotPlainDataError):
        where = _place(_file_being_read(error) or path, error.line)
        return LldtoolError(f"{error.what}{where}{error.problem}", config=name)
    where = _user_frame(error)
    if isinstance(error, (SystemExit, ProcessExit)):
        return LldtoolError(f"the config exits{where}", config=name)
    if isinstance(error, ImportError) and error.__cause__ is not None:
        *_, first = chain(error)
        return LldtoolError(
            f"custom_imports failed: {describe(first)}",
            config=name,
            hint="is it installed, or its folder on PYTHONPATH?",
        )
    return LldtoolError(f"{describe(error)}{where}", config=name)


def delete_hint(error: BaseException) -> str | None:
    """The fix for a `_delete_=True` that mmengine left in a dict, as no base has that dict."""
    is_left = "unexpected keyword argument '_delete_'" in text_of(error)
    return "leave out _delete_, which has nothing inherited to replace" if is_left else None


def _user_frame(error: BaseException) -> str:
    """` (x.py line 3)` for the last line of the config or its bases that ran, or nothing."""
    for frame in reversed(traceback.extract_tb(error.__traceback__)):
        is_config = Path(frame.filename).suffix == ".py" and frame.name == "<module>"
        if is_config and "site-packages" not in Path(frame.filename).parts:
            return _place(Path(frame.filename), frame.lineno)
    return ""


def _place(path: Path, line: int | None) -> str:
    linecache.checkcache(str(path))
    with contextlib.suppress(ValueError):
        path = path.relative_to(Path.cwd())
    return f" in {path}" + (f" line {line}" if line else "")


def _file_being_read(error: BaseException) -> Path | None:
    """The config file that mmengine was parsing; what parses it is not told its name.

    Looks at mmengine's local variables. Where they have other names, the caller falls back to
    the file that the user named.
    """
    if isinstance(error, SyntaxError) and error.filename and Path(error.filename).is_file():
        return Path(error.filename)
    found = None
    step = error.__traceback__
    while step is not None:
        value = step.tb_frame.f_locals.get("filename")
        if isinstance(value, str) and Path(value).is_file():
            found = Path(value)
        step = step.tb_next
    return found
