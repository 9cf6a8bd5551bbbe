"""Tables of the adapters' page: every cell that says "real" has a test that exists, every report answered a test with its number."""

from __future__ import annotations

import re
from pathlib import Path

HERE = Path(__file__).parent
PAGE = (HERE.parents[1] / "docs" / "adapters" / "index.md").read_text("utf-8")

REAL = {
    ("dynamic sampling", "TRL"): "test_trl_refill::test_every_group_of_a_refilled_batch_is_whole_and_informative",
    ("dynamic sampling", "TRL AsyncGRPO"): "test_trl_async::test_groups_without_a_gradient_are_dropped_and_refilled",
    (
        "dynamic sampling",
        "verl 0.9 (v1)",
    ): "real_verl/test_verl_modes::test_verls_dynamic_sampling_is_refilled_by_the_curriculum",
    ("exact resume", "TRL"): "test_trl_resume::test_exact_resume",
    (
        "exact resume",
        "verl 0.9 (v1)",
    ): "real_verl/test_verl_modes::test_a_resumed_run_selects_what_the_uninterrupted_one_does",
    (
        "exact resume",
        "verl 0.7, v0",
    ): "real_verl/test_verl_fit::test_a_resumed_run_selects_what_the_uninterrupted_one_does",
    ("several processes", "TRL"): "test_trl_ranks::test_ranks_select_and_predict_the_same",
    (
        "several processes",
        "verl 0.9 (v1)",
    ): "real_verl/test_verl_modes::test_steps_in_several_fetches_are_selected_at_once",
    ("several processes", "verl 0.7, v0"): "real_verl/test_verl_sampler::test_workers_would_draw_ahead",
    ("several processes", "OpenRLHF"): "test_openrlhf::test_ray_takes_the_curriculum_to_the_trainers_actor",
    ("asynchronous", "TRL AsyncGRPO"): "test_trl_async::test_more_groups_are_informative_than_with_uniform_prompts",
    (
        "asynchronous",
        "verl 0.9 (v1)",
    ): "real_verl/test_verl_modes::test_groups_stay_in_flight_between_steps_where_verl_is_asynchronous",
    (
        "rollouts by prompt",
        "verl 0.9 (v1)",
    ): "real_verl/test_verl_modes::test_rollouts_by_prompt_keep_the_total_of_a_step",
    ("environments", "TRL"): "test_trl_environments::test_refill_with_environments",
    ("images", "TRL"): "test_trl_images::test_selected_rows_come_with_their_images",
    ("completion lengths", "TRL"): "test_trl_success::test_wasted_tokens_are_counted",
    (
        "completion lengths",
        "TRL AsyncGRPO",
    ): "test_trl_async::test_more_groups_are_informative_than_with_uniform_prompts",
    (
        "completion lengths",
        "verl 0.9 (v1)",
    ): "real_verl/test_verl_modes::test_rollouts_by_prompt_keep_the_total_of_a_step",
    ("completion lengths", "verl 0.7, v0"): "real_verl/test_verl_reports::test_tokens_of_silent_groups_are_counted",
    (
        "what selection did, in the trainer's own log of completions",
        "TRL",
    ): "test_trl_logs::test_predictions_and_the_random_share_are_in_the_log",
    (
        "what selection did, in the trainer's own log of completions",
        "verl 0.9 (v1)",
    ): "real_verl/test_verl_modes::test_predictions_and_the_random_share_are_in_verls_own_log_of_rollouts",
}
"""Tests with the trainer itself, by row and column of the table."""


def cells() -> dict[tuple[str, str], str]:
    begin = PAGE.index("| | TRL |")
    lines = [
        [cell.strip() for cell in line.strip("|").split("|")]
        for line in PAGE[begin : PAGE.index("\n\n", begin)].splitlines()
    ]
    return {(row[0], name): cell for row in lines[2:] for name, cell in zip(lines[0][1:], row[1:], strict=True)}


def test_every_cell_that_says_real_has_a_test_that_exists():
    said = {place for place, cell in cells().items() if re.search(r"\(?\breal\b", cell)}
    assert said == set(REAL)
    for place, name in REAL.items():
        file, test = name.split("::")
        assert f"def {test}(" in (HERE / f"{file}.py").read_text("utf-8"), place


def test_a_cell_says_yes_no_or_who_selects():
    for place, cell in cells().items():
        if place[0] not in ("several processes", "environments") and "priors" not in place[0]:
            assert re.match(r"yes \((real|stand-in)|no[: ]|not tested|the factor is a metric", cell), (place, cell)


def test_every_report_answered_has_a_test_with_its_number():
    begin = PAGE.index("## Reports answered")
    table = PAGE[begin : PAGE.index("\n\n", PAGE.index("|---|", begin))]
    tests = "\n".join(path.read_text("utf-8") for path in (HERE.parent).rglob("test_*.py"))
    reports = []
    for line in table.splitlines():
        if found := re.match(r"\| ([\w-]+#[^|]+?) \|", line):
            name = ""
            for part in found[1].split(", "):
                name = part.split("#")[0] or name
                reports.append(f"{name}#{part.split('#')[1]}")
    assert len(reports) > 20
    # Of several reports on one repository, a comment may name the repository once.
    for report in reports:
        repository, number = report.split("#")
        assert re.search(rf"{repository}#(\d+, (?:{repository})?#)*{number}\b", tests), report
