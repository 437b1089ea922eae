import eslint from '@eslint/js';
import prettier from 'eslint-config-prettier';
import regexp from 'eslint-plugin-regexp';
import tseslint from 'typescript-eslint';

/** A signal that only a request refers to may be garbage collected together with its timer (N17). */
const lostTimers = ['timeout', 'any'].map((property) => ({
  object: 'AbortSignal',
  property,
  message: 'Use a timer that refers to what it aborts, as trust/download.ts does.',
}));

/** Names of variables that hold secrets: comparing those with === leaks their content through timing. */
const secretName = '/(secret|password|mac|digest)$/i';

const secretComparison = {
  selector: `BinaryExpression[operator=/^[!=]==$/]:matches([left.name=${secretName}], [left.property.name=${secretName}]):not([right.type='Literal']):not([right.name='undefined'])`,
  message: 'Compare secrets with constantTimeEqual.',
};

/** What makes HTML or code of text: text of users must only reach the page as an expression of a lit-html template. */
const textAsMarkup = [
  {
    selector: 'MemberExpression[property.name=/^(innerHTML|outerHTML|srcdoc)$/]',
    message: 'Write the text as an expression of a lit-html template.',
  },
  {
    selector:
      'CallExpression[callee.property.name=/^(insertAdjacentHTML|setHTMLUnsafe|parseHTMLUnsafe|createContextualFragment|parseFromString|write|writeln)$/]',
    message: 'Write the text as an expression of a lit-html template.',
  },
  {
    selector: 'ImportDeclaration[source.value=/^lit-html\\/.*(unsafe|static|private)/]',
    message: 'lit-html is used without what makes markup of text.',
  },
  {
    selector:
      'TaggedTemplateExpression > TemplateLiteral > TemplateElement[value.raw=/\\.(inner|outer)HTML\\s*=/i]',
    message: 'Write the text as an expression of a lit-html template.',
  },
  {
    selector: 'TaggedTemplateExpression > TemplateLiteral > TemplateElement[value.raw=/\\sstyle\\s*=/]',
    message: 'The content security policy allows no style attribute: use a class, or setProperty in a ref.',
  },
  {
    selector: 'TaggedTemplateExpression > TemplateLiteral > TemplateElement[value.raw=/\\son[a-z]+\\s*=/]',
    message: 'The content security policy allows no inline handler: use @event.',
  },
];

export default tseslint.config(
  {
    ignores: [
      '**/dist/',
      'src/generated/',
      'node_modules/',
      'coverage/',
      '.interop/',
      'examples/',
      'clients/node/consumers/',
      'bench/results/',
    ],
  },
  eslint.configs.recommended,
  ...tseslint.configs.strictTypeChecked,
  {
    languageOptions: {
      parserOptions: { projectService: true, tsconfigRootDir: import.meta.dirname },
    },
    rules: {
      '@typescript-eslint/restrict-template-expressions': [
        'error',
        { allowNumber: true, allowBoolean: true },
      ],
      '@typescript-eslint/switch-exhaustiveness-check': 'error',
      '@typescript-eslint/no-confusing-void-expression': ['error', { ignoreArrowShorthand: true }],
      'no-restricted-syntax': ['error', secretComparison],
    },
  },
  {
    files: ['src/**/*.ts'],
    rules: { 'no-console': 'error' },
  },
  {
    // Text comes from unauthenticated callers: no expression may take superlinear time (N16).
    files: ['src/**/*.ts'],
    plugins: { regexp },
    rules: {
      'regexp/no-super-linear-backtracking': ['error', { report: 'potential' }],
      'regexp/no-super-linear-move': ['error', { report: 'potential', ignoreSticky: false }],
    },
  },
  {
    files: ['src/**/*.ts'],
    rules: { 'no-restricted-properties': ['error', ...lostTimers] },
  },
  {
    files: ['src/**/*.ts'],
    ignores: ['src/trust/download.ts'],
    rules: {
      'no-restricted-globals': [
        'error',
        {
          name: 'fetch',
          message: 'Use download of trust/download.ts: a signal alone does not abort a stalled fetch.',
        },
      ],
    },
  },
  {
    files: ['src/**/*.ts'],
    ignores: ['src/config/load-settings.ts'],
    rules: {
      'no-restricted-properties': [
        'error',
        ...lostTimers,
        {
          object: 'process',
          property: 'env',
          message: 'Only config/load-settings.ts reads the environment.',
        },
      ],
    },
  },
  {
    files: ['console/src/**/*.ts'],
    rules: {
      'no-console': 'error',
      'no-eval': 'error',
      'no-implied-eval': 'off',
      '@typescript-eslint/no-implied-eval': 'error',
      'no-restricted-syntax': ['error', secretComparison, ...textAsMarkup],
      // The types of Node are only there for the generated messages; localStorage would keep what a script could read later.
      'no-restricted-globals': [
        'error',
        ...['Buffer', 'process', 'require', 'global', 'setImmediate', 'localStorage', 'sessionStorage'],
      ],
    },
  },
  {
    files: ['**/*.js', '**/*.mjs'],
    ...tseslint.configs.disableTypeChecked,
    languageOptions: {
      ...tseslint.configs.disableTypeChecked.languageOptions,
      globals: { Buffer: 'readonly', console: 'readonly', performance: 'readonly', process: 'readonly' },
    },
  },
  prettier,
);
