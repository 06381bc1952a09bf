// Protects an MCP server with access tokens issued by Postern. Copy this file into your server.
import {
  getOAuthProtectedResourceMetadataUrl,
  OAuthError,
  OAuthErrorCode,
  type OAuthMetadata,
  oauthMetadataResponse,
  requireBearerAuth,
} from '@modelcontextprotocol/server';
import type { AuthInfo, OAuthTokenVerifier } from '@modelcontextprotocol/server';
import { createRemoteJWKSet, errors, jwtVerify } from 'jose';
import { StatusLists } from './revocation.ts';

export interface Protection {
  /** The issuer, exactly as Postern is configured with it. */
  issuer: string;
  /** The URL people give to their MCP client; the `aud` of every token this server accepts. */
  resource: string;
  /** What every request needs. Tools that need more say so with `scopeChallenge`. */
  requiredScopes: string[];
  /** How long a revoked token may still work, in seconds; the status list's own lifetime if that is shorter. */
  revocationDelay?: number;
}

/**
 * The gate to put in front of an MCP handler: it answers the metadata routes (RFC 9728) and refuses bad tokens itself,
 * and hands on the verified token of everything else.
 */
export async function protect(options: Protection): Promise<(request: Request) => Promise<Response | AuthInfo>> {
  const resource = new URL(options.resource);
  const oauthMetadata = await issuerMetadata(options.issuer);
  const gate = requireBearerAuth({
    verifier: verifier(options, new URL(oauthMetadata.jwks_uri as string)),
    requiredScopes: options.requiredScopes,
    expectedResource: resource,
    resourceMetadataUrl: getOAuthProtectedResourceMetadataUrl(resource),
  });
  const metadata = { oauthMetadata, resourceServerUrl: resource, scopesSupported: options.requiredScopes };
  return async request => oauthMetadataResponse(request, metadata) ?? (await gate(request));
}

/** Accepts a token of this issuer for this server, in time, and not revoked (RFC 9068 §4). */
function verifier({ issuer, resource, revocationDelay }: Protection, jwksUri: URL): OAuthTokenVerifier {
  const keys = createRemoteJWKSet(jwksUri);
  const statusLists = new StatusLists(issuer, keys, revocationDelay);
  return {
    async verifyAccessToken(token) {
      const { payload } = await jwtVerify(token, keys, {
        issuer,
        audience: resource,
        typ: 'at+jwt',
        algorithms: ['ES256', 'RS256', 'EdDSA'],
        requiredClaims: ['exp', 'sub', 'client_id'],
      }).catch(refuse);
      if (await statusLists.revoked(payload)) refuse(new errors.JWTInvalid('revoked'));
      return {
        token,
        clientId: payload.client_id as string,
        scopes: String(payload.scope ?? '').split(' ').filter(Boolean),
        expiresAt: payload.exp,
        resource: new URL(resource),
        extra: { sub: payload.sub },
      };
    },
  };
}

/**
 * What is wrong with the token is a 401. When the keys or the status list cannot be had the token is refused too, but with
 * a 500: the client then keeps it and tries again, instead of sending its user through a new sign-in.
 */
function refuse(error: Error): never {
  const ours = ['ERR_JOSE_GENERIC', 'ERR_JWKS_TIMEOUT', 'ERR_JWKS_INVALID'];
  if (error instanceof errors.JOSEError && !ours.includes(error.code)) {
    throw new OAuthError(OAuthErrorCode.InvalidToken, 'the access token is not valid here');
  }
  throw error;
}

/** The issuer's own description of itself (RFC 8414 §3), so that no endpoint needs to be configured. */
async function issuerMetadata(issuer: string): Promise<OAuthMetadata> {
  const { origin, pathname } = new URL(issuer);
  const url = `${origin}/.well-known/oauth-authorization-server${pathname === '/' ? '' : pathname}`;
  const response = await fetch(url, { redirect: 'error' });
  const document = (await response.json()) as OAuthMetadata;
  if (!response.ok || document.issuer !== issuer) {
    throw new Error(`${url} does not describe ${issuer}: is ISSUER the exact issuer of your Postern?`);
  }
  return document;
}
