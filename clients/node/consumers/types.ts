// Compiled without skipLibCheck: the declarations of postern-auth name nothing that is not installed.
import * as client from 'postern-auth';

export const verifier: client.Verifier = client.createVerifier({
  trust: {
    jwksUrl: 'https://auth.example.com/jwks.json',
    issuer: 'https://auth.example.com',
    audiences: ['a'],
  },
});
export const ready: Promise<true> = verifier.ready(1_000);
// @ts-expect-error a misspelt option
client.createVerifier({ trust: { upstream: { adress: 'localhost:1' } } });
