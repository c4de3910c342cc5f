'use strict';
(() => {
  const SPAN_MS = 300_000, BIN_MS = 3_000, SILENCE_MS = 3_500, HANG_MS = 10_000, SOON_DAYS = 21, LINES_MAX = 12;
  const SVG = 'http://www.w3.org/2000/svg';
  const $ = (id) => document.getElementById(id);

  // Elements: every text goes in as text, never as markup.
  function fill(node, attributes, children) {
    for (const [name, value] of Object.entries(attributes || {})) {
      if (value === null || value === undefined || value === false) continue;
      if (name === 'on') for (const [kind, act] of Object.entries(value)) node.addEventListener(kind, act);
      else if (name === 'width%') node.style.width = `${value}%`;
      else if (name === 'flex') node.style.flex = String(value);
      else node.setAttribute(name, String(value));
    }
    for (const child of children.flat(Infinity)) {
      if (child === null || child === undefined || child === false) continue;
      node.append(child instanceof Node ? child : String(child));
    }
    return node;
  }
  const el = (name, attributes, ...children) => fill(document.createElement(name), attributes, children);
  const svg = (name, attributes, ...children) => fill(document.createElementNS(SVG, name), attributes, children);
  const calm = (text) => el('p', { class: 'calm' }, text);

  // A part of the page is drawn anew only when what it shows has changed, so that a selection stays.
  const shown = new Map();
  function part(id, data, draw) {
    const signature = JSON.stringify(data);
    if (shown.get(id) === signature) return;
    shown.set(id, signature);
    $(id).replaceChildren(...[draw(data)].flat());
  }

  // Numbers and times.
  const whole = new Intl.NumberFormat('en');
  const count = (value) => (value === null || value === undefined ? '–' : whole.format(value));
  const rate = (value) => (value >= 100 ? whole.format(Math.round(value)) : value >= 10 ? value.toFixed(1) : value > 0 && value < 0.1 ? value.toFixed(2) : value.toFixed(1));
  const plural = (number, word) => `${count(number)} ${word}${number === 1 ? '' : 's'}`;
  function bytes(value) {
    const units = ['B', 'kB', 'MB', 'GB', 'TB'];
    let at = 0;
    while (value >= 1000 && at < units.length - 1) { value /= 1000; at += 1; }
    return [at === 0 || value >= 100 ? String(Math.round(value)) : value.toFixed(1), units[at]];
  }
  function span(seconds) {
    if (seconds === null || seconds === undefined) return '–';
    if (seconds < 0.001) return `${Number((seconds * 1e6).toPrecision(2))} µs`;
    if (seconds < 1) return `${Number((seconds * 1e3).toPrecision(2))} ms`;
    if (seconds < 120) return `${Number(seconds.toPrecision(2))} s`;
    if (seconds < 7200) return `${Math.floor(seconds / 60)} min`;
    if (seconds < 172800) return `${Math.floor(seconds / 3600)} h`;
    return `${Math.floor(seconds / 86400)} days`;
  }
  const two = (number) => String(number).padStart(2, '0');
  function clockTime(text) {
    const at = new Date(text);
    return Number.isNaN(at.getTime()) ? '–' : `${two(at.getHours())}:${two(at.getMinutes())}:${two(at.getSeconds())}`;
  }
  function moment(text, now) {
    if (new Date(now) - new Date(text) < 43_200_000) return clockTime(text);
    return new Date(text).toLocaleDateString('en-GB', { day: 'numeric', month: 'short', year: 'numeric' });
  }
  const day = (text) => String(text || '').slice(0, 10);
  const since = (then, now) => span(Math.max(0, Math.floor((new Date(now) - new Date(then)) / 1000)));
  const words = (name) => String(name).replaceAll('_', ' ');

  // The state in one word, a sign with a shape of its own, and a sentence.
  const SIGNS = {
    serving: 'M15 25l6.5 6.5L34 17.5', observing: 'M9 24s5.5-9 15-9 15 9 15 9-5.5 9-15 9-15-9-15-9zM24 21.500a2.500 2.500 0 1 0 .01 0',
    degraded: 'M24 13v14M24 34.500v.01', stale: 'M24 14v11l7 5', lost: 'M16 16l16 16M32 16L16 32', waiting: 'M15 24h.01M24 24h.01M33 24h.01', leaving: 'M24 12v11M16.500 17a11 11 0 1 0 15 0',
  };
  const STATES = {
    serving: ['Serving', 'serving', 'Tokens are judged, and those that were logged out are refused.'],
    observing: ['Observing', 'observing', ''],
    degraded: ['Degraded', 'degraded', 'Customers should go elsewhere until this is mended.'],
    stale: ['Stale', 'stale', 'This node serves, but it may lack logouts of other nodes.'],
    starting: ['Starting', 'waiting', 'Nothing is served yet.'],
    restoring: ['Restoring', 'waiting', 'Revocations are being read. Requests with credentials are answered 503.'],
    syncing: ['Syncing', 'waiting', 'This node compares itself with the others. Until then, requests with credentials are answered 503.'],
    draining: ['Draining', 'leaving', 'Balancers are sent elsewhere.'],
    stopping: ['Stopping', 'leaving', 'Requests in flight are being finished.'],
  };
  function stateOf(status) {
    if (status.state !== 'serving') return status.state;
    if (!status.ready) return 'degraded';
    return status.shops.some((shop) => shop.observed_in_words) ? 'observing' : 'serving';
  }
  function sentenceOf(state, status) {
    const bad = status.checks.filter((check) => check.state === 'bad');
    if (state === 'degraded' && bad.length > 0) return `${bad[0].what}: ${bad[0].found}.`;
    if (state === 'observing') {
      const observed = status.shops.filter((shop) => shop.observed_in_words);
      const told = observed.map((shop) => `shop ${shop.name} is ${shop.observed_in_words}`);
      return `Everything is judged and nothing is refused there: ${told.join('; ')}.`;
    }
    return (STATES[state] || ['', '', ''])[2];
  }
  function drawState(state, title, sentence) {
    const sign = (STATES[state] || ['', state === 'lost' ? 'lost' : 'waiting'])[1];
    $('hero').dataset.state = state;
    $('state').textContent = title;
    $('sentence').textContent = sentence;
    part('sign', sign, () => [svg('circle', { class: 'ring', cx: 24, cy: 24, r: 21 }), svg('path', { class: 'mark', d: SIGNS[sign] })]);
    document.title = `${title} – Doorward`;
  }
  function drawHero(status) {
    const state = stateOf(status);
    $('hero').dataset.pid = status.pid;
    drawState(state, (STATES[state] || [words(state)])[0], sentenceOf(state, status));
    const reload = status.configuration.last_reload || { succeeded: true };
    const reloaded = reload.succeeded ? `${since(status.configuration.loaded_at, status.at)} ago` : `failed ${since(reload.at, status.at)} ago`;
    const facts = [
      ['Since', moment(status.since, status.at)], ['Running for', span(status.uptime_s)],
      ['Configuration', reloaded], ['Shops', count(status.shops.length)], ['In flight', count(status.requests_in_flight)], ['Connections', count(status.connections)],
    ];
    part('facts', facts, () => facts.map(([name, value]) => el('div', {}, el('dt', {}, name), el('dd', {}, value))));
    $('who').textContent = [status.node, `version ${status.version}`].filter(Boolean).join(' · ');
    $('foot').textContent = (status.listeners || []).map((one) => `${one.for}: ${one.address}`).join(' · ');
  }

  const TONES = { good: ['good', '✓', 'good'], odd: ['odd', '!', 'look at this'], bad: ['bad', '×', 'bad'] };
  function checkLine(check) {
    const [tone, sign, name] = TONES[check.state] || TONES.odd;
    return el('li', {}, el('span', { class: 'mark', 'data-tone': tone, role: 'img', 'aria-label': name }, sign),
      el('div', {}, el('span', { class: 'what' }, check.what), ' ', el('span', { class: 'found' }, check.found)));
  }
  /** What no check is about, because no other process would do better, and what an operator should know all the same. */
  function besides(status) {
    const servers = status.upstreams.flatMap((pool) => pool.servers.filter((server) => server.state === 'unhealthy')
      .map((server) => [pool.upstream ? `upstream ${pool.upstream}` : `shop ${pool.shop}`, `${server.server} is unhealthy`]));
    const nodes = (status.cluster ? status.cluster.peers : []).filter((peer) => !peer.is_connected).map((peer) => [`node ${peer.node}`, 'not connected']);
    const ends = status.certificates.filter((one) => one.days_left < SOON_DAYS).map((one) => [`certificate ${one.certificate}`, `${plural(one.days_left, 'day')} left`]);
    const missed = status.near_misses.reduce((sum, one) => sum + one.count, 0);
    const misses = missed > 0 ? [['near misses', `${plural(missed, 'call')} looked like a logout and revoked nothing`]] : [];
    return [...servers, ...nodes, ...ends, ...misses].map(([what, found]) => ({ what, found, state: 'odd' }));
  }
  function drawAttention(status) {
    const order = { bad: 0, odd: 1, good: 2 };
    const checks = [...status.checks].sort((one, other) => order[one.state] - order[other.state]);
    const wanting = checks.filter((check) => check.state !== 'good');
    if (!status.configuration.last_reload.succeeded && status.configuration.last_reload.error) {
      wanting.push({ what: 'last reload', found: status.configuration.last_reload.error, state: 'odd' });
    }
    wanting.push(...besides(status));
    if (wanting.length > LINES_MAX) {
      const more = wanting.splice(LINES_MAX).length;
      wanting.push({ what: `and ${count(more)} more`, found: 'below and in all checks', state: 'odd' });
    }
    const nothing = [{ what: 'Nothing.', found: `All ${plural(checks.length, 'check')} are good.`, state: 'good' }];
    part('attention-list', wanting.length > 0 ? wanting : nothing, (list) => list.map(checkLine));
    $('checks-summary').textContent = `All ${plural(checks.length, 'check')}`;
    part('checks', checks, (list) => list.map(checkLine));
  }

  // The history: [ms, requests, refusals, logouts, live, bytes], counted since the start.
  let points = [];
  const LANES = [['requests', 'Requests', 1], ['refusals', 'Refusals', 2], ['logouts', 'Logouts', 3]];
  function addPoint(point) {
    const last = points.at(-1);
    if (last && (point[0] < last[0] || point[1] < last[1])) points = []; // another process, or another time
    if (!last || point[0] !== last[0]) points.push(point);
    while (points.length > 0 && points[0][0] < point[0] - SPAN_MS - BIN_MS) points.shift();
  }
  /** What had been counted by a moment, between two points; null: nothing is known of it. */
  function countedBy(at, which) {
    let after = points.findIndex((point) => point[0] >= at);
    if (after === -1) return null;
    if (after === 0) return points[0][0] === at ? points[0][which] : null;
    const [from, to] = [points[after - 1], points[after]];
    return from[which] + ((to[which] - from[which]) * (at - from[0])) / (to[0] - from[0]);
  }
  function ratesOf(which) {
    if (points.length < 2) return [];
    const end = Math.floor(points.at(-1)[0] / BIN_MS) * BIN_MS;
    const rates = [];
    for (let at = end - SPAN_MS; at < end; at += BIN_MS) {
      const [before, after] = [countedBy(at, which), countedBy(at + BIN_MS, which)];
      rates.push(before === null || after === null ? null : Math.max(0, (after - before) / (BIN_MS / 1000)));
    }
    return rates;
  }
  function rateNow(which) {
    const last = points.at(-1);
    const first = points.find((point) => last && point[0] >= last[0] - 5_500);
    if (!last || !first || first === last) return 0;
    return Math.max(0, ((last[which] - first[which]) * 1000) / (last[0] - first[0]));
  }
  const rounded = (most) => { const step = 10 ** Math.floor(Math.log10(most)); return Math.ceil(most / step) * step; };
  function lane([name, title, which]) {
    const rates = ratesOf(which), now = rateNow(which);
    const most = Math.max(0, ...rates.filter((one) => one !== null));
    const top = most > 0 ? rounded(most) : 1;
    const wide = 600, high = 62, step = wide / (SPAN_MS / BIN_MS);
    const bars = rates.map((one, at) => {
      if (one === null) return null;
      const height = one > 0 ? Math.max(2, (one / top) * (high - 4)) : 0;
      return height > 0 ? svg('rect', { x: (at * step + 0.8).toFixed(1), y: (high - height).toFixed(1), width: (step - 1.6).toFixed(1), height: height.toFixed(1), rx: 1.5, fill: 'currentColor' }) : null;
    });
    const told = `${title} a second: ${rate(now)} now, at most ${rate(most)} in the last five minutes`;
    return el('div', { class: 'lane', 'data-of': name },
      el('div', { class: 'head' }, el('span', { class: 'label' }, el('i', { 'aria-hidden': 'true' }), title, el('span', { class: 'quiet' }, `a second${most > 0 ? `, peak ${rate(most)}` : ''}`)), el('b', { 'data-rate': name }, rate(now))),
      svg('svg', { viewBox: `0 0 ${wide} ${high}`, preserveAspectRatio: 'none', role: 'img', 'aria-label': told },
        svg('line', { class: 'top-line', x1: 0, x2: wide, y1: 3.5, y2: 3.5, 'vector-effect': 'non-scaling-stroke' }), bars,
        svg('line', { class: 'base', x1: 0, x2: wide, y1: high - 0.5, y2: high - 0.5, 'vector-effect': 'non-scaling-stroke' })));
  }
  function drawLanes() {
    $('lanes').replaceChildren(...LANES.map(lane), el('div', { class: 'axis', 'aria-hidden': 'true' }, ['5 min ago', '4', '3', '2', '1', 'now'].map((text) => el('span', {}, text))));
  }
  function spark(which, title) {
    const values = points.map((point) => [point[0], point[which]]);
    if (values.length < 2) return svg('svg', { viewBox: '0 0 100 26', 'aria-hidden': 'true' });
    const end = values.at(-1)[0], least = Math.min(...values.map((one) => one[1])), most = Math.max(...values.map((one) => one[1]));
    const place = ([at, value]) => `${(100 - ((end - at) / SPAN_MS) * 100).toFixed(2)},${(most === least ? 22 : 23 - ((value - least) / (most - least)) * 20).toFixed(1)}`;
    return svg('svg', { viewBox: '0 0 100 26', preserveAspectRatio: 'none', role: 'img', 'aria-label': `${title} over five minutes: from ${count(values[0][1])} to ${count(values.at(-1)[1])}` },
      svg('polyline', { points: values.map(place).join(' '), fill: 'none', stroke: 'currentColor', 'stroke-width': 1.6, 'vector-effect': 'non-scaling-stroke' }));
  }
  function drawTiles(status) {
    const kept = status.revocations, [size, unit] = bytes(kept.bytes);
    const { judging, journal } = status.times;
    const figure = (times) => { const [value, unit] = span(times.p99_s).split(' '); return [value, unit, counts(times) ? histogram(times.buckets) : null]; };
    const tiles = [
      ['Live revocations', count(kept.live), '', spark(4, 'Live revocations')],
      ['Memory of revocations', size, unit, spark(5, 'Memory of revocations')],
      ['Logouts', count(status.totals.logouts.revoked || 0), 'in all', spark(3, 'Logouts')],
      ['Refusals', count(refusals(status.totals.decisions).reduce((sum, [, number]) => sum + number, 0)), 'in all', spark(2, 'Refusals')],
      ['Judging, 99 % within', ...figure(judging)],
      ['Journal, 99 % within', ...figure(journal)],
    ];
    $('tiles').replaceChildren(...tiles.map(([name, value, small, picture]) =>
      el('div', { class: 'tile' }, el('p', { class: 'name' }, name), el('p', { class: 'value' }, value, small ? el('small', {}, ` ${small}`) : null), picture)));
  }

  const HARMLESS = ['forwarded', 'redirected', 'logout', 'logout_declined'];
  const refusals = (decisions) => Object.entries(decisions).filter(([name, number]) => !HARMLESS.includes(name) && number > 0).sort((one, other) => other[1] - one[1]);
  const share = (number, all) => el('span', { class: number > 0 ? 'some' : null, 'width%': all > 0 ? (number / all) * 100 : 0 });
  function bar(name, number, most, extra) {
    return el('div', { class: 'bar-row', ...extra }, el('span', { class: 'name' }, name), el('span', { class: 'number' }, count(number)),
      el('div', { class: 'meter', 'data-kind': extra && extra['data-kind'], 'aria-hidden': 'true' }, share(number, most)));
  }
  function drawReasons(status) {
    const { decisions, would_refuse: would } = status.totals;
    part('reasons', [decisions, would], () => {
      const refused = refusals(decisions), all = refused.reduce((sum, [, number]) => sum + number, 0);
      const forwarded = (decisions.forwarded || 0) + (decisions.redirected || 0), logouts = (decisions.logout || 0) + (decisions.logout_declined || 0);
      const observed = Object.entries(would).filter(([, number]) => number > 0).sort((one, other) => other[1] - one[1]);
      if (forwarded + logouts + all === 0) return calm('No request was judged yet. The first one appears here within a second.');
      const most = Math.max(...refused.map(([, number]) => number), ...observed.map(([, number]) => number), 1);
      return [
        el('div', { class: 'split', 'aria-hidden': 'true' }, el('span', { class: 'f', flex: forwarded }), el('span', { class: 'l', flex: logouts }), el('span', { class: 'r', flex: all })),
        el('p', { class: 'legend' }, [['f', 'forwarded', forwarded], ['l', 'logouts', logouts], ['r', 'refused', all]].map(([kind, name, number]) => el('span', {}, el('i', { class: kind, 'aria-hidden': 'true' }), name, ' ', el('b', {}, count(number))))),
        refused.map(([name, number]) => bar(words(name), number, most, { 'data-tone': 'refusal' })),
        decisions.logout_declined > 0 ? bar('logout declined by the shop', decisions.logout_declined, most, {}) : null,
        observed.length > 0 ? el('h3', {}, 'Would be refused') : null,
        observed.map(([name, number]) => bar(words(name), number, most, { 'data-kind': 'would' })),
      ].flat().filter(Boolean);
    });
  }

  const counts = (times) => (times.buckets || []).some(([, number]) => number > 0);
  function histogram(buckets) {
    const first = buckets.findIndex(([, number]) => number > 0), last = buckets.findLastIndex(([, number]) => number > 0);
    const used = buckets.slice(Math.max(0, first - 1), last + 2), most = Math.max(...used.map(([, number]) => number));
    const wide = 300 / Math.max(used.length, 8);
    return svg('svg', { viewBox: '0 0 300 34', preserveAspectRatio: 'none', 'aria-hidden': 'true' }, used.map(([, number], at) => {
      const height = number > 0 ? Math.max(2, (number / most) * 31) : 0;
      return svg('rect', { x: (at * wide + 1).toFixed(1), y: (33 - height).toFixed(1), width: (wide - 2).toFixed(1), height: height.toFixed(1), rx: 1.5, fill: 'currentColor' });
    }), svg('line', { class: 'base', x1: 0, x2: 300, y1: 33.5, y2: 33.5, 'vector-effect': 'non-scaling-stroke' }));
  }
  function drawTimes(status) {
    const rows = [['judging', 'Judging a request'], ['journal', 'A logout to disk'], ['propagation', 'Propagation'], ['requests', 'A whole request']];
    const told = rows.map(([name, title]) => [name, title, status.times[name]]).filter(([name]) => name !== 'propagation' || status.cluster);
    part('times', told, () => told.map(([name, title, times]) => {
      const counted = counts(times);
      return el('div', { class: 'time', 'data-time': name }, el('div', { class: 'head' }, el('span', {}, title), el('span', { class: 'quiet' }, counted ? ['half in ', el('b', {}, span(times.p50_s)), ', 99 % in ', el('b', {}, span(times.p99_s))] : 'nothing yet')), counted ? histogram(times.buckets) : null);
    }));
  }

  function drawCluster(status) {
    const lag = (peer) => (peer.is_connected ? `all known until ${span(peer.silent_ms / 1000)} ago` : `lost, known until ${span(peer.silent_ms / 1000)} ago`);
    part('cluster', status.cluster, (cluster) => {
      if (!cluster) return calm('One node, alone: there is no [cluster] in the configuration.');
      if (cluster.peers.length === 0) return [el('p', {}, `${cluster.node}: ${cluster.state}. `, el('span', { class: 'quiet' }, cluster.why)), calm('No other node is known.')];
      const row = 46, high = Math.max(cluster.peers.length * row, 60), middle = high / 2;
      const peers = cluster.peers.map((peer, at) => {
        const y = at * row + row / 2;
        return [
          svg('path', { d: `M34 ${middle} C 74 ${middle} 56 ${y} 98 ${y}`, fill: 'none', stroke: 'currentColor', 'stroke-width': 1.8, 'stroke-dasharray': peer.is_connected ? null : '3 5' }),
          peer.is_connected ? svg('circle', { cx: 106, cy: y, r: 7, fill: 'currentColor' }) : svg('path', { d: `M101 ${y - 5}l10 10M111 ${y - 5}l-10 10`, stroke: 'currentColor', 'stroke-width': 2.5 }),
          svg('text', { x: 122, y: y - 3 }, `${peer.node} – ${peer.state}`),
          svg('text', { x: 122, y: y + 12, class: 'quiet' }, lag(peer)),
        ];
      });
      return [
        svg('svg', { class: 'cluster-picture', viewBox: `0 0 300 ${high}`, role: 'img', 'aria-label': cluster.peers.map((peer) => `${peer.node}: ${peer.state}, ${lag(peer)}`).join('; ') },
          svg('circle', { cx: 22, cy: middle, r: 12, fill: 'none', stroke: 'currentColor', 'stroke-width': 3 }), svg('circle', { cx: 22, cy: middle, r: 5, fill: 'currentColor' }), peers),
        cluster.peers.filter((peer) => Math.abs(peer.clock_ahead_ms || 0) >= 100).map((peer) => el('p', {}, `The clock of ${peer.node} is ${Math.abs(peer.clock_ahead_ms)} ms ${peer.clock_ahead_ms > 0 ? 'ahead' : 'behind'}.`)),
        el('p', { class: 'quiet' }, `This node, ${cluster.node}: ${cluster.state}${cluster.why ? `; ${cluster.why}` : ''}.`),
      ].flat();
    });
  }

  const shape = (tone) => svg('svg', { viewBox: '0 0 12 12', width: 12, height: 12, 'aria-hidden': 'true' },
    tone === 'good' ? svg('circle', { cx: 6, cy: 6, r: 5, fill: 'currentColor' }) : tone === 'odd' ? svg('path', { d: 'M6 1l5.500 10h-11z', fill: 'currentColor' }) : tone === 'idle' ? svg('circle', { cx: 6, cy: 6, r: 4, fill: 'none', stroke: 'currentColor', 'stroke-width': 2 }) : svg('path', { d: 'M2 2l8 8M10 2l-8 8', stroke: 'currentColor', 'stroke-width': 2.6 }));
  const chip = (tone, name, state, extra) => el('div', { class: 'chip', 'data-tone': tone }, shape(tone), el('span', { class: 'name' }, name, extra ? el('span', { class: 'quiet' }, ` ${extra}`) : null), el('span', { class: 'state' }, state));
  function drawUpstreams(status) {
    part('upstreams', status.upstreams, (pools) => {
      if (pools.length === 0) return calm('There are no upstreams.');
      return pools.flatMap((pool) => [
        el('h3', {}, pool.upstream ? `upstream ${pool.upstream}` : `shop ${pool.shop}`, pool.waiting ? el('span', { class: 'quiet' }, ` ${plural(pool.waiting, 'request')} waiting`) : null),
        ...pool.servers.map((server) => chip(server.state === 'healthy' ? 'good' : server.state === 'unhealthy' ? 'bad' : server.state === 'untried' ? 'idle' : 'odd', server.server, words(server.state),
          [server.in_flight > 0 ? `${count(server.in_flight)} in flight` : '', server.failures > 0 ? plural(server.failures, 'failure') : ''].filter(Boolean).join(', '))),
      ]);
    });
  }
  function drawKeys(status) {
    const told = status.shops.map((shop) => ({ name: shop.name, keys: shop.keys, now: shop.keys.map((ring) => (ring.fetched_at ? since(ring.fetched_at, status.at) : null)) }));
    part('keys', told, (shops) => {
      const blocks = shops.flatMap((shop) => shop.keys.flatMap((ring, at) => {
        const all = ring.keys.reduce((sum, key) => sum + key.verified, 0);
        const fetched = ring.fetched_at ? `, fetched ${shop.now[at]} ago` : '';
        if (ring.keys.length === 0 && ring.from === 'configuration') return [];
        return [
          el('h3', {}, `shop ${shop.name}`, el('span', { class: 'quiet' }, ` from ${ring.from}${fetched}`)),
          ring.failure ? chip('odd', 'the last fetch failed', ring.failure) : null,
          ring.keys.length === 0 && ring.from !== 'configuration' ? chip('bad', 'no key: no token can be verified', 'none') : null,
          ring.keys.map((key) => el('div', { class: 'bar-row' }, el('span', { class: 'name' }, key.name, el('span', { class: 'quiet' }, ` ${key.kind}, ${key.algorithms.join(', ')}`)), el('span', { class: 'number' }, key.verified > 0 ? `${plural(key.verified, 'token')}` : el('span', { class: 'badge', 'data-tone': 'odd' }, 'no token verified')), el('div', { class: 'meter', 'aria-hidden': 'true' }, share(key.verified, all)))),
        ].flat().filter(Boolean);
      }));
      return blocks.length > 0 ? blocks : calm('No shop verifies tokens with a key.');
    });
  }
  function drawCertificates(status) {
    part('certificates', status.certificates, (all) => {
      if (all.length === 0) return calm('No address speaks TLS.');
      return all.map((one) => {
        const tone = one.days_left < 7 ? 'bad' : one.days_left < SOON_DAYS ? 'odd' : 'good';
        return el('div', { class: 'bar-row', 'data-tone': tone }, el('span', { class: 'name' }, one.certificate, el('span', { class: 'quiet' }, ` until ${day(one.ends)}`)), el('span', { class: 'number' }, `${tone === 'good' ? '' : '! '}${plural(one.days_left, 'day')} left`), el('div', { class: 'meter', 'aria-hidden': 'true' }, share(Math.min(one.days_left, 90), 90)));
      });
    });
  }
  function drawPlaces(status) {
    const places = status.shops.flatMap((shop) => shop.places.map((place) => ({ shop: shop.name, ...place }))).sort((one, other) => other.protects_nothing - one.protects_nothing);
    const unjudged = status.shops.flatMap((shop) => (shop.unjudged_routes || []).map((route) => ({ shop: shop.name, route })));
    part('places', [places, unjudged], () => [
      places.length === 0 ? calm('No place is configured.') : null,
      ...places.map((place) => chip(place.protects_nothing ? 'odd' : place.tokens > 0 ? 'good' : 'idle', `${place.shop}: ${place.place}`, place.protects_nothing ? 'protects nothing' : plural(place.tokens, 'token'), place.other_values > 0 ? `${plural(place.other_values, 'other value')}` : '')),
      ...unjudged.map((one) => chip('odd', `${one.shop}: route ${one.route}`, 'not enforced')),
    ].filter(Boolean));
  }
  function drawMisses(status) {
    part('misses', status.near_misses, (list) => {
      if (list.length === 0) return calm('None.');
      const most = Math.max(...list.map((one) => one.count));
      return list.map((one) => bar([el('code', {}, one.path), el('span', { class: 'quiet' }, ` shop ${one.shop}`)], one.count, most, { 'data-tone': 'odd' }));
    });
  }
  function drawStore(status) {
    const { revocations: kept, journal } = status, [size, unit] = bytes(journal.bytes || 0);
    part('store', [kept, journal], () => {
      const most = Math.max(kept.tokens, kept.undated_tokens, kept.cutoffs, 1);
      return [
        bar('tokens', kept.tokens, most), bar('tokens without a known end', kept.undated_tokens, most), bar('cutoffs of customers and shops', kept.cutoffs, most),
        chip(journal.writable ? 'good' : 'bad', `journal, ${size} ${unit}`, journal.writable ? 'writable' : 'can’t be written', journal.failures > 0 ? plural(journal.failures, 'failed write') : plural(journal.commits, 'commit')),
      ];
    });
  }

  // The decisions, each a button that leads to its explanation.
  let which = 'others', last = null;
  const VERDICTS = { forwarded: 'good', logout: 'good', refused: 'odd', cut_off: 'odd', logout_declined: 'odd' };
  function decisionRow(one) {
    const tone = one.would ? 'watch' : VERDICTS[one.verdict] || 'none';
    const verdict = one.would ? `would refuse: ${words(one.would)}` : one.reason ? words(one.reason) + (one.detail && one.reason !== 'revoked' ? `: ${words(one.detail)}` : '') : words(one.verdict);
    const name = one.token ? `token ${one.token}` : one.request.length > 14 ? `${one.request.slice(0, 12)}…` : one.request;
    return el('tr', {},
      el('td', { class: 'number' }, clockTime(one.time)),
      el('td', {}, el('span', { class: 'badge', 'data-tone': tone }, verdict)),
      el('td', { class: 'whole' }, el('code', {}, [one.method, one.path].filter(Boolean).join(' ') || '–'), el('span', { class: 'quiet' }, one.shop ? ` ${one.shop}` : '')),
      el('td', { class: 'right' }, one.status || '–'),
      el('td', { class: 'whole' }, el('button', { type: 'button', 'aria-label': `Explain ${verdict}, request ${one.request}`, on: { click: () => explain(one.request) } }, el('span', { class: 'mono' }, name))));
  }
  // A row stays the same element while it is listed, so that no click and no focus is lost; and the list holds still under
  // the pointer.
  let rows = new Map();
  function rowsOf(list) {
    const named = list.map((one) => [`${one.request} ${one.time} ${one.verdict}`, one]);
    rows = new Map(named.map(([key, one]) => [key, rows.get(key) || decisionRow(one)]));
    return rows.values();
  }
  function arrange(body, wanted) {
    let at = body.firstChild;
    for (const row of wanted) {
      if (row === at) at = at.nextSibling;
      else body.insertBefore(row, at);
    }
    while (at) { const next = at.nextSibling; at.remove(); at = next; }
  }
  const isHeld = () => matchMedia('(hover: hover)').matches && $('decisions').matches(':hover') && !$('panel').open;
  function drawDecisions(decisions, isForced) {
    last = decisions;
    const list = decisions[which];
    $('held').hidden = isForced || !isHeld();
    if (!$('held').hidden && $('decisions').querySelector('tbody')) return;
    part('decisions', [which, list.length === 0], () => {
      if (list.length === 0) return calm(which === 'others' ? 'Nothing was refused or logged out yet.' : 'Nothing was forwarded yet.');
      rows.clear();
      return el('table', {}, el('thead', {}, el('tr', {}, ['Time', 'What', 'Request', 'Status', 'Why'].map((title) => el('th', { scope: 'col', class: title === 'Status' ? 'right' : null }, title)))), el('tbody', {}));
    });
    const body = $('decisions').querySelector('tbody');
    if (body) arrange(body, rowsOf(list));
  }
  function choose(kind) {
    which = kind;
    for (const name of ['others', 'forwarded']) $(`show-${name}`).setAttribute('aria-pressed', String(name === kind));
    if (last) drawDecisions(last, true);
  }
  const HIDDEN = ['what_to_do', 'revoked'];
  function article(one) {
    const revoked = one.revoked;
    const pairs = Object.entries(one).filter(([name]) => !HIDDEN.includes(name));
    return el('article', {},
      one.what_to_do ? el('p', { class: 'advice', 'data-tone': 'odd' }, one.what_to_do) : null,
      revoked ? el('p', { class: 'advice', 'data-tone': 'good' }, ['Revoked', revoked.at ? ` at ${revoked.at}` : '', revoked.rule ? ` by ${revoked.rule}` : '', revoked.node ? ` on ${revoked.node}` : '', '.'].join(''),
        revoked.request ? [' ', el('button', { type: 'button', on: { click: () => explain(revoked.request) } }, 'Show that request')] : null) : null,
      el('dl', { class: 'told' }, pairs.map(([name, value]) => [el('dt', {}, words(name)), el('dd', {}, typeof value === 'object' ? JSON.stringify(value) : value)])));
  }
  async function explain(id) {
    const body = $('panel-body');
    $('panel-title').textContent = 'Why';
    body.replaceChildren(calm('…'));
    if (!$('panel').open) $('panel').showModal();
    try {
      const answer = await fetch(`/explain?request=${encodeURIComponent(id)}`);
      const told = await answer.json();
      $('panel-title').textContent = told.decisions.length > 0 ? `Why: ${words(told.decisions[0].reason || told.decisions[0].would || told.decisions[0].verdict)}` : 'Why';
      body.replaceChildren(...(told.decisions.length > 0 ? told.decisions.map(article) : [calm('This node remembers no request with this id any more.')]),
        el('p', { class: 'quiet' }, 'The same on the command line: ', el('code', {}, `doorward explain --request-id ${id}`)));
    } catch {
      body.replaceChildren(calm('The process does not answer.'));
    }
  }

  // The events. The page is stale when they stop, and tries again by itself.
  let source = null, heard = null, opened = 0;
  function draw(told) {
    heard = performance.now();
    document.body.removeAttribute('data-lost');
    addPoint(told.point);
    drawHero(told.status);
    drawAttention(told.status);
    drawTiles(told.status);
    drawLanes();
    for (const each of [drawReasons, drawTimes, drawCluster, drawUpstreams, drawKeys, drawCertificates, drawPlaces, drawMisses, drawStore]) each(told.status);
    drawDecisions(told.decisions);
    contact('live', 'live');
  }
  function contact(kind, text) {
    $('contact').dataset.is = kind;
    if ($('contact-words').textContent !== text) $('contact-words').textContent = text;
  }
  function connect() {
    if (source) source.close();
    opened = performance.now();
    source = new EventSource('/events');
    source.addEventListener('history', (event) => { points = JSON.parse(event.data); });
    source.addEventListener('snapshot', (event) => draw(JSON.parse(event.data)));
  }
  function watch() {
    const now = performance.now(), silent = now - (heard === null ? opened : heard);
    if (silent > SILENCE_MS) {
      contact('stale', heard === null ? 'stale: nothing heard yet' : 'stale');
      document.body.dataset.lost = '';
      drawState('lost', 'Stale', heard === null ? 'The process does not answer. Trying again.' : `Nothing was heard for ${span(Math.floor(silent / 1000))}. What is shown below is as old as that. Trying again.`);
    }
    const isOver = source.readyState === EventSource.CLOSED;
    if ((isOver && now - opened > 2_000) || (silent > HANG_MS && now - opened > HANG_MS)) connect();
  }
  $('show-others').addEventListener('click', () => choose('others'));
  $('show-forwarded').addEventListener('click', () => choose('forwarded'));
  $('panel-close').addEventListener('click', () => $('panel').close());
  connect();
  setInterval(watch, 1_000);
})();
