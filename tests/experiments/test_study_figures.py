"""Pictures of a study: what is shown apart, and what a gap looks like."""

from edgewise.experiments.study.config import load_study
from edgewise.experiments.study.figures import op_figure


def test_ops_are_shown_by_context() -> None:
    def arm(short: float) -> dict[str, object]:
        return {"by_op": {context: {k: {"mean": [short, None, 0.1]} for k in ("1", "128")} for context in ("A", "B")}}

    study = load_study("E2")
    picture = op_figure(study, {"ops": [2, 3, 5], "samples": 128, "arms": {"0%": arm(0.5), "10% <RL>": arm(0.9)}})
    for title in ("A pass@1", "A pass@128", "B pass@1", "B pass@128"):
        assert picture.count(f">{title}<") == 1
    assert "10% &lt;RL&gt;" in picture
    assert "None" not in picture
