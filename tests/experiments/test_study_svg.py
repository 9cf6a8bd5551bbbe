"""Pictures as SVG: well-formed, every line drawn, points where they belong."""

import xml.etree.ElementTree as ElementTree

import pytest

from edgewise.experiments.study.svg import HEIGHT, TOP, Line, Panel, panels

NAME = "{http://www.w3.org/2000/svg}"


def test_panels_are_well_formed_and_hold_all_points() -> None:
    lines = [
        Line("a <b> & c", [1, 2, 4], [0.0, 0.5, 1.0], [0.0, 0.4, 0.9], [0.1, 0.6, 1.0]),
        Line("gap", [1, 2, 4], [0.2, None, 0.4]),
    ]
    page = ElementTree.fromstring(
        panels([Panel("one", "k", lines, (1, 4), doubling=True), Panel("two", "k", lines)], "y")
    )
    circles = page.findall(f"{NAME}circle")
    assert len(circles) == 2 * (3 + 2)
    first = [(float(c.attrib["cx"]), float(c.attrib["cy"])) for c in circles[:3]]
    assert [y for _, y in first] == [TOP + HEIGHT, TOP + HEIGHT / 2, TOP]
    # Doublings are equally far apart.
    assert first[1][0] - first[0][0] == pytest.approx(first[2][0] - first[1][0], abs=0.2)
    bands = [path for path in page.findall(f"{NAME}path") if path.attrib.get("stroke") == "none"]
    assert len(bands) == 2
    texts = [text.text for text in page.findall(f"{NAME}text")]
    assert texts.count("a <b> & c") == texts.count("gap") == 1


def test_no_two_of_many_lines_look_alike() -> None:
    lines = [Line(f"arm {i}", [0, 1], [0.1, 0.2]) for i in range(20)]
    page = ElementTree.fromstring(panels([Panel("one", "x", lines)], "y"))
    looks = [(path.get("class"), path.get("stroke-dasharray")) for path in page.findall(f"{NAME}path")]
    drawn, legend = (looks[-40:-20], looks[-20:])
    assert drawn == legend
    assert len(set(drawn)) == 20


def test_nothing_is_drawn_across_a_gap() -> None:
    known: list[float | None] = [0.2, 0.3, None, 0.4, 0.5]
    page = ElementTree.fromstring(panels([Panel("one", "x", [Line("a", [0, 1, 2, 3, 4], known, known, known)])], "y"))
    paths = [path.attrib for path in page.findall(f"{NAME}path")]
    assert sum(path.get("stroke") == "none" for path in paths) == 2
    (drawn,) = (path["d"] for path in paths if path.get("fill") == "none")
    assert (drawn.count("M"), drawn.count("L")) == (2, 2)


def test_values_beyond_the_axis_stay_inside() -> None:
    page = ElementTree.fromstring(panels([Panel("one", "x", [Line("a", [0, 1], [-1.0, 2.0])])], "y"))
    heights = [float(circle.attrib["cy"]) for circle in page.findall(f"{NAME}circle")]
    assert heights == [TOP + HEIGHT, TOP]
