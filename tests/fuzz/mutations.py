"""Real configs, mutated: keys and values dropped, doubled, renamed, nested, of another type."""

import copy
import random
from pathlib import Path

from conftest import SAMPLES, layer_decay_configs

from lldtool.config import locate

#: What of a config decides its optimizer.
KEPT = ("default_scope", "model", "optim_wrapper", "param_scheduler", "train_cfg")
KEPT += ("data_preprocessor", "auto_scale_lr")
#: Numbers that nobody means.
NUMBERS = [0, 1, -1, 2, 0.5, -0.0, 1e-320, 1e308, 10**30, -(2**63), True, False]
STRINGS = [
    "", " ", "0.75", "1e-3", "None", "nan", "a\nb", "\x1b[31mred\x1b[0m", "\u202eright", "\x00",
    "[bold]rich[/bold]", "[/]", "{{ 7*7 }}", "<b>&amp;", "`x`|*y*", "::error::x", "%0A", "模型",
    "\ud800", "é" * 3, "x" * 10_000, ".", "..", "backbone", ".ln", "$HOME", "%(x)s", "{}",
]  # fmt: skip
OTHERS = [None, [], (), {}, [1], [None], {"type": "AdamW"}, {"a": {"b": []}}, b"bytes", {1, 2}]


class Code:
    """An expression to be written as it is: a class, or a number that has no literal."""

    def __init__(self, text):
        self.text = text

    def __repr__(self):
        return self.text


CODES = [
    Code(text)
    for text in (
        "float('nan')", "float('inf')", "-float('inf')", "torch.optim.AdamW", "torch.nn.LayerNorm",
        "mmengine.optim.OptimWrapper", "mmengine.optim.DefaultOptimWrapperConstructor", "object()",
        "lambda x: x", "int",
    )
]  # fmt: skip
HEADER = "_base_ = []\nimport mmengine.optim\nimport torch\n"


def bases():
    """Name -> content of the sample configs and of mmpretrain's with layer decay."""
    from mmengine.config import Config

    paths = {path.name: path for path in sorted(SAMPLES.glob("*.py")) if "pure" not in path.name}
    paths |= {name: locate(f"mmpretrain::{name}").path for name in layer_decay_configs()}
    contents = {}
    for name, path in paths.items():
        config = Config.fromfile(path)
        content = {key: plain(config[key]) for key in KEPT if key in config}
        content["train_dataloader"] = {"batch_size": 64}
        contents[name] = content
    return contents


def plain(value):
    """mmengine's dicts as Python's."""
    if isinstance(value, dict):
        return {key: plain(value[key]) for key in value}
    return [plain(item) for item in value] if isinstance(value, list) else value


def mutated(content, rng):
    """A copy with one to three mutations, and what they were."""
    content, done = copy.deepcopy(content), []
    for _ in range(rng.choice([1, 1, 2, 3])):
        places = list(_places(content))
        weights = [_weight(path) for path, _, _ in places]
        ((path, inside, key),) = rng.choices(places, weights)
        mutation = rng.choice(MUTATIONS)
        mutation(inside, key, rng)
        done.append(f"{mutation.__name__.strip('_')} {'.'.join(map(str, path))}"[:120])
    return content, done


def write(content, folder, rng):
    """Write the config, at times in two files, of which each may name the other as its base."""
    folder.mkdir(parents=True)
    kind = rng.choices(["one file", "a base", "a circle", "yaml"], [24, 6, 1, 2])[0]
    path = folder / "config.py"
    if kind == "yaml":
        import yaml

        try:
            path = folder / "config.yaml"
            path.write_text(yaml.safe_dump(content), encoding="utf-8")
            return path
        except (yaml.YAMLError, UnicodeEncodeError):
            path = folder / "config.py"
            kind = "one file"
    keys = list(content)
    inherited = keys[: len(keys) // 2] if kind != "one file" else []
    text = HEADER
    if inherited:
        base = HEADER if kind == "a base" else HEADER.replace("[]", "['./config.py']")
        (folder / "base.py").write_text(base + _assignments(content, inherited))
        text = HEADER.replace("[]", "['./base.py']")
    path.write_text(text + _assignments(content, [key for key in keys if key not in inherited]))
    return path


def _assignments(content, keys):
    return "".join(f"globals()[{key!r}] = {content[key]!r}\n" for key in keys)


def _places(inside, path=()):
    """The path of every entry, what it is in, and its key there."""
    keys = range(len(inside)) if isinstance(inside, list) else list(inside)
    for key in keys:
        yield (*path, key), inside, key
        if isinstance(inside[key], (dict, list)):
            yield from _places(inside[key], (*path, key))


def _weight(path):
    """The constructor's options are what this is about; but for the model there is no plan."""
    if "paramwise_cfg" in path or "optimizer" in path:
        return 6
    return {"optim_wrapper": 4, "param_scheduler": 3}.get(path[0], 1)


def _drop(inside, key, rng):
    del inside[key]


def _double(inside, key, rng):
    if isinstance(inside, list):
        inside.insert(key, copy.deepcopy(inside[key]))
    else:
        inside[_misspelt(str(key), rng)] = copy.deepcopy(inside[key])


def _rename(inside, key, rng):
    if isinstance(inside, list):
        rng.shuffle(inside)
        return
    new = _misspelt(str(key), rng) if rng.random() < 0.5 else rng.choice(STRINGS)
    inside[new] = inside.pop(key)


def _another_number(inside, key, rng):
    inside[key] = rng.choice([*NUMBERS, *CODES[:3]])


def _another_string(inside, key, rng):
    inside[key] = rng.choice(STRINGS)


def _another_type(inside, key, rng):
    inside[key] = copy.deepcopy(rng.choice([*OTHERS, *CODES]))


def _text_of_it(inside, key, rng):
    inside[key] = str(inside[key])


def _nest(inside, key, rng):
    value = inside[key]
    inside[key] = rng.choice([[value], (value,), {"type": value}, {"_delete_": True, "x": value}])


def _list_of_items(inside, key, rng):
    if isinstance(inside[key], dict):
        inside[key] = [list(item) for item in inside[key].items()]
    else:
        inside[key] = [inside[key]] * 2


def _hostile_key(inside, key, rng):
    target = inside[key] if isinstance(inside[key], dict) else inside
    if isinstance(target, dict):
        target[rng.choice(STRINGS)] = rng.choice([{}, {"decay_mult": 0.0}, 1.0, None])


MUTATIONS = [
    _drop, _double, _rename, _another_number, _another_string, _another_type, _text_of_it, _nest,
    _list_of_items, _hostile_key,
]  # fmt: skip


def _misspelt(name, rng):
    if not name:
        return "x"
    place = rng.randrange(len(name))
    return rng.choice(
        [name[:place] + name[place + 1 :], name + "s", name.upper(), name.replace("_", "-")]
    )


def configs(number, seed, folder):
    """So many mutated configs, written in folders of their own; path -> what was done."""
    contents, made = bases(), {}
    for index in range(number):
        rng = random.Random(f"{seed}/{index}")
        name = rng.choice(sorted(contents))
        content, done = mutated(contents[name], rng)
        path = write(content, Path(folder, f"{index:05}"), rng)
        made[path] = f"{name}: {'; '.join(done)}"
    return made
