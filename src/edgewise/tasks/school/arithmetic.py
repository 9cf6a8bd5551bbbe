"""Families of arithmetic without a story: the level is the number of digits or of operations."""

from __future__ import annotations

from edgewise.tasks.school.draft import Draft, Draw, Work, family

ASKING = ("What is {}?", "Compute {}.", "Calculate {}.", "Find the value of {}.", "How much is {}?")


def _ask(draw: Draw, expression: str) -> str:
    return draw.pick(ASKING).format(expression)


def _single(draw: Draw, a: int, sign: str, b: int) -> Draft:
    work = Work()
    answer = work.do(a, sign, b)
    return Draft(_ask(draw, f"{a} {sign} {b}"), work.steps, answer)


@family("addition")
def addition(draw: Draw, level: int) -> Draft:
    """Of two numbers of level digits; at level 1 one of them has up to two."""
    a, b = (draw.whole(1, 99), draw.digits(1)) if level == 1 else (draw.digits(level), draw.digits(level))
    return _single(draw, a, "+", b)


@family("subtraction")
def subtraction(draw: Draw, level: int) -> Draft:
    """Of two numbers of level digits, the smaller from the larger; at level 1 the larger has up to two."""
    first = draw.whole(1, 99) if level == 1 else draw.digits(level)
    a, b = sorted((first, draw.digits(level)))
    return _single(draw, b, "-", a)


@family("multiplication")
def multiplication(draw: Draw, level: int) -> Draft:
    """Up to 20 times one digit, then 2 x 1, 2 x 2 and 3 x 2 digits."""
    if level == 1:
        a, b = draw.some(2, (draw.whole(1, 20), draw.digits(1)))
        return _single(draw, a, "*", b)
    a, b = ((2, 1), (2, 2), (3, 2))[level - 2]
    return _single(draw, draw.digits(a), "*", draw.digits(b))


@family("division")
def division(draw: Draw, level: int) -> Draft:
    """Without remainder; quotient up to 20 and divisor of 1 digit, then 2 and 1, 2 and 2, 3 and 2 digits."""
    if level == 1:
        b = draw.whole(2, 9)
        return _single(draw, draw.whole(1, 20) * b, "/", b)
    quotient, divisor = ((2, 1), (2, 2), (3, 2))[level - 2]
    b = draw.whole(2, 9) if divisor == 1 else draw.digits(divisor)
    return _single(draw, draw.digits(quotient) * b, "/", b)


@family("remainder")
def remainder(draw: Draw, level: int) -> Draft:
    a, b = draw.digits(level + 1), draw.whole(3, 9) if level < 3 else draw.digits(2)
    whole, rest = divmod(a, b)
    steps = [f"{b} * {whole} = {b * whole}", f"{a} - {b * whole} = {rest}"]
    return Draft(f"What is the remainder when {a} is divided by {b}?", steps, rest)


@family("chain")
def chain(draw: Draw, level: int) -> Draft:
    """Sums and differences of level + 2 numbers of at most two digits, never below 0."""
    work = Work()
    value = first = draw.digits(2)
    text = str(first)
    for _ in range(level + 1):
        number = draw.whole(1, 99)
        sign = "-" if number <= value and draw.whole(0, 1) else "+"
        value = work.do(value, sign, number)
        text += f" {sign} {number}"
    return Draft(_ask(draw, text), work.steps, value)


@family("order of operations")
def order_of_operations(draw: Draw, level: int) -> Draft:
    """A product among sums, 2 and 3 operations; from level 3 two products, 5 and 6 operations."""
    work = Work()
    products = [(draw.whole(2, 12), draw.whole(2, 12)) for _ in range(1 if level < 3 else 2)]
    terms: list[tuple[str, int]] = []
    for a, b in products:
        terms.append((f"{a} * {b}", work.multiply(a, b)))
    for _ in range(level + 2 - 2 * len(products) + (len(products) - 1)):
        number = draw.whole(1, 50)
        terms.append((str(number), number))
    terms = draw.some(len(terms), terms)
    text, value = terms[0]
    for part, number in terms[1:]:
        sign = "-" if number <= value and draw.whole(0, 1) else "+"
        value = work.do(value, sign, number)
        text += f" {sign} {part}"
    return Draft(_ask(draw, text), work.steps, value, (text,))


@family("brackets")
def brackets(draw: Draw, level: int) -> Draft:
    """level + 1 operations, nested from the left, right or both sides."""
    work = Work()
    value = draw.whole(2, 20)
    text = str(value)
    for index in range(level + 1):
        last = index == level
        if draw.whole(0, 2) == 0 and value <= 400:
            number = draw.whole(2, 9)
            value = work.multiply(value, number)
            text = f"{number} * {text}" if draw.whole(0, 1) else f"{text} * {number}"
        else:
            number = draw.whole(1, 40)
            larger = number > value
            sign = "-" if draw.whole(0, 1) else "+"
            a, b = (number, value) if larger else (value, number)
            value = work.do(a, sign, b)
            text = f"{number} {sign} {text}" if larger else f"{text} {sign} {number}"
        if not last:
            text = f"({text})"
    return Draft(_ask(draw, text), work.steps, value, (text,))


@family("comparison")
def comparison(draw: Draw, level: int) -> Draft:
    """The largest or smallest of level + 2 numbers that begin alike."""
    digits = level + 1
    base = draw.digits(digits)
    spread = 10 ** max(digits - 1, 1)
    numbers: list[int] = []
    while len(numbers) < level + 2:
        number = max(1, base + draw.whole(-spread, spread))
        if number not in numbers:
            numbers.append(number)
    largest = bool(draw.whole(0, 1))
    answer = max(numbers) if largest else min(numbers)
    listed = ", ".join(map(str, numbers[:-1])) + f" and {numbers[-1]}"
    word = "largest" if largest else "smallest"
    return Draft(f"Which of the numbers {listed} is the {word}?", [], answer, (word, *sorted(numbers)))


@family("missing number")
def missing_number(draw: Draw, level: int) -> Draft:
    """An equation with a gap: sums and differences, products from level 3."""
    work = Work()
    if level < 3 or draw.whole(0, 1):
        a, b = draw.digits(level), draw.digits(level)
        total = a + b
        kind = draw.whole(0, 2)
        if kind == 0:
            equation, answer = f"{a} + __ = {total}", work.subtract(total, a)
        elif kind == 1:
            equation, answer = f"{total} - __ = {b}", work.subtract(total, b)
        else:
            equation, answer = f"__ - {a} = {b}", work.add(a, b)
    else:
        a, b = draw.whole(3, 12 if level == 3 else 40), draw.digits(2)
        equation, answer = f"{a} * __ = {a * b}", work.divide(a * b, a)
    return Draft(f"Which number belongs in the gap: {equation}?", work.steps, answer, (equation,))


@family("sequence")
def sequence(draw: Draw, level: int) -> Draft:
    """The next number: equal steps of one digit and of two, growing steps, doubling and a step."""
    first = draw.digits(min(level + 1, 3))
    step = draw.whole(2, 9) if level == 1 else draw.whole(11, 99)
    work = Work()
    if level <= 2:
        numbers = [first + i * step for i in range(5)]
        answer = work.add(numbers[-1], work.subtract(numbers[-1], numbers[-2]))
    elif level == 3:
        growth = draw.whole(2, 9)
        numbers = [first]
        for i in range(4):
            numbers.append(numbers[-1] + step + i * growth)
        last = work.subtract(numbers[-1], numbers[-2])
        before = work.subtract(numbers[-2], numbers[-3])
        answer = work.add(numbers[-1], work.add(last, work.subtract(last, before)))
    else:
        first, step = draw.whole(2, 60), draw.whole(1, 40)
        numbers = [first]
        for _ in range(4):
            numbers.append(2 * numbers[-1] + step)
        answer = work.add(work.multiply(numbers[-1], 2), step)
    listed = ", ".join(map(str, numbers))
    return Draft(f"Which number comes next: {listed}?", work.steps, answer, tuple(numbers))


@family("rounding")
def rounding(draw: Draw, level: int) -> Draft:
    """To the nearest ten, hundred, thousand and ten thousand."""
    unit = 10**level
    number = draw.digits(level + 2)
    word = ("ten", "hundred", "thousand", "ten thousand")[level - 1]
    below = number // unit * unit
    up = number - below >= unit // 2
    answer = below + unit * up
    steps = [f"{number} - {below} = {number - below}", f"{below + unit} - {number} = {below + unit - number}"]
    return Draft(f"Round {number} to the nearest {word}.", steps, answer, (number, unit))


@family("fraction of a number")
def fraction_of(draw: Draw, level: int) -> Draft:
    bottom = draw.whole(2, (5, 10, 12, 25)[level - 1])
    top = 1 if level == 1 else draw.whole(1, bottom - 1)
    whole = bottom * draw.whole(2, (50, 60, 99, 400)[level - 1])
    work = Work()
    answer = work.multiply(work.divide(whole, bottom), top)
    return Draft(_ask(draw, f"{top}/{bottom} of {whole}"), work.steps, answer)


@family("percent")
def percent(draw: Draw, level: int) -> Draft:
    """Of 10 and 50; of tens; of fives; with what is left or the new price."""
    share = draw.pick(
        ((10, 50, 100, 20), tuple(range(10, 100, 10)), tuple(range(5, 100, 5)), tuple(range(1, 100)))[level - 1]
    )
    whole = draw.whole(2, (200, 200, 99, 40)[level - 1]) * (
        10 if level == 1 else 20 if level == 3 else 100 if level == 4 else 10
    )
    work = Work()
    part = work.divide(work.multiply(whole, share), 100)
    if level < 3 or draw.whole(0, 1):
        return Draft(_ask(draw, f"{share}% of {whole}"), work.steps, part, (share, whole))
    if draw.whole(0, 1):
        text, answer = (
            f"A price of {whole} dollars falls by {share}%. What is the new price in dollars?",
            work.subtract(whole, part),
        )
    else:
        text, answer = (
            f"A price of {whole} dollars rises by {share}%. What is the new price in dollars?",
            work.add(whole, part),
        )
    return Draft(text, work.steps, answer)


@family("average")
def average(draw: Draw, level: int) -> Draft:
    """Of level + 1 numbers, whole."""
    count = level + 1
    numbers = [draw.digits(2 if level < 4 else 3) for _ in range(count)]
    numbers[-1] += -sum(numbers) % count
    work = Work()
    total = numbers[0]
    for number in numbers[1:]:
        total = work.add(total, number)
    answer = work.divide(total, count)
    listed = ", ".join(map(str, numbers[:-1])) + f" and {numbers[-1]}"
    return Draft(f"What is the average of {listed}?", work.steps, answer, tuple(sorted(numbers)))
