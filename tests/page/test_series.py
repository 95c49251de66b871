from hypothesis import given
from hypothesis import strategies as st

from elephas_torch.page import Series


def test_every_second_row_goes_but_the_first_and_the_last():
    series = Series(6, list(range(6)))
    assert series.rows == [0, 1, 2, 3, 4, 5] and series.every == 1
    series.add(6)
    assert series.rows == [0, 2, 4, 6] and series.every == 2


def test_a_run_of_days_stays_small():
    series, time = Series(600), 0.0
    while time < 3 * 86_400:
        series.add(time)
        time += series.every
    assert 300 <= len(series.rows) <= 600
    assert series.rows[0] == 0 and series.rows[-1] > 3 * 86_400 - series.every - 1
    gaps = {b - a for a, b in zip(series.rows, series.rows[1:], strict=False)}
    assert gaps == {series.every}


@given(st.integers(0, 80), st.lists(st.booleans(), max_size=80))
def test_who_takes_what_is_new_has_what_is_there(first, looks):
    series, has, mark = Series(10, list(range(first))), [], None
    for number, looking in enumerate(looks):
        series.add(first + number)
        if looking:
            mark, news = series.since(mark)
            has = has[: news["from"]] + news["rows"]
            assert has == series.rows
