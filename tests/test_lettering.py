"""The stroke font."""

import math

import pytest
import torch

from s2svr.render.lettering import GLYPHS, draw_text, random_words


def test_a_dash_has_the_area_of_its_stroke():
    height, weight = 60.0, 0.2
    ink = draw_text("-", height, weight)
    width, length = weight * height, 2 * height / 6  # from 1 to 3 of the glyph's units
    assert float(ink.sum()) == pytest.approx(width * length + math.pi * width**2 / 4, rel=0.02)


def test_letters_stand_side_by_side():
    text = draw_text("AB", 24)
    a, b = draw_text("A", 24), draw_text("B", 24)
    torch.testing.assert_close(text[:, : a.shape[1] - 12], a[:, :-12])
    torch.testing.assert_close(text[:, 12 - b.shape[1] :], b[:, 12:])
    assert torch.equal(draw_text("ab", 24), text)
    assert draw_text("~", 24).sum() == 0


@pytest.mark.parametrize("letter", "AHIMOTUVWXY8")
def test_symmetric_letters(letter):
    ink = draw_text(letter, 42)
    torch.testing.assert_close(ink, ink.flip(1), atol=1e-3, rtol=0)


def test_every_glyph_is_inside_its_margin():
    for letter in GLYPHS:
        ink = draw_text(letter, 30)
        assert ink.sum() > 5
        assert ink[0].sum() + ink[-1].sum() + ink[:, 0].sum() + ink[:, -1].sum() == 0


def test_words_follow_the_generator():
    one, same = (random_words(torch.Generator().manual_seed(1), 8) for _ in range(2))
    assert one == same
    assert set(one) <= {*GLYPHS, " "}
