import type { DemoUser } from './operations/make-demo-user.ts';

/**
 * What a newcomer reads at the first start: a user who can log in, and lines that work when they are pasted.
 *
 * @param grpc where gRPC calls are accepted, as `HOST:PORT` or `unix:PATH`
 */
export function firstSteps({ email, password }: DemoUser, grpc: string): string {
  const credentials = JSON.stringify({ email, password });
  const url = `http://${grpc}/postern.v1.AuthService`;
  const lines = [
    '',
    `  A demo user was made; this is the only time that its password is shown:  ${email}  ${password}`,
    '',
    '  Log in:',
    `    npx buf curl --protocol grpc --http2-prior-knowledge -d '${credentials}' ${url}/Login`,
    `    grpcurl -plaintext -d '${credentials}' ${grpc} postern.v1.AuthService/Login`,
    '',
    '  Have the token verified:',
    `    TOKEN=$(npx buf curl --protocol grpc --http2-prior-knowledge -d '${credentials}' ${url}/Login | sed -n 's/.*"accessToken": *"\\([^"]*\\)".*/\\1/p')`,
    `    npx buf curl --protocol grpc --http2-prior-knowledge -H "authorization: Bearer $TOKEN" -d '{}' ${url}/VerifyToken`,
    `    grpcurl -plaintext -H "authorization: Bearer $TOKEN" ${grpc} postern.v1.AuthService/VerifyToken`,
    '',
  ];
  return `${lines.join('\n')}\n`;
}
