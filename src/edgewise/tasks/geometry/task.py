"""Task of visual geometry: a figure with numbers in it, a question in words, a numeric answer."""

from __future__ import annotations

import hashlib
import itertools
from collections.abc import Collection, Iterator, Mapping, Sequence
from pathlib import Path
from random import Random
from typing import Any

import numpy as np
import numpy.typing as npt

from edgewise.errors import ConfigError, TaskError
from edgewise.tasks import mixture as mixtures
from edgewise.tasks.base import Problem, TextWorld, Verdict, check_difficulty, sample, tasks
from edgewise.tasks.geometry import angles, lengths
from edgewise.tasks.geometry.canvas import CELL, SIDE, render
from edgewise.tasks.geometry.drawn import Chance, Drawn, Family
from edgewise.tasks.geometry.geometry3k import LoadedProblems, load_geometry3k
from edgewise.tasks.geometry.verify import verify

IMAGE = "<image>"
OPEN, CLOSE = "<answer>", "</answer>"
MAX_OP = 5
LARGEST = 360
"""The largest number in a text of ours."""
FAMILIES: dict[str, tuple[Family, range]] = {
    "fan": (angles.fan, range(1, 5)),
    "rays": (angles.rays, range(1, 5)),
    "parallels": (angles.parallels, range(1, 6)),
    "isosceles": (angles.isosceles, range(1, 4)),
    "circle": (angles.circle, range(1, 4)),
    "area": (lengths.area, range(1, 6)),
    "perimeter": (lengths.perimeter, range(1, 6)),
    "similar": (lengths.similar, range(2, 4)),
}
"""Families and the numbers of facts that they combine."""


class PicturedText(tuple[str, str]):
    """A demonstration (prompt, completion) with the pictures of its prompt."""

    images: tuple[npt.NDArray[np.uint8], ...]

    @classmethod
    def of(cls, problem: Problem) -> PicturedText:
        """The demonstration of a problem's gold solution."""
        pair = cls((problem.prompt, problem.solution))
        pair.images = problem.images
        return pair


@tasks.register("geometry")
class Geometry(TextWorld):
    """Problems on drawn figures; the numbers stand in the picture alone.

    Difficulty (of `problems` and `demonstrations`):
        op: (first, last) number of facts to combine, 1..5, each as frequent; or shares: {1: 0.5, "2-5": 0.5}.
        family: one of fan, rays, parallels, isosceles, circle, area, perimeter, similar, or shares, or a list of equally
            frequent ones; all if None. A family is drawn for the ops that it has.

    A problem is identified by its figure, numbers and question; the drawing (mirrored, vertices moved a little) makes no other
    problem. `meta["figure"]` is the figure, for larger renderings.
    """

    name = "geometry"
    end = CLOSE
    picture_size = SIDE
    """Pixels of a side of a picture."""
    cell_size = CELL
    """Pixels of a side of a cell, which a label fills."""

    def source(self, seed: int, **difficulty: Any) -> Iterator[Problem]:
        if seed < 0:
            raise TaskError(f"seed must be at least 0, got {seed}")
        plan = _plan(**difficulty)
        return (_draw(plan, seed, index) for index in itertools.count())

    def verify(self, problem: Problem, completion: str) -> Verdict:
        return verify(problem.answer, completion)

    def demonstrations(self, n: int, seed: int, **difficulty: Any) -> list[tuple[str, str]]:
        """Correct solutions: the numbers that are read, one equation a fact, the answer. Each has the `images` of its prompt."""
        check_difficulty(difficulty)
        return [PicturedText.of(problem) for problem in sample(n, self.source(seed, **difficulty), "train")]

    def vocabulary(self) -> list[str]:
        questions = (angles.PARALLEL, angles.ISOSCELES, angles.CENTRE, "Find the diameter radius . x", lengths.AREA)
        more = (lengths.PERIMETER, lengths.REGULAR, lengths.SIMILAR_AREA, "see same + - * / = ;")
        words = " ".join((*questions, *more)).split()
        return list(dict.fromkeys([IMAGE, OPEN, CLOSE, *words, *map(str, range(LARGEST + 1))]))

    def picture(self, problem: Problem, scale: int = 8) -> npt.NDArray[np.uint8]:
        """The figure of a problem of ours at `scale` pixels a unit, (60 * scale, 60 * scale)."""
        if "figure" not in problem.meta:
            raise TaskError("only problems drawn by this task have a figure that can be rendered again")
        return render(problem.meta["figure"], scale)

    def load(self, path: str | Path, *, strict: bool = False) -> LoadedProblems:
        """Real problems of Geometry3K, from its folders or from a parquet file with images, problem and answer.

        Problems whose picture or answer cannot be read are left out, counted and named in a warning; `strict` refuses them.
        """
        return load_geometry3k(path, strict=strict)


Cell = tuple[int, str]


def _plan(
    op: Sequence[int] | Mapping[Any, float] = (1, MAX_OP),
    family: mixtures.Share | Collection[str] | None = None,
    **unknown: Any,
) -> list[tuple[float, Cell]]:
    """Cells (op, family) with cumulative shares; families that an op does not have give their share to the others."""
    mixtures.check_settings(unknown, ("op", "family"))
    if family is None or (isinstance(family, Collection) and not isinstance(family, str | Mapping)):
        names = list(FAMILIES if family is None else family)
        if not names or not all(isinstance(name, str) for name in names):
            raise ConfigError(f"family must be a family, a list of them, or shares of them, got {family!r}")
        family = dict.fromkeys(names, 1 / len(dict.fromkeys(names)))
    wanted = mixtures.kinds("family", family, list(FAMILIES))
    cells: list[tuple[float, Cell]] = []
    mark = 0.0
    for number, share in mixtures.numbers("op", op, 1, MAX_OP).items():
        own = {name: part for name, part in wanted.items() if part > 0 and number in FAMILIES[name][1]}
        if share and not own:
            raise ConfigError(f"none of the families {', '.join(wanted)} combines {number} facts")
        for name, part in own.items():
            mark += share * part / sum(own.values())
            cells.append((mark, (number, name)))
    return cells


def _draw(plan: list[tuple[float, Cell]], seed: int, index: int) -> Problem:
    chance = Chance(Random(seed << 64 | index))
    mark = chance.random() * plan[-1][0]
    op, name = next((cell for bound, cell in plan if mark < bound), plan[-1][1])
    drawn = FAMILIES[name][0](chance, op)
    figure = drawn.figure.mirrored(chance.random() < 0.5 and drawn.across, chance.random() < 0.5 and drawn.down)
    key = " ".join(map(str, ("geometry", name, op, drawn.variant, *drawn.read)))
    return Problem(
        f"{IMAGE} {drawn.facts}",
        solution(drawn),
        str(drawn.value),
        str(op),
        {"op": op, "family": name, "figure": figure},
        hashlib.blake2b(key.encode("utf-8", "surrogatepass"), digest_size=16).hexdigest(),
        (render(figure),),
    )


def solution(drawn: Drawn) -> str:
    """`see 45 60 . 45 + 60 = 105 . 180 - 105 = 75 . <answer> 75 </answer>`."""
    sentences = [f"see {' '.join(map(str, drawn.read))}", *drawn.steps]
    return f"{' . '.join(sentences)} . {OPEN} {drawn.value} {CLOSE}"
