"""Numbers as people read them: shares in percent, everything else as it is."""

from pipeline.evaluation.metrics import METRICS
from pipeline.evaluation.results import Cell


def is_share(metric: str) -> bool:
    """Whether a metric is printed in percent; so is what the table of metrics does not name (rates, F1)."""
    return metric not in METRICS or METRICS[metric].share


def shown(cell: Cell | None, metric: str, interval: bool = True) -> str:
    """A cell as text: shares in percent; mean ± sd [low, high]."""
    if cell is None:
        return "–"
    scale, digits = (100, 1) if is_share(metric) else (1, 3)

    def text(value: float) -> str:
        # adding 0.0 turns a rounded -0.0 into 0.0
        return f"{round(value * scale, digits) + 0.0:.{digits}f}"

    parts = [text(cell.mean)]
    if cell.sd is not None:
        parts.append(f"± {text(cell.sd)}")
    if interval and cell.low is not None and cell.high is not None:
        parts.append(f"[{text(cell.low)}, {text(cell.high)}]")
    return " ".join(parts)


def scale(metric: str) -> tuple[float, str]:
    """Factor and axis label of a metric: shares in percent."""
    name = metric.replace("_", " ").replace("f1", "F1")
    return (100.0, f"{name} (%)") if is_share(metric) else (1.0, name)
