// For Jest as it is, which loads CommonJS.
const { createVerifier, PosternError } = require('postern-auth');

test('a CommonJS test of Jest loads postern-auth', async () => {
  const verifier = createVerifier({ trust: { upstream: { address: '127.0.0.1:1' } } });
  await expect(verifier.ready(200)).rejects.toBeInstanceOf(PosternError);
  verifier.close();
});
