"""What pages say about their pictures in JSON-LD and microdata, broken as it may be."""

import json
from datetime import UTC, datetime
from typing import Any

import pytest

from pipeline.sources.pages import structured_data as structured
from pipeline.sources.pages.html import Page, read_page
from pipeline.sources.pages.json_ld import read_json

NOW = datetime(2026, 6, 1, tzinfo=UTC)
URL = "https://shop.example/p/1"
PRODUCT = '{"@context":"https://schema.org","@type":"Product","name":"N","category":"Dresses","image":"/a.jpg"}'


def read(*scripts: Any, markup: str = "", kind: str = "application/ld+json") -> Page:
    blocks = (script if isinstance(script, str) else json.dumps(script) for script in scripts)
    text = "".join(f'<script type="{kind}">{block}</script>' for block in blocks) + markup
    return read_page(text, URL, headers_reserve=None, headers_nofollow=False, now=NOW)


@pytest.mark.parametrize(
    "script",
    [
        *(f"{PRODUCT};", f"{PRODUCT}}}", f"}}{PRODUCT}", f"\ufeff{PRODUCT}", f"{PRODUCT}\n{PRODUCT}", f"{PRODUCT},{PRODUCT}"),
        *(
            f"//<![CDATA[\n{PRODUCT}\n//]]>",
            f"<![CDATA[{PRODUCT}]]>",
            PRODUCT.replace('"', "'"),
            PRODUCT.replace('"', "”"),
            PRODUCT.replace('"category"', '"description":"a 5" heel","category"'),
            f"/*<![CDATA[*/{PRODUCT}/*]]>*/",
            f"<!--\n{PRODUCT}\n-->",
        ),
        *(
            f"// ours\n{PRODUCT}",
            f"/* ours */ {PRODUCT}",
            PRODUCT.replace('"', "&quot;"),
            PRODUCT[:-1],
            PRODUCT[:-1] + ',"offers":{',
        ),
        *(PRODUCT[:-1] + ",}", PRODUCT.replace('"N"', '"N",,'), PRODUCT[:-1] + ',"x":[1,2,],}', PRODUCT[:-1] + ',"x":NaN}'),
        *(PRODUCT[:-1] + ',"x":"a\n\tb\x00"}', PRODUCT[:-1] + ',"x":"\\x\\u12"}', PRODUCT[:-1] + f',"x":{"9" * 5000}}}'),
        *(PRODUCT[:-1] + ',"x":"the "best" dress"}', PRODUCT[:-1] + ',"x":[{"y":1}}]}', PRODUCT[:-1] + ',"x":["y","z":1}'),
        PRODUCT[:-1] + ',"x":' + '{"x":' * 5000,
        '{"@type":"Product"},"name":"N","category":"Dresses","image":"/a.jpg"}',
    ],
)
def test_one_stray_sign_in_json_ld_costs_nothing_else(script: str) -> None:
    assert not read_json(script).valid or "NaN" in script or "\n\t" in script
    [picture] = read(script).pictures
    assert (picture.url, picture.title, picture.words) == ("https://shop.example/a.jpg", "N", ("Dresses",))


@pytest.mark.parametrize("kind", ["Application/LD+JSON", "application/ld+json; charset=utf-8", " application/ld+json "])
def test_the_type_of_a_script_is_read_in_any_spelling(kind: str) -> None:
    assert [picture.title for picture in read(PRODUCT, kind=kind).pictures] == ["N"]


def test_what_is_repaired_and_what_is_not_read_is_counted() -> None:
    page = read(PRODUCT, f"{PRODUCT};", "nothing", "")
    assert (page.repaired, page.unread) == (1, 1)


@pytest.mark.parametrize(
    ("image", "urls"),
    [
        ({"@id": {"a": 1}}, []),
        ({"@id": ["x"]}, []),
        ([{"@id": []}, "/b.jpg"], ["/b.jpg"]),
        ([["/b.jpg", ["/c.jpg"]]], ["/b.jpg", "/c.jpg"]),
        ({"@list": ["/b.jpg"]}, ["/b.jpg"]),
        ({"@type": "ImageObject", "contentUrl": ["/b.jpg", "/c.jpg"]}, ["/b.jpg", "/c.jpg"]),
        ("https://x.example/b.jpg, https://x.example/c.jpg", ["https://x.example/b.jpg", "https://x.example/c.jpg"]),
        ("https://x.example/fetch/w_9,https://x.example/b.jpg", ["https://x.example/fetch/w_9,https://x.example/b.jpg"]),
        ({"@type": "ImageObject", "contentUrl": "data:image/png;base64,xx", "url": ["/b.jpg"]}, ["/b.jpg"]),
        ({"@type": "ImageObject", "thumbnail": {"url": "/b.jpg"}}, ["/b.jpg"]),
        ({"@type": "URL", "@value": "/b.jpg"}, ["/b.jpg"]),
        ({"@id": "https://shop.example/p/1#primaryimage"}, []),
        ("https:&#x2F;&#x2F;shop.example&#x2F;b.jpg", ["/b.jpg"]),
        ([None, True, 3, 1e308, float("nan"), "/b.jpg"], ["/b.jpg"]),
        ("/\ud83d.jpg", ["/\ufffd.jpg"]),
    ],
)
def test_an_image_in_any_shape_is_read(image: Any, urls: list[str]) -> None:
    pictures = read({"@type": "Product", "name": "N", "image": image}).pictures
    assert [picture.url.removeprefix("https://shop.example") for picture in pictures] == urls


@pytest.mark.parametrize(
    "kind", ['"@type": "product"', '"type": "Product"', '"@Type": " PRODUCT "', '"@type": [["PRODUCT"], 1]']
)
def test_a_type_is_known_in_any_spelling(kind: str) -> None:
    assert [picture.title for picture in read(f'{{{kind}, "name": "N", "image": "/b.jpg"}}').pictures] == ["N"]


def test_keys_and_types_may_be_whole_addresses() -> None:
    thing = {
        "@type": ["http://schema.org/Product/"],
        "http://schema.org/name": [{"@value": "N"}],
        "schema:image": [{"@id": "/a.jpg"}],
    }
    assert [(picture.url, picture.title) for picture in read(thing).pictures] == [("https://shop.example/a.jpg", "N")]


def test_the_same_thing_in_two_scripts_is_one() -> None:
    one = {"@type": "Product", "@id": "#p", "name": "N", "image": {"@id": "#i"}}
    more = [
        {"@id": f"{URL}#p", "category": "Dresses"},
        {"@id": "#i", "@type": "ImageObject", "url": "/i.jpg", "caption": "Front"},
    ]
    [picture] = read(one, more).pictures
    assert (picture.url, picture.words, picture.alt) == ("https://shop.example/i.jpg", ("Dresses",), "Front")


GROUP: dict[str, Any] = {
    "@id": "#g",
    "@type": "ProductGroup",
    "productGroupID": "7",
    "name": "Wrap dress",
    "category": "Dresses",
}


def variants(**more: Any) -> list[dict[str, Any]]:
    return [{"@type": "Product", "@id": f"#{name}", "image": f"/{name}.jpg", **more} for name in ("red", "blue")]


DESCRIPTIONS: list[list[Any]] = [
    [{**GROUP, "hasVariant": variants()}],
    [{**GROUP, "@type": "Product", "hasVariant": variants()}],
    [{**GROUP, "hasVariant": [{"@id": "#red"}, {"@id": "#blue"}]}, variants()],
    [GROUP, variants(isVariantOf={"@id": "#g"})],
    [variants(isVariantOf="#g"), GROUP],
    [variants(isVariantOf=GROUP)],
    [GROUP, variants(inProductGroupWithID="7")],
    [{"@graph": [{**GROUP, "hasVariant": variants()}]}],
]


@pytest.mark.parametrize("scripts", DESCRIPTIONS)
def test_variants_and_the_other_pictures_have_what_their_group_says(scripts: list[Any]) -> None:
    pictures = read(*scripts, markup='<img src="/detail.jpg">').pictures
    assert [(picture.url.rpartition("/")[2], picture.title, picture.words) for picture in pictures] == [
        (name, "Wrap dress", ("Dresses",)) for name in ("red.jpg", "blue.jpg", "detail.jpg")
    ]


def test_a_variants_own_words_come_before_its_groups() -> None:
    red, blue = variants()
    red |= {"name": "Red dress", "category": "Red", "offers": {"price": "9"}}
    first, second = read({**GROUP, "offers": {"price": "10"}, "hasVariant": [red, blue]}).pictures
    assert (first.title, first.words, first.price) == ("Red dress", ("Red", "Dresses"), 9.0)
    assert (second.title, second.words, second.price) == ("Wrap dress", ("Dresses",), 10.0)


def test_variants_in_a_circle_end() -> None:
    circle: list[Any] = [
        {"@type": "Product", "@id": f"#{a}", "image": f"/{a}.jpg", "isVariantOf": {"@id": f"#{b}"}} for a, b in ("ab", "ba")
    ]
    assert len(read(circle).pictures) == 2


def test_broken_microdata_costs_itself_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    named = '<b itemprop="name">N</b><img itemprop="image" src="/a.jpg">'
    good = f'<div itemscope itemtype="http://schema.org/Product">{named}{{}}</div>'
    page = read(markup=good.format('<a itemprop="url" href="http://[::1">x</a>'))
    assert ([picture.title for picture in page.pictures], page.unread) == (["N"], 0)

    whole = structured.extruct.extract

    def failing(element: Any, **options: Any) -> Any:
        if element.xpath("descendant-or-self::*[@class='bad']"):
            raise TypeError
        return whole(element, **options)

    monkeypatch.setattr(structured.extruct, "extract", failing)
    page = read(markup=good.format("") + '<div itemscope class="bad"></div><img src="/b.jpg">')
    assert ([picture.title for picture in page.pictures], page.unread) == (["N", "N"], 1)
