"""What is spared of torch's own checks of param groups changes none of them."""

import pytest
import torch
from torch.optim import SGD, AdamW

from lldtool.dryrun.optimizers import _quick_groups


def parameters(number):
    return [torch.nn.Parameter(torch.zeros(2)) for _ in range(number)]


def groups(optimizer):
    return [{k: v if k != "params" else [id(p) for p in v] for k, v in g.items()}
            for g in optimizer.param_groups]  # fmt: skip


@pytest.mark.parametrize("kind", [SGD, AdamW])
def test_param_groups_are_those_of_torch(kind):
    ps = parameters(40)

    def given():
        several = [{"params": [p], "lr": 0.1 * i, "name": i} for i, p in enumerate(ps[:20])]
        return [*several, {"params": ps[20]}, {"params": iter(ps[21:])}]

    with _quick_groups():
        quick = kind(given(), lr=1e-3)
    assert groups(quick) == groups(kind(given(), lr=1e-3))


@pytest.mark.parametrize("pair", [(0, 1), (0, 4), (2, 3), (1, 4)])
def test_a_tensor_in_two_groups_is_an_error_of_torch(pair):
    ps = parameters(5)
    ps[pair[1]] = ps[pair[0]]
    with _quick_groups(), pytest.raises(ValueError, match="more than one parameter group"):
        SGD([{"params": [p]} for p in ps], lr=0.1)


def test_groups_that_were_added_another_way_count():
    ps = parameters(4)
    with _quick_groups():
        optimizer = SGD([{"params": [ps[0]]}, {"params": [ps[1]]}], lr=0.1)
        optimizer.param_groups.append({**optimizer.param_groups[0], "params": [ps[2]]})
        optimizer.add_param_group({"params": [ps[3]]})
        with pytest.raises(ValueError, match="more than one parameter group"):
            optimizer.add_param_group({"params": [ps[2]]})
    assert len(optimizer.param_groups) == 4


def test_a_group_that_torch_refuses_leaves_the_others():
    ps = parameters(3)
    with _quick_groups():
        optimizer = SGD([{"params": [p]} for p in ps], lr=0.1)
        with pytest.raises(TypeError):
            optimizer.add_param_group({"params": ["no tensor"]})
    assert len(optimizer.param_groups) == 3


def test_one_optimizer_does_not_count_for_another():
    ps = parameters(3)
    with _quick_groups():
        for _ in range(3):
            SGD([{"params": [p]} for p in ps], lr=0.1)


def test_groups_with_and_without_names_do_not_mix():
    ps = parameters(2)
    mixed = [{"params": [ps[0]]}, {"params": [("name", ps[1])]}]
    with _quick_groups(), pytest.raises((ValueError, TypeError)):
        SGD(mixed, lr=0.1)
