# Settings of verl 0.9 that differ between the methods. Sourced by the scripts of the tasks, which set METHOD and MOPPS (the
# options of MoPPS that its paper uses for the task).
#
# All methods run in Edgewise's trainer mode, so that effective ratio, rollouts and predictions are logged for all of them alike;
# the mode is verl's `sync` trainer but for the choice of rows.
CHOICE=(trainer.v1.trainer_mode=edgewise)
case "$METHOD" in
uniform)
    CHOICE+=(+data.edgewise.selector=uniform) ;;
ds) # Dynamic sampling (DAPO): groups whose rewards are all equal are replaced until the batch is full.
    CHOICE+=(
        +data.edgewise.selector=uniform
        algorithm.filter_groups.enable=True
        algorithm.filter_groups.metric=reward
        algorithm.filter_groups.max_num_gen_batches=10
    ) ;;
mopps)
    CHOICE+=(+data.edgewise.selector=mopps "${MOPPS[@]}") ;;
edge) # The category of a row (level, number of numbers, kind of figure) is what `edge` shares evidence by.
    CHOICE+=(+data.edgewise.selector=edge +data.edgewise.category=extra_info.category)
    # How likely the model finds each answer, where it was measured:
    #   edgewise features DATA/train.parquet MODEL DATA/features.json
    if [[ -f "$DATA/features.json" ]]; then
        CHOICE+=(+data.edgewise.features="$DATA/features.json")
    fi ;;
*)
    echo "METHOD must be uniform, ds, mopps or edge, got '$METHOD'" >&2
    exit 2 ;;
esac

# Settings that the three tasks share: GRPO with DAPO's token mean and the two ends of its clip range, no KL, temperature 1.
COMMON=(
    algorithm.adv_estimator=grpo
    algorithm.use_kl_in_reward=False
    actor_rollout_ref.actor.use_kl_loss=False
    actor_rollout_ref.actor.entropy_coeff=0
    actor_rollout_ref.actor.loss_agg_mode=token-mean
    actor_rollout_ref.actor.clip_ratio_low=0.2
    actor_rollout_ref.actor.clip_ratio_high=0.28
    actor_rollout_ref.actor.optim.lr=1e-6
    actor_rollout_ref.rollout.name=vllm
    actor_rollout_ref.rollout.n=8
    actor_rollout_ref.rollout.temperature=1.0
    # Validation as published: 16 samples at temperature 0.6.
    actor_rollout_ref.rollout.val_kwargs.do_sample=True
    actor_rollout_ref.rollout.val_kwargs.temperature=0.6
    actor_rollout_ref.rollout.val_kwargs.n=16
    # Memory: micro-batches by tokens, no padding, activations computed again in the backward pass.
    actor_rollout_ref.actor.use_dynamic_bsz=True
    actor_rollout_ref.model.use_remove_padding=True
    actor_rollout_ref.model.enable_gradient_checkpointing=True
    # Rewards are verified by the task itself, from what `edgewise data` packed into each row.
    reward.custom_reward_function.path=pkg://edgewise.lab.data
    reward.custom_reward_function.name=compute_score
    data.seed=0
    data.truncation=error
    data.filter_overlong_prompts=True
    trainer.project_name=edgewise
    trainer.n_gpus_per_node="${GPUS:-8}"
    trainer.test_freq=10
    trainer.save_freq=20
)
