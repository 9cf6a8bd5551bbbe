"""Policies: a model with its tokenizer, the task it is trained for and the form of its prompts."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any, Literal

import numpy as np

from edgewise.checkpoint import read_json, write_json
from edgewise.errors import CheckpointError, ConfigError
from edgewise.lab.model.config import ModelConfig
from edgewise.lab.model.decoder import Decoder
from edgewise.lab.model.ending import Ending
from edgewise.lab.model.hugging_face import check_vocabulary, read_model, write_model
from edgewise.lab.model.tokenizer import Tokenizer, is_word_level, read_core
from edgewise.lab.model.vision import IMAGE, PictureFormat, blank
from edgewise.tasks import Problem, Task, make_task, make_text_world


@dataclass(frozen=True)
class PromptFormat:
    """Form of the prompts of a pretrained model, and what ends its completions besides its end tokens."""

    chat: bool = False
    """Render each prompt as a user's message by the model's chat template; otherwise it is read as it is."""
    system: str | None = None
    """System message of the chat."""
    stop: tuple[str, ...] = ()
    """Strings that end a completion; those of the task are added."""

    def __post_init__(self) -> None:
        if self.system is not None and not self.chat:
            raise ConfigError("a system message needs chat: true")
        if not all(isinstance(text, str) and text for text in self.stop):
            raise ConfigError(f"stop must be a list of texts that are not empty, got {list(self.stop)}")


def _saved_format(form: Any, path: Path) -> PromptFormat:
    try:
        return PromptFormat(**{**form, "stop": tuple(form["stop"])}) if form else PromptFormat()
    except (TypeError, KeyError, ConfigError) as error:
        raise CheckpointError(f"{path} is damaged: prompts are {form!r:.80}; restore it") from error


@dataclass
class Policy:
    """A model, its tokenizer and its task.

    Args:
        model: the decoder.
        tokenizer: its tokenizer.
        task: what it is trained for.
        task_spec: that task as plain values, {"name", "options"}.
        prompts: form of the prompts.
    """

    model: Decoder
    tokenizer: Tokenizer
    task: Task
    task_spec: dict[str, Any]
    prompts: PromptFormat = field(default_factory=PromptFormat)

    @classmethod
    def fresh(cls, task_spec: dict[str, Any], config: dict[str, Any], seed: int) -> Policy:
        """A new model for a task that models can be pre-trained on."""
        task = make_text_world(task_spec["name"], **task_spec.get("options", {}))
        tokenizer = Tokenizer.for_task(task)
        return cls(Decoder(ModelConfig(**{**config, "vocab_size": len(tokenizer)}), seed), tokenizer, task, task_spec)

    def save(self, folder: Path) -> None:
        """Write the model's files and task.json into an existing folder."""
        write_model(folder, self.model, self.tokenizer)
        prompts = self.prompts
        plain = {"chat": prompts.chat, "system": prompts.system, "stop": list(prompts.stop)}
        extra = {} if prompts == PromptFormat() else {"prompts": plain}
        write_json(folder / "task.json", {**self.task_spec, **extra})

    @classmethod
    def load(cls, folder: Path, task_spec: dict[str, Any] | None = None, prompts: PromptFormat | None = None) -> Policy:
        """Read a model of the laboratory, or a pretrained one.

        Args:
            folder: a checkpoint or an imported model.
            task_spec: {"name", "options"} of the task, for a pretrained model; by default that in the folder's task.json.
            prompts: form of the prompts, by default that in task.json.

        Raises:
            CheckpointError: a file is missing, truncated or foreign; the message names it.
            ConfigError: the model or its tokenizer is not one that is read, or no task is named.
        """
        if not folder.is_dir():
            raise CheckpointError(f"no checkpoint folder at {folder}")
        config = read_json(folder / "config.json")
        path = folder / "task.json"
        own = read_json(path) if path.exists() else {}
        form = own.pop("prompts", None)
        if own and not (isinstance(own.get("name"), str) and isinstance(own.get("options", {}), dict)):
            raise CheckpointError(f"{path} names no task; restore it, or train the checkpoint anew")
        if prompts is None:
            prompts = _saved_format(form, path)
        spec = task_spec or own
        if not spec:
            raise ConfigError(
                f"{folder} is a pretrained model and names no task: add `task: {{name: ...}}` to the settings"
            )
        task = make_task(spec["name"], **spec.get("options", {}))
        tokenizer = load_tokenizer(folder, config, own)
        if tokenizer.unknown is not None and spec["name"] != own["name"]:
            raise ConfigError(
                f"the model in {folder} knows the words of task '{own['name']}' only; it cannot be trained on '{spec['name']}'"
            )
        model = read_model(folder)
        check_vocabulary(model, tokenizer, folder)
        return cls(model, tokenizer, task, spec, prompts)

    @cached_property
    def ending(self) -> Ending:
        """What ends a completion of this policy."""
        strings = dict.fromkeys((*self.prompts.stop, *getattr(self.task, "stop", ())))
        return Ending(self.tokenizer.ends, tuple(strings), self.tokenizer)

    @property
    def pictures(self) -> PictureFormat | None:
        """Form in which the model reads pictures; None if it reads none."""
        config, placeholder = self.model.config, self.tokenizer.core.token_to_id(IMAGE)
        if self.model.vision is None or placeholder is None:
            return None
        return PictureFormat(config.image_size, config.patch_size, config.vocab_size, placeholder)

    def encode(self, problems: Sequence[Problem], *, without_pictures: bool = False) -> list[list[int]]:
        """Token ids of the problems' prompts in the policy's form; their pictures are shown to the model.

        Args:
            problems: with as many images as placeholders.
            without_pictures: show blank pictures of the same size.

        Raises:
            ConfigError: a problem has pictures and the model reads none.
        """
        encoded = encode_prompts([problem.prompt for problem in problems], self.prompts, self.tokenizer)
        if not any(problem.images for problem in problems):
            return encoded
        form, vision = self.pictures, self.model.vision
        if form is None or vision is None:
            raise ConfigError(
                f"the problems of task {self.task.name} have pictures and the model reads none;"
                " pre-train one with image_size and patch_size"
            )
        prompts = []
        for problem, tokens in zip(problems, encoded, strict=True):
            images = map(blank, problem.images) if without_pictures else problem.images
            prompts.append(form.expand(tokens, [vision.gallery.add(form.patches(image)) for image in images]))
        return prompts

    def encode_answers(self, problems: Sequence[Problem]) -> list[list[int]]:
        """Token ids of completions that are the gold answer and nothing else: answer, then what ends a completion."""
        return encode_answers(*self._gold(problems, "answer"), self.prompts, self.tokenizer)

    def encode_solutions(self, problems: Sequence[Problem]) -> list[list[int]]:
        """Token ids of the worked solutions as completions."""
        return encode_solutions(*self._gold(problems, "solution"), self.prompts, self.tokenizer)

    @staticmethod
    def _gold(problems: Sequence[Problem], name: Literal["answer", "solution"]) -> tuple[list[str], list[str]]:
        return [problem.prompt for problem in problems], [getattr(problem, name) for problem in problems]

    def render(self, problem: Problem) -> str:
        """The text that the model reads for a problem."""
        return rendered(problem.prompt, self.prompts, self.tokenizer)

    def decode(self, tokens: np.ndarray, lengths: np.ndarray) -> list[str]:
        """Texts of completions (n, time) of given lengths (n,), each up to its stop string."""
        return [self.ending.cut(text) for text in self.tokenizer.decode(tokens, lengths)]


def rendered(prompt: str | Sequence[Mapping[str, Any]], form: PromptFormat, tokenizer: Tokenizer) -> str:
    """The text that a model reads for a prompt, which with `form.chat` may be the messages of a conversation.

    Raises:
        ConfigError: a chat is asked for and the model has no template, or there would be two system messages.
    """
    if isinstance(prompt, str):
        if not form.chat:
            return prompt
        prompt = [{"role": "user", "content": prompt}]
    if tokenizer.chat is None:
        raise ConfigError("the model has no chat template; give it prompts that are texts, without chat")
    system = [] if form.system is None else [{"role": "system", "content": form.system}]
    if system and any(message.get("role") == "system" for message in prompt):
        raise ConfigError("a prompt has a system message of its own, and the settings name another; leave theirs out")
    return tokenizer.chat.render([*system, *prompt])


def encode_prompts(
    prompts: Sequence[str | Sequence[Mapping[str, Any]]], form: PromptFormat, tokenizer: Tokenizer
) -> list[list[int]]:
    """Token ids of prompts in this form."""
    return tokenizer.encode([rendered(prompt, form, tokenizer) for prompt in prompts], special=not form.chat)


def encode_answers(
    prompts: Sequence[str | Sequence[Mapping[str, Any]]],
    answers: Sequence[str],
    form: PromptFormat,
    tokenizer: Tokenizer,
) -> list[list[int]]:
    """Token ids of answers as completions of prompts: a space where the text goes on, then a stop string or the end token."""
    stop = form.stop[0] if form.stop else ""
    texts = [
        ("" if form.chat or str(prompt[-1:]).isspace() or answer[:1].isspace() else " ") + answer + stop
        for prompt, answer in zip(prompts, answers, strict=True)
    ]
    end = [] if stop else [tokenizer.end]
    return [tokens + end for tokens in tokenizer.encode_completions(texts)]


def encode_solutions(
    prompts: Sequence[str | Sequence[Mapping[str, Any]]],
    solutions: Sequence[str],
    form: PromptFormat,
    tokenizer: Tokenizer,
) -> list[list[int]]:
    """Token ids of worked solutions as completions: like answers, but in a word-level model as the task writes them."""
    if tokenizer.unknown is not None:
        return tokenizer.encode(list(solutions), special=False)
    return encode_answers(prompts, solutions, form, tokenizer)


def load_tokenizer(folder: Path, config: dict[str, Any], task_spec: dict[str, Any]) -> Tokenizer:
    """The tokenizer in a folder: word-level for a model of a task, otherwise that of a pretrained model."""
    if task_spec:
        core = read_core(folder / "tokenizer.json")
        # The kind of the tokenizer decides, not the task: a pretrained model keeps its own on any task.
        if is_word_level(core):
            world = make_text_world(task_spec["name"], **task_spec.get("options", {}))
            return Tokenizer.of_words(core, world.end)
    return Tokenizer.read(folder, config)
