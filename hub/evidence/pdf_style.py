"""Fonts, styles and tables of the PDF of an evidence report: black, white and grey alone."""

from collections.abc import Sequence
from functools import cache
from typing import Any, Final
from xml.sax.saxutils import escape

from reportlab.lib import colors
from reportlab.lib.enums import TA_LEFT
from reportlab.lib.styles import ParagraphStyle
from reportlab.lib.units import mm
from reportlab.pdfbase import pdfmetrics
from reportlab.pdfbase.ttfonts import TTFont
from reportlab.platypus import CondPageBreak, LongTable, Paragraph, TableStyle

FONT: Final = "Vera"
BOLD: Final = "VeraBd"
_SMALL_SIZE: Final = 7
WIDTH: Final = 174 * mm
"""Width of the text of an A4 page."""
_RULE: Final = colors.Color(0.6, 0.6, 0.6)
_HEAD: Final = colors.Color(0.9, 0.9, 0.9)

BODY: Final = ParagraphStyle("body", fontName=FONT, fontSize=8.5, leading=11.5, alignment=TA_LEFT, spaceAfter=4)
SMALL: Final = ParagraphStyle("small", parent=BODY, fontSize=_SMALL_SIZE, leading=9, spaceAfter=2)
CELL: Final = ParagraphStyle("cell", parent=SMALL, spaceAfter=0)
HEAD_CELL: Final = ParagraphStyle("head", parent=CELL, fontName=BOLD)
TITLE: Final = ParagraphStyle("title", parent=BODY, fontName=BOLD, fontSize=17, leading=21, spaceAfter=6)
HEADING: Final = ParagraphStyle(
    "heading", parent=BODY, fontName=BOLD, fontSize=11.5, leading=15, spaceBefore=9, spaceAfter=4
)
SUBHEADING: Final = ParagraphStyle(
    "subheading", parent=BODY, fontName=BOLD, fontSize=9, leading=12, spaceBefore=6, spaceAfter=3
)
_TABLE: Final = TableStyle(
    [
        ("FONT", (0, 0), (-1, -1), FONT, _SMALL_SIZE, 9),
        ("BACKGROUND", (0, 0), (-1, 0), _HEAD),
        ("LINEBELOW", (0, 0), (-1, -1), 0.3, _RULE),
        ("LINEABOVE", (0, 0), (-1, 0), 0.6, colors.black),
        ("LINEBELOW", (0, 0), (-1, 0), 0.6, colors.black),
        ("VALIGN", (0, 0), (-1, -1), "TOP"),
        ("LEFTPADDING", (0, 0), (-1, -1), 2.5),
        ("RIGHTPADDING", (0, 0), (-1, -1), 2.5),
        ("TOPPADDING", (0, 0), (-1, -1), 1.5),
        ("BOTTOMPADDING", (0, 0), (-1, -1), 2),
    ]
)


@cache
def _glyphs() -> frozenset[int]:
    """Register the fonts, which ReportLab ships; return the characters that they have."""
    for name in (FONT, BOLD):
        pdfmetrics.registerFont(TTFont(name, f"{name}.ttf"))
    pdfmetrics.registerFontFamily(FONT, normal=FONT, bold=BOLD, italic=FONT, boldItalic=BOLD)
    return frozenset(pdfmetrics.getFont(FONT).face.charToGlyph)


def shown(text: object) -> str:
    r"""Return a text in the characters of the font; others become escapes, such as `\u6708`."""
    glyphs = _glyphs()
    return "".join(one if ord(one) in glyphs or one == "\n" else f"\\u{ord(one):04x}" for one in str(text))


def paragraph(text: object, style: ParagraphStyle = BODY) -> Any:  # noqa: ANN401 - ReportLab ships no type information
    """Return a text as a paragraph."""
    return Paragraph(escape(shown(text)), style)


def heading(text: str, style: ParagraphStyle = HEADING) -> list[Any]:
    """Return a heading that is not the last line of a page."""
    return [CondPageBreak(30 * mm), paragraph(text, style)]


def table(head: Sequence[str], rows: Sequence[Sequence[object]], shares: Sequence[float]) -> Any:  # noqa: ANN401
    """Return a table whose head is repeated on each page.

    Args:
        head: titles of the columns.
        rows: cells; a text of more than 12 characters is wrapped.
        shares: widths of the columns relative to each other.
    """
    total = sum(shares)
    cells = [[paragraph(one, HEAD_CELL) for one in head], *([_cell(one) for one in row] for row in rows)]
    made = LongTable(cells, colWidths=[WIDTH * share / total for share in shares], repeatRows=1, hAlign="LEFT")
    made.setStyle(_TABLE)
    return made


def _cell(value: object) -> Any:  # noqa: ANN401
    text = "" if value is None else str(value)
    return paragraph(text, CELL) if len(text) > 12 else shown(text)
