"""The lists of names: well-formed, and without what must never count as a read."""

from __future__ import annotations

from fairlead.sql.functions import READ_FUNCTIONS, RESERVED_WORDS
from fairlead.sql.keywords import FUNCTION_FLAG, KEYWORD_MASK, RESERVED_FLAG, WORDS

ABSENT = [
    "get_lock",
    "release_lock",
    "release_all_locks",
    "is_used_lock",
    "is_free_lock",
    "nextval",
    "lastval",
    "setval",
    "sformat",
    "natural_sort_key",
    "crc32c",
    "random_bytes",
    "json_table",
    "vec_distance",
    "f",
    "noqa",
]
PRESENT = [
    "sleep",
    "benchmark",
    "load_file",
    "master_pos_wait",
    "master_gtid_wait",
    "rand",
    "uuid",
    "user",
    "row_count",
    "found_rows",
    "last_insert_id",
    "count",
    "group_concat",
    "json_extract",
    "st_astext",
    "row_number",
    "column_get",
]


def test_names() -> None:
    assert not READ_FUNCTIONS.intersection(ABSENT)
    assert READ_FUNCTIONS.issuperset(PRESENT)
    assert all(name == name.lower() and name.replace("_", "").isalnum() for name in READ_FUNCTIONS)
    assert all(name == name.upper() and name.replace("_", "").isalnum() for name in RESERVED_WORDS)


def test_words_answer_all_questions() -> None:
    assert WORDS[b"COUNT"] & FUNCTION_FLAG and not WORDS[b"COUNT"] & RESERVED_FLAG
    assert WORDS[b"LEFT"] & FUNCTION_FLAG and WORDS[b"LEFT"] & RESERVED_FLAG
    assert WORDS[b"SELECT"] & KEYWORD_MASK and WORDS[b"SELECT"] & RESERVED_FLAG
    assert WORDS[b"IF"] & KEYWORD_MASK
    assert all(isinstance(code, int) for code in WORDS.values())
    assert b"READ_FUNCTIONS" not in WORDS and b"KEYWORD_MASK" not in WORDS
    numbers = [code & KEYWORD_MASK for code in WORDS.values() if code & KEYWORD_MASK]
    assert len(numbers) == len(set(numbers))
