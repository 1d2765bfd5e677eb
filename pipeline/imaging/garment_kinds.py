"""What kind of garment a category's name means: which outline to expect of it."""

import re
from typing import Literal, get_args

Kind = Literal["top", "dress", "outerwear", "skirt", "trousers", "shorts"]
KINDS: tuple[Kind, ...] = get_args(Kind)
UPPER: tuple[Kind, ...] = ("top", "dress", "outerwear")
LEGGED: tuple[Kind, ...] = ("trousers", "shorts")

WORDS: dict[Kind, str] = {  # of categories' names, as shops and datasets write them
    "top": "top shirt tshirt tee longsleeve blouse polo undershirt singlet sweater pullover jumper hoodie sweatshirt cardigan",
    "dress": "dress gown",
    "outerwear": "outerwear outwear coat jacket blazer parka anorak vest gilet waistcoat",
    "skirt": "skirt",
    "trousers": "trousers trouser pants jeans leggings joggers chinos",
    "shorts": "shorts bermudas",
}
KIND_OF_WORD: dict[str, Kind] = {word: kind for kind, words in WORDS.items() for word in words.split()}


def kind_of_category(category: object) -> Kind | None:
    """The kind of the garments of `category`; None if its name says none. Of several words the last counts: "shirt dress"."""
    if not isinstance(category, str):
        return None
    for word in reversed(re.findall(r"[a-z]+", category.lower().replace("t-shirt", "tshirt"))):
        for singular in (word, word.removesuffix("s"), word.removesuffix("es")):
            if singular in KIND_OF_WORD:
                return KIND_OF_WORD[singular]
    return None
