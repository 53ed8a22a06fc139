"""docs/ask.md, held against the tables, the questions, and their answers."""

import pytest

from docs.ask_page import PAGE, columns, rendered, tables

STALE = "docs/ask.md is stale: make docs"


def test_every_table_and_column_is_on_the_page_with_three_questions() -> None:
    assert {*tables()} == {*columns()}, "docs/questions.toml has questions to each table"
    parts = dict(part.split("\n", 1) for part in PAGE.read_text().split("\n## ")[1:])
    assert [*parts] == [*tables()], STALE
    for name, (description, meanings) in columns().items():
        part, asked = parts[name], tables()[name]
        assert f"A row for each {asked['grain']}.\n\n{description}\n" in part, STALE
        for column, meaning in meanings.items():
            assert meaning, f"{name}.{column} has no comment"
            assert f"\n| `{column}` | " in part, STALE
            assert f" | {meaning} |\n" in part, STALE
        assert len(asked["questions"]) == 3, name
        for question in asked["questions"]:
            sql = question["sql"].strip()
            assert f"\n### {question['asked']}\n\n```sql\n{sql}\n```\n" in part, STALE


@pytest.mark.thorough
def test_the_page_is_what_make_docs_writes() -> None:
    assert rendered() == PAGE.read_text(), STALE
