"""Which statements tie a session to its server connections while others would like to have them."""

from __future__ import annotations

import pytest

from fairlead.session.session import _ties
from fairlead.sql.classifier import Classifier

TYING = [
    "LOCK TABLES t WRITE",
    "/* why */ lock tables t read",
    "SELECT GET_LOCK('a', 1)",
    "SELECT `get_lock`('a', 1)",
    "HANDLER t OPEN",
    "XA START 'x'",
    "FLUSH TABLES WITH READ LOCK",
    "BACKUP STAGE START",
    "CALL p()",
    "CREATE TEMPORARY TABLE t (id INT)",
    "SELECT 1; SELECT 2",
]
LOOSE = [
    "SELECT 1",
    "INSERT INTO locks VALUES (1)",
    "SET @a = 1",
    "USE d",
    "BEGIN",
    "SELECT lock_type FROM t",
]


@pytest.mark.parametrize("sql", TYING)
def test_what_ties(sql: str) -> None:
    assert _ties(Classifier(0).classify_text(sql))


@pytest.mark.parametrize("sql", LOOSE)
def test_what_does_not(sql: str) -> None:
    assert not _ties(Classifier(0).classify_text(sql))
