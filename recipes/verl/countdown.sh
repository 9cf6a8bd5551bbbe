#!/usr/bin/env bash
# Countdown on Qwen2.5-3B (base) with verl 0.9, at the settings of MoPPS (arXiv 2507.04632).
#
#   recipes/data.sh verl countdown DATA
#   METHOD=edge recipes/verl/countdown.sh DATA    # uniform, ds, mopps or edge; what follows DATA overrides verl's settings
#
# Published: a pool of 2,000 prompts, 256 a step, mini-batches of 64, 8 rollouts, lambda 0.5, all prompts candidates, learning rate
# 1e-6. Ours: the lengths, 200 steps, and rewards of 0 and 1 (theirs gives 0.1 to an answer that is there and wrong).
set -euo pipefail
DATA=${1:?the folder that edgewise data wrote}
METHOD=${METHOD:-edge}
# Published for Countdown: half of the evidence survives a visit; the whole pool is a candidate.
MOPPS=(+data.edgewise.selector_options.decay=0.5)
source "$(dirname "${BASH_SOURCE[0]}")/methods.sh"

exec python3 -m verl.trainer.main_ppo "${COMMON[@]}" "${CHOICE[@]}" \
    data.train_files="$DATA/train.parquet" \
    data.val_files="$DATA/test.parquet" \
    data.train_batch_size=256 \
    data.max_prompt_length=256 \
    data.max_response_length=1024 \
    actor_rollout_ref.model.path="${MODEL:-Qwen/Qwen2.5-3B}" \
    actor_rollout_ref.actor.ppo_mini_batch_size=64 \
    actor_rollout_ref.actor.ppo_max_token_len_per_gpu=16384 \
    actor_rollout_ref.rollout.tensor_model_parallel_size=1 \
    actor_rollout_ref.rollout.gpu_memory_utilization=0.5 \
    trainer.total_training_steps=200 \
    trainer.experiment_name="countdown-$METHOD" \
    "${@:2}"
