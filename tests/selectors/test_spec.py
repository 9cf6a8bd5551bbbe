"""Methods in one word: what is read, and what is refused before anything runs."""

import pytest

from edgewise.errors import ConfigError
from edgewise.selectors.spec import Spec, parse


@pytest.mark.parametrize(
    ("text", "spec"),
    [
        ("edge", Spec("edge", {}, False)),
        ("ds", Spec("uniform", {}, True)),
        ("edge+ds", Spec("edge", {}, True)),
        ("mopps:decay=.5:by=mean", Spec("mopps", {"decay": 0.5, "by": "mean"}, False)),
        ("edge:curiosity=0:sharpness=2.5+ds", Spec("edge", {"curiosity": 0, "sharpness": 2.5}, True)),
    ],
)
def test_what_is_read(text: str, spec: Spec) -> None:
    assert parse(text) == spec


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("moops", "method 'moops'.*Did you mean 'mopps'"),
        ("dss", "Did you mean 'ds'"),
        ("edge:curiosity", "'curiosity' in 'edge:curiosity' is not an option; write edge:name=value"),
        ("edge:curious=1", "option of selector edge 'curious'.*Did you mean 'curiosity'"),
        ("edge:pool=1", "option of selector edge 'pool'"),
        ("", "method ''"),
    ],
)
def test_what_is_refused(text: str, says: str) -> None:
    with pytest.raises(ConfigError, match=says):
        parse(text)
