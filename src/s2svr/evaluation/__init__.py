"""Evaluation: restored clips against their originals, tables, comparisons, speed."""

from .compare import Span, compare_videos
from .fidelity import measure_fidelity
from .page import summary, write_curve, write_page
from .paper import CLIPS, RESULTS, paper_tables
from .protocols import PROTOCOLS, USUAL
from .run import evaluate
from .scores import OURS, ScoreRow
from .speed import measure_speed
from .tables import TABLE_KINDS, Origin, cell_text, check_place, means, side_by_side, write_table

__all__ = [
    "CLIPS",
    "OURS",
    "Origin",
    "PROTOCOLS",
    "RESULTS",
    "ScoreRow",
    "Span",
    "TABLE_KINDS",
    "USUAL",
    "cell_text",
    "check_place",
    "compare_videos",
    "evaluate",
    "means",
    "measure_fidelity",
    "measure_speed",
    "paper_tables",
    "side_by_side",
    "summary",
    "write_curve",
    "write_page",
    "write_table",
]
