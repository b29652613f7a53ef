"""Numbers and lengths of time as people read them, in few characters."""

_STEPS = ((1e12, "T"), (1e9, "G"), (1e6, "M"), (1e3, "k"))


def count(number: int) -> str:
    """A whole number: with separators up to six digits, then with three figures and a unit."""
    return f"{number:,}" if abs(number) < 1_000_000 else _scaled(number)


def whole(number: float) -> str:
    """A number without its fraction, as a count."""
    return count(round(number))


def percent(part: float, of_all: float = 1, digits: int = 1) -> str:
    """A part in percent of all, without the sign, which tables set closer than pages."""
    return f"{100 * part / of_all:.{digits}f}"


def share(part: float, of_all: float) -> str:
    """A part of all, where little is not nothing: `0 %`, `< 0.1 %`, `12.5 %`."""
    if not of_all or not part:
        return "0 %"
    return "< 0.1 %" if 100 * part / of_all < 0.1 else f"{percent(part, of_all)} %"


def rate(per_second: float) -> str:
    """A rate: one decimal below 1,000, then as a count."""
    if per_second == 0:
        return "0"
    return f"{per_second:.1f}" if per_second < 999.95 else count(round(per_second))


def size(number: int) -> str:
    """Bytes: in units of 1,000."""
    return f"{number} B" if number < 1000 else f"{_scaled(number)}B"


def duration(seconds: float) -> str:
    """A length of time, with two or three figures: `5 ms`, `1.2 s`, `3m 20s`, `10m`, `5h 10m`, `3d 4h`.

    A whole number of seconds has no fraction: `2 s`.
    """
    if seconds < 0.9995:
        return f"{seconds * 1000:.0f} ms"
    if seconds < 9.95 and not isinstance(seconds, int):
        return f"{seconds:.1f} s"
    whole = round(seconds)
    if whole < 60:
        return f"{whole} s"
    for large, small, names in ((86400, 3600, "dh"), (3600, 60, "hm"), (60, 1, "ms")):
        if whole >= large:
            rest = whole % large // small
            return f"{whole // large}{names[0]}" + (f" {rest}{names[1]}" if rest else "")
    raise AssertionError(whole)


def whole_seconds(seconds: float) -> str:
    """A length of time in seconds alone, which compare: `1,240 s`."""
    return f"{seconds:,.0f} s"


def minutes(seconds: float) -> str:
    """A length of time in minutes alone, which compare: `20.7 min`."""
    return f"{seconds / 60:.1f} min"


def age(seconds: float) -> str:
    """How long ago something was, in whole seconds; a clock that went back reads as now."""
    return f"{duration(round(seconds))} ago" if seconds >= 0.5 else "now"


def of(number: int, one: str) -> str:
    """So many of something: `1 cluster`, `2 clusters`."""
    return f"{number:,} {one}{'' if number == 1 else 's'}"


def short(number: float) -> str:
    """A number of any kind in three figures: `0.05`, `950`, `12.3k`, `4.1M`."""
    # What rounds up to the next unit takes it.
    for step, unit in _STEPS:
        if abs(number) >= step * 0.9995:
            return f"{number / step:.3g}{unit}"
    return f"{number:.3g}"


def period(ms: int) -> str:
    """A round length of time in one unit: `90 s`, `5 min`, `6 h`, `2 d`."""
    for one, unit in ((86_400_000, "d"), (3_600_000, "h"), (60_000, "min"), (1_000, "s")):
        if ms >= one and ms % one == 0:
            return f"{ms // one} {unit}"
    return f"{ms / 1000:g} s"


def _scaled(number: float) -> str:
    # 999,999,999 is 1.00G and not 1000M: what rounds up to the next unit takes it.
    for step, unit in _STEPS:
        if abs(number) >= step * 0.9995:
            value = number / step
            digits = 2 if abs(value) < 9.995 else 1 if abs(value) < 99.95 else 0
            return f"{value:.{digits}f}{unit}"
    return str(number)
