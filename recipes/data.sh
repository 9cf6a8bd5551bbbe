#!/usr/bin/env bash
# Train and test files of a task, for verl or TRL: stable ids, category, and the problem that verifies completions.
#
#   recipes/data.sh verl countdown DATA
#   recipes/data.sh verl math DATA train_math.json test_math.json      # rows with problem and answer (JSON, JSONL or parquet)
#   recipes/data.sh trl geometry3k DATA TRAIN TEST                     # Geometry3K's folders, or parquet files
set -euo pipefail
FORMAT=${1:?verl or trl} TASK=${2:?math, countdown or geometry3k} DATA=${3:?the folder to write}
case "$TASK" in
math)
    OPTIONS=(--source "${@:4}") ;;  # the task's own instruction stands behind every prompt
countdown)
    OPTIONS=(--train 2000 --test 512 --difficulty "{count: [3, 4]}"
        --instruction " Use every number before the arrow exactly once, with + - * / and parentheses, in an expression that equals the number behind it. Think step by step, then write the expression between <answer> and </answer>.") ;;
geometry3k)
    OPTIONS=(--source "${@:4}"
        --instruction " Think step by step, then write the number between <answer> and </answer>.") ;;
*)
    echo "the task must be math, countdown or geometry3k, got '$TASK'" >&2
    exit 2 ;;
esac
exec edgewise data "$TASK" "$DATA" --format "$FORMAT" --chat "${OPTIONS[@]}"
