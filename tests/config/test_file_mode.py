from __future__ import annotations

from pathlib import Path

import pytest

from logops_fast.config.file_mode import mode_warnings


@pytest.mark.parametrize(
    ("mode", "wanted"), [(0o600, None), (0o400, None), (0o644, "600"), (0o620, "600"), (0o755, "700")]
)
def test_a_file_that_others_may_read_is_warned_of_with_the_command_that_changes_it(
    tmp_path: Path, mode: int, wanted: str | None
) -> None:
    path = tmp_path / "secrets"
    path.write_text("x")
    path.chmod(mode)
    warnings = list(mode_warnings(path))
    if wanted is None:
        assert warnings == []
    else:
        (warning,) = warnings
        assert f"{mode:04o}" in warning
        assert warning.endswith(f"chmod {wanted} {path}")


def test_a_group_may_be_allowed(tmp_path: Path) -> None:
    path = tmp_path / "key.pem"
    path.write_text("x")
    path.chmod(0o640)
    assert list(mode_warnings(path, 0o007)) == []
    assert len(list(mode_warnings(path))) == 1


def test_a_file_that_is_not_there_is_reported_by_those_who_read_it(tmp_path: Path) -> None:
    assert list(mode_warnings(tmp_path / "none")) == []
