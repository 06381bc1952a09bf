// Carries a challenge from the page to the device and the answer back into the form. The only script there is.
(() => {
  'use strict';
  const form = document.querySelector('form[data-options]');
  const failed = document.getElementById('failed');
  const bytes = text => Uint8Array.from(atob(text.replace(/-/g, '+').replace(/_/g, '/')), c => c.charCodeAt(0));
  const text = buffer => btoa(String.fromCharCode(...new Uint8Array(buffer)))
    .replace(/\+/g, '-').replace(/\//g, '_').replace(/=+$/, '');
  const named = list => (list ?? []).map(one => ({ ...one, id: bytes(one.id) }));

  async function make() {
    const { publicKey } = JSON.parse(form.dataset.options);
    const made = await navigator.credentials.create({
      publicKey: {
        ...publicKey,
        challenge: bytes(publicKey.challenge),
        user: { ...publicKey.user, id: bytes(publicKey.user.id) },
        excludeCredentials: named(publicKey.excludeCredentials),
      },
    });
    return { ...head(made), response: {
      attestationObject: text(made.response.attestationObject),
      clientDataJSON: text(made.response.clientDataJSON),
      transports: made.response.getTransports?.() ?? [],
    } };
  }

  async function use() {
    const { publicKey } = JSON.parse(form.dataset.options);
    const used = await navigator.credentials.get({
      publicKey: {
        ...publicKey,
        challenge: bytes(publicKey.challenge),
        allowCredentials: named(publicKey.allowCredentials),
      },
    });
    const { authenticatorData, clientDataJSON, signature, userHandle } = used.response;
    return { ...head(used), response: {
      authenticatorData: text(authenticatorData),
      clientDataJSON: text(clientDataJSON),
      signature: text(signature),
      userHandle: userHandle ? text(userHandle) : null,
    } };
  }

  const head = one => ({ id: one.id, rawId: text(one.rawId), type: one.type, extensions: {} });

  let running = false;
  async function run() {
    if (running) return;
    running = true;
    failed.hidden = true;
    try {
      const answer = await (form.dataset.does === 'make' ? make() : use());
      form.elements.answer.value = JSON.stringify(answer);
      form.submit();
    } catch {
      failed.hidden = false;
      running = false;
    }
  }

  form.addEventListener('submit', event => {
    event.preventDefault();
    run();
  });
  if (form.dataset.does === 'use') run();
})();
