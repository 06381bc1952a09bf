// Makes the pictures of the documentation from a running server. See scripts/pictures.
import { mkdir, writeFile } from 'node:fs/promises';
import path from 'node:path';
import { DatabaseSync } from 'node:sqlite';
import { MetadataDocuments } from '../interop/lib/documents.mjs';
import { Postern } from '../interop/lib/postern.mjs';
import { App } from './lib/app.mjs';
import { Browser } from './lib/visitor.mjs';

const folder = path.resolve(import.meta.dirname, '../../docs/pictures');
const NOTES = 'https://mcp.example.com/notes';
const CALENDAR = 'https://calendar.example.com/mcp';
const ROOT = { email: 'root@example.com', password: 'three other words here' };
const ADA = { email: 'ada@example.com', password: 'three unrelated words' };
// Where the real client keeps its metadata document, and where it listens.
const CLAUDE_CODE = 'https://claude.ai/oauth/claude-code-client-metadata';
const LISTENS = 'http://localhost:3118/callback';

// The same letters on every machine that has Liberation Sans, as Debian's Chromium brings it.
const fonts = path.join(await makeFolder(path.resolve(import.meta.dirname, '../../target/pictures')), 'fonts.conf');
await writeFile(
  fonts,
  `<?xml version="1.0"?><!DOCTYPE fontconfig SYSTEM "fonts.dtd"><fontconfig><include>/etc/fonts/fonts.conf</include>
   ${['system-ui', 'sans', 'sans-serif', 'DejaVu Sans']
     .map(family => `<match target="pattern"><test name="family"><string>${family}</string></test>
       <edit name="family" mode="assign" binding="strong"><string>Liberation Sans</string></edit></match>`)
     .join('')}</fontconfig>`,
);
process.env.FONTCONFIG_FILE = fonts;

async function makeFolder(name) {
  await mkdir(name, { recursive: true });
  return name;
}

/**
 * As if claude.ai had been asked for its document, which this machine may not be able to do: the document of a client
 * with the same content is read from here, and kept under the real address.
 */
async function claudeCode(postern, documents, visitor) {
  const { client_id: local } = await documents.add({ name: 'Claude Code' });
  const app = await App.at(postern.issuer, { id: local, redirectUri: 'http://127.0.0.1:3118/callback' });
  await visitor.open(app.asks({ resource: NOTES }));
  const database = new DatabaseSync(path.join(postern.env.POSTERN_DATA_DIR, 'postern.db'));
  database.exec('PRAGMA busy_timeout = 5000; PRAGMA foreign_keys = OFF');
  const forever = BigInt(Date.now() + 86_400_000) * 1000n;
  const row = database.prepare('SELECT metadata FROM client WHERE id = ?').get(local);
  const metadata = row.metadata.replaceAll('http://127.0.0.1', 'http://localhost');
  database
    .prepare('UPDATE client SET id = ?, metadata = ?, document_fresh_until = ? WHERE id = ?')
    .run(CLAUDE_CODE, metadata, forever, local);
  database.close();
  return App.at(postern.issuer, { id: CLAUDE_CODE, redirectUri: LISTENS });
}

/** Two hours ago, from an address of RFC 5737. */
function used(postern) {
  const database = new DatabaseSync(path.join(postern.env.POSTERN_DATA_DIR, 'postern.db'));
  database.exec('PRAGMA busy_timeout = 5000');
  database
    .prepare('UPDATE access_grant SET last_used_at = ?, last_used_address = ?')
    .run(BigInt(Date.now() - 7_500_000) * 1000n, '203.0.113.7');
  database.close();
}

async function shoot(visitor, name, width) {
  for (const colorScheme of ['light', 'dark']) {
    // Low, so that the picture ends where the page does.
    await visitor.page.setViewportSize({ width, height: 300 });
    // Without motion: no colour is caught half way from one scheme to the other.
    await visitor.page.emulateMedia({ colorScheme, reducedMotion: 'reduce' });
    const file = path.join(folder, `${name}-${colorScheme}.png`);
    await visitor.page.screenshot({ path: file, fullPage: true });
    console.log(path.relative(process.cwd(), file));
  }
}

async function main() {
  await mkdir(folder, { recursive: true });
  const browser = await Browser.open();
  const documents = await MetadataDocuments.start();
  const postern = await Postern.start({ command: 'serve' });
  try {
    await postern.cli(['user', 'add', ADA.email, '--name', 'Ada Lovelace', '--password-stdin'], { input: ADA.password });
    const scopes = ['notes:read=Read your notes', 'notes:write=Add and change notes', 'notes:delete=Delete notes for good'];
    await postern.cli(['resource', 'add', NOTES, '--name', 'Notes', '--no-look', ...scopes.flatMap(scope => ['--scope', scope])]);
    await postern.cli(['resource', 'add', CALENDAR, '--name', 'Calendar', '--no-look', '--scope', 'events:read=See your appointments']);
    const visitor = await browser.visitor({ deviceScaleFactor: 1.5 });
    await visitor.open(`${postern.issuer}/login`);
    await visitor.signIn(ADA);

    const claude = await claudeCode(postern, documents, visitor);
    await visitor.open(claude.asks({ resource: NOTES, scope: 'notes:read notes:write notes:delete' }));
    await shoot(visitor, 'consent', 576);

    const listening = await App.register(postern.issuer, { name: 'Cursor' });
    for (const [app, asked] of [
      [listening, { resource: CALENDAR, scope: 'events:read' }],
      [claude, { resource: NOTES, scope: 'notes:read notes:write' }],
    ]) {
      await visitor.open(app.asks(asked));
      const sent = visitor.page.waitForRequest(request => request.url().startsWith(app.redirectUri));
      await visitor.page.getByRole('button', { name: 'Allow' }).click();
      await sent;
      // Nobody listens there, so this page ends at an error of the browser's own. Another one goes on.
      await visitor.page.close();
      visitor.page = await visitor.context.newPage();
    }
    listening.stop();
    used(postern);
    await visitor.open(`${postern.issuer}/account`);
    await shoot(visitor, 'account', 1000);

    await postern.cli(['user', 'add', ROOT.email, '--role', 'admin', '--password-stdin'], { input: ROOT.password });
    const root = await browser.visitor({ deviceScaleFactor: 1.5 });
    await root.open(`${postern.issuer}/login?continue=%2Fadmin%2Faccess`);
    await root.signIn(ROOT);
    await shoot(root, 'console-access', 1280);
    await root.open(`${postern.issuer}/admin/cut?q=${encodeURIComponent(ADA.email)}`);
    await shoot(root, 'console-cut', 1280);
    await root.leave();

    const unknown = await App.at(postern.issuer, { id: 'forgotten', redirectUri: LISTENS });
    await visitor.open(unknown.asks());
    await visitor.page.getByText('Claude Code', { exact: true }).click();
    await visitor.page.mouse.move(0, 0);
    await shoot(visitor, 'unknown-app', 576);
  } finally {
    await browser.close();
    await documents.stop();
    await postern.stop();
  }
}

await main();
