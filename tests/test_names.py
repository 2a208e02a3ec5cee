"""Names of inputs and outputs: what is meant, and what is refused before anything is done."""

import zipfile
from fractions import Fraction
from pathlib import Path

import pytest
from PIL import Image

from media_clips import make_video
from s2svr.cli.options import parse_length, parse_target
from s2svr.media import open_reader
from s2svr.media.container import encryption_in
from s2svr.media.errors import MediaError
from s2svr.media.integrity import scrambled
from s2svr.restoration import Job, restore_video
from s2svr.restoration.verify import Identity
from s2svr.writing import parse_output

KEY = {
    "encryption_scheme": "cenc-aes-ctr",
    "encryption_key": "76a6c65c5ea762046bd749a2e632ccbb",
    "encryption_kid": "a7e61c373e219033c21091fa607bf3b8",
}


@pytest.fixture(scope="module")
def film(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_video(tmp_path_factory.mktemp("film") / "a.mp4", pts=[0, 3003, 6006])


def refused(source: Path, target: Path, **settings: object) -> str:
    """The sentence of a restoration that is refused and leaves all as it was."""
    before = sorted(target.parent.rglob("*"))
    with pytest.raises(MediaError) as caught:
        restore_video(Identity(), source, target, **settings)  # type: ignore[arg-type]
    assert sorted(target.parent.rglob("*")) == before
    return str(caught.value)


@pytest.mark.parametrize(
    ("text", "kind", "place", "suffix", "pattern"),
    [
        ("a.mp4", "video", "a.mp4", ".mp4", ""),
        ("a.M2TS", "video", "a.M2TS", ".m2ts", ""),
        ("a%03d.mp4", "video", "a%03d.mp4", ".mp4", ""),
        ("100% real.png", "image", "100% real.png", ".png", ""),
        ("a.JPG", "image", "a.JPG", ".jpg", ""),
        ("out", "images", "out", "", ""),
        ("out/", "images", "out", "", ""),
        ("out.v2/", "images", "out.v2", "", ""),
        ("film.mp4/", "images", "film.mp4", "", ""),
        ("out/%06d.jpg", "images", "out", ".jpg", "%06d"),
        ("out/a-%d.tif", "images", "out", ".tif", "a-%d"),
        ("out.v2/*.webp", "images", "out.v2", ".webp", ""),
        (".hidden", "images", ".hidden", "", ""),
    ],
)
def test_what_a_name_asks_for(text: str, kind: str, place: str, suffix: str, pattern: str):
    name = parse_output(parse_target(text))
    assert name == (Path(place), kind, suffix, pattern)
    again = parse_output(name.at(Path("there/7")))
    assert again[1:] == name[1:]
    assert again.place == (Path("there/7") if kind == "images" else Path(f"there/7{suffix}"))


@pytest.mark.parametrize("name", ["%d_%d.png", "100%_%03d.png", "%s%d.png", "a%%d.png"])
def test_names_of_images_have_one_number(tmp_path: Path, name: str):
    with pytest.raises(MediaError, match="with one number, such as %06d, got .*; a sign % in them"):
        parse_output(tmp_path / name)
    found = parse_output(tmp_path / "100%%_%03d.png")
    assert (found.kind, found.pattern % 7) == ("images", "100%_007")


@pytest.mark.parametrize(
    "name",
    ["x.mp4.part", "x.xyz", "x.avi", "x.yuv", "x.exr", ".mp4", "-", "v1.2", "x.mp3", "x.m3u8"],
)
def test_unknown_names_are_refused_with_the_list(film: Path, tmp_path: Path, name: str):
    text = refused(film, Path(name) if name == "-" else tmp_path / name)
    for part in (".mp4", ".mkv", ".png", ".gif", "out/%06d.jpg"):
        assert part in text
    assert {"x.avi": "is read, not written", "-": "a pipe", "v1.2": "v1.2/"}.get(name, "") in text


def test_urls_and_pipes_are_called_so(film: Path, tmp_path: Path):
    for url in ("https://a.example/b.mp4", "rtmp://a.example/live", "s3://bucket/a.mp4"):
        with pytest.raises(MediaError, match=f"{url} is a URL, and only files are written"):
            restore_video(Identity(), film, Path(url))
        with pytest.raises(MediaError, match=f"{url} is a URL, and only files are read"):
            open_reader(Path(url))
    with pytest.raises(MediaError, match="- stands for a pipe, and only files are read"):
        open_reader(Path("-"))
    with pytest.raises(MediaError, match="there is no file or folder Film: one.mp4"):
        open_reader(Path("Film: one.mp4"))


def test_a_folder_without_images_is_not_replaced(film: Path, tmp_path: Path):
    folder = tmp_path / "out"
    folder.mkdir()
    text = refused(film, folder)
    assert f"the folder {folder} is there and holds no images" in text
    assert f"as {folder}/a.mp4, or another folder, or add --overwrite" in text
    (folder / "notes.txt").touch()
    assert f"as {folder}/a.mp4, or another folder" in refused(film, folder, overwrite=True)
    mkv = make_video(tmp_path / "b.avi", codec="mjpeg", form="yuvj420p", pts=[0, 3600])
    assert f"as {folder}/b.mp4" in refused(mkv, folder)
    Image.new("RGB", (8, 8)).save(tmp_path / "c.jpg")
    assert f"as {folder}/c.jpg" in refused(tmp_path / "c.jpg", folder)
    (tmp_path / "frames").mkdir()
    Image.new("RGB", (8, 8)).save(tmp_path / "frames" / "c.jpg")
    assert f"as {folder}/frames" in refused(tmp_path / "frames", folder)
    assert Job(film, tmp_path / "new" / "%03d.png").place == tmp_path / "new"


def test_an_empty_folder_is_taken_where_it_may_be_replaced(film: Path, tmp_path: Path):
    folder = tmp_path / "out"
    folder.mkdir()
    restore_video(Identity(), film, folder, overwrite=True)
    assert len(list(folder.iterdir())) == 3


def test_a_folder_of_videos_is_told_what_to_do(film: Path, tmp_path: Path):
    for name in ("b.mp4", "a.mp4", "notes.txt"):
        (tmp_path / name).write_bytes(film.read_bytes())
    with pytest.raises(
        MediaError, match=r"holds no images but videos \(a.mp4, ...\): restore them"
    ):
        open_reader(tmp_path)
    (tmp_path / "x").mkdir()
    with pytest.raises(MediaError, match=r"x holds no images \(.apng, .avif"):
        open_reader(tmp_path / "x")


def test_a_preview_takes_time():
    assert parse_length("0.5") == Fraction(1, 2)


def test_m2ts_has_packets_of_192_bytes(film: Path, tmp_path: Path):
    restore_video(Identity(), film, tmp_path / "a.m2ts")
    data = (tmp_path / "a.m2ts").read_bytes()
    assert len(data) % 192 == 0
    assert set(data[4::192]) == {0x47}
    with open_reader(tmp_path / "a.m2ts") as reader:
        assert len(list(reader)) == 3


# Encryption --------------------------------------------------------------------------------------


@pytest.mark.parametrize("suffix", [".mp4", ".mov"])
def test_encrypted_files_are_called_so(tmp_path: Path, suffix: str):
    source = make_video(tmp_path / f"a{suffix}", pts=[0, 3003, 6006], container=KEY)
    assert b"encv" in source.read_bytes()
    text = refused(source, tmp_path / "out.mkv")
    assert "is encrypted (CENC): decrypt it first" in text


def test_headers_of_other_encrypted_files(tmp_path: Path):
    matroska = bytes.fromhex("1a45dfa3 0102 6d80 90 6240 8d 5031 81 00 5033 81 01 5035 84")
    asf = bytes.fromhex("3026b2758e66cf11a6d900aa0062ce6c") + bytes(30)
    flv = b"FLV\x01\x05\0\0\0\x09\0\0\0\0"
    for data, wanted in [
        (matroska + bytes(40), "Matroska's encryption"),
        (asf + bytes.fromhex("fbb3112223bdd211b4b700a0c955fc6e"), "Windows Media DRM"),
        (flv + b"\x29" + bytes(20), "Flash Access"),
        (flv + b"\x09" + bytes(20), ""),
        (asf, ""),
        (matroska[:-3] + bytes(60), ""),
        (matroska[:4] + bytes(40) + bytes.fromhex("6240 8d 5031 81 00 5035 84"), ""),  # by chance
        (b"encv", ""),
    ]:
        (tmp_path / "a").write_bytes(data)
        assert encryption_in(tmp_path / "a") == wanted


def test_a_scrambled_transport_stream_is_called_encrypted(tmp_path: Path):
    source = make_video(tmp_path / "a.ts", pts=[3600 * t for t in range(9)])
    data = bytearray(source.read_bytes())
    with open_reader(source) as reader:
        assert len(list(reader)) == 9
    assert not scrambled(source)
    for place in range(0, len(data), 188):
        if (data[place + 1] & 0x1F) << 8 | data[place + 2] == 0x100:  # the video
            data[place + 3] |= 0x80
            body = place + 4 + (1 + data[place + 4] if data[place + 3] & 0x20 else 0)
            data[body : place + 188] = bytes(b ^ 0xA5 for b in data[body : place + 188])
    source.write_bytes(data)
    assert "is encrypted (scrambled packets)" in refused(source, tmp_path / "b.mp4")


def test_odd_files_are_not_called_encrypted(tmp_path: Path, film: Path):
    with zipfile.ZipFile(tmp_path / "a.mp4", "w") as file:
        file.writestr("a", "b")
    with pytest.raises(MediaError) as caught:
        open_reader(tmp_path / "a.mp4")
    assert "encrypted" not in str(caught.value)
    assert encryption_in(film) == ""
