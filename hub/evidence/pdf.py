"""The PDF of an evidence report."""

import io
from typing import Any, Final

from reportlab.lib.pagesizes import A4
from reportlab.lib.units import mm
from reportlab.pdfgen.canvas import Canvas
from reportlab.platypus import SimpleDocTemplate

from hub.evidence.contents import Report
from hub.evidence.pdf_sections import sections
from hub.evidence.pdf_style import FONT, shown

_MARGIN: Final = 18 * mm
_PADDING: Final = 6
"""Space that ReportLab leaves between the margin and the text, in points."""


def build_pdf(report: Report, manifest_hash: str) -> bytes:
    """Return the PDF of a report; of the same report always the same bytes.

    Args:
        report: its contents.
        manifest_hash: SHA-256 of the list of all other files, which each page states.
    """
    title = f"Evidence report: {report.place}"
    period = report.period
    line = f"{title}, {period.text(period.start_s)} to {period.text(period.end_s)}"

    class Numbered(Canvas):  # type: ignore[misc] # ReportLab ships no type information
        """A canvas that writes the foot of each page once the number of pages is known."""

        def __init__(self, *args: Any, **kwargs: Any) -> None:  # noqa: ANN401 - as ReportLab calls it
            super().__init__(*args, **kwargs)
            self._pages: list[dict[str, Any]] = []

        def showPage(self) -> None:  # noqa: N802 - ReportLab's name
            """Keep a page until all are there."""
            self._pages.append(dict(self.__dict__))
            self._startPage()

        def save(self) -> None:
            """Write all pages."""
            for number, page in enumerate(self._pages, 1):
                self.__dict__.update(page)
                self._draw_foot(number, len(self._pages))
                super().showPage()
            super().save()

        def _draw_foot(self, number: int, pages: int) -> None:
            self.setFont(FONT, 6.5)
            self.setLineWidth(0.3)
            self.line(_MARGIN, 14.5 * mm, A4[0] - _MARGIN, 14.5 * mm)
            self.drawString(_MARGIN, 11 * mm, shown(line))
            self.drawRightString(A4[0] - _MARGIN, 11 * mm, f"Page {number} of {pages}")
            self.drawString(_MARGIN, 8 * mm, f"SHA-256 of manifest.sha256: {manifest_hash}")

    buffer = io.BytesIO()
    shown("")  # registers the fonts
    document = SimpleDocTemplate(
        buffer,
        pagesize=A4,
        leftMargin=_MARGIN - _PADDING,
        rightMargin=_MARGIN - _PADDING,
        topMargin=15 * mm,
        bottomMargin=18 * mm,
        title=title,
        author=f"Earwitness, hub {report.making.hub}",
        invariant=1,
        lang="en",
    )
    document.build(list(sections(report, manifest_hash)), canvasmaker=Numbered)
    return buffer.getvalue()
