import pytest

from s2svr.writing.packets import decoding_times


@pytest.mark.parametrize(
    ("stamps", "times"),
    [
        ([], []),
        ([7], [7]),
        ([0, 1, 2, 3], [0, 1, 2, 3]),  # no B-frames
        ([0, 3, 1, 2, 6, 4, 5], [-1, 0, 1, 2, 3, 4, 5]),  # P before the two B that precede it
        ([10, 50, 30, 20, 40], [-10, 0, 10, 20, 30]),  # a B that others refer to
        ([0, 90000, 100, 5], [-10, -5, 0, 5]),  # variable rate
        ([0, 130, 100], [-30, 0, 100]),  # the delay is as short as it may be
    ],
)
def test_pictures_are_decoded_in_time(stamps: list[int], times: list[int]):
    found = decoding_times(stamps)
    assert found == times
    assert all(dts <= pts for dts, pts in zip(found, stamps, strict=True))
    assert all(b > a for a, b in zip(found, found[1:], strict=False))
