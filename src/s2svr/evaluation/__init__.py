"""Evaluation: restored clips against their originals, tables, comparisons, speed."""

from .compare import Span, compare_videos
from .fidelity import measure_fidelity
from .page import comparison_text, write_curve, write_page
from .paper import CLIPS, RESULTS, paper_tables
from .protocols import DATASET_PROTOCOLS, PROTOCOLS
from .run import evaluate
from .scores import OURS, ScoreRow
from .settings import Scoring, Storage
from .speed import Contender, Speed, measure_speed, speed_table
from .tables import TABLE_KINDS, Origin, cell_text, check_place, means, side_by_side, write_table

__all__ = [
    "CLIPS",
    "Contender",
    "DATASET_PROTOCOLS",
    "OURS",
    "Origin",
    "PROTOCOLS",
    "RESULTS",
    "ScoreRow",
    "Scoring",
    "Span",
    "Speed",
    "Storage",
    "TABLE_KINDS",
    "cell_text",
    "check_place",
    "compare_videos",
    "comparison_text",
    "evaluate",
    "means",
    "measure_fidelity",
    "measure_speed",
    "paper_tables",
    "side_by_side",
    "speed_table",
    "write_curve",
    "write_page",
    "write_table",
]
