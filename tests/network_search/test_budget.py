"""Budgets: what is read, what is refused in one sentence, and what is above a limit."""

import pytest

from keras_resnet.errors import UsageError
from keras_resnet.network_search.budget import Budget, format_costs


def test_limits_are_read_in_the_units_of_costs():
    budget = Budget.parse("latency<=20ms, size <= 2MB,macs<=1.5M,arena<=64KiB")
    assert {limit.quantity.name: limit.most for limit in budget.limits} == {
        "latency": 20.0,
        "size": 2e6,
        "macs": 1.5e6,
        "arena": 65536.0,
    }
    assert Budget.parse("latency≤2s").limits[0].most == 2000.0
    assert Budget.parse("latency<=1e2us").limits[0].most == pytest.approx(0.1)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("latency<=fast", "latency takes a number above 0 with a unit, as in latency<=20ms. Received: 'fast'"),
        ("latency<=-1ms", "Received: '-1ms'"),
        ("latency<=0ms", "Received: '0ms'"),
        ("latency<=infms", "a number above 0"),
        ("latency<=20", "latency needs a unit, one of us, µs, ms, s, as in latency<=20ms. Received: '20'"),
        ("latency<=20MB", "latency needs a unit"),
        ("speed<=2ms", "limits latency, size, memory, arena, macs. Received: 'speed'"),
        ("latenc<=2ms", "Did you mean 'latency'?"),
        (
            "size>=2MB",
            "must be limits such as 'latency<=20ms,size<=2MB': names, <= and numbers with units, with commas between."
            " Received: 'size>=2MB'",
        ),
        ("size<=2MB,", "must be limits"),
        ("size<=2MB,size<=1MB", "limits size twice"),
    ],
)
def test_others_are_refused_in_one_sentence(text, words):
    with pytest.raises(UsageError) as raised:
        Budget.parse(text)
    assert words in str(raised.value) and str(raised.value).startswith("--budget")


def test_what_is_above_a_limit_is_named_with_its_unit():
    budget = Budget.parse("latency<=20ms,size<=2MB")
    assert budget.find_violations({"latency": 20.0, "size": 2e6}) == []
    assert budget.find_violations({"latency": 25.1, "size": 3e6}) == ["latency 25.100 ms", "size 3000.0 kB"]
    assert budget.find_violations({}) == []
    assert budget.excess({"latency": 25.0, "size": 1e6}) == pytest.approx(0.25)
    assert format_costs({"size": 2e3, "latency": 1.0}) == "latency 1.000 ms, size 2.0 kB"
