"""Optical flow: scores against known motion, pictures, foreign weights."""

from .arflow import import_flow
from .cases import CLEAN, cases_of, rendered_cases
from .dis import DIS, dis_flow
from .figure import flow_figure
from .files import FilesFlow, with_files
from .score import Flow, FlowRow, evaluate_flow, rows_to_print
from .video import flow_video

__all__ = [
    "CLEAN",
    "DIS",
    "FilesFlow",
    "Flow",
    "FlowRow",
    "cases_of",
    "dis_flow",
    "evaluate_flow",
    "flow_figure",
    "flow_video",
    "import_flow",
    "rendered_cases",
    "rows_to_print",
    "with_files",
]
