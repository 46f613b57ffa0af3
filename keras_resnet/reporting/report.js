/* What a report does beyond text: plots by Apache ECharts in place of the static figures, tables that sort, images that
   enlarge, commands to copy. Without it the page is whole. Names are foreign text: they only ever become textContent. */
'use strict';

(() => {
  const charts = JSON.parse(document.getElementById('charts').textContent);
  const redraws = [];

  function create(tag, properties = {}, children = []) {
    const element = Object.assign(document.createElement(tag), properties);
    element.append(...children);
    return element;
  }

  function color(name) {
    return getComputedStyle(document.documentElement).getPropertyValue(`--${name}`).trim();
  }

  function seriesColor(number) {
    return color(number ? `c${number}` : 'ink');
  }

  function shown(value) {
    return Number.isInteger(value) ? String(value) : Number(value).toPrecision(4);
  }

  function axisOption(axis, isVertical, categories) {
    const hasNames = axis.names.length > 0;
    return {
      type: categories ? 'category' : 'value', data: categories, inverse: Boolean(categories) || hasNames,
      name: axis.label, nameLocation: 'middle', nameGap: isVertical ? 44 : 30,
      nameTextStyle: { color: color('soft'), fontSize: 12 },
      min: axis.low === null ? undefined : axis.low, max: axis.high === null ? undefined : axis.high,
      scale: axis.low === null, minInterval: axis.is_whole ? 1 : undefined,
      interval: axis.step === null ? undefined : axis.step,
      axisLabel: {
        color: color('ink'), fontSize: 12, hideOverlap: true, interval: categories ? 0 : undefined,
        formatter: hasNames ? (row) => axis.names[row] || '' : undefined,
      },
      axisLine: { show: true, lineStyle: { color: color('line') } }, axisTick: { show: false },
      splitLine: { show: !categories, lineStyle: { color: color('line') } },
    };
  }

  function seriesOption(series, isBar) {
    const own = seriesColor(series.color);
    if (isBar) return { type: 'bar', name: series.name, data: series.y, itemStyle: { color: own } };
    const sizes = series.sizes;
    return {
      type: series.has_line ? 'line' : 'scatter', name: series.name, color: own,
      data: series.x.map((x, row) => ({ value: [x, series.y[row]], symbolSize: sizes[row] || 7 })),
      symbol: series.symbol, showSymbol: sizes.length > 0, itemStyle: { color: own, opacity: 0.9 },
      lineStyle: { color: own, type: series.is_dashed ? 'dashed' : 'solid', width: series.is_thick ? 3 : 2 },
    };
  }

  function tooltip(chart, items) {
    const one = items[0];
    if (chart.y.names.length) {
      return create('div', { className: 'hint' }, [create('p', { textContent: chart.y.names[one.value[1]] }),
        create('div', {}, [create('span', { textContent: chart.x.label }), create('b', { textContent: shown(one.value[0]) })])]);
    }
    const head = chart.categories.length ? one.name : `${chart.x.label}: ${shown(one.value[0])}`;
    const rows = items.map((item) => create('div', {}, [
      create('span', { textContent: item.seriesName }), create('b', {
        textContent: shown(chart.categories.length ? item.value : item.value[1]) })]));
    return create('div', { className: 'hint' }, [create('p', { textContent: head }), ...rows]);
  }

  // Heights in pixels: of what is above the curves, of the curves, of the axis below them, and of a line of the legend.
  const HEIGHTS = { top: 14, curves: 216, axis: 48, line: 22 };

  /* The lines that a legend takes in so many pixels: an icon, a gap and about 7 pixels a letter for each name, once. */
  function legendLines(chart, width) {
    let lines = 1, used = 0;
    for (const name of new Set(chart.series.map((series) => series.name))) {
      const wanted = 41 + 7 * name.length;
      if (used && used + wanted > width) [lines, used] = [lines + 1, 0];
      used += wanted;
    }
    return lines;
  }

  /* Curves are equally high whatever their legend, which is below them. */
  function plotHeight(chart, width) {
    if (chart.categories.length) return 90 + 24 * chart.categories.length;
    const legend = chart.series.length > 1 ? HEIGHTS.line * legendLines(chart, width) + 8 : 0;
    return HEIGHTS.top + curvesHeight(chart) + HEIGHTS.axis + legend;
  }

  /* Named rows are as high as bars. */
  function curvesHeight(chart) {
    return chart.y.names.length ? 24 * (chart.y.names.length + 1) : HEIGHTS.curves;
  }

  function chartOption(chart, width) {
    const isBar = chart.categories.length > 0, hasNames = chart.y.names.length > 0;
    const isPoints = hasNames || chart.series.every((series) => !series.has_line);
    const bySeries = Object.fromEntries(chart.series.map((series) => [series.name, series]));
    const hasLegend = chart.series.length > 1;
    const [x, y] = [axisOption(chart.x, false), axisOption(chart.y, true, isBar ? chart.categories : undefined)];
    if (isBar || hasNames) y.name = '';
    return {
      animation: false, textStyle: { fontFamily: getComputedStyle(document.body).fontFamily },
      grid: {
        left: isBar ? 8 : hasNames ? 6 + 7 * Math.max(...chart.y.names.map(({ length }) => length)) : 62,
        right: 22, top: HEIGHTS.top, containLabel: isBar,
        ...(isBar ? { bottom: HEIGHTS.axis } : { height: curvesHeight(chart) }),
      },
      legend: {
        show: hasLegend, type: 'plain', top: HEIGHTS.top + curvesHeight(chart) + HEIGHTS.axis, left: 0, width: width - 8, itemWidth: 22, itemGap: 14,
        data: Object.values(bySeries).map(({ name, has_line: hasLine, sizes }) => (
          { name, itemStyle: { opacity: hasLine && !sizes.length ? 0 : 1 } })),
        textStyle: { color: color('ink'), fontSize: 12 }, inactiveColor: color('soft'),
      },
      tooltip: {
        trigger: isPoints ? 'item' : 'axis', confine: true, backgroundColor: color('page'),
        borderColor: color('line'), textStyle: { color: color('ink'), fontSize: 12 },
        formatter: (items) => tooltip(chart, [items].flat()),
      },
      xAxis: x, yAxis: y, series: chart.series.map((series) => seriesOption(series, isBar)),
    };
  }

  function drawChart(figure) {
    const chart = charts[figure.dataset.chart];
    const place = create('div', { className: 'plot' });
    place.setAttribute('role', 'img');
    place.setAttribute('aria-label', chart.description);
    figure.querySelector('.static').after(place);
    figure.classList.add('live');
    const plot = echarts.init(place, null, { renderer: 'svg' });
    const draw = () => {
      place.style.height = `${plotHeight(chart, place.clientWidth)}px`;
      plot.resize();
      plot.setOption(chartOption(chart, place.clientWidth), true);
    };
    draw();
    redraws.push(draw);
    new ResizeObserver(() => { if (place.clientWidth && place.clientWidth !== plot.getWidth()) draw(); }).observe(place);
  }

  function drawCharts() {
    if (typeof echarts === 'undefined') return;
    for (const figure of document.querySelectorAll('figure[data-chart]')) drawChart(figure);
    matchMedia('(prefers-color-scheme: dark)').addEventListener('change', () => {
      for (const draw of redraws) draw();
    });
  }

  function sortValue(row, column) {
    const cell = row.cells[column];
    const text = cell.dataset.value === undefined ? cell.textContent.trim() : cell.dataset.value;
    const number = parseFloat(text.replace(/,/g, ''));
    return { text, number: /^[-+]?[\d.,]+(e[-+]?\d+)?\s*%?$/i.test(text) ? number : NaN };
  }

  function sortTable(table, column, ascending) {
    const body = table.tBodies[0];
    const rows = Array.from(body.rows, (row) => ({ row, ...sortValue(row, column) }));
    const areNumbers = rows.every(({ number }) => !Number.isNaN(number));
    const compare = areNumbers ? (a, b) => a.number - b.number
      : (a, b) => a.text.localeCompare(b.text, undefined, { numeric: true });
    rows.sort((a, b) => (ascending ? compare(a, b) : compare(b, a)));
    body.append(...rows.map(({ row }) => row));
  }

  function makeSortable(table) {
    const heads = Array.from(table.tHead.rows[0].cells);
    heads.forEach((head, column) => {
      const button = create('button', { type: 'button', textContent: head.textContent, title: 'Sort' });
      head.replaceChildren(button);
      button.addEventListener('click', () => {
        const ascending = head.getAttribute('aria-sort') !== 'ascending';
        for (const each of heads) each.removeAttribute('aria-sort');
        head.setAttribute('aria-sort', ascending ? 'ascending' : 'descending');
        sortTable(table, column, ascending);
      });
    });
  }

  function enlarge(figure) {
    const dialog = document.getElementById('enlarged');
    const images = Array.from(figure.querySelectorAll('.images > div'), (each) => {
      const copy = each.cloneNode(true);
      copy.querySelector('button').replaceWith(copy.querySelector('img'));
      return copy;
    });
    const close = create('button', { type: 'button', className: 'close', textContent: 'Close' });
    close.addEventListener('click', () => dialog.close());
    dialog.replaceChildren(close, create('div', { className: 'images' }, images),
      create('p', {}, Array.from(figure.querySelector('figcaption').cloneNode(true).childNodes)));
    dialog.showModal();
  }

  function makeEnlargeable(figure) {
    for (const image of figure.querySelectorAll('img')) {
      const button = create('button', { type: 'button', className: 'enlarge' });
      button.setAttribute('aria-label', `Enlarge ${image.alt}`);
      image.replaceWith(button);
      button.append(image);
      button.addEventListener('click', () => enlarge(figure));
    }
  }

  async function copyText(element) {
    try {
      await navigator.clipboard.writeText(element.textContent);
    } catch {
      getSelection().selectAllChildren(element);
      document.execCommand('copy');
    }
  }

  function makeCopyable(command) {
    const button = create('button', { type: 'button', className: 'copy', textContent: 'Copy' });
    button.addEventListener('click', async () => {
      await copyText(command.querySelector('code'));
      button.textContent = 'Copied';
      setTimeout(() => { button.textContent = 'Copy'; }, 2000);
    });
    command.append(button);
  }

  document.querySelectorAll('table.sortable').forEach(makeSortable);
  document.querySelectorAll('figure.sample').forEach(makeEnlargeable);
  document.querySelectorAll('.command').forEach(makeCopyable);
  document.getElementById('enlarged').addEventListener('click', (event) => {
    if (event.target === event.currentTarget) event.currentTarget.close();
  });
  drawCharts();
  document.documentElement.dataset.ready = 'true';
})();
