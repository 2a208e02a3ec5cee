from dataclasses import replace
from fractions import Fraction

import av
import numpy as np
import pytest
import torch
from skimage.color import rgb2ycbcr
from torch import Tensor

from s2svr.color import ColorInfo, bounded, from_rgb, guess_matrix, rgb_to_y, to_open_rgb, to_rgb
from s2svr.media.planes import from_picture, to_picture

KR_KB = {"bt601": (0.299, 0.114), "bt709": (0.2126, 0.0722), "bt2020": (0.2627, 0.0593)}
SITINGS = {  # of swscale, in 1/256 of a luma pixel
    "left": (0, 128),
    "center": (128, 128),
    "topleft": (0, 0),
    "top": (128, 0),
    "bottomleft": (0, 256),
    "bottom": (128, 256),
}


def random_planes(
    size: tuple[int, int], chroma: tuple[int, int], bits: int, seed: int = 0
) -> tuple[Tensor, ...]:
    """Random codes of muted colours, none of which leaves the RGB cube."""
    generator = torch.Generator().manual_seed(seed)
    height, width = size
    small = (-(-height // chroma[1]), -(-width // chroma[0]))
    unit = 2 ** (bits - 8)
    ranges = [(110 * unit, 140 * unit, size)] + [(115 * unit, 141 * unit, small)] * 2
    kind = torch.uint8 if bits == 8 else torch.uint16
    return tuple(
        torch.randint(low, high, shape, generator=generator).to(kind) for low, high, shape in ranges
    )


def twin_to_rgb(planes: tuple[Tensor, ...], color: ColorInfo) -> np.ndarray:
    """One pixel at a time, in float64, from the definitions."""
    y, cb, cr = (plane.numpy().astype(np.float64) for plane in planes)
    height, width = y.shape
    unit = 2 ** (color.bits - 8)
    top = 2**color.bits - 1
    black, span = (0, top) if color.full_range else (16 * unit, 219 * unit)
    chroma_span = top if color.full_range else 224 * unit
    kr, kb = KR_KB[color.matrix]
    across = next(factor for factor in (1, 2, 4) if factor * cb.shape[1] >= width)
    down = next(factor for factor in (1, 2, 4) if factor * cb.shape[0] >= height)
    right = 0 if "left" in color.siting else 0.5 * (across - 1)
    below = {"t": 0.0, "b": 1.0}.get(color.siting[0], 0.5) * (down - 1)

    def at(plane: np.ndarray, row: int, column: int) -> float:
        v, u = (row - below) / down, (column - right) / across
        i, j = int(np.floor(v)), int(np.floor(u))
        total = 0.0
        for a, p in ((i, 1 - (v - i)), (i + 1, v - i)):
            for b, q in ((j, 1 - (u - j)), (j + 1, u - j)):
                a_in, b_in = np.clip(a, 0, plane.shape[0] - 1), np.clip(b, 0, plane.shape[1] - 1)
                total += p * q * plane[a_in, b_in]
        return (total - 128 * unit) / chroma_span

    out = np.zeros((3, height, width))
    for row in range(height):
        for column in range(width):
            luma = (y[row, column] - black) / span
            blue_axis, red_axis = at(cb, row, column), at(cr, row, column)
            red, blue = luma + 2 * (1 - kr) * red_axis, luma + 2 * (1 - kb) * blue_axis
            out[:, row, column] = red, (luma - kr * red - kb * blue) / (1 - kr - kb), blue
    return out.clip(0, 1)


@pytest.mark.parametrize("matrix", KR_KB)
@pytest.mark.parametrize("full", [False, True])
@pytest.mark.parametrize("bits", [8, 10, 12])
def test_to_rgb_is_the_definition(matrix: str, full: bool, bits: int):
    planes = random_planes((6, 8), (2, 2), bits)
    color = ColorInfo(matrix, full, bits)
    np.testing.assert_allclose(to_rgb(planes, color), twin_to_rgb(planes, color), atol=2e-6)


@pytest.mark.parametrize("siting", SITINGS)
@pytest.mark.parametrize("chroma", [(1, 1), (2, 1), (2, 2), (1, 2)])
def test_chroma_is_interpolated_from_where_it_is_sited(siting: str, chroma: tuple[int, int]):
    planes = random_planes((5, 7), chroma, 8)
    color = ColorInfo("bt709", siting=siting)
    np.testing.assert_allclose(to_rgb(planes, color), twin_to_rgb(planes, color), atol=2e-6)


@pytest.mark.parametrize("width", [16, 13])
def test_quarter_chroma_is_read(width: int):
    planes = random_planes((4, width), (4, 1), 8)
    color = ColorInfo("bt601")
    np.testing.assert_allclose(to_rgb(planes, color), twin_to_rgb(planes, color), atol=2e-6)


@pytest.mark.parametrize("siting", SITINGS)
def test_agrees_with_accurate_swscale(siting: str):
    planes = random_planes((48, 64), (2, 2), 8)
    picture = to_picture(planes, "yuv420p")
    picture.colorspace, picture.color_range = 1, 1
    picture.pts, picture.time_base = 0, Fraction(1, 25)
    graph = av.filter.Graph()
    across, down = SITINGS[siting]
    chain = [
        graph.add_buffer(width=64, height=48, format=picture.format, time_base=picture.time_base),
        graph.add(
            "scale",
            "flags=bilinear+accurate_rnd+full_chroma_int+full_chroma_inp+bitexact:"
            f"in_h_chr_pos={across}:in_v_chr_pos={down}:in_color_matrix=1:in_range=tv",
        ),
        graph.add("format", "pix_fmts=gbrp"),
        graph.add("buffersink"),
    ]
    graph.link_nodes(*chain).configure()
    graph.push(picture)
    theirs = torch.stack(from_picture(graph.pull())).float()
    ours = to_rgb(planes, ColorInfo("bt709", siting=siting)) * 255
    assert (ours - theirs).abs().max() <= 0.51


@pytest.mark.parametrize("bits", [8, 10, 12])
@pytest.mark.parametrize("full", [False, True])
@pytest.mark.parametrize("chroma", [(1, 1), (2, 1), (2, 2), (1, 2)])
@pytest.mark.parametrize("siting", ["left", "center", "topleft", "bottom"])
def test_writing_undoes_reading(bits: int, full: bool, chroma: tuple[int, int], siting: str):
    planes = random_planes((6, 10), chroma, bits)
    color = ColorInfo("bt709", full, bits, siting=siting)
    if siting == "bottom" and chroma[1] == 2:
        planes = tuple(plane.clone() for plane in planes)
        planes[1][0], planes[2][0] = planes[1][1], planes[2][1]  # its first row lies below luma's
    again = from_rgb(to_rgb(planes, color), color, chroma)
    for before, after in zip(planes, again, strict=True):
        assert torch.equal(before.int(), after.int())


def test_odd_sizes_round_chroma_up():
    color = ColorInfo("bt601")
    rgb = torch.rand(3, 5, 7, generator=torch.Generator().manual_seed(0))
    luma, cb, cr = from_rgb(rgb, color, (2, 2))
    assert (luma.shape, cb.shape, cr.shape) == ((5, 7), (3, 4), (3, 4))
    tiny = from_rgb(rgb[:, :1, :1], color, (2, 2))
    assert to_rgb(tiny, color).sub(rgb[:, :1, :1]).abs().max() < 0.01


def test_a_grey_ramp_has_no_colour_and_exact_ends():
    ramp = torch.linspace(0, 1, 256).expand(3, 4, 256)
    luma, cb, cr = from_rgb(ramp, ColorInfo("bt709"), (2, 2))
    assert (luma.min(), luma.max()) == (16, 235)
    assert (cb == 128).all()
    assert (cr == 128).all()
    luma, _, _ = from_rgb(ramp, ColorInfo("bt2020", True, 10), (1, 1))
    assert (int(luma.int().min()), int(luma.int().max())) == (0, 1023)


@pytest.mark.parametrize(("bits", "top"), [(8, 255), (10, 1023), (16, 65535)])
def test_rgb_and_grey_codes_survive(bits: int, top: int):
    codes = torch.randint(0, top + 1, (3, 4, 5), generator=torch.Generator().manual_seed(1))
    planes = tuple(codes.to(torch.uint8 if bits == 8 else torch.uint16))
    color = ColorInfo("rgb", True, bits)
    again = from_rgb(to_rgb(planes, color), color, (1, 1))
    assert all(torch.equal(a.int(), b.int()) for a, b in zip(planes, again, strict=True))
    gray = replace(color, matrix="gray")
    rgb = to_rgb(planes[:1], gray)
    assert torch.equal(rgb[0], rgb[2])
    (back,) = from_rgb(rgb, gray, (1, 1))
    assert torch.equal(back.int(), planes[0].int())


def test_colours_outside_the_cube_are_clamped():
    planes = tuple(torch.full((2, 2), code, dtype=torch.uint8) for code in (255, 255, 0))
    rgb = to_rgb(planes, ColorInfo("bt709"))
    assert rgb.min() >= 0
    assert rgb.max() <= 1


@pytest.mark.parametrize("siting", ["left", "center", "topleft", "bottom"])
@pytest.mark.parametrize("chroma", [(1, 1), (2, 1), (2, 2)])
def test_every_code_survives_rgb_that_is_not_cut(chroma: tuple[int, int], siting: str):
    generator = torch.Generator().manual_seed(5)
    color = ColorInfo("bt709", siting=siting)
    small = (16 // chroma[1], 24 // chroma[0])
    shapes = ((16, 24), small, small)  # noise: most of it is outside the cube of RGB
    planes = tuple(torch.randint(0, 256, s, generator=generator).byte() for s in shapes)
    again = from_rgb(to_open_rgb(planes, color), color, chroma)
    assert torch.equal(again[0], planes[0])
    for plane, old in zip(again[1:], planes[1:], strict=True):
        inner = (slice(2, -2), slice(2, -2))  # edges are repeated, and not to be undone
        assert torch.equal(plane[inner], old[inner])
    assert not torch.equal(from_rgb(to_rgb(planes, color), color, chroma)[0], planes[0])


def test_results_reach_beyond_the_cube_as_far_as_their_source():
    rgb = torch.tensor([-0.5, -0.1, 0.5, 1.01, 1.5]).expand(3, 1, 5)
    inside = torch.tensor([0.2, 0.9]).expand(3, 1, 2)
    assert torch.equal(bounded(rgb, inside), rgb.clamp(0, 1))
    outside = torch.tensor([-0.2, 1.02], dtype=torch.float64).expand(3, 1, 2)
    assert torch.equal(bounded(rgb, outside), rgb.clamp(-0.2, 1.02))


def test_unknown_matrices_and_subsamplings_are_refused():
    with pytest.raises(ValueError, match="expected one of bt601, bt709, .*; got ycocg"):
        ColorInfo("ycocg")
    with pytest.raises(ValueError, match=r"expected chroma subsampled by 1 or 2, got \(4, 1\)"):
        from_rgb(torch.rand(3, 4, 8), ColorInfo("bt601"), (4, 1))


def test_luma_is_that_of_scikit_image():
    rgb = torch.rand(2, 3, 6, 5, generator=torch.Generator().manual_seed(2))
    ours = rgb_to_y(rgb)
    assert ours.shape == (2, 1, 6, 5)
    for image, luma in zip(rgb, ours, strict=True):
        theirs = rgb2ycbcr(image.permute(1, 2, 0).double().numpy())[..., 0]
        np.testing.assert_allclose(luma[0] * 255, theirs, atol=1e-4)


@pytest.mark.parametrize(
    ("size", "matrix"),
    [((640, 480), "bt601"), ((1279, 719), "bt601"), ((1280, 534), "bt709"), ((720, 720), "bt709")],
)
def test_untagged_videos_are_bt709_from_hd_on(size: tuple[int, int], matrix: str):
    assert guess_matrix(*size) == matrix
