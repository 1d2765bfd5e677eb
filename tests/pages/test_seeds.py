"""Runs of one recipe with several seeds, taken together."""

from typing import Any

from pipeline.pages.seeds import Run, groups_of_seeds, over_seeds


def run(name: str, value: float, split: str = "a" * 64, **params: str) -> Run:
    entry: dict[str, Any] = {"value": value, "plus_minus": 0.01, "passport": {"reference": {"sha256": split}}}
    return (
        name,
        {f"train.{key}": text for key, text in params.items()},
        {"fd_classifier": entry, "fid": {"absent": "no weights"}},
    )


def test_two_recipes_with_two_seeds_each_are_two_columns_of_mean_and_deviation() -> None:
    runs = [
        run("Run 4", 0.20, seed="1", r1_gamma="1.0"),
        run("Run 3", 0.40, seed="0", r1_gamma="1.0"),
        run("Run 2", 0.61, seed="1", r1_gamma="5.0"),
        run("Run 1", 0.63, seed="0", r1_gamma="5.0"),
    ]
    table = over_seeds(runs)
    assert table is not None
    assert table.columns == ["score", "r1_gamma 1.0 (2 seeds)", "r1_gamma 5.0 (2 seeds)"]
    assert table.cells == [["fd_classifier", "0.3 ± 0.1", "0.62 ± 0.01"]]  # 0.2 / √2 = 0.14, and a tenth of it


def test_a_recipe_of_one_seed_and_a_run_without_training_are_no_group() -> None:
    evaluated_alone: Run = ("Run 1", {"evaluate.samples": "9"}, {})
    runs = [run("Run 3", 0.2, seed="1", rate="0.1"), run("Run 2", 0.4, seed="0", rate="0.2"), evaluated_alone]
    assert groups_of_seeds(runs) == []
    assert over_seeds(runs) is None


def test_a_seed_that_ran_twice_counts_once_by_its_newest_run() -> None:
    runs = [run("Run 3", 0.2, seed="1"), run("Run 2", 0.9, seed="1"), run("Run 1", 0.4, seed="0")]
    [group] = groups_of_seeds(runs)
    assert [name for name, _, _ in group] == ["Run 3", "Run 1"]


def test_a_run_of_which_few_parameters_are_known_joins_no_group_that_contradicts_it() -> None:
    runs = [run("Run 3", 0.2, seed="2"), run("Run 2", 0.3, seed="1", rate="0.1"), run("Run 1", 0.4, seed="0", rate="0.2")]
    assert [[name for name, _, _ in group] for group in groups_of_seeds(runs)] == [["Run 3", "Run 2"]]


def test_a_score_with_another_passport_is_not_averaged() -> None:
    runs = [run("Run 2", 0.2, seed="1"), run("Run 1", 0.4, split="b" * 64, seed="0")]
    table = over_seeds(runs)
    assert table is not None
    assert table.columns == ["score", "Run 2, Run 1 (2 seeds)"]
    assert table.cells == [["fd_classifier", "–"]]
