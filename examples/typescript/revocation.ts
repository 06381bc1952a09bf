// Tells whether an access token has been revoked, from the issuer's Token Status List, without a request per token.
import { inflateSync } from 'node:zlib';
import { type JWTPayload, type JWTVerifyGetKey, jwtVerify } from 'jose';

const LARGEST_LIST = 16 * 1024 * 1024;

interface List {
  bits: number;
  bytes: Uint8Array;
  freshUntil: number;
}

/** Keeps each list for as long as the issuer allows (`ttl`), at most `maxAge` seconds. */
export class StatusLists {
  #lists = new Map<string, List>();

  constructor(
    private readonly issuer: string,
    private readonly keys: JWTVerifyGetKey,
    private readonly maxAge = 30,
  ) {}

  /** Throws when the list cannot be had: a token whose state is unknown is not a good token. */
  async revoked(token: JWTPayload): Promise<boolean> {
    const reference = (token.status as { status_list?: { idx: number; uri: string } } | undefined)?.status_list;
    if (!reference) return false;
    const { bits, bytes } = await this.#list(reference.uri);
    const position = reference.idx * bits;
    const byte = bytes[position >> 3];
    if (byte === undefined) throw new Error(`${reference.uri} has no entry ${reference.idx}`);
    return ((byte >> (position & 7)) & ((1 << bits) - 1)) !== 0;
  }

  async #list(uri: string): Promise<List> {
    const known = this.#lists.get(uri);
    if (known && Date.now() < known.freshUntil) return known;
    if (!uri.startsWith(`${this.issuer}/`)) throw new Error(`${uri} is not a list of ${this.issuer}`);

    const response = await fetch(uri, { headers: { accept: 'application/statuslist+jwt' }, redirect: 'error' });
    if (!response.ok) throw new Error(`${uri} answered ${response.status}`);
    const { payload } = await jwtVerify(await response.text(), this.keys, {
      issuer: this.issuer,
      subject: uri,
      typ: 'statuslist+jwt',
      algorithms: ['ES256', 'RS256', 'EdDSA'],
    });
    const { bits, lst } = payload.status_list as { bits: number; lst: string };
    const age = Math.min(Number(payload.ttl ?? this.maxAge), this.maxAge);
    const list = {
      bits,
      bytes: inflateSync(Buffer.from(lst, 'base64url'), { maxOutputLength: LARGEST_LIST }),
      freshUntil: Date.now() + age * 1000,
    };
    this.#lists.set(uri, list);
    return list;
  }
}
