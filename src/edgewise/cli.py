"""The commands; thin. `edgewise COMMAND --help` shows the options of each."""

from __future__ import annotations

import errno
import io
import os
import sys
from pathlib import Path
from typing import Any

from edgewise import __version__
from edgewise.arguments import after_stop, require_defaults, require_not_empty, require_values
from edgewise.errors import ConfigError, EdgewiseError, printable, unknown_name
from edgewise.lab.run.interrupts import handling

NEEDS_LAB = "the commands need the laboratory's packages: pip install 'edgewise[lab,report]'"
NEEDS_LOGS = "the commands that read logs need their packages: pip install 'edgewise[logs]'"
LOG_COMMANDS = ("replay", "fit", "watch")


def main() -> None:
    """Entry point: errors of ours become one sentence and exit code 2."""
    # Read by OpenMP when torch is loaded: idle threads sleep, which on a shared machine is several times faster.
    os.environ.setdefault("OMP_WAIT_POLICY", "passive")
    if sys.stdout is None or sys.stderr is None:  # closed by what started the process
        nowhere = os.fdopen(os.open(os.devnull, os.O_WRONLY), "w")
        sys.stdout, sys.stderr = sys.stdout or nowhere, sys.stderr or nowhere
    if isinstance(sys.stdout, io.TextIOWrapper) and sys.stdout.errors in ("strict", "surrogateescape"):
        # Names of files, completions and frames may hold characters that the output's encoding lacks: cp1252 of a pipe on Windows.
        sys.stdout.reconfigure(errors="replace")
    arguments = sys.argv[1:]
    debug = "--debug" in arguments
    with handling(_interrupt):
        try:
            try:
                _run([argument for argument in arguments if argument != "--debug"])
            finally:
                sys.stdout.flush()
        except OSError as error:
            if error.errno == errno.ENAMETOOLONG and not debug:
                print(f"edgewise: the name of a file is too long: {error.filename!r:.80}", file=sys.stderr)
                sys.exit(2)
            if debug or error.errno not in (errno.EPIPE, errno.ENOSPC, errno.EDQUOT):
                raise
            # What Python flushes at exit goes nowhere.
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
            if error.errno == errno.EPIPE:  # the reader of the output, such as `head`, has ended
                sys.exit(141)
            print(f"edgewise: cannot write: {error.strerror}", file=sys.stderr)
            sys.exit(2)
        except EdgewiseError as error:
            if debug:
                raise
            # The sentence may quote a log, and with it a model's output.
            print("edgewise:", printable(str(error), keep="\n"), file=sys.stderr)
            sys.exit(2)
        except KeyboardInterrupt as stop:
            if debug:
                raise
            print(f"\nedgewise: {str(stop) or after_stop(arguments)}", file=sys.stderr)
            sys.exit(130)


def _interrupt() -> None:
    raise KeyboardInterrupt


def _run(arguments: list[str]) -> None:
    if arguments == ["--version"]:
        print(f"edgewise {__version__}")
        return
    require_not_empty(arguments)
    try:
        import tyro
    except ModuleNotFoundError as error:
        # Beside a trainer there may be none of the laboratory's packages.
        if arguments == ["doctor"] or (arguments[:2] == ["doctor", "--config"] and arguments[2:]):
            return doctor(tuple(arguments[2:]))
        needs = NEEDS_LOGS if arguments[:1] and arguments[0] in LOG_COMMANDS else NEEDS_LAB
        raise ConfigError(f"{needs} ({error.name} is missing)") from error
    commands: dict[str, Any] = {
        "data": data,
        "demo": demo,
        "doctor": doctor,
        "pretrain": pretrain,
        "midtrain": midtrain,
        "rl": rl,
        "eval": evaluate,
        "experiment": experiment,
        "features": features,
        "model": model,
        "replay": replay,
        "fit": fit,
        "report": report,
        "watch": watch,
    }
    prog = "edgewise"
    if arguments[:1] == ["data"]:
        _need("torch", "safetensors", "tokenizers", "yaml")
        from edgewise.lab.data.command import data_command

        commands["data"] = data_command
    if arguments[:1] == ["features"]:
        _need("torch", "safetensors", "tokenizers", "rich")
        from edgewise.lab.data.features_command import features_command

        commands["features"] = features_command
    if arguments[:1] == ["watch"]:
        from edgewise.watch import main as watch_command

        commands["watch"] = watch_command
    if arguments[:1] == ["fit"]:
        from edgewise.replay.logs.fit_command import main as fit_command

        commands["fit"] = fit_command
    if arguments[:1] == ["model"]:
        commands, prog, arguments = _model_commands(), "edgewise model", arguments[1:]
    require_values(commands, arguments)
    tyro.extras.subcommand_cli_from_dict(
        commands,
        prog=prog,
        description="Train at the edge of competence.",
        args=arguments,
        config=(tyro.conf.PositionalRequiredArgs,),
    )


def demo(
    task: str = "opgraph",
    methods: tuple[str, ...] | None = None,
    seeds: int | None = None,
    first_seed: int | None = None,
    steps: int | None = None,
    base: str | None = None,
    pool: int | None = None,
    labels: str | None = None,
    placebo: bool = True,
    out: Path = Path("runs/demo"),
    workers: int | None = None,
    show: bool = True,
) -> None:
    """RL-tune a small reasoning model with several selection methods and compare them on one page.

    Args:
        task: opgraph, countdown, geometry, or school, which a pretrained model solves.
        methods: uniform, ds (dynamic sampling) or any selector, with options (edge:exploration=0) and gate (edge+ds);
            separated by blanks or commas; default: uniform ds mopps edge.
        seeds: how many seeds; default 5.
        first_seed: the first of them; default 0.
        steps: training steps of each run.
        base: checkpoint to start from: a folder or the name of a shipped one.
        pool: prompts in the pool.
        labels: task, shuffled (wrong ones) or none.
        placebo: run uniform with another selection seed beside uniform, to see what chance does.
        out: folder of the runs; the same command goes on where it was stopped.
        workers: runs at the same time; default: one a core.
        show: open the page in a browser when done.
    """
    _need("torch", "safetensors", "tokenizers", "rich", "yaml")
    from edgewise.method import listed
    from edgewise.report.demo import demo as run_demo

    if methods is not None:
        methods = tuple(listed(",".join(methods)))
    changes = {"steps": steps, "base": base, "pool": pool, "labels": labels}
    run_demo(task, methods, seeds, first_seed, placebo, changes, out, workers, show)


def pretrain(config: Path, out: Path) -> None:
    """Pre-train a small model on a task's demonstrations, from one YAML file.

    With several processes: torchrun --nproc-per-node 8 -m edgewise.cli pretrain CONFIG OUT

    Args:
        config: settings (see configs/); `preset: 1M` begins from those of a size.
        out: folder of the run; the same command goes on where it was stopped.
    """
    _need("torch", "safetensors", "tokenizers", "rich", "yaml")
    from edgewise.lab.run.pretrain import PretrainConfig

    _language_stage(PretrainConfig, "pre-training", config, out)


def midtrain(config: Path, out: Path) -> None:
    """Train a checkpoint further on other text, from one YAML file: as pretrain, with a `base`.

    Args:
        config: settings (see configs/); `base` is a folder or the name of a shipped checkpoint.
        out: folder of the run; the same command goes on where it was stopped.
    """
    _need("torch", "safetensors", "tokenizers", "rich", "yaml")
    from edgewise.lab.run.pretrain import MidtrainConfig

    _language_stage(MidtrainConfig, "mid-training", config, out)


def _language_stage(kind: Any, title: str, config: Path, out: Path) -> None:
    from edgewise.lab.run.presets import read_stage
    from edgewise.lab.run.pretrain import pretrain as run
    from edgewise.progress import bar

    settings = read_stage(kind, config)

    def words(line: dict[str, Any]) -> str:
        return f"loss {line['loss']:.3f}  {line['tokens_per_second']:,.0f} tokens/s"

    with bar(title, settings.steps) as progress:
        last = run(settings, out, lambda line: progress(line["step"], words(line)))
    if _leads():
        print(f"checkpoint: {last}")


def _leads() -> bool:
    """Whether this process, of those that torchrun started, talks to the user."""
    return os.environ.get("RANK", "0") == "0"


def data() -> None:
    """Write a task's problems as train and test files for verl, TRL or anything that reads JSONL."""


def features() -> None:
    """Measure how likely a model finds the gold answer of each prompt, before training and without a rollout."""


def model() -> None:
    """Import pretrained models of the Llama, Qwen2 and Qwen3 families, and list models: import, list, smollm2."""


def _model_commands() -> dict[str, Any]:
    _need("torch", "safetensors", "tokenizers")
    from edgewise.lab.model.command import import_command, list_command, smollm2_command

    return {"import": import_command, "list": list_command, "smollm2": smollm2_command}


def rl(config: Path, out: Path) -> None:
    """RL-tune a checkpoint with one selector, from one YAML file.

    With several processes: torchrun --nproc-per-node 8 -m edgewise.cli rl CONFIG OUT

    Args:
        config: settings (see configs/).
        out: folder of the run; the same command goes on where it was stopped.
    """
    _need("torch", "safetensors", "tokenizers", "rich", "yaml")
    from edgewise.lab.rl.trainer import RLConfig, train
    from edgewise.lab.run.config import from_dict, read_yaml
    from edgewise.progress import bar

    settings = from_dict(RLConfig, read_yaml(config))
    with bar("RL", settings.steps) as progress:
        summary = train(
            settings,
            out,
            lambda line: progress(
                line["step"],
                f"reward {line['reward']:.2f}  effective ratio {line['effective_ratio']:.2f}  rollouts {line['rollouts']}",
            ),
        )
    if _leads():
        for advice in summary["advice"]:
            print(advice, file=sys.stderr)
        print(f"run: {out}")
        from edgewise.report import write

        print(f"report: {write(out)}")


def evaluate(
    checkpoint: str,
    config: Path | None = None,
    out: Path | None = None,
    task: str | None = None,
    difficulty: str | None = None,
    problems: int | None = None,
    samples: int | None = None,
    k: tuple[int, ...] | None = None,
    temperature: float | None = None,
    max_new_tokens: int | None = None,
    seed: int | None = None,
) -> None:
    """Unbiased pass@k of a checkpoint on held-out problems with intervals, failure modes and likelihood.

    Args:
        checkpoint: a folder, or the name of a shipped one.
        config: settings (see configs/eval/); those named here win.
        out: folder for evaluation.json, the table and the rollouts; the same command goes on where it was stopped.
        task: of a pretrained model, such as school; by default the task that the checkpoint was trained for.
        difficulty: settings of the task as YAML, such as "{op: [1, 12]}".
        problems: held-out problems; default 500.
        samples: rollouts of each; default 16.
        k: values of k to show, each at most `samples`; default 1 4 16.
        temperature: of sampling; default 1.
        max_new_tokens: completions are cut there; default 32.
        seed: of problems and rollouts; default 1.
    """
    _need("torch", "safetensors", "tokenizers", "rich", "yaml")
    from edgewise.report.evaluation import print_evaluation

    given = {
        "base": checkpoint,
        "task": task,
        "difficulty": difficulty,
        "problems": problems,
        "samples": samples,
        "k": k,
        "temperature": temperature,
        "max_new_tokens": max_new_tokens,
        "seed": seed,
    }
    print_evaluation(config, {name: value for name, value in given.items() if value is not None}, out)


def doctor(config: tuple[str, ...] = ()) -> None:
    """Show which trainers are installed, in which versions, and whether their adapters load; or check a run's configuration.

    Args:
        config: a YAML file, or overrides as verl takes them (`data.seed=1 actor_rollout_ref.rollout.n=8`): warnings before
            the run, such as groups too small, dataloader workers, or repeated ids.
    """
    from edgewise.adapters import check_config, companions, table
    from edgewise.adapters import doctor as look

    if not config:
        print(table(look()), companions(), sep="\n\n" if companions() else "")
        return
    warnings = check_config(config)
    print("\n".join(f"- {warning}" for warning in warnings) or "nothing to warn about")


def experiment(
    name: str,
    scale: str = "laptop",
    seeds: int | None = None,
    first_seed: int | None = None,
    out: Path | None = None,
    stages: Path | None = None,
    engine: str = "local",
    workers: int | None = None,
    budget_tolerance: float | None = None,
    docs: Path | None = None,
    plan: bool = False,
    hours: float | None = None,
) -> None:
    """Run a study made of many runs; print its table and, for controlled studies of training stages, its verdict.

    Args:
        name: E1 to E8, or the YAML file of a study; C1 to C6, C2-single, critics, gsm8k, likelihood,
            likelihood-school, midtrained, pools, published, real and real-large: claims about selection.
        scale: laptop, workstation or paper, of a study, or one of its own, such as text of E1; laptop, smollm2 or gpu, of a claim.
        seeds: how many; default: as the study says.
        first_seed: the first of them.
        out: folder of the study, by default runs/NAME-SCALE; the same command goes on where it was stopped.
        stages: folder of trained stages, which studies share; by default `stages` beside `out`.
        engine: local, or ray: a cluster whose machines all see these folders.
        workers: runs at the same time; default: one a core.
        budget_tolerance: how much the arms' budgets may differ; default: as the study says, mostly 0.01.
        docs: also copy the report and its figures to this folder; of a claim: keep its results there and write the page of claims.
        plan: print how many seeds each claim needs, from the variance of the finished ones, and the hours that they take here.
        hours: refuse a study, or with `plan` the seeds that it needs, that would take longer on this machine.
    """
    if hours is not None and not hours > 0:
        raise ConfigError(f"hours must be above 0, got {hours:g}")
    _need("torch", "safetensors", "tokenizers", "scipy", "rich", "yaml")
    from edgewise.experiments import claims

    if name in claims.names():
        from edgewise.experiments.claims.command import main as run_claim

        run_claim(
            name,
            scale,
            seeds=seeds,
            first=first_seed,
            out=out,
            workers=workers,
            docs=docs,
            only_plan=plan,
            hours=hours,
        )
        return
    from edgewise.experiments.study import config
    from edgewise.experiments.study.command import run

    if not name.endswith((".yaml", ".yml")) and name not in config.names():
        raise unknown_name("study or claim", name, [*config.names(), *claims.names()])
    run(name, scale, seeds, first_seed, budget_tolerance, out, stages, engine, workers, docs, plan, hours)


def replay(
    trace: str,
    selectors: str | None = None,
    seeds: int = 5,
    steps: int | None = None,
    batch: int = 64,
    rollouts: int = 8,
    knows: str = "all",
    wrong: float = 0.0,
    baseline: str = "uniform",
    columns: str | None = None,
    success: float | None = None,
    scale: tuple[float, float] | None = None,
    json: bool = False,
    out: Path | None = None,
) -> None:
    """What a run wasted and what selection would have saved, from its logs; or selectors judged on a recorded trace.

    Args:
        trace: logs of a run: TRL's output_dir (log_completions=True), verl's rollout_data_dir, an Edgewise run, JSONL or
            parquet; or a recorded trace (.npz), the name of a shipped one, or `simulator`.
        selectors: names separated by commas, with options as `mopps:decay=1.0`; default edge,mopps for logs and
            uniform,mopps,dps,edge otherwise, where `all` stands for every one.
        seeds: how many.
        steps: policy steps.
        batch: prompts a step.
        rollouts: rollouts a prompt.
        knows: all, labels, features or nothing: what the selectors see of the prompts.
        wrong: share of labels that are wrong.
        baseline: the selector that differences are taken from.
        columns: of logs: role=column,... for names that are not recognised, such as prompt=question,reward=score.
        success: of logs: reward from which on a rollout is correct; 0.5 for rewards in [0, 1].
        scale: of logs: the rewards that stand for 0 and for 1.
        json: of logs: print JSON.
        out: also write the numbers as JSON.
    """
    from edgewise.method import listed
    from edgewise.replay import main as run
    from edgewise.replay.logs.command import is_log
    from edgewise.replay.logs.command import main as answer

    logs = is_log(trace)
    if not logs:
        of_logs = {"columns": columns, "success": success, "scale": scale, "json": json}
        require_defaults(replay, of_logs, f"{trace} is no log")
    elif not trace.endswith(".npz"):
        of_traces: dict[str, Any] = {"seeds": seeds, "steps": steps, "batch": batch, "rollouts": rollouts}
        of_traces |= {"knows": knows, "wrong": wrong, "baseline": baseline}
        require_defaults(replay, of_traces, "a log is followed as it is, once")
    chosen = selectors or ("edge,mopps" if logs else "uniform,mopps,dps,edge")
    names = listed(chosen)
    if logs:
        answer(trace, names, columns=columns, success=success, scale=scale, out=out, as_json=json)
        if json or not trace.endswith(".npz"):
            return
        # A recorded trace has the features and ids that predictions can be scored by, seed by seed.
        print("\nPredictions on the recorded picks, each scored before its outcome:\n")
        names, out = list(dict.fromkeys(["uniform", *names])), None
    run(
        trace,
        names,
        seeds=seeds,
        baseline=baseline,
        steps=steps,
        batch=batch,
        rollouts=rollouts,
        knows=knows,
        wrong=wrong,
        out=out,
    )


def watch() -> None:
    """Show runs of any trainer from their logs, running or finished: what selection saves, alarms, the pool over time."""


def fit() -> None:
    """Fit edge's options and priors to the logs of a run; prints the method in one word, as every adapter takes it."""


def report(folder: Path, show: bool = False) -> None:
    """Write summary.json and report.html for a comparison or a single RL run, finished or not.

    Args:
        folder: where `edgewise demo` wrote its runs, the folder of an `edgewise rl` run, or docs/experiments, whose pages
            are written again from the results kept there.
        show: open the page in a browser.
    """
    _need("yaml")
    import webbrowser

    from edgewise.report import write

    page = write(folder)
    print(page)
    if show:
        webbrowser.open(page.resolve().as_uri())


def _need(*packages: str) -> None:
    from importlib.util import find_spec

    missing = [package for package in packages if find_spec(package) is None]
    if missing:
        raise ConfigError(f"{NEEDS_LAB} ({', '.join(missing)} missing)")


if __name__ == "__main__":
    main()
