"""What readers look at: the style of all figures, the kinds of figure, and tables."""

from ..lazy import attach

__getattr__, __all__ = attach(
    __name__,
    {"live_equations": ["live"], "saving": ["save_figure"], "style": ["use_style"]},
    modules=[
        "arm_plots",
        "listings",
        "log_plots",
        "plots",
        "side_by_side",
        "study_plots",
        "tables",
    ],
)
