"""Each result meets the tag of the item that it was made of."""

from collections.abc import Iterator
from itertools import islice

import pytest
from hypothesis import given
from hypothesis import strategies as st

from s2svr.media import carried


def in_bursts(size: int, ahead: int, items: Iterator[int]) -> Iterator[int]:
    """Doubles items, ``size`` at a time, when ``ahead`` more have been seen, as windows do."""
    held: list[int] = []
    for item in items:
        held.append(item)
        if len(held) == size + ahead:
            yield from (2 * x for x in held[:size])
            held = held[size:]
    yield from (2 * x for x in held)


@given(st.lists(st.integers(), max_size=40), st.integers(1, 7), st.integers(0, 5))
def test_tags_meet_their_results(numbers: list[int], size: int, ahead: int):
    tagged = ((f"tag of {x} at {i}", x) for i, x in enumerate(numbers))
    found = list(carried(tagged, lambda items: in_bursts(size, ahead, items)))
    assert found == [(f"tag of {x} at {i}", 2 * x) for i, x in enumerate(numbers)]


def test_items_are_taken_when_they_are_asked_for():
    taken: list[int] = []

    def tagged() -> Iterator[tuple[int, int]]:
        for item in range(100):
            taken.append(item)
            yield item, item

    found = carried(tagged(), lambda items: in_bursts(2, 1, items))
    assert list(islice(found, 4)) == [(0, 0), (1, 2), (2, 4), (3, 6)]
    assert taken == [0, 1, 2, 3, 4]


def test_lost_and_surplus_results_are_errors():
    three = [(i, i) for i in range(3)]
    with pytest.raises(RuntimeError, match="1 are missing"):
        list(carried(three, lambda items: (x for x in items if x != 1)))
    with pytest.raises(RuntimeError, match="got one more"):
        list(carried(three, lambda items: [*items, 7]))
