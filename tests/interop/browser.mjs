// A person with a real Chromium: signs in, reads the consent page, decides, and lets the browser go back to the client.
//
//   EMAIL=… PASSWORD=… node tests/interop/browser.mjs URL [allow|deny]
import assert from 'node:assert/strict';
import { chromium } from 'playwright-core';

export class Browser {
  static async open() {
    const browser = new Browser();
    browser.chromium = await chromium.launch({
      executablePath: process.env.CHROMIUM ?? '/usr/bin/chromium',
      // Chromium's sandbox does not work as root, and shared memory is small in containers.
      args: ['--no-sandbox', '--disable-dev-shm-usage', '--disable-gpu'],
    });
    return browser;
  }

  /** A person with a browser profile of their own. The pages must work without JavaScript, so it is off. */
  async person({ email, password }) {
    const context = await this.chromium.newContext({ javaScriptEnabled: false });
    context.setDefaultTimeout(15_000);
    return new Person(context, email, password);
  }

  async close() {
    await this.chromium.close();
  }
}

class Person {
  constructor(context, email, password) {
    Object.assign(this, { context, email, password });
  }

  /**
   * Opens an authorization URL and goes on until the browser is back at the client. `scopes`, if given, are the boxes
   * that end up ticked. Gives what was seen on the way.
   */
  async answer(url, { decision = 'allow', scopes } = {}) {
    const target = new URL(url).searchParams.get('redirect_uri');
    const page = await this.context.newPage();
    const seen = { signedIn: false, consents: [], final: undefined };
    try {
      await page.goto(url);
      for (let pages = 0; pages < 6; pages += 1) {
        if (target && page.url().startsWith(target)) {
          seen.final = page.url();
          return seen;
        }
        if (await page.locator('input[name="password"]').count()) {
          seen.signedIn = true;
          const email = page.locator('input[name="email"]');
          if (await email.isEditable()) await email.fill(this.email);
          await page.locator('input[name="password"]').fill(this.password);
          await submit(page, page.locator('form:has(input[name="password"]) [type="submit"], form:has(input[name="password"]) button').first());
        } else if (await page.locator('[name="decision"]').count()) {
          seen.consents.push({ text: await page.locator('body').innerText(), scopes: await this.#tick(page, scopes) });
          await submit(page, page.locator(`[name="decision"][value="${decision}"]`));
        } else {
          break;
        }
      }
      const text = await page.locator('body').innerText();
      throw new Error(`the browser stopped at ${page.url()}, which says:\n${text.slice(0, 2000)}`);
    } finally {
      await page.close();
    }
  }

  /** Ticks exactly `wanted`, or leaves the boxes alone, and tells what was offered. */
  async #tick(page, wanted) {
    const offered = [];
    for (const box of await page.locator('input[name="scope"]').all()) {
      const name = await box.getAttribute('value');
      if (wanted && (await box.isEnabled())) await box.setChecked(wanted.includes(name));
      offered.push({ name, ticked: await box.isChecked() });
    }
    return offered;
  }
}

async function submit(page, button) {
  await Promise.all([page.waitForNavigation({ waitUntil: 'load' }), button.click()]);
}

if (process.argv[1] === import.meta.filename) {
  const [, , url, decision] = process.argv;
  assert(url && process.env.EMAIL && process.env.PASSWORD, 'usage: EMAIL=… PASSWORD=… node browser.mjs URL [allow|deny]');
  const browser = await Browser.open();
  const person = await browser.person({ email: process.env.EMAIL, password: process.env.PASSWORD });
  console.log(JSON.stringify(await person.answer(url, { decision }), null, 2));
  await browser.close();
}
