"""Charts that are drawn as SVG."""

from concurrent.futures import ThreadPoolExecutor

from keras_resnet.reporting.charts import Axis, Chart, Series
from keras_resnet.reporting.figures import draw_chart


def test_charts_drawn_in_several_threads_are_those_of_one():
    """Two exports of one process write their reports at once; Matplotlib's settings are those of all threads."""
    charts = [
        Chart(f"chart{number}", "title", f"chart {number}", Axis("x"), Axis("y"), (Series("a", [0, 1], [number, 2]),))
        for number in range(24)
    ]
    draw_chart.cache_clear()
    expected = [draw_chart(chart) for chart in charts]
    draw_chart.cache_clear()
    with ThreadPoolExecutor(8) as pool:
        assert list(pool.map(draw_chart, charts)) == expected
    draw_chart.cache_clear()
