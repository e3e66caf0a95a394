from __future__ import annotations

from logops_fast.ingest.parsers.level_prose import level_in_prose
from tests.support.tables import each_of


@each_of(
    ("text", "level"),
    [
        ("an error, then FATAL", "FATAL"),
        ("first WARN then ERROR", "WARN"),
        ("it ended in error.", None),
        ("错误ERROR出现", "ERROR"),
        ("/error/page error.log no-error error-rate my_error x.error error@x errors Errors", None),
        ("please notice the alert, do not panic", None),
        ("no ERROR, then WARN", "WARN"),
        ("found <error> in it", "ERROR"),
        ("found <error>text", None),
        ("web | app:warn | up", "WARN"),
        ("2 rows  LOG:  done", "INFO"),
        ("a LOG: done", None),
        ("worker | warn: hot", "WARN"),
        ("PHP Fatal error: it ended", "FATAL"),
        ("PHP Parse error: it ended", "ERROR"),
        ("the last error: it ended", None),
        ("app: error - it ended", "ERROR"),
        ("it has a trace\tand more", None),
        ("warning\tand more", "WARN"),
        ("it ended; Error:", None),
        ("Error:", "ERROR"),
        ("noterror: it ended", None),
    ],
)
def test_words_of_a_text_name_its_level(text: str, level: str | None) -> None:
    assert level_in_prose(text) == level
