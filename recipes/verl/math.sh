#!/usr/bin/env bash
# MATH on DeepSeek-R1-Distill-Qwen-1.5B with verl 0.9, at the settings of MoPPS (arXiv 2507.04632).
#
#   recipes/data.sh verl math DATA train_math.json test_math.json
#   METHOD=edge recipes/verl/math.sh DATA    # uniform, ds, mopps or edge; what follows DATA overrides verl's settings
#
# Published: 256 prompts a step, mini-batches of 128, 8 rollouts, lambda 1.0, 16 candidates a prompt, learning rate 1e-6. Ours: the
# lengths, 300 steps, and the memory settings for eight GPUs of 80 GB.
set -euo pipefail
DATA=${1:?the folder that edgewise data wrote}
METHOD=${METHOD:-edge}
# Published for MATH: nothing is forgotten, and 16 candidates stand for each selected prompt.
MOPPS=(+data.edgewise.selector_options.decay=1.0 +data.edgewise.selector_options.candidate_factor=16)
source "$(dirname "${BASH_SOURCE[0]}")/methods.sh"

exec python3 -m verl.trainer.main_ppo "${COMMON[@]}" "${CHOICE[@]}" \
    data.train_files="$DATA/train.parquet" \
    data.val_files="$DATA/test.parquet" \
    data.train_batch_size=256 \
    data.max_prompt_length=1024 \
    data.max_response_length=8192 \
    actor_rollout_ref.model.path="${MODEL:-deepseek-ai/DeepSeek-R1-Distill-Qwen-1.5B}" \
    actor_rollout_ref.actor.ppo_mini_batch_size=128 \
    actor_rollout_ref.actor.ppo_max_token_len_per_gpu=32768 \
    actor_rollout_ref.rollout.tensor_model_parallel_size=1 \
    actor_rollout_ref.rollout.gpu_memory_utilization=0.6 \
    trainer.total_training_steps=300 \
    trainer.experiment_name="math-$METHOD" \
    "${@:2}"
