// Writes the JSON Schemas that kubeconform checks manifests with into a folder: those of Kubernetes from the OpenAPI document
// in its Go module, those of other projects from the CRDs in theirs. kubeconform itself would download them from a web site.
// FOLDER/crds has the CRDs themselves, for a real API server.
//
//   node test/interop/kubernetes/make-schemas.mjs FOLDER
import { execFileSync } from 'node:child_process';
import { mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';

import { parseAllDocuments } from 'yaml';

const [folder] = process.argv.slice(2);
if (!folder) throw new Error('usage: make-schemas.mjs FOLDER');

const KUBERNETES = 'k8s.io/kubernetes@v1.34.4';
const KINDS = [
  'ConfigMap',
  'Deployment',
  'HorizontalPodAutoscaler',
  'Job',
  'Namespace',
  'NetworkPolicy',
  'PodDisruptionBudget',
  'Service',
  'ServiceAccount',
];
const CRDS = {
  'github.com/prometheus-operator/prometheus-operator@v0.85.0': [
    'example/prometheus-operator-crd/monitoring.coreos.com_servicemonitors.yaml',
    'example/prometheus-operator-crd/monitoring.coreos.com_prometheusrules.yaml',
  ],
  'github.com/envoyproxy/gateway@v1.9.1': [
    'charts/gateway-helm/charts/crds/crds/generated/gateway.envoyproxy.io_securitypolicies.yaml',
  ],
  'sigs.k8s.io/gateway-api@v1.4.0': ['config/crd/standard/gateway.networking.k8s.io_referencegrants.yaml'],
  'github.com/cert-manager/cert-manager@v1.21.2': ['deploy/crds/cert-manager.io_certificates.yaml'],
  'github.com/external-secrets/external-secrets@v1.3.2': [
    'config/crds/bases/external-secrets.io_externalsecrets.yaml',
  ],
  'github.com/projectcontour/contour@v1.33.0': ['examples/contour/01-crds.yaml'],
  'istio.io/api@v1.28.0': ['kubernetes/customresourcedefinitions.gen.yaml'],
};

/** The folder of a Go module, which the module proxy delivers when it is not there. */
function folderOf(module) {
  const output = execFileSync('go', ['mod', 'download', '-json', module], { encoding: 'utf8', cwd: '/' });
  return JSON.parse(output).Dir;
}

/** As the API server with `fieldValidation=Strict`: a field that is not in the schema is refused. */
function strict(schema, resolve) {
  if (Array.isArray(schema)) return schema.map((item) => strict(item, resolve));
  if (schema === null || typeof schema !== 'object') return schema;
  if (schema.$ref) return resolve(schema.$ref);
  if (schema['x-kubernetes-int-or-string'] || schema.format === 'int-or-string')
    return { type: ['integer', 'string'] };
  const entries = Object.entries(schema)
    // Formats of Kubernetes are no formats of JSON Schema; its rules in CEL are the API server's to check.
    .filter(
      ([key]) => !key.startsWith('x-kubernetes-') && !['description', 'format', 'default'].includes(key),
    )
    .map(([key, value]) => [
      key,
      key === 'properties'
        ? Object.fromEntries(Object.entries(value).map(([name, inner]) => [name, strict(inner, resolve)]))
        : strict(value, resolve),
    ]);
  const made = Object.fromEntries(entries);
  const isOpen = schema['x-kubernetes-preserve-unknown-fields'] || made.additionalProperties !== undefined;
  return made.properties && !isOpen ? { ...made, additionalProperties: false } : made;
}

/** The file name that kubeconform looks for: the kind, the first word of the group, the version. */
function write(kind, group, version, schema) {
  const name = [kind, ...(group ? [group.split('.')[0]] : []), version].join('-').toLowerCase();
  writeFileSync(join(folder, `${name}.json`), JSON.stringify(schema));
}

mkdirSync(join(folder, 'crds'), { recursive: true });

const { definitions } = JSON.parse(
  readFileSync(join(folderOf(KUBERNETES), 'api/openapi-spec/swagger.json'), 'utf8'),
);
const resolve = (reference) => {
  const name = reference.replace('#/definitions/', '');
  // A number is as good as a text for a quantity.
  return name.endsWith('.resource.Quantity')
    ? { type: ['string', 'number'] }
    : strict(definitions[name], resolve);
};
for (const definition of Object.values(definitions)) {
  const [named, ...others] = definition['x-kubernetes-group-version-kind'] ?? [];
  if (!named || others.length > 0 || !KINDS.includes(named.kind)) continue;
  write(named.kind, named.group, named.version, strict(definition, resolve));
}

const metadata = resolve('#/definitions/io.k8s.apimachinery.pkg.apis.meta.v1.ObjectMeta');
for (const [module, paths] of Object.entries(CRDS)) {
  const home = folderOf(module);
  for (const document of paths.flatMap((path) => parseAllDocuments(readFileSync(join(home, path), 'utf8')))) {
    const crd = document.toJS();
    if (crd?.kind !== 'CustomResourceDefinition') continue;
    writeFileSync(join(folder, 'crds', `${crd.metadata.name}.json`), JSON.stringify(crd));
    for (const { name, schema } of crd.spec.versions) {
      const made = strict(schema.openAPIV3Schema, () => undefined);
      made.properties = {
        ...made.properties,
        apiVersion: { type: 'string' },
        kind: { type: 'string' },
        metadata,
      };
      write(crd.spec.names.kind, crd.spec.group, name, made);
    }
  }
}
