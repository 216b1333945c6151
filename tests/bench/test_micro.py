"""Every compiled module has a micro-benchmark, and none has become much slower than it was."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import pytest

from fairlead.compiled import COMPILED_MODULES

sys.path.insert(0, str(Path(__file__).resolve().parents[2] / "bench"))

import micro

# A busy machine may slow one of the two loops down, so that the ratio to the floor says little below this.
GENEROUS = 3.0
ATTEMPTS = 3


def test_every_compiled_module_is_measured() -> None:
    measured = {module for each in micro.MICROS for module in each.modules}
    assert set(COMPILED_MODULES) == measured
    assert set(micro.floors()) == {each.name for each in micro.MICROS}


@pytest.mark.skipif(os.environ.get("FAIRLEAD_PURE") == "1", reason="the floors are of the compiled modules")
@pytest.mark.parametrize("each", micro.MICROS, ids=lambda each: each.name)
def test_none_is_much_slower_than_it_was(each: micro.Micro) -> None:
    floor = micro.floors()[each.name]
    ratios = []
    for _ in range(ATTEMPTS):
        ratios.append(micro.measure(each, micro.nanoseconds(micro.calibration))[1])
        if ratios[-1] <= floor * GENEROUS:
            return
    pytest.fail(f"{min(ratios):.3f} times the calibration loop instead of {floor:.3f}")
