// A person with a browser, and a hard look at whatever page is before them.
import assert from 'node:assert/strict';
import { readFile, mkdir } from 'node:fs/promises';
import path from 'node:path';
import { chromium } from 'playwright-core';

const axe = await readFile(path.join(import.meta.dirname, '../node_modules/axe-core/axe.min.js'), 'utf8');

/** Every page is looked at in all of these. */
export const VIEWS = [360, 1280].flatMap(width =>
  ['light', 'dark'].map(colorScheme => ({ width, height: width === 360 ? 740 : 800, colorScheme })),
);

export class Browser {
  static async open() {
    const browser = new Browser();
    browser.chromium = await chromium.launch({
      executablePath: process.env.CHROMIUM ?? '/usr/bin/chromium',
      // Chromium's sandbox does not work as root, and shared memory is small in containers.
      args: ['--no-sandbox', '--disable-dev-shm-usage', '--disable-gpu', '--disable-background-networking'],
    });
    return browser;
  }

  /** Somebody new, with a browser profile of their own. JavaScript is off, because no page may need it. */
  async visitor({ scripts = false, width = 360, height = 740, ...rest } = {}) {
    const context = await this.chromium.newContext({
      javaScriptEnabled: scripts,
      viewport: { width, height },
      locale: 'en-GB',
      timezoneId: 'UTC',
      ...rest,
    });
    context.setDefaultTimeout(15_000);
    return new Visitor(context, await context.newPage(), scripts);
  }

  async close() {
    await this.chromium.close();
  }
}

export class Visitor {
  constructor(context, page, scripts) {
    Object.assign(this, { context, page, scripts, complaints: [], answers: [] });
    page.on('console', message => {
      if (!['error', 'warning'].includes(message.type())) return;
      // Chromium calls the page's own 4xx a failure to load a resource. The tests assert those statuses themselves.
      if (/^Failed to load resource: the server responded with a status of 4/.test(message.text())) return;
      // An app that has gone away may still owe the browser the icon of the page it showed before: not ours to answer.
      const from = message.location().url;
      if (/^Failed to load resource/.test(message.text()) && from && !from.startsWith(this.origin ?? from)) return;
      this.complaints.push(message.text());
    });
    page.on('pageerror', error => this.complaints.push(error.message));
    page.on('response', response => {
      const request = response.request();
      if (request.isNavigationRequest() && request.frame() === page.mainFrame()) this.answers.push(response);
    });
  }

  /** The answer that made the page which is shown. */
  get answer() {
    return this.answers.at(-1);
  }

  async open(url) {
    // What people are sent to is always a page of Postern, whose own resources come from nowhere else.
    this.origin = new URL(url).origin;
    await this.page.goto(String(url));
  }

  async press(name, { role = 'button' } = {}) {
    const target = this.page.getByRole(role, { name, exact: typeof name === 'string' });
    await Promise.all([this.page.waitForNavigation({ waitUntil: 'load' }), target.click()]);
  }

  /** Types into fields by their visible labels. */
  async fill(fields) {
    for (const [label, text] of Object.entries(fields)) await this.page.getByLabel(label).fill(text);
  }

  async signIn({ email, password }) {
    await this.fill({ 'E-mail': email, Password: password });
    await this.press('Sign in');
  }

  /** What the page says, as one line. */
  async text(selector = 'main') {
    const all = await this.page.locator(selector).allInnerTexts();
    return all.join(' ').replace(/\s+/g, ' ').trim();
  }

  async heading() {
    return this.text('h1');
  }

  /** What the Tab key reaches, in order, from the top of the page. */
  async tabStops() {
    const stops = [];
    // Focusing the body moves the point from which the Tab key starts.
    await this.page.evaluate(() => {
      document.body.tabIndex = -1;
      document.body.focus();
      document.body.removeAttribute('tabindex');
    });
    for (let presses = 0; presses < 40; presses += 1) {
      await this.page.keyboard.press('Tab');
      const stop = await this.page.evaluate(() => {
        const at = document.activeElement;
        if (!at || at === document.body) return undefined;
        const label = at.labels?.[0] ?? at;
        const words = label.innerText.replace(/\s+/g, ' ').trim();
        return words || at.getAttribute('name') || at.tagName;
      });
      if (stop === undefined) break;
      stops.push(stop);
    }
    return stops;
  }

  async focused() {
    return this.page.evaluate(() => document.activeElement?.id || document.activeElement?.tagName);
  }

  /**
   * Looks at the page in every view: accessibility, nothing sideways, targets large enough, no complaint in the
   * console, and the headers that every page must carry. `leadsAway` for pages whose form may end at the app.
   */
  async look(name, { leadsAway = false } = {}) {
    const { page } = this;
    await this.#headers(name, leadsAway);
    const url = page.url();
    const cdp = await this.context.newCDPSession(page);
    try {
      // The page has loaded without scripts; the checker alone may run some.
      await cdp.send('Emulation.setScriptExecutionDisabled', { value: true });
      await cdp.send('Emulation.setScriptExecutionDisabled', { value: false });
      await evaluate(cdp, `${axe};true`);
      for (const { width, height, colorScheme } of VIEWS) {
        const view = `${name}, ${width} px, ${colorScheme}`;
        await page.setViewportSize({ width, height });
        await page.emulateMedia({ colorScheme, reducedMotion: 'reduce' });
        const found = JSON.parse(await evaluate(cdp, RUN));
        assert.deepEqual(found, [], `${view}: axe-core finds something`);
        const { sideways, small } = await page.evaluate(measure);
        assert.equal(sideways, 0, `${view}: wider than the window`);
        assert.deepEqual(small, [], `${view}: too small to press`);
        await this.#picture(name, width, colorScheme);
      }
    } finally {
      await cdp.send('Emulation.setScriptExecutionDisabled', { value: !this.scripts }).catch(() => {});
      await cdp.detach().catch(() => {});
    }
    assert.equal(page.url(), url, `${name}: the page went elsewhere by itself`);
    assert.deepEqual(this.complaints, [], `${name}: the browser complains`);
  }

  async #headers(name, leadsAway) {
    const headers = this.answer.headers();
    const policy = headers['content-security-policy'] ?? '';
    for (const part of ["default-src 'none'", "style-src 'self'", "frame-ancestors 'none'", "base-uri 'none'"]) {
      assert.ok(policy.includes(part), `${name}: ${part} is missing in: ${policy}`);
    }
    assert.equal(policy.includes("form-action 'self'"), !leadsAway, `${name}: form-action in: ${policy}`);
    assert.ok(!policy.includes('unsafe'), `${name}: ${policy}`);
    assert.equal(headers['x-content-type-options'], 'nosniff', name);
    assert.equal(headers['referrer-policy'], 'no-referrer', name);
    assert.equal(headers['cache-control'], 'no-store', name);
    assert.match(headers['content-type'], /^text\/html; charset=utf-8$/, name);
  }

  /** For people: with POSTERN_PAGES_SHOTS set to a folder, every view of every page is kept there. */
  async #picture(name, width, colorScheme) {
    const folder = process.env.POSTERN_PAGES_SHOTS;
    if (!folder) return;
    await mkdir(folder, { recursive: true });
    const file = `${name.replace(/[^a-z0-9]+/gi, '-')}-${width}-${colorScheme}.png`;
    await this.page.screenshot({ path: path.join(folder, file), fullPage: true });
  }

  async leave() {
    await this.context.close();
  }
}

const RUN = `axe.run(document, { resultTypes: ['violations', 'incomplete'] }).then(found =>
  JSON.stringify([...found.violations, ...found.incomplete].map(({ id, nodes }) =>
    [id, ...nodes.map(node => node.target + ': ' + node.failureSummary)])))`;

/** Past the page's policy, which rightly forbids the evaluation that Playwright would use. */
async function evaluate(cdp, expression) {
  const { result, exceptionDetails } = await cdp.send('Runtime.evaluate', {
    expression,
    awaitPromise: true,
    returnByValue: true,
  });
  assert.equal(exceptionDetails, undefined, exceptionDetails?.exception?.description);
  return result.value;
}

/** In the page: how far it reaches sideways, and what is smaller than a finger (44 px) and not part of a sentence. */
function measure() {
  const root = document.documentElement;
  const pressed = 'a, button:not([hidden]), input:not([type=hidden]):not([type=checkbox]), summary, label.permit';
  const small = [...document.querySelectorAll(pressed)].filter(element => {
    const { height } = element.getBoundingClientRect();
    return height > 0 && height < 44 && !element.closest('p, span, .facts, .skip');
  });
  return {
    sideways: Math.max(0, root.scrollWidth - innerWidth),
    small: small.map(element => `${element.innerText || element.name}: ${element.getBoundingClientRect().height} px`),
  };
}
