// Verdicts that one can touch: the rule of `unlabeled.claims` once more, for readers who want to try other margins, levels
// and seeds; and the filters of the scorecard. Without JavaScript the static pictures and tables stand.
(function () {
  // The rule. A test of the site compares it with the Python on thousands of cases.

  function logGamma(x) { // Lanczos' approximation, g = 7
    var c = [0.99999999999980993, 676.5203681218851, -1259.1392167224028, 771.32342877765313, -176.61502916214059,
      12.507343278686905, -0.13857109526572012, 9.9843695780195716e-6, 1.5056327351493116e-7];
    if (x < 0.5) return Math.log(Math.PI / Math.sin(Math.PI * x)) - logGamma(1 - x);
    var sum = c[0], t = x + 6.5;
    for (var i = 1; i < 9; i++) sum += c[i] / (x - 1 + i);
    return 0.5 * Math.log(2 * Math.PI) + (x - 0.5) * Math.log(t) - t + Math.log(sum);
  }

  function beta(x, a, b) { // regularised incomplete beta function, by Lentz's continued fraction
    if (x <= 0) return 0;
    if (x >= 1) return 1;
    if (x > (a + 1) / (a + b + 2)) return 1 - beta(1 - x, b, a);
    var front = Math.exp(logGamma(a + b) - logGamma(a) - logGamma(b) + a * Math.log(x) + b * Math.log(1 - x)) / a;
    var tiny = 1e-300, f = 1, C = 1, D = 0;
    for (var i = 0; i < 500; i++) {
      var m = Math.floor(i / 2);
      var term = i === 0 ? 1 : i % 2 ? -(a + m) * (a + b + m) * x / ((a + 2 * m) * (a + 2 * m + 1))
        : m * (b - m) * x / ((a + 2 * m - 1) * (a + 2 * m));
      D = 1 + term * D; D = 1 / (Math.abs(D) < tiny ? tiny : D);
      C = 1 + term / C; C = Math.abs(C) < tiny ? tiny : C;
      f *= C * D;
      if (Math.abs(1 - C * D) < 1e-15) break;
    }
    return front * (f - 1);
  }

  function quantile(df, p) { // of Student's t, p > 1/2, by bisection
    var low = 0, high = 1;
    function above(t) { return 0.5 * beta(df / (df + t * t), df / 2, 0.5); }
    while (above(high) > 1 - p) high *= 2;
    for (var i = 0; i < 100; i++) {
      var middle = (low + high) / 2;
      if (above(middle) > 1 - p) low = middle; else high = middle;
    }
    return (low + high) / 2;
  }

  function evaluate(kind, direction, margin, values, level) {
    var n = values.length;
    if (kind === 'exact') {
      var worst = Math.max.apply(null, values);
      return { estimate: worst, low: null, high: null, outcome: worst <= margin ? 'holds' : 'fails' };
    }
    var mean = values.reduce(function (a, b) { return a + b; }, 0) / n;
    var square = values.reduce(function (sum, value) { return sum + (value - mean) * (value - mean); }, 0);
    var half = quantile(n - 1, (1 + level) / 2) * Math.sqrt(square / (n - 1) / n), low = mean - half, high = mean + half;
    var holds = kind === 'equivalence' ? -margin < low && high < margin : direction === 'greater' ? low > margin : high < margin;
    var fails = kind === 'equivalence' ? low > margin || high < -margin : direction === 'greater' ? high < margin : low > margin;
    return { estimate: mean, low: low, high: high, outcome: holds ? 'holds' : fails ? 'fails' : 'undecided' };
  }

  function verdict(outcomes) {
    var held = outcomes.filter(function (o) { return o === 'holds'; }).length;
    var failed = outcomes.filter(function (o) { return o === 'fails'; }).length;
    if (held === outcomes.length) return 'reproduced';
    if (failed) return held ? 'mixed' : 'not reproduced';
    return 2 * held >= outcomes.length ? 'partly' : 'undecided';
  }

  window.bookRule = { evaluate: evaluate, verdict: verdict };

  // A test that is opened: its seeds as dots, its interval and margin.

  var SVG = 'http://www.w3.org/2000/svg', WIDTH = 600, HEIGHT = 64, EDGE = 14;

  function number(value) {
    var size = Math.abs(value), text = size === 0 ? '0' : size >= 999.5 || size < 1e-3 ? value.toPrecision(3) : String(Number(value.toPrecision(3)));
    return text.replace('-', '−');
  }

  function make(name, attributes, parent, text) {
    var node = name.startsWith('svg:') ? document.createElementNS(SVG, name.slice(4)) : document.createElement(name);
    Object.keys(attributes || {}).forEach(function (key) { node.setAttribute(key, attributes[key]); });
    if (text !== undefined) node.textContent = text;
    if (parent) parent.append(node);
    return node;
  }

  function panel(claim, test) {
    var state = test.state = test.state || { margin: test.margin, level: 0.95, off: new Set() };
    var box = make('div', { class: 'touch', role: 'group', 'aria-label': 'Try other margins and seeds: ' + test.what });
    var ends = test.values.concat(test.kind === 'equivalence' ? [-test.margin, test.margin] : [test.margin], 0);
    var whole = evaluate(test.kind, test.direction, test.margin, test.values, 0.95);
    if (whole.low !== null) ends.push(whole.low, whole.high);
    var first = Math.min.apply(null, ends), last = Math.max.apply(null, ends), span = last - first || 1;
    first -= 0.06 * span; last += 0.06 * span; span = last - first;
    function x(value) { return EDGE + (WIDTH - 2 * EDGE) * Math.min(1, Math.max(0, (value - first) / span)); }

    var svg = make('svg:svg', { viewBox: '0 0 ' + WIDTH + ' ' + HEIGHT, class: 'seeds', role: 'group', 'aria-label': 'Seeds; a press takes one away' }, box);
    make('svg:line', { x1: x(first), x2: x(last), y1: 44, y2: 44, class: 'axis' }, svg);
    make('svg:line', { x1: x(0), x2: x(0), y1: 40, y2: 48, class: 'axis' }, svg);
    make('svg:text', { x: x(0), y: 62, 'text-anchor': 'middle' }, svg, '0');
    var margins = (test.kind === 'equivalence' ? [-1, 1] : [1]).map(function (sign) {
      return { sign: sign, line: make('svg:line', { y1: 4, y2: 50, class: 'margin' }, svg) };
    });
    var interval = make('svg:line', { y1: 32, y2: 32, class: 'interval' }, svg), mean = make('svg:circle', { cy: 32, r: 5, class: 'mean' }, svg);
    var dots = test.values.map(function (value, i) {
      var dot = make('svg:circle', { cx: x(value), cy: 14, r: 6, class: 'seed', tabindex: 0, role: 'button',
        'aria-label': (test.values.length === claim.seeds.length ? 'seed ' + claim.seeds[i] : 'value ' + (i + 1)) + ': ' + number(value) }, svg);
      function press(event) {
        if (event.type === 'keydown' && event.key !== 'Enter' && event.key !== ' ') return;
        event.preventDefault();
        var least = test.kind === 'exact' ? 1 : 2;
        if (state.off.has(i)) state.off.delete(i);
        else if (test.values.length - state.off.size > least) state.off.add(i);
        update();
      }
      dot.addEventListener('click', press);
      dot.addEventListener('keydown', press);
      return dot;
    });

    var row = make('p', { class: 'dials' }, box), label = make('label', {}, row, 'Margin ');
    var low = test.kind === 't' ? first : 0;
    var slider = make('input', { type: 'range', min: low, max: last, step: (last - low) / 400, 'aria-label': 'Margin' }, label);
    slider.value = state.margin;
    var shown = make('output', {}, label), levels = make('label', {}, row, 'Level '), level = make('select', {}, levels);
    [0.8, 0.9, 0.95, 0.99].forEach(function (value) { level.append(new Option(Math.round(100 * value) + ' %', value)); });
    level.value = state.level;
    if (test.kind === 'exact') levels.hidden = true;
    var back = make('button', { type: 'button' }, row, 'As it was'), told = make('p', { role: 'status', class: 'told' }, box);
    slider.addEventListener('input', function () { state.margin = Number(slider.value); update(); });
    level.addEventListener('change', function () { state.level = Number(level.value); update(); });
    back.addEventListener('click', function () {
      state.margin = test.margin; state.level = 0.95; state.off.clear();
      slider.value = state.margin; level.value = state.level;
      update();
    });

    function update() {
      var found = outcome(test);
      dots.forEach(function (dot, i) { dot.setAttribute('aria-pressed', String(!state.off.has(i))); });
      margins.forEach(function (one) { one.line.setAttribute('x1', x(one.sign * state.margin)); one.line.setAttribute('x2', x(one.sign * state.margin)); });
      var a = found.low === null ? found.estimate : found.low, b = found.low === null ? found.estimate : found.high;
      interval.setAttribute('x1', x(a)); interval.setAttribute('x2', x(b));
      mean.setAttribute('cx', x(found.estimate));
      svg.setAttribute('class', 'seeds ' + found.outcome);
      shown.textContent = (test.kind === 'equivalence' ? '±' : '') + number(state.margin);
      var now = verdict(claim.tests.map(function (other) { return other.counted === false ? null : outcome(other).outcome; }).filter(Boolean));
      told.textContent = number(found.estimate) + (found.low === null ? '' : ' [' + number(found.low) + ', ' + number(found.high) + ']') +
        ' on ' + (test.values.length - state.off.size) + ' values: the test ' + (found.outcome === 'undecided' ? 'is undecided' : found.outcome) +
        '. The claim would be ' + now + (now === claim.verdict ? ', as it is.' : '; it is ' + claim.verdict + '.');
    }
    update();
    return box;
  }

  function outcome(test) {
    var state = test.state || { margin: test.margin, level: 0.95, off: new Set() };
    var left = test.values.filter(function (_, i) { return !state.off.has(i); });
    return evaluate(test.kind, test.direction, state.margin, left, state.level);
  }

  function opener(place, claim, test, show) {
    var button = make('button', { type: 'button', class: 'touch-it', 'aria-expanded': 'false', 'aria-label': 'Try it: ' + test.what }, place, 'Try it');
    var box = null;
    button.addEventListener('click', function () {
      if (!box) {
        box = panel(claim, test);
        box.hidden = true;
        if (!show) place.append(box);
      }
      box.hidden = !box.hidden;
      if (show) show(box);
      button.setAttribute('aria-expanded', String(!box.hidden));
    });
  }

  function below(row, tall) { // shows a box in a row of its own, which the cells beside it span too
    var own = null;
    return function (box) {
      if (!own) {
        own = document.createElement('tr');
        make('td', { colspan: 4 + 2 * !tall.length }, own).append(box);
      }
      tall.forEach(function (cell) { cell.rowSpan += box.hidden ? -1 : 1; });
      if (box.hidden) own.remove(); else row.after(own);
    };
  }

  function data(id) {
    var script = document.getElementById(id);
    return script ? JSON.parse(script.textContent) : [];
  }

  document.addEventListener('DOMContentLoaded', function () {
    // A chapter's table of verdicts: a row for each test, in the order of the record.
    var rows = Array.from(document.querySelectorAll('.ledger tbody tr')), at = 0;
    data('chapter-claims').forEach(function (claim) {
      var tall = rows[at] ? Array.from(rows[at].cells).filter(function (cell) { return cell.rowSpan > 1; }) : [];
      claim.tests.forEach(function (test, i) {
        var row = rows[at + i];
        if (row) opener(row.cells[i === 0 ? 1 : 0], claim, test, below(row, tall));
      });
      at += Math.max(1, claim.tests.length);
    });
    scorecard();
  });

  // The scorecard: filters that stand in the address, and tests that open.

  function bare(text) { return text.toLowerCase().normalize('NFKD').replace(/[^\p{L}\p{N}]/gu, ''); }

  function scorecard() {
    var place = document.getElementById('scorecard-filter');
    if (!place) return;
    var claims = Array.from(document.querySelectorAll('details.claim')), records = data('scorecard-claims');
    claims.forEach(function (node, i) {
      node.addEventListener('toggle', function () {
        if (!node.open || node.dataset.ready) return;
        node.dataset.ready = '1';
        node.querySelectorAll('.test').forEach(function (test, j) { opener(test, records[i], records[i].tests[j]); });
      });
    });
    var chapters = Array.from(document.querySelectorAll('details.scorecard-chapter'));
    function select(key, name) {
      var label = make('label', {}, place, name + ' '), box = make('select', {}, label);
      box.append(new Option('all', ''));
      Array.from(new Set(claims.map(function (claim) { return claim.dataset[key]; }))).forEach(function (value) { box.append(new Option(value, value)); });
      box.addEventListener('change', update);
      return box;
    }
    var part = select('part', 'Part'), kind = select('verdict', 'Verdict'), label = make('label', {}, place, 'Text ');
    var text = make('input', { type: 'search' }, label), tell = make('span', { role: 'status' }, place);
    text.addEventListener('input', update);
    var asked = new URLSearchParams(location.search);
    part.value = asked.get('part') || ''; kind.value = asked.get('verdict') || ''; text.value = asked.get('text') || '';
    if (part.selectedIndex < 0) part.value = '';
    if (kind.selectedIndex < 0) kind.value = '';
    document.querySelectorAll('table.scorecard-counts td[data-part]').forEach(function (cell) {
      if (!Number(cell.textContent)) return;
      var button = make('button', { type: 'button', 'aria-label': cell.dataset.label }, null, cell.textContent.trim());
      cell.replaceChildren(button);
      button.addEventListener('click', function () {
        part.value = cell.dataset.part; kind.value = cell.dataset.verdict; text.value = '';
        update();
        place.scrollIntoView({ block: 'start' });
      });
    });
    function update() {
      var shown = 0, word = bare(text.value), filtered = Boolean(part.value || kind.value || word);
      claims.forEach(function (claim) {
        var keep = (!part.value || claim.dataset.part === part.value) && (!kind.value || claim.dataset.verdict === kind.value) &&
          (!word || bare(claim.textContent + ' ' + claim.dataset.chapter).includes(word));
        claim.hidden = !keep;
        shown += keep;
      });
      chapters.forEach(function (chapter) {
        var any = chapter.querySelector('details.claim:not([hidden])');
        chapter.hidden = !any;
        chapter.open = filtered && Boolean(any);
      });
      tell.textContent = shown ? shown + ' of ' + claims.length + ' claims' : 'Nothing found: take a filter away.';
      var query = new URLSearchParams();
      if (part.value) query.set('part', part.value);
      if (kind.value) query.set('verdict', kind.value);
      if (text.value.trim()) query.set('text', text.value.trim());
      var address = location.pathname + (query.size ? '?' + query : '') + location.hash;
      try { history.replaceState(null, '', address); } catch (error) { /* a page opened as a file keeps its address */ }
    }
    update();
  }
})();
