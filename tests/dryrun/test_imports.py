"""Stubs: harmless while modules are imported, never a wrong answer."""

import fcntl
import importlib.metadata
import os
import shutil
import subprocess
import sys
import textwrap

import pytest
from conftest import SAMPLES, lldtool_process

CONFIG = """
_base_ = []
default_scope = 'mmpretrain'
custom_imports = dict(imports=['{module}'], allow_failed_imports=False)
model = dict(type='{module}.Net')
optim_wrapper = dict(optimizer=dict(type='SGD', lr=0.1, weight_decay=0.01))
"""
NET = """
from mmengine.model import BaseModel
from torch import nn

class Net(BaseModel):
    def __init__(self):
        super().__init__()
        self.fc = nn.Linear({size}, 3)
    def forward(self, inputs, data_samples=None, mode='tensor'):
        return inputs
"""


@pytest.fixture
def project(tmp_path):
    """Write modules and a config for the model `Net` in the last of them."""

    def write(**modules):
        for name, text in modules.items():
            path = tmp_path / f"{name}.py"
            path.write_text(textwrap.dedent(text))
        (tmp_path / "config.py").write_text(CONFIG.format(module=name))
        return tmp_path

    return write


@pytest.fixture
def site_package(tmp_path, monkeypatch):
    """Install a module for this test: what is in site-packages counts as library code."""
    import site

    made = []

    def write(name, text):
        from pathlib import Path

        path = Path(site.getsitepackages()[0], *name.split(".")).with_suffix(".py")
        path.parent.mkdir(exist_ok=True)
        path.write_text(textwrap.dedent(text))
        made.append(path)

    folder = os.open(site.getsitepackages()[0], os.O_RDONLY)
    try:
        fcntl.flock(folder, fcntl.LOCK_EX)  # tests that run at the same time use the same names
        yield write
        for path in dict.fromkeys(made):
            path.unlink()
            if path.stem == "__init__":
                shutil.rmtree(path.parent)
    finally:
        os.close(folder)


def test_a_stub_for_speed_that_is_used_leads_to_the_real_import(project):
    major = importlib.metadata.version("opencv-python").partition(".")[0]
    folder = project(net="import cv2\n" + NET.format(size="cv2.getVersionMajor()"))
    result = lldtool_process("inspect", "config.py", "--format", "csv", cwd=folder)
    assert (result.code, result.err) == (0, "")
    assert f"fc.weight,3x{major}," in result.out


def test_a_missing_package_that_a_library_imports_is_no_error(project, site_package):
    site_package("lldtool_test_lib", "import no_such_thing.ops\nfrom no_such_thing import x\n")
    folder = project(net="import lldtool_test_lib\n" + NET.format(size=2))
    result = lldtool_process("inspect", "config.py", cwd=folder)
    assert result.code == 0, result.err
    assert "a stub replaces no_such_thing, which is not installed" in result.out


def test_a_broken_package_that_a_library_imports_is_no_error(project, site_package):
    site_package("lldtool_test_broken", "raise RuntimeError('operator x::nms does not exist')\n")
    site_package("mmrotate", "import lldtool_test_broken\nclass Base: pass\n")
    net = NET.format(size=2).replace("Net(BaseModel)", "Net(BaseModel, mmrotate.Base)")
    folder = project(net="import mmrotate\n" + net)
    result = lldtool_process("inspect", "config.py", cwd=folder)
    assert result.code == 0, result.err
    assert "a stub replaces lldtool_test_broken, which is broken here" in result.out


def test_a_missing_package_that_the_model_uses_is_an_error_that_names_it(project, site_package):
    site_package("lldtool_test_lib2", "from no_such_thing.ops import Deform\n")
    folder = project(
        net="from lldtool_test_lib2 import Deform\n" + NET.format(size="Deform(3).out")
    )
    result = lldtool_process("inspect", "config.py", cwd=folder)
    assert (result.code, result.out) == (2, "")
    assert "the model needs Deform of no_such_thing, which is not installed" in result.err


def test_a_missing_package_that_the_users_own_code_imports_is_an_error(project):
    folder = project(net="import no_such_thing\n" + NET.format(size=2))
    result = lldtool_process("inspect", "config.py", cwd=folder)
    assert (result.code, result.out) == (2, "")
    assert "custom_imports failed" in result.err


def test_library_code_may_inherit_decorate_and_test_with_a_stub(project, site_package):
    library = """
        import torchvision
        from torchvision.transforms import Compose, InterpolationMode
        MODES = {InterpolationMode.BILINEAR: 'bilinear', InterpolationMode.NEAREST: 'nearest'}

        class Mine(Compose):
            pass

        @torchvision.register
        def function():
            return 1

        @torchvision.register(name='x')
        def other():
            return 1

        assert isinstance(3, Compose) is False
        assert len(MODES) == 2
        assert torchvision.__version__
    """
    site_package("lldtool_test_library", library)
    folder = project(net="import lldtool_test_library\n" + NET.format(size=2))
    result = lldtool_process("inspect", "config.py", cwd=folder)
    assert result.code == 0, result.err


def run_python(code):
    return subprocess.run(
        [sys.executable, "-W", "ignore", "-c", textwrap.dedent(code)],
        capture_output=True,
        text=True,
        check=True,
    ).stdout


def test_a_dry_run_does_not_import_what_costs_time_and_is_not_run():
    loaded = run_python(
        f"""
        import sys
        from lldtool.cli import main
        try:
            main(['inspect', {str(SAMPLES / "vit-base_layer-decay.py")!r}, '-o', '/dev/null'])
        except SystemExit:
            pass
        print([m for m in ('torch._dynamo', 'sympy', 'torch.distributed.tensor', 'matplotlib')
               if m in sys.modules])
        """
    )
    assert loaded.strip() == "[]"


def test_parts_of_torch_that_are_put_off_run_when_asked_for():
    out = run_python(
        """
        from lldtool.dryrun import deferred_torch
        deferred_torch.import_torch()
        import sys, torch
        put_off = [type(sys.modules[name]).__name__ for name in deferred_torch.DEFERRED]
        class M(torch.nn.Module):
            def forward(self, x):
                return x + 1
        exported = torch.export.export(M(), (torch.ones(2),))
        import torch.export.graph_signature
        from torch._meta_registrations import register_meta
        print(put_off, type(exported).__name__, callable(register_meta))
        """
    )
    import torch

    known = torch.__version__.split("+")[0] == "2.13.0"
    expected = ["_DeferredModule"] * 2 if known else ["module"] * 2
    assert out.strip() == f"{expected} ExportedProgram True"


def test_meta_tensors_work_while_a_model_is_built():
    out = run_python(
        """
        from lldtool.dryrun import deferred_torch
        deferred_torch.import_torch()
        import torch
        from lldtool.dryrun.skip_init import SkipInit
        with SkipInit().mode():
            with torch.device('meta'):
                layer = torch.nn.Linear(3, 4)
            a = torch.empty(2, 3, device='meta')
            print(torch.linalg.cholesky_ex(torch.empty(3, 3, device='meta')).L.shape)
            print(layer(a).shape)
        """
    )
    assert out.split("\n")[0] == "torch.Size([3, 3])"


def test_an_unknown_torch_is_imported_whole():
    out = run_python(
        """
        import sys
        from lldtool.dryrun import deferred_torch
        deferred_torch.KNOWN_TORCH = ()
        deferred_torch.import_torch()
        print(type(sys.modules['torch.export']).__name__)
        """
    )
    assert out.strip() == "module"


def test_large_parameters_are_not_initialised_and_small_ones_are():
    import torch

    from lldtool.dryrun.skip_init import SkipInit

    with SkipInit().mode():
        big = torch.nn.init.constant_(torch.nn.Parameter(torch.zeros(100, 100)), 3.0)
        small = torch.nn.init.constant_(torch.nn.Parameter(torch.zeros(3)), 3.0)
        tensor = torch.nn.init.trunc_normal_(torch.nn.Parameter(torch.zeros(100, 100)), std=9.0)
    assert big.sum().item() == 0
    assert small.sum().item() == 9
    assert tensor.abs().sum().item() == 0


def test_the_api_leaves_a_session_with_its_real_packages():
    out = run_python(
        f"""
        import lldtool
        lldtool.dry_run({str(SAMPLES / "vit-base_layer-decay.py")!r})
        import sys, cv2, torch.distributed.fsdp, pkg_resources
        print(cv2.__file__ is not None, torch.distributed.fsdp.FullyShardedDataParallel.__module__)
        print([type(f).__module__ for f in sys.meta_path if 'lldtool' in type(f).__module__])
        print(pkg_resources.__name__)
        print([name for name, m in sys.modules.items() if 'Stub' in type(m).__name__])
        """
    )
    assert out.splitlines() == [
        "True torch.distributed.fsdp.fully_sharded_data_parallel",
        "[]",
        "pkg_resources",
        "[]",
    ]


@pytest.fixture
def without_compiled_part(site_package):
    """A package as mmcv-lite is: operators in Python, without the extension that they call."""
    site_package(
        "lldtool_test_ops.operators",
        """
        from torch import nn
        import lldtool_test_ops._ext as ext

        class Deform(nn.Linear):
            pass

        class Pool(nn.Module):
            def __init__(self, size):
                super().__init__()
                self.size = size
        """,
    )
    site_package(
        "lldtool_test_ops.__init__",
        """
        try:
            from lldtool_test_ops.operators import Deform, Pool
        except ImportError:
            pass
        """,
    )


def test_a_guarded_import_is_due_again_once_there_is_a_stub(
    project, site_package, without_compiled_part
):
    site_package(
        "lldtool_test_lib3",
        """
        import lldtool_test_ops  # does without
        import lldtool_test_ops.operators  # does not: there is a stub from here on
        from lldtool_test_ops import Pool
        """,
    )
    folder = project(net="import lldtool_test_lib3 as lib\n" + NET.format(size="lib.Pool(2).size"))
    result = lldtool_process("inspect", "config.py", cwd=folder)
    assert result.code == 0, result.err
    assert "a stub replaces lldtool_test_ops._ext, which is not installed" in result.out


@pytest.mark.parametrize("ending", ["sys.exit(3)", "os._exit(3)", "operators.ext.run()", "1 / 0"])
def test_a_guarded_import_that_ends_otherwise_the_second_time_is_done_without(
    project, site_package, without_compiled_part, ending
):
    site_package(
        "lldtool_test_ops.__init__",
        f"""
        import os, sys
        try:
            import lldtool_test_ops.operators as operators
            {ending}
        except ImportError:
            operators = None
        """,
    )
    site_package("lldtool_test_lib3", "import lldtool_test_ops, lldtool_test_ops.operators")
    folder = project(net="import lldtool_test_lib3\n" + NET.format(size=2))
    result = lldtool_process("inspect", "config.py", cwd=folder)
    assert result.code == 0, result.err
    assert "a stub replaces lldtool_test_ops._ext, which is not installed" in result.out


@pytest.mark.parametrize("base", ["nn.Module", "Deform"])
def test_a_compiled_operator_with_parameters_is_an_error_that_names_it(
    project, without_compiled_part, base
):
    net = NET.format(size=2).replace("nn.Linear", "Deform" if base == "nn.Module" else "Mine")
    mine = f"class Mine({base}):\n    pass\n"
    folder = project(net=f"from lldtool_test_ops.operators import Deform\n{net}\n{mine}")
    result = lldtool_process("inspect", "config.py", cwd=folder)
    assert (result.code, result.out) == (2, "")
    assert "needs Deform of lldtool_test_ops, which is not installed" in result.err
    assert "(pip install lldtool_test_ops)" in result.err


def test_a_compiled_operator_without_parameters_is_no_error(project, without_compiled_part):
    net = NET.format(size=2).replace("()\n", "()\n        self.pool = Pool(7)\n", 1)
    folder = project(net=f"from lldtool_test_ops.operators import Pool\n{net}")
    result = lldtool_process("inspect", "config.py", cwd=folder)
    assert result.code == 0, result.err


def test_who_asks_whether_a_package_is_there_is_told_the_truth(project, site_package):
    site_package("lldtool_test_lib4", "import no_such_thing, torchvision, cv2\n")
    asked = ("no_such_thing", "no_such_thing.ops", "torchvision", "cv2", "json")
    net = f"""
        import importlib.util
        import pkgutil
        import lldtool_test_lib4
        found = [importlib.util.find_spec(name) for name in {asked}]
        assert [bool(pkgutil.find_loader(name)) for name in {asked}] == list(map(bool, found))
    """
    net = textwrap.dedent(net) + NET.format(size="list(map(bool, found)).count(True)")
    result = lldtool_process("inspect", "config.py", "--format", "csv", cwd=project(net=net))
    assert result.code == 0, result.err
    assert "fc.weight,3x2," in result.out


def test_library_code_that_went_on_without_a_missing_package_gets_a_stub(project, site_package):
    heads = "import no_such_bar\nclass Head:\n    def __init__(self, n):\n        self.n = n\n"
    site_package("lldtool_test_heads", heads)
    site_package(
        "lldtool_test_guard",
        "try:\n    from lldtool_test_heads import Head\nexcept ImportError:\n    Head = object\n"
        "class Mine(Head):\n    def __init__(self, n):\n        super().__init__(n)\n",
    )
    folder = project(net="from lldtool_test_guard import Mine\n" + NET.format(size="Mine(4).n"))
    result = lldtool_process("inspect", "config.py", cwd=folder)
    assert result.code == 0, result.err
    assert "a stub replaces no_such_bar, which is not installed" in result.out


def test_a_stub_for_a_warning_or_an_error_is_one(project, site_package):
    site_package(
        "lldtool_test_warns",
        "import warnings\nfrom no_such_jit.errors import CompileError, PerformanceWarning\n"
        "warnings.filterwarnings('ignore', category=PerformanceWarning)\n"
        "def size():\n    try:\n        warnings.warn('slow', PerformanceWarning)\n"
        "    except CompileError:\n        return 3\n    return 2\n",
    )
    net = NET.format(size="lldtool_test_warns.size()")
    folder = project(net=f"import lldtool_test_warns\n{net}")
    result = lldtool_process("inspect", "config.py", cwd=folder)
    assert result.code == 0, result.err


AMP = """
from mmengine.optim import AmpOptimWrapper
from mmengine.registry import OPTIM_WRAPPERS

@OPTIM_WRAPPERS.register_module()
class SlowlyScaled(AmpOptimWrapper):
    def __init__(self, **kwargs):
        super().__init__(**kwargs)
        self.loss_scaler.set_growth_interval(500)
        for group in self.optimizer.param_groups:
            group['lr'] *= self.loss_scaler.get_scale() / 65536
"""


def test_an_amp_wrapper_may_use_its_scaler(project):
    folder = project(net=NET.format(size=2) + AMP)
    options = ["--cfg-options", "optim_wrapper.type=SlowlyScaled"]
    result = lldtool_process("inspect", "config.py", *options, "--format", "csv", cwd=folder)
    assert result.code == 0, result.err
    assert ",0.1," in result.out


NEEDS_GPU = """
from mmengine.optim import DefaultOptimWrapperConstructor
from mmengine.registry import OPTIM_WRAPPER_CONSTRUCTORS

@OPTIM_WRAPPER_CONSTRUCTORS.register_module()
class OnGpu(DefaultOptimWrapperConstructor):
    def __call__(self, model):
        model.cuda()
        return super().__call__(model)

@OPTIM_WRAPPER_CONSTRUCTORS.register_module()
class FromTheNet(DefaultOptimWrapperConstructor):
    def __call__(self, model):
        import urllib.request
        urllib.request.urlopen('http://example.com/lrs.json')
"""


@pytest.mark.parametrize(
    ("constructor", "said"),
    [
        ("OnGpu", "OnGpu needs a GPU: "),
        ("FromTheNet", "tried to download from example.com"),
    ],
)
def test_a_constructor_that_lacks_something_here_is_not_said_to_crash(project, constructor, said):
    folder = project(net=NET.format(size=2) + NEEDS_GPU)
    options = ["--cfg-options", f"optim_wrapper.constructor={constructor}"]
    result = lldtool_process("inspect", "config.py", *options, cwd=folder)
    assert result.code == 2
    assert said in result.err
    assert "training fails" not in result.err


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("raise AssertionError('MMCV==2.1.0 is incompatible')", "AssertionError: MMCV==2.1.0 is"),
        ("raise ImportError('cannot import name x')", "ImportError: cannot import name x"),
    ],
)
def test_a_scope_whose_package_does_not_import_is_named(project, site_package, text, said):
    site_package("mmrotate.__init__", text + "\n")
    folder = project(net=NET.format(size=2))
    for options in (["default_scope=mmrotate"], ["model.type=mmrotate.Net"]):
        result = lldtool_process("inspect", "config.py", "--cfg-options", *options, cwd=folder)
        assert result.code == 2
        assert "the package 'mmrotate'" in result.err
        assert f"does not import: {said}" in result.err


def test_a_type_of_another_scope_needs_its_prefix(tmp_path):
    (tmp_path / "x.py").write_text(
        "default_scope = 'mmengine'\ncustom_imports = dict(imports=['mmpretrain.models'])\n"
        "model = dict(type='ImageClassifier')\n"
        "optim_wrapper = dict(optimizer=dict(type='SGD', lr=0.1))\n"
    )
    result = lldtool_process("inspect", "x.py", cwd=tmp_path)
    assert result.code == 2
    assert "it is in scope mmpretrain: write 'mmpretrain.ImageClassifier'" in result.err
