"""The style sheet's colours can be read: WCAG 2.2, 1.4.3 (text 4.5:1) and 1.4.11 (borders of controls 3:1)."""

from __future__ import annotations

import re
from importlib import resources
from typing import Final

import pytest

from tests.support.contrast import contrast

SHEET: Final = resources.files("logops_fast.console").joinpath("static/console.css").read_text(encoding="utf-8")
TEXTS: Final = ("ink", "quiet", "link", "good", "warn", "bad", "off")


def theme(name: str) -> dict[str, str]:
    block = re.search(rf"body--{name} \{{(.*?)\}}", SHEET, re.DOTALL)
    assert block is not None
    return dict(re.findall(r"--(\w+): (#[0-9a-f]{6});", block[1]))


@pytest.mark.parametrize("name", ["light", "dark"])
def test_text_can_be_read_on_pages_and_cards(name: str) -> None:
    colours = theme(name)
    poor = [(text, on) for text in TEXTS for on in ("page", "card") if contrast(colours[text], colours[on]) < 4.5]
    assert poor == []


@pytest.mark.parametrize("name", ["light", "dark"])
def test_controls_and_focus_can_be_seen(name: str) -> None:
    colours = theme(name)
    poor = [
        (edge, on)
        for edge in ("quiet", "accent")
        for on in ("page", "card")
        if contrast(colours[edge], colours[on]) < 3
    ]
    assert poor == []


def test_white_on_the_coloured_buttons_can_be_read() -> None:
    for colour in re.findall(r"\.button\.\w+ \{ background: (#[0-9a-f]{6});", SHEET):
        assert contrast("#ffffff", colour) >= 4.5


def test_nothing_is_loaded_from_elsewhere() -> None:
    assert "url(" not in SHEET
    assert "@import" not in SHEET
