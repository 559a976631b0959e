"""What a config leaves behind in the process that it was run in, for the next one to meet."""

from __future__ import annotations

import ast
import contextlib
import sys
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from lldtool.dryrun.import_frames import NEVER, OPENMMLAB, user_modules
from lldtool.dryrun.patching import patched

#: What code without an import can reach the world with.
_REACHING_OUT = {"__import__", "exec", "eval", "compile", "open", "setattr", "delattr", "globals"}


@dataclass
class Footprint:
    """What was seen of a config's own code while it was loaded, built and given an optimizer."""

    known: frozenset[str] = field(default_factory=lambda: frozenset(sys.modules))
    is_plain: bool = False
    imported_by_load: frozenset[str] = frozenset()

    @contextlib.contextmanager
    def loading(self, path: Path) -> Iterator[None]:
        """Look at the config and its bases as mmengine parses them.

        Plain are those that only say things, as most do, and do none. A file that could not be
        looked at is taken for one that does things.
        """
        parse, plain = ast.parse, {"": True} if path.suffix != ".py" else {}

        def look(source: Any, *args: Any, **kwargs: Any) -> Any:
            tree = parse(source, *args, **kwargs)
            if source not in plain:  # mmengine parses each file several times
                plain[source] = _only_says_things(tree)
            return tree

        with patched(ast, parse=look):
            yield
        self.is_plain = bool(plain) and all(plain.values())
        self.imported_by_load = frozenset(user_modules(self.known))

    def is_repeatable(self) -> bool:
        """Whether the same config could be run again: it imports no more than when it is loaded."""
        return self.is_plain and self.imported_by_load.issuperset(user_modules(self.known))

    def leaves_nothing(self, config: Any) -> bool:
        """Whether another config could be run as if this one, of this content, had not been."""
        imports = (config.get("custom_imports", None) or {}).get("imports", None) or []
        names = [imports] if isinstance(imports, str) else imports
        foreign = any(name.partition(".")[0] not in OPENMMLAB | {"lldtool"} for name in names)
        return self.is_repeatable() and not foreign and not user_modules(self.known)


def _only_says_things(tree: ast.AST) -> bool:
    """Whether a config's code reaches for nothing outside of it.

    In a pure-Python config, names that are imported from OpenMMLab and torch are names only; in a
    classic one, which has a `_base_`, they are the real thing.
    """
    nodes = list(ast.walk(tree))
    targets = (target for node in nodes if isinstance(node, ast.Assign) for target in node.targets)
    classic = any(isinstance(target, ast.Name) and target.id == "_base_" for target in targets)
    for node in nodes:
        if isinstance(node, ast.Name) and node.id in _REACHING_OUT:
            return False
        names = []
        if isinstance(node, ast.Import):
            names = [name.name for name in node.names]
        elif isinstance(node, ast.ImportFrom) and not node.level:
            names = [node.module or ""]
        if any(classic or name.partition(".")[0] not in OPENMMLAB | NEVER for name in names):
            return False
    return True
