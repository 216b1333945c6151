"""Full disks by the limits of the configuration."""

from __future__ import annotations

from fairlead.monitors.disks import full_disks, unknown_paths

DISKS = [("/data", 1000, 100), ("/logs", 1000, 500), ("/", 1000, 999)]


def test_limits_by_path_and_for_all_others() -> None:
    assert full_disks(DISKS, {"/data": 90}) == ["/data is 90% full, the limit is 90%"]
    assert full_disks(DISKS, {"/data": 91}) == []
    assert len(full_disks(DISKS, {"*": 50})) == 2
    # A path with a limit of its own is not judged by that of all others.
    assert full_disks(DISKS, {"*": 50, "/data": 95}) == ["/logs is 50% full, the limit is 50%"]


def test_one_full_disk_is_enough_whatever_its_place() -> None:
    assert full_disks(DISKS, {"/data": 80, "/": 80})


def test_odd_sizes_are_not_full() -> None:
    assert full_disks([("/proc", 0, 0)], {"*": 0}) == []


def test_unknown_paths() -> None:
    assert unknown_paths(DISKS, {"/data": 1, "*": 1, "/missing": 1}) == ["/missing"]
