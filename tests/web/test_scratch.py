import hashlib
from pathlib import Path

import pytest

from pipeline.errors import InputError
from pipeline.web.scratch import BodyStore, Journal


def test_a_body_is_named_by_its_content_and_kept_once(tmp_path: Path) -> None:
    bodies = BodyStore(tmp_path)
    digest = bodies.put(b"a dress")
    assert digest == hashlib.sha256(b"a dress").hexdigest() == bodies.put(b"a dress")
    assert bodies.get(digest) == b"a dress"
    assert bodies.has(digest, 7)
    assert not bodies.has(digest, 8)
    assert [path.name for path in tmp_path.rglob("*") if path.is_file()] == [digest]


def test_a_damaged_body_is_detected_and_removed(tmp_path: Path) -> None:
    bodies = BodyStore(tmp_path)
    digest = bodies.put(b"a dress")
    (tmp_path / digest[:2] / digest).write_bytes(b"a drexx")
    with pytest.raises(InputError, match="damaged and removed; run again"):
        bodies.get(digest)
    assert not bodies.has(digest, 7)


def test_a_dropped_body_is_gone_with_what_a_killed_run_left_of_it(tmp_path: Path) -> None:
    bodies = BodyStore(tmp_path)
    digest = bodies.put(b"a dress")
    (tmp_path / digest[:2] / f"{digest}.1.partial").write_bytes(b"a dr")
    bodies.remove(digest)
    assert not any(path.is_file() for path in tmp_path.rglob("*"))


def test_the_last_record_of_a_key_counts_whichever_process_wrote_it(tmp_path: Path) -> None:
    with Journal(tmp_path, "one") as one, Journal(tmp_path, "other") as other:
        other.append({"key": "a", "status": "failed"})
        one.append({"key": "b", "status": "ok"})
        one.append({"key": "a", "status": "ok"})
        found = one.latest({"a", "c"})
        assert {key: record["status"] for key, record in found.items()} == {"a": "ok"}
        assert set(other.latest()) == {"a", "b"}


@pytest.mark.parametrize("torn", [b'{"key":"b","sta', b"{", b"\x00\x00", b'["b"]\n'])
def test_a_line_that_was_not_finished_costs_only_itself(tmp_path: Path, torn: bytes) -> None:
    with Journal(tmp_path, "one") as journal:
        journal.append({"key": "a", "status": "ok"})
    with (tmp_path / "one.jsonl").open("ab") as file:
        file.write(torn)
    with Journal(tmp_path, "one") as journal:
        journal.append({"key": "c", "status": "ok"})
        assert set(journal.latest()) == {"a", "c"}
