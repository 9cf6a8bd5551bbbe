"""Chat templates of language models, rendered by jinja2 in a sandbox as transformers renders them."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from datetime import datetime
from functools import cached_property
from typing import Any

from edgewise.errors import ConfigError

NEEDED = "chat templates need the package jinja2: pip install 'edgewise[models]'"


class ChatTemplate:
    """A template in the language of jinja2.

    Example:
        >>> from edgewise.lab.model.chat import ChatTemplate
        >>> template = ChatTemplate("{% for m in messages %}<{{ m.role }}>{{ m.content }}{{ eos_token }}{% endfor %}", {"eos_token": "#"})
        >>> template.render([{"role": "user", "content": "1 + 1?"}])
        '<user>1 + 1?#'
    """

    def __init__(self, source: str, special: Mapping[str, str]):
        """Args:
        source: the template.
        special: texts of the model's special tokens, such as `eos_token`.
        """
        self.source, self.special = source, dict(special)

    def render(
        self, messages: Sequence[Mapping[str, Any]], *, add_generation_prompt: bool = True, **variables: Any
    ) -> str:
        """The text of a conversation.

        Args:
            messages: role and content of each message.
            add_generation_prompt: end with what begins the model's answer.
            variables: what the template knows besides, such as `enable_thinking`.

        Raises:
            ConfigError: the template cannot be read or fails on these messages.
        """
        given = {"tools": None, "documents": None, **self.special, **variables}
        try:
            return str(self._template.render(messages=messages, add_generation_prompt=add_generation_prompt, **given))
        except ConfigError:
            raise
        except Exception as error:  # a template is a program of somebody else: it can fail in any way
            roles = ", ".join(str(message.get("role")) for message in messages)
            raise ConfigError(f"the model's chat template fails on messages of {roles}: {error}") from error

    @cached_property
    def _template(self) -> Any:
        try:
            import jinja2
            from jinja2.ext import Extension
            from jinja2.sandbox import ImmutableSandboxedEnvironment
        except ModuleNotFoundError as error:
            raise ConfigError(NEEDED) from error

        class Generation(Extension):
            """The block {% generation %}, which marks what the model wrote; its text is rendered as it is."""

            tags = {"generation"}  # noqa: RUF012

            def parse(self, parser: Any) -> Any:
                line = next(parser.stream).lineno
                body = parser.parse_statements(("name:endgeneration",), drop_needle=True)
                return jinja2.nodes.Scope(body, lineno=line)

        def refuse(message: str) -> None:
            raise jinja2.TemplateError(message)

        def to_json(
            value: Any, ensure_ascii: bool = False, indent: Any = None, separators: Any = None, sort_keys: bool = False
        ) -> str:
            return json.dumps(
                value, ensure_ascii=ensure_ascii, indent=indent, separators=separators, sort_keys=sort_keys
            )

        environment = ImmutableSandboxedEnvironment(
            trim_blocks=True, lstrip_blocks=True, extensions=[Generation, "jinja2.ext.loopcontrols"]
        )
        environment.filters["tojson"] = to_json
        environment.globals["raise_exception"] = refuse
        environment.globals["strftime_now"] = lambda form: datetime.now().strftime(form)
        try:
            return environment.from_string(self.source)
        except jinja2.TemplateError as error:
            raise ConfigError(f"the model's chat template cannot be read: {error}") from error
