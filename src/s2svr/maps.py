"""Trees of tensors: what networks remember, as tuples and lists of maps."""

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor


def to_device(maps: Any, device: torch.device) -> Any:
    """The same maps on a device."""
    return each(maps, lambda tensor: tensor.to(device))


def each(maps: Any, change: Callable[[Tensor], Tensor]) -> Any:
    """The same maps, each of them changed."""
    if maps is None or isinstance(maps, Tensor):
        return maps if maps is None else change(maps)
    return like(maps, [each(item, change) for item in maps])


def leaves(maps: Any) -> list[Tensor]:
    """All tensors of maps."""
    if maps is None or isinstance(maps, Tensor):
        return [] if maps is None else [maps]
    return [leaf for item in maps for leaf in leaves(item)]


def like(example: Any, items: list[Any]) -> Any:
    """A tuple, a named one or a list, as the example is."""
    return type(example)(*items) if hasattr(example, "_fields") else type(example)(items)
