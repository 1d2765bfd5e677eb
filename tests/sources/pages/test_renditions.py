import pytest

from pipeline.sources.pages.renditions import (
    Rendition,
    asset_key,
    has_size,
    largest_rendition,
    srcset_candidates,
    width_from_url,
)


@pytest.mark.parametrize(
    ("srcset", "candidates"),
    [
        ("a.jpg 1x, b.jpg 2x", [("a.jpg", "1x"), ("b.jpg", "2x")]),
        ("a.jpg 300w,b.jpg 600w", [("a.jpg", "300w"), ("b.jpg", "600w")]),
        ("a.jpg", [("a.jpg", "")]),
        ("a.jpg, b.jpg 2x,", [("a.jpg", ""), ("b.jpg", "2x")]),
        ("/w_4,h_3/a.jpg 4w, /w_8,h_6/a.jpg 8w", [("/w_4,h_3/a.jpg", "4w"), ("/w_8,h_6/a.jpg", "8w")]),
        ("  ,, a.jpg\n\t100w  ", [("a.jpg", "100w")]),
        ("", []),
        (" , ", []),
    ],
)
def test_srcset_is_split_as_browsers_do(srcset: str, candidates: list[tuple[str, str]]) -> None:
    assert list(srcset_candidates(srcset)) == candidates


@pytest.mark.parametrize(
    ("one", "other", "width"),
    [
        ("https://s.example/photo-300x200.jpg", "https://s.example/photo.jpg", 300),
        ("https://s.example/p_600x.jpg?v=12", "https://s.example/p_1200x1600_crop_center.jpg?v=12", 600),
        ("https://s.example/p_large.jpg", "https://s.example/p.jpg", None),
        ("https://m.example/I/71abc._AC_SX300_.jpg", "https://m.example/I/71abc._SL1500_.jpg", None),
        ("https://i.example/a.jpg?imwidth=156&filter=packshot", "https://i.example/a.jpg?filter=packshot&imwidth=1800", 156),
        ("https://c.example/upload/w_400,h_300,c_fill/v1/a.jpg", "https://c.example/upload/c_fill,w_1600/v1/a.jpg", 400),
        ("https://C.example/a.jpg", "http://c.example/a.jpg?w=5", None),
    ],
)
def test_what_only_differs_in_size_is_one_asset(one: str, other: str, width: int | None) -> None:
    assert asset_key(one) == asset_key(other)
    assert width_from_url(one) == width


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("https://s.example/photo-1.jpg", "https://s.example/photo-2.jpg"),
        ("https://s.example/p.jpg?id=1", "https://s.example/p.jpg?id=2"),
        ("https://s.example/size_2/p.jpg", "https://s.example/size_3/p.jpg"),
        ("https://s.example/2024-1200/p.jpg", "https://s.example/2024-1201/p.jpg"),
    ],
)
def test_different_pictures_are_different_assets(one: str, other: str) -> None:
    assert asset_key(one) != asset_key(other)
    assert not has_size(one)


def test_the_largest_is_zoomed_then_original_then_widest_then_first() -> None:
    small = Rendition("https://s.example/p-300x400.jpg", None)
    wide = Rendition("https://s.example/p-900x1200.jpg", None)
    original = Rendition("https://s.example/p.jpg", None)
    zoomed = Rendition("https://s.example/zoom/p.jpg", None, zoomed=True)
    stated = Rendition("https://s.example/q.jpg", 2000)
    assert largest_rendition([small, wide]) is wide
    assert largest_rendition([small, wide, original]) is original
    assert largest_rendition([small, original, zoomed]) is zoomed
    assert largest_rendition([stated, small, wide]) is stated
    assert largest_rendition([Rendition("https://s.example/1.jpg", 5), Rendition("https://s.example/2.jpg", 5)]).url.endswith(
        "1.jpg"
    )
