"""Files of a folder: every one is a picture that is listed, or is counted by its kind in one line."""

import os
from pathlib import Path

import pytest

from pipeline.errors import SourceError
from pipeline.imaging import formats
from pipeline.imaging.formats import BY_EXTENSION, FORMATS, format_of, looks_like, picture_extension
from pipeline.sources import folder, survey
from tests.support.web_pictures import drawn, encoded

JPEG, PNG, TIFF = (encoded(drawn(0), kind) for kind in ("JPEG", "PNG", "TIFF"))
HEIC = b"\0\0\0\x1cftypheic\0\0\0\0mif1heicmiaf" + bytes(40)
JP2 = b"\0\0\0\x0cjP  \r\n\x87\n" + bytes(40)


@pytest.fixture
def without_heic(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(formats, "_has_pillow_heif", lambda: False)


@pytest.fixture
def with_heic(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(formats, "_has_pillow_heif", lambda: True)


def write(place: Path, files: dict[str, bytes]) -> Path:
    """`files`, by path, in `place`."""
    for name, content in files.items():
        (place / name).parent.mkdir(parents=True, exist_ok=True)
        (place / name).write_bytes(content)
    return place


def listed(place: Path) -> list[str]:
    """The pictures of a folder, by name."""
    return [path.relative_to(place).as_posix() for path in folder.picture_paths(place)]


@pytest.mark.usefixtures("without_heic")
def test_skipped_files_are_counted_by_kind_in_one_line(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    files = {f"hat/{number}.HEIC": HEIC for number in range(30)} | {
        "hat/a.jp2": JP2,
        "hat/b.jxl": b"\xff\x0a",
        "hat/notes": b"x",
    }
    write(tmp_path, files | {"hat/good.jpg": JPEG, "above.jpg": JPEG, "README.md": b"# BMW"})
    assert [row.url.rsplit("/", 1)[1] for row in folder.list_pictures(tmp_path, None)] == ["good.jpg"]
    [record] = caplog.records
    message = record.getMessage()
    for part in (
        "34 files skipped",
        "30 .heic",
        ".[heic]",
        "1 .jp2",
        "1 .jxl",
        "1 without an extension",
        "1 above",
        "AVIF",
    ):
        assert part in message
    assert "\n" not in message
    assert ".md" not in message


@pytest.mark.parametrize(
    ("name", "content", "is_listed"),
    [
        ("a.jpe", JPEG, True),
        ("a.jfif", JPEG, True),
        ("a", JPEG, True),
        ("a", TIFF, True),
        ("IMG 2024.03", PNG, True),
        ("a.JPG_large", JPEG, True),
        ("a.heic", JPEG, True),  # renamed, or converted in place
        ("a.jpg", b"no picture", True),  # a row with a reason, from inspect
        ("a.nef", TIFF, False),  # camera raw begins like a TIFF
        ("a.txt", b"BMW\nAudi\n" * 10, False),
        ("a.webm", b"RIFF1234WAVE", False),
        ("a", b"", False),
        ("a.jp2", JP2, False),
    ],
)
@pytest.mark.usefixtures("without_heic")
def test_an_odd_extension_is_judged_by_content(tmp_path: Path, name: str, content: bytes, is_listed: bool) -> None:
    write(tmp_path, {f"hat/{name}": content, "hat/sure.png": PNG})
    assert (f"hat/{name}" in listed(tmp_path)) == is_listed
    assert folder.survey(tmp_path).skipped.total() == (not is_listed)


@pytest.mark.usefixtures("with_heic")
def test_heic_is_a_picture_where_its_extra_is_installed(tmp_path: Path) -> None:
    write(tmp_path, {"hat/a.HEIC": HEIC, "hat/b.hif": HEIC, "hat/c": HEIC})
    assert listed(tmp_path) == ["hat/a.HEIC", "hat/b.hif", "hat/c"]
    assert (picture_extension(HEIC), folder.survey(tmp_path).summary()) == ("heic", "")


@pytest.mark.usefixtures("without_heic")
def test_heic_from_the_web_is_refused_with_the_name_of_the_extra() -> None:
    assert picture_extension(HEIC) is None
    assert ".[heic]" in looks_like(HEIC)


@pytest.mark.usefixtures("without_heic")
def test_a_folder_of_heic_alone_names_the_extra(tmp_path: Path) -> None:
    write(tmp_path, {"hat/a.heic": HEIC})
    with pytest.raises(SourceError) as error:
        list(folder.list_pictures(tmp_path, None))
    assert ".[heic]" in str(error.value)
    assert "sub-folder per category" not in str(error.value)


def test_pictures_above_the_categories_alone_are_told_to_be_sorted(tmp_path: Path) -> None:
    write(tmp_path, {"a.jpg": JPEG})
    with pytest.raises(SourceError) as error:
        list(folder.list_pictures(tmp_path, None))
    assert "1 above the category folders" in str(error.value)
    assert "sub-folder per category" in str(error.value)


def test_linked_folders_below_a_category_are_counted_and_not_followed(tmp_path: Path) -> None:
    place = write(tmp_path / "pictures", {"hat/a.jpg": JPEG})
    write(tmp_path / "elsewhere", {"b.jpg": JPEG})
    (place / "hat" / "more").symlink_to(tmp_path / "elsewhere")
    (place / "hat" / "round").symlink_to(place)
    assert listed(place) == ["hat/a.jpg"]
    assert folder.survey(place).links == 2
    assert "2 linked folders" in folder.survey(place).summary()


def test_a_category_that_is_a_link_out_of_the_folder_is_counted_and_not_walked(tmp_path: Path) -> None:
    place = tmp_path / "pictures"
    (place / "hat").mkdir(parents=True)
    (place / "hat" / "a.png").touch()
    (place / "cap").symlink_to("hat")
    (place / "disk").symlink_to("/")
    found = folder.survey(place)
    assert found.pictures == [place / "cap" / "a.png", place / "hat" / "a.png"]
    assert found.links == 1


def test_a_broken_link_in_place_of_a_category_is_counted(tmp_path: Path) -> None:
    place = write(tmp_path, {"hat/a.jpg": JPEG})
    (place / "shoe").symlink_to("nowhere")
    assert folder.survey(place).skipped == {survey.BROKEN_LINKS: 1}


def test_nothing_in_a_folder_holds_up_the_survey(tmp_path: Path) -> None:
    place = write(tmp_path, {"hat/a.jpg": JPEG})
    os.mkfifo(place / "hat" / "pipe")
    os.mkfifo(place / "pipe.jpg")
    (place / "hat" / "loop").symlink_to("loop")
    (place / "hat" / "gone").symlink_to("nowhere")
    (place / "hat" / "null").symlink_to("/dev/zero")
    (place / "hat" / os.fsdecode(b"\xff.\xfe")).write_bytes(b"")
    assert listed(place) == ["hat/a.jpg"]
    assert folder.survey(place).skipped.total() == 6
    assert folder.survey(place).summary().isprintable()


def test_a_hundred_kinds_are_one_short_line(tmp_path: Path) -> None:
    write(tmp_path, {f"hat/{number}.x{number}": b"" for number in range(100)} | {"hat/a.jpg": JPEG})
    summary = folder.survey(tmp_path).summary()
    assert "100 files" in summary
    assert len(summary) < 300


def test_every_format_has_extensions_of_its_own_and_is_known_by_its_bytes() -> None:
    assert sum(len(known.extensions) for known in FORMATS) == len(BY_EXTENSION)
    image = drawn(0)
    for known in FORMATS:
        if known.extra is None:
            assert format_of(encoded(image, known.name)) is known
    assert format_of(HEIC) is BY_EXTENSION["heic"]
    assert format_of(b"\0\0\0\x20ftypmif1\0\0\0\0mif1miafavif") is BY_EXTENSION["avif"]
    assert format_of(b"\0\0\0\x18ftypisom\0\0\0\0mp42mp41") is None
