// Reference servers as people run them, from npm and PyPI, moved behind the gateway out of one client's configuration.
import assert from 'node:assert/strict';
import { mkdir, mkdtemp, readFile, realpath, rm, writeFile } from 'node:fs/promises';
import os from 'node:os';
import path from 'node:path';
import { after, before, test } from 'node:test';
import { Client, StreamableHTTPClientTransport } from '@modelcontextprotocol/client';
import { StdioClientTransport } from '@modelcontextprotocol/client/stdio';
import { until } from '../interop/lib/net.mjs';
import { Postern } from '../interop/lib/postern.mjs';

const node = path.join(import.meta.dirname, 'node_modules/@modelcontextprotocol/server-filesystem/dist/index.js');
const python = path.resolve(import.meta.dirname, '../interop/.venv/bin/mcp-server-time');
let postern, folder, servers;

before(async () => {
  postern = await Postern.start({ command: 'serve' });
  await postern.cli(['user', 'add', 'ana@example.com', '--password-stdin'], { input: 'seven green umbrellas' });
  folder = await realpath(await mkdtemp(path.join(os.tmpdir(), 'postern-reference-')));
  for (const [name, text] of [['open', 'for everybody'], ['payroll', 'for nobody']]) {
    await mkdir(path.join(folder, name));
    await writeFile(path.join(folder, name, 'note.txt'), text);
  }
  servers = {
    clock: { command: python, args: ['--local-timezone', 'UTC'] },
    files: { command: process.execPath, args: [node, folder] },
  };
  const file = path.join(folder, 'mcp.json');
  await writeFile(file, JSON.stringify({ mcpServers: servers }));
  await postern.cli(['import', file, '--stdio', '--out', `${file}.new`]);
  const { mcpServers } = JSON.parse(await readFile(`${file}.new`, 'utf8'));
  assert.deepEqual(Object.keys(mcpServers).sort(), ['clock', 'files']);
  await postern.knows('files');
});
after(async () => {
  await postern?.stop();
  if (folder) await rm(folder, { recursive: true, force: true });
});

async function connect(transport) {
  const client = new Client({ name: 'test', version: '1' });
  await client.connect(transport);
  return client;
}

/** The server as it is, and through the gateway, with every tool let through as what it says of itself or as reading. */
async function both(name) {
  const uri = `${postern.issuer}/mcp/${name}`;
  const { token } = await postern.cli([
    ...['grant', 'create', '--user', 'ana@example.com', '--resource', uri, '--name', 'laptop'],
    ...['--scope', 'tools:read', '--scope', 'tools:write', '--scope', 'tools:delete'],
  ]);
  const direct = await connect(new StdioClientTransport(servers[name]));
  const at = new URL(`http://${postern.env.POSTERN_LISTEN}/mcp/${name}`);
  const through = await until('the server is known', () =>
    connect(new StreamableHTTPClientTransport(at, { requestInit: { headers: { Authorization: `Bearer ${token}` } } })),
  );
  await through.listTools();
  const held = (await postern.cli(['tool', 'list', uri])).filter(({ state }) => state !== 'approved');
  if (held.length) await postern.cli(['tool', 'approve', uri, '--class', 'read', ...held.map(({ name }) => name)]);
  const { tools } = await direct.listTools();
  await until('every tool is shown', async () => (await through.listTools()).tools.length === tools.length);
  assert.deepEqual((await through.listTools()).tools, tools);
  return { uri, direct, through, close: () => Promise.all([direct.close(), through.close()]) };
}

test('the clock, in Python', async () => {
  const { direct, through, close } = await both('clock');
  const arguments_ = { source_timezone: 'Europe/Oslo', time: '12:30', target_timezone: 'Asia/Tokyo' };
  const asked = { name: 'convert_time', arguments: arguments_ };
  const answer = await through.callTool(asked);
  assert.deepEqual(answer, await direct.callTool(asked));
  assert.match(answer.content[0].text, /Asia\/Tokyo/);
  const wrong = { name: 'convert_time', arguments: { ...arguments_, target_timezone: 'Moon/Tranquility' } };
  assert.deepEqual(await through.callTool(wrong), await direct.callTool(wrong), 'its own errors come through as they are');
  await close();
});

test('the files, in Node, and one folder that a rule keeps closed', async () => {
  const { uri, direct, through, close } = await both('files');
  const read = name => ({ name: 'read_text_file', arguments: { path: path.join(folder, name, 'note.txt') } });
  for (const name of ['open', 'payroll']) {
    assert.deepEqual(await through.callTool(read(name)), await direct.callTool(read(name)));
  }
  await postern.cli([
    ...['policy', 'add', uri, '--deny', '--reason', 'Payroll stays closed.'],
    ...['--when', `path under ${path.join(folder, 'payroll')}`],
  ]);
  await until('the rule is known', () => through.callTool(read('payroll')).then(() => false, () => true));
  await assert.rejects(through.callTool(read('payroll')), /Payroll stays closed/);
  // The same place, said otherwise.
  const around = { name: 'read_text_file', arguments: { path: `${folder}/open/../payroll/note.txt` } };
  assert.match(JSON.stringify(await direct.callTool(around)), /for nobody/, 'the server itself would');
  await assert.rejects(through.callTool(around), /Payroll stays closed/);
  assert.deepEqual(await through.callTool(read('open')), await direct.callTool(read('open')), 'nothing else is closed');
  const records = await postern.cli(['audit', 'list', '--kind', 'call.refused']);
  assert(records.length >= 3 && records.every(({ detail }) => detail.rule === 'rule'), JSON.stringify(records));
  await close();
});
