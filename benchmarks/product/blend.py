"""Mean of two networks' weights, the second one's counted SHARE: what fine-tuning gained and lost.

    python benchmarks/product/blend.py A B SHARE OUT

B was trained on from A; between both, a network often keeps most of what each is better at
(https://arxiv.org/abs/2109.01903).
"""

import argparse
from pathlib import Path

from s2svr.checkpoint import load, read_card, save


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    for name, kind in (("first", str), ("second", str), ("share", float), ("out", Path)):
        parser.add_argument(name, type=kind)
    chosen = parser.parse_args()
    model, other = load(chosen.first), load(chosen.second)
    theirs = other.state_dict()
    model.load_state_dict(
        {name: value.lerp(theirs[name], chosen.share) for name, value in model.state_dict().items()}
    )
    save(chosen.out, model, read_card(chosen.second))


if __name__ == "__main__":
    main()
