import { readFileSync, writeFileSync } from 'node:fs';

import { expect, test } from '@jest/globals';
import { parse } from 'yaml';

import { openApiDocument } from './openapi-document.ts';

const file = (path: string) => new URL(`../../${path}`, import.meta.url);
const document = openApiDocument(readFileSync(file('proto/postern.binpb')));

test('docs/openapi.yaml is generated from the contract', () => {
  if (process.env['UPDATE_DOCS'] === '1') writeFileSync(file('docs/openapi.yaml'), document);
  expect(readFileSync(file('docs/openapi.yaml'), 'utf8')).toBe(document);
});

interface OpenApi {
  readonly paths: Readonly<Record<string, { post: { security: object[]; operationId: string } }>>;
  readonly components: { readonly schemas: Readonly<Record<string, object>> };
}

test('it has every unary RPC with its access, and no reference leads nowhere', () => {
  const { paths, components } = parse(document) as OpenApi;
  expect(Object.keys(paths)).toHaveLength(60);
  expect(paths['/postern.v1.AuthService/Login']?.post.security).toEqual([{}, { accessToken: [] }]);
  expect(paths['/postern.v1.AdminService/CreateUser']?.post.security).toEqual([{ accessToken: [] }]);
  expect(paths['/postern.v1.AdminService/ImportUsers']).toBeUndefined();
  const references = [...document.matchAll(/\$ref: "?#\/components\/schemas\/(\w+)/g)].map(
    ([, name]) => name,
  );
  expect(references.length).toBeGreaterThan(50);
  for (const name of references) expect(Object.keys(components.schemas)).toContain(name);
});
