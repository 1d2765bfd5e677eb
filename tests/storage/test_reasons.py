"""Reasons counted by kind: a log stays short, and says what can be said of all."""

import pandas as pd
import pytest

from pipeline.storage.reasons import MAX_LINES, by_kind, most_frequent, reason_lines, rows_missing


def test_equal_reasons_are_one_line_without_their_row_numbers() -> None:
    count = 20_000
    lines = reason_lines((f"refused: row {n}: no url" for n in range(count)), (f"l.csv#{n}" for n in range(count)))
    assert lines == [f"refused: no url: {count} (l.csv#0, l.csv#1, l.csv#2, …)"]


@pytest.mark.parametrize(
    ("form", "kind"),
    [
        ("failed: host{0}.example cannot be resolved", "failed: … cannot be resolved"),
        ("refused: robots.txt is unreachable (h{0}.example is silent)", "robots.txt is unreachable (… is silent)"),
        ("failed: no connection to shop{0}.example.com", "failed: no connection to …"),
        ("refused: {0}1234 bytes, more than fetch.max_bytes (5000)", "… bytes, more than fetch.max_bytes (…)"),
        ("refused: is not http but 'x{0}'", "refused: is not http but …"),
        ("failed: https://x.example/{0}?a=1 leads nowhere", "failed: … leads nowhere"),
        ("refused: row {0}: {0} fields, where the header has 2", "… fields, where the header has …"),
        ("image file is truncated ({0} bytes not processed)", "(… bytes not processed)"),
        ("UnidentifiedImageError: <_io.BytesIO object at 0x7f00000{0:05}>", "UnidentifiedImageError: "),
        ("refused: a link that leaves /data/p{0}/pictures", "refused: a link that leaves …"),
    ],
)
def test_reasons_that_differ_from_row_to_row_are_one_kind(form: str, kind: str) -> None:
    [line] = reason_lines((form.format(n) for n in range(500)), map(str, range(500)))
    assert kind in line
    assert ": 500 (0, 1, 2, …)" in line


def test_a_reason_that_all_share_keeps_its_particulars() -> None:
    assert reason_lines(["refused: larger than 20000000 bytes"] * 2, ["a", "b"]) == [
        "refused: larger than 20000000 bytes: 2 (a, b)"
    ]


def test_statuses_stay_apart() -> None:
    assert len(reason_lines(["failed: 404 Not Found", "failed: 500 Internal Server Error"], ["a", "b"])) == 2


def test_kinds_beyond_the_most_frequent_are_one_line() -> None:
    words = [chr(97 + n // 26) + chr(97 + n % 26) for n in range(100)]
    lines = reason_lines([*words, words[-1]], map(str, range(101)))
    assert len(lines) == MAX_LINES + 1
    assert lines[0] == f"{words[-1]}: 2 (99, 100)"
    assert lines[-1] == "80 other reasons: 80"


def test_only_rows_with_a_reason_are_counted() -> None:
    rows = pd.DataFrame({"url": ["row:l.csv#1", "b"], "status": ["refused", "ok"], "reason": ["row 1: no url", None]})
    assert rows_missing(rows) == ["refused: no url: 1 (l.csv#1)"]
    assert rows_missing(rows[1:]) == []


def test_reasons_of_a_column_by_kind() -> None:
    reasons = pd.Series(["row 1: no url", "no connection to a.example", "no connection to b.example", None, "405 Not Allowed"])
    kinds = by_kind(reasons)
    assert kinds[[0, 1, 2, 4]].tolist() == ["no url", "no connection to …", "no connection to …", "405 Not Allowed"]
    assert pd.isna(kinds[3])


def test_the_most_frequent_names_in_their_order_and_the_rest_in_one() -> None:
    assert most_frequent({"b": 1, "a": 2}) == ["b: 1", "a: 2"]
    assert most_frequent({"c": 1, "b": 5, "a": 2}, 2) == ["b: 5", "a: 2", "1 others: 1"]
