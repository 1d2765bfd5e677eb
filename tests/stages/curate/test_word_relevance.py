"""Relevance by words: closed forms, pictures of other things, what is dropped with its words on the page, and bad words."""

from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from pipeline.errors import InputError, ParamsError
from pipeline.stages.curate import decisions_page, run
from pipeline.stages.curate.params import CurateParams
from pipeline.stages.curate.run import reasons_by_fault, resolved_limits, with_word_relevance
from pipeline.stages.curate.word_relevance import (
    ImageClasses,
    WordSpace,
    class_probabilities,
    smoothed_embeddings,
    word_relevance,
    word_space,
)
from pipeline.storage.drop_reasons import BY_WORDS
from tests.support.data_stages import tiny_params

NAMES = ["beagle", "tabby cat", "dingo", "pizza", "banana", "cardigan", "miniskirt", "jean", "sandal", "sports car"]
KIND_OF = np.array([0, 0, 0, 1, 1, 2, 2, 2, 2, 3])  # animals, food, clothes, cars look alike


def _classes() -> ImageClasses:
    own, kind = np.eye(len(NAMES)), np.eye(4)[KIND_OF]
    return ImageClasses(NAMES, 8 * np.concatenate([own, kind], axis=1).astype(np.float32), np.zeros(len(NAMES), np.float32))


@cache
def _space() -> WordSpace:
    return word_space(_classes())


def _features(*names: str) -> Any:
    """Pictures that the classes tell for sure."""
    return np.stack([_classes().weights[NAMES.index(name)] / 8 for name in names]).astype(np.float16)


def test_probabilities_are_a_softmax_of_the_last_layer() -> None:
    classes = ImageClasses(["one", "other"], np.array([[1, 0], [0, 2]], np.float32), np.array([0.5, 0], np.float32))
    found = class_probabilities(np.array([[1, 1]], np.float32), classes)
    assert found == pytest.approx(np.exp([[1.5, 2.0]]) / np.exp([1.5, 2.0]).sum())


def test_a_class_gets_the_embedding_of_those_that_look_like_it() -> None:
    weights = np.array([[1, 0.1], [1, -0.1], [-1, 0.1], [-1, -0.1]], np.float32)
    embeddings = np.array([[1, 0], [0, 1], [-1, 0], [0, -1]], np.float32)
    assert smoothed_embeddings(embeddings, weights) == pytest.approx(
        np.array([[1, 1], [1, 1], [-1, -1], [-1, -1]]) / np.sqrt(2), abs=0.2
    )


@pytest.mark.parametrize("words", [["an animal", "food"], ["ein Tier", "Essen"], ["动物", "食物"]])
def test_a_picture_of_another_thing_is_nearer_to_its_words_than_to_clothing_in_three_languages(words: list[str]) -> None:
    found = word_relevance(_features("beagle", "banana", "cardigan", "sandal"), _space(), words, [])
    assert found.irrelevance[:2].min() > 0 > found.irrelevance[2:].max()
    assert found.nearest[:2].tolist() == [0, 1]


def test_the_words_of_the_user_decide_what_is_relevant() -> None:
    features = _features("sandal", "miniskirt")
    shoes, skirts = (
        word_relevance(features, _space(), [one], [other]) for one, other in (("shoes", "skirt"), ("skirt", "shoes"))
    )
    assert shoes.irrelevance[0] > shoes.irrelevance[1]
    assert skirts.irrelevance == pytest.approx(-shoes.irrelevance)


def test_words_that_cannot_be_read_are_refused() -> None:
    with pytest.raises(InputError, match="has no letters"):
        word_relevance(_features("sandal"), _space(), ["an animal", "123"], [])


def _pictures(**columns: Any) -> pd.DataFrame:
    features = [_features(name)[0].tobytes() for name in ("beagle", "cardigan", "banana")]
    rows = {
        "features": [*features, None],
        "decision": [None, None, "keep", None],
        "status": "ok",
        "decoded": True,
        "category": "hat",
    }
    return pd.DataFrame(rows | columns).astype(object)


def test_pictures_beyond_the_margin_are_dropped_unless_people_keep_them(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(run, "imagenet_classes", lambda: None)
    monkeypatch.setattr(run, "word_space", lambda _: _space())
    monkeypatch.setattr(run, "limits", lambda: [])
    params = CurateParams(**{"irrelevant_words": ["food", "an animal"]})
    pictures = with_word_relevance(_pictures(), params)
    assert pictures["nearest_words"].tolist()[:3:2] == ["an animal", "food"]
    assert reasons_by_fault(pictures, params)[BY_WORDS].tolist() == [True, False, False, False]
    lenient = params.model_copy(update={"words_margin": 2.0})
    assert not reasons_by_fault(pictures, lenient)[BY_WORDS].any()
    [limit] = resolved_limits(pictures, params)
    reasons: list[Any] = [BY_WORDS, None, None, None]
    rows = pictures.assign(reason=reasons, sha256=list("abcd"), key=list("abcd"))
    [call] = decisions_page.close_calls(rows, limit.reason, limit.values, limit.limit, limit.notes)
    assert call.caption.startswith("irrelevant by words (an animal): 0.")


def test_no_picture_with_features_is_no_error(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(run, "imagenet_classes", lambda: None)
    monkeypatch.setattr(run, "word_space", lambda _: _space())
    pictures = with_word_relevance(_pictures(features=None), CurateParams(**{"irrelevant_words": ["food"]}))
    assert pictures["by_words"].isna().all()


def test_without_irrelevant_words_there_is_no_limit_and_no_reason() -> None:
    assert BY_WORDS not in {limit.reason for limit in resolved_limits(_measured(), CurateParams())}


def _measured() -> pd.DataFrame:
    names = {measure.name for _, measure, _ in run.limits()} | {"width", "height"}
    return pd.DataFrame({name: [100.0, 100.0] for name in names})


@pytest.mark.parametrize(
    ("curate", "message"),
    [
        ({"irrelevant_words": ["food"]}, "inspect.detect: must name clothing when curate.irrelevant_words is set"),
        ({"relevant_words": ["shoes"]}, "curate.relevant_words: drops nothing without curate.irrelevant_words"),
        ({"irrelevant_words": [""]}, "curate.irrelevant_words"),
        ({"irrelevant_words": "food"}, "curate.irrelevant_words"),
    ],
)
def test_words_that_could_drop_nothing_are_refused_before_anything_runs(
    tmp_path: Path, curate: dict[str, Any], message: str
) -> None:
    with pytest.raises(ParamsError, match=message) as error:
        tiny_params(tmp_path, curate=curate)
    assert "\n" not in str(error.value)
