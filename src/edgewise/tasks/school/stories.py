"""Families of word problems: the level is the number of steps, from one to four."""

from __future__ import annotations

import itertools

from edgewise.tasks.school.draft import Draft, Draw, Work, family

NAMES = ("Ada", "Ben", "Carla", "David", "Elena", "Farid", "Grace", "Hugo", "Ines", "Jonas", "Kira", "Liam", "Mona", "Nils", "Olga", "Pedro", "Rosa", "Samir", "Tara", "Viktor")  # fmt: skip
THINGS = ("apples", "books", "cards", "coins", "marbles", "pencils", "shells", "stamps", "stickers", "stones", "toys", "beads", "buttons", "nuts", "plums", "eggs")  # fmt: skip
GOODS = ("notebooks", "pens", "tickets", "cups", "lamps", "plants", "puzzles", "shirts", "balls", "cakes")
CONTAINERS = ("bags", "boxes", "baskets", "jars", "crates")
WORKERS = ("machine", "printer", "baker", "robot", "painter")
PLACES = ("school", "garden", "library", "market", "museum", "farm")


@family("give and take")
def give_and_take(draw: Draw, level: int) -> Draft:
    name, friend = draw.some(2, NAMES)
    things = draw.pick(THINGS)
    work = Work()
    value = draw.whole(5, 99)
    sentences = [f"{name} has {value} {things}."]
    for _ in range(level):
        kind = draw.whole(0, 3)
        if kind == 0 and value >= 4:
            number = draw.whole(2, value - 1)
            sentences.append(f"{name} gives {number} {things} to {friend}.")
            value = work.subtract(value, number)
        elif kind == 1 and value <= 300:
            number = draw.whole(2, 5)
            sentences.append(f"Then {name} makes the number of {things} {number} times as large.")
            value = work.multiply(value, number)
        elif kind == 2 and value >= 4:
            number = draw.whole(2, value - 1)
            sentences.append(f"{name} loses {number} {things}.")
            value = work.subtract(value, number)
        else:
            number = draw.whole(2, 99)
            sentences.append(f"{name} gets {number} more {things} from {friend}.")
            value = work.add(value, number)
    return Draft(" ".join([*sentences, f"How many {things} does {name} have now?"]), work.steps, value)


@family("shopping")
def shopping(draw: Draw, level: int) -> Draft:
    """One kind of goods; a second one; a coupon; the change."""
    name = draw.pick(NAMES)
    first, second = draw.some(2, GOODS)
    work = Work()
    count, price = draw.whole(2, 25), draw.whole(2, 40)
    text = f"{name} buys {count} {first} for {price} dollars each"
    total = work.multiply(count, price)
    if level == 1:
        return Draft(f"{text}. How many dollars does {name} pay?", work.steps, total)
    if level == 2:
        number = draw.whole(2, 60)
        total = work.add(total, number)
        return Draft(f"{text} and a bag for {number} dollars. How many dollars does {name} pay?", work.steps, total)
    other, cost = draw.whole(2, 12), draw.whole(2, 20)
    text += f" and {other} {second} for {cost} dollars each."
    total = work.add(total, work.multiply(other, cost))
    if level == 3:
        return Draft(f"{text} How many dollars does {name} pay?", work.steps, total)
    paid = (total // 50 + draw.whole(1, 3)) * 50
    answer = work.subtract(paid, total)
    return Draft(f"{text} {name} pays with {paid} dollars. How many dollars are left?", work.steps, answer)


@family("sharing")
def sharing(draw: Draw, level: int) -> Draft:
    """Equal parts; of several containers; after some are lost; and some come back."""
    name = draw.pick(NAMES)
    things, containers = draw.pick(THINGS), draw.pick(CONTAINERS)
    work = Work()
    people = draw.whole(2, 12)
    each = draw.whole(3, 40)
    if level == 1:
        text, total = f"{name} shares {people * each} {things} equally among {people} children.", people * each
        answer = work.divide(total, people)
        return Draft(f"{text} How many {things} does each child get?", work.steps, answer)
    boxes = draw.whole(2, 12)
    lost = draw.whole(1, 20) if level > 2 else 0
    # At level 2 the whole is divisible, so that there are two steps.
    inside = people * draw.whole(1, 9) if level == 2 else draw.whole(4, 40)
    total = boxes * inside
    rest = (total - lost) % people
    lost += rest
    if lost >= total:
        people, lost = 2, total % 2
    work = Work()
    value = work.multiply(boxes, inside)
    text = f"{name} has {boxes} {containers} with {inside} {things} each."
    if level > 2 or lost:
        text += (
            f" {lost} {things} are broken and thrown away."
            if lost != 1
            else f" 1 of the {things} is broken and thrown away."
        )
        value = work.subtract(value, lost)
    text += f" The rest is shared equally among {people} children."
    value = work.divide(value, people)
    if level < 4:
        return Draft(f"{text} How many {things} does each child get?", work.steps, value)
    number = draw.whole(2, 30)
    value = work.add(value, number)
    return Draft(
        f"{text} Each child had {number} {things} before. How many {things} does each child have now?",
        work.steps,
        value,
    )


@family("rates")
def rates(draw: Draw, level: int) -> Draft:
    """Per minute; two workers; with a break; and what is missing to a goal."""
    worker, other = draw.some(2, WORKERS)
    things = draw.pick(THINGS)
    work = Work()
    rate, minutes = draw.whole(3, 40), draw.whole(5, 45)
    text = f"A {worker} makes {rate} {things} per minute"
    if level == 1:
        return Draft(
            f"{text}. How many {things} does it make in {minutes} minutes?", work.steps, work.multiply(rate, minutes)
        )
    if level == 2:
        pause = draw.whole(2, minutes - 2)
        busy = work.subtract(minutes, pause)
        answer = work.multiply(rate, busy)
        text += f". In {minutes} minutes it stands still for {pause} minutes"
        return Draft(f"{text}. How many {things} does it make in that time?", work.steps, answer)
    second = draw.whole(3, 40)
    hours = draw.whole(2, 9)
    both = work.add(rate, second)
    total = work.multiply(both, minutes)
    text += f" and a {other} makes {second} {things} per minute."
    if level == 3:
        used = draw.whole(2, total - 1)
        answer = work.subtract(total, used)
        text += f" They work for {minutes} minutes, and {used} {things} are sold."
        return Draft(f"{text} How many {things} are left?", work.steps, answer)
    total_days = work.multiply(total, hours)
    goal = total_days + draw.whole(10, 500)
    answer = work.subtract(goal, total_days)
    text += f" They work for {minutes} minutes on each of {hours} days. The goal is {goal} {things}."
    return Draft(f"{text} How many {things} are missing?", work.steps, answer)


@family("ages")
def ages(draw: Draw, level: int) -> Draft:
    """A chain of level comparisons; from level 3 the last question is about a sum or another year."""
    people = draw.some(level + 1, NAMES)
    work = Work()
    value = draw.whole(3, 40)
    everyone = [value]
    sentences = [f"{people[0]} is {value} years old."]
    comparisons = level if level < 3 else level - 1
    for before, person in itertools.pairwise(people[: comparisons + 1]):
        kind = draw.whole(0, 2)
        if kind == 0 and value > 6:
            number = draw.whole(2, value - 2)
            sentences.append(f"{person} is {number} years younger than {before}.")
            value = work.subtract(value, number)
        elif kind == 1 and value <= 30:
            number = draw.whole(2, 3)
            sentences.append(f"{person} is {number} times as old as {before}.")
            value = work.multiply(value, number)
        else:
            number = draw.whole(2, 40)
            sentences.append(f"{person} is {number} years older than {before}.")
            value = work.add(value, number)
        everyone.append(value)
    if level < 3:
        question = f"How old is {people[comparisons]}?"
    elif draw.whole(0, 1):
        years = draw.whole(2, 25)
        question = f"How old will {people[comparisons]} be in {years} years?"
        value = work.add(value, years)
    else:
        question = f"How old are {people[comparisons]} and {people[0]} together?"
        value = work.add(value, everyone[0])
    return Draft(" ".join([*sentences, question]), work.steps, value)


@family("rectangles")
def rectangles(draw: Draw, level: int) -> Draft:
    """Area; perimeter; the price of a fence; area without a pond, covered with tiles."""
    place = draw.pick(PLACES)
    long, wide = draw.whole(5, 60), draw.whole(3, 45)
    work = Work()
    text = f"The {place} has a rectangular yard, {long} meters long and {wide} meters wide."
    if level == 1:
        return Draft(f"{text} What is its area in square meters?", work.steps, work.multiply(long, wide))
    if level == 2:
        answer = work.multiply(work.add(long, wide), 2)
        return Draft(f"{text} What is its perimeter in meters?", work.steps, answer)
    price = draw.whole(2, 15)
    if level == 3:
        answer = work.multiply(work.multiply(work.add(long, wide), 2), price)
        return Draft(
            f"{text} A fence around it costs {price} dollars per meter. What does the fence cost in dollars?",
            work.steps,
            answer,
        )
    side, width = draw.whole(2, long - 2), draw.whole(2, wide - 1)
    whole = work.multiply(long, wide)
    pond = work.multiply(side, width)
    answer = work.multiply(work.subtract(whole, pond), price)
    text += f" Inside is a pond, {side} meters long and {width} meters wide. Grass for the rest costs {price} dollars per square meter."
    return Draft(f"{text} What does the grass cost in dollars?", work.steps, answer)


UNITS = (("hours", "minutes", 60), ("minutes", "seconds", 60), ("days", "hours", 24), ("weeks", "days", 7), ("meters", "centimeters", 100), ("kilograms", "grams", 1000), ("kilometers", "meters", 1000), ("feet", "inches", 12), ("dollars", "cents", 100), ("years", "months", 12), ("liters", "milliliters", 1000), ("dozens", "pieces", 12))  # fmt: skip


@family("units")
def units(draw: Draw, level: int) -> Draft:
    """From large to small; with a rest; back; and a difference of two lengths."""
    large, small, size = draw.pick(UNITS)
    count = draw.whole(3, 250)
    rest = draw.whole(2, size - 1)
    work = Work()
    if level == 1:
        return Draft(
            f"How many {small} are {count} {large}?", work.steps, work.multiply(count, size), (large, small, count)
        )
    value = work.multiply(count, size)
    if level == 2:
        answer = work.add(value, rest)
        return Draft(
            f"How many {small} are {count} {large} and {rest} {small}?", work.steps, answer, (large, count, rest)
        )
    if level == 3:
        number = draw.whole(2, 9)
        answer = work.multiply(work.add(value, rest), number)
        text = f"One piece of work takes {count} {large} and {rest} {small}. How many {small} do {number} of them take?"
        if large not in ("hours", "minutes", "days", "weeks", "years"):
            text = f"One part is {count} {large} and {rest} {small}. How many {small} are {number} of them?"
        return Draft(text, work.steps, answer, (large, count, rest, number))
    less = draw.whole(2, count - 1)
    other = draw.whole(2, size - 1)
    first = work.add(value, rest)
    second = work.add(work.multiply(less, size), other)
    if second > first:
        first, second, count, less, rest, other = second, first, less, count, other, rest
    answer = work.subtract(first, second)
    text = f"How many {small} more are {count} {large} and {rest} {small} than {less} {large} and {other} {small}?"
    return Draft(text, work.steps, answer, (large, count, rest, less, other))


@family("clock")
def clock(draw: Draw, level: int) -> Draft:
    """Minutes between two times: within the hour, over one hour, over hours, and of two stays."""
    name = draw.pick(NAMES)
    place = draw.pick(PLACES)
    work = Work()

    def stay(least: int, most: int) -> tuple[str, str, int]:
        length = draw.whole(least, most)
        start = draw.whole(7 * 60, 22 * 60 - length)
        if most < 60:
            start = start // 60 * 60 + draw.whole(0, 59 - length)
        end = start + length
        before, after = (f"{time // 60}:{time % 60:02d}" for time in (start, end))
        hours = end // 60 - start // 60
        if hours:
            full = work.multiply(hours, 60)
            work.subtract(work.add(full, end % 60), start % 60)
        else:
            work.subtract(end % 60, start % 60)
        return before, after, length

    bounds = ((1, 59), (60, 119), (120, 700), (30, 500))[level - 1]
    before, after, length = stay(*bounds)
    text = f"{name} is in the {place} from {before} to {after}"
    if level < 4:
        return Draft(f"{text}. How many minutes is that?", work.steps, length, (before, after))
    second, third, more = stay(*bounds)
    answer = work.add(length, more)
    text += f" on Monday and from {second} to {third} on Tuesday"
    return Draft(f"{text}. How many minutes is that together?", work.steps, answer, (before, after, second, third))
