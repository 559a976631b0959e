"""STUB until the real one is there."""
from __future__ import annotations
import ast, re
from dataclasses import dataclass
from pathlib import Path
from collections.abc import Sequence
from lldtool.findings import Place

@dataclass(frozen=True)
class Entry:
    place: Place
    value: Place
    is_call: bool

@dataclass(frozen=True)
class Suppression:
    file: Path
    line: int
    codes: tuple[str, ...]
    place: Place

class Sources:
    is_pure_python = False
    def __init__(self, path: Path) -> None:
        self.files: tuple[Path, ...] = (path,)
        try: self.tree = ast.parse(path.read_text())
        except Exception: self.tree = ast.parse("")
    def _p(self, n, end=None):
        return Place(self.files[0], n.lineno, n.col_offset + 1, n.end_lineno, n.end_col_offset + 1)
    def entry(self, key: Sequence[str]):
        found = None; value=None
        for node in self.tree.body:
            if isinstance(node, ast.Assign) and isinstance(node.targets[0], ast.Name) and node.targets[0].id == key[0]:
                found, value = node.targets[0], node.value
        if found is None: return None
        place = self._p(found)
        for k in key[1:]:
            nxt = None
            if isinstance(value, ast.Call):
                for kw in value.keywords:
                    if kw.arg == k: nxt = (Place(self.files[0], kw.lineno, kw.col_offset+1, kw.lineno, kw.col_offset+1+len(k)), kw.value)
            elif isinstance(value, ast.Dict):
                for kk, v in zip(value.keys, value.values):
                    if isinstance(kk, ast.Constant) and kk.value == k: nxt = (self._p(kk), v)
            elif isinstance(value, (ast.List, ast.Tuple)) and k.isdigit() and int(k) < len(value.elts):
                nxt = (self._p(value.elts[int(k)]), value.elts[int(k)])
            if nxt is None: return None
            place, value = nxt
        return Entry(place, self._p(value), isinstance(value, ast.Call))
    def place(self, key: Sequence[str]):
        for end in range(len(key), 0, -1):
            e = self.entry(key[:end])
            if e: return e.place
        return None
    def suppressions(self) -> tuple[Suppression, ...]:
        out = []
        try: lines = self.files[0].read_text().splitlines()
        except Exception: return ()
        for i, line in enumerate(lines, 1):
            m = re.search(r"#\s*lldtool:\s*ignore(\[([^\]]*)\])?", line)
            if m: out.append(Suppression(self.files[0], i, tuple(c.strip() for c in (m[2] or "").split(",") if c.strip()), Place(self.files[0], i, m.start()+1, i, m.end()+1)))
        return tuple(out)
