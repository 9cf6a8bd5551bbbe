#!/usr/bin/env bash
# Geometry3K on Qwen2.5-VL-3B-Instruct with verl 0.9, at the settings of MoPPS (arXiv 2507.04632).
#
#   recipes/data.sh verl geometry3k DATA TRAIN TEST
#   METHOD=edge recipes/verl/geometry3k.sh DATA    # uniform, ds, mopps or edge; what follows DATA overrides verl's settings
#
# Published: 512 prompts a step, mini-batches of 256, 8 rollouts, lambda 0.5, 8 candidates a prompt, learning rate 1e-6. Ours: the
# lengths, 150 steps, and that problems whose answer is no number are left out of the data.
set -euo pipefail
DATA=${1:?the folder that edgewise data wrote}
METHOD=${METHOD:-edge}
# Published for Geometry3K: half of the evidence survives a visit, 8 candidates stand for each selected prompt.
MOPPS=(+data.edgewise.selector_options.decay=0.5 +data.edgewise.selector_options.candidate_factor=8)
source "$(dirname "${BASH_SOURCE[0]}")/methods.sh"

exec python3 -m verl.trainer.main_ppo "${COMMON[@]}" "${CHOICE[@]}" \
    data.train_files="$DATA/train.parquet" \
    data.val_files="$DATA/test.parquet" \
    data.train_batch_size=512 \
    data.max_prompt_length=1024 \
    data.max_response_length=2048 \
    data.image_key=images \
    actor_rollout_ref.model.path="${MODEL:-Qwen/Qwen2.5-VL-3B-Instruct}" \
    actor_rollout_ref.actor.ppo_mini_batch_size=256 \
    actor_rollout_ref.actor.ppo_max_token_len_per_gpu=16384 \
    actor_rollout_ref.rollout.tensor_model_parallel_size=1 \
    actor_rollout_ref.rollout.gpu_memory_utilization=0.5 \
    trainer.total_training_steps=150 \
    trainer.experiment_name="geometry3k-$METHOD" \
    "${@:2}"
