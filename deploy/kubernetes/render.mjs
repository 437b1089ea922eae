// Renders the plain manifests of this folder from the Helm chart: postern.yaml, and migrate.yaml, which is applied before it.
//
//   node deploy/kubernetes/render.mjs [FOLDER]      HELM=/path/to/helm if it is not in PATH
import { execFileSync } from 'node:child_process';
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';

import { parseAllDocuments } from 'yaml';

const here = import.meta.dirname;
const [folder = here] = process.argv.slice(2);

const manifests = {
  'migrate.yaml': ['--show-only', 'templates/migrate.yaml'],
  'postern.yaml': ['--no-hooks'],
};

/** What only Helm has a use for. */
const ofHelm = ['app.kubernetes.io/managed-by', 'helm.sh/chart'];
const labels = [
  ['metadata', 'labels'],
  ['spec', 'template', 'metadata', 'labels'],
];

for (const [name, words] of Object.entries(manifests)) {
  const values = [
    '--values',
    join(here, 'values.yaml'),
    '--namespace',
    'postern',
    '--kube-version',
    '1.34.4',
  ];
  const chart = join(here, '../helm/postern');
  const text = execFileSync(process.env.HELM ?? 'helm', ['template', 'postern', chart, ...values, ...words], {
    encoding: 'utf8',
  });
  const documents = parseAllDocuments(text).map((document) => {
    for (const path of labels) {
      if (document.hasIn(path)) for (const label of ofHelm) document.deleteIn([...path, label]);
    }
    if (name === 'migrate.yaml') document.deleteIn(['metadata', 'annotations']);
    document.commentBefore = null;
    // Without the empty lines where the chart leaves something out.
    return document.toString({ lineWidth: 0 }).replaceAll(/\n\s*\n/g, '\n');
  });
  const heading =
    '# Rendered from deploy/helm/postern with values.yaml by deploy/kubernetes/render.mjs: change those. README.md has the steps.\n';
  writeFileSync(join(folder, name), heading + documents.join('---\n'));
}
