"""Attributes that are replaced for a while are as before afterwards."""

import pytest

from lldtool.dryrun.patching import patched


class Base:
    inherited = 1


class Target(Base):
    own = staticmethod(len)


@pytest.mark.parametrize("error", [None, ValueError, KeyboardInterrupt])
def test_attributes_are_restored_or_removed_again(error):
    before = dict(vars(Target))

    def run():
        with patched(Target, own=2, inherited=3, new=4):
            assert (Target.own, Target.inherited, Target.new) == (2, 3, 4)
            if error is not None:
                raise error

    if error is None:
        run()
    else:
        with pytest.raises(error):
            run()
    assert dict(vars(Target)) == before
    assert Target.inherited == 1
