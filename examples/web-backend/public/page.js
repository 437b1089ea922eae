// The access token lives in the memory of this page only. The refresh token is in a cookie that no script can read.
let accessToken = null;
let renewAtMs = 0;

async function currentToken() {
  if (accessToken === null || performance.now() >= renewAtMs) {
    const response = await fetch('/token', { method: 'POST' });
    if (!response.ok) return null;
    const tokens = await response.json();
    accessToken = tokens.accessToken;
    renewAtMs = performance.now() + tokens.expiresIn * 800;
  }
  return accessToken;
}

const token = await currentToken();
if (token !== null) {
  const response = await fetch('/api/me', { headers: { authorization: `Bearer ${token}` } });
  if (response.ok) {
    const { subject, roles } = await response.json();
    document.querySelector('#caller').textContent = `Logged in as ${subject} with roles [${roles}]`;
    document.querySelector('#login').hidden = true;
    document.querySelector('#logout').hidden = false;
  }
}
document.body.dataset.ready = 'true';
