// A computer with a fingerprint reader: Chromium's virtual authenticator.

/** Somebody at such a computer. */
export async function withDevice(browser) {
  const visitor = await browser.visitor({ scripts: true });
  const cdp = await visitor.context.newCDPSession(visitor.page);
  await cdp.send('WebAuthn.enable');
  const { authenticatorId } = await cdp.send('WebAuthn.addVirtualAuthenticator', {
    options: {
      protocol: 'ctap2',
      transport: 'internal',
      hasResidentKey: true,
      hasUserVerification: true,
      isUserVerified: true,
      automaticPresenceSimulation: true,
    },
  });
  return Object.assign(visitor, { cdp, authenticatorId });
}

export async function credentials({ cdp, authenticatorId }) {
  return (await cdp.send('WebAuthn.getCredentials', { authenticatorId })).credentials;
}

export async function signedIn(visitor, issuer, person) {
  await visitor.open(`${issuer}/login`);
  await visitor.signIn(person);
}

export async function addPasskey(visitor, issuer, name) {
  await visitor.open(`${issuer}/account/security`);
  await visitor.press('Add a passkey');
  await visitor.fill({ 'What to call it': name });
  await visitor.press('Add passkey');
}

/** Forgets who is signed in; the device keeps its passkeys. */
export async function forget(visitor) {
  await visitor.context.clearCookies();
}
